"""
The even RTP ports of one local address, and who has them.

Ports rest after use, so that late packets of a past call do not reach the next
one.  A port that rests is lent all the same when nothing else is free, the one
that has rested longest first: strangers' packets go nowhere anyway, and a call
with a warm port is better than no call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from siptwist.errors import NoFreePorts

#: Seconds until a port that another program had is tried again.
RETRY_SECONDS = 60.0


class PortPool:
    """
    Lends the even ports of ``low..high`` in random order; RTCP is one above.

    Every method takes the same short time, however full the pool is.

    :param low: the lowest port; an odd one is rounded up.
    :param high: the highest port; an odd one is rounded down.
    :param chance: ``chance(n)`` returns a number from 0 to n-1 that strangers
        cannot guess.
    :param rest_seconds: how long a port stays unused after a call.
    """

    def __init__(
        self, low: int, high: int, chance: Callable[[int], int], rest_seconds: float = 5.0
    ) -> None:
        self._chance = chance
        self._rest_seconds = rest_seconds
        self._free = list(range(low + low % 2, high + 1, 2))
        self._resting: deque[tuple[float, int]] = deque()
        self._taken: deque[tuple[float, int]] = deque()
        self.size = len(self._free)

    def __len__(self) -> int:
        """
        How many ports can be lent, those that rest included.
        """
        return len(self._free) + len(self._resting)

    def lend(self, now: float) -> int:
        """
        Take an even port out of the pool.

        :raises NoFreePorts: all are lent, or taken by other programs.
        """
        free = self._free
        for waiting in (self._resting, self._taken):
            while waiting and waiting[0][0] <= now:
                free.append(waiting.popleft()[1])
        if free:
            # The last one fills the gap: nothing moves up.
            index = self._chance(len(free))
            free[index], free[-1] = free[-1], free[index]
            return free.pop()
        if self._resting:
            return self._resting.popleft()[1]
        raise NoFreePorts("No free RTP ports")

    def take(self, port: int) -> None:
        """
        Take this one out of the pool, however long that takes.

        :raises NoFreePorts: it is lent, or another program has it.
        """
        resting = next((one for one in self._resting if one[1] == port), None)
        if resting is not None:
            self._resting.remove(resting)
        elif port in self._free:
            self._free.remove(port)
        else:
            raise NoFreePorts(f"RTP port {port} is not free")

    def rest(self, port: int, now: float) -> None:
        """
        ``port`` carried a call that is over.
        """
        self._resting.append((now + self._rest_seconds, port))

    def put_back(self, port: int) -> None:
        """
        ``port`` was lent, but never used.
        """
        self._free.append(port)

    def set_aside(self, port: int, now: float) -> None:
        """
        Another program has ``port``: leave it alone for a while.
        """
        self._taken.append((now + RETRY_SECONDS, port))
