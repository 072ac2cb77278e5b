"""
Where registered phones are: bindings of addresses-of-record to contacts.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from siptwist.errors import MalformedURI
from siptwist.sip.hop import Hop, Side
from siptwist.sip.uri import SIPURI, canonical_user, equal

if TYPE_CHECKING:
    from siptwist.proxy.registration.repeating import Repeat

# How many lapsed addresses-of-record are remembered, to say 480 and not 404.
LAPSED_LIMIT = 10_000

# How many bindings one address may have; a PBX has hundreds, an attacker more.
SOURCE_LIMIT = 1_000

_Key = TypeVar("_Key")


@dataclass(frozen=True, slots=True)
class Binding:
    """
    One phone under one address-of-record (RFC 3261 section 10).

    ``contact`` is the URI as the phone wrote it and ``parameters`` the
    Contact's other parameters (``;q=..;+sip.instance=..``, without expires).
    ``source`` and ``side`` are where its REGISTER came from.  ``mask`` is unique:
    it stands in the Contact that the outside sees, and is the key of the store.
    ``registrar`` is the outside domain that holds the registration; "" is us.
    ``repeat`` is how we can register it there ourselves, if we can; it is nowhere else.
    Times are seconds since the epoch.
    """

    aor: str
    contact: str
    source: Hop
    side: Side
    mask: str
    call_id: str
    cseq: int
    created_at: float
    updated_at: float
    expires_at: float
    registrar: str = ""
    parameters: str = ""
    path: tuple[str, ...] = ()
    user_agent: str = ""
    repeat: Repeat | None = field(default=None, compare=False, repr=False)

    @property
    def user(self) -> str:
        return user_of(self.aor)

    @property
    def hop(self) -> Hop:
        """
        Where to send what is for this phone.

        A contact at another address than its REGISTER came from is behind one
        more NAT router: only the source is reachable (RFC 5626 in spirit).
        """
        try:
            uri = SIPURI.parse(self.contact)
        except MalformedURI:
            return self.source
        if uri.address == self.source.host:
            return Hop(self.source.host, uri.effective_port, self.source.transport)
        return self.source

    def is_active(self, now: float) -> bool:
        return self.expires_at > now

    def has_contact(self, uri: SIPURI) -> bool:
        try:
            return equal(SIPURI.parse(self.contact), uri)
        except MalformedURI:
            return False


def user_of(aor: str) -> str:
    return canonical_user(aor.partition(":")[2].partition("@")[0]) if "@" in aor else ""


class Locations:
    """
    All bindings, findable by address-of-record, mask, user and source.
    """

    def __init__(self, limit: int = 10_000, source_limit: int = SOURCE_LIMIT) -> None:
        self.limit = limit
        self.source_limit = source_limit
        self._by_mask: dict[str, Binding] = {}
        self._by_aor: dict[str, dict[str, Binding]] = {}
        self._by_user: dict[str, dict[str, Binding]] = {}
        self._by_hop: dict[tuple[str, int], dict[str, Binding]] = {}
        self._hosts: dict[str, int] = {}
        self._deadlines: list[tuple[float, str]] = []
        self._lapsed: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._by_mask)

    def __iter__(self) -> Iterator[Binding]:
        return iter(list(self._by_mask.values()))

    @property
    def is_full(self) -> bool:
        return len(self._by_mask) >= self.limit

    def has_room(self, new: int, host: str) -> bool:
        """
        Whether ``new`` more bindings fit into the table, and into the share of
        one address.
        """
        if new <= 0:
            return True
        mine = self._hosts.get(host, 0)
        return len(self._by_mask) + new <= self.limit and mine + new <= self.source_limit

    def put(self, binding: Binding) -> None:
        """
        Add a binding, or replace the one with the same mask.
        """
        self.remove(binding.mask)
        mask = binding.mask
        self._by_mask[mask] = binding
        self._by_aor.setdefault(binding.aor, {})[mask] = binding
        self._by_user.setdefault(binding.user, {})[mask] = binding
        for hop in _addresses(binding):
            self._by_hop.setdefault(hop, {})[mask] = binding
        host = binding.source.host
        self._hosts[host] = self._hosts.get(host, 0) + 1
        self._lapsed.pop(binding.aor, None)
        heapq.heappush(self._deadlines, (binding.expires_at, mask))
        if len(self._deadlines) > 2 * len(self._by_mask) + 64:
            self._deadlines = [(b.expires_at, m) for m, b in self._by_mask.items()]
            heapq.heapify(self._deadlines)

    def remove(self, mask: str) -> Binding | None:
        binding = self._by_mask.pop(mask, None)
        if binding is None:
            return None
        _discard(self._by_aor, binding.aor, mask)
        _discard(self._by_user, binding.user, mask)
        for hop in _addresses(binding):
            _discard(self._by_hop, hop, mask)
        host = binding.source.host
        self._hosts[host] -= 1
        if not self._hosts[host]:
            del self._hosts[host]
        return binding

    def expire(self, now: float) -> list[Binding]:
        """
        Forget bindings whose lifetime has passed; return them.
        """
        dead = []
        while self._deadlines and self._deadlines[0][0] <= now:
            _, mask = heapq.heappop(self._deadlines)
            binding = self._by_mask.get(mask)
            if binding is not None and not binding.is_active(now):
                self.remove(mask)
                self._lapsed[binding.aor] = now
                dead.append(binding)
        while len(self._lapsed) > LAPSED_LIMIT:
            del self._lapsed[next(iter(self._lapsed))]
        return dead

    def has_lapsed(self, aor: str) -> bool:
        """
        Whether somebody was registered here, and is no longer.
        """
        return aor in self._lapsed

    def lookup(self, aor: str, now: float) -> list[Binding]:
        """
        The active bindings of an address-of-record, newest first.
        """
        return _active(self._by_aor.get(aor), now)

    def lookup_user(self, user: str, now: float) -> list[Binding]:
        """
        The active bindings whose address-of-record has this user part.
        """
        return _active(self._by_user.get(canonical_user(user)), now)

    def by_mask(self, mask: str) -> Binding | None:
        return self._by_mask.get(mask)

    def by_hop(self, hop: Hop) -> list[Binding]:
        """
        The bindings of the phone at exactly this address and port.
        """
        return list(self._by_hop.get((hop.host, hop.port), {}).values())

    def knows_host(self, host: str) -> bool:
        """
        Whether some phone is at this address, whatever its port.
        """
        return host in self._hosts

    def moved(self, contact: SIPURI, aor: str, since: float) -> Binding | None:
        """
        The binding to which a phone moved after ``since``: same user and host
        under the same address-of-record, first registered later.
        """
        found = [
            binding
            for binding in self._by_aor.get(aor, {}).values()
            if binding.created_at > since and _same_but_port(binding, contact)
        ]
        return max(found, key=lambda binding: binding.created_at, default=None)


def _same_but_port(binding: Binding, contact: SIPURI) -> bool:
    try:
        uri = SIPURI.parse(binding.contact)
    except MalformedURI:
        return False
    return (uri.user, uri.address) == (contact.user, contact.address) and uri.port != contact.port


def _addresses(binding: Binding) -> set[tuple[str, int]]:
    return {(hop.host, hop.port) for hop in (binding.hop, binding.source)}


def _active(found: dict[str, Binding] | None, now: float) -> list[Binding]:
    if not found:
        return []
    active = [binding for binding in found.values() if binding.is_active(now)]
    active.sort(key=lambda binding: -binding.updated_at)
    return active


def _discard(index: dict[_Key, dict[str, Binding]], key: _Key, mask: str) -> None:
    found = index.get(key)
    if found is not None:
        found.pop(mask, None)
        if not found:
            del index[key]


def load(bindings: Iterable[Binding], limit: int) -> Locations:
    locations = Locations(limit)
    for binding in bindings:
        locations.put(binding)
    return locations
