"""
Tests of :mod:`siptwist.plugins.guarding.offenders`.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.net.guarding.offenses import Offense
from siptwist.plugins.guarding import offenders as module
from siptwist.plugins.guarding.offenders import ANYBODY, OTHERS, URIS, Offenders

HOST, NOW = "203.0.113.66", 1000.0


class OffendersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.offenders = Offenders(10, 3600)

    def fail_often(self, times: int, host: str = HOST) -> None:
        for number in range(times):
            self.offenders.fail(host, f"sip:{number}@x", NOW)

    def test_hitcount(self) -> None:
        """
        The 11th failure is one too many, be it as somebody else each time (R13 of
        siproxd).
        """
        self.fail_often(10)
        self.assertFalse(self.offenders.has_failed_too_often(HOST))
        self.fail_often(1)
        self.assertTrue(self.offenders.has_failed_too_often(HOST))
        self.assertFalse(self.offenders.has_failed_too_often("203.0.113.67"))

    def test_success(self) -> None:
        """
        Who knows the password in the end has not failed; nothing is left of it.
        """
        self.offenders.fail(HOST, "sip:a@x", NOW)
        self.offenders.succeed(HOST, "sip:a@x")
        self.offenders.succeed(HOST, "sip:b@x")
        self.assertEqual(self.offenders.hosts, {})
        self.assertEqual(self.offenders.changed, {(HOST, "sip:a@x"): None})

    def test_expire(self) -> None:
        """
        After an hour of silence all is forgotten; who goes on trying is not.
        """
        self.fail_often(11)
        self.fail_often(11, "203.0.113.67")
        self.offenders.see(HOST, NOW + 3000)
        self.offenders.expire(NOW + 3601)
        self.assertEqual(list(self.offenders.hosts), [HOST])
        self.offenders.expire(NOW + 3000 + 3601)
        self.assertEqual(self.offenders.hosts, {})

    def test_for_ever(self) -> None:
        """
        With a duration of 0 nothing is forgotten.
        """
        self.offenders = Offenders(10, 0)
        self.fail_often(1)
        self.offenders.expire(NOW + 1e9)
        self.assertEqual(self.offenders.count(HOST), 1)

    def test_by_hand(self) -> None:
        """
        An entry made by hand shuts out that account there, or with * anybody, and never
        lapses.
        """
        self.offenders.load(
            [Offense(1, HOST, "sip:a@x", 0, 0, 0), Offense(1, "10.0.0.66", ANYBODY, 0, 0, 0)]
        )
        self.offenders.expire(NOW + 1e6)
        self.offenders.fail(HOST, "sip:a@x", NOW)
        self.offenders.succeed(HOST, "sip:a@x")
        self.offenders.see(HOST, NOW)
        self.assertEqual(self.offenders.changed, {})
        self.assertTrue(self.offenders.is_barred(HOST, "sip:a@x"))
        self.assertFalse(self.offenders.is_barred(HOST, "sip:b@x"))
        self.assertTrue(self.offenders.is_barred("10.0.0.66", "sip:whoever@x"))
        self.assertFalse(self.offenders.is_barred("10.0.0.67", "sip:whoever@x"))

    def test_read_again(self) -> None:
        """
        What was deleted on disk is gone, what is not there yet is kept.
        """
        old, new = Offense(0, HOST, "sip:old@x", 99, 1, 1), Offense(0, HOST, "sip:b@x", 99, 1, 1)
        self.offenders.load([old, new])
        self.offenders.succeed(HOST, "sip:old@x")
        self.offenders.fail("10.0.0.9", "sip:c@x", NOW)
        self.offenders.load([old])
        self.assertEqual(list(self.offenders.hosts), ["10.0.0.9"])

    def test_bounds(self) -> None:
        """
        However many accounts somebody tries, and from however many addresses, what is
        remembered has bounds; failures are counted all the same.
        """
        self.patch(module, "ADDRESSES", 100)
        self.fail_often(1000)
        self.assertEqual(len(self.offenders.hosts[HOST]), URIS + 1)
        self.assertEqual(self.offenders.hosts[HOST][OTHERS].failcount, 1000 - URIS)
        self.assertEqual(self.offenders.count(HOST), 1000)
        self.offenders.load([Offense(1, "10.0.0.66", ANYBODY, 0, 0, 0)])
        for number in range(200):
            self.offenders.fail(f"2001:db8::{number:x}", "sip:" + "a" * 5000, NOW)
        self.assertEqual(len(self.offenders.hosts), 100)
        self.assertTrue(self.offenders.is_barred("10.0.0.66", "sip:a@x"))
        self.assertTrue(self.offenders.hosts["2001:db8::c7"])
        self.assertLess(max(len(uri) for _, uri in self.offenders.changed), 300)
