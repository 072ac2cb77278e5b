"""
Tests for siptwist.services.running.syslogging: what syslog hears.
"""

from __future__ import annotations

import syslog

from twisted.logger import ILogObserver, Logger, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from siptwist.services.running.syslogging import SyslogService


class SyslogTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.lines: list[tuple[int, str]] = []
        self.patch(syslog, "openlog", lambda *words: None)

    def start(self, silence: int) -> SyslogService:
        service = SyslogService(silence, lambda priority, text: self.lines.append((priority, text)))
        service.privilegedStartService()
        self.addCleanup(service.stopService)
        return service

    def log(self) -> list[int]:
        """
        An event of each level; the priorities that syslog heard.
        """
        self.lines.clear()
        log = Logger("siptwist.services.x", observer=globalLogPublisher)
        for say in (log.debug, log.info, log.warn, log.error):
            say("said")
        return [priority for priority, _ in self.lines]

    def test_silence(self) -> None:
        """
        silence_log is what siproxd means by it: 0 says everything, 4 nothing.
        """
        service = self.start(0)
        all_of_them = [syslog.LOG_DEBUG, syslog.LOG_INFO, syslog.LOG_WARNING, syslog.LOG_ERR]
        for silence in range(5):
            service.change(silence)
            self.assertEqual(self.log(), all_of_them[silence:])

    def test_long_lines(self) -> None:
        """
        A long line is heard whole (siproxd's fault R14: it was cut at 255 characters).
        """
        self.start(1)
        Logger("siptwist.x", observer=globalLogPublisher).info("{text}", text="x" * 2000)
        self.assertEqual(self.lines, [(syslog.LOG_INFO, "x" * 2000)])

    def test_several_lines(self) -> None:
        """
        What has several lines is heard line by line.
        """
        self.start(1)
        Logger("siptwist.x", observer=globalLogPublisher).error("one\ntwo")
        self.assertEqual([text for _, text in self.lines], ["one", "two"])

    def test_others(self) -> None:
        """
        What others log in this process stays out, but for a bug.
        """
        self.start(0)
        log = Logger("twisted.web", observer=globalLogPublisher)
        log.info("said")
        self.assertEqual(self.lines, [])
        log.failure("broken", Failure(ValueError("why")))
        self.assertEqual(self.lines, [(syslog.LOG_CRIT, "broken: ValueError: why")])
        self.flushLoggedErrors(ValueError)

    def test_stopped(self) -> None:
        """
        After the stop nothing is heard.
        """
        self.start(0).stopService()
        self.assertEqual(self.log(), [])

    def test_observer(self) -> None:
        """
        It is an observer as Twisted's logger wants one.
        """
        verifyObject(ILogObserver, SyslogService(4))
