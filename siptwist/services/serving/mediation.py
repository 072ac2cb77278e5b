"""
The media of a request on its way: asked for once, written into what is sent,
and changed or ended by what is answered.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from siptwist.errors import MalformedURI, SIPError
from siptwist.interfaces import IMediaBackend, IResolver
from siptwist.logs import logger
from siptwist.media.stream import StreamOffer, is_name
from siptwist.proxy.core import Core
from siptwist.proxy.decision import Target
from siptwist.proxy.passage import Passage
from siptwist.proxy.routing import host_and_port
from siptwist.proxy.session.anchoring import Description, anchor_request, anchor_response
from siptwist.proxy.session.dialogs import REFRESHING
from siptwist.proxy.session.negotiation import Consequence, Negotiation, Outcome
from siptwist.proxy.session.refresh import Refreshes
from siptwist.proxy.ticket import Ticket
from siptwist.services.serving.context import Context, when
from siptwist.services.serving.locating import Locating
from siptwist.sip.hop import Side
from siptwist.sip.message import Response


class Mediation:
    """
    Stands between the messages and the media backend.
    """

    _log = logger()

    def __init__(
        self,
        core: Core,
        negotiation: Negotiation,
        media: IMediaBackend,
        refreshes: Refreshes,
        reactor: IReactorTime,
        resolver: IResolver,
    ) -> None:
        self._core = core
        self._negotiation = negotiation
        self._media = media
        self._refreshes = refreshes
        self._reactor = reactor
        self._locating = Locating(resolver)

    def begin(self, context: Context, side: Side, host: str, depart: Callable[..., None]) -> None:
        """
        Have what the request describes anchored.  Until that is done, targets
        wait in ``context.waiting``; ``context.refusal`` is why it cannot be.

        :param host: where the first of the targets is.
        :param depart: told each target that has waited, when it may go.
        """
        try:
            anchored = self._anchor(context, side, host)
        except Exception as error:
            context.refusal = error
            return
        if anchored is not None:
            self._wait(context, anchored, depart)

    def _wait(self, context: Context, anchored: Any, depart: Callable[..., None]) -> None:
        def go_on(_: object = None) -> None:
            waiting, context.waiting = context.waiting or [], None
            for branch, target, hops, side in waiting:
                depart(context, branch, target, hops, side)

        def failed(failure: Failure) -> None:
            context.refusal = failure.value
            go_on()

        context.waiting = []
        when(anchored, go_on, failed)

    def _anchor(self, context: Context, side: Side, host: str) -> Any:
        """
        Have ports lent for what the request describes, and write them in.
        """
        ticket, targets = context.forward.ticket, context.forward.targets
        place = context.place = self._negotiation.place(ticket, side)
        if not ticket.request.body:
            return None
        identity, description = self._core.identity.toward(side, host), None
        if place is not None:
            description = self._negotiation.of_request(ticket, place, identity)
        if description is None:
            hidden = self._negotiation.hide(ticket.request, ticket.side, side, identity)
            if hidden is not ticket.request:
                context.forward = context.forward.with_ticket(ticket.with_request(hidden))
            return None
        if side is Side.OUTSIDE or not targets:
            hosts: tuple[str, ...] = (host,)
        else:
            hosts = tuple([_receiver(one, host) for one in targets])
        granted = self._describe(description, hosts)
        if isinstance(granted, Deferred):
            return granted.addCallback(partial(self._write, context, description))
        return self._write(context, description, granted)

    def _write(self, context: Context, description: Description, granted: Any) -> None:
        """
        Write the ports that were granted into the request.
        """
        ticket = context.forward.ticket
        context.offers = True
        request = anchor_request(ticket.request, description, granted)
        self._negotiation.tell(description, ticket.request.body, request.body)
        context.forward = context.forward.with_ticket(ticket.with_request(request))
        if ticket.method == "ACK":
            self._media.settle(description.key)

    def _describe(self, description: Description, receivers: tuple[str, ...]) -> Any:
        """
        Tell the media backend, once names have become addresses.
        """
        streams = description.streams
        for one in streams:
            if is_name(one.endpoint.host) and one.is_relayed:
                found = self._locating.locate(streams)
                if isinstance(found, Deferred):
                    return found.addCallback(partial(self._lend, description, receivers))
                streams = found
                break
        return self._lend(description, receivers, streams)

    def _lend(
        self,
        description: Description,
        receivers: tuple[str, ...],
        streams: tuple[StreamOffer, ...],
    ) -> Any:
        key, party = description.key, description.party
        return self._media.describe(
            key,
            party,
            streams,
            self._core.identity.sender(description.signaling_host, key.side(party)),
            description.is_offer,
            description.branch,
            receivers,
        )

    def answer(
        self,
        answer: Response,
        description: Description,
        ticket: Ticket,
        send: Callable[[Response], None],
        refuse: Callable[[int], None],
    ) -> None:
        """
        Have what an answer describes anchored, and ``send`` it then.

        :param ticket: the request that it answers.
        :param refuse: told a status when there is no media for a final answer.
        """

        def write(granted: Any) -> None:
            anchored = anchor_response(answer, description, granted)
            self._negotiation.tell(description, answer.body, anchored.body)
            send(anchored)

        def failed(failure: Failure) -> None:
            error = failure.value
            status = error.status if isinstance(error, SIPError) else 500
            self._log.warn("No media for an answer: {error}", error=str(error))
            if answer.status >= 200:
                refuse(status)

        try:
            host = ticket.source.host
            # Who sits behind another NAT router is not where it says.
            receiver = host if ticket.via.host == host else ""
            granted = self._describe(description, (receiver,))
        except Exception:
            failed(Failure())
            return
        when(granted, write, failed)

    def settle(self, passage: Passage, answer: Response) -> None:
        """
        Do to the media what a final answer does to the call.
        """
        if answer.status < 200:
            return
        for consequence in self._negotiation.consequences(passage, answer):
            self._carry_out(consequence)
        if passage.method in REFRESHING and passage.key and 200 <= answer.status < 300:
            timer = answer.headers.get("session-expires")
            self._refreshes.note(passage.key, timer, self._reactor.seconds(), passage.party)

    def heard(self, description: Description, receiver: str) -> None:
        """
        An end answered an offer of ours, made in the place of the other.

        :param receiver: where the other is, which is told nothing.
        """
        try:
            found = self._describe(description, (receiver,))
        except SIPError as error:
            self._log.warn("No media for an answer: {error}", error=str(error))
            return
        when(found, lambda granted: None, lambda failure: None)

    def end_refused(self, context: Context, response: Response) -> None:
        """
        A request was refused before it went anywhere.
        """
        if context.place is None or response.status < 300:
            return
        ticket = context.forward.ticket
        key = context.place[0]
        if ticket.method in ("INVITE", "UPDATE", "PRACK"):
            party, reason = context.place[1], str(response.status)
            found = self._negotiation.refuse(ticket.method, key, party, reason, ticket.in_dialog)
            if found is not None and (context.offers or found.outcome is Outcome.CLOSE):
                self._carry_out(found)

    def _carry_out(self, consequence: Consequence) -> None:
        media, (outcome, key, branch, reason, party) = self._media, consequence
        if outcome is Outcome.CONFIRM:
            media.confirm(key, branch)
        elif outcome is Outcome.SETTLE:
            media.settle(key)
        elif outcome is Outcome.REJECT:
            media.reject(key, party)
        else:
            media.close(key, reason)


def _receiver(target: Target, host: str) -> str:
    """
    Where a target inside is, if that is where it says; empty text if not.

    :param host: where the first target is; one alone may have been looked up.
    """
    at = host if target.hop is None else target.hop.host
    try:
        return at if host_and_port(target.uri)[0] == at else ""
    except MalformedURI:
        return ""
