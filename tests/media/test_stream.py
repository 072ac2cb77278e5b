"""
Tests for siptwist.media.stream.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.media.stream import CallKey, Endpoint, Party, StreamOffer, sendable_host
from siptwist.sip.hop import Side


class SendableHostTests(SynchronousTestCase):
    def test_addresses(self) -> None:
        """
        Addresses are spelled as sockets report them.
        """
        spelled = [sendable_host("203.0.113.7"), sendable_host("2001:DB8:0::7")]
        self.assertEqual(spelled, ["203.0.113.7", "2001:db8::7"])

    def test_nowhere(self) -> None:
        """
        Media are never sent to hold's 0.0.0.0, to groups or to everybody.
        """
        for host in ("0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255"):
            self.assertIsNone(sendable_host(host), host)

    def test_no_address(self) -> None:
        """
        Names and odd spellings of addresses are not looked up while media wait.
        """
        for host in ("", "phone.example.net", "010.1.1.1", "1", "fe80::1%eth0", "1" * 4000):
            self.assertIsNone(sendable_host(host), host)

    def test_loopback(self) -> None:
        """
        An SDP cannot make us send to services of our own machine.
        """
        self.assertIsNone(sendable_host("127.0.0.1"))
        self.assertEqual(sendable_host("127.0.0.1", loopback=True), "127.0.0.1")


class StreamOfferTests(SynchronousTestCase):
    def test_is_rtp(self) -> None:
        """
        Fax over UDP has no RTP header; every profile of RTP has.
        """
        kinds = [
            StreamOffer(0, "audio", Endpoint("192.0.2.1", 4000, 4001), proto=proto).is_rtp
            for proto in ("RTP/AVP", "UDP/TLS/RTP/SAVPF", "udptl")
        ]
        self.assertEqual(kinds, [True, True, False])


class PartyTests(SynchronousTestCase):
    def test_other(self) -> None:
        """
        The other party of the caller is the callee, and back.
        """
        self.assertEqual([one.other for one in Party], [Party.CALLEE, Party.CALLER])

    def test_side(self) -> None:
        """
        A call key knows which side each party is on.
        """
        key = CallKey("c", "t", Side.INSIDE, Side.OUTSIDE)
        self.assertEqual([key.side(one) for one in Party], [Side.INSIDE, Side.OUTSIDE])
