"""
What a call costs when many phones are registered and many requests are open.
"""

from __future__ import annotations

import sys
import tempfile
from types import FrameType
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bench.signaling import Stopwatch, begin, bind, call, make_proxy


class FullTablesTests(SynchronousTestCase):
    """
    Tables are looked up, never searched.
    """

    def steps(self, bindings: int, transactions: int) -> int:
        """
        The lines of Python that one call takes, and a tenth of a second after it.
        """
        clock = Clock()
        clock.advance(1_700_000_000)
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        parts, outbox = make_proxy(clock, directory.name, False)
        self.addCleanup(parts.registrations.stopService)
        begin(parts, outbox, transactions)
        bind(parts, bindings, clock.seconds())
        # What is open has been repeated; the next time is half a second away.
        clock.pump([0.1] * 10)
        for number in range(3):
            call(parts, outbox, number, Stopwatch())
        found, self.count = sys.gettrace(), 0
        sys.settrace(self.trace)
        try:
            call(parts, outbox, 3, Stopwatch())
            clock.advance(0.1)
        finally:
            sys.settrace(found)
        self.assertEqual(len(parts.transactions), transactions + 4 * 4)
        return self.count

    def trace(self, frame: FrameType, event: str, argument: Any) -> Any:
        self.count += event == "line"
        return self.trace

    def test_call(self) -> None:
        """
        A call takes the same steps with 2,000 phones and 400 transactions as with none.
        """
        few, many = self.steps(1, 0), self.steps(2000, 400)
        self.assertGreater(few, 1000)
        self.assertLess(many, 1.02 * few)
