"""
Tests for siptwist.services.running.notifying: systemd hears how we are.
"""

from __future__ import annotations

import os
import socket

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from siptwist.services.running.notifying import NotifyingService, notify, watchdog_seconds


class NotifyingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.heard.close)
        self.heard.bind("")
        self.heard.setblocking(False)
        self.address = "@" + self.heard.getsockname()[1:].decode()
        self.reactor = MemoryReactorClock()

    def lines(self) -> list[str]:
        found = []
        while True:
            try:
                found.append(self.heard.recv(1000).decode())
            except BlockingIOError:
                return found

    def run_service(self, **environment: str) -> NotifyingService:
        service = NotifyingService(self.reactor, {"NOTIFY_SOCKET": self.address, **environment})
        service.startService()
        for hook, words, more in self.reactor.whenRunningHooks:
            hook(*words, **more)
        return service

    def test_ready_and_stopping(self) -> None:
        """
        systemd hears that we are ready when we run, and that we stop.
        """
        service = self.run_service()
        self.assertEqual(self.lines(), ["READY=1"])
        service.stopService()
        self.assertEqual(self.lines(), ["STOPPING=1"])

    def test_watchdog(self) -> None:
        """
        systemd hears that we live, well before it would give us up.
        """
        service = self.run_service(WATCHDOG_USEC="30000000", WATCHDOG_PID=str(os.getpid()))
        self.lines()
        self.reactor.pump([10, 10])
        self.assertEqual(self.lines(), ["WATCHDOG=1"] * 2)
        service.stopService()
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_reload(self) -> None:
        """
        systemd hears of a reload, and of its end.
        """
        service = self.run_service()
        self.lines()
        service.reloading()
        service.reloaded()
        first, second = self.lines()
        self.assertRegex(first, r"\ARELOADING=1\nMONOTONIC_USEC=\d+\Z")
        self.assertEqual(second, "READY=1")

    def test_without_systemd(self) -> None:
        """
        Without systemd nothing is sent, and a socket that is gone does no harm.
        """
        notify("", "READY=1")
        notify("/no/such/socket", "READY=1")
        self.assertEqual(self.lines(), [])

    def test_others_watchdog(self) -> None:
        """
        A watchdog for another process, and one that makes no sense, are not ours.
        """
        self.assertEqual(watchdog_seconds({"WATCHDOG_USEC": "9", "WATCHDOG_PID": "1"}, 2), 0)
        self.assertEqual(watchdog_seconds({"WATCHDOG_USEC": "often"}, 2), 0)
        self.assertEqual(watchdog_seconds({"WATCHDOG_USEC": "2000000"}, 2), 2)
