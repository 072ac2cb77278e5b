"""
Where a message comes from and where it goes.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.sip.hop import Hop, Side


class HopTests(SynchronousTestCase):
    def test_written(self) -> None:
        """
        A log shows address and port; an IPv6 address stands in brackets.
        """
        self.assertEqual(str(Hop("10.0.0.1", 5060)), "10.0.0.1:5060")
        self.assertEqual(str(Hop("2001:db8::1", 5061, "TLS")), "[2001:db8::1]:5061")

    def test_transport_tells_apart(self) -> None:
        """
        The same address over another transport is another hop; UDP needs no saying.
        """
        self.assertEqual(Hop("h", 1), Hop("h", 1, "UDP"))
        self.assertNotEqual(Hop("h", 1), Hop("h", 1, "TCP"))


class SideTests(SynchronousTestCase):
    def test_key(self) -> None:
        """
        The two sides are told apart in a table.
        """
        self.assertEqual({Side.INSIDE: 1, Side.OUTSIDE: 2}[Side("outside")], 2)
