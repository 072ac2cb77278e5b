"""
What DNS answers, as plain values, and the order to use it in (RFC 2782, RFC 3263).
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from ipaddress import IPv6Address, ip_address
from typing import Any, NamedTuple

from twisted.names import dns

#: More resource records than this in one answer are an attack, not an answer.
MAX_RECORDS = 64
MAX_ALIASES = 8
#: Of one name no more than this many are tried, the best.
MAX_USED = 16

#: Seconds.  A zone that says 0 would have us ask for every message.
SHORTEST_TTL, LONGEST_TTL = 5.0, 3600.0
#: How long "there is none" is believed when the zone does not say.
NEGATIVE_TTL, LONGEST_NEGATIVE_TTL = 30.0, 300.0
#: How long a server that does not answer is left in peace, at first and at last.
#: Some cheap routers drop every SRV query: those must not delay every call.
FAILURE_TTL, LONGEST_FAILURE_TTL, LONGEST_SERVICE_FAILURE_TTL = 5.0, 10.0, 60.0
#: How long an answer that has expired serves when no server answers (RFC 8767).
STALE_TTL = 30.0

_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9_-]{1,63}(?:\.[a-z0-9_-]{1,63})*")


class Kind(enum.Enum):
    """
    What is asked about a name.
    """

    A = dns.A
    AAAA = dns.AAAA
    SRV = dns.SRV
    NAPTR = dns.NAPTR

    __hash__ = object.__hash__


class Service(NamedTuple):
    """
    An SRV record (RFC 2782); a ``target`` of "" says that there is no service.
    """

    priority: int
    weight: int
    port: int
    target: str


class Pointer(NamedTuple):
    """
    A NAPTR record that points to SRV records (RFC 3263 section 4.1).
    """

    order: int
    preference: int
    service: str
    replacement: str


Record = str | Service | Pointer


class Answer(NamedTuple):
    """
    What is known about a name for ``ttl`` seconds.

    ``alias`` is where to ask on when a CNAME came without what it points to;
    ``failed`` tells "no server answered" from "there is none".
    """

    records: tuple[Record, ...]
    ttl: float
    alias: str = ""
    failed: bool = False


FAILURE = Answer((), FAILURE_TTL, failed=True)


@lru_cache(maxsize=1024)
def canonical_name(text: str) -> str | None:
    """
    A host name in lower case without its final dot; None when it is none.
    """
    name = text.lower().removesuffix(".")
    return name if _NAME.fullmatch(name) else None


@lru_cache(maxsize=1024)
def is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def read_answer(kind: Kind, name: str, answers: Sequence[Any], authority: Sequence[Any]) -> Answer:
    """
    Read the sections of a DNS message about ``name``, following CNAMEs.

    :param answers: resource records, as ``twisted.names`` gives them.
    """
    if len(answers) > MAX_RECORDS:
        return FAILURE
    owned: dict[str, list[Any]] = {}
    for record in answers:
        owned.setdefault(_text(record.name), []).append(record)
    ttl = LONGEST_TTL
    for _ in range(MAX_ALIASES):
        records = owned.get(name, [])
        found = [record for record in records if record.type == kind.value]
        if found:
            ttl = min([ttl, *(record.ttl for record in found)])
            return Answer(_values(kind, found), max(SHORTEST_TTL, ttl))
        aliases = [record for record in records if record.type == dns.CNAME]
        if not aliases:
            break
        ttl = min(ttl, aliases[0].ttl)
        name = _text(aliases[0].payload.name)
    if name in owned or canonical_name(name) is None:
        return FAILURE
    if owned:
        return Answer((), max(SHORTEST_TTL, ttl), alias=name)
    return nothing(authority)


def after_failure(kind: Kind, previous: Answer | None) -> Answer:
    """
    What to believe when no server answered.
    """
    if previous is None:
        return FAILURE
    if not previous.failed and (previous.records or previous.alias):
        return previous._replace(ttl=STALE_TTL)
    if not previous.failed:
        return FAILURE
    is_address_kind = kind in (Kind.A, Kind.AAAA)
    longest = LONGEST_FAILURE_TTL if is_address_kind else LONGEST_SERVICE_FAILURE_TTL
    return FAILURE._replace(ttl=min(2 * previous.ttl, longest))


def nothing(authority: Sequence[Any]) -> Answer:
    """
    The name, or what was asked about it, does not exist (RFC 2308 section 5).
    """
    for record in authority[:MAX_RECORDS]:
        if record.type == dns.SOA:
            ttl = min(record.ttl, record.payload.minimum, LONGEST_NEGATIVE_TTL)
            return Answer((), max(SHORTEST_TTL, ttl))
    return Answer((), NEGATIVE_TTL)


def _text(name: dns.Name) -> str:
    return name.name.decode("ascii", "replace").lower().removesuffix(".")


def _values(kind: Kind, records: Iterable[Any]) -> tuple[Record, ...]:
    values = [_value(kind, record.payload) for record in records]
    found = [value for value in values if value is not None]
    if kind in (Kind.SRV, Kind.NAPTR):
        found.sort()
    return tuple(found[:MAX_USED])


def _value(kind: Kind, payload: Any) -> Record | None:
    """
    The plain value of a record; None for one that is no use to us.
    """
    if kind is Kind.A:
        return str(payload.dottedQuad())
    if kind is Kind.AAAA:
        return str(IPv6Address(payload.address))
    if kind is Kind.SRV:
        target = _text(payload.target)
        known = not target or is_address(target) or canonical_name(target)
        if not known or (target and payload.port == 0):
            return None
        return Service(payload.priority, payload.weight, payload.port, target)
    replacement = canonical_name(_text(payload.replacement))
    if payload.flags.string.lower() != b"s" or replacement is None:
        return None
    service = payload.service.string.decode("ascii", "replace").upper()
    return Pointer(payload.order, payload.preference, service, replacement)


def order_services(services: Iterable[Service], chance: Callable[[int], int]) -> list[Service]:
    """
    Lowest priority first, and by weight among equals (RFC 2782).

    :param chance: ``chance(n)`` returns 0..n-1.
    """
    ordered: list[Service] = []
    groups: dict[int, list[Service]] = {}
    for service in services:
        groups.setdefault(service.priority, []).append(service)
    for priority in sorted(groups):
        group = sorted(groups[priority], key=lambda service: service.weight)
        while len(group) > 1:
            ordered.append(group.pop(_draw(group, chance)))
        ordered += group
    return ordered


def _draw(group: Sequence[Service], chance: Callable[[int], int]) -> int:
    drawn = chance(sum(service.weight for service in group) + 1)
    for index, service in enumerate(group):
        drawn -= service.weight
        if drawn <= 0:
            return index
    return len(group) - 1


def order_pointers(
    pointers: Iterable[Pointer], transports: Mapping[str, str]
) -> list[tuple[str, str]]:
    """
    Transport and SRV name of the services we speak, best first.

    :param transports: NAPTR service to transport, ``{"SIP+D2U": "UDP"}``.
    """
    known = sorted(pointer for pointer in pointers if pointer.service in transports)
    return [(transports[pointer.service], pointer.replacement) for pointer in known]


def parse_hosts(text: str) -> dict[str, tuple[str, ...]]:
    """
    The names of ``/etc/hosts``, in lower case, and their addresses.
    """
    hosts: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        if is_address(address):
            for name in names:
                key = name.lower()
                hosts[key] = (*hosts.get(key, ()), address)
    return hosts
