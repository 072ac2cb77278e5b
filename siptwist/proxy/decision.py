"""
What to do with a request: answer it, forward it, or drop it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from siptwist.proxy.registration.location import Binding
from siptwist.proxy.ticket import Ticket
from siptwist.sip.hop import Hop, Side
from siptwist.sip.values import Value


@dataclass(slots=True)
class Reply(Value):
    """
    Answer the request ourselves.  ``why`` is for the log.

    ``changed`` and ``removed`` (masks) are bindings that must be on disk before
    the answer leaves.
    """

    status: int
    reason: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    why: str = ""
    changed: tuple[Binding, ...] = ()
    removed: tuple[str, ...] = ()


class Drop(NamedTuple):
    """
    Do not answer.
    """

    why: str


@dataclass(slots=True)
class Target(Value):
    """
    One place to send a request to (RFC 3261 section 16.5).

    ``uri`` becomes the Request-URI.  ``hop`` is where it goes, and ``side`` our
    side that faces it, when that is known; otherwise ``next_hop`` is the URI
    whose host is to be resolved.  ``mask`` names the binding that is meant, if
    one is; ``route`` is the Path of its registration (RFC 3327 section 5.1);
    ``breadth`` is into how many branches it may fork further on (RFC 5393).
    """

    uri: str
    side: Side = Side.OUTSIDE
    hop: Hop | None = None
    next_hop: str = ""
    q: float = 1.0
    mask: str = ""
    route: tuple[str, ...] = ()
    breadth: int = 60


@dataclass(slots=True)
class Forward(Value):
    """
    Send the request of ``ticket`` on, to the targets in the order of their q.

    ``from_phone`` and ``to_phone`` say which of the two ends is ours to mask.
    ``asked`` is the request as it was before plugins changed it, if any is loaded.
    """

    ticket: Ticket
    targets: tuple[Target, ...]
    from_phone: bool
    to_phone: bool
    why: str = ""
    asked: Ticket | None = None

    def with_ticket(self, ticket: Ticket) -> Forward:
        """
        The same way, with another message.
        """
        return Forward(ticket, self.targets, self.from_phone, self.to_phone, self.why, self.asked)

    def asked_as(self, ticket: Ticket) -> Forward:
        """
        The same, with the request as it was before plugins changed it.
        """
        return Forward(self.ticket, self.targets, self.from_phone, self.to_phone, self.why, ticket)


Decision = Reply | Drop | Forward
