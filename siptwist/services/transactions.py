"""
Owns transactions and their timers (RFC 3261 section 17): absorbs what is
repeated, repeats what is lost, and hands up what is new.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from siptwist.errors import SIPError
from siptwist.interfaces import IMessageSender, IUndeliverable
from siptwist.logs import logger
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Request, Response
from siptwist.sip.timers import TimerWheel
from siptwist.sip.transaction import (
    ClientTransaction,
    Event,
    Key,
    ServerTransaction,
    State,
    client_key,
    derived,
    sent_key,
    server_key,
)

RESOLUTION = 0.1
# The longest payload of a UDP datagram.
MAX_MESSAGE = 65_507


class ResponseUser(Protocol):
    """
    Who waits for the answer to a request of ours.
    """

    def response_arrived(self, transaction: ClientTransaction, response: Response) -> None:
        """
        A response that is no repetition.
        """

    def timed_out(self, transaction: ClientTransaction) -> None:
        """
        The next hop never answered.
        """

    def refused(self, transaction: ClientTransaction) -> None:
        """
        The next hop cannot be reached (RFC 3261 section 17.1.4).
        """


class TransactionUser(ResponseUser, Protocol):
    """
    The core above the transactions (RFC 3261 section 5).
    """

    def request_arrived(self, transaction: ServerTransaction, request: Request) -> None:
        """
        A new request, not an ACK.
        """

    def cancel_arrived(
        self, transaction: ServerTransaction, request: Request, invite: ServerTransaction
    ) -> None:
        """
        The caller gives ``invite`` up.
        """

    def still_waiting(self, transaction: ServerTransaction, request: Request) -> None:
        """
        A client repeats a request, and shall hear 100.
        """

    def ack_arrived(self, request: Request, source: Hop, side: Side) -> None:
        """
        An ACK for a 2xx.
        """

    def grew_silent(self, transaction: ClientTransaction) -> None:
        """
        The next hop has not said anything for as long as was to be waited.
        """


class Patience:
    """
    How long a next hop may be silent.
    """

    __slots__ = ("due", "transaction")

    def __init__(self, due: float, transaction: ClientTransaction) -> None:
        self.due = due
        self.transaction = transaction


Waiting = ServerTransaction | ClientTransaction | Patience
# Makes of a response the one that is sent.
Dress = Callable[[Response, Hop, Side], Response]


@implementer(IUndeliverable)
class TransactionService(Service):
    """
    All transactions, with one timer for them together.

    :param limit: how many server transactions may exist; above it, requests
        are answered 503 without state.

    ``dress`` is shown every response that goes out, if anybody wants to see them.
    """

    _log = logger()
    user: TransactionUser
    dress: Dress | None = None

    def __init__(self, reactor: IReactorTime, sender: IMessageSender, limit: int = 100_000) -> None:
        self._reactor = reactor
        self.sender = sender
        self._limit = limit
        self._servers: dict[Key, ServerTransaction] = {}
        self._clients: dict[Key, ClientTransaction] = {}
        self._wheel: TimerWheel[Waiting] = TimerWheel(reactor.seconds(), RESOLUTION)
        self._call: IDelayedCall | None = None
        # Hops that cannot be reached, and the transactions that have told us.
        self._unreachable: dict[Hop, set[Key]] = {}

    def __len__(self) -> int:
        return len(self._servers) + len(self._clients)

    def stopService(self) -> None:
        Service.stopService(self)
        if self._call is not None:
            self._call.cancel()
            self._call = None
        self._servers.clear()
        self._clients.clear()
        self._unreachable.clear()

    def unanswered(self) -> list[object]:
        """
        Whom INVITEs belong to that have no final answer.
        """
        servers = self._servers.values()
        return [one.user for one in servers if one.is_invite and not one.is_final]

    # Requests

    def receive_request(self, request: Request, source: Hop, side: Side) -> None:
        """
        A request came from the network.

        :raises SIPError: 503 when there are too many.
        """
        key = server_key(request)
        known = self._servers.get(key)
        now = self._reactor.seconds()
        if request.method == "ACK":
            if known is None or not known.acknowledge(now):
                self.user.ack_arrived(request, source, side)
            return
        if known is not None:
            if known.last:
                self.sender.send(known.last, known.source, known.side)
            elif known.wants_trying(now):
                self.user.still_waiting(known, request)
            return
        if len(self._servers) >= self._limit:
            raise SIPError("Too many transactions", 503)
        transaction = ServerTransaction(key, request.method, source, side, now)
        self._servers[key] = transaction
        if request.method == "CANCEL":
            invite = self._servers.get(server_key(request, of_invite=True))
            if invite is not None:
                self.user.cancel_arrived(transaction, request, invite)
                return
        self.user.request_arrived(transaction, request)

    def respond(self, transaction: ServerTransaction, response: Response) -> bool:
        """
        Send a response in a transaction, and again if it must be; whether it
        was sent.
        """
        if self.dress is not None:
            response = self.dress(response, transaction.source, transaction.side)
        data = bytes(response)
        was_final = transaction.is_final
        if not transaction.respond(response.status, data, self._reactor.seconds()):
            return False
        self.sender.send(data, transaction.source, transaction.side)
        if transaction.is_final and not was_final:
            transaction.user = None
            self._watch(transaction)
        return True

    def forget(self, transaction: ServerTransaction) -> None:
        """
        A request that is not answered at all leaves nothing behind.
        """
        self._servers.pop(transaction.key, None)
        transaction.user = None

    def abandon(self, transaction: ServerTransaction) -> None:
        """
        Never answer, but absorb what is repeated until the client gives up too.
        """
        if not transaction.is_final:
            transaction.abandon(self._reactor.seconds())
            transaction.user = None
            self._watch(transaction)

    # Responses

    def receive_response(self, response: Response) -> bool:
        """
        A response came from the network; whether it belongs to anything.
        """
        headers = response.headers
        transaction = self._clients.get(client_key(headers.via.branch, headers.cseq.method))
        if transaction is None or transaction.method != headers.cseq.method:
            return False
        now = self._reactor.seconds()
        was_calling = transaction.state is State.CALLING
        is_new = transaction.receive(response.status, now)
        if is_new:
            if response.status >= 200:
                self._complete(transaction, response)
            elif transaction.cancelled and was_calling:
                self._send_cancel(transaction)
            (transaction.asker or self.user).response_arrived(transaction, response)
            if response.status >= 200 and transaction.state is not State.ACCEPTED:
                transaction.user = None
        elif transaction.ack and response.status >= 300:
            self.sender.send(transaction.ack, transaction.hop, transaction.side)
        return True

    def _complete(self, transaction: ClientTransaction, response: Response) -> None:
        request, transaction.request = transaction.request, None
        if request is not None and transaction.is_invite and response.status >= 300:
            to = next(header for header in response.headers if header[0] == "to")
            transaction.ack = bytes(derived(request, "ACK", to))
            self.sender.send(transaction.ack, transaction.hop, transaction.side)

    def send(
        self,
        request: Request,
        branch: str,
        hop: Hop,
        side: Side,
        user: object,
        patience: float = 0.0,
        asker: ResponseUser | None = None,
    ) -> ClientTransaction:
        """
        Send a request and watch over its answer.  Its topmost Via is ours.

        :param user: what is kept with the transaction until it is over.
        :param asker: who hears the answer; ``None`` is the core.
        :param patience: seconds of silence after which the user is told; 0 for never.
        :raises SIPError: 513 when it does not fit into a datagram.
        """
        data = bytes(request)
        if len(data) > MAX_MESSAGE:
            raise SIPError("", 513)
        now = self._reactor.seconds()
        transaction = ClientTransaction(branch, request, hop, side, now)
        transaction.user = user
        transaction.asker = asker
        self._clients[transaction.key] = transaction
        self._watch(transaction)
        if patience:
            self._wheel.add(Patience(now + patience, transaction))
        self.sender.send(data, hop, side)
        return transaction

    def drop(self, transaction: ClientTransaction) -> None:
        """
        Its request is sent no more, and nobody waits for the answer.
        """
        self._forget_client(transaction)
        transaction.fail()
        transaction.user = None

    def cancel(self, branch: str) -> None:
        """
        Cancel the INVITE sent with this branch (RFC 3261 section 9.1): now, or
        when its first provisional response comes.
        """
        transaction = self._clients.get(client_key(branch, "INVITE"))
        if transaction is not None and transaction.cancel(self._reactor.seconds()):
            self._send_cancel(transaction)

    def _send_cancel(self, transaction: ClientTransaction) -> None:
        if transaction.request is not None:
            cancel = derived(transaction.request, "CANCEL", None)
            self.send(cancel, transaction.branch, transaction.hop, transaction.side, None)

    # Hops that cannot be reached

    def undeliverable(self, data: bytes, hop: Hop) -> None:
        """
        Whoever cannot name the branch of a request on its way there has made it up.
        """
        key = sent_key(data)
        transaction = self._clients.get(key)
        if transaction is None or transaction.hop[:2] != hop[:2] or not transaction.is_waiting:
            return
        self._unreachable.setdefault(transaction.hop, set()).add(key)

    def _give_up(self) -> None:
        """
        Whoever has heard nothing yet from such a hop does not wait for it.
        """
        unreachable, self._unreachable = self._unreachable, {}
        for transaction in list(self._clients.values()):
            told = unreachable.get(transaction.hop)
            if told is None or not transaction.is_waiting:
                continue
            if transaction.state is State.CALLING or transaction.key in told:
                try:
                    self._refuse(transaction)
                except Exception:
                    self._log.failure("Unreachable hop of a transaction")

    def _refuse(self, transaction: ClientTransaction) -> None:
        self._forget_client(transaction)
        transaction.fail()
        if transaction.method != "CANCEL":
            (transaction.asker or self.user).refused(transaction)
            transaction.user = None
            return
        # Who cannot be told to stop does not ring any more.
        invite = self._clients.get(client_key(transaction.branch, "INVITE"))
        if invite is not None and invite.state is State.PROCEEDING:
            self._refuse(invite)

    # Timers

    def _watch(self, transaction: ServerTransaction | ClientTransaction) -> None:
        self._wheel.add(transaction)
        if self._call is None:
            self._call = self._reactor.callLater(RESOLUTION, self._tick)

    def _tick(self) -> None:
        self._call = None
        now = self._reactor.seconds()
        if self._unreachable:
            self._give_up()
        for transaction in self._wheel.advance(now):
            try:
                if isinstance(transaction, Patience):
                    self._lose_patience(transaction.transaction)
                else:
                    self._wake(transaction, now)
            except Exception:
                self._log.failure("Timer of a transaction")
        if self._servers or self._clients:
            self._call = self._reactor.callLater(RESOLUTION, self._tick)

    def _wake(self, transaction: ServerTransaction | ClientTransaction, now: float) -> None:
        event = transaction.tick(now)
        if event is Event.RESEND:
            self._resend(transaction)
        elif event is Event.RINGING_TOO_LONG and isinstance(transaction, ClientTransaction):
            if transaction.cancel(now):
                self._send_cancel(transaction)
        elif event is Event.TIMEOUT and isinstance(transaction, ClientTransaction):
            self._forget_client(transaction)
            if transaction.method != "CANCEL":
                (transaction.asker or self.user).timed_out(transaction)
            transaction.user = None
        elif event is Event.ENDED:
            if isinstance(transaction, ClientTransaction):
                self._forget_client(transaction)
            else:
                self._servers.pop(transaction.key, None)
            transaction.user = None
        if transaction.due:
            self._wheel.add(transaction)

    def _lose_patience(self, transaction: ClientTransaction) -> None:
        if transaction.state is State.CALLING and transaction.user is not None:
            self.user.grew_silent(transaction)

    def _forget_client(self, transaction: ClientTransaction) -> None:
        self._clients.pop(transaction.key, None)

    def _resend(self, transaction: ServerTransaction | ClientTransaction) -> None:
        if isinstance(transaction, ServerTransaction):
            self.sender.send(transaction.last, transaction.source, transaction.side)
        elif transaction.request is not None:
            self.sender.send(bytes(transaction.request), transaction.hop, transaction.side)
