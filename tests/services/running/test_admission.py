"""
Tests for siptwist.services.running.admission: names in the lists of who may.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, TimeoutError, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import LogLevel, formatEvent, globalLogPublisher
from twisted.names import error
from twisted.trial.unittest import SynchronousTestCase

from siptwist.config import parse
from siptwist.proxy.screening.access import Access
from siptwist.services.running.admission import (
    REFRESH_SECONDS,
    STALE_SECONDS,
    AdmissionService,
    in_dns,
)
from tests.net.fakes_dns import FakeDNS, a, aaaa

PBX, LAN, STRANGER = "192.0.2.5", "10.0.0.5", "198.51.100.1"


class FakeCore:
    """
    Has nothing but lists.
    """

    access = Access()


class AdmissionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.core: Any = FakeCore()
        self.names: dict[str, Any] = {}
        self.asked: list[str] = []
        self.events: list[Any] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def look_up(self, name: str) -> Deferred[tuple[str, ...]]:
        self.asked.append(name)
        answer = self.names.get(name, error.DNSNameError())
        return fail(answer) if isinstance(answer, Exception) else succeed(answer)

    def start(self, text: str) -> AdmissionService:
        service = AdmissionService(self.clock, parse(text), self.core, self.look_up)
        service.change(parse(text))
        service.startService()
        self.addCleanup(service.stopService)
        return service

    def may_send(self, *hosts: str) -> list[bool]:
        return [self.core.access.may_send(host) for host in hosts]

    def warnings(self) -> list[str]:
        return [formatEvent(one) for one in self.events if one["log_level"] is LogLevel.warn]

    def test_name(self) -> None:
        """
        A name stands for its addresses, of IPv4 and IPv6; with bits, for their networks.
        """
        self.names["pbx.example"] = (PBX, "2001:db8::5")
        self.start("hosts_allow_sip = pbx.example, 10.0.0.0/8\n")
        self.assertEqual(self.may_send(PBX, "2001:db8::5", LAN), [True] * 3)
        self.assertEqual(self.may_send("192.0.2.6", "2001:db8::6", STRANGER), [False] * 3)
        self.names["net.example"] = (PBX,)
        self.start("hosts_allow_sip = net.example/24\n")
        self.assertEqual(self.may_send("192.0.2.6", "192.0.3.6"), [True, False])

    def test_off_the_path(self) -> None:
        """
        No message waits for DNS: names are asked for at the start and once a minute.
        """
        self.names["pbx.example"] = (PBX,)
        self.start("hosts_allow_sip = pbx.example\n")
        self.may_send(PBX, STRANGER, "192.0.2.77")
        self.assertEqual(self.asked, ["pbx.example"])
        self.names["pbx.example"] = (STRANGER,)
        self.clock.advance(REFRESH_SECONDS)
        self.assertEqual(self.may_send(PBX, STRANGER), [False, True])

    def test_nobody_asked(self) -> None:
        """
        Lists without names ask nobody, ever.
        """
        self.start("hosts_allow_sip = 10.0.0.0/8\n")
        self.assertEqual((self.asked, self.clock.getDelayedCalls()), ([], []))

    def test_allowed_name_unknown(self) -> None:
        """
        A name that cannot be resolved admits nobody; the others in its list count
        (siproxd's fault S12: the rest of the list did not count).
        """
        self.start("hosts_allow_sip = no.example, 10.0.0.0/8\n")
        self.assertEqual(self.may_send(LAN, STRANGER), [True, False])
        self.start("hosts_allow_sip = no.example\n")
        self.assertEqual(self.may_send(LAN, STRANGER), [False, False])
        self.assertIn("no.example: there is no such name; it counts as nobody", self.warnings()[0])

    def test_denied_name_unknown(self) -> None:
        """
        While a name that shall be kept out has no address, only those on the other lists
        are heard (siproxd's fault S12: everybody was).
        """
        self.start("hosts_deny_sip = bad.example, 10.0.0.9\nhosts_allow_reg = 10.0.0.0/8\n")
        self.assertEqual(self.may_send(LAN, "10.0.0.9", STRANGER), [True, False, False])
        self.assertIn("only those in hosts_allow_sip and", self.warnings()[0])
        self.names["bad.example"] = (PBX,)
        self.clock.advance(REFRESH_SECONDS)
        self.assertEqual(self.may_send(LAN, PBX, STRANGER), [True, False, True])

    def test_dns_fails_later(self) -> None:
        """
        When DNS stops to answer, the addresses of a name count for an hour; a name
        that is said not to exist has none at once.  One line says so, not one a minute.
        """
        self.names["pbx.example"] = (PBX,)
        self.start("hosts_allow_sip = pbx.example\n")
        self.names["pbx.example"] = TimeoutError("no answer")
        self.clock.pump([REFRESH_SECONDS] * 10)
        self.assertEqual(self.may_send(PBX), [True])
        self.assertEqual(len(self.warnings()), 1)
        self.clock.pump([REFRESH_SECONDS] * int(STALE_SECONDS / REFRESH_SECONDS))
        self.assertEqual(self.may_send(PBX), [False])
        self.names["pbx.example"] = (PBX,)
        self.clock.advance(REFRESH_SECONDS)
        self.assertEqual(self.may_send(PBX), [True])
        self.names["pbx.example"] = error.DNSNameError()
        self.clock.advance(REFRESH_SECONDS)
        self.assertEqual(self.may_send(PBX), [False])

    def test_other_lists(self) -> None:
        """
        Other lists take effect at once, with what is known of the names they share.
        """
        self.names["pbx.example"] = (PBX,)
        service = self.start("hosts_allow_sip = pbx.example\n")
        service.change(parse("hosts_allow_sip = pbx.example, 10.0.0.0/8\n"))
        self.assertEqual(self.may_send(PBX, LAN, STRANGER), [True, True, False])
        service.change(parse("register_from_outside = 1\n"))
        self.assertTrue(self.core.access.is_open and self.core.access.register_outside)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class LookUpTests(SynchronousTestCase):
    """
    The addresses of a name in DNS.
    """

    def setUp(self) -> None:
        self.dns = FakeDNS()

    def test_both_families(self) -> None:
        """
        Addresses of IPv4 and IPv6 are found.
        """
        self.dns.add(a("pbx.example", PBX), aaaa("pbx.example", "2001:db8::5"))
        found = self.successResultOf(in_dns(self.dns)("pbx.example"))
        self.assertEqual(found, (PBX, "2001:db8::5"))

    def test_none(self) -> None:
        """
        A name without addresses does not exist.
        """
        self.failureResultOf(in_dns(self.dns)("no.example"), error.DomainError)
