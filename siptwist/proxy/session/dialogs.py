"""
Calls in progress: whose media is whose, and who has an offer open.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from siptwist.media.stream import CallKey, Party
from siptwist.sip.hop import Side


class Dialog:
    """
    One pass of a call through the proxy, from its first INVITE on.

    ``invites`` counts its first INVITEs that are not refused, several when a
    provider rings several of our phones.
    ``offered_by`` is who has an offer that is not answered yet (RFC 3264);
    ``callee_tags`` are the To tags that answered, ``seen_at`` when the last
    request was.  ``routes`` is what proxies inside recorded and the outside
    must not see.  ``expires_at`` is when the call is over unless it is refreshed
    (RFC 4028), ``None`` without session timer.
    """

    __slots__ = (
        "callee_tags",
        "created_at",
        "expires_at",
        "invites",
        "is_established",
        "key",
        "offered_by",
        "routes",
        "seen_at",
    )

    def __init__(self, key: CallKey, now: float) -> None:
        self.key = key
        self.created_at = now
        self.seen_at = now
        self.invites = 0
        self.is_established = False
        self.offered_by: Party | None = None
        self.callee_tags: set[str] = set()
        self.routes: tuple[str, ...] = ()
        self.expires_at: float | None = None

    def party_of(self, from_tag: str, to_tag: str | None, side: Side) -> Party | None:
        """
        Who of the two sends with these tags from this side; ``None`` for
        somebody else.
        """
        key = self.key
        if from_tag == key.caller_tag and side is key.caller_side:
            return Party.CALLER
        if to_tag == key.caller_tag and side is key.callee_side:
            return Party.CALLEE
        return None


class Dialogs:
    """
    Dialogs by Call-ID.  More than ``limit``, or silent for ``lifetime``
    seconds, and the oldest is forgotten.
    """

    def __init__(self, limit: int = 50_000, lifetime: float = 86_400.0) -> None:
        self._limit = limit
        self._lifetime = lifetime
        self._by_call: OrderedDict[str, list[Dialog]] = OrderedDict()

    def __len__(self) -> int:
        return sum(map(len, self._by_call.values()))

    def __iter__(self) -> Iterator[Dialog]:
        return iter([dialog for found in self._by_call.values() for dialog in found])

    def open(self, key: CallKey, now: float) -> tuple[Dialog, list[Dialog]]:
        """
        The dialog of this pass, made if it is new, and those forgotten for it.
        """
        found = self._by_call.setdefault(key.call_id, [])
        for dialog in found:
            if dialog.key == key:
                return dialog, []
        dialog = Dialog(key, now)
        found.append(dialog)
        return dialog, self._make_room(now)

    def _make_room(self, now: float) -> list[Dialog]:
        gone: list[Dialog] = []
        while True:
            call_id, oldest = next(iter(self._by_call.items()))
            is_dead = all(dialog.seen_at < now - self._lifetime for dialog in oldest)
            if len(self._by_call) <= self._limit and not is_dead:
                return gone
            gone.extend(self._by_call.pop(call_id))

    def find(
        self, call_id: str, from_tag: str, to_tag: str | None, side: Side
    ) -> tuple[Dialog, Party] | None:
        """
        The dialog that a request belongs to, and who of the two sends it.
        """
        for dialog in self._by_call.get(call_id, ()):
            party = dialog.party_of(from_tag, to_tag, side)
            if party is not None:
                self._by_call.move_to_end(call_id)
                return dialog, party
        return None

    def by_call_id(self, call_id: str) -> list[Dialog]:
        return list(self._by_call.get(call_id, ()))

    def by_key(self, key: CallKey) -> Dialog | None:
        for dialog in self._by_call.get(key.call_id, ()):
            if dialog.key == key:
                return dialog
        return None

    def close(self, key: CallKey) -> None:
        found = self._by_call.get(key.call_id)
        if found is None:
            return
        found[:] = [dialog for dialog in found if dialog.key != key]
        if not found:
            del self._by_call[key.call_id]
