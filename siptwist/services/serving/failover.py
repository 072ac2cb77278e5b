"""
The next server of a domain, when one is silent, overloaded or gone (RFC 3263
section 4.3), and what the caller is told when there is none.
"""

from __future__ import annotations

from typing import Any, Protocol

from siptwist.errors import SIPError, Unresolvable
from siptwist.interfaces import IResolver
from siptwist.logs import logger
from siptwist.proxy.passage import Passage
from siptwist.services.serving.context import Context, new_branch
from siptwist.sip.hop import Hop
from siptwist.sip.transaction import ClientTransaction

# Seconds without a word after which the next server of a domain is asked as well:
# by then a request has been repeated twice (timers A and E).
PATIENCE = 2.0


class Forwarder(Protocol):
    """
    What failover asks of forwarding.
    """

    resolver: IResolver

    def go_on(self, context: Context, branch: str, passage: Passage, hops: list[Hop]) -> None:
        """
        Send what ``passage`` carried to the first of ``hops``, under another branch.
        """

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


class Failover:
    """
    Decides what follows when a next hop does not take a request.

    The ``user`` of a transaction is its context, and the servers that are left.
    """

    _log = logger()

    def __init__(self, forwarder: Forwarder) -> None:
        self._forwarder = forwarder

    @property
    def _resolver(self) -> Any:
        return self._forwarder.resolver

    def grew_silent(self, transaction: ClientTransaction) -> None:
        """
        A server says nothing: ask the next one of its domain as well, and listen to
        whoever answers (RFC 3263 section 4.3 lets us wait for timer B; nobody does).
        """
        context, rest = transaction.user
        if not rest or _is_over(context, transaction):
            return
        self._resolver.mark_dead(transaction.hop)
        branch = new_branch(context.mark)
        context.fork.leave(transaction.branch, branch)
        transaction.user = (context, [])
        self._forwarder.go_on(context, branch, context.passages[transaction.branch], rest)

    def timed_out(self, transaction: ClientTransaction) -> None:
        """
        A target never answered: the next server of its domain, or 408.
        """
        if transaction.user is None:
            return
        context, rest = transaction.user
        if not self.try_other(transaction, context, rest):
            self._resolver.mark_dead(transaction.hop)
            self._forwarder.own_answer(context, transaction.branch, 408)

    def refused(self, transaction: ClientTransaction) -> None:
        """
        The network says that a target cannot be reached, which counts as its 503
        (RFC 3261 section 16.9): the next server of its domain, or an answer at once.

        That answer is 503 as well: without Retry-After it keeps nobody from us
        (section 21.5.4), and it is what happened.  A phone that is gone is 480.
        """
        if transaction.user is None:
            return
        context, rest = transaction.user
        if self.try_other(transaction, context, rest):
            return
        self._resolver.mark_dead(transaction.hop)
        passage = context.passages.get(transaction.branch)
        status = 503 if passage is None or passage.target.hop is None else 480
        if context.fork.is_cancelled or transaction.cancelled:
            status = 487
        self._log.info(
            "{method} to {hop}: {status}, cannot be reached [{call_id}]",
            method=transaction.method,
            hop=str(transaction.hop),
            status=status,
            call_id=context.forward.ticket.call_id,
        )
        self._forwarder.own_answer(context, transaction.branch, status)

    def try_other(self, transaction: ClientTransaction, context: Context, rest: list[Hop]) -> bool:
        """
        Go on with the next server of the same domain, if one is left and anybody
        still waits.
        """
        if not rest or _is_over(context, transaction):
            return False
        self._resolver.mark_dead(transaction.hop)
        passage = context.passages.pop(transaction.branch)
        branch = new_branch(context.mark)
        context.fork.replace(transaction.branch, branch)
        self._forwarder.go_on(context, branch, passage, rest)
        return True


def _is_over(context: Context, transaction: ClientTransaction) -> bool:
    return context.fork.is_cancelled or context.fork.is_answered or transaction.cancelled


def status_of(error: SIPError, context: Context) -> int:
    """
    The status to answer with.  That a Route, or the outbound proxy, does not exist
    says nothing about the user.
    """
    if not isinstance(error, Unresolvable) or error.status != 404:
        return error.status
    is_asked_for = any(target.uri == target.next_hop for target in context.forward.targets)
    return 404 if is_asked_for else 503
