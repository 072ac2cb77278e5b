"""
Registers phones at their providers again when our address changes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from siptwist.errors import SIPError
from siptwist.logs import logger
from siptwist.proxy.core import Core
from siptwist.proxy.decision import Forward
from siptwist.proxy.direction import Peers
from siptwist.proxy.identity import NOWHERE, Identity
from siptwist.proxy.passage import Passage, Passages
from siptwist.proxy.registration.location import Binding, Locations
from siptwist.proxy.registration.repeating import (
    as_repeat,
    is_known_there,
    may_repeat,
    repeated,
)
from siptwist.proxy.routing import host_and_port
from siptwist.services.serving.context import new_branch, new_tag, when
from siptwist.services.serving.forwarding import Forwarding
from siptwist.services.transactions import TransactionService
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Response
from siptwist.sip.transaction import ClientTransaction

# How many bindings at a time, and seconds between two times: 50 a second.
BATCH, STEP = 5, 0.1
# Those whose registrar said nothing useful are tried once more after so many seconds;
# and those for whom an answer to the old address came in between.
AGAIN_SECONDS = 30.0
# How many of those that must wait are named in the log.
LINES = 10


@dataclass(slots=True, eq=False)
class Round:
    """
    What is done because of one change.  ``refused`` are the masks of bindings whose
    registrar wants the phone itself.
    """

    began: float
    waiting: deque[str]
    is_second: bool = False
    count: int = 0
    done: int = 0
    named: int = 0
    under_way: set[Try] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)


@dataclass(slots=True, eq=False)
class Try:
    """
    One binding that is being registered again, ``rest`` the servers that are left.
    """

    round: Round
    binding: Binding
    forward: Forward | None = None
    rest: list[Hop] = field(default_factory=list)
    passage: Passage | None = None
    transaction: ClientTransaction | None = None


class Repeating(Service):
    """
    Sends each registrar outside the last REGISTER that it accepted, with a Contact at
    our new address.  Where that is not accepted nothing is lost: the phone comes itself,
    as it would have.  The phone hears nothing of this.
    """

    name = "repeating"
    _log = logger()

    def __init__(
        self,
        reactor: IReactorTime,
        core: Core,
        locations: Locations,
        peers: Peers,
        passages: Passages,
        transactions: TransactionService,
        forwarding: Forwarding,
    ) -> None:
        self._reactor = reactor
        self._core = core
        self._locations = locations
        self._peers = peers
        self._passages = passages
        self._transactions = transactions
        self._forwarding = forwarding
        self._round = Round(0.0, deque())
        self._again: IDelayedCall | None = None
        self._stepping = LoopingCall(self._step)
        self._stepping.clock = reactor

    def stopService(self) -> None:
        super().stopService()
        self._stop()

    def move(self, old: Identity, new: Identity) -> None:
        """
        We were ``old``, and are ``new``: what was begun for ``old`` is begun anew.
        """
        if old.outside == new.outside or new.outside.host == NOWHERE:
            return
        self._stop()
        now = self._reactor.seconds()
        found = deque(one.mask for one in self._locations if may_repeat(one, now))
        self._begin(Round(now, found))

    def _stop(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None
        if self._stepping.running:
            self._stepping.stop()
        for one in self._round.under_way:
            if one.transaction is not None:
                # It would be sent again, and tell an address that is not ours any more.
                self._transactions.drop(one.transaction)
        self._round = Round(0.0, deque())

    def _begin(self, round: Round) -> None:
        self._round = round
        self._stepping.start(STEP)

    def _step(self) -> None:
        round = self._round
        for _ in range(min(BATCH, len(round.waiting))):
            self._try(round, round.waiting.popleft())
        if not round.waiting:
            self._stepping.stop()
            self._look_at_end(round)

    # One binding

    def _try(self, round: Round, mask: str) -> None:
        now = self._reactor.seconds()
        binding = self._locations.by_mask(mask)
        if binding is None or not may_repeat(binding, now):
            return
        if binding.updated_at >= round.began and is_known_there(binding, self._core.identity):
            # Its phone was quicker.
            return
        one = Try(round, binding)
        round.count += 1
        round.under_way.add(one)
        self._guard(one, self._seek)

    def _guard(self, one: Try, step: Callable[..., None], *arguments: Any) -> None:
        """
        Take a step; what it raises is why this one must wait.
        """
        try:
            step(one, *arguments)
        except Exception:
            self._fail_for(one, Failure())

    def _fail_for(self, one: Try, failure: Failure) -> None:
        if failure.check(SIPError) is None:
            self._log.failure("Registering {aor!r} again", failure, aor=one.binding.aor)
        self._fail(one, failure.getErrorMessage())

    def _seek(self, one: Try) -> None:
        now = self._reactor.seconds()
        call_id = f"{new_tag()}{new_tag()}@{self._core.identity.outside.host}"
        one.forward = repeated(one.binding, self._core.proxies, call_id, new_tag(), now)
        host, port, transport = host_and_port(one.forward.targets[0].next_hop)
        found = self._forwarding.resolver.resolve(host, port, "UDP" if transport else None)
        when(
            found,
            lambda hops: self._guard(
                one, self._approach, self._forwarding.prefer(one.binding.aor, hops)
            ),
            lambda failure: self._fail_for(one, failure),
        )

    def _approach(self, one: Try, hops: list[Hop]) -> None:
        """
        Send to the first of ``hops``.
        """
        if one.forward is None or one not in self._round.under_way:
            return
        identity, hop = self._core.identity, hops[0]
        side = self._core.direction.side_of(hop, identity)
        if side is not Side.OUTSIDE or identity.is_own_hop(hop.host, hop.port):
            self._fail(one, "its registrar is not outside")
            return
        ticket, (target,) = one.forward.ticket, one.forward.targets
        branch = new_branch(self._core.loops.mark(ticket))
        request, passage = self._passages.prepare(one.forward, target, hop, side, branch, identity)
        request, one.passage = as_repeat(request, passage, one.binding)
        self._peers.note(hop)
        if self._core.stages is not None:
            request = self._core.stages.leave(request, ticket, one.passage)
        one.rest = hops[1:]
        one.transaction = self._transactions.send(request, branch, hop, side, one, asker=self)

    # Answers

    def response_arrived(self, transaction: ClientTransaction, response: Response) -> None:
        """
        A registrar said something to a REGISTER of ours.
        """
        if response.status < 200:
            return
        one: Try = transaction.user
        if response.status == 503 and self._try_other(one, transaction):
            return
        self._forwarding.resolver.mark_alive(transaction.hop)
        if response.status < 300:
            self._take(one, response)
            return
        if response.status < 500:
            one.round.refused.add(one.binding.mask)
        self._fail(one, str(response.status))

    def timed_out(self, transaction: ClientTransaction) -> None:
        """
        A registrar said nothing.
        """
        one: Try = transaction.user
        if not self._try_other(one, transaction):
            self._fail(one, "no answer")

    def refused(self, transaction: ClientTransaction) -> None:
        """
        A registrar cannot be reached.
        """
        one: Try = transaction.user
        if not self._try_other(one, transaction):
            self._fail(one, "cannot be reached")

    def _try_other(self, one: Try, transaction: ClientTransaction) -> bool:
        """
        Go on with the next server of the provider, if one is left.
        """
        if not one.rest:
            return False
        self._forwarding.resolver.mark_dead(transaction.hop)
        self._guard(one, self._approach, one.rest)
        return True

    def _take(self, one: Try, response: Response) -> None:
        if one.passage is None or self._locations.by_mask(one.binding.mask) is not one.binding:
            # Its phone has come, or has gone, in the meantime: it knows better.
            one.round.count -= 1
            self._finish(one)
            return
        _, saved = self._forwarding.register(one.passage, response)
        when(saved, lambda _: self._succeed(one), lambda failure: self._fail_for(one, failure))

    def _succeed(self, one: Try) -> None:
        one.round.done += 1
        self._finish(one)

    def _fail(self, one: Try, why: str) -> None:
        if one not in self._round.under_way:
            return
        say = self._log.info if one.round.named < LINES else self._log.debug
        one.round.named += 1
        say(
            "{aor!r} cannot be registered again at {registrar!r} by us: {why}",
            aor=one.binding.aor,
            registrar=one.binding.registrar,
            why=why,
        )
        self._finish(one)

    def _finish(self, one: Try) -> None:
        one.round.under_way.discard(one)
        self._look_at_end(one.round)

    # The end

    def _look_at_end(self, round: Round) -> None:
        if round is not self._round or self._stepping.running or round.under_way:
            return
        if round.count:
            self._log.info(
                "{done} of {count} bindings refreshed at their providers; "
                "{left} must wait for their phones",
                done=round.done,
                count=round.count,
                left=round.count - round.done,
            )
        if not round.is_second:
            self._again = self._reactor.callLater(AGAIN_SECONDS, self._look_again, round)

    def _look_again(self, first: Round) -> None:
        """
        Once more for those whose registrar knows us by an address that we had.
        """
        self._again = None
        now, identity = self._reactor.seconds(), self._core.identity
        found = deque(
            one.mask
            for one in self._locations
            if may_repeat(one, now)
            and not is_known_there(one, identity)
            and one.mask not in first.refused
        )
        self._begin(Round(now, found, is_second=True))
