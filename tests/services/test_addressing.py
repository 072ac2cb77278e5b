"""
Tests of ``siptwist.services.addressing``.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Interface
from typing import Any

from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from siptwist import config
from siptwist.composition import compose
from siptwist.net.addresses import Chosen, Interface
from siptwist.proxy.identity import Identity
from siptwist.proxy.registration.location import Binding
from siptwist.services import addressing
from siptwist.services.addressing import (
    LOOK_SECONDS,
    NAME_SECONDS,
    POLL_SECONDS,
    SETTLE_SECONDS,
    AddressService,
)
from siptwist.sip.hop import Hop, Side
from siptwist.sip.uri import SIPURI
from tests.fakes import FakeResolver
from tests.net.fakes_udp import MemoryUDPReactor

test_module = sys.modules[__name__]
LAN = Interface("lan", IPv4Interface("10.0.0.1/24"))


def wan(address: str) -> Interface:
    return Interface("wan", IPv4Interface(f"{address}/24"))


class WatchStandIn:
    is_stopped = False

    def stop(self) -> None:
        self.is_stopped = True


class AddressServiceTests(SynchronousTestCase):
    """
    A dial-up line gets another address while the proxy runs.
    """

    def setUp(self) -> None:
        self.events: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)
        self.outside: Interface | None = wan("203.0.113.1")

    def start(self, text: str = "") -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.reactor = MemoryUDPReactor()
        self.reactor.advance(1_700_000_000)
        settings = config.parse(f"registration_file = {directory.name}/r\n{text}")
        service, parts = compose(settings, self.chosen(), self.reactor, self.chosen)
        self.core, self.service = parts.core, service
        self.locations = parts.registrations.locations
        self.addressing = next(one for one in service if isinstance(one, AddressService))
        self.resolver = FakeResolver()
        self.addressing._resolver = self.resolver
        service.privilegedStartService()
        service.startService()
        self.addCleanup(service.stopService)

    def chosen(self) -> Chosen:
        if self.outside is None:
            down = Interface("wan", None, is_up=False)
            return Chosen(LAN, down, (), ("if_outbound: wan has no address",))
        return Chosen(LAN, self.outside, ())

    def bound(self) -> set[str]:
        return {host for host, port in self.reactor.ports if port == 5060}

    def wait(self, seconds: float = LOOK_SECONDS) -> None:
        self.reactor.advance(seconds)

    def test_stays(self) -> None:
        """
        While nothing changes, nothing is bound again and nothing is said.
        """
        self.start()
        identity = self.core.identity
        self.wait()
        self.assertIs(self.core.identity, identity)

    def test_changes(self) -> None:
        """
        A new outside address is bound, and in the next message.
        """
        self.start()
        self.outside = wan("203.0.113.77")
        self.wait()
        self.assertEqual(self.bound(), {"10.0.0.1", "203.0.113.77"})
        self.assertEqual(self.core.identity.outside, Hop("203.0.113.77", 5060))
        self.assertEqual(self.core.identity.bound[Side.OUTSIDE], "203.0.113.77")
        self.assertEqual(self.core.registrar.identity, self.core.identity)

    def test_line_is_down(self) -> None:
        """
        While the line is down the phones keep theirs; it is said once.
        """
        self.start()
        self.outside = None
        self.wait()
        self.wait()
        self.assertEqual(self.bound(), {"10.0.0.1", "203.0.113.1"})
        told = [e for e in self.events if "has no address" in str(e.get("text"))]
        self.assertEqual(len(told), 1)
        self.outside = wan("203.0.113.5")
        self.wait()
        self.assertEqual(self.core.identity.outside.host, "203.0.113.5")

    def test_taken(self) -> None:
        """
        A new address whose port is taken is tried again until it is free.
        """
        self.start()
        self.outside = wan("203.0.113.9")
        self.reactor.taken.add(("203.0.113.9", 5060))
        self.wait()
        self.assertEqual(self.core.identity.outside.host, "203.0.113.1")
        self.reactor.taken.clear()
        self.wait()
        self.assertEqual(self.core.identity.outside.host, "203.0.113.9")
        self.assertEqual(self.bound(), {"10.0.0.1", "203.0.113.9"})

    def test_taken_and_back(self) -> None:
        """
        When the old address comes back before the new one could be bound, it is bound.
        """
        self.start()
        self.outside = wan("203.0.113.9")
        self.reactor.taken.add(("203.0.113.9", 5060))
        self.wait()
        self.assertEqual(self.bound(), {"10.0.0.1"})
        self.outside = wan("203.0.113.1")
        self.wait()
        self.assertEqual(self.bound(), {"10.0.0.1", "203.0.113.1"})

    def bind(self, registrar: str) -> Hop:
        """
        A phone registers; where it is.
        """
        phone, now = Hop("10.0.0.5", 5060), self.reactor.seconds()
        binding = Binding(
            "sip:a@example.net",
            "sip:a@10.0.0.5",
            phone,
            Side.INSIDE,
            "a" * 12,
            "c",
            1,
            now,
            now,
            now + 3600,
            registrar,
        )
        self.locations.put(binding)
        return phone

    def test_stale(self) -> None:
        """
        What a provider knows of a phone is stale once we have another address, until the
        phone registers again; what we know ourselves is not.
        """
        self.start()
        phone = self.bind("example.net")
        self.wait()
        self.assertFalse(self.core.is_stale(phone))
        self.outside = wan("203.0.113.8")
        self.wait()
        self.assertTrue(self.core.is_stale(phone))
        self.bind("example.net")
        self.assertFalse(self.core.is_stale(phone))
        self.outside = wan("203.0.113.9")
        self.wait()
        self.bind("")
        self.assertFalse(self.core.is_stale(phone))

    def test_comes_up_late(self) -> None:
        """
        Without an address outside we start, and say so once; the phones' side works, and
        the other one does as soon as its link comes up.
        """
        self.outside = None
        self.start()
        self.wait()
        self.assertEqual(self.bound(), {"10.0.0.1"})
        told = [e for e in self.events if "has no address" in str(e.get("text"))]
        self.assertEqual(len(told), 1)
        self.outside = wan("203.0.113.5")
        self.wait(POLL_SECONDS)
        self.assertEqual(self.bound(), {"10.0.0.1", "203.0.113.5"})
        self.assertEqual(self.core.identity.outside, Hop("203.0.113.5", 5060))

    def test_inside_comes_up_late(self) -> None:
        """
        A link to the phones may come up late, too.
        """
        self.patch(test_module, "LAN", Interface("lan", None, is_up=False))
        self.start()
        self.assertEqual(self.bound(), {"203.0.113.1"})
        self.patch(test_module, "LAN", Interface("lan", IPv4Interface("10.0.0.7/24")))
        self.wait(POLL_SECONDS)
        self.assertEqual(self.bound(), {"10.0.0.7", "203.0.113.1"})

    def test_told(self) -> None:
        """
        Where the system tells of changes, they count a moment later, many as one; the
        watch ends with the service.
        """
        told: list[Callable[[], object]] = []
        watched = WatchStandIn()

        def watch(reactor: object, changed: Callable[[], object]) -> WatchStandIn:
            told.append(changed)
            return watched

        self.patch(addressing, "watch", watch)
        self.start()
        self.outside = wan("203.0.113.8")
        (changed,) = told
        changed()
        changed()
        self.wait(SETTLE_SECONDS)
        self.assertEqual(self.core.identity.outside.host, "203.0.113.8")
        changed()
        self.service.stopService()
        self.assertTrue(watched.is_stopped)
        identity, self.outside = self.core.identity, wan("203.0.113.9")
        self.wait(LOOK_SECONDS)
        self.assertIs(self.core.identity, identity)

    def test_cannot_look(self) -> None:
        """
        When the system refuses to show the interfaces, that is said, and tried again.
        """
        self.start()
        with self.patched_find(OSError(24, "Too many open files")):
            self.wait()
        self.assertIn("Too many open files", str([e.get("text") for e in self.events]))
        self.outside = wan("203.0.113.6")
        self.wait()
        self.assertEqual(self.core.identity.outside.host, "203.0.113.6")

    @contextmanager
    def patched_find(self, error: OSError) -> Iterator[None]:
        def fail() -> Chosen:
            raise error

        found, self.addressing._find = self.addressing._find, fail
        yield
        self.addressing._find = found

    def test_further_network(self) -> None:
        """
        Another interface with phones comes up, and goes: it gets a socket, and loses it.
        """
        self.start()
        wlan = Interface("wlan0", IPv4Interface("10.0.1.1/24"))
        with_wlan = Chosen(LAN, self.outside, (), further=(wlan,))
        self.addressing._find = lambda: with_wlan
        self.wait()
        self.assertEqual(self.bound(), {"10.0.0.1", "10.0.1.1", "203.0.113.1"})
        self.assertTrue(self.core.identity.is_inside_address("10.0.1.7"))
        self.assertTrue(self.core.identity.is_own(SIPURI.parse("sip:10.0.1.1")))
        self.addressing._find = self.chosen
        self.wait()
        self.assertEqual(self.bound(), {"10.0.0.1", "203.0.113.1"})

    def test_public_name(self) -> None:
        """
        The name of a router before us is resolved again and again.
        """
        self.start("host_outbound = home.example\n")
        self.assertEqual(self.core.identity.outside.host, "203.0.113.1")
        self.resolver.names["home.example"] = [Hop("198.51.100.7", 5060)]
        self.wait(NAME_SECONDS)
        self.assertEqual(self.core.identity.outside.host, "198.51.100.7")
        self.assertEqual(self.bound(), {"10.0.0.1", "203.0.113.1"})
        self.resolver.names["home.example"] = [Hop("198.51.100.8", 5060)]
        self.wait(NAME_SECONDS)
        self.assertEqual(self.core.identity.outside.host, "198.51.100.8")

    def test_public_name_of_several(self) -> None:
        """
        Of several addresses of that name one is ours, as long as it is there, whatever their order.
        """
        self.start("host_outbound = home.example\n")
        both = [Hop("198.51.100.7", 5060), Hop("198.51.100.8", 5060)]
        self.resolver.names["home.example"] = both
        self.wait(NAME_SECONDS)
        self.resolver.names["home.example"] = both[::-1]
        self.wait(NAME_SECONDS)
        self.assertEqual(self.core.identity.outside.host, "198.51.100.7")

    def test_learned(self) -> None:
        """
        A public address that somebody learned, as STUN does, goes into the next
        message, and stays when interfaces are looked at; the name in host_outbound
        is not asked any more.
        """
        self.start("host_outbound = home.example\n")
        self.addressing.learn("198.51.100.9")
        self.resolver.names["home.example"] = [Hop("198.51.100.7", 5060)]
        self.wait(NAME_SECONDS)
        self.assertEqual(self.core.identity.outside.host, "198.51.100.9")
        self.assertEqual(self.bound(), {"10.0.0.1", "203.0.113.1"})

    def test_calls_follow(self) -> None:
        """
        Whoever looks after calls that run is told what we were and are, each time once;
        what goes wrong there does not keep us from the next change.
        """
        self.start()
        listeners: list[Any] = self.addressing.on_move
        names = [move.__self__.name for move in listeners]
        self.assertEqual(names, ["renewing", "repeating"])
        told: list[tuple[str, str]] = []

        def move(old: Identity, new: Identity) -> None:
            told.append((old.outside.host, new.outside.host))
            raise ValueError

        self.addressing.on_move = [move]
        for address in ("203.0.113.7", "203.0.113.8"):
            self.outside = wan(address)
            self.wait()
            self.wait()
        self.assertEqual(told, [("203.0.113.1", "203.0.113.7"), ("203.0.113.7", "203.0.113.8")])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 2)
