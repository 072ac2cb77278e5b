"""
Offers and answers on their way (RFC 3264, RFC 6337): what the media backend is
told of them, and when a call's media begins, changes and ends.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from siptwist.errors import MalformedSDP
from siptwist.media.stream import CallKey, Party
from siptwist.proxy.identity import Identity
from siptwist.proxy.passage import Passage
from siptwist.proxy.session.anchoring import OFFERING, Description, find_session, hide
from siptwist.proxy.session.dialogs import Dialogs
from siptwist.proxy.ticket import Ticket
from siptwist.sip.hop import Side
from siptwist.sip.message import AnyMessage, Response, from_of, to_of
from siptwist.sip.values import plain_members

# What may change a call's media, once the answer is final.
_CHANGING = frozenset({"INVITE", "UPDATE", "PRACK"})

# The other side no longer knows the dialog, or is gone: BYE has done its work
# (RFC 3261 section 15.1.1).
_GONE = frozenset({408, 480, 481, 503})


@plain_members
class Outcome(enum.Enum):
    """
    What a response does to a call's media.
    """

    CONFIRM = "confirm"
    SETTLE = "settle"
    REJECT = "reject"
    CLOSE = "close"


class Consequence(NamedTuple):
    """
    One thing to tell the media backend; ``party`` is whose offer was refused.
    """

    outcome: Outcome
    key: CallKey
    branch: str = ""
    reason: str = ""
    party: Party | None = None


class Negotiation:
    """
    Follows the offers and answers of all calls.
    """

    def __init__(self, dialogs: Dialogs, is_enabled: bool = True) -> None:
        self.dialogs = dialogs
        self._is_enabled = is_enabled

    def place(self, ticket: Ticket, side: Side) -> tuple[CallKey, Party] | None:
        """
        The call that a request belongs to, and who of the two sends it; a
        first INVITE opens one.
        """
        from_tag = ticket.from_.tag or ""
        is_first = ticket.method == "INVITE" and not ticket.in_dialog
        found = self.dialogs.find(ticket.call_id, from_tag, ticket.to.tag, ticket.side)
        if found is not None:
            dialog, party = found
            dialog.note(ticket, party)
            dialog.invites += is_first
            return dialog.key, party
        if ticket.method != "INVITE":
            return None
        key = CallKey(ticket.call_id, from_tag, ticket.side, side)
        dialog, _ = self.dialogs.open(key, ticket.now)
        dialog.note(ticket, Party.CALLER)
        dialog.invites += is_first
        return key, Party.CALLER

    def of_request(
        self, ticket: Ticket, place: tuple[CallKey, Party], identity: Identity
    ) -> Description | None:
        """
        What a request describes.

        :raises MalformedSDP: when its session description cannot be read.
        """
        if not self._is_enabled or ticket.method not in OFFERING:
            return None
        found = find_session(ticket.request)
        if found is None:
            return None
        key, party = place
        is_offer = ticket.method != "ACK"
        dialog = self.dialogs.by_key(key)
        if ticket.method == "PRACK" and dialog is not None:
            is_offer = dialog.offered_by is not party.other
        if dialog is not None:
            dialog.offered_by = party if is_offer else None
        branch = (ticket.from_.tag or "") if party is Party.CALLEE else ""
        host = identity.facing(key.side(party.other)).host
        return Description(key, party, is_offer, ticket.source.host, branch, host, *found)

    def tell(self, description: Description, before: bytes, after: bytes) -> None:
        """
        What was described in the body ``before`` goes to the other party in ``after``.
        """
        dialog = self.dialogs.by_key(description.key)
        if dialog is not None:
            start, rest = description.start, len(before) - description.end
            told = after[start : len(after) - rest]
            dialog.tell(description.party.other, told, description.is_offer)

    def hide(
        self, message: AnyMessage, source: Side, toward: Side, identity: Identity
    ) -> AnyMessage:
        """
        What a phone describes that is no offer and no answer, in the answer to
        OPTIONS, in a refusal, in INFO: the outside shall not read its addresses.

        :raises MalformedSDP: when a request's session description cannot be read.
        """
        if not message.body or not self._is_enabled or source is toward:
            return message
        return hide(message, identity.facing(toward).host) if toward is Side.OUTSIDE else message

    def of_response(
        self, passage: Passage, response: Response, identity: Identity
    ) -> Description | None:
        """
        What a response describes: a 1xx or 2xx to INVITE, a 2xx to others.

        :raises MalformedSDP: when its session description cannot be read.
        """
        if not self._is_enabled or passage.key is None or passage.party is None:
            return None
        lowest = 101 if passage.method == "INVITE" else 200
        if passage.method not in OFFERING or not lowest <= response.status < 300:
            return None
        found = find_session(response)
        if found is None:
            return None
        party = passage.party.other
        is_offer = not passage.offers
        dialog = self.dialogs.by_key(passage.key)
        if dialog is not None:
            dialog.offered_by = party if is_offer else None
        branch = (to_of(response).tag or "") if party is Party.CALLEE else ""
        host = identity.facing(passage.key.side(passage.party)).host
        return Description(passage.key, party, is_offer, passage.hop.host, branch, host, *found)

    def consequences(self, passage: Passage, response: Response) -> tuple[Consequence, ...]:
        """
        What a final response does, once it is the one that counts.
        """
        key, status = passage.key, response.status
        if key is None or status < 200:
            return ()
        if passage.method == "BYE":
            is_over = status < 300 or status in _GONE
            return self._hang_up(key, passage, response) if is_over else ()
        if passage.method not in _CHANGING:
            return ()
        found = self._consequence(key, passage, response)
        return () if found is None else (found,)

    def _hang_up(
        self, key: CallKey, passage: Passage, response: Response
    ) -> tuple[Consequence, ...]:
        """
        The dialog with one callee is over; the media too, unless another
        callee has answered as well.  Whoever called back in through a provider
        that did not stay in the dialog hangs up all passes at once.
        """
        callee = to_of(response) if passage.party is Party.CALLER else from_of(response)
        ended = []
        for dialog in self.dialogs.by_call_id(key.call_id):
            if dialog.key.caller_tag == key.caller_tag:
                dialog.callees.pop(callee.tag or "", None)
                if not dialog.callees:
                    ended.append(self.end(dialog.key, "BYE"))
        return tuple(ended)

    def _consequence(
        self, key: CallKey, passage: Passage, response: Response
    ) -> Consequence | None:
        """
        What the final answer to a request does that may have offered.
        """
        method, offers = passage.method, passage.offers
        if method == "INVITE":
            if response.status < 300:
                return self._succeed(key, passage, response)
        elif method == "UPDATE" and response.status < 300:
            dialog = self.dialogs.by_key(key)
            if dialog is not None:
                dialog.join(passage, response)
        if method != "INVITE" and not offers:
            return None
        if response.status < 300:
            return Consequence(Outcome.SETTLE, key)
        if passage.party is None:
            return None
        # Who is not offered anything may offer itself, in a reliable 1xx (RFC 3262 section 5).
        offerer = passage.party if offers else passage.party.other
        return self.refuse(method, key, offerer, str(response.status), passage.in_dialog)

    def refuse(
        self, method: str, key: CallKey, offerer: Party, reason: str, in_dialog: bool
    ) -> Consequence | None:
        """
        A request that may have offered was refused.

        A re-INVITE that is refused changes nothing (RFC 3261 section 14.1); one
        of a call that we had not heard of leaves nothing.  After a first INVITE
        the call is over, unless a provider that rings several phones at once
        was answered by another, or may be.
        """
        dialog = self.dialogs.by_key(key)
        if dialog is not None:
            dialog.refuse()
            if dialog.offered_by is offerer:
                dialog.offered_by = None
            if method == "INVITE":
                dialog.invites -= not in_dialog
                if not dialog.is_established and dialog.invites <= 0:
                    return self.end(key, reason)
                if not in_dialog:
                    return None
        return Consequence(Outcome.REJECT, key, party=offerer)

    def _succeed(self, key: CallKey, passage: Passage, response: Response) -> Consequence | None:
        """
        An INVITE was accepted; the first of a call chooses its callee.
        """
        dialog = self.dialogs.by_key(key)
        if dialog is not None:
            dialog.join(passage, response)
        if passage.in_dialog:
            if dialog is not None:
                dialog.is_established = True
            return Consequence(Outcome.SETTLE, key)
        if dialog is None or dialog.is_established:
            return None
        dialog.is_established = True
        return Consequence(Outcome.CONFIRM, key, to_of(response).tag or "")

    def end(self, key: CallKey, reason: str) -> Consequence:
        """
        The call is over.
        """
        self.dialogs.close(key)
        return Consequence(Outcome.CLOSE, key, reason=reason)


__all__ = ["Consequence", "MalformedSDP", "Negotiation", "Outcome"]
