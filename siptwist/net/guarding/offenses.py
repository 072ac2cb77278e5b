"""
The SQLite file of those who are shut out, as siproxd writes and reads it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from siptwist.errors import SIPTwistError

# Seconds that we wait for another process, an operator's shell, to let go.
LOCK_TIMEOUT = 0.05

_COLUMNS = "type, ip, sipuri, failcount, lastfail, lastseen"
_CREATE = """CREATE TABLE IF NOT EXISTS blacklist (
    type INTEGER DEFAULT 0,
    ip VARCHAR(46),
    sipuri VARCHAR(128),
    failcount INTEGER DEFAULT 0,
    lastfail INTEGER DEFAULT 0,
    lastseen INTEGER DEFAULT 0,
    CONSTRAINT unique_src UNIQUE (ip, sipuri)
)"""
_INSERT = f"INSERT OR REPLACE INTO blacklist ({_COLUMNS}) VALUES (?, ?, CAST(? AS TEXT), ?, ?, ?)"
# What somebody enters by hand is his.
_DELETE = "DELETE FROM blacklist WHERE type = 0 AND ip = ? AND sipuri = CAST(? AS TEXT)"
_IS_MANUAL = "SELECT count(*) FROM blacklist WHERE type = 1 AND ip = ? AND sipuri = CAST(? AS TEXT)"

Key = tuple[str, str]


class Offense(NamedTuple):
    """
    A row: ``failcount`` failures of ``sipuri`` at ``ip``, the last one at ``lastfail``,
    and when it was heard last, in seconds since the epoch.  ``type`` 1 is entered by
    hand: always shut out.
    """

    type: int
    ip: str
    sipuri: str
    failcount: int
    lastfail: int
    lastseen: int

    @property
    def key(self) -> Key:
        return self.ip, self.sipuri


class OffenseFile:
    """
    The open file.

    :param sync_mode: of SQLite's ``PRAGMA synchronous``.
    :raises SIPTwistError: it cannot be opened, or is something else.
    """

    def __init__(self, path: str, sync_mode: str = "OFF") -> None:
        self._path = path
        try:
            self._connection = sqlite3.connect(path, timeout=LOCK_TIMEOUT, isolation_level=None)
        except sqlite3.Error as error:
            raise self._error(error) from error
        self._connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
        try:
            self._execute(f"PRAGMA synchronous = {sync_mode}")
            self._execute(_CREATE)
            self._execute(f"SELECT {_COLUMNS} FROM blacklist LIMIT 0")
        except BaseException:
            self._connection.close()
            raise
        self._version = self._data_version()

    def _error(self, error: sqlite3.Error) -> SIPTwistError:
        return SIPTwistError(f"plugin_blacklist_dbpath {self._path}: {error}")

    def _execute(self, statement: str, values: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        try:
            return self._connection.execute(statement, tuple(values)).fetchall()
        except sqlite3.Error as error:
            raise self._error(error) from error

    def _data_version(self) -> int:
        return int(self._execute("PRAGMA data_version")[0][0])

    def is_changed(self) -> bool:
        """
        Whether somebody else has written since this was asked last.

        :raises SIPTwistError: it cannot be read.
        """
        before, self._version = self._version, self._data_version()
        return self._version != before

    def load(self) -> list[Offense]:
        """
        The rows that make sense.

        :raises SIPTwistError: it cannot be read.
        """
        rows = self._execute(f"SELECT {_COLUMNS} FROM blacklist")
        return [Offense(*row) for row in rows if _is_good(row)]

    def write(self, changes: Mapping[Key, Offense | None]) -> None:
        """
        Insert, replace or (``None``) delete rows, in one commit.  Rows that were
        entered by hand stay as they are.

        :raises SIPTwistError: it cannot be written; nothing has changed.
        """
        self._execute("BEGIN IMMEDIATE")
        try:
            for key, offense in changes.items():
                self._change(key, offense)
            self._execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.rollback()

    def _change(self, key: Key, offense: Offense | None) -> None:
        stored = key[0], _stored(key[1])
        if offense is None:
            self._execute(_DELETE, stored)
        elif not self._execute(_IS_MANUAL, stored)[0][0]:
            self._execute(_INSERT, (0, *stored, *offense[3:]))

    def close(self) -> None:
        self._connection.close()


# Text from the wire is not always UTF-8: it goes in as bytes, and is text there.
def _stored(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _is_good(row: tuple[Any, ...]) -> bool:
    kind, ip, uri, *numbers = row
    is_row = kind in (0, 1) and isinstance(ip, str) and isinstance(uri, str)
    return is_row and all(isinstance(number, int) and number >= 0 for number in numbers)
