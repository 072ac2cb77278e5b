"""
Tests for siptwist.media.ownports: media never go round in circles.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.media.latch import Described
from siptwist.media.leg import MediaStream
from siptwist.media.ownports import OurPorts
from siptwist.media.stream import Party

PHONE = ("10.0.0.10", 4000)


def stream(caller_port: int) -> MediaStream:
    return MediaStream(0, "audio", ("10.0.0.1", caller_port), ("192.0.2.1", caller_port + 100))


class OurPortsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.ours = OurPorts()
        self.first, self.second = stream(7000), stream(7002)
        for one in (self.first, self.second):
            self.ours.add(one, "10.0.0.1", "203.0.113.1")

    def test_others(self) -> None:
        """
        A phone is sent to where it says.
        """
        self.assertEqual(self.ours.resolve(PHONE, self.first, Party.CALLER), PHONE)

    def test_hairpin(self) -> None:
        """
        A call that leaves and comes back in is joined, past the NAT router in front of us.
        """
        self.first.caller.describe("", Described(PHONE, None, PHONE[0]))
        at = self.ours.resolve(("203.0.113.1", 7102), self.first, Party.CALLEE)
        self.assertEqual(at, ("192.0.2.1", 7102))

    def test_itself(self) -> None:
        """
        A stream never sends to a port of its own, RTCP included.
        """
        for port in (7100, 7101):
            at = self.ours.resolve(("203.0.113.1", port), self.first, Party.CALLER)
            self.assertIsNone(at)

    def test_circle(self) -> None:
        """
        Two calls that name each other's ports on both sides do not make a circle.
        """
        self.first.caller.describe("", Described(("192.0.2.1", 7102), None, PHONE[0]))
        self.assertIsNone(self.ours.resolve(("10.0.0.1", 7002), self.first, Party.CALLEE))

    def test_closed(self) -> None:
        """
        A port that was given back is like any other.
        """
        self.ours.discard(self.second)
        at = self.ours.resolve(("203.0.113.1", 7102), self.first, Party.CALLEE)
        self.assertEqual(at, ("203.0.113.1", 7102))

    def test_nothing_left(self) -> None:
        """
        After all streams are closed nothing is remembered; closing twice does no harm.
        """
        for one in (self.first, self.second, self.second):
            self.ours.discard(one)
        self.assertEqual(len(self.ours), 0)

    def test_every_address(self) -> None:
        """
        Where all addresses of the machine are bound, the destination stays as advertised.
        """
        wild = MediaStream(0, "audio", ("0.0.0.0", 7400), ("0.0.0.0", 7500))
        self.ours.add(wild, "192.0.2.1", "192.0.2.1")
        at = self.ours.resolve(("192.0.2.1", 7500), self.first, Party.CALLEE)
        self.assertEqual(at, ("192.0.2.1", 7500))
