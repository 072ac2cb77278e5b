"""
Phones that call through us without being registered, or are no longer.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass

from siptwist.sip.hop import Hop, Side


@dataclass(frozen=True, slots=True)
class Visitor:
    """
    A phone behind a masked Contact that no binding stands for.

    Its dialogs go on although nothing, or nothing more, is registered.
    """

    mask: str
    contact: str
    hop: Hop
    side: Side
    aor: str
    seen_at: float


class Visitors:
    """
    Visitors by mask; the one not seen for longest makes room.
    """

    def __init__(self, limit: int = 20_000, lifetime: float = 86_400.0) -> None:
        self._limit = limit
        self._lifetime = lifetime
        self._by_mask: OrderedDict[str, Visitor] = OrderedDict()
        self._hops: dict[tuple[str, int], int] = {}

    def __len__(self) -> int:
        return len(self._by_mask)

    def note(self, visitor: Visitor) -> None:
        """
        A message of this phone went out under ``visitor.mask``.
        """
        known = self._by_mask.get(visitor.mask)
        if known is not None and known.seen_at > visitor.seen_at - 60 and known.hop == visitor.hop:
            return
        self._forget(visitor.mask)
        self._by_mask[visitor.mask] = visitor
        address = (visitor.hop.host, visitor.hop.port)
        self._hops[address] = self._hops.get(address, 0) + 1
        while len(self._by_mask) > self._limit or self._oldest_is_dead(visitor.seen_at):
            self._forget(next(iter(self._by_mask)))

    def _oldest_is_dead(self, now: float) -> bool:
        return next(iter(self._by_mask.values())).seen_at <= now - self._lifetime

    def _forget(self, mask: str) -> None:
        visitor = self._by_mask.pop(mask, None)
        if visitor is not None:
            address = (visitor.hop.host, visitor.hop.port)
            self._hops[address] -= 1
            if not self._hops[address]:
                del self._hops[address]

    def by_mask(self, mask: str) -> Visitor | None:
        return self._by_mask.get(mask)

    def has_hop(self, hop: Hop) -> bool:
        return (hop.host, hop.port) in self._hops
