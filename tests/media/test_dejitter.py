"""
Tests for siptwist.media.dejitter.
"""

from __future__ import annotations

import itertools
import random
import struct

from twisted.trial.unittest import SynchronousTestCase

from siptwist.media.dejitter import MAX_WAITING, Dejitter
from siptwist.media.quality import Reception
from tests.media.packets import DTLS, STUN, rtcp, rtp

THERE = ("203.0.113.10", 4000)
DELAY = 0.06
EVENT = 101


def event(number: int, stamp: int, duration: int, end: bool = False) -> bytes:
    """
    A packet of a DTMF key (RFC 4733 section 2.3).
    """
    head = struct.pack("!BBHII", 0x80, EVENT, number, stamp, 0x5EED)
    return head + bytes([5, 0x80 if end else 0]) + struct.pack("!H", duration)


def kind(data: bytes, payload_type: int, ticks: int) -> bytes:
    """
    The packet with another payload type and clock.
    """
    number = data[2] << 8 | data[3]
    return struct.pack("!BBHI", 0x80, payload_type, number, number * ticks) + data[8:]


class DejitterCase(SynchronousTestCase):
    """
    What comes is noted, put, and taken when it is due, millisecond by millisecond.
    """

    delay = DELAY

    def setUp(self) -> None:
        self.reception = Reception()
        self.dejitter = Dejitter(self.delay, self.reception)

    def put(self, data: bytes, now: float) -> bool:
        self.reception.note(data, now)
        return self.dejitter.put(data, THERE, now)

    def play(self, arrivals: list[tuple[float, bytes]]) -> list[tuple[float, bytes]]:
        """
        When each packet leaves, in order; the arrivals are in order of time.
        """
        left: list[tuple[float, bytes]] = []
        for at, data in [*arrivals, (float("inf"), b"")]:
            while (due := self.dejitter.next_at) is not None and due <= at:
                left += [(due, one.data) for one in self.dejitter.take(due)]
            if data:
                self.assertTrue(self.put(data, at))
                left += [(at, one.data) for one in self.dejitter.take(at)]
        return left

    def intervals(self, left: list[tuple[float, bytes]]) -> list[float]:
        return [after[0] - before[0] for before, after in itertools.pairwise(left)]


class EveningTests(DejitterCase):
    def check(self, packets: list[bytes], most: float = 0.03) -> None:
        """
        Packets sent each 20 ms that come up to 30 ms late leave evenly, none lost.
        """
        chance = random.Random(20)
        arrivals, last = [], 0.0
        for number, data in enumerate(packets):
            last = max(last, 5 + number * 0.02 + chance.random() * most)
            arrivals.append((last, data))
        left = self.play(arrivals)
        self.assertEqual([data for _, data in left], packets)
        even = [abs(one - 0.02) < 0.005 for one in self.intervals(left)]
        self.assertGreaterEqual(sum(even), 0.99 * len(even))
        for (came, _), (went, _) in zip(arrivals, left, strict=True):
            self.assertTrue(came <= went <= came + 2 * DELAY + 1e-9)

    def test_jitter(self) -> None:
        """
        Speech with 30 ms of jitter leaves each 20 ms.
        """
        self.check([rtp(number) for number in range(1000)])

    def test_end_of_numbers(self) -> None:
        """
        It goes on where numbers and timestamps begin again.
        """
        self.check([rtp(number) for number in range(0x7FFFFF00, 0x7FFFFF00 + 1000)])

    def test_dynamic_clock(self) -> None:
        """
        Opus is evened out although its clock must be found out.
        """
        self.check([kind(rtp(number), 111, 960) for number in range(1000)])

    def test_lost_packets(self) -> None:
        """
        A packet that is missing leaves its gap, and moves no other.
        """
        arrivals = [(number * 0.02, rtp(number)) for number in range(100) if number % 10 != 5]
        due = [at for at, _ in self.play(arrivals)]
        expected = [at + DELAY for at, _ in arrivals]
        self.assertTrue(all(abs(a - b) < 1e-9 for a, b in zip(due, expected, strict=True)))

    def test_overtaken(self) -> None:
        """
        Packets that overtook each other leave in order.
        """
        numbers = [0, 1, 3, 2, 4, 7, 5, 6, 8]
        left = self.play([(0.5 + at * 0.02, rtp(number)) for at, number in enumerate(numbers)])
        self.assertEqual([data for _, data in left], [rtp(number) for number in range(9)])

    def test_clocks_drift(self) -> None:
        """
        A clock that is slower than ours is followed, and the delay stays what it is.
        """
        arrivals = [(number * 0.02002, rtp(number)) for number in range(20000)]
        waited = [
            went - came for (came, _), (went, _) in zip(arrivals, self.play(arrivals), strict=True)
        ]
        self.assertTrue(min(waited) > 0.04 and max(waited) < 0.08, (min(waited), max(waited)))


