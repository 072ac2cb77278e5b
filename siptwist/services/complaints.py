"""
What is wrong with what arrives, counted in full and logged sparingly.
"""

from __future__ import annotations

from collections import Counter, OrderedDict

SOURCES = 4096


class Complaints:
    """
    Says whether a complaint about a source shall be logged: at most one a
    second for each.  Remembers the ``SOURCES`` latest.
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._logged_at: OrderedDict[str, float] = OrderedDict()

    def note(self, kind: str, source: str, now: float) -> bool:
        self.counts[kind] += 1
        last = self._logged_at.get(source)
        if last is not None and now - last < 1.0:
            return False
        self._logged_at[source] = now
        self._logged_at.move_to_end(source)
        if len(self._logged_at) > SOURCES:
            self._logged_at.popitem(last=False)
        return True
