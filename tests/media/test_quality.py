"""
Tests for siptwist.media.quality.
"""

from __future__ import annotations

import random
import struct

from twisted.trial.unittest import SynchronousTestCase

from siptwist.media.quality import LEARNING_SECONDS, MAX_DROPOUT, Reception, estimate_mos
from tests.media.packets import DTLS, STUN, rtcp, rtp

PCMU, OPUS, EVENT, H263 = 0, 111, 101, 34


def packet(number: int, stamp: int, kind: int = PCMU, ssrc: int = 0x5EED) -> bytes:
    return struct.pack("!BBHII", 0x80, kind, number & 0xFFFF, stamp & 0xFFFFFFFF, ssrc) + bytes(20)


class LossTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reception = Reception()

    def hear(self, *numbers: int, ssrc: int = 0x5EED) -> int:
        for number in numbers:
            self.reception.note(rtp(number, ssrc), number / 50)
        return self.reception.lost

    def test_none(self) -> None:
        """
        Packets in order are all there, also where the numbers begin again.
        """
        self.assertEqual(self.hear(*range(65500, 65600)), 0)

    def test_gap(self) -> None:
        """
        What is missing between two numbers is lost.
        """
        self.assertEqual(self.hear(1, 2, 5, 6, 10), 5)

    def test_late(self) -> None:
        """
        A packet that comes late after all is not lost.
        """
        self.assertEqual((self.hear(1, 2, 5), self.hear(3, 4)), (2, 0))

    def test_twice(self) -> None:
        """
        A packet that comes twice makes up for no other.
        """
        self.assertEqual(self.hear(1, 2, 2, 2, 4), 1)

    def test_other_sender(self) -> None:
        """
        Another sender has numbers of its own; what was lost before stays lost.
        """
        self.assertEqual((self.hear(1, 3), self.hear(900, 901, ssrc=7)), (1, 1))

    def test_new_beginning(self) -> None:
        """
        A leap that no loss explains is a new beginning.
        """
        self.assertEqual(self.hear(1, 2, 2 + MAX_DROPOUT + 1, 2 + MAX_DROPOUT + 2), 0)

    def test_not_rtp(self) -> None:
        """
        What shares the port is a sign of life, and no loss.
        """
        self.hear(1, 2)
        for data in (STUN, DTLS, rtcp(), rtcp() + bytes(20), b"", b"\x80"):
            self.reception.note(data, 9.0)
        self.assertEqual((self.hear(3), self.reception.at), (0, 3 / 50))

    def test_anything(self) -> None:
        """
        Whatever comes, the figures stay figures.
        """
        chance = random.Random(3550)
        for _ in range(5000):
            self.reception.note(chance.randbytes(chance.choice((3, 12, 20))), chance.random() * 9)
            quality = self.reception.quality(100, 2000)
            self.assertTrue(0 <= quality.jitter < 2.0 and quality.lost >= 0)
            self.assertTrue(quality.mos is None or 1.0 <= quality.mos <= 4.5)


