"""
Tests of :mod:`siptwist.net.guarding.offenses`.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import SIPTwistError
from siptwist.net.guarding.offenses import Offense, OffenseFile

# What siproxd 0.8.4 has written, with all of its tables.
SIPROXD = """
CREATE TABLE control (action VARCHAR(32) UNIQUE, count INTEGER DEFAULT 0, time VARCHAR(32));
CREATE TABLE blacklist (type INTEGER DEFAULT 0, ip VARCHAR(16), sipuri VARCHAR(128),
    failcount INTEGER DEFAULT 0, lastfail INTEGER DEFAULT 0, lastseen INTEGER DEFAULT 0,
    CONSTRAINT unique_src UNIQUE (ip, sipuri));
CREATE TABLE requests (timestamp INTEGER DEFAULT 0, ip VARCHAR(16), sipuri VARCHAR(128),
    callid VARCHAR(256), CONSTRAINT unique_req UNIQUE (ip, sipuri));
INSERT INTO control VALUES ('bl_expire', 7, '1790000000');
INSERT INTO blacklist VALUES (0, '203.0.113.66', 'sip:100@203.0.113.1', 12, 1789999000, 1789999900);
INSERT INTO blacklist VALUES (1, '203.0.113.67', 'sip:mallory@example.net', 0, 0, 0);
INSERT INTO requests VALUES (1789999900, '203.0.113.66', 'sip:100@203.0.113.1', 'abc@x');
"""
ROWS = [
    Offense(0, "203.0.113.66", "sip:100@203.0.113.1", 12, 1789999000, 1789999900),
    Offense(1, "203.0.113.67", "sip:mallory@example.net", 0, 0, 0),
]


def dump(path: Path) -> list[str]:
    with closing(sqlite3.connect(path)) as database:
        return list(database.iterdump())


class OffenseFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def open(self) -> OffenseFile:
        file = OffenseFile(str(self.path))
        self.addCleanup(file.close)
        return file

    def execute(self, script: str) -> None:
        with closing(sqlite3.connect(self.path)) as database:
            database.executescript(script)

    def test_siproxd(self) -> None:
        """
        The file of siproxd is opened as it is, and its rows are known; opening
        changes nothing in it (R13 of siproxd).
        """
        self.execute(SIPROXD)
        before = dump(self.path)
        self.assertEqual(self.open().load(), ROWS)
        self.assertEqual(dump(self.path), before)

    def test_back_to_siproxd(self) -> None:
        """
        What is written is a row as siproxd writes it; its other tables stay.
        """
        self.execute(SIPROXD)
        row = Offense(0, "203.0.113.70", "sip:a@b", 3, 1790000000, 1790000001)
        self.open().write({row.key: row, ROWS[0].key: None})
        lines = dump(self.path)
        self.assertEqual(sum("INSERT INTO" in line for line in lines), 4)
        with closing(sqlite3.connect(self.path)) as database:
            [found] = database.execute("SELECT * FROM blacklist WHERE type = 0")
        self.assertEqual(found, tuple(row))

    def test_new(self) -> None:
        """
        A file that is not there yet is made, and kept.
        """
        row = Offense(0, "2001:db8::1", "sip:\udcff@b", 3, 1790000000, 1790000001)
        self.open().write({row.key: row})
        self.assertEqual(self.open().load(), [row])

    def test_by_hand(self) -> None:
        """
        What somebody has entered by hand stays as it is, whatever we have counted.
        """
        self.execute(SIPROXD)
        file = self.open()
        file.write({ROWS[1].key: ROWS[1]._replace(type=0, failcount=5)})
        file.write({ROWS[1].key: None})
        self.assertEqual(file.load(), ROWS)

    def test_changed(self) -> None:
        """
        What another process writes is seen, what we write is not.
        """
        file = self.open()
        file.write({ROWS[0].key: ROWS[0]})
        self.assertFalse(file.is_changed())
        self.execute("INSERT INTO blacklist (type, ip, sipuri) VALUES (1, '10.0.0.66', '*')")
        self.assertTrue(file.is_changed())
        self.assertFalse(file.is_changed())
        self.assertEqual(len(file.load()), 2)

    def test_strange_rows(self) -> None:
        """
        Rows that make no sense are passed over.
        """
        self.execute(SIPROXD)
        self.execute(
            "INSERT INTO blacklist VALUES (0, NULL, 'sip:a@b', 1, 1, 1);"
            "INSERT INTO blacklist VALUES (0, '1.2.3.4', 'sip:a@b', 'many', 1, 1);"
            "INSERT INTO blacklist VALUES (0, '1.2.3.4', 'sip:b@b', -5, 1, 1);"
            "INSERT INTO blacklist VALUES (7, '1.2.3.4', 'sip:c@b', 1, 1, 1);"
        )
        self.assertEqual(self.open().load(), ROWS)

    def test_unusable(self) -> None:
        """
        A file that is something else, or cannot be, says so, and which it is.
        """
        self.path.write_text("not a database" * 100)
        self.assertRaises(SIPTwistError, self.open)
        self.path.unlink()
        self.execute("CREATE TABLE blacklist (number TEXT)")
        self.assertRaises(SIPTwistError, self.open)
        self.path = self.path / "x"
        error = self.assertRaises(SIPTwistError, self.open)
        self.assertIn(f"plugin_blacklist_dbpath {self.path}: unable to open", str(error))

    def test_locked(self) -> None:
        """
        While an operator's shell holds the file nothing is written, and we do not
        wait for long.
        """
        self.execute(SIPROXD)
        file = self.open()
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            error = self.assertRaises(SIPTwistError, file.write, {ROWS[0].key: None})
            self.assertIn("locked", str(error))
        self.assertEqual(file.load(), ROWS)
        file.write({ROWS[0].key: None})
        self.assertEqual(file.load(), ROWS[1:])
