"""
Lines of the log file: quicker than Twisted's, and the same.
"""

from __future__ import annotations

import io
from typing import Any

from twisted.logger import (
    FileLogObserver,
    Logger,
    LogLevel,
    LogPublisher,
    formatEventAsClassicLogText,
    jsonFileLogObserver,
    textFileLogObserver,
)
from twisted.trial.unittest import SynchronousTestCase

from siptwist import logs
from siptwist.logfile import line_of, quicken
from siptwist.logs import OwnLogger


class Named:
    port = 5060

    def word(self) -> str:
        return "spoken"


def event(log_format: Any, **words: Any) -> dict[str, Any]:
    """
    What a logger of ours makes.
    """
    return {
        "log_logger": OwnLogger("siptwist.x"),
        "log_level": LogLevel.info,
        "log_namespace": "siptwist.x",
        "log_time": 1_790_000_000.987,
        "log_format": log_format,
        **words,
    }


class LineTests(SynchronousTestCase):
    def same(self, one: dict[str, Any]) -> None:
        self.assertEqual(line_of(dict(one)), formatEventAsClassicLogText(dict(one)))

    def test_words(self) -> None:
        """
        Words, numbers and their formats read as Twisted writes them.
        """
        for text in ("Hello", "{a!r} {b:.0f} {{c}}", "{d.port} {e[0]}", "", "two\nlines {a}"):
            self.same(event(text, a="it's\n", b=1.75, d=Named(), e=["x"]))

    def test_calls(self) -> None:
        """
        A format that asks for a call gets it.
        """
        self.same(event("{a.word()}", a=Named()))
        self.assertIn("spoken", line_of(event("{a.word()}", a=Named())) or "")

    def test_bad_format(self) -> None:
        """
        A format without its words, or that is none, is told of in a line.
        """
        for bad in ("{missing}", "{", b"bytes {a}"):
            self.assertIn("siptwist.x#info", line_of(event(bad, a=1)) or "", repr(bad))

    def test_no_format(self) -> None:
        """
        An event without words writes nothing.
        """
        self.assertIsNone(line_of(event(None)))

    def test_times(self) -> None:
        """
        Each second has its own time, whatever was written before.
        """
        for when in (0.0, 1.0, 1.9, 1_700_000_000.0, 1_720_000_000.5, 1.0, None):
            self.same(event("x") | {"log_time": when})

    def test_others(self) -> None:
        """
        Events of Twisted and of other programs are written as ever.
        """
        for other in ({}, {"log_system": "-", "log_time": 5.0}, {"log_logger": Logger("x")}):
            self.same({"log_format": "{n}", "n": 1, "log_level": LogLevel.warn, **other})

    def test_failure(self) -> None:
        """
        A fault keeps its traceback.
        """
        written = io.StringIO()
        publisher = LogPublisher(textFileLogObserver(written))
        quicken(publisher)
        try:
            raise ZeroDivisionError("by hand")
        except ZeroDivisionError:
            OwnLogger("siptwist.x", observer=publisher).failure("Dividing")
        self.assertIn("Dividing\n\tTraceback", written.getvalue())


class QuickenTests(SynchronousTestCase):
    def test_file(self) -> None:
        """
        A text file gets quick lines, and no line for having been asked.
        """
        written = io.StringIO()
        observer = textFileLogObserver(written)
        publisher = LogPublisher(observer)
        self.assertEqual((quicken(publisher), observer.formatEvent), (1, line_of))
        publisher(event("{a}", a="b"))
        self.assertTrue(written.getvalue().endswith("[siptwist.x#info] b\n"))
        self.assertEqual(written.getvalue().count("\n"), 1)

    def test_other_formats(self) -> None:
        """
        JSON, other times and the formats of others stay as they were chosen.
        """

        def broken(event: Any) -> str:
            raise KeyError("log_format")

        for observer in (
            jsonFileLogObserver(io.StringIO()),
            textFileLogObserver(io.StringIO(), timeFormat=None),
            FileLogObserver(io.StringIO(), broken),
        ):
            before = observer.formatEvent
            self.assertEqual(quicken(LogPublisher(observer)), 0)
            self.assertIs(observer.formatEvent, before)

    def test_no_file(self) -> None:
        """
        Observers that are no files are let be.
        """
        seen: list[Any] = []
        self.assertEqual((quicken(LogPublisher(seen.append)), len(seen)), (0, 1))


class OwnLoggerTests(SynchronousTestCase):
    def test_one_for_all(self) -> None:
        """
        All instances of a class share one logger.
        """

        class Speaker:
            log = logs.logger()

        self.assertIs(Speaker().log, Speaker.log)
        self.assertEqual(Speaker.log.namespace, f"{__name__}.Speaker")

    def test_level_changes(self) -> None:
        """
        A level that changes while running counts from the next event on.
        """
        seen: list[Any] = []
        log = OwnLogger("siptwist.x", observer=seen.append)
        self.addCleanup(logs.set_level, "info")
        for level in ("info", "debug", "warn", "info"):
            logs.set_level(level)
            log.debug("debug")
            log.info("info")
        self.assertEqual([one["log_format"] for one in seen], ["info", "debug", "info", "info"])
