"""
Many deadlines, one clock.
"""

from __future__ import annotations

from typing import Generic, Protocol, TypeVar

# RFC 3261 section 17.1.1.1, seconds.
T1 = 0.5
T2 = 4.0
T4 = 5.0
# Timers B, D (UDP), F, H, J, L and M (RFC 6026).
LIFETIME = 64 * T1
# Timer C: how long a ringing call may take (section 16.6 step 11).
TIMER_C = 185.0


class Timed(Protocol):
    """
    Something that wants to be looked at when ``due`` has come; ``due`` may
    move later without telling the wheel, never earlier, and is 0 when nothing
    is wanted.
    """

    due: float


_T = TypeVar("_T", bound=Timed)


class TimerWheel(Generic[_T]):
    """
    Deadlines in slots of ``resolution`` seconds: adding costs a dictionary
    look-up, and only what is due is ever touched.
    """

    def __init__(self, now: float, resolution: float = 0.1) -> None:
        self._resolution = resolution
        self._slots: dict[int, list[_T]] = {}
        self._turn = int(now / resolution)

    def __len__(self) -> int:
        return sum(map(len, self._slots.values()))

    def add(self, item: _T) -> None:
        """
        Look at ``item`` when its ``due`` has come.
        """
        slot = max(int(item.due / self._resolution) + 1, self._turn + 1)
        found = self._slots.get(slot)
        if found is None:
            self._slots[slot] = [item]
        else:
            found.append(item)

    def advance(self, now: float) -> list[_T]:
        """
        What has come due by ``now``; what was moved later is kept for then.
        """
        turn = int(now / self._resolution)
        if turn - self._turn > len(self._slots):
            slots = sorted(slot for slot in self._slots if slot <= turn)
        else:
            slots = [slot for slot in range(self._turn + 1, turn + 1) if slot in self._slots]
        self._turn = max(self._turn, turn)
        due = []
        for slot in slots:
            for item in self._slots.pop(slot):
                if not item.due:
                    continue
                if item.due <= now:
                    due.append(item)
                else:
                    self.add(item)
        return due
