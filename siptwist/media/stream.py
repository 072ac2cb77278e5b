"""
What a party says about one media stream, and what we say in its place.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import NamedTuple

from siptwist.sip.hop import Side


class Party(enum.Enum):
    """
    Who described a stream: the one who sent the initial INVITE, or the other.
    """

    CALLER = "caller"
    CALLEE = "callee"

    __hash__ = object.__hash__

    @property
    def other(self) -> Party:
        return Party.CALLEE if self is Party.CALLER else Party.CALLER


class Endpoint(NamedTuple):
    """
    Where RTP and RTCP of a stream are received.  An ``rtp_port`` of 0 is a
    stream that was refused (RFC 3264 section 6).
    """

    host: str
    rtp_port: int
    rtcp_port: int


@dataclass(frozen=True, slots=True)
class StreamOffer:
    """
    One m= line as a party described it.

    ``held`` is true when the party wants no media now: ``a=inactive``,
    ``a=sendonly``, or ``c=`` of 0.0.0.0 (RFC 3264 section 8.4, RFC 2543).
    """

    index: int
    kind: str
    endpoint: Endpoint
    held: bool = False


@dataclass(frozen=True, slots=True)
class CallKey:
    """
    One pass of a call through the proxy.

    A call that leaves and comes back in (hairpin) has one Call-ID and two
    passes: ``caller_side`` and ``callee_side`` tell them apart.
    """

    call_id: str
    caller_tag: str
    caller_side: Side
    callee_side: Side
