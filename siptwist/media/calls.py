"""
The calls whose media we carry: what was offered, answered, confirmed and heard.

RFC 3264 decides what an answer changes, RFC 3261 section 14.1 what a refused
re-INVITE does not.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

from siptwist.errors import SIPError
from siptwist.media.latch import Described
from siptwist.media.leg import MediaStream, Saved
from siptwist.media.ownports import UNSPECIFIED, OurPorts
from siptwist.media.stream import CallKey, Endpoint, Party, StreamOffer, sendable_host

#: More m= lines than this are refused.
MAX_STREAMS = 64
#: Seconds until a call is given up for silence while nobody has answered:
#: signaling ends such a call well before.
EARLY_SECONDS = 300.0


class Description(NamedTuple):
    """
    An offer or an answer, and who gave it.
    """

    party: Party
    streams: tuple[StreamOffer, ...]
    signaling_host: str
    branch: str = ""


class _Agreed(NamedTuple):
    """
    What was agreed before ``party`` offered something else: the streams of that
    time, their kinds and both of their legs.
    """

    party: Party
    streams: dict[int, tuple[MediaStream, str, Saved, Saved]]


class MediaCall:
    """
    The media of one pass of a call.

    Methods that give ports back return the streams that they belonged to.
    """

    __slots__ = (
        "_agreed",
        "_answered",
        "_counted",
        "_ended",
        "_last_answer",
        "_leaving",
        "_offered",
        "_ours",
        "_spare",
        "_strangers",
        "_touched_at",
        "confirmed",
        "described",
        "ended",
        "heard_at",
        "hosts",
        "key",
        "shortcuts",
        "started_at",
        "streams",
    )

    def __init__(self, key: CallKey, now: float, ours: OurPorts) -> None:
        self.key = key
        #: When its first stream was opened, in seconds.
        self.started_at = now
        #: When RTP of each party was last seen, by the last :meth:`look`;
        #: ``None`` before the first packet.
        self.heard_at: dict[Party, float | None] = {Party.CALLER: None, Party.CALLEE: None}
        self.streams: dict[int, MediaStream] = {}
        #: Our hosts that face each party, as bound for the first stream.
        self.hosts: dict[Party, str] = {}
        #: What each party described last, agreed or not.
        self.described: dict[Party, Description] = {}
        #: Who is sent to directly, so that we do not hear of it.
        self.shortcuts: set[Party] = set()
        #: The callee's branch that a final answer chose.
        self.confirmed: str | None = None
        #: Streams that are over, the last ones of a call that lost many.
        self.ended: list[MediaStream] = []
        self._answered = False
        # Both may have an offer open for a moment: glare, RFC 3261 section 14.1.
        self._offered: dict[Party, Description] = {}
        self._last_answer: Description | None = None
        # What a new offer changed, and what it ended, until that is final.
        self._agreed: _Agreed | None = None
        self._leaving: set[int] = set()
        self._spare: dict[int, MediaStream] = {}
        self._ours = ours
        self._touched_at = now
        self._counted = {Party.CALLER: 0, Party.CALLEE: 0}
        self._strangers = 0
        self._ended = {Party.CALLER: (0, 0), Party.CALLEE: (0, 0)}

    def wanting(self, streams: tuple[StreamOffer, ...]) -> list[StreamOffer]:
        """
        The streams of an offer that need ports.

        :raises SIPError: there are too many of them.
        """
        if len(streams) > MAX_STREAMS:
            raise SIPError("Too Many Media Streams", 488)
        return [
            one
            for one in streams
            if one.is_relayed and one.index not in self.streams and one.index not in self._spare
        ]

    def offer(
        self, description: Description, opened: list[MediaStream], now: float
    ) -> list[MediaStream]:
        """
        A party offers; ``opened`` are the streams that it was :meth:`wanting`.
        """
        self._touched_at = now
        self._last_answer = None
        self.described[description.party] = description
        for stream in opened:
            self._spare[stream.index] = stream
        if self._answered:
            self._offered[description.party] = description
            return self._unwanted()
        return self._take(description, self._branch(description, ours=True))

    def answer(self, description: Description, now: float) -> list[MediaStream]:
        """
        A party answers: a pending offer of the other takes effect, until it is
        either settled or rejected after all.

        What was answered last is often said again, in a 200 after a 183.
        """
        self._touched_at = now
        if description == self._last_answer:
            return []
        self._answered = True
        self._last_answer = self.described[description.party] = description
        offered = self._offered.pop(description.party.other, None)
        if offered is None:
            return self._take(description, self._branch(description, ours=False))
        self._remember(offered.party)
        freed = self._take(offered, self._branch(offered, ours=True))
        return freed + self._take(description, self._branch(description, ours=True))

    def confirm(self, branch: str, now: float) -> list[MediaStream]:
        """
        A final answer chose ``branch`` of the callee.
        """
        self._touched_at = now
        self._last_answer = None
        self.confirmed = branch
        freed = self.settle()
        refused = [one for one in self.streams.values() if not one.callee.confirm(branch)]
        return freed + [self._end(one.index) for one in refused] if refused else freed

    def settle(self) -> list[MediaStream]:
        """
        What was answered last is final: it cannot be rejected any more.
        """
        if self._agreed is None:
            return []
        self._agreed = None
        freed = [self._end(index) for index in self._leaving]
        self._leaving.clear()
        return freed

    def reject(self, party: Party) -> list[MediaStream]:
        """
        The offer of ``party`` was refused: what was agreed before it stays, or
        comes back when a provisional answer had put the offer into effect.
        """
        if self._offered.pop(party, None) is not None:
            return self._unwanted()
        if self._agreed is None or self._agreed.party is not party:
            return []
        agreed, self._agreed = self._agreed.streams, None
        self._last_answer = None
        self._leaving.clear()
        for stream, kind, caller, callee in agreed.values():
            stream.kind = kind
            stream.caller.restore(caller)
            stream.callee.restore(callee)
        return [self._end(index) for index in self.streams.keys() - agreed.keys()]

    def close(self) -> list[MediaStream]:
        """
        The call is over.
        """
        return [self._end(index) for index in list(self.streams)] + self._unwanted(())

    def stream(self, index: int) -> MediaStream | None:
        """
        The stream with ports at m= line ``index``, agreed or pending.
        """
        return self.streams.get(index) or self._spare.get(index)

    def tell(
        self, party: Party, offered: tuple[StreamOffer, ...], host: str
    ) -> tuple[Endpoint, ...]:
        """
        What ``party`` shall be told in place of the streams that the other ``offered``.
        """
        told = []
        for one in offered:
            stream = self.streams.get(one.index) or self._spare.get(one.index)
            if stream is None or not one.is_relayed:
                told.append(Endpoint(host, 0, 0))
                continue
            is_caller = party is Party.CALLER
            port = stream.caller_port if is_caller else stream.callee_port
            leg = stream.caller if is_caller else stream.callee
            credentials = None
            # To an offer without ICE there is no answer with it (RFC 8839 section 4.2.5).
            if leg.ice is not None and (leg.offered is None or leg.offered.has_ice):
                credentials = leg.ice.credentials
            told.append(Endpoint(host, port, port + 1, "", credentials))
        return tuple(told)

    @property
    def held(self) -> bool:
        """
        Whether any stream is on hold.
        """
        return any(stream.held for stream in self.streams.values())

    @property
    def last_media_at(self) -> float | None:
        """
        When media was last seen; ``None`` before the first packet.
        """
        return max((at for at in self.heard_at.values() if at is not None), default=None)

    @property
    def strangers(self) -> int:
        """
        Packets dropped because of where they came from.
        """
        return self._strangers + sum(stream.strangers for stream in self.streams.values())

    def packets(self, party: Party) -> int:
        """
        RTP packets that ``party`` sent and we accepted.
        """
        counted = self._ended[party][0]
        for stream in self.streams.values():
            counted += stream.leg(party).rtp.packets
        return counted

    def octets(self, party: Party) -> int:
        """
        Octets of UDP payload in those packets.
        """
        counted = self._ended[party][1]
        for stream in self.streams.values():
            counted += stream.leg(party).rtp.octets
        return counted

    def look(self, now: float) -> None:
        """
        Learn who has been heard since the last look, by comparing counters.
        """
        for party, before in self._counted.items():
            counted = self.packets(party)
            if counted != before:
                self._counted[party] = counted
                self.heard_at[party] = self._touched_at = now

    def is_silent(self, now: float, timeout: float, hold_timeout: float) -> bool:
        """
        Whether the call has been without media for too long.  Takes a
        :meth:`look`; ask now and then.

        :param float timeout: in seconds; 0 is for ever.  A call that has no
            stream left is not kept for ever.
        :param float hold_timeout: the same while every stream is on hold, or
            goes past us, if that is longer; 0 is for ever.
        """
        self.look(now)
        if not self.streams and not self._spare:
            return now - self._touched_at >= EARLY_SECONDS
        if self.shortcuts or self._is_on_hold():
            limit = max(timeout, hold_timeout) if hold_timeout else math.inf
        elif self.confirmed is None:
            limit = max(timeout, EARLY_SECONDS)
        else:
            limit = timeout
        return timeout > 0 and now - self._touched_at >= limit

    def _is_on_hold(self) -> bool:
        return bool(self.streams) and all(stream.held for stream in self.streams.values())

    def _remember(self, party: Party) -> None:
        """
        Be able to take back what ``party`` offers.
        """
        streams = {
            index: (one, one.kind, one.caller.save(), one.callee.save())
            for index, one in self.streams.items()
        }
        self._agreed = _Agreed(party, streams)

    def _branch(self, description: Description, ours: bool) -> str:
        """
        The branch that describes; ``ours`` when only the one chosen can.
        """
        if description.party is Party.CALLER:
            return ""
        if self.confirmed is not None and (ours or not description.branch):
            return self.confirmed
        return description.branch

    def _take(self, description: Description, branch: str) -> list[MediaStream]:
        """
        Put a description into effect.
        """
        party, freed = description.party, []
        # Other branches of a forked callee may still want what this one refuses.
        final = party is Party.CALLER or branch == self.confirmed
        for one in description.streams:
            if one.index in self._spare:
                self.streams[one.index] = self._spare.pop(one.index)
            stream = self.streams.get(one.index)
            if stream is None:
                continue
            if one.is_relayed:
                stream.kind = one.kind
                self._leaving.discard(one.index)
                described = self._locate(stream, one, description)
                leg = stream.leg(party)
                leg.take(branch, one)
                leg.describe(branch, described, one.held)
            elif final and self._agreed is not None:
                self._leaving.add(one.index)
            elif final:
                freed.append(self._end(one.index))
            else:
                stream.leg(party).refuse(branch)
        if party is Party.CALLEE and self.confirmed is not None:
            for stream in self.streams.values():
                stream.callee.confirm(self.confirmed)
        return freed

    def _locate(
        self, stream: MediaStream, offered: StreamOffer, description: Description
    ) -> Described:
        party = description.party
        told, rtp_port, rtcp_port, rtcp_told, _ = offered.endpoint
        ours = stream.caller_host if party is Party.CALLER else stream.callee_host
        # Who signals from where we are is a program of this machine.
        on_loopback = ours in (description.signaling_host, "::1") or ours.startswith("127.")
        host = sendable_host(told, on_loopback)
        rtp = rtcp = None
        if host and 0 < rtp_port < 65536:
            rtp = self._ours.resolve((host, rtp_port), stream, party)
        if rtcp_told:
            host = sendable_host(rtcp_told, on_loopback)
        if rtp and host and 0 < rtcp_port < 65536:
            rtcp = self._ours.resolve((host, rtcp_port), stream, party)
        mute = told in UNSPECIFIED
        return Described(
            rtp, rtcp, description.signaling_host, offered.is_rtp, mute, offered.is_dtls
        )

    def _end(self, index: int) -> MediaStream:
        """
        Take a stream out, and keep what it counted.
        """
        stream = self.streams.pop(index)
        self.ended = [*self.ended[1 - MAX_STREAMS :], stream]
        for party, leg in ((Party.CALLER, stream.caller), (Party.CALLEE, stream.callee)):
            flow = leg.rtp
            if flow.packets:
                packets, octets = self._ended[party]
                self._ended[party] = (packets + flow.packets, octets + flow.octets)
        self._strangers += stream.strangers
        return stream

    def _unwanted(self, offers: Iterable[Description] | None = None) -> list[MediaStream]:
        """
        Take out the streams that no offer, of those that are open, asks for.
        """
        if not self._spare:
            return []
        offers = self._offered.values() if offers is None else offers
        wanted = {one.index for offer in offers for one in offer.streams if one.is_relayed}
        return [self._spare.pop(index) for index in self._spare.keys() - wanted]
