"""
What the process does when it is sent a signal.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping
from typing import Any

from twisted.application.service import Service

from siptwist.logs import logger

Action = Callable[[], object]
Install = Callable[[int, Any], Any]


class SignalService(Service):
    """
    Carries out what belongs to each signal, in the reactor's own time.

    :param install: ``signal.signal``.
    """

    name = "signals"
    _log = logger()

    def __init__(
        self, reactor: Any, actions: Mapping[int, Action], install: Install = signal.signal
    ) -> None:
        self._reactor = reactor
        self._actions = dict(actions)
        self._install_one = install
        self._before: dict[int, Any] = {}

    def startService(self) -> None:
        super().startService()
        self._install()
        # The reactor takes SIGTERM for itself when it begins to run.
        self._reactor.callWhenRunning(self._install)

    def stopService(self) -> None:
        super().stopService()
        before, self._before = self._before, {}
        for number, old in before.items():
            self._install_one(number, old)

    def _install(self) -> None:
        if not self.running:
            return
        for number in self._actions:
            old = self._install_one(number, self._receive)
            self._before.setdefault(number, old)

    def _receive(self, number: int, frame: object) -> None:
        # Between two instructions of whatever runs now: nothing but a note is safe.
        self._reactor.callFromThread(self._act, number)

    def _act(self, number: int) -> None:
        try:
            self._actions[number]()
        except Exception:
            self._log.failure("Signal {number}", number=number)
