"""
Carries a request to one target, and its responses back (RFC 3261 sections
16.6 and 16.7).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from siptwist.media.stream import CallKey, Party
from siptwist.proxy.decision import Forward, Target
from siptwist.proxy.forking import DEFAULT_BREADTH
from siptwist.proxy.identity import Identity
from siptwist.proxy.masquerade import (
    RECORD_ROUTED,
    Masquerade,
    Phone,
    own_record_route,
    own_via,
    swapped_record_routes,
)
from siptwist.proxy.registration.lifetimes import shortened
from siptwist.proxy.registration.location import Locations
from siptwist.proxy.registration.passthrough import Attempt, Completion, complete, mask_request
from siptwist.proxy.screening.validation import one_hop_less
from siptwist.proxy.session.transfer import incoming
from siptwist.proxy.ticket import Ticket
from siptwist.sip.headers import Header, make_header
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Request, Response, to_of
from siptwist.sip.values import Value

# Requests that may name a third party.
REFERRING = frozenset({"REFER", "INVITE"})
# RFC 5393 section 5.3.3 wants it in every request; inside a dialog none forks.
_BREADTH = (make_header("Max-Breadth", str(DEFAULT_BREADTH)),)


@dataclass(slots=True)
class Passage(Value):
    """
    What must be known of a forwarded request until its last response.

    ``vias`` and ``record_routes`` go back into the response, and ``below`` is
    how many Record-Routes stand below ours.  ``key`` and
    ``party`` name the call and who of the two sent the request, ``offers``
    whether it carried a session description.  ``cseq`` is what it came with, when it
    left with another.
    """

    method: str
    in_dialog: bool
    source_side: Side
    sent_at: float
    target: Target
    hop: Hop
    side: Side
    from_phone: bool
    to_phone: bool
    vias: tuple[Header, ...]
    record_routes: tuple[Header, ...] = ()
    below: int = 0
    attempt: Attempt | None = None
    key: CallKey | None = None
    party: Party | None = None
    offers: bool = False
    cseq: Header | None = None


class Passages:
    """
    Prepares requests for their targets, and responses for the way back.
    """

    def __init__(
        self,
        locations: Locations,
        masquerade: Masquerade,
        key: bytes,
        default_expires: int,
        max_expires: int = 0,
    ) -> None:
        self._locations = locations
        self._masquerade = masquerade
        self._key = key
        self.default_expires = default_expires
        self.max_expires = max_expires

    def attempt(self, ticket: Ticket, identity: Identity) -> tuple[Ticket, Attempt]:
        """
        A REGISTER on its way out: masked, and what it asks for.
        """
        headers, attempt = mask_request(
            ticket, identity, self._locations, self._key, self.default_expires
        )
        return ticket.with_request(ticket.request._replace(headers=headers)), attempt

    def prepare(
        self,
        forward: Forward,
        target: Target,
        hop: Hop,
        side: Side,
        branch: str,
        identity: Identity,
        place: tuple[CallKey, Party] | None = None,
        offers: bool = False,
    ) -> tuple[Request, Passage]:
        """
        The request as ``target`` shall receive it.

        :param place: the call it belongs to, and who sends it.
        :param offers: whether it carries a session description.

        :raises SIPError: with the status to answer with.
        """
        ticket, attempt = forward.ticket, None
        hides = forward.from_phone and side is Side.OUTSIDE
        if hides and ticket.method == "REGISTER":
            ticket, attempt = self.attempt(ticket, identity)
        request = ticket.request
        headers = request.headers
        routes = headers.fields("record-route") if "record-route" in headers.first else ()
        hidden, shown = (routes, ()) if hides else ((), routes)
        changes = {
            "via": (own_via(identity, side, branch), *(() if hides else ticket.vias)),
            "max-forwards": one_hop_less(ticket),
        }
        if hides:
            self._hide(changes, ticket, identity, attempt is not None)
        elif ticket.method == "REFER" and side is Side.INSIDE:
            incoming(changes, headers, identity)
        _name_target(changes, target, ticket.in_dialog)
        if ticket.method in RECORD_ROUTED:
            changes["record-route"] = (own_record_route(identity, side), *shown)
        request = Request(ticket.method, target.uri, headers.replaced(changes), request.body)
        passage = Passage(
            ticket.method,
            ticket.in_dialog,
            ticket.side,
            ticket.now,
            target,
            hop,
            side,
            forward.from_phone,
            forward.to_phone,
            ticket.vias,
            hidden,
            len(headers.values("record-route")) if shown else 0,
            attempt,
            place[0] if place else None,
            place[1] if place else None,
            offers,
        )
        return request, passage

    def _hide(
        self,
        changes: dict[str, tuple[Header, ...]],
        ticket: Ticket,
        identity: Identity,
        is_masked: bool,
    ) -> None:
        """
        Mask what a phone says of itself, if that is not done already.
        """
        if is_masked:
            self._masquerade.name_agent(changes)
            return
        headers, method = ticket.request.headers, ticket.method
        if "contact" not in headers.first and method not in REFERRING:
            self._masquerade.name_agent(changes)
            return
        phone = Phone(ticket.from_.aor, ticket.source, ticket.side)
        self._masquerade.outgoing(changes, headers, phone, identity, ticket.now)
        if method == "REFER" or (method == "INVITE" and "referred-by" in headers.first):
            self._masquerade.transfers.outgoing(
                changes, headers, phone.aor, phone.hop, identity, ticket.now
            )

    def answer(self, passage: Passage, response: Response, identity: Identity) -> Response:
        """
        The response as the one who asked shall receive it.
        """
        headers = response.headers
        changes: dict[str, tuple[Header, ...]] = {"via": passage.vias}
        if passage.cseq is not None:
            changes["cseq"] = (passage.cseq,)
        if "record-route" in headers.first:
            changes["record-route"] = swapped_record_routes(
                headers,
                identity,
                passage.source_side,
                passage.below,
                passage.record_routes,
                passage.to_phone and not passage.from_phone,
            )
        if passage.to_phone and not passage.from_phone:
            phone = Phone(to_of(response).aor, passage.hop, passage.side, passage.target.mask)
            is_redirect = response.status >= 300
            self._masquerade.outgoing(
                changes, headers, phone, identity, passage.sent_at, only_local=is_redirect
            )
        return Response(response.status, response.reason, headers.replaced(changes), response.body)

    def complete(
        self, passage: Passage, response: Response, identity: Identity, now: float
    ) -> Completion | None:
        """
        What a final answer to a REGISTER on its way through changes.
        """
        if passage.attempt is None or response.status < 200:
            return None
        found = complete(passage.attempt, response, self._locations, identity, now)
        if self.max_expires and found.changed:
            return replace(found, headers=shortened(found.headers, self.max_expires))
        return found


def _name_target(changes: dict[str, tuple[Header, ...]], target: Target, in_dialog: bool) -> None:
    """
    What a request says because of where it goes, besides the Request-URI.
    """
    if target.route:
        changes["route"] = tuple([make_header("Route", value) for value in target.route])
    if target.breadth != DEFAULT_BREADTH:
        changes["max-breadth"] = (make_header("Max-Breadth", str(target.breadth)),)
    elif not in_dialog:
        changes["max-breadth"] = _BREADTH
