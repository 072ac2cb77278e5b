"""
The proxy at work: messages in, the core's decisions carried out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.python.failure import Failure
from zope.interface import implementer

from siptwist.errors import MalformedMessage, SIPError
from siptwist.interfaces import IMessageReceiver, IMessageSender, IRegistrationStore
from siptwist.logs import logger
from siptwist.proxy.core import Core
from siptwist.proxy.decision import Decision, Drop, Forward, Reply
from siptwist.proxy.registration.location import Binding, Locations
from siptwist.proxy.screening.validation import timestamp_of
from siptwist.proxy.ticket import Ticket
from siptwist.proxy.vias import arrived_vias
from siptwist.services.complaints import Complaints
from siptwist.services.keepalive import Pings
from siptwist.services.serving.context import SERVER, Context, new_tag
from siptwist.services.serving.forwarding import Forwarding
from siptwist.services.transactions import TransactionService
from siptwist.sip.headers import Header
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Request, Response, make_response, parse
from siptwist.sip.transaction import ClientTransaction, ServerTransaction


@implementer(IMessageReceiver)
class SignalingService(Service):
    """
    Receives messages, keeps transactions, and answers or forwards.

    ``heard`` is told where each request and each keep-alive came from.  ``gate`` says
    what is to be read in the place of what arrives, if anybody wants to see that.
    """

    _log = logger()
    gate: Callable[[bytes, Hop, Side], bytes] | None = None

    def __init__(
        self,
        reactor: IReactorTime,
        core: Core,
        locations: Locations,
        store: IRegistrationStore,
        sender: IMessageSender,
        transactions: TransactionService,
        forwarding: Forwarding,
    ) -> None:
        self._reactor = reactor
        self.core = core
        self._locations = locations
        self._store = store
        self.sender = sender
        self._transactions = transactions
        self.forwarding = forwarding
        self.complaints = Complaints()
        self.pings = Pings(core, sender)
        self.heard: Callable[[Hop], object] = lambda source: None
        transactions.user = self
        forwarding.above = self

    # From the network

    def message_received(self, data: bytes, source: Hop, side: Side) -> None:
        """
        One datagram.  Never raises: what is wrong is answered, counted, logged.
        """
        try:
            if self.gate is not None:
                data = self.gate(data, source, side)
                if not data:
                    return
            # Before the letters are only pings, and what hides a message.
            if data[:1] < b"A":
                data = self._take_ping(data, source, side)
                if not data:
                    return
            message = parse(data)
            if isinstance(message, Response):
                self._receive_response(message)
                return
            if self.core.identity.one_socket:
                is_phone = self.core.direction.is_phone(
                    source, side, self.core.identity, message.method
                )
                side = Side.INSIDE if is_phone else Side.OUTSIDE
            self._receive_request(message, source, side)
        except Exception as error:
            self._bemoan(error, source, side)

    def _take_ping(self, data: bytes, source: Hop, side: Side) -> bytes:
        """
        Answer a keep-alive; what is left is a message.
        """
        if self.pings.take(data, source, side):
            self.heard(source)
            return b""
        # RFC 3261 section 7.5: line breaks before a message mean nothing;
        # nothing else behind them is a phone that keeps its NAT open.
        return data.lstrip(b"\r\n\0 ")

    def _bemoan(self, error: Exception, source: Hop, side: Side) -> None:
        """
        A message could not be taken: the sender's fault, or ours.
        """
        try:
            if not isinstance(error, MalformedMessage):
                raise error
            self._complain("malformed", source, error.reason)
            if error.request is not None:
                self._refuse(error.request, source, side, error)
        except Exception:
            self._complain("failure", source, "an error of ours")
            self._log.failure("Message from {source}", source=str(source))

    def _receive_request(self, request: Request, source: Hop, side: Side) -> None:
        self.heard(source)
        try:
            self._transactions.receive_request(request, source, side)
        except MalformedMessage:
            raise
        except SIPError as error:
            self._complain("overload", source, error.reason)
            self._refuse(request, source, side, error)

    def _receive_response(self, response: Response) -> None:
        if not self._transactions.receive_response(response):
            # Every late repetition is one: counted, never logged.
            self.complaints.counts["stray response"] += 1

    def _complain(self, kind: str, source: Hop, text: str) -> None:
        if self.complaints.note(kind, source.host, self._reactor.seconds()):
            self._log.warn(
                "{kind} message from {source}: {text}", kind=kind, source=str(source), text=text
            )

    def _refuse(self, request: Request, source: Hop, side: Side, error: SIPError) -> None:
        """
        Answer without a transaction what could not have one.
        """
        if request.method == "ACK" or "via" not in request.headers:
            return
        tag = new_tag()
        vias: tuple[Header, ...] = ()
        # A Via that cannot be read is the very reason for this answer, which
        # goes to where the request came from.
        with suppress(MalformedMessage):
            vias = arrived_vias(request.headers, request.headers.via, source)
        response = make_response(request, error.status, error.reason, tag, (SERVER,), vias)
        self.sender.send(bytes(response), source, side)

    # From the transactions

    def request_arrived(self, transaction: ServerTransaction, request: Request) -> None:
        ticket = Ticket.make(request, transaction.source, transaction.side, self._reactor.seconds())
        if request.method == "CANCEL":
            self.reply(transaction, ticket, Reply(481, why="nothing to cancel"))
            return
        self.serve(transaction, ticket)

    def cancel_arrived(
        self, transaction: ServerTransaction, request: Request, invite: ServerTransaction
    ) -> None:
        now = self._reactor.seconds()
        ticket = Ticket.make(request, transaction.source, transaction.side, now)
        self.reply(transaction, ticket, Reply(200, why="INVITE cancelled"))
        context = invite.user
        if isinstance(context, Context):
            if self.core.stages is not None:
                self.core.stages.pre_proxy(context.forward.with_ticket(ticket))
            self.forwarding.cancel(context)

    def give_up(self, call_id: str) -> int:
        """
        Cancel what nobody has answered yet, as if its caller did.

        :returns: how many INVITEs that were.
        """
        users = [one for one in self._transactions.unanswered() if isinstance(one, Context)]
        found = [one for one in users if one.forward.ticket.call_id == call_id]
        for context in found:
            self.forwarding.cancel(context)
        return len(found)

    def still_waiting(self, transaction: ServerTransaction, request: Request) -> None:
        now = self._reactor.seconds()
        ticket = Ticket.make(request, transaction.source, transaction.side, now)
        self._answer(transaction, ticket, Reply(100, headers=timestamp_of(ticket)))

    def ack_arrived(self, request: Request, source: Hop, side: Side) -> None:
        ticket = Ticket.make(request, source, side, self._reactor.seconds())
        decision = self._decide(ticket)
        if isinstance(decision, Forward):
            self.forwarding.start(Context(None, decision, self.core.loops.mark(ticket)))

    def response_arrived(self, transaction: ClientTransaction, response: Response) -> None:
        self.forwarding.response_arrived(transaction, response)

    def timed_out(self, transaction: ClientTransaction) -> None:
        self.forwarding.failover.timed_out(transaction)

    def refused(self, transaction: ClientTransaction) -> None:
        self.forwarding.failover.refused(transaction)

    def grew_silent(self, transaction: ClientTransaction) -> None:
        self.forwarding.failover.grew_silent(transaction)

    # Decisions

    def _decide(self, ticket: Ticket) -> Decision:
        try:
            return self.core.decide(ticket)
        except SIPError as error:
            return Reply(error.status, error.reason, why=error.reason)
        except Exception:
            self._log.failure("Deciding on {method}", method=ticket.method, call_id=ticket.call_id)
            return Reply(500, why="an error of ours")

    def serve(self, transaction: ServerTransaction, ticket: Ticket) -> None:
        decision = self._decide(ticket)
        if isinstance(decision, Reply):
            self.reply(transaction, ticket, decision)
        elif isinstance(decision, Drop):
            self._complain("unwanted", ticket.source, decision.why)
            self._transactions.forget(transaction)
        else:
            context = Context(transaction, decision, self.core.loops.mark(ticket))
            transaction.user = context
            if ticket.method == "INVITE" and not transaction.status:
                self._answer(transaction, ticket, Reply(100, headers=timestamp_of(ticket)))
            self.forwarding.start(context)

    def reply(self, transaction: ServerTransaction, ticket: Ticket, reply: Reply) -> None:
        if not (reply.changed or reply.removed):
            self._answer(transaction, ticket, reply)
            return
        saved = self.apply(reply.changed, reply.removed)
        saved.addCallbacks(
            lambda _: self._answer(transaction, ticket, reply),
            lambda _: self._answer(transaction, ticket, Reply(500, why="registration not saved")),
        )
        saved.addErrback(self._report, ticket)

    def _report(self, failure: Failure, ticket: Ticket) -> None:
        self._log.failure("Answering {method}", failure, method=ticket.method)

    def apply(self, changed: Iterable[Binding], removed: Iterable[str]) -> Deferred[None]:
        """
        Change bindings, and fire when they are on disk.

        They count at once, for a registrar's first NOTIFY may follow its 2xx at
        its heels; when the disk fails, the old ones come back.
        """
        changed, removed = tuple(changed), tuple(removed)
        before: dict[str, tuple[Binding | None, Binding | None]] = {
            binding.mask: (self._locations.by_mask(binding.mask), binding) for binding in changed
        }
        for binding in changed:
            self._locations.put(binding)
            old = before[binding.mask][0]
            # What we repeat ourselves is no sign of life of its phone.
            if old is None or (old.call_id, old.cseq) != (binding.call_id, binding.cseq):
                self.heard(binding.source)
        for mask in removed:
            gone = self._locations.remove(mask)
            if gone is not None:
                before[mask] = (gone, None)
                self.core.retire(gone, self._reactor.seconds())
        saved: Deferred[None] = self._store.save(changed, removed)
        return saved.addErrback(self._take_back, before)

    def _take_back(
        self, failure: Failure, before: Mapping[str, tuple[Binding | None, Binding | None]]
    ) -> Failure:
        """
        Undo what is not on disk, except where a newer request has changed it.
        """
        for mask, (old, new) in before.items():
            if self._locations.by_mask(mask) is new:
                self._locations.remove(mask)
                if old is not None:
                    self._locations.put(old)
        return failure

    def _answer(self, transaction: ServerTransaction, ticket: Ticket, reply: Reply) -> None:
        tag = "" if reply.status == 100 else new_tag()
        headers = (SERVER, *reply.headers)
        response = make_response(
            ticket.request, reply.status, reply.reason, tag, headers, ticket.vias
        )
        self._transactions.respond(transaction, response)
        if reply.status >= 200:
            transaction.user = None
            self._log.info(
                "{method} {uri!r} from {source}: {status} {why} [{call_id}]",
                method=ticket.method,
                uri=ticket.request.uri,
                source=str(ticket.source),
                status=reply.status,
                why=reply.why,
                call_id=ticket.call_id,
            )
