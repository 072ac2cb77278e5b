"""
Looks for calls that were not refreshed in time (RFC 4028), or last too long.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from siptwist.logs import logger
from siptwist.media.stream import CallKey
from siptwist.proxy.session.refresh import Refreshes

# Seconds between two looks, at most and at least; the shortest session has 90, and
# a limit is kept to a twentieth of it.
SWEEP_SECONDS, SHORTEST_SWEEP = 10.0, 1.0


class RefreshingService(Service):
    """
    Ends each call whose session has expired, or whose time is over.

    :param end: told the key of such a call, and whether it was just not refreshed.
    """

    name = "refreshing"
    _log = logger()

    def __init__(
        self, reactor: IReactorTime, refreshes: Refreshes, end: Callable[[CallKey, bool], object]
    ) -> None:
        self._reactor = reactor
        self._refreshes = refreshes
        self._end = end
        self._sweeping = LoopingCall(self._sweep)
        self._sweeping.clock = reactor

    def startService(self) -> None:
        super().startService()
        often = max(SHORTEST_SWEEP, self._refreshes.longest / 20 or SWEEP_SECONDS)
        self._sweeping.start(min(SWEEP_SECONDS, often), now=False)

    def stopService(self) -> None:
        super().stopService()
        if self._sweeping.running:
            self._sweeping.stop()

    def _sweep(self) -> None:
        for key, is_unrefreshed in self._refreshes.expire(self._reactor.seconds()):
            try:
                self._end(key, is_unrefreshed)
            except Exception:
                self._log.failure("Could not end {call_id!r}", call_id=key.call_id)
