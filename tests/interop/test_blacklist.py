"""
The plugin blacklist, a real provider, and who tries passwords there.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.interop.bed import FW, LAN_ROUTER
from tests.interop.capture import Capture
from tests.interop.case import CAROL
from tests.interop.plugged import PluggedCase, header, responses
from tests.interop.program import Program
from tests.interop.provider import password
from tests.interop.waiting import wait_until

#: Somebody who guesses, and somebody whom an operator has barred.
GUESSER, BARRED = "10.0.0.16", "10.0.0.18"

# The file as siproxd makes it.
_BLACKLIST = f"""
CREATE TABLE control (action VARCHAR(32) UNIQUE, count INTEGER DEFAULT 0, time VARCHAR(32));
CREATE TABLE blacklist (type INTEGER DEFAULT 0, ip VARCHAR(16), sipuri VARCHAR(128),
    failcount INTEGER DEFAULT 0, lastfail INTEGER DEFAULT 0, lastseen INTEGER DEFAULT 0,
    CONSTRAINT unique_src UNIQUE (ip, sipuri));
CREATE TABLE requests (timestamp INTEGER DEFAULT 0, ip VARCHAR(16), sipuri VARCHAR(128),
    callid VARCHAR(256), CONSTRAINT unique_src UNIQUE (ip, sipuri));
INSERT INTO blacklist VALUES (1, '{BARRED}', 'sip:dave@example.net', 0, 0, 0);
"""


class BlacklistTests(PluggedCase):
    """
    Who tries passwords at the provider is shut out, and nobody else.
    """

    def test_blacklist(self) -> None:
        """
        Two failures are forgiven; after the third that phone hears 403 while another one
        registers and calls, until it has been silent for long enough.  Whom siproxd's
        file bars is barred.
        """
        path = self.bed.new_directory("blacklist") / "blacklist.sqlite"
        with closing(sqlite3.connect(path)) as file:
            file.executescript(_BLACKLIST)
        proxy = self.start_proxy(
            load_plugin="plugin_blacklist.so",
            plugin_blacklist_dbpath=str(path),
            plugin_blacklist_hitcount=2,
            plugin_blacklist_duration=6,
        )
        inside = self.start_capture(FW, "eth0")
        guesser = self.guess("wrong", "guess", calls=3)
        self.assertEqual(guesser.wait(5), 0, guesser.log())
        self.assert_refused(inside, GUESSER, self.guess(password("alice", "example.net")))
        self.assertIn(f"{GUESSER} ('sip:alice@example.net') is shut out: 3", proxy.program.log())
        self.assert_refused(inside, BARRED, self.guess("any", host=BARRED, user="dave"))
        bob, carol = self.start_outside(), self.start_inside("carol", CAROL)
        self.connect(carol, bob)
        shut_out = [(0, GUESSER, 3), (1, BARRED, 0)]
        wait_until(lambda: self.rows(path) == shut_out, "it to be written", 6)
        wait_until(lambda: self.rows(path) == [(1, BARRED, 0)], "it to be forgotten", 12)
        back = self.guess(password("alice", "example.net"))
        self.assertEqual(back.wait(5), 0, back.log())

    def guess(
        self,
        secret: str,
        scenario: str = "register",
        host: str = GUESSER,
        user: str = "alice",
        calls: int = 1,
    ) -> Program:
        """
        A phone registers with a password.
        """
        words = ["-s", user, "-au", user, "-ap", secret, "-key", "domain", "example.net"]
        return self.run_sipp(host, scenario, *words, remote="example.net", calls=calls)

    def assert_refused(self, wire: Capture, host: str, phone: Program) -> None:
        self.assertEqual(phone.wait(5), 1, phone.log())
        (refusal, *_) = responses(wire.sip(LAN_ROUTER, host), 403)
        self.assertEqual(header(refusal, "CSeq"), "1 REGISTER")

    def rows(self, path: Path) -> list[tuple[int, str, int]]:
        """
        Who is in the file, as another program reads it.
        """
        query = "SELECT type, ip, failcount FROM blacklist ORDER BY type"
        with closing(sqlite3.connect(path)) as file:
            return file.execute(query).fetchall()
