"""
Tests for siptwist.net.rtp.playout.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from siptwist.media.latch import Address
from siptwist.media.leg import Flow
from siptwist.net.rtp.playout import Line, Playout
from tests.media.packets import STUN, rtcp, rtp

THERE = ("203.0.113.10", 4000)
DELAY = 0.06


class PlayoutTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.playout = Playout(self.clock)
        self.sent: list[tuple[float, bytes]] = []
        self.flow, self.toward = Flow(is_rtp=True), Flow()
        self.line = self.new_line(self.flow)

    def new_line(self, flow: Flow) -> Line:
        def send(data: bytes, destination: Address) -> None:
            self.assertEqual(destination, THERE)
            if data == b"":
                raise OSError("refused")
            self.sent.append((round(self.clock.seconds(), 3), data))

        return self.playout.line(DELAY, flow, self.toward, send)

    def arrive(self, data: bytes, line: Line | None = None, flow: Flow | None = None) -> None:
        (flow or self.flow).note(data, self.clock.seconds())
        (line or self.line).send(data, THERE)

    def test_evened_out(self) -> None:
        """
        Packets leave when they are due, each on its own.
        """
        for number, late in enumerate((0.0, 0.0, 0.015, 0.0, 0.019)):
            while self.clock.seconds() < number * 0.02 + late - 1e-9:
                self.clock.advance(0.001)
            self.arrive(rtp(number))
        self.clock.pump([0.001] * 200)
        times = [at for at, _ in self.sent]
        self.assertEqual([data for _, data in self.sent], [rtp(number) for number in range(5)])
        self.assertTrue(
            all(abs(at - DELAY - number * 0.02) <= 0.001 for number, at in enumerate(times)), times
        )
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_at_once(self) -> None:
        """
        STUN and multiplexed RTCP do not wait, nor does what is no RTP by its SDP.
        """
        self.arrive(STUN)
        self.arrive(rtcp())
        self.flow.expect(is_rtp=False)
        self.arrive(rtp(1))
        self.assertEqual(self.sent, [(0.0, STUN), (0.0, rtcp()), (0.0, rtp(1))])

    def test_refused_at_once(self) -> None:
        """
        What the network refuses at once is told at once.
        """
        self.assertRaises(OSError, self.line.send, b"", THERE)

    def test_refused_later(self) -> None:
        """
        What the network refuses later is counted, and what follows is sent.
        """

        def send(data: bytes, destination: Address) -> None:
            if data == rtp(0):
                raise OSError("refused")
            self.sent.append((self.clock.seconds(), data))

        line = self.playout.line(DELAY, self.flow, self.toward, send)
        for number in range(2):
            self.arrive(rtp(number), line)
        self.clock.pump([0.01] * 20)
        self.assertEqual((self.toward.unsent, len(self.sent)), (1, 1))

    def test_many(self) -> None:
        """
        All streams share one timer.
        """
        flows = [Flow(is_rtp=True) for _ in range(20)]
        lines = [self.new_line(flow) for flow in flows]
        for number in range(10):
            for flow, line in zip(flows, lines, strict=True):
                self.arrive(rtp(number), line, flow)
                self.assertEqual(len(self.clock.getDelayedCalls()), 1)
            self.clock.pump([0.01] * 2)
        self.clock.pump([0.01] * 20)
        self.assertEqual(len(self.sent), 200)

    def test_earlier_than_the_first(self) -> None:
        """
        A stream with a shorter delay does not wait for one with a longer delay.
        """
        flow = Flow(is_rtp=True)
        slow = self.playout.line(
            1.5, flow, self.toward, lambda data, there: self.sent.append((0.0, data))
        )
        self.arrive(rtp(7), slow, flow)
        self.arrive(rtp(1))
        self.clock.pump([0.01] * 10)
        self.assertEqual([data for _, data in self.sent], [rtp(1)])

    def test_closed(self) -> None:
        """
        A stream that ends takes its packets along; the last one takes the timer.
        """
        flow = Flow(is_rtp=True)
        other = self.new_line(flow)
        self.arrive(rtp(1))
        self.arrive(rtp(2), other, flow)
        self.line.close()
        self.clock.pump([0.01] * 20)
        self.assertEqual([data for _, data in self.sent], [rtp(2)])
        self.arrive(rtp(3), other, flow)
        other.close()
        self.assertEqual(self.clock.getDelayedCalls(), [])
