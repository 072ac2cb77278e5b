"""
Carries requests to their targets and the answers back (RFC 3261 sections 16.6
to 16.10), with the call's media on the way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure

from siptwist.errors import MalformedMessage, NoFreePorts, SIPError
from siptwist.interfaces import IMessageSender, IResolver
from siptwist.logs import logger
from siptwist.proxy.core import Core
from siptwist.proxy.decision import Target
from siptwist.proxy.direction import Peers
from siptwist.proxy.forking import as_upstream
from siptwist.proxy.passage import Passage, Passages
from siptwist.proxy.registration.location import Locations
from siptwist.proxy.registration.passthrough import would_overflow
from siptwist.proxy.routing import host_and_port
from siptwist.proxy.session.negotiation import Negotiation
from siptwist.services.serving.context import SERVER, Context, Upward, new_branch, new_tag, when
from siptwist.services.serving.failover import PATIENCE, Failover, status_of
from siptwist.services.serving.hangup import HangUp
from siptwist.services.serving.mediation import Mediation
from siptwist.services.serving.speaking import Speaking
from siptwist.services.transactions import TransactionService
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Response, make_response
from siptwist.sip.transaction import ClientTransaction

# How many names that resolve to us are learned.
NAMES_LIMIT = 64


class Forwarding:
    """
    Sends to targets, waits, and passes the best answer back.
    """

    _log = logger()
    above: Upward

    def __init__(
        self,
        reactor: IReactorTime,
        core: Core,
        passages: Passages,
        negotiation: Negotiation,
        locations: Locations,
        peers: Peers,
        transactions: TransactionService,
        sender: IMessageSender,
        mediation: Mediation,
        resolver: IResolver,
        speaking: Speaking,
    ) -> None:
        self._reactor = reactor
        self._core = core
        self._passages = passages
        self._negotiation = negotiation
        self._renumbering = negotiation.dialogs.renumbering
        self._locations = locations
        self._peers = peers
        self._transactions = transactions
        self.sender = sender
        self._mediation = mediation
        self.resolver = resolver
        self.failover = Failover(self)
        self._hangup = HangUp(speaking)

    # To the targets

    def start(self, context: Context) -> None:
        """
        Send to the first group of targets.
        """
        fork, mark = context.fork, context.mark
        targets = fork.next_group()
        begun = [(new_branch(mark), target) for target in targets]
        for branch, _ in begun:
            fork.begin(branch)
        for branch, target in begun:
            self._guard(context, branch, self._seek, target)

    def _guard(
        self, context: Context, branch: str, step: Callable[..., None], *arguments: Any
    ) -> None:
        """
        Take a step; what it raises is the answer of this branch.
        """
        try:
            step(context, branch, *arguments)
        except SIPError as error:
            self._refuse(context, branch, error)
        except Exception as error:
            self._log.failure("Forwarding", call_id=context.forward.ticket.call_id)
            self._refuse(context, branch, SIPError(type(error).__name__, 500))

    def _refuse(self, context: Context, branch: str, error: SIPError) -> None:
        status = status_of(error, context)
        self._log.info(
            "{method} {uri!r}: {status} {reason} [{call_id}]",
            method=context.forward.ticket.method,
            uri=context.forward.ticket.request.uri,
            status=status,
            reason=error.reason,
            call_id=context.forward.ticket.call_id,
        )
        retry = getattr(error, "retry_after", None)
        extra = (("Retry-After", str(retry)),) if retry else ()
        self.own_answer(context, branch, status, error.reason, extra)

    def own_answer(
        self,
        context: Context,
        branch: str,
        status: int,
        reason: str = "",
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        """
        A branch ends with an answer that nobody sent.
        """
        if context.transaction is None:
            return
        response = make_response(
            context.forward.ticket.request, status, reason, new_tag(), (SERVER, *headers)
        )
        self._receive(context, branch, response)

    def _fail(self, context: Context, branch: str) -> Callable[[Failure], None]:
        def failed(failure: Failure) -> None:
            def again(*_: object) -> None:
                failure.raiseException()

            self._guard(context, branch, again)

        return failed

    def _seek(self, context: Context, branch: str, target: Target) -> None:
        if target.hop is not None:
            self._approach(context, branch, target, [target.hop])
            return
        host, port, transport = host_and_port(target.next_hop)
        found = self.resolver.resolve(host, port, "UDP" if transport else None)
        if not isinstance(found, Deferred):
            self._approach(context, branch, target, found)
            return
        when(
            found,
            lambda hops: self._guard(context, branch, self._approach, target, hops),
            self._fail(context, branch),
        )

    def _approach(self, context: Context, branch: str, target: Target, hops: list[Hop]) -> None:
        identity = self._core.identity
        side = target.side
        if target.hop is None:
            if len(hops) > 1:
                hops = self.prefer(context.forward.ticket.from_.aor, hops)
            if identity.is_own_hop(hops[0].host, hops[0].port):
                self._recognize(context, host_and_port(target.next_hop)[0])
                return
            side = self._core.direction.side_of(hops[0], identity)
        if not context.is_anchored:
            context.is_anchored = True
            self._mediation.begin(context, side, hops[0].host, self._depart_guarded)
        self._depart(context, branch, target, hops, side)

    def prefer(self, aor: str, hops: list[Hop]) -> list[Hop]:
        """
        The server that took an account's registration first, unless it is dead.
        """
        server = self._peers.server_of(aor)
        if server is None or server not in hops or self.resolver.is_dead(server):
            return hops
        return [server, *[hop for hop in hops if hop != server]]

    def _depart(
        self, context: Context, branch: str, target: Target, hops: list[Hop], side: Side
    ) -> None:
        """
        Send when the media is there; without it, no target is sent anything.
        """
        if context.refusal is not None:
            raise context.refusal
        if context.waiting is not None:
            context.waiting.append((branch, target, hops, side))
            return
        self._transmit(context, branch, target, hops, side)

    def _depart_guarded(self, context: Context, branch: str, *arguments: Any) -> None:
        self._guard(context, branch, self._depart, *arguments)

    def _recognize(self, context: Context, name: str) -> None:
        """
        A name turned out to be ours: the request is for us after all.
        """
        identity = self._core.identity
        is_full = len(identity.names) >= NAMES_LIMIT
        if name in identity.names or is_full or context.transaction is None:
            raise SIPError("Loop Detected", 482)
        self._core.identity = replace(identity, names=identity.names | {name})
        self.above.serve(context.transaction, context.forward.asked or context.forward.ticket)

    def _transmit(
        self, context: Context, branch: str, target: Target, hops: list[Hop], side: Side
    ) -> None:
        if context.fork.is_cancelled or context.fork.is_answered:
            self.own_answer(context, branch, 487)
            return
        identity = self._core.identity
        if identity.insides:
            identity = identity.toward(side, hops[0].host)
        request, passage = self._passages.prepare(
            context.forward,
            target,
            hops[0],
            side,
            branch,
            identity,
            context.place,
            context.offers,
        )
        if passage.attempt is not None and would_overflow(passage.attempt, self._locations):
            raise NoFreePorts("Too many registrations")
        if self._renumbering.used:
            request, passage = self._renumbering.send(request, passage)
        if side is Side.OUTSIDE:
            self._peers.note(hops[0])
        if self._core.stages is not None:
            request = self._core.stages.leave(request, context.forward.ticket, passage)
        if context.transaction is None:
            self.sender.send(bytes(request), hops[0], side)
            return
        context.passages[branch] = passage
        rest = hops[1:]
        patience = PATIENCE if rest else 0.0
        self._transactions.send(request, branch, hops[0], side, (context, rest), patience=patience)

    def go_on(self, context: Context, branch: str, passage: Passage, hops: list[Hop]) -> None:
        """
        Send what ``passage`` carried to another server of the same domain.
        """
        self._guard(context, branch, self._transmit, passage.target, hops, passage.side)

    def cancel(self, context: Context) -> None:
        """
        The caller gave up (RFC 3261 section 16.10).
        """
        for branch in context.fork.cancel():
            self._transactions.cancel(branch)

    # Back from the targets

    def response_arrived(self, transaction: ClientTransaction, response: Response) -> None:
        """
        A response came from a target.
        """
        if transaction.user is None:
            return
        context, rest = transaction.user
        if response.status == 503 and self.failover.try_other(transaction, context, rest):
            return
        self.resolver.mark_alive(transaction.hop)
        passage = context.passages.get(transaction.branch)
        if passage is not None and passage.attempt is not None and response.status >= 200:
            self._complete(context, transaction.branch, passage, response)
            return
        self._receive(context, transaction.branch, as_upstream(response))

    def _complete(
        self, context: Context, branch: str, passage: Passage, response: Response
    ) -> None:
        """
        The registrar has spoken: on disk first, then to the phone.
        """
        told, saved = self.register(passage, response)
        when(
            saved,
            lambda _: self._guard(context, branch, self._receive, told),
            self._fail(context, branch),
        )

    def register(
        self, passage: Passage, response: Response
    ) -> tuple[Response, Deferred[None] | None]:
        """
        Put into effect what a registrar said: its answer for the phone, and what fires
        when it is on disk; ``None`` when there is nothing to write.
        """
        now = self._reactor.seconds()
        completion = self._passages.complete(passage, response, self._core.identity, now)
        if completion is None or passage.attempt is None:
            return response, None
        told = response._replace(headers=completion.headers)
        if not (completion.changed or completion.removed):
            return told, None
        self._peers.note(passage.hop, passage.attempt.registrar)
        self._peers.note_account(passage.attempt.aor, passage.hop)
        return told, self.above.apply(completion.changed, completion.removed)

    def _receive(self, context: Context, branch: str, response: Response) -> None:
        verdict = context.fork.receive(branch, response)
        for other in verdict.cancel:
            self._transactions.cancel(other)
        if verdict.try_next:
            self.start(context)
        elif verdict.forward is not None:
            self._pass_back(context, verdict.branch, verdict.forward)

    def _pass_back(self, context: Context, branch: str, response: Response) -> None:
        """
        Send a response to the one who asked.
        """
        transaction, passage = context.transaction, context.passages.get(branch)
        if transaction is None or transaction.status >= 300:
            self._hang_up(passage, response)
            return
        ticket = context.forward.ticket
        if passage is None:
            self._mediation.end_refused(context, response)
            headers = response.headers.replaced({"via": ticket.vias})
            self._transactions.respond(transaction, response._replace(headers=headers))
            return
        if self._core.stages is not None:
            response = self._core.stages.response(response, passage)
        identity = self._core.identity
        if identity.insides:
            identity = identity.toward(passage.source_side, ticket.source.host)
        try:
            answer = self._passages.answer(passage, response, identity)
            description = self._negotiation.of_response(passage, response, identity)
            if description is None:
                answer = self._negotiation.hide(answer, passage.side, passage.source_side, identity)
        except MalformedMessage as error:
            self._log.warn(
                "Response {status} from {hop}: {reason} [{call_id}]",
                status=response.status,
                hop=str(passage.hop),
                reason=error.reason,
                call_id=ticket.call_id,
            )
            if response.status >= 200:
                self._disappoint(context, passage, response, 502)
            return
        if description is None:
            self._send_back(context, passage, answer, response)
            return
        self._mediation.answer(
            answer,
            description,
            ticket,
            lambda anchored: self._send_back(context, passage, anchored, response),
            lambda status: self._disappoint(context, passage, response, status),
        )

    def _disappoint(
        self, context: Context, passage: Passage, response: Response, status: int
    ) -> None:
        """
        The caller is refused in the place of an answer that cannot be used, and
        whoever gave it is told that nobody heard it.
        """
        request = context.forward.ticket.request
        refusal = make_response(request, status, "", new_tag(), (SERVER,))
        answer = self._passages.answer(passage, refusal, self._core.identity)
        self._send_back(context, passage, answer)
        self._hang_up(passage, response)

    def _hang_up(self, passage: Passage | None, response: Response) -> None:
        if passage is not None:
            self._hangup.end(passage, response)

    def _send_back(
        self, context: Context, passage: Passage, answer: Response, heard: Response | None = None
    ) -> None:
        """
        :param heard: what ``answer`` was made of, when it was read before.
        """
        self._mediation.settle(passage, answer if heard is None else heard)
        if context.transaction is None:
            return
        if self._renumbering.used:
            answer = self._renumbering.answer(answer, passage)
        if answer.status == 408 and passage.method != "INVITE":
            # RFC 4320 section 4.2: the client has given up as well by now, and a
            # 408 that comes too late is a stray.
            self._transactions.abandon(context.transaction)
        else:
            self._transactions.respond(context.transaction, answer)
            if 200 <= answer.status < 300 and not context.fork.pending:
                context.slim()
