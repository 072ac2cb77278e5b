"""
How well RTP arrives: loss, jitter, and what that comes to for the ear.

Sequence numbers tell what is missing, timestamps what came late (RFC 3550
appendix A.3 and A.8).  The clock of a timestamp is that of the payload type
(RFC 3551 section 6); of dynamic types it is learned from how fast it runs.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

_read_header = struct.Struct("!BBHII").unpack_from

#: RFC 3550 appendix A.1: more missing or more out of order than this is a new beginning.
MAX_DROPOUT, MAX_MISORDER = 3000, 100
#: Seconds by which an arrival may differ from its timestamp; more is another clock.
MAX_DEVIATION = 2.0
#: Seconds until the clock of a dynamic payload type is known.
LEARNING_SECONDS = 0.5

#: Clocks of RTP, in Hz, that dynamic payload types have.
CLOCKS = (8000, 12000, 16000, 24000, 32000, 48000, 90000)
#: Clocks of the static types that are not 8000 Hz (RFC 3551 tables 4 and 5).
_STATIC_CLOCKS = {6: 16000, 10: 44100, 11: 44100, 14: 90000, 16: 11025, 17: 22050}
_STATIC_CLOCKS |= dict.fromkeys((25, 26, 28, 31, 32, 33, 34), 90000)
_DYNAMIC = 35

#: What a codec costs by itself, and how well it stands loss (ITU-T G.113 appendix I).
_UNKNOWN_CODEC = (0.0, 25.1)
_CODECS = {3: (20.0, 10.0), 4: (15.0, 16.1), 18: (11.0, 19.0)}


class Quality(NamedTuple):
    """
    What arrived from a party, as far as RTP tells.

    ``jitter`` is in seconds (RFC 3550 section 6.4.1), ``last_at`` the time of the
    last packet or ``None``; ``payload_type`` is ``None`` before the first one.
    ``mos`` is an estimate, 1.0 (bad) to 4.4, ``None`` without packets.
    """

    packets: int
    octets: int
    lost: int
    jitter: float
    last_at: float | None
    payload_type: int | None
    mos: float | None


class Reception:
    """
    One party's RTP as it arrives; :meth:`note` is part of the hot loop.
    """

    __slots__ = (
        "_first_at",
        "_first_stamp",
        "_kind",
        "_lost",
        "_moved_at",
        "_next",
        "_seconds",
        "_ticks",
        "at",
        "jitter",
        "source",
        "stamp",
        "tick",
    )

    #: Of the newest packet: its timestamp.
    stamp: int
    _kind: int
    # When the timestamp last moved, and when it began to for this payload type.
    _moved_at: float
    _first_at: float
    _first_stamp: int
    # Seconds of one unit of the timestamp, 0.0 while unknown: of the present
    # payload type, and of those seen before.
    _seconds: float
    _ticks: dict[int, float]

    # There are many of these, and all the rest is set by the first packet.
    def __init__(self) -> None:
        #: When the last packet came.
        self.at: float | None = None
        #: In seconds.
        self.jitter = 0.0
        #: SSRC of the newest packet; ``None`` before the first.
        self.source: int | None = None
        #: Seconds of one unit of the timestamp, as far as known; 0.0 before that.
        self.tick = 0.0
        self._next = self._lost = 0

    @property
    def number(self) -> int:
        """
        The sequence number of the newest packet.
        """
        return (self._next - 1) & 0xFFFF

    @property
    def lost(self) -> int:
        """
        Packets that never came, by their numbers.
        """
        return max(0, self._lost)

    @property
    def payload_type(self) -> int | None:
        """
        Of the newest packet.
        """
        return None if self.source is None else self._kind & 0x7F

    def quality(self, packets: int, octets: int) -> Quality:
        """
        What all this comes to; the arguments are what was counted elsewhere.
        """
        kind, mos = self.payload_type, None
        if kind is not None and packets:
            mos = estimate_mos(self.lost / (packets + self.lost), self.jitter, kind)
        return Quality(packets, octets, self.lost, self.jitter, self.at, kind, mos)

    def touch(self, data: bytes, now: float) -> None:
        """
        Something came that cannot be measured.
        """
        self.at = now

    def note(self, data: bytes, now: float) -> None:
        """
        One accepted packet came; what is not RTP counts as a sign of life only.
        """
        self.at = now
        try:
            head, kind, number, stamp, source = _read_header(data)
        except struct.error:
            return
        if number == self._next and source == self.source and kind == self._kind:
            self._next = number + 1 & 0xFFFF
        elif not self._follows(head, kind, number, stamp, source, now):
            return
        # The packets of one frame, or of one DTMF event, share a timestamp.
        ticks = stamp - self.stamp
        if ticks:
            seconds = self._seconds or self._learn(stamp, now)
            deviation = now - self._moved_at - ticks * seconds
            if deviation < 0.0:
                deviation = -deviation
            if seconds and deviation < MAX_DEVIATION:
                jitter = self.jitter
                self.jitter = jitter + (deviation - jitter) * 0.0625
            self.stamp = stamp
            self._moved_at = now

    def _follows(
        self, head: int, kind: int, number: int, stamp: int, source: int, now: float
    ) -> bool:
        """
        Whether a packet that was not expected comes after the newest one, and counts for jitter.
        """
        if head & 0xC0 != 0x80 or 192 <= kind <= 223:
            return False
        step = (number - self._next) & 0xFFFF
        if source != self.source or MAX_DROPOUT <= step < 65535 - MAX_MISORDER:
            self._begin(kind, number, stamp, source, now)
            return False
        if step >= MAX_DROPOUT:
            self._lost -= step != 65535  # The newest once more, or one that was missed.
            return False
        self._lost += step
        self._next = number + 1 & 0xFFFF
        if kind != self._kind:
            self._change(kind, stamp, now)
        return True

    def _begin(self, kind: int, number: int, stamp: int, source: int, now: float) -> None:
        if source != self.source:
            self._ticks = {}
            self.tick = 0.0
        self.source, self._next, self.stamp = source, number + 1 & 0xFFFF, stamp
        self._moved_at, self._kind = now, -1
        self._change(kind, stamp, now)

    def _change(self, kind: int, stamp: int, now: float) -> None:
        """
        Another payload type, or only the mark of a beginning or of a whole frame.
        """
        before, self._kind = self._kind, kind
        if before ^ kind == 0x80:
            return
        kind &= 0x7F
        seconds = self._ticks.get(kind)
        if seconds is None:
            seconds = 0.0 if kind >= _DYNAMIC else 1 / _STATIC_CLOCKS.get(kind, 8000)
            self._ticks[kind] = seconds
        self._seconds = seconds
        if seconds:
            self.tick = seconds
        else:
            self._first_at, self._first_stamp = now, stamp

    def _learn(self, stamp: int, now: float) -> float:
        """
        The clock of a dynamic payload type, once it has run for a while.
        """
        elapsed = now - self._first_at
        ticks = (stamp - self._first_stamp) & 0xFFFFFFFF
        if elapsed < LEARNING_SECONDS or not ticks:
            return 0.0
        rate = ticks / elapsed
        clock = min(CLOCKS, key=lambda known: max(known / rate, rate / known))
        self._seconds = self.tick = self._ticks[self._kind & 0x7F] = 1 / clock
        return self._seconds


def estimate_mos(loss: float, jitter: float, payload_type: int) -> float:
    """
    The mean opinion score by the E-model (ITU-T G.107), the delay of the network left out.

    :param float loss: the part of the packets that never came, 0..1.
    :param float jitter: in seconds; the listener's buffer is taken to be twice that.
    """
    delay = 1000 * 2 * jitter + 20
    impairment = 0.024 * delay + 0.11 * max(0.0, delay - 177.3)
    own, robustness = _CODECS.get(payload_type, _UNKNOWN_CODEC)
    percent = 100 * loss
    own += (95 - own) * percent / (percent + robustness)
    rating = min(100.0, max(0.0, 93.2 - impairment - own))
    score = 1 + 0.035 * rating + rating * (rating - 60) * (100 - rating) * 7e-6
    return min(4.5, max(1.0, score))
