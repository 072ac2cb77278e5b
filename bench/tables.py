"""
What full tables, or plugins, change in the cost of a call.

Two processes, one with empty tables and one with full ones, make a hundred calls
in turn: a machine that is slower for a while is slower for both.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

# Another phone calls each time, or every phone would be in the processor's cache.
EMPTY = ("--callers", "1000")
FULL = (*EMPTY, "--bindings", "100000", "--transactions", "10000")


class Paced:
    """
    A process that makes a hundred calls when told to.
    """

    def __init__(self, calls: int, *options: str) -> None:
        command = [sys.executable, "-m", "bench.signaling", "--calls", str(calls), "--paced"]
        self.process = subprocess.Popen(
            [*command, *options],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def answer(self) -> str:
        """
        What it says next.
        """
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("bench.signaling has ended")
        return line

    def go_on(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()


def side_by_side(
    calls: int, less: tuple[str, ...], more: tuple[str, ...]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """
    The figures of a process that has less to do, and of one that has more.
    """
    with ExitStack() as stack:
        pair = [Paced(calls, *options) for options in (less, more)]
        for one in pair:
            stack.enter_context(one.process)
            # When something fails, the other one does not wait for ever.
            stack.callback(one.process.kill)
        for one in pair:
            one.answer()
        for _ in range((calls + 99) // 100):
            for one in pair:
                one.go_on()
                one.answer()
        found = []
        for one in pair:
            one.go_on()
            found.append(json.loads(one.answer()))
    return found[0], found[1]


def compare(
    calls: int,
    runs: int,
    less: tuple[str, ...] = EMPTY,
    more: tuple[str, ...] = FULL,
    names: tuple[str, str] = ("empty", "full"),
) -> dict[str, Any]:
    """
    The best figures of several pairs, and the median of their quotients.
    """
    pairs = [side_by_side(calls, less, more) for _ in range(runs)]
    quotients = [high["cpu_ms_per_call"] / low["cpu_ms_per_call"] for low, high in pairs]
    low, high = (
        min(all, key=lambda one: one["cpu_ms_per_call"]) for all in zip(*pairs, strict=True)
    )
    quotient = f"{names[1]}_to_{names[0]}"
    return {
        names[0]: low,
        names[1]: high,
        quotient: round(statistics.median(quotients), 3),
        f"{quotient}_of_each_run": [round(one, 3) for one in quotients],
    }
