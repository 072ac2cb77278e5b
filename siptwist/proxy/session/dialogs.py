"""
Calls in progress: whose media is whose, and who has an offer open.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from siptwist.media.stream import CallKey, Party
from siptwist.proxy.passage import Passage
from siptwist.proxy.session.ends import End, callee_of, caller_of
from siptwist.proxy.session.renumbering import Renumbering
from siptwist.proxy.ticket import Ticket
from siptwist.sip.headers import Headers
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Response, from_of, to_of

# Their 2xx tell where both ends are (RFC 3261 section 12.2, RFC 3311), and refresh a
# session (RFC 4028 section 7.4).
REFRESHING = frozenset({"INVITE", "UPDATE"})
MAX_CALLEES = 64


class Dialog:
    """
    One pass of a call through the proxy, from its first INVITE on.

    ``invites`` counts its first INVITEs that are not refused, several when a
    provider rings several of our phones.
    ``offered_by`` is who has an offer that is not answered yet (RFC 3264),
    ``seen_at`` when the last request was.  ``caller`` is one end of the call and
    ``callees``, by their To tags, are those who answered; the caller of a call that
    began before we were there is ``None``.  ``asking`` is the last INVITE or UPDATE
    until it is answered, ``caller_number`` and ``callee_number`` the highest CSeq of
    each.
    ``told`` are the session descriptions that the parties were given last, and
    ``untold`` what was in the place of an offer that may yet be refused.
    ``timer`` is the Session-Expires in force, and who asked with it; ``expires_at`` is
    when the call is over unless it is refreshed (RFC 4028), ``limit_at`` when it is
    over in any case; ``None`` for never.
    """

    __slots__ = (
        "asking",
        "callee_number",
        "callees",
        "caller",
        "caller_number",
        "created_at",
        "expires_at",
        "invites",
        "is_established",
        "key",
        "limit_at",
        "offered_by",
        "seen_at",
        "timer",
        "told",
        "untold",
    )

    def __init__(self, key: CallKey, now: float) -> None:
        self.key = key
        self.created_at = now
        self.seen_at = now
        self.invites = 0
        self.is_established = False
        self.offered_by: Party | None = None
        self.caller: End | None = None
        self.callees: dict[str, End] = {}
        self.asking: Ticket | None = None
        self.caller_number = self.callee_number = 0
        self.told: dict[Party, bytes] = {}
        self.untold: tuple[Party, bytes] | None = None
        self.timer: tuple[str, Party] | None = None
        self.expires_at: float | None = None
        self.limit_at: float | None = None

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

    def note(self, ticket: Ticket, party: Party) -> None:
        """
        A request of ``party`` passes.
        """
        self.seen_at = ticket.now
        number = ticket.cseq.number
        if party is Party.CALLER:
            if number > self.caller_number:
                self.caller_number = number
        elif number > self.callee_number:
            self.callee_number = number
        if ticket.method in REFRESHING:
            self.asking = ticket

    def tell(self, party: Party, description: bytes, is_offer: bool) -> None:
        """
        ``party`` is given a session description.
        """
        if is_offer and self.is_established and party in self.told:
            self.untold = party, self.told[party]
        self.told[party] = description

    def refuse(self) -> None:
        """
        What was asked last was refused.
        """
        self.asking = None
        if self.untold is not None:
            party, self.told[party] = self.untold
            self.untold = None

    def number(self, party: Party) -> int:
        """
        The highest CSeq that ``party`` has used.
        """
        return self.caller_number if party is Party.CALLER else self.callee_number

    def join(self, passage: Passage, response: Response) -> None:
        """
        A 2xx to INVITE or UPDATE, as it came: it says where the ends are.
        """
        self.untold = None
        ticket = self.asking
        if ticket is not None and ticket.vias is passage.vias:
            self.asking = None
        else:
            ticket = None
        if passage.in_dialog:
            self._refresh(passage, response, ticket)
            return
        if ticket is not None and self.caller is None:
            self.caller = caller_of(ticket, passage.from_phone)
        if len(self.callees) < MAX_CALLEES:
            self.callees[to_of(response).tag or ""] = callee_of(passage, response)

    def _refresh(self, passage: Passage, response: Response, ticket: Ticket | None) -> None:
        """
        The target refresh of RFC 3261 section 12.2.
        """
        tag = (to_of if passage.party is Party.CALLER else from_of)(response).tag or ""
        is_caller = passage.party is Party.CALLER
        self._move(not is_caller, tag, response.headers, passage.hop)
        if ticket is not None:
            self._move(is_caller, tag, ticket.request.headers, ticket.source)

    def _move(self, is_caller: bool, tag: str, headers: Headers, hop: Hop) -> None:
        end = self.caller if is_caller else self.callees.get(tag)
        if end is None:
            return
        moved = end._replace(contact=headers.first.get("contact", end.contact), hop=hop)
        if is_caller:
            self.caller = moved
        else:
            self.callees[tag] = moved


class Dialogs:
    """
    Dialogs by Call-ID.  More than ``limit``, or silent for ``lifetime``
    seconds, and the oldest is forgotten.
    """

    def __init__(self, limit: int = 50_000, lifetime: float = 86_400.0) -> None:
        self._limit = limit
        self._lifetime = lifetime
        self._by_call: OrderedDict[str, list[Dialog]] = OrderedDict()
        #: What we said in the place of their ends.
        self.renumbering = Renumbering()

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
            for dialog in oldest:
                self.renumbering.forget(dialog.key)

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
        self.renumbering.forget(key)
        found[:] = [dialog for dialog in found if dialog.key != key]
        if not found:
            del self._by_call[key.call_id]
