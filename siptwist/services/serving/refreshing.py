"""
Looks for calls that were not refreshed in time (RFC 4028).
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from siptwist.logs import logger
from siptwist.media.stream import CallKey
from siptwist.proxy.session.refresh import Refreshes

# Seconds between two looks; the shortest session has 90.
SWEEP_SECONDS = 10.0


class RefreshingService(Service):
    """
    Ends each call whose session has expired.

    :param end: told the key of such a call.
    """

    name = "refreshing"
    _log = logger()

    def __init__(
        self, reactor: IReactorTime, refreshes: Refreshes, end: Callable[[CallKey], object]
    ) -> None:
        self._reactor = reactor
        self._refreshes = refreshes
        self._end = end
        self._sweeping = LoopingCall(self._sweep)
        self._sweeping.clock = reactor

    def startService(self) -> None:
        super().startService()
        self._sweeping.start(SWEEP_SECONDS, now=False)

    def stopService(self) -> None:
        super().stopService()
        if self._sweeping.running:
            self._sweeping.stop()

    def _sweep(self) -> None:
        for key in self._refreshes.expire(self._reactor.seconds()):
            try:
                self._end(key)
            except Exception:
                self._log.failure("Could not end {call_id!r}", call_id=key.call_id)
