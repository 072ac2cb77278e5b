"""
Many deadlines, one clock.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

from twisted.trial.unittest import SynchronousTestCase

from siptwist.sip.timers import TimerWheel

START = 1_790_000_000.0


@dataclass(eq=False)
class Item:
    due: float


class WheelTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.wheel: TimerWheel[Item] = TimerWheel(START)

    def add(self, after: float) -> Item:
        item = Item(START + after)
        self.wheel.add(item)
        return item

    def advance(self, after: float) -> list[Item]:
        return self.wheel.advance(START + after)

    def test_due(self) -> None:
        """
        What is due comes once, not before its time and at most two tenths after it.
        """
        item = self.add(0.5)
        self.assertEqual(self.advance(0.45), [])
        self.assertEqual(self.advance(0.7), [item])
        self.assertEqual(self.advance(100), [])
        self.assertEqual(len(self.wheel), 0)

    def test_order(self) -> None:
        """
        What is due earlier comes earlier, whatever the order in which it was added.
        """
        late, early = self.add(2), self.add(1)
        self.assertEqual(self.advance(5), [early, late])

    def test_moved_later(self) -> None:
        """
        A deadline that was moved comes at its new time, without anybody telling.
        """
        item = self.add(0.5)
        item.due = START + 32
        self.assertEqual(self.advance(31.9), [])
        self.assertEqual(len(self.wheel), 1)
        self.assertEqual(self.advance(32.2), [item])

    def test_moved_earlier(self) -> None:
        """
        A deadline that is moved earlier is looked at in its old time: it must be added again.
        """
        item = self.add(10)
        item.due = START + 1
        self.assertEqual(self.advance(9.9), [])
        self.assertEqual(self.advance(10.2), [item])

    def test_not_wanted(self) -> None:
        """
        What is no longer wanted is let go.
        """
        item = self.add(1)
        item.due = 0
        self.assertEqual(self.advance(2), [])
        self.assertEqual(len(self.wheel), 0)

    def test_already_due(self) -> None:
        """
        What is added when it is already due comes at the next turn.
        """
        self.advance(5)
        item = self.add(1)
        self.assertEqual(self.advance(5.2), [item])

    def test_long_pause(self) -> None:
        """
        A machine that slept for a week loses nothing, and does not count every tenth of it.
        """
        items = [self.add(seconds / 10) for seconds in range(1, 50)]
        later = self.add(2_000_000)
        self.assertEqual(self.advance(604_800), items)
        self.assertEqual(self.advance(2_000_001), [later])

    def test_clock_set_back(self) -> None:
        """
        A clock that goes backward delays, and loses nothing.
        """
        item = self.add(1)
        self.assertEqual(self.advance(-3600), [])
        other = self.add(2)
        self.assertEqual(self.advance(3), [item, other])

    def test_nothing_lost(self) -> None:
        """
        Of thousands of deadlines, some moved, each comes exactly once and never early.
        """
        chance = random.Random(17)
        items = [self.add(chance.uniform(0, 300)) for _ in range(2000)]
        for item in chance.sample(items, 700):
            item.due += chance.uniform(0, 200)
        came: list[Item] = []
        now = 0.0
        while now < 600:
            now += chance.choice((0.05, 0.1, 0.1, 0.1, 7.3, 40))
            for item in self.advance(now):
                self.assertLessEqual(item.due, START + now)
                came.append(item)
        self.assertEqual(len(came), 2000)
        self.assertEqual(len(set(map(id, came))), 2000)
        self.assertEqual(len(self.wheel), 0)
