"""
What is kept of a call that is over.
"""

from __future__ import annotations

import gc
import tempfile
import tracemalloc

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bench.signaling import Stopwatch, call, make_proxy
from siptwist.proxy.registration import masks
from siptwist.sip import fields, grammar, headers, uri

CALLS = 400


class FinishedTransactionTests(SynchronousTestCase):
    """
    Thousands of finished transactions wait for late repetitions (section 17).
    """

    def forget(self) -> None:
        """
        Empty what only saves time, so that it is not counted.
        """
        for module in (fields, grammar, uri, masks):
            for value in vars(module).values():
                if hasattr(value, "cache_clear"):
                    value.cache_clear()
        headers._LINES.clear()
        gc.collect()

    def test_size(self) -> None:
        """
        A finished transaction occupies less than 1 KB, and nothing after its time.
        """
        clock = Clock()
        clock.advance(1_700_000_000)
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        parts, outbox = make_proxy(clock, directory.name, False)
        self.addCleanup(parts.registrations.stopService)
        for number in range(20):
            call(parts, outbox, number, Stopwatch())
        self.forget()
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        before, known = tracemalloc.get_traced_memory()[0], len(parts.transactions)
        for number in range(20, 20 + CALLS):
            call(parts, outbox, number, Stopwatch())
            outbox.sent.clear()
        self.forget()
        grown = tracemalloc.get_traced_memory()[0] - before
        count = len(parts.transactions) - known
        self.assertEqual(count, 4 * CALLS)
        self.assertLess(grown / count, 1024)
        clock.pump([0.5] * 140)
        self.assertEqual(len(parts.transactions), 0)
