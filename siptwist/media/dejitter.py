"""
Even out what arrives unevenly: when each packet of one direction is to leave.

Packets leave a fixed delay after the time at which, by their timestamps, they
should have come.  That time follows the quickest packets of late; what comes
later than the delay allows leaves at once.  Nothing is ever dropped.
"""

from __future__ import annotations

from typing import NamedTuple

from siptwist.media.latch import Address
from siptwist.media.quality import CLOCKS, Reception
from siptwist.media.rtp import RTP_HEADER, is_rtp, rises, sequence, ssrc, timestamp

#: Packets that wait at most; when there are more, the first one leaves.
MAX_WAITING = 1024
#: Seconds by which the expected time moves with one packet, at most: nobody hears that.
SLEW = 0.001
#: Packets after which a clock that drifts away from ours is followed.
WINDOW = 250
#: Seconds by which a packet may be late before its timestamp is no longer believed.
MAX_LATE = 1.0

_FIRST_DYNAMIC = 96
#: Octets of a DTMF event without padding (RFC 4733 section 2.3).
_EVENT = 4


class Waiting(NamedTuple):
    """
    A packet, where it goes, and when.
    """

    due: float
    data: bytes
    destination: Address


class Dejitter:
    """
    One direction of a stream.

    :param float delay: in seconds.  A packet waits twice as long at most.
    :param reception: knows the clock of the timestamps; it has noted each
        packet before it is :meth:`put` here.
    """

    __slots__ = (
        "_delay",
        "_duration",
        "_expected",
        "_least",
        "_noted",
        "_number",
        "_reception",
        "_rise",
        "_source",
        "_stamp",
        "_waiting",
    )

    def __init__(self, delay: float, reception: Reception) -> None:
        self._delay = delay
        self._reception = reception
        self._waiting: list[Waiting] = []
        # Of the newest packet: its fields, when it should have come, and the
        # duration of its event.
        self._source: int | None = None
        self._number = self._stamp = self._duration = 0
        self._expected = 0.0
        # The least lateness of this window, and what is still to be made up for.
        self._least = float("inf")
        self._noted = 0
        self._rise = 0.0

    @property
    def next_at(self) -> float | None:
        """
        When the next packet is due; ``None`` when none waits.
        """
        return self._waiting[0].due if self._waiting else None

    def put(self, data: bytes, destination: Address, now: float) -> bool:
        """
        Let a packet wait for its time.

        :returns: ``False`` when it is to leave at once, as it is no RTP.
        """
        if not is_rtp(data):
            return False
        number, latest = sequence(data), now + 2 * self._delay
        if self._waiting and self._waiting[-1].due > latest:
            # Our own clock was set back.
            self._waiting = [one._replace(due=min(one.due, latest)) for one in self._waiting]
        if ssrc(data) != self._source:
            self._source = ssrc(data)
            self._begin(data, now)
        elif not rises(self._number, number):
            self._insert(data, destination, now)
            return True
        elif not self._advance(data, now):
            self._begin(data, now)
        self._number = number
        due = max(self._expected + self._delay + self._into_event(data), now)
        if self._waiting:
            due = max(due, self._waiting[-1].due)
        self._waiting.append(Waiting(min(due, latest), data, destination))
        return True

    def take(self, now: float) -> list[Waiting]:
        """
        The packets that leave now.
        """
        waiting = self._waiting
        count = max(0, len(waiting) - MAX_WAITING)
        while count < len(waiting) and waiting[count].due <= now:
            count += 1
        taken = waiting[:count]
        del waiting[:count]
        return taken

    def _begin(self, data: bytes, now: float) -> None:
        """
        This packet came when it should; those after it are measured by it.
        """
        self._stamp, self._expected = timestamp(data), now
        self._duration = _event_duration(data)
        self._least, self._noted, self._rise = float("inf"), 0, 0.0

    def _advance(self, data: bytes, now: float) -> bool:
        """
        Expect a packet by its timestamp; ``False`` when that makes no sense.
        """
        stamp = timestamp(data)
        ticks = _signed(stamp - self._stamp)
        tick = self._reception.tick or _guess(ticks)
        if not tick:
            return False
        expected = self._expected + ticks * tick
        late = now - expected
        if not -self._delay <= late <= max(MAX_LATE, 2 * self._delay):
            return False
        if ticks > 0:
            self._stamp, self._duration = stamp, _event_duration(data)
            self._expected = expected + self._correct(late)
        return True

    def _correct(self, late: float) -> float:
        """
        How far to move what is expected: toward the quickest packets, slowly.
        """
        self._least = min(self._least, late)
        self._noted += 1
        if self._noted >= WINDOW:
            self._rise = max(0.0, self._least)
            self._least, self._noted = float("inf"), 0
        if late < 0:
            self._rise = 0.0
            return max(late, -SLEW)
        step = min(self._rise, SLEW)
        self._rise -= step
        return step

    def _into_event(self, data: bytes) -> float:
        """
        Seconds since the first packet of a DTMF event: all have its timestamp.
        """
        duration = _event_duration(data)
        if duration <= self._duration or timestamp(data) != self._stamp:
            return 0.0
        return (duration - self._duration) * self._reception.tick

    def _insert(self, data: bytes, destination: Address, now: float) -> None:
        """
        A packet that was overtaken takes its place among those that still wait.
        """
        waiting, number, source = self._waiting, sequence(data), self._source
        at = len(waiting)
        while at and ssrc(waiting[at - 1].data) == source:
            if not rises(number, sequence(waiting[at - 1].data)):
                break
            at -= 1
        ticks = _signed(timestamp(data) - self._stamp)
        due = max(self._expected + ticks * self._reception.tick + self._delay, now)
        if at < len(waiting):
            due = min(due, waiting[at].due)
        if at:
            due = max(due, waiting[at - 1].due)
        waiting.insert(at, Waiting(min(due, now + 2 * self._delay), data, destination))


def _signed(ticks: int) -> int:
    return (ticks + 0x80000000 & 0xFFFFFFFF) - 0x80000000


def _guess(ticks: int) -> float:
    """
    Until the clock is known: most phones send each 20 ms.
    """
    return 1 / (ticks * 50) if ticks * 50 in CLOCKS else 0.0


def _event_duration(data: bytes) -> int:
    """
    The duration of a DTMF event so far, in units of the timestamp; 0 for other packets.
    """
    event = data[1] & 0x7F >= _FIRST_DYNAMIC and not data[0] & 0x30
    if event and len(data) == RTP_HEADER + 4 * (data[0] & 15) + _EVENT:
        return data[-2] << 8 | data[-1]
    return 0
