"""
One request being served, and what those who serve it need of each other.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from siptwist.media.stream import CallKey, Party
from siptwist.proxy.decision import Forward, Reply, Target
from siptwist.proxy.forking import Fork
from siptwist.proxy.passage import Passage
from siptwist.proxy.registration.location import Binding
from siptwist.proxy.screening.loops import branch_ending
from siptwist.proxy.ticket import Ticket
from siptwist.sip.fields import MAGIC_COOKIE
from siptwist.sip.hop import Hop, Side
from siptwist.sip.transaction import ServerTransaction

# Our name in answers of ours (RFC 3261 section 20.35).
SERVER = ("Server", "siptwist")


class Context:
    """
    One request being served: its targets, what went where, and its call.

    ``transaction`` is ``None`` for an ACK, which nobody answers.  ``mark`` is what
    the request is known by when it comes back.
    """

    __slots__ = (
        "fork",
        "forward",
        "is_anchored",
        "mark",
        "offers",
        "passages",
        "place",
        "refusal",
        "transaction",
        "waiting",
    )

    def __init__(
        self, transaction: ServerTransaction | None, forward: Forward, mark: str = ""
    ) -> None:
        self.transaction = transaction
        self.mark = mark
        self.forward = forward
        self.fork = Fork(forward.targets)
        self.passages: dict[str, Passage] = {}
        self.place: tuple[CallKey, Party] | None = None
        self.offers = False
        # The media is asked for once, whatever the number of targets: those
        # that wait for it, and why they shall not have it.
        self.is_anchored = False
        self.waiting: list[tuple[str, Target, list[Hop], Side]] | None = None
        self.refusal: BaseException | None = None

    def slim(self) -> None:
        """
        Let go of all that only an unanswered request needs: what is left waits
        for half a minute for another 2xx (RFC 6026).
        """
        self.mark = ""
        old = self.forward
        self.forward = Forward(old.ticket.slim(), (), old.from_phone, old.to_phone, old.why)


class Upward(Protocol):
    """
    What forwarding asks of the service above it.
    """

    def serve(self, transaction: ServerTransaction, ticket: Ticket) -> None:
        """
        Decide again, now that one more name is known to be ours.
        """

    def reply(self, transaction: ServerTransaction, ticket: Ticket, reply: Reply) -> None:
        """
        Answer in our own name.
        """

    def apply(self, changed: tuple[Binding, ...], removed: tuple[str, ...]) -> Deferred[None]:
        """
        Change bindings, and fire when they are on disk.
        """


def when(value: Any, use: Callable[[Any], None], fail: Callable[[Failure], None]) -> None:
    """
    Use a value now, or that of a Deferred when it comes.
    """
    if isinstance(value, Deferred):
        value.addCallback(use)
        value.addErrback(fail)
    else:
        use(value)


def new_branch(mark: str) -> str:
    """
    A branch that nobody can guess, with the mark of the request behind it.
    """
    return f"{MAGIC_COOKIE}{os.urandom(8).hex()}{branch_ending(mark)}"


def new_tag() -> str:
    """
    A tag that nobody can guess (RFC 3261 section 19.3).
    """
    return os.urandom(5).hex()
