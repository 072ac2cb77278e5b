"""
A stop that lets calls end: no new ones, and time for those that go on.
"""

from __future__ import annotations

from collections.abc import Callable
from math import ceil
from typing import Any

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall

from siptwist.logs import logger
from siptwist.media.stream import CallKey
from siptwist.proxy.core import Core, Guard
from siptwist.proxy.decision import Reply
from siptwist.proxy.session.dialogs import Dialogs
from siptwist.proxy.ticket import Ticket

LOOK_SECONDS = 0.25
# So long the ends of calls that are cut have to hear of it.
LAST_SECONDS = 0.5


class DrainingService(Service):
    """
    Once told to drain, refuses new calls with 503 and stops the process when the
    last call has ended or the time is over.

    :param grace: seconds; may be changed.
    :param stop: ends the process.
    :param cut: ends one call that has not ended in time; returns how many hear of it.

    ``begun`` is called when draining begins.
    """

    name = "draining"
    _log = logger()

    def __init__(
        self,
        reactor: Any,
        core: Core,
        dialogs: Dialogs,
        grace: float,
        stop: Callable[[], object],
        cut: Callable[[CallKey], int] = lambda key: 0,
    ) -> None:
        self._reactor = reactor
        self._core = core
        self._dialogs = dialogs
        self.grace = grace
        self.begun: Callable[[], object] = lambda: None
        self._stop = stop
        self._cut = cut
        self._stopping: IDelayedCall | None = None
        self._until: float | None = None
        self._guard: Guard | None = None
        self._looking = LoopingCall(self._look)
        self._looking.clock = reactor

    def stopService(self) -> None:
        super().stopService()
        if self._looking.running:
            self._looking.stop()
        if self._stopping is not None and self._stopping.active():
            self._stopping.cancel()

    def guard(self, guard: Guard | None) -> None:
        """
        What requests must pass else, now and while draining.
        """
        self._guard = guard
        if self._until is None:
            self._core.guard = guard

    def drain(self) -> None:
        """
        Begin; told so again, wait for no call; and once more, for nobody.
        """
        if self._stopping is not None:
            if self._stopping.active():
                self._stopping.reset(0)
        elif self._until is not None:
            self._finish("told so twice")
        else:
            self._begin()

    def _begin(self) -> None:
        self._until = self._reactor.seconds() + self.grace
        self._core.guard = self._refuse_calls
        self.begun()
        self._log.info(
            "Stopping: new calls are refused, {count} have {grace:g} s to end",
            count=len(self._dialogs),
            grace=self.grace,
        )
        self._looking.start(LOOK_SECONDS)

    def _refuse_calls(self, ticket: Ticket, is_phone: bool) -> Reply | Ticket:
        if ticket.method == "INVITE" and not ticket.in_dialog:
            left = max(1, ceil((self._until or 0) - self._reactor.seconds()))
            return Reply(503, headers=(("Retry-After", str(left)),), why="we are stopping")
        return ticket if self._guard is None else self._guard(ticket, is_phone)

    def _look(self) -> None:
        if not len(self._dialogs):
            self._finish("no call is left")
        elif self._until is not None and self._reactor.seconds() >= self._until:
            self._finish(f"time is over, {len(self._dialogs)} calls are cut")

    def _finish(self, why: str) -> None:
        if self._looking.running:
            self._looking.stop()
        told = sum([self._tell(dialog.key) for dialog in list(self._dialogs)])
        self._log.info("Stopped: {why}; {told} parties are told", why=why, told=told)
        if told:
            self._stopping = self._reactor.callLater(LAST_SECONDS, self._stop)
        else:
            self._stop()

    def _tell(self, key: CallKey) -> int:
        try:
            return self._cut(key)
        except Exception:
            self._log.failure("Cutting {call_id!r}", call_id=key.call_id)
            return 0
