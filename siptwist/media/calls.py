"""
The calls whose media we carry: what was offered, answered, confirmed and heard.

RFC 3264 decides what an answer changes, RFC 3261 section 14.1 what a refused
re-INVITE does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from siptwist.errors import SIPError
from siptwist.media.latch import Described
from siptwist.media.leg import MediaStream
from siptwist.media.ownports import UNSPECIFIED, OurPorts
from siptwist.media.stream import CallKey, Endpoint, Party, StreamOffer, sendable_host

#: More m= lines than this are refused.
MAX_STREAMS = 64
#: Seconds until a call is given up for silence while it is on hold,
HELD_SECONDS = 12 * 3600.0
#: and while nobody has answered: signaling ends such a call well before.
EARLY_SECONDS = 300.0


class Description(NamedTuple):
    """
    An offer or an answer, and who gave it.
    """

    party: Party
    streams: tuple[StreamOffer, ...]
    signaling_host: str
    branch: str = ""


class MediaCall:
    """
    The media of one pass of a call.

    Methods that give ports back return the streams that they belonged to.
    """

    __slots__ = (
        "_answered",
        "_counted",
        "_ended",
        "_last_answer",
        "_offered",
        "_ours",
        "_spare",
        "_strangers",
        "_touched_at",
        "confirmed",
        "heard_at",
        "key",
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
        #: The callee's branch that a final answer chose.
        self.confirmed: str | None = None
        self._answered = False
        self._offered: Description | None = None
        self._last_answer: Description | None = None
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
            if one.endpoint.rtp_port
            and one.index not in self.streams
            and one.index not in self._spare
        ]

    def offer(
        self, description: Description, opened: list[MediaStream], now: float
    ) -> list[MediaStream]:
        """
        A party offers; ``opened`` are the streams that it was :meth:`wanting`.
        """
        self._touched_at = now
        self._last_answer = None
        for stream in opened:
            self._spare[stream.index] = stream
        if self._answered:
            self._offered = description
            wanted = {one.index for one in description.streams if one.endpoint.rtp_port}
            return [self._spare.pop(index) for index in set(self._spare) - wanted]
        return self._take(description, self._branch(description, ours=True))

    def answer(self, description: Description, now: float) -> list[MediaStream]:
        """
        A party answers: a pending offer of the other takes effect.

        What was answered last is often said again, in a 200 after a 183.
        """
        self._touched_at = now
        if description == self._last_answer:
            return []
        self._answered = True
        self._last_answer = description
        offered, freed = self._offered, []
        settles = offered is not None and offered.party is not description.party
        if settles and offered is not None:
            freed = self._take(offered, self._branch(offered, ours=True))
            self._offered = None
        return freed + self._take(description, self._branch(description, ours=settles))

    def confirm(self, branch: str, now: float) -> list[MediaStream]:
        """
        A final answer chose ``branch`` of the callee.
        """
        self._touched_at = now
        self._last_answer = None
        self.confirmed = branch
        refused = [one for one in self.streams.values() if not one.callee.confirm(branch)]
        return [self._end(one.index) for one in refused]

    def reject(self) -> list[MediaStream]:
        """
        The pending offer was refused: what was agreed before it stays.
        """
        self._offered = None
        return self._empty_spare()

    def close(self) -> list[MediaStream]:
        """
        The call is over.
        """
        return [self._end(index) for index in list(self.streams)] + self._empty_spare()

    def stream(self, index: int) -> MediaStream | None:
        """
        The stream with ports at m= line ``index``, agreed or pending.
        """
        return self.streams.get(index) or self._spare.get(index)

    def tell(self, party: Party, offered: StreamOffer, host: str) -> Endpoint:
        """
        What ``party`` shall be told in place of the other's ``offered``.
        """
        stream = self.streams.get(offered.index) or self._spare.get(offered.index)
        if stream is None or offered.endpoint.rtp_port == 0:
            return Endpoint(host, 0, 0)
        port = stream.port(party)
        return Endpoint(host, port, port + 1)

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

    def is_silent(self, now: float, timeout: float) -> bool:
        """
        Whether the call has been without media for too long.  Takes a
        :meth:`look`; ask now and then.

        :param float timeout: in seconds; 0 is for ever.  A call that has no
            stream left is not kept for ever.
        """
        self.look(now)
        if not self.streams and not self._spare:
            return now - self._touched_at >= EARLY_SECONDS
        if self.held:
            limit = max(timeout, HELD_SECONDS)
        elif self.confirmed is None:
            limit = max(timeout, EARLY_SECONDS)
        else:
            limit = timeout
        return timeout > 0 and now - self._touched_at >= limit

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
            if one.endpoint.rtp_port:
                described = self._locate(stream, one, description)
                stream.leg(party).describe(branch, described, one.held)
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
        party, (told, rtp_port, rtcp_port) = description.party, offered.endpoint
        ours = stream.caller_host if party is Party.CALLER else stream.callee_host
        on_loopback = ours.startswith("127.") or ours == "::1"
        host = sendable_host(told, on_loopback)
        rtp = rtcp = None
        if host and 0 < rtp_port < 65536:
            rtp = self._ours.resolve((host, rtp_port), stream, party)
        if rtp and host and 0 < rtcp_port < 65536:
            rtcp = self._ours.resolve((host, rtcp_port), stream, party)
        mute = told in UNSPECIFIED
        return Described(rtp, rtcp, description.signaling_host, offered.is_rtp, mute)

    def _end(self, index: int) -> MediaStream:
        """
        Take a stream out, and keep what it counted.
        """
        stream = self.streams.pop(index)
        for party, (packets, octets) in self._ended.items():
            flow = stream.leg(party).rtp
            if flow.packets:
                self._ended[party] = (packets + flow.packets, octets + flow.octets)
        self._strangers += stream.strangers
        return stream

    def _empty_spare(self) -> list[MediaStream]:
        if not self._spare:
            return []
        spare = list(self._spare.values())
        self._spare.clear()
        return spare


class CallTable:
    """
    Every call with media, by its key.
    """

    def __init__(self) -> None:
        self.ours = OurPorts()
        self._calls: dict[CallKey, MediaCall] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[MediaCall]:
        return iter(list(self._calls.values()))

    def get(self, key: CallKey) -> MediaCall | None:
        """
        The call of ``key``, when it is known.
        """
        return self._calls.get(key)

    def new(self, key: CallKey, now: float) -> MediaCall:
        """
        A call that is not in the table yet.
        """
        return MediaCall(key, now, self.ours)

    def add(self, call: MediaCall) -> None:
        """
        ``call`` has streams.
        """
        self._calls[call.key] = call

    def pop(self, key: CallKey) -> MediaCall | None:
        """
        Forget the call of ``key``.
        """
        return self._calls.pop(key, None)

    def silent(self, now: float, timeout: float) -> list[MediaCall]:
        """
        The calls that have been without media for too long.
        """
        return [call for call in self._calls.values() if call.is_silent(now, timeout)]
