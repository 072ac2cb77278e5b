"""
Tests for siptwist.media.ports.
"""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import NoFreePorts
from siptwist.media.ports import RETRY_SECONDS, PortPool


def pool(low: int, high: int, rest_seconds: float = 5.0) -> PortPool:
    return PortPool(low, high, random.Random(1).randrange, rest_seconds)


class PortPoolTests(SynchronousTestCase):
    def test_even_ports_only(self) -> None:
        """
        An odd end of the range loses its port: RTP ports are even, RTCP fits above.
        """
        ports = pool(7071, 7077)
        self.assertEqual(sorted(ports.lend(0.0) for _ in range(3)), [7072, 7074, 7076])

    def test_exhausted(self) -> None:
        """
        When every port is lent, the next call is refused with 503 and Retry-After.
        """
        ports = pool(7070, 7071)
        ports.lend(0.0)
        error = self.assertRaises(NoFreePorts, ports.lend, 0.0)
        self.assertEqual((error.status, error.retry_after), (503, 10))

    def test_order_is_random(self) -> None:
        """
        The next port cannot be told from the last one.
        """
        lent = [PortPool(7000, 7999, random.Random(seed).randrange).lend(0.0) for seed in range(9)]
        self.assertGreater(len(set(lent)), 5)

    def test_port_rests(self) -> None:
        """
        A port that was just used is not lent while another is free.
        """
        ports = pool(7070, 7073)
        first = ports.lend(0.0)
        ports.rest(first, 0.0)
        self.assertNotEqual(ports.lend(1.0), first)

    def test_port_is_rested(self) -> None:
        """
        After its rest a port is lent like any other.
        """
        ports = pool(7070, 7071)
        first = ports.lend(0.0)
        ports.rest(first, 0.0)
        self.assertEqual(ports.lend(6.0), first)

    def test_resting_port_saves_a_call(self) -> None:
        """
        With nothing else free, the port that rested longest serves the call.
        """
        ports = pool(7070, 7073)
        first, second = ports.lend(0.0), ports.lend(0.0)
        ports.rest(second, 1.0)
        ports.rest(first, 2.0)
        self.assertEqual(ports.lend(3.0), second)

    def test_taken_port_is_left_alone(self) -> None:
        """
        A port that another program has is not tried again at once, even when the pool is empty.
        """
        ports = pool(7070, 7071)
        ports.set_aside(ports.lend(0.0), 0.0)
        self.assertRaises(NoFreePorts, ports.lend, RETRY_SECONDS - 1)

    def test_taken_port_is_tried_later(self) -> None:
        """
        A port that another program had is tried again after a while.
        """
        ports = pool(7070, 7071)
        ports.set_aside(ports.lend(0.0), 0.0)
        self.assertEqual(ports.lend(RETRY_SECONDS), 7070)

    def test_unused_port_goes_back(self) -> None:
        """
        A port that was lent in vain can be lent at once.
        """
        ports = pool(7070, 7071)
        ports.put_back(ports.lend(0.0))
        self.assertEqual(ports.lend(0.0), 7070)

    def test_count(self) -> None:
        """
        The pool knows how many ports it can lend, those that rest included.
        """
        ports = pool(7070, 7079)
        ports.rest(ports.lend(0.0), 0.0)
        ports.lend(0.0)
        self.assertEqual((ports.size, len(ports)), (5, 4))

    def test_no_port_is_lent_twice(self) -> None:
        """
        Whatever is lent, rested and set aside in whatever order, one port has one owner.
        """
        chance = random.Random(7)
        ports, lent, now = pool(7000, 7063), set[int](), 0.0
        for _ in range(3000):
            now += chance.random()
            if lent and chance.random() < 0.55:
                port = chance.choice(sorted(lent))
                lent.remove(port)
                chance.choice([ports.rest, ports.set_aside])(port, now)
                continue
            try:
                port = ports.lend(now)
            except NoFreePorts:
                continue
            self.assertNotIn(port, lent)
            lent.add(port)


class TakeTests(SynchronousTestCase):
    """
    One port is wanted, and no other: a call moves to another address with it.
    """

    def test_free(self) -> None:
        """
        A port that is free, or rests, can be had; then it is nobody else's.
        """
        pool = PortPool(7070, 7073, lambda n: 0)
        pool.take(7070)
        self.assertEqual(pool.lend(0.0), 7072)
        pool.rest(7070, 0.0)
        pool.take(7070)
        self.assertRaises(NoFreePorts, pool.lend, 0.0)

    def test_not_free(self) -> None:
        """
        A port that is lent, set aside or not ours cannot be had.
        """
        pool = PortPool(7070, 7073, lambda n: 0)
        pool.set_aside(pool.lend(0.0), 0.0)
        lent = pool.lend(0.0)
        for port in (7070, lent, 7071, 9000):
            self.assertRaises(NoFreePorts, pool.take, port)
        self.assertEqual(len(pool), 0)
