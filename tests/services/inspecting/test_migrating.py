"""
Tests for siptwist.services.inspecting.migrating: ``--migrate``.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from siptwist import tap
from siptwist.services.inspecting.migrating import Migration

NOW = 1_790_000_000

CONF = """\
if_inbound = eth0
if_outbound = ppp0
hosts_allow_reg = 192.168.1.0/24
registration_file = /var/lib/siproxd/siproxd_registrations
daemonize = 1
"""
TABLE = f"""\
****:1:{NOW + 100}
sip:alice@192.168.1.10:5060
sip:alice@203.0.113.1
sip:alice@provider.example
****:1:{NOW - 100}
sip:bob@192.168.1.11:5060
sip:bob@203.0.113.1
sip:bob@provider.example
****:1:{NOW + 100}
sip:carol@192.168.1.12:5060
****:0:0
"""


class MigrationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def report(self) -> tuple[bool, str]:
        migration = Migration(str(self.folder), tap.read, NOW)
        lines = "\n".join(migration.report())
        return migration.is_good, lines

    def test_all(self) -> None:
        """
        Configuration, passwords, registrations and blacklist are read, and what will be
        different is said.
        """
        self.folder.joinpath("siproxd.conf").write_text(CONF)
        self.folder.joinpath("siproxd_passwd.cfg").write_text("alice pw\nbob pw\n")
        self.folder.joinpath("siproxd_registrations").write_text(TABLE)
        with closing(sqlite3.connect(self.folder / "blacklist.sqlite")) as database:
            database.execute("CREATE TABLE blacklist (type INTEGER, ip TEXT)")
            database.execute("INSERT INTO blacklist VALUES (0, 'a'), (0, 'b'), (1, 'c')")
            database.commit()
        is_good, lines = self.report()
        self.assertTrue(is_good)
        for words in (
            "siproxd.conf: 5 options read",
            ":5: daemonize: twistd decides",
            "rtp_timeout is not set: siproxd takes 0 (at once), siptwist 300",
            "registers from the inside only",
            "siproxd_passwd.cfg: 2 users",
            "2 in clear; twistd siproxy --hash-password",
            "siproxd_registrations: 1 phone to take over, 1 lapsed, 1 unreadable",
            "blacklist.sqlite: 1 by hand, 2 found by itself",
        ):
            self.assertIn(words, lines)

    def test_bad(self) -> None:
        """
        A configuration that cannot be used as it is is not good, and each line is named;
        passwords are not shown.
        """
        self.folder.joinpath("siproxd.conf").write_text("xuser = y\nrtp_dscp = 64\n")
        self.folder.joinpath("siproxd_passwd.cfg").write_text("alice secret and more of it\n")
        self.folder.joinpath("siproxd_registrations").write_text("something else\n")
        is_good, lines = self.report()
        self.assertFalse(is_good)
        self.assertIn("siproxd.conf:1: xuser: unknown option; did you mean user?", lines)
        self.assertIn("siproxd.conf:2: rtp_dscp", lines)
        self.assertIn("siproxd_passwd.cfg:1:", lines)
        self.assertNotIn("secret", lines)
        self.assertIn("is not siproxd's", lines)

    def test_nothing(self) -> None:
        """
        A folder without any of it says so; one that is not there is an error.
        """
        is_good, lines = self.report()
        self.assertTrue(is_good)
        for words in ("no siproxd.conf or", "Passwords: none", "Blacklist: none"):
            self.assertIn(words, lines)
        self.folder.rmdir()
        self.assertEqual(self.report(), (False, f"{self.folder}: there is no such folder"))

    def test_already(self) -> None:
        """
        Registrations that are siptwist's already need not be taken over.
        """
        self.folder.joinpath("siproxd_registrations").write_bytes(b"SQLite format 3\0")
        self.assertIn("is siptwist's already", self.report()[1])

    def test_damaged_blacklist(self) -> None:
        """
        A blacklist that cannot be read is named.
        """
        self.folder.joinpath("blacklist.sqlite").write_text("not a database" * 100)
        self.assertIn("blacklist.sqlite cannot be read: file is not", self.report()[1])
