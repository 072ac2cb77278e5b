"""
The ``registration_file`` at the start: missing, ours, damaged, or siproxd's.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import sqlite3
import time
from collections.abc import Callable

from twisted.logger import Logger

from siptwist.proxy.registration.masks import new_mask
from siptwist.services.storage.database import Database, RegistrationFileError, is_corrupt
from siptwist.services.storage.siproxd_table import is_table, read_table
from siptwist.sip.uri import SIPURI

MAGIC = b"SQLite format 3\0"
_COMPANIONS = ("", "-wal", "-shm", "-journal")


def open_database(path: str, is_own: Callable[[SIPURI], bool], now: float, log: Logger) -> Database:
    """
    Open the registration database; make it when there is none.

    A damaged one is moved aside, siproxd's table is taken over and kept beside.

    :param is_own: whether a URI names us.
    :param now: seconds since the epoch.
    :raises RegistrationFileError: when the file is somebody else's, or out of
        reach.
    """
    try:
        head = _make_place(path)
        if is_table(head):
            _take_over(path, is_own, now, log)
        elif head and not head.strip(b"\0"):
            # What a power cut may leave of a file.
            _move_aside(path, now, "nothing but zeros", log)
        elif head and head != MAGIC:
            raise RegistrationFileError(path, "is neither a database nor a table of siproxd")
        return _open(path, now, log)
    except OSError as error:
        raise RegistrationFileError(path, error.strerror or str(error)) from error
    except sqlite3.Error as error:
        raise RegistrationFileError(path, str(error)) from error


def _make_place(path: str) -> bytes:
    """
    Make the directory and the file, for our eyes only; return how it begins.
    """
    os.makedirs(os.path.dirname(os.path.abspath(path)), mode=0o700, exist_ok=True)
    with open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "rb") as file:
        if os.fstat(file.fileno()).st_mode & 0o077:
            with contextlib.suppress(PermissionError):
                os.fchmod(file.fileno(), 0o600)
        return file.read(len(MAGIC))


def _open(path: str, now: float, log: Logger) -> Database:
    try:
        return Database(path, now)
    except sqlite3.DatabaseError as error:
        if not is_corrupt(error):
            raise
        _move_aside(path, now, str(error), log)
        _make_place(path)
        return Database(path, now)


def _move_aside(path: str, now: float, why: str, log: Logger) -> None:
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    aside = f"{path}.corrupt-{stamp}"
    for companion in _COMPANIONS:
        with contextlib.suppress(FileNotFoundError):
            os.replace(path + companion, aside + companion)
    log.error(
        "Registrations in {path} are damaged ({why}); moved to {aside}, starting with none",
        path=path,
        why=why,
        aside=aside,
    )


def _take_over(path: str, is_own: Callable[[SIPURI], bool], now: float, log: Logger) -> None:
    """
    Make a database of siproxd's table, in one step that cannot be half done.
    """
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        text = file.read()
    key = secrets.token_bytes(16)
    bindings, skipped = read_table(text, lambda *names: new_mask(key, *names), is_own, now)
    backup, draft = f"{path}.siproxd-backup", f"{path}.importing"
    shutil.copy2(path, backup)
    for companion in _COMPANIONS:
        with contextlib.suppress(FileNotFoundError):
            os.remove(draft + companion)
    _make_place(draft)
    database = Database(draft, now)
    try:
        database.write({binding.mask: binding for binding in bindings})
    finally:
        database.close()
    os.replace(draft, path)
    log.info(
        "Took {count} registrations over from siproxd, skipped {skipped}; its table is {backup}",
        count=len(bindings),
        skipped=skipped,
        backup=backup,
    )
