"""
Names become servers at once or soon, and one bad name server delays nobody else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import TimeoutError
from twisted.internet.task import Clock
from twisted.names import dns
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from siptwist.errors import Unresolvable
from siptwist.interfaces import IResolver
from siptwist.net.lookups import Lookups, system_resolver
from siptwist.net.resolver import Resolver
from siptwist.sip.hop import Hop
from tests.net.fakes_dns import FakeDNS, a, aaaa, cname, naptr, srv

UDP = "_sip._udp.example.com"


class ResolverCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.dns = FakeDNS()
        self.hosts = Path(self.mktemp())
        self.resolver = self.make()

    def make(self, in_flight: int = 64, remembered: int = 4096, **options: Any) -> Resolver:
        self.lookups = Lookups(self.clock, self.dns, in_flight, remembered)
        options.setdefault("hosts_file", str(self.hosts))
        return Resolver(self.clock, self.lookups, lambda n: n - 1, **options)

    def resolve(
        self, host: str, port: int | None = None, transport: str | None = "UDP"
    ) -> list[Hop]:
        """
        The hops, whether they were known or had to be asked for.
        """
        found = self.resolver.resolve(host, port, transport)
        return self.successResultOf(found) if isinstance(found, Deferred) else found

    def wait(
        self, host: str, port: int | None = None, transport: str | None = "UDP"
    ) -> Deferred[list[Hop]]:
        found = self.resolver.resolve(host, port, transport)
        assert isinstance(found, Deferred), found
        return found

    def assert_unresolvable(self, found: Deferred[list[Hop]], status: int) -> None:
        failure = self.failureResultOf(found, Unresolvable)
        self.assertEqual(failure.value.status, status)  # type: ignore[union-attr]


class RFC3263Tests(ResolverCase):
    def test_interface(self) -> None:
        """
        The resolver keeps the contract of IResolver.
        """
        self.assertTrue(verifyObject(IResolver, self.resolver))

    def test_literal(self) -> None:
        """
        An address needs no DNS.
        """
        self.assertEqual(self.resolver.resolve("192.0.2.1", None, None), [Hop("192.0.2.1", 5060)])
        self.assertEqual(
            self.resolver.resolve("2001:db8::1", 5070, "TCP"), [Hop("2001:db8::1", 5070, "TCP")]
        )
        self.assertEqual(
            self.resolver.resolve("192.0.2.1", None, "TLS"), [Hop("192.0.2.1", 5061, "TLS")]
        )
        self.assertEqual(self.dns.asked, [])

    def test_port_given(self) -> None:
        """
        A URI with a port is looked up by its address alone (P11 of siproxd).
        """
        self.dns.add(
            a("example.com", "192.0.2.1", "192.0.2.2"), srv(UDP, (1, 1, 9, "x.example.com"))
        )
        self.assertEqual(
            self.resolve("Example.COM.", 5070), [Hop("192.0.2.1", 5070), Hop("192.0.2.2", 5070)]
        )
        self.assertEqual(self.dns.asked, [(dns.A, "example.com")])

    def test_services(self) -> None:
        """
        A URI without a port goes to the domain's servers, best first (P11 of siproxd).
        """
        self.dns.add(
            srv(UDP, (20, 0, 5080, "b.example.com"), (10, 0, 5070, "a.example.com")),
            a("a.example.com", "192.0.2.1"),
            a("b.example.com", "192.0.2.2"),
            a("example.com", "192.0.2.99"),
        )
        self.assertEqual(
            self.resolve("example.com"), [Hop("192.0.2.1", 5070), Hop("192.0.2.2", 5080)]
        )

    def test_no_services(self) -> None:
        """
        A domain without SRV records is its own server.
        """
        self.dns.add(a("example.com", "192.0.2.1"))
        self.assertEqual(self.resolve("example.com"), [Hop("192.0.2.1", 5060)])
        self.assertEqual(self.resolve("example.com", None, "TLS"), [Hop("192.0.2.1", 5061, "TLS")])

    def test_service_denied(self) -> None:
        """
        A domain whose SRV target is "." has no such service.
        """
        self.dns.add(srv(UDP, (0, 0, 0, ".")), a("example.com", "192.0.2.1"))
        self.assert_unresolvable(self.wait("example.com"), 404)

    def test_pointers(self) -> None:
        """
        With NAPTR the domain chooses the transport of a URI that names none (P11 of siproxd).
        """
        self.resolver = self.make(transports=("UDP", "TCP"), ask_naptr=True)
        self.dns.add(
            naptr(
                "example.com",
                (2, 1, b"s", b"SIP+D2U", UDP),
                (1, 1, b"s", b"SIP+D2T", "_sip._tcp.example.com"),
            ),
            srv("_sip._tcp.example.com", (1, 1, 5090, "t.example.com")),
            a("t.example.com", "192.0.2.3"),
        )
        self.assertEqual(self.resolve("example.com", None, None), [Hop("192.0.2.3", 5090, "TCP")])

    def test_no_pointers(self) -> None:
        """
        Without NAPTR records each transport we speak is tried.
        """
        self.resolver = self.make(transports=("UDP", "TCP"), ask_naptr=True)
        self.dns.add(
            srv("_sip._tcp.example.com", (1, 1, 5090, "t.example.com")),
            a("t.example.com", "192.0.2.3"),
        )
        self.assertEqual(self.resolve("example.com", None, None), [Hop("192.0.2.3", 5090, "TCP")])
        self.assertIn((dns.NAPTR, "example.com"), self.dns.asked)

    def test_transport_not_asked_for(self) -> None:
        """
        Where only UDP is spoken, DNS is not asked for anything else.
        """
        self.dns.add(a("example.com", "192.0.2.1"))
        self.resolve("example.com", None, None)
        self.assertEqual(set(self.dns.asked), {(dns.SRV, UDP), (dns.A, "example.com")})

    def test_alias(self) -> None:
        """
        A name that is an alias leads to the address of what it stands for.
        """
        self.dns.add(a("real.example.com", "192.0.2.4"))
        self.dns.zone[dns.A, "example.com"] = cname("example.com", "real.example.com")
        self.assertEqual(self.resolve("example.com", 5060), [Hop("192.0.2.4", 5060)])

    def test_alias_circle(self) -> None:
        """
        Aliases that lead in a circle end in an error.
        """
        self.dns.zone[dns.A, "a.x"] = cname("a.x", "b.x")
        self.dns.zone[dns.A, "b.x"] = cname("b.x", "a.x")
        self.assert_unresolvable(self.wait("a.x", 5060), 504)

    def test_ipv6(self) -> None:
        """
        IPv6 addresses are used when asked for, after those of IPv4 (P12 of siproxd).
        """
        self.dns.add(a("example.com", "192.0.2.1"), aaaa("example.com", "2001:db8::1"))
        self.assertEqual(self.resolve("example.com", 5060), [Hop("192.0.2.1", 5060)])
        self.resolver = self.make(ipv6=True)
        self.assertEqual(
            self.resolve("example.com", 5060), [Hop("192.0.2.1", 5060), Hop("2001:db8::1", 5060)]
        )

    def test_no_ipv6(self) -> None:
        """
        Without a socket for it IPv6 is neither asked for nor taken from the hosts file,
        and a name that has nothing else is as good as unknown.
        """
        self.hosts.write_text("2001:db8::2 pbx\n")
        self.dns.add(aaaa("example.com", "2001:db8::1"))
        for host in ("example.com", "pbx"):
            self.assert_unresolvable(self.wait(host, 5060), 404)
        self.assertEqual({kind for kind, _ in self.dns.asked}, {dns.A})
        self.resolver = self.make(ipv6=True)
        self.assertEqual(self.resolve("example.com", 5060), [Hop("2001:db8::1", 5060)])
        self.assertEqual(self.resolve("pbx", 5060), [Hop("2001:db8::2", 5060)])

    def test_half_an_answer(self) -> None:
        """
        That a name has no IPv4 address says nothing while IPv6 is not answered.
        """
        self.resolver = self.make(ipv6=True)
        self.dns.zone[dns.AAAA, "example.com"] = None
        found = self.wait("example.com", 5060)
        self.clock.advance(5)
        self.assert_unresolvable(found, 504)

    def test_services_without_addresses(self) -> None:
        """
        A domain whose servers have no address exists: that is no 404.
        """
        self.dns.add(srv(UDP, (1, 1, 5060, "sip.example.com")))
        self.assert_unresolvable(self.wait("example.com"), 504)

    def test_no_name(self) -> None:
        """
        What cannot be a host name is refused without asking anybody.
        """
        for host in ("", "a..b", "exam ple", "\udcff.com", "x" * 64):
            self.assert_unresolvable(self.wait(host), 404)
        self.assertEqual(self.dns.asked, [])

    def test_unknown(self) -> None:
        """
        A name that does not exist fails, and is not asked again for a while.
        """
        for _ in range(2):
            self.assert_unresolvable(self.wait("example.com", 5060), 404)
        self.assertEqual(len(self.dns.asked), 1)
        self.dns.add(a("example.com", "192.0.2.1"))
        self.clock.advance(31)
        self.assertEqual(self.resolve("example.com", 5060), [Hop("192.0.2.1", 5060)])


class HostsTests(ResolverCase):
    def test_hosts_file(self) -> None:
        """
        A name of the hosts file is not asked in DNS, and a change is seen.
        """
        self.hosts.write_text("192.0.2.7 pbx\n")
        self.assertEqual(self.resolver.resolve("PBX", None, None), [Hop("192.0.2.7", 5060)])
        self.hosts.write_text("192.0.2.8 pbx phone\n")
        self.clock.advance(6)
        self.assertEqual(self.resolver.resolve("pbx", 5070, "UDP"), [Hop("192.0.2.8", 5070)])
        self.hosts.unlink()
        self.clock.advance(6)
        self.assert_unresolvable(self.wait("pbx", 5070), 404)

    def test_localhost(self) -> None:
        """
        This machine knows itself without any file.
        """
        self.assertEqual(self.resolver.resolve("localhost", 5080, None), [Hop("127.0.0.1", 5080)])
        self.assertEqual(self.dns.asked, [])


class MemoryTests(ResolverCase):
    def test_known_at_once(self) -> None:
        """
        A name that was asked for is known at once until its lifetime is over (P11 of siproxd).
        """
        self.dns.add(a("example.com", "192.0.2.1", ttl=60))
        self.resolve("example.com", 5060)
        self.clock.advance(59)
        self.assertEqual(
            self.resolver.resolve("example.com", 5060, "UDP"), [Hop("192.0.2.1", 5060)]
        )
        self.assertEqual(len(self.dns.asked), 1)
        self.clock.advance(2)
        self.resolve("example.com", 5060)
        self.assertEqual(len(self.dns.asked), 2)

    def test_asked_once(self) -> None:
        """
        Many who wait for one name cost one query.
        """
        self.dns.zone[dns.A, "example.com"] = None
        waiting = [self.wait("example.com", 5060) for _ in range(5)]
        self.assertEqual(self.dns.asked, [(dns.A, "example.com")])
        self.dns.release(dns.A, "example.com", a("example.com", "192.0.2.1"))
        for found in waiting:
            self.assertEqual(self.successResultOf(found), [Hop("192.0.2.1", 5060)])

    def test_cancel(self) -> None:
        """
        One who gives up does not disturb the others.
        """
        self.dns.zone[dns.A, "example.com"] = None
        first, second = self.wait("example.com", 5060), self.wait("example.com", 5060)
        first.addErrback(lambda failure: None)
        first.cancel()
        self.dns.release(dns.A, "example.com", a("example.com", "192.0.2.1"))
        self.assertEqual(self.successResultOf(second), [Hop("192.0.2.1", 5060)])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_bounded_in_flight(self) -> None:
        """
        With too many look-ups under way new names fail at once, known ones do not.
        """
        self.resolver = self.make(in_flight=2)
        self.dns.add(a("known.x", "192.0.2.1"))
        self.resolve("known.x", 5060)
        for name in ("a.x", "b.x", "c.x"):
            self.dns.zone[dns.A, name] = None
        waiting = [self.wait(name, 5060) for name in ("a.x", "b.x")]
        self.assert_unresolvable(self.wait("c.x", 5060), 503)
        self.assertEqual(self.resolve("known.x", 5060), [Hop("192.0.2.1", 5060)])
        self.dns.release(dns.A, "a.x", a("a.x", "192.0.2.2"))
        self.assertEqual(self.successResultOf(waiting[0]), [Hop("192.0.2.2", 5060)])
        self.assertEqual(self.lookups.in_flight, 1)
        self.clock.advance(5)
        self.assert_unresolvable(waiting[1], 504)

    def test_bounded_memory(self) -> None:
        """
        The names used last are remembered, and no more than so many.
        """
        self.resolver = self.make(remembered=3)
        for number in range(6):
            self.dns.add(a(f"n{number}.x", "192.0.2.1"))
            self.resolve(f"n{number}.x", 5060)
            self.resolve("n0.x", 5060)
        self.assertEqual(len(self.lookups), 3)
        self.assertEqual(self.dns.asked.count((dns.A, "n0.x")), 1)


class TroubleTests(ResolverCase):
    def test_server_hangs(self) -> None:
        """
        A name whose server hangs fails within four seconds and leaves nothing behind.
        """
        self.dns.zone[dns.A, "example.com"] = self.dns.zone[dns.SRV, UDP] = None
        found = self.wait("example.com")
        self.clock.advance(3.4)
        self.assertNoResult(found)
        self.clock.advance(0.6)
        self.assert_unresolvable(found, 504)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.lookups.in_flight, 0)

    def test_late_answer(self) -> None:
        """
        An answer after the time is over is no harm.
        """
        self.dns.zone[dns.A, "example.com"] = None
        found = self.wait("example.com", 5060)
        self.clock.advance(5)
        self.assert_unresolvable(found, 504)
        self.dns.release(dns.A, "example.com", a("example.com", "192.0.2.1"))

    def test_services_never_answered(self) -> None:
        """
        Behind a router that drops SRV queries the address is found all the same,
        and the second call does not wait.
        """
        self.dns.zone[dns.SRV, UDP] = None
        self.dns.add(a("example.com", "192.0.2.1"))
        found = self.wait("example.com")
        self.clock.advance(3.5)
        self.assertEqual(self.successResultOf(found), [Hop("192.0.2.1", 5060)])
        self.assertEqual(
            self.resolver.resolve("example.com", None, "UDP"), [Hop("192.0.2.1", 5060)]
        )

    def test_one_server_of_two(self) -> None:
        """
        When the address of one server is not found in time, the other is used.
        """
        self.dns.add(srv(UDP, (1, 0, 5060, "a.x"), (2, 0, 5060, "b.x")), a("b.x", "192.0.2.2"))
        self.dns.zone[dns.A, "a.x"] = None
        found = self.wait("example.com")
        self.clock.advance(4)
        self.assertEqual(self.successResultOf(found), [Hop("192.0.2.2", 5060)])

    def test_old_answer_serves(self) -> None:
        """
        When DNS goes away, servers that were known stay known.
        """
        self.dns.add(a("example.com", "192.0.2.1", ttl=60))
        self.resolve("example.com", 5060)
        self.dns.zone[dns.A, "example.com"] = TimeoutError()
        self.clock.advance(61)
        self.assertEqual(self.resolve("example.com", 5060), [Hop("192.0.2.1", 5060)])

    def test_answer_bomb(self) -> None:
        """
        An answer of a thousand records is no answer.
        """
        self.dns.zone[dns.A, "example.com"] = a("example.com", "192.0.2.1") * 1000
        self.assert_unresolvable(self.wait("example.com", 5060), 504)

    def test_client_raises(self) -> None:
        """
        A DNS client that cannot even ask makes one name fail.
        """
        self.dns.zone[dns.A, "example.com"] = OSError("no sockets left")
        self.assert_unresolvable(self.wait("example.com", 5060), 504)


class DeadTests(ResolverCase):
    def setUp(self) -> None:
        super().setUp()
        self.dns.add(a("example.com", "192.0.2.1", "192.0.2.2", ttl=1000))
        self.first, self.second = self.resolve("example.com", 5060)

    def test_dead_goes_last(self) -> None:
        """
        A server that did not answer goes last for a minute, and is not lost.
        """
        self.resolver.mark_dead(self.first)
        self.assertEqual(self.resolve("example.com", 5060), [self.second, self.first])
        self.clock.advance(61)
        self.assertEqual(self.resolve("example.com", 5060), [self.first, self.second])

    def test_alive_again(self) -> None:
        """
        A server that answers is as good as before.
        """
        self.resolver.mark_dead(self.first)
        self.resolver.mark_alive(self.first)
        self.resolver.mark_alive(self.second)
        self.assertEqual(self.resolve("example.com", 5060), [self.first, self.second])

    def test_answer_is_ours(self) -> None:
        """
        A caller may change its list of servers without changing the next caller's.
        """
        self.resolve("example.com", 5060).clear()
        self.assertEqual(len(self.resolve("example.com", 5060)), 2)


class SystemTests(SynchronousTestCase):
    def test_system_resolver(self) -> None:
        """
        The real DNS client gives up soon, and can be asked all that we ask.
        """
        client = system_resolver(Clock())
        self.assertEqual(client.timeout, (1, 2))
        Lookups(Clock(), client)