class JitterTests(SynchronousTestCase):
    def measure(self, kind: int, ticks: int, lateness: list[float]) -> float:
        """
        The jitter of packets each 20 ms, each so many seconds late.
        """
        self.reception = Reception()
        for number, late in enumerate(lateness):
            data = packet(number, 0xFFFFF000 + number * ticks, kind)
            self.reception.note(data, 1000 + number * 0.02 + late)
        return self.reception.jitter

    def test_even(self) -> None:
        """
        Packets that come as they were sent have no jitter, whatever the clock.
        """
        for kind, ticks in ((PCMU, 160), (OPUS, 960), (H263, 1800), (97, 320), (10, 882)):
            self.assertLess(self.measure(kind, ticks, [0.0] * 400), 1e-6, kind)

    def test_uneven(self) -> None:
        """
        Every second packet 10 ms late is a jitter of 10 ms (RFC 3550 section 6.4.1).
        """
        for kind, ticks in ((PCMU, 160), (OPUS, 960)):
            self.assertAlmostEqual(self.measure(kind, ticks, [0.0, 0.01] * 200), 0.01, 4)

    def test_clock_under_jitter(self) -> None:
        """
        The clock of a dynamic payload type is found although packets come unevenly.
        """
        chance = random.Random(7587)
        for ticks in (160, 320, 640, 960):
            late = [chance.random() * 0.03 for _ in range(400)]
            self.assertLess(self.measure(98, ticks, late), 0.02)

    def test_unknown_clock(self) -> None:
        """
        Until the clock is known nothing is said about jitter.
        """
        packets = int(LEARNING_SECONDS * 50)
        self.assertEqual(self.measure(OPUS, 960, [0.0, 0.01] * (packets // 2)), 0.0)

    def test_silence(self) -> None:
        """
        A pause in speech, its timestamps going on, is no jitter.
        """
        self.measure(PCMU, 160, [0.0] * 100)
        self.reception.note(packet(100, 0xFFFFF000 + 150 * 160), 1000 + 150 * 0.02)
        self.assertLess(self.reception.jitter, 1e-6)

    def test_another_clock(self) -> None:
        """
        Timestamps that leap are another clock, and no jitter.
        """
        self.measure(PCMU, 160, [0.0] * 100)
        self.reception.note(packet(100, 500_000), 1002.0)
        self.assertLess(self.reception.jitter, 1e-6)

    def test_keys(self) -> None:
        """
        The packets of one DTMF key share a timestamp, and are no jitter.
        """
        self.measure(PCMU, 160, [0.0] * 100)
        stamp = 0xFFFFF000 + 100 * 160
        for number in range(100, 110):
            self.reception.note(packet(number, stamp, EVENT), 1000 + number * 0.02)
        for number in range(110, 200):
            data = packet(number, 0xFFFFF000 + number * 160)
            self.reception.note(data, 1000 + number * 0.02)
        self.assertLess(self.reception.jitter, 1e-6)
        self.assertEqual((self.reception.payload_type, self.reception.lost), (PCMU, 0))

    def test_marked_frames(self) -> None:
        """
        The mark at the end of each frame of video does not hide its clock.
        """
        reception = Reception()
        for number in range(400):
            mark = 0x80 if number % 4 == 3 else 0
            data = packet(number, number // 4 * 3000, 96 | mark)
            reception.note(data, number // 4 / 30 + 0.01 * (number // 4 % 2))
        self.assertAlmostEqual(reception.jitter, 0.01, 3)


class QualityTests(SynchronousTestCase):
    def test_nothing_heard(self) -> None:
        """
        Of a party that was never heard there is nothing to say.
        """
        self.assertEqual(Reception().quality(0, 0), (0, 0, 0, 0.0, None, None, None))

    def test_good(self) -> None:
        """
        A call without loss and jitter is as good as its codec.
        """
        reception = Reception()
        for number in range(100):
            reception.note(rtp(number), number / 50)
        quality = reception.quality(100, 17200)
        self.assertEqual((quality.packets, quality.octets, quality.lost), (100, 17200, 0))
        self.assertEqual((quality.last_at, quality.payload_type), (1.98, PCMU))
        self.assertTrue(quality.mos is not None and quality.mos > 4.3)

    def test_worse(self) -> None:
        """
        Loss and jitter make it worse, down to 1; a thrifty codec starts lower.
        """
        scores = [estimate_mos(loss, 0.0, PCMU) for loss in (0.0, 0.01, 0.05, 0.2, 1.0)]
        self.assertEqual(scores, sorted(scores, reverse=True))
        self.assertLess(scores[-1], 1.8)
        self.assertLess(estimate_mos(0.0, 0.2, PCMU), estimate_mos(0.0, 0.01, PCMU) - 0.5)
        self.assertLess(estimate_mos(0.0, 0.0, 18), estimate_mos(0.0, 0.0, PCMU))
        self.assertEqual(estimate_mos(1.0, 2.0, 18), 1.0)
