"""
Our events in syslog, as far as ``silence_log`` lets them.
"""

from __future__ import annotations

import syslog
from collections.abc import Callable

from twisted.application.service import Service
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from zope.interface import implementer

NOTHING = 4

# The least level that is heard, by silence_log.
_LEAST = (LogLevel.debug, LogLevel.info, LogLevel.warn, LogLevel.error)
_PRIORITIES = {
    LogLevel.debug: syslog.LOG_DEBUG,
    LogLevel.info: syslog.LOG_INFO,
    LogLevel.warn: syslog.LOG_WARNING,
    LogLevel.error: syslog.LOG_ERR,
    LogLevel.critical: syslog.LOG_CRIT,
}


@implementer(ILogObserver)
class SyslogService(Service):
    """
    Hands events of ours on.

    :param silence: 0 everything, 1 no debug, 2 warnings and errors, 3 errors, 4
        nothing; may be changed.
    :param write: ``write(priority, text)``.
    """

    name = "syslog"

    def __init__(self, silence: int, write: Callable[[int, str], object] = syslog.syslog) -> None:
        self._silence = silence
        self._write = write
        self._hears = False

    def privilegedStartService(self) -> None:
        super().privilegedStartService()
        # Connected at once: after chrootjail nobody finds /dev/log.
        syslog.openlog("siptwist", syslog.LOG_PID | syslog.LOG_NDELAY, syslog.LOG_DAEMON)
        self.change(self._silence)

    def stopService(self) -> None:
        super().stopService()
        self.change(NOTHING)

    def change(self, silence: int) -> None:
        """
        Be more silent, or less.
        """
        self._silence = silence
        if self._hears != (silence < NOTHING):
            self._hears = not self._hears
            if self._hears:
                globalLogPublisher.addObserver(self)
            else:
                globalLogPublisher.removeObserver(self)

    def __call__(self, event: LogEvent) -> None:
        level = event.get("log_level", LogLevel.info)
        if level < _LEAST[self._silence] or not is_ours(event):
            return
        # A line of syslog is a line: what siproxd cut at 255 characters goes out whole.
        for line in text_of(event).splitlines():
            self._write(_PRIORITIES[level], line)


def is_ours(event: LogEvent) -> bool:
    """
    Whether it is ours, or a bug that somebody has to see.
    """
    return str(event.get("log_namespace", "")).startswith("siptwist") or "log_failure" in event


def text_of(event: LogEvent) -> str:
    """
    The words of an event, with the kind of error when it is one of ours.
    """
    text = formatEvent(event)
    failure = event.get("log_failure")
    return text if failure is None else f"{text}: {failure.type.__name__}: {failure.value}"
