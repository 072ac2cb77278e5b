"""
Finds the servers of a SIP domain, and never waits long for it (RFC 3263).
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred, fail
from zope.interface import implementer

from siptwist.errors import Unresolvable
from siptwist.interfaces import IResolver
from siptwist.net.lookups import Lookups, Question
from siptwist.net.records import (
    Answer,
    Kind,
    Pointer,
    Record,
    Service,
    canonical_name,
    is_address,
    order_pointers,
    order_services,
    parse_hosts,
)
from siptwist.sip.hop import Hop

#: Seconds after which a caller gets what is known, or an error.
ANSWER_SECONDS = 4.0
#: Seconds for which a hop that did not answer goes last.
DEAD_SECONDS = 60.0
#: Seconds between two looks at the hosts file.
HOSTS_SECONDS = 5.0

_MAX_DEAD = 1024
_LOCALHOST = ("127.0.0.1", "::1")

# SRV prefix and default port (RFC 3263 section 4.2, RFC 3261 section 19.1.2).
_SERVICES = {"UDP": ("_sip._udp.", 5060), "TCP": ("_sip._tcp.", 5060), "TLS": ("_sips._tcp.", 5061)}
_NAPTR_SERVICES = {"SIP+D2U": "UDP", "SIP+D2T": "TCP", "SIPS+D2T": "TLS"}


class _Wanted(NamedTuple):
    host: str
    port: int | None
    transport: str | None


@implementer(IResolver)
class Resolver:
    """
    Answers from literals, the hosts file, what is remembered, or DNS, in this order.

    :param reactor: gives time.
    :param lookups: DNS.
    :param chance: ``chance(n)`` returns 0..n-1; it chooses by weight.
    :param transports: those we speak; a URI that names none is tried by each.
    :param ask_naptr: let the domain choose the transport of such a URI.
    :param ipv6: ask for IPv6 addresses too; they go after those of IPv4.
    """

    def __init__(
        self,
        reactor: Any,
        lookups: Lookups,
        chance: Callable[[int], int],
        transports: tuple[str, ...] = ("UDP",),
        ask_naptr: bool = False,
        ipv6: bool = False,
        hosts_file: str = "/etc/hosts",
    ) -> None:
        self._reactor = reactor
        self._lookups = lookups
        self._chance = chance
        self._transports = transports
        self._ask_naptr = ask_naptr
        self._kinds = (Kind.A, Kind.AAAA) if ipv6 else (Kind.A,)
        self._hosts = _HostsFile(hosts_file)
        self._dead: OrderedDict[Hop, float] = OrderedDict()

    def resolve(
        self, host: str, port: int | None, transport: str | None
    ) -> list[Hop] | Deferred[list[Hop]]:
        if is_address(host):
            return [self._hop(host, port, transport or self._transports[0])]
        name = canonical_name(host)
        if name is None:
            return fail(Unresolvable(f"{host!r} is not a host name", 404))
        wanted = _Wanted(name, port, transport)
        hops, questions = self._walk(wanted)
        if hops and not questions:
            return self._live_first(hops)
        waiting = _Waiting(
            lambda: self._walk(wanted),
            lambda: self._is_unknown(name),
            self._lookups,
            self._reactor,
        )
        deferred = waiting.deferred
        deferred.addCallback(self._live_first)
        waiting.start()
        return deferred

    def mark_dead(self, hop: Hop) -> None:
        self._dead.pop(hop, None)
        self._dead[hop] = self._reactor.seconds() + DEAD_SECONDS
        if len(self._dead) > _MAX_DEAD:
            self._dead.popitem(last=False)

    def is_dead(self, hop: Hop) -> bool:
        return bool(self._dead.get(hop, 0.0) > self._reactor.seconds())

    def mark_alive(self, hop: Hop) -> None:
        self._dead.pop(hop, None)

    def _live_first(self, hops: list[Hop]) -> list[Hop]:
        hops = list(dict.fromkeys(hops))
        if self._dead:
            now = self._reactor.seconds()
            hops.sort(key=lambda hop: self._dead.get(hop, 0.0) > now)
        return hops

    # RFC 3263 section 4 over what is known; ``questions`` takes what is not.

    def _walk(self, wanted: _Wanted) -> tuple[list[Hop], list[Question]]:
        questions: list[Question] = []
        if wanted.port is not None or self._local_addresses(wanted.host):
            return self._find_addresses(wanted, questions), questions
        hops: list[Hop] = []
        has_services = False
        for transport, name in self._ways(wanted, questions):
            services = [
                record
                for record in self._find(Kind.SRV, name, questions)
                if isinstance(record, Service)
            ]
            has_services = has_services or bool(services)
            for service in order_services(services, self._chance):
                # A target of "." says that there is no such service (RFC 2782).
                if service.target:
                    at = _Wanted(service.target, service.port, transport)
                    hops += self._find_addresses(at, questions)
        if not has_services:
            # Asked at the same time as SRV: a name server that hangs, or a cheap
            # router that drops what it does not know, delays us once, not twice.
            hops += self._find_addresses(wanted, questions)
        return hops, questions

    def _ways(self, wanted: _Wanted, questions: list[Question]) -> list[tuple[str, str]]:
        """
        Transports to try, and the name of the SRV records of each.
        """
        if wanted.transport is not None:
            transports: tuple[str, ...] = (wanted.transport,)
        else:
            transports = self._transports
            if self._ask_naptr:
                ways = self._ways_of_domain(wanted.host, questions)
                if ways:
                    return ways
        return [
            (transport, _SERVICES[transport][0] + wanted.host)
            for transport in transports
            if transport in _SERVICES
        ]

    def _ways_of_domain(self, host: str, questions: list[Question]) -> list[tuple[str, str]]:
        spoken = {
            service: transport
            for service, transport in _NAPTR_SERVICES.items()
            if transport in self._transports
        }
        found = self._find(Kind.NAPTR, host, questions)
        return order_pointers([each for each in found if isinstance(each, Pointer)], spoken)

    def _is_unknown(self, name: str) -> bool:
        """
        Whether name servers have said that nobody is reached by this name: there are
        no addresses, or the service is denied.
        """
        services = [(Kind.SRV, prefix + name) for prefix, _ in _SERVICES.values()]
        addresses = [self._lookups.recall((kind, name)) for kind in self._kinds]
        others = map(self._lookups.recall, [*services, (Kind.NAPTR, name)])
        known = [each for each in (*addresses, *others) if each is not None]
        is_answered = None not in addresses or any(each.records for each in known)
        return is_answered and not any(map(_says_something, known))

    def _find_addresses(self, wanted: _Wanted, questions: list[Question]) -> list[Hop]:
        transport = wanted.transport or self._transports[0]
        addresses: list[str] = []
        if is_address(wanted.host):
            addresses.append(wanted.host)
        else:
            addresses.extend(self._local_addresses(wanted.host))
        if not addresses:
            for kind in self._kinds:
                found = self._find(kind, wanted.host, questions)
                addresses.extend(each for each in found if isinstance(each, str))
        return [self._hop(address, wanted.port, transport) for address in addresses]

    def _find(self, kind: Kind, name: str, questions: list[Question]) -> tuple[Record, ...]:
        if not name or len(name) > 253:
            return ()
        found = self._lookups.find(kind, name)
        if found and isinstance(found[0], Kind):
            questions.append(found)
            return ()
        return found

    def _local_addresses(self, name: str) -> tuple[str, ...]:
        """
        The addresses of the hosts file; ``localhost`` is known without it (RFC 6761).
        """
        addresses = self._hosts.find(name, self._reactor.seconds())
        if not addresses and (name == "localhost" or name.endswith(".localhost")):
            addresses = _LOCALHOST
        if Kind.AAAA in self._kinds:
            return addresses
        return tuple(address for address in addresses if ":" not in address)

    def _hop(self, address: str, port: int | None, transport: str) -> Hop:
        return Hop(address, port or _SERVICES.get(transport, ("", 5060))[1], transport)


def _says_something(answer: Answer) -> bool:
    """
    Whether it is more than "there is none": a service of "." is as little.
    """
    there = any(not isinstance(each, Service) or each.target for each in answer.records)
    return there or answer.failed or bool(answer.alias)


class _Waiting:
    """
    One caller who waits, until there are hops, no hope, or no time.
    """

    __slots__ = ("_asked", "_is_unknown", "_lookups", "_timer", "_walk", "deferred")

    def __init__(
        self,
        walk: Callable[[], tuple[list[Hop], list[Question]]],
        is_unknown: Callable[[], bool],
        lookups: Lookups,
        reactor: Any,
    ) -> None:
        self._walk = walk
        self._is_unknown = is_unknown
        self._lookups = lookups
        self._asked: set[Question] = set()
        self._timer = reactor.callLater(ANSWER_SECONDS, self._out_of_time)
        self.deferred: Deferred[list[Hop]] = Deferred(self._cancelled)

    def start(self) -> None:
        self._step()

    def _step(self) -> None:
        """
        Look again at what is known, and ask what is still open.
        """
        if self._timer is None:
            return
        hops, questions = self._walk()
        if not questions:
            self._finish(hops)
            return
        for question in questions:
            # An answer may come at once, and may be the last that we need.
            if question not in self._asked and self._timer is not None:
                self._asked.add(question)
                if not self._lookups.ask(question, self._step):
                    self._fail("Too many names are being looked up", 503)
                    return

    def _out_of_time(self) -> None:
        self._finish(self._walk()[0])

    def _finish(self, hops: list[Hop]) -> None:
        if not hops and self._is_unknown():
            self._fail("There is no address of this name", 404)
        elif not hops:
            self._fail("No name server told an address", 504)
        elif self._stop():
            self.deferred.callback(hops)

    def _fail(self, reason: str, status: int) -> None:
        if self._stop():
            self.deferred.errback(Unresolvable(reason, status))

    def _cancelled(self, deferred: Deferred[list[Hop]]) -> None:
        self._stop()

    def _stop(self) -> bool:
        """
        Wait no more; False when we had stopped before.
        """
        timer, self._timer = self._timer, None
        if timer is None:
            return False
        if timer.active():
            timer.cancel()
        for question in self._asked:
            self._lookups.forget(question, self._step)
        return True


class _HostsFile:
    """
    The names of the hosts file, read again when it has changed.
    """

    def __init__(self, file: str) -> None:
        self._file = file
        self._names: dict[str, tuple[str, ...]] = {}
        self._modified = -1
        self._next_look = float("-inf")

    def find(self, name: str, now: float) -> tuple[str, ...]:
        if now >= self._next_look:
            self._next_look = now + HOSTS_SECONDS
            self._look()
        return self._names.get(name, ())

    def _look(self) -> None:
        try:
            modified = os.stat(self._file).st_mtime_ns
            if modified == self._modified:
                return
            with open(self._file, encoding="utf-8", errors="replace") as file:
                self._names = parse_hosts(file.read())
            self._modified = modified
        except OSError:
            self._names, self._modified = {}, -1
