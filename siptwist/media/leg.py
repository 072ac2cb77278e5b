"""
A media stream and its two legs: forked branches, addresses, counters.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from siptwist.media.ice import Agent
from siptwist.media.latch import Address, Described, Latch
from siptwist.media.quality import Quality, Reception
from siptwist.media.rtp import RTCP_HEADER, RTP_HEADER, is_rtcp
from siptwist.media.stream import Party, StreamOffer

#: Branches of a forked callee that are remembered; the oldest goes first.
MAX_BRANCHES = 16

#: A branch name that no To tag can have.
_NOBODY = "\n"


#: What stands for the reception of RTCP: nobody measures it.
_UNMEASURED = Reception()


def _ignore(data: bytes, now: float) -> None:
    pass


class Flow:
    """
    What arrives on one socket from a party, and where its packets are sent.

    Whoever moves packets accepts those of ``source`` without asking, asks the
    leg about the rest, counts here, and gives each accepted packet to ``note``
    with the time.
    """

    __slots__ = (
        "destination",
        "is_rtp",
        "note",
        "octets",
        "packets",
        "reception",
        "short",
        "source",
        "strangers",
        "unsent",
    )

    def __init__(self, is_rtp: bool = False) -> None:
        self.reception = Reception() if is_rtp else _UNMEASURED
        self.note: Callable[[bytes, float], None] = self.reception.note if is_rtp else _ignore
        #: Whether packets have an RTP header, or something else that shares its port.
        self.is_rtp = is_rtp
        self.source: Address | None = None
        self.destination: Address | None = None
        #: Accepted from the party.
        self.packets = 0
        self.octets = 0
        #: Dropped: from somewhere else, or too short to be media.
        self.strangers = 0
        self.short = 0
        #: Meant for the party, refused by the network.
        self.unsent = 0

    def expect(self, is_rtp: bool) -> None:
        """
        Measure what comes as RTP, or do not.
        """
        if self.reception is _UNMEASURED:
            self.reception = Reception()
        self.is_rtp = is_rtp
        self.note = self.reception.note if is_rtp else self.reception.touch

    def quality(self) -> Quality:
        """
        How well the party is heard.
        """
        return self.reception.quality(self.packets, self.octets)


class Saved(NamedTuple):
    """
    What a leg knew at a moment: see :meth:`Leg.save`.
    """

    branches: dict[str, Latch]
    refused: frozenset[str]
    chosen: str
    speaker: str
    held: bool


class Leg:
    """
    Where the media of one party of a stream come from and go to.

    A forked callee has a :class:`~siptwist.media.latch.Latch` for each branch
    that described itself.  The one described last is spoken to.  Until one is
    confirmed one of them speaks: whichever begins first, until a branch that
    was described later begins.  All of them learn.
    """

    __slots__ = (
        "_branches",
        "_chosen",
        "_refused",
        "_speaker",
        "held",
        "ice",
        "offered",
        "rtcp",
        "rtp",
    )

    def __init__(self) -> None:
        self.rtp = Flow(is_rtp=True)
        self.rtcp = Flow()
        #: Whether the party wants no media now.
        self.held = False
        #: What checks of the party are answered with, when they are.
        self.ice: Agent | None = None
        #: How it described the stream last.
        self.offered: StreamOffer | None = None
        self._branches: dict[str, Latch] = {}
        self._refused: frozenset[str] = frozenset()
        self._chosen = self._speaker = _NOBODY

    def save(self) -> Saved:
        """
        What :meth:`restore` takes back, once: addresses, branches and hold, not counters.
        """
        branches = {name: latch.copy() for name, latch in self._branches.items()}
        return Saved(branches, self._refused, self._chosen, self._speaker, self.held)

    def restore(self, saved: Saved) -> None:
        """
        Be as we were: what was described since then was refused after all.
        """
        self._branches, self._refused, self._chosen, self._speaker, self.held = saved
        self._publish()

    def take(self, branch: str, offered: StreamOffer) -> None:
        """
        ``branch`` of the party has described the stream, in its own words.
        """
        self.offered = offered
        if self.ice is not None:
            self.ice.follow(offered.text, branch not in self._branches)

    def describe(self, branch: str, described: Described, held: bool = False) -> None:
        """
        ``branch`` of the party accepts the stream and says where it is.
        """
        if branch in self._refused:
            self._refused -= {branch}
        latch = self._branches.pop(branch, None)
        if latch is None:
            latch = Latch(described)
            self._make_room()
        else:
            latch.describe(described)
        self._branches[branch] = latch
        if self._chosen in (_NOBODY, branch):
            self.held = held
        self._publish()

    def choose(self) -> None:
        """
        The party may have chosen another way, by its checks.
        """
        self._publish()

    def refuse(self, branch: str) -> None:
        """
        ``branch`` of the party wants no such stream (port 0).
        """
        self._branches.pop(branch, None)
        if len(self._refused) < MAX_BRANCHES:
            self._refused |= {branch}
        self._publish()

    def confirm(self, branch: str) -> bool:
        """
        Hear and serve ``branch`` only.

        :returns: whether the stream goes on; ``False`` when this branch refused it.
        """
        if branch in self._refused:
            return False
        if branch in self._branches:
            self._chosen = self._speaker = branch
            if len(self._branches) > 1:
                self._branches = {branch: self._branches[branch]}
                self._publish()
        return True

    def judge_rtp(self, data: bytes, source: Address) -> bool:
        """
        Whether a packet on the RTP port is this party's and to be relayed.

        Counts those of strangers; not those of a branch that speaks no more.
        """
        branches = self._heard()
        if len(branches) > 1:
            branches.sort(key=lambda branch: not branch[1].is_at(source))
        for name, latch in branches:
            if not latch.accept(data, source):
                continue
            if latch.described.is_rtp and len(data) < RTP_HEADER and not is_rtcp(data):
                self.rtp.short += 1
                return False
            if self._is_late(name):
                return False
            self._speaker = name
            self._publish()
            return True
        if self._has_moved(data, source):
            self._publish()
            return True
        self.rtp.strangers += 1
        return False

    def judge_rtcp(self, data: bytes, source: Address) -> bool:
        """
        Whether a packet on the RTCP port is this party's.  Counts those that are not.
        """
        for name, latch in self._heard():
            if latch.accept_rtcp(source):
                if latch.described.is_rtp and len(data) < RTCP_HEADER:
                    self.rtcp.short += 1
                    return False
                return not self._is_late(name)
        self.rtcp.strangers += 1
        return False

    @property
    def described(self) -> Address | None:
        """
        Where the party that is spoken to said its RTP is.
        """
        spoken_to = self._spoken_to()
        return spoken_to[1].described.rtp if spoken_to else None

    def addresses(self) -> set[Address]:
        """
        Every address that this party has described, on all branches.
        """
        told = (latch.described for latch in self._branches.values())
        return {address for one in told for address in (one.rtp, one.rtcp) if address}

    def _heard(self) -> list[tuple[str, Latch]]:
        """
        The branches that we listen to, the one described last first.
        """
        if self._chosen in self._branches:
            return [(self._chosen, self._branches[self._chosen])]
        return list(reversed(self._branches.items()))

    def _is_late(self, branch: str) -> bool:
        """
        Whether another branch, described later than this one, has begun to speak.
        """
        if branch == self._speaker or self._speaker not in self._branches:
            return False
        order = list(self._branches)
        return order.index(branch) < order.index(self._speaker)

    def _has_moved(self, data: bytes, source: Address) -> bool:
        """
        Whether the one who speaks goes on from another port of its host.
        """
        latch, flow = self._branches.get(self._speaker), self.rtp
        return latch is not None and latch.follow(data, source, flow.reception, flow.packets)

    def _spoken_to(self) -> tuple[str, Latch] | None:
        """
        The branch that was confirmed, or else the one described last.
        """
        if self._chosen in self._branches:
            return self._chosen, self._branches[self._chosen]
        return next(reversed(self._branches.items()), None)

    def _make_room(self) -> None:
        if len(self._branches) >= MAX_BRANCHES:
            del self._branches[next(name for name in self._branches if name != self._chosen)]

    def _publish(self) -> None:
        spoken_to = self._spoken_to()
        if spoken_to is None:
            self.rtp.source = self.rtp.destination = self.rtcp.destination = None
            return
        name, latch = spoken_to
        # Only who speaks is heard without another look.
        self.rtp.source = latch.source if name == self._speaker else None
        if latch.described.is_rtp is not self.rtp.is_rtp:
            self.rtp.expect(latch.described.is_rtp)
        self.rtp.destination = latch.destination
        self.rtcp.destination = latch.rtcp_destination
        if self.ice is not None and self.offered is not None and self.offered.has_ice:
            # Checks are among what comes: all of it is looked at.
            self.rtp.source = None
            if not latch.described.mute:
                self.rtp.destination = self.ice.rtp or self.rtp.destination
                self.rtcp.destination = self.ice.rtcp or self.rtcp.destination


class MediaStream:
    """
    One m= line of a call for which ports are lent.

    ``caller_port`` and ``callee_port`` are our even RTP ports that face each
    party, on ``caller_host`` and ``callee_host``; RTCP is one above.
    """

    __slots__ = (
        "callee",
        "callee_host",
        "callee_port",
        "caller",
        "caller_host",
        "caller_port",
        "index",
        "kind",
    )

    def __init__(self, index: int, kind: str, caller: Address, callee: Address) -> None:
        self.index = index
        self.kind = kind
        self.caller_host, self.caller_port = caller
        self.callee_host, self.callee_port = callee
        self.caller = Leg()
        self.callee = Leg()

    def leg(self, party: Party) -> Leg:
        """
        The half of the stream that ``party`` is at the end of.
        """
        return self.caller if party is Party.CALLER else self.callee

    def port(self, party: Party) -> int:
        """
        Our RTP port that faces ``party``.
        """
        return self.caller_port if party is Party.CALLER else self.callee_port

    def move(self, party: Party, host: str) -> None:
        """
        Our ports that face ``party`` are on another host now.
        """
        if party is Party.CALLER:
            self.caller_host = host
        else:
            self.callee_host = host

    @property
    def held(self) -> bool:
        """
        Whether a party wants no media now.
        """
        return self.caller.held or self.callee.held

    @property
    def strangers(self) -> int:
        """
        Packets that were dropped because of where they came from.
        """
        near, far = self.caller, self.callee
        return near.rtp.strangers + near.rtcp.strangers + far.rtp.strangers + far.rtcp.strangers
