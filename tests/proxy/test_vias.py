"""
Tests for siptwist.proxy.vias.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.proxy.vias import arrived_vias
from siptwist.sip.hop import Hop
from tests.proxy.asking import request

SOURCE = Hop("10.0.0.5", 40000)


class ArrivedViasTests(SynchronousTestCase):
    """
    received and rport (RFC 3261 section 18.2.1, RFC 3581 section 4).
    """

    def made(self, via: str, *lines: str, source: Hop = SOURCE) -> list[str]:
        headers = request(*lines, via=via).headers
        return [value for _, value, _ in arrived_vias(headers, headers.via, source)]

    def test_rport_is_filled(self) -> None:
        """
        A client that asks for its port by rport is told port and address (P6 of siproxd).
        """
        self.assertEqual(
            self.made("SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bKa;rport"),
            ["SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bKa;rport=40000;received=10.0.0.5"],
        )

    def test_rport_in_the_middle(self) -> None:
        """
        rport is filled wherever it stands; other parameters stay.
        """
        (made,) = self.made("SIP/2.0/UDP 10.0.0.5:5060;rport;branch=z9hG4bKa;x=1")
        self.assertTrue(made.startswith("SIP/2.0/UDP 10.0.0.5:5060;"))
        for piece in (";branch=z9hG4bKa", ";x=1", ";rport=40000", ";received=10.0.0.5"):
            self.assertIn(piece, made)
        self.assertEqual(made.count("rport"), 1)

    def test_true_address(self) -> None:
        """
        A Via with the address it came from, without rport, stays as it is.
        """
        via = "SIP/2.0/UDP 10.0.0.5;branch=z9hG4bKa"
        self.assertEqual(self.made(via), [via])

    def test_other_address(self) -> None:
        """
        A Via that names another host than it came from gets received (P6 of siproxd).
        """
        self.assertEqual(
            self.made("SIP/2.0/UDP phone.local;branch=z9hG4bKa"),
            ["SIP/2.0/UDP phone.local;branch=z9hG4bKa;received=10.0.0.5"],
        )

    def test_forged_received(self) -> None:
        """
        A received or rport that the client made up is replaced.
        """
        (made,) = self.made("SIP/2.0/UDP 10.0.0.5;received=192.0.2.1;rport=1;branch=z9hG4bKa")
        self.assertNotIn("192.0.2.1", made)
        self.assertIn("rport=40000", made)

    def test_further_vias_stay(self) -> None:
        """
        Only the topmost Via is ours to change, in one line or in several.
        """
        other = "SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKb;rport"
        first = "SIP/2.0/UDP 10.0.0.5;branch=z9hG4bKa;rport"
        told = "SIP/2.0/UDP 10.0.0.5;branch=z9hG4bKa;rport=40000;received=10.0.0.5"
        self.assertEqual(self.made(f"{first}, {other}"), [f"{told}, {other}"])
        self.assertEqual(self.made(first, f"Via: {other}"), [told, other])

    def test_ipv6(self) -> None:
        """
        An IPv6 reference equals the address without brackets.
        """
        via = "SIP/2.0/UDP [2001:db8::5];branch=z9hG4bKa"
        self.assertEqual(self.made(via, source=Hop("2001:db8::5", 5060)), [via])
