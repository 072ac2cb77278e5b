"""
Waiting for a condition on the real clock, never longer than a deadline.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class TooLate(AssertionError):
    """
    A condition did not come true in its time.
    """


def wait_until(
    condition: Callable[[], T], what: str, seconds: float = 10.0, pause: float = 0.05
) -> T:
    """
    Call ``condition`` until it is true.

    :param what: ends the sentence "waited 10 s for ..." of the failure.
    :param pause: seconds between two looks.
    :returns: the first true value.
    :raises TooLate: the deadline passed.
    """
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TooLate(f"waited {seconds:g} s for {what}")
        time.sleep(pause)
