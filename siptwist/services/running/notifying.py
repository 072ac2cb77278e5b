"""
Tells systemd how we are (sd_notify(3)), when systemd has started us.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from typing import Any

from twisted.application.service import Service
from twisted.internet.task import LoopingCall


def notify(address: str, *lines: str) -> None:
    """
    Send lines to the socket that ``NOTIFY_SOCKET`` names; nobody may be there.
    """
    if not address:
        return
    # "@" stands for the null byte of an address that is in no file system.
    path = f"\0{address[1:]}" if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asked:
        try:
            asked.connect(path)
            asked.send("\n".join(lines).encode())
        except OSError:
            return


def watchdog_seconds(environment: Mapping[str, str], pid: int) -> float:
    """
    Within how many seconds systemd wants to hear from us; 0 when it does not care.
    """
    if environment.get("WATCHDOG_PID", str(pid)) != str(pid):
        return 0.0
    text = environment.get("WATCHDOG_USEC", "")
    return int(text) / 1e6 if text.isdecimal() else 0.0


class NotifyingService(Service):
    """
    Says that we are ready, that we are alive, and that we stop.
    """

    name = "notifying"

    def __init__(self, reactor: Any, environment: Mapping[str, str] = os.environ) -> None:
        self._reactor = reactor
        self._address = environment.get("NOTIFY_SOCKET", "")
        self._watchdog = watchdog_seconds(environment, os.getpid()) if self._address else 0.0
        self._living = LoopingCall(self._live)
        self._living.clock = reactor

    def startService(self) -> None:
        super().startService()
        self._reactor.callWhenRunning(self._ready)
        if self._watchdog:
            self._living.start(self._watchdog / 3, now=False)

    def stopService(self) -> None:
        super().stopService()
        if self._living.running:
            self._living.stop()
        self.stopping()

    def _ready(self) -> None:
        if self.running:
            notify(self._address, "READY=1")

    def _live(self) -> None:
        notify(self._address, "WATCHDOG=1")

    def reloading(self) -> None:
        """
        The configuration is being read again.
        """
        stamp = int(time.monotonic() * 1e6)
        notify(self._address, "RELOADING=1", f"MONOTONIC_USEC={stamp}")

    def reloaded(self) -> None:
        """
        It has been read.
        """
        notify(self._address, "READY=1")

    def stopping(self) -> None:
        """
        We are about to end.
        """
        notify(self._address, "STOPPING=1")
