"""
Tests for siptwist.services.running.signals.
"""

from __future__ import annotations

import signal
from typing import Any

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from siptwist.services.running.signals import SignalService


class SignalTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor: Any = MemoryReactorClock()
        self.threads: list[Any] = []
        self.reactor.callFromThread = lambda *call: self.threads.append(call)
        self.handlers: dict[int, Any] = {signal.SIGHUP: "before"}
        self.done: list[str] = []

    def install(self, number: int, handler: Any) -> Any:
        old = self.handlers.get(number, signal.SIG_DFL)
        self.handlers[number] = handler
        return old

    def start(self) -> SignalService:
        actions = {signal.SIGHUP: lambda: self.done.append("read"), signal.SIGTERM: self.fail_here}
        service = SignalService(self.reactor, actions, self.install)
        service.startService()
        return service

    def fail_here(self) -> None:
        raise ValueError("no")

    def receive(self, number: int) -> None:
        self.handlers[number](number, None)
        for function, *words in self.threads:
            function(*words)
        self.threads.clear()

    def test_in_the_reactor(self) -> None:
        """
        What a signal asks for is done by the reactor, not in the middle of something.
        """
        self.start()
        self.handlers[signal.SIGHUP](signal.SIGHUP, None)
        self.assertEqual(self.done, [])
        self.receive(signal.SIGHUP)
        self.assertIn("read", self.done)

    def test_after_the_reactor(self) -> None:
        """
        SIGTERM is ours although the reactor takes it when it begins to run.
        """
        self.start()
        self.handlers[signal.SIGTERM] = "the reactor's"
        for hook, words, more in self.reactor.whenRunningHooks:
            hook(*words, **more)
        self.assertNotEqual(self.handlers[signal.SIGTERM], "the reactor's")

    def test_failure(self) -> None:
        """
        An action that fails is logged, and the proxy lives on.
        """
        self.start()
        self.receive(signal.SIGTERM)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_stopped(self) -> None:
        """
        A stop gives the signals back.
        """
        self.start().stopService()
        self.assertEqual(self.handlers[signal.SIGHUP], "before")