class BoundTests(DejitterCase):
    def test_not_rtp(self) -> None:
        """
        STUN, DTLS, RTCP and noise do not wait.
        """
        for data in (STUN, DTLS, rtcp(), rtcp() + bytes(20), b"", b"\x80"):
            self.assertFalse(self.put(data, 1.0))
        self.assertIsNone(self.dejitter.next_at)

    def test_much_too_late(self) -> None:
        """
        What is later than the delay allows leaves at once.
        """
        arrivals = [(number * 0.02, rtp(number)) for number in range(10)]
        left = self.play([*arrivals, (0.5, rtp(10)), (0.501, rtp(11))])
        self.assertEqual([at for at, _ in left[-2:]], [0.5, 0.501])

    def test_other_sender(self) -> None:
        """
        Another sender is evened out by timestamps of its own.
        """
        one = [(number * 0.02, rtp(number)) for number in range(10)]
        other = [(0.2 + number * 0.02, rtp(number + 5000, ssrc=7)) for number in range(10)]
        left = self.play(one + other)
        self.assertEqual([data for _, data in left], [data for _, data in one + other])
        self.assertTrue(all(abs(one - 0.02) < 1e-9 for one in self.intervals(left)))

    def test_timestamps_leap(self) -> None:
        """
        Timestamps that leap make nothing wait for ever, and nothing is lost.
        """
        numbers = [0, 1, 2, 900, 901, 902]
        data = [rtp(number) for number in range(3)]
        data += [
            rtp(number)[:2] + bytes([0, number - 897]) + rtp(number)[4:] for number in numbers[3:]
        ]
        left = self.play([(at * 0.02, one) for at, one in enumerate(data)])
        self.assertEqual([one for _, one in left], data)
        self.assertTrue(left[-1][0] <= 0.1 + 2 * DELAY)

    def test_flood(self) -> None:
        """
        A flood costs bounded memory: what is too much leaves at once.
        """
        for number in range(3000):
            self.put(rtp(number, payload=b""), 0.0)
        self.assertEqual(len(self.dejitter.take(0.0)), 3000 - MAX_WAITING)

    def test_clock_set_back(self) -> None:
        """
        When our clock is set back, nothing waits for it to come again.
        """
        self.put(rtp(0), 1000.0)
        self.put(rtp(1), 10.0)
        self.assertEqual(len(self.dejitter.take(10.0 + 2 * DELAY)), 2)

    def test_anything(self) -> None:
        """
        Whatever comes whenever, all of it leaves, in order of time and within bounds.
        """
        chance = random.Random(1733)
        now, came, left = 0.0, 0, 0
        for _ in range(5000):
            now += chance.random() * 0.04
            data = bytearray(rtp(chance.randrange(50), chance.randrange(3), chance.randbytes(4)))
            data[chance.randrange(8)] = chance.randrange(256)
            came += self.put(bytes(data), now)
            dues = []
            while (due := self.dejitter.next_at) is not None and due <= now:
                dues.append(due)
                left += len(self.dejitter.take(due))
            self.assertEqual(dues, sorted(dues))
        left += len(self.dejitter.take(now + 2 * DELAY))
        self.assertEqual(came, left)


class DTMFTests(DejitterCase):
    """
    The packets of a key share a timestamp; siproxd was known to confuse them.
    """

    def key(self, first: int) -> list[bytes]:
        steps = [(160 * n, False) for n in range(1, 6)] + [(800, True)] * 3
        return [event(first + n, first * 160, *step) for n, step in enumerate(steps)]

    def test_in_order(self) -> None:
        """
        A key leaves whole, in order, its updates 20 ms apart.
        """
        packets = [rtp(number) for number in range(20)]
        packets += self.key(20)
        packets += [rtp(number) for number in range(28, 40)]
        left = self.play([(number * 0.02, data) for number, data in enumerate(packets)])
        self.assertEqual([data for _, data in left], packets)
        apart = self.intervals(left)[19:24]
        self.assertTrue(all(abs(one - 0.02) < 1e-9 for one in apart), apart)

    def test_uneven(self) -> None:
        """
        Updates that come in a bunch leave in order.
        """
        packets = [rtp(number) for number in range(20)] + self.key(20)
        left = self.play([(min(number, 21) * 0.02, data) for number, data in enumerate(packets)])
        self.assertEqual([data for _, data in left], packets)
        self.assertTrue(all(abs(one - 0.02) < 1e-9 for one in self.intervals(left)[19:24]))
