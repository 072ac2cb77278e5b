"""
Tests for siptwist.composition: what is joined by what our sockets are.
"""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.names import dns
from twisted.trial.unittest import SynchronousTestCase

from siptwist import composition
from siptwist.sip.hop import Hop
from tests.net.fakes_dns import FakeDNS, a, aaaa


class ResolverTests(SynchronousTestCase):
    """
    DNS is asked for the addresses that a socket of ours can send to.
    """

    def setUp(self) -> None:
        self.dns = FakeDNS()
        self.dns.add(a("sip.example", "192.0.2.1"), aaaa("sip.example", "2001:db8::1"))
        self.patch(composition, "system_resolver", lambda reactor: self.dns)

    def resolve(self, *bound: str) -> list[Hop]:
        resolver = composition.make_resolver(Clock(), bound, lambda n: 0)
        found = resolver.resolve("sip.example", 5060, "UDP")
        assert isinstance(found, Deferred)
        return self.successResultOf(found)

    def test_ipv4(self) -> None:
        """
        Sockets of IPv4 only: no AAAA is asked for.
        """
        self.assertEqual(self.resolve("10.0.0.1", "203.0.113.1"), [Hop("192.0.2.1", 5060)])
        self.assertEqual(self.dns.asked, [(dns.A, "sip.example")])

    def test_ipv6(self) -> None:
        """
        A socket of IPv6 on one side: its addresses are used as well.
        """
        found = self.resolve("10.0.0.1", "2001:db8::53")
        self.assertEqual(found, [Hop("192.0.2.1", 5060), Hop("2001:db8::1", 5060)])
