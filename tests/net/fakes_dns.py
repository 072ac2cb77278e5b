"""
A DNS client whose answers the test decides, now or later.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.names import dns
from twisted.names.error import DNSNameError

Sections = tuple[list[Any], list[Any], list[Any]]


def header(name: str, payload: Any, ttl: int = 60) -> dns.RRHeader:
    return dns.RRHeader(name.encode(), payload.TYPE, dns.IN, ttl, payload)


def a(name: str, *addresses: str, ttl: int = 60) -> list[dns.RRHeader]:
    return [header(name, dns.Record_A(address), ttl) for address in addresses]


def aaaa(name: str, address: str) -> list[dns.RRHeader]:
    return [header(name, dns.Record_AAAA(address))]


def cname(name: str, target: str, ttl: int = 60) -> list[dns.RRHeader]:
    return [header(name, dns.Record_CNAME(target.encode()), ttl)]


def srv(name: str, *services: tuple[int, int, int, str]) -> list[dns.RRHeader]:
    """
    Services as (priority, weight, port, target).
    """
    return [
        header(name, dns.Record_SRV(priority, weight, port, target.encode()))
        for priority, weight, port, target in services
    ]


def naptr(name: str, *pointers: tuple[int, int, bytes, bytes, str]) -> list[dns.RRHeader]:
    """
    Pointers as (order, preference, flags, service, replacement).
    """
    return [
        header(name, dns.Record_NAPTR(order, preference, flags, service, b"", target.encode()))
        for order, preference, flags, service, target in pointers
    ]


class FakeDNS:
    """
    Answers from ``zone``, by type and name; a name that is not in it does not
    exist, and one that maps to None is never answered.  ``asked`` lists the questions.
    """

    def __init__(self) -> None:
        self.zone: dict[tuple[int, str], list[Any] | Exception | None] = {}
        self.authority: list[Any] = []
        self.asked: list[tuple[int, str]] = []
        self.waiting: list[tuple[int, str, Deferred[Sections]]] = []

    def add(self, *record_sets: list[dns.RRHeader]) -> None:
        for records in record_sets:
            self.zone[records[0].type, records[0].name.name.decode()] = records

    def _answer(self, kind: int, name: bytes) -> Deferred[Sections]:
        question = (kind, name.decode())
        self.asked.append(question)
        found = self.zone.get(question, DNSNameError(self))
        if found is None:
            waiting: Deferred[Sections] = Deferred()
            self.waiting.append((*question, waiting))
            return waiting
        if isinstance(found, Exception):
            return fail(found)
        return succeed((found, self.authority, []))

    def release(self, kind: int, name: str, records: list[Any]) -> None:
        """
        Answer a question that was left open.
        """
        for found in list(self.waiting):
            if found[:2] == (kind, name):
                self.waiting.remove(found)
                found[2].callback((records, self.authority, []))

    def lookupAddress(self, name: bytes, timeout: Any = None) -> Deferred[Sections]:
        return self._answer(dns.A, name)

    def lookupIPV6Address(self, name: bytes, timeout: Any = None) -> Deferred[Sections]:
        return self._answer(dns.AAAA, name)

    def lookupService(self, name: bytes, timeout: Any = None) -> Deferred[Sections]:
        return self._answer(dns.SRV, name)

    def lookupNamingAuthorityPointer(self, name: bytes, timeout: Any = None) -> Deferred[Sections]:
        return self._answer(dns.NAPTR, name)
