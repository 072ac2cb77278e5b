"""
The file that holds registrations: a SQLite database that survives a power cut.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Any

from siptwist.errors import SIPTwistError
from siptwist.proxy.registration.location import Binding
from siptwist.sip.hop import Hop, Side

SCHEMA_VERSION = 1
# Seconds that a commit waits for another process, an operator's shell, to let go.
LOCK_TIMEOUT = 0.05

_CORRUPT = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
_COLUMNS = {
    "mask": "TEXT PRIMARY KEY",
    "aor": "TEXT",
    "contact": "TEXT",
    "host": "TEXT",
    "port": "INTEGER",
    "transport": "TEXT",
    "side": "TEXT",
    "call_id": "TEXT",
    "cseq": "INTEGER",
    "created_at": "REAL",
    "updated_at": "REAL",
    "expires_at": "REAL",
    "registrar": "TEXT",
    "parameters": "TEXT",
    "path": "TEXT",
    "user_agent": "TEXT",
}
_CREATE = "CREATE TABLE bindings ({})".format(
    ", ".join(f"{name} {kind} NOT NULL" for name, kind in _COLUMNS.items())
)
# Text from the wire is not always UTF-8: it goes in as bytes, and is text there.
_INSERT = "INSERT OR REPLACE INTO bindings ({}) VALUES ({})".format(
    ", ".join(_COLUMNS),
    ", ".join("CAST(? AS TEXT)" if "TEXT" in kind else "?" for kind in _COLUMNS.values()),
)
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM bindings"


class RegistrationFileError(SIPTwistError):
    """
    The ``registration_file`` cannot be used; says why.
    """

    def __init__(self, path: str, text: str) -> None:
        super().__init__(f"registration_file {path}: {text}")
        self.path = path


class Database:
    """
    An open registration database.  Every method raises ``sqlite3.Error`` when
    the disk fails.
    """

    def __init__(self, path: str, now: float) -> None:
        self._connection = sqlite3.connect(path, timeout=LOCK_TIMEOUT, isolation_level=None)
        try:
            self._set_up(path, now)
        except BaseException:
            self._connection.close()
            raise

    def _set_up(self, path: str, now: float) -> None:
        execute = self._connection.execute
        self._connection.text_factory = lambda data: data.decode("utf-8", "surrogateescape")
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = FULL")
        [(verdict,)] = execute("PRAGMA quick_check(1)")
        if verdict != "ok":
            raise _corrupt(verdict)
        [(version,)] = execute("PRAGMA user_version")
        [(tables,)] = execute("SELECT count(*) FROM sqlite_master")
        if version > SCHEMA_VERSION:
            raise RegistrationFileError(path, "was written by a newer version of siptwist")
        if version == 0 and tables:
            raise RegistrationFileError(path, "is a database of something else")
        # A transaction at once: a disk that cannot be written to fails the start.
        execute("BEGIN IMMEDIATE")
        if version == 0:
            execute(_CREATE)
            execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
        execute(f"{_SELECT} LIMIT 0")
        execute("DELETE FROM bindings WHERE expires_at <= ?", (now,))
        execute("COMMIT")

    def load(self, now: float) -> tuple[list[Binding], int]:
        """
        The bindings that have not lapsed, and the count of unreadable rows.
        """
        bindings, skipped = [], 0
        for row in self._connection.execute(f"{_SELECT} WHERE expires_at > ?", (now,)):
            try:
                bindings.append(_binding_of(row))
            except (TypeError, ValueError):
                skipped += 1
        return bindings, skipped

    def write(self, changes: Mapping[str, Binding | None]) -> None:
        """
        Insert, replace or (``None``) delete by mask, in one durable commit.
        """
        removed = [(mask,) for mask, binding in changes.items() if binding is None]
        rows = [_row_of(binding) for binding in changes.values() if binding is not None]
        try:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany("DELETE FROM bindings WHERE mask = ?", removed)
            self._connection.executemany(_INSERT, rows)
            self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.rollback()

    def close(self) -> None:
        self._connection.close()


def is_corrupt(error: sqlite3.Error) -> bool:
    """
    Whether the file is damaged, and not only out of reach for now.
    """
    return error.sqlite_errorcode & 0xFF in _CORRUPT


def _corrupt(text: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(text)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _row_of(binding: Binding) -> list[bytes | float]:
    values: dict[str, str | float] = {
        **{name: getattr(binding, name) for name in _COLUMNS if hasattr(binding, name)},
        "host": binding.source.host,
        "port": binding.source.port,
        "transport": binding.source.transport,
        "side": binding.side.value,
        "path": "\n".join(binding.path),
    }
    return [_column(values[name]) for name in _COLUMNS]


def _column(value: str | float) -> bytes | float:
    return value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value


def _binding_of(row: tuple[Any, ...]) -> Binding:
    values = dict(zip(_COLUMNS, row, strict=True))
    for name, value in values.items():
        if not isinstance(value, str if "TEXT" in _COLUMNS[name] else int | float):
            raise TypeError(name)
    source = Hop(values.pop("host"), values.pop("port"), values.pop("transport"))
    side = Side(values.pop("side"))
    path = tuple(filter(None, values.pop("path").split("\n")))
    return Binding(source=source, side=side, path=path, **values)
