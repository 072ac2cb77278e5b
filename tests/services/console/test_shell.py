"""
Tests for siptwist.services.console.shell.
"""

from __future__ import annotations

from typing import Any

from twisted.conch.interfaces import IConchUser, ISession
from twisted.cred.portal import IRealm
from twisted.internet.error import ProcessDone
from twisted.logger import formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from siptwist.services.console.shell import Command, Session, Visitors
from siptwist.services.console.tables import Sentence


class FakeChannel:
    """
    What an SSH channel offers to a process.
    """

    def __init__(self) -> None:
        self.session = self
        self.shown = b""
        self.transport: Any = None
        self.reason: Failure | None = None

    def makeConnection(self, transport: Any) -> None:
        self.transport = transport

    def write(self, data: bytes) -> None:
        self.shown += data

    outReceived = write

    def loseConnection(self) -> None:
        self.transport = None

    def processEnded(self, reason: Failure) -> None:
        self.reason = reason

    def type(self, text: bytes) -> bytes:
        """
        Type into it; returns what shows then.
        """
        self.shown = b""
        self.transport.write(text)
        return self.shown


class ShellCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.events: list[Any] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)
        realm = Visitors({"calls": lambda: Sentence("There are no calls.")})
        self.assertTrue(verifyObject(IRealm, realm))
        self.visitor = realm.requestAvatar(b"op\x1b", None, IConchUser)[1]
        self.session = ISession(self.visitor)
        self.channel = FakeChannel()


class PromptTests(ShellCase):
    def setUp(self) -> None:
        super().setUp()
        self.session.getPty(b"xterm", (24, 80, 0, 0), b"")
        self.session.openShell(self.channel)

    def test_greeting(self) -> None:
        """
        The prompt says whom it belongs to and how to get help, and clears nothing.
        """
        self.assertIn(b"help()", self.channel.shown)
        self.assertTrue(self.channel.shown.endswith(b">>> "))
        self.assertNotIn(b"\x1bc", self.channel.shown)

    def test_answer(self) -> None:
        """
        What is asked is answered, without quotes.
        """
        shows = self.channel.type(b"calls()\r")
        self.assertTrue(shows.endswith(b"\r\nThere are no calls.\r\n>>> "), shows)

    def test_mistake(self) -> None:
        """
        A mistake shows a traceback, and the prompt is there again.
        """
        shows = self.channel.type(b"1/0\r")
        self.assertIn(b"ZeroDivisionError", shows)
        self.assertTrue(shows.endswith(b">>> "))

    def test_leave(self) -> None:
        """
        exit(), sys.exit() and Ctrl-D leave the prompt, and only that.
        """
        for text in (b"exit()\r", b"quit()\r", b"import sys\rsys.exit()\r", b"\x04"):
            self.session.openShell(self.channel)
            self.channel.reason = None
            self.channel.type(text)
            assert self.channel.reason is not None
            self.assertTrue(self.channel.reason.check(ProcessDone), text)

    def test_resized(self) -> None:
        """
        A window of another size leaves what it shows.
        """
        self.channel.shown = b""
        self.session.windowChanged((50, 200, 0, 0))
        self.assertEqual(self.channel.shown, b"")

    def test_end_of_input(self) -> None:
        """
        A script piped into the prompt ends it.
        """
        self.session.eofReceived()
        self.assertIsNotNone(self.channel.reason)


class CommandTests(ShellCase):
    def test_session(self) -> None:
        """
        Each session is one of its own.
        """
        self.assertTrue(verifyObject(ISession, self.session))
        self.assertIsInstance(self.session, Session)
        self.assertIsNot(self.session, ISession(self.visitor))

    def test_command(self) -> None:
        """
        A command given to ssh is run, and ends.
        """
        self.session.execCommand(self.channel, b"calls()")
        self.session.eofReceived()
        self.session.closed()
        self.assertEqual(self.channel.shown, b"There are no calls.\n")
        assert self.channel.reason is not None
        self.assertEqual(self.channel.reason.value.exitCode, 0)

    def test_mistakes(self) -> None:
        """
        A command that is wrong shows why; no bytes break it.
        """
        for line, shows in (
            (b"1/0", b"ZeroDivisionError"),
            (b"\xff", b"SyntaxError"),
            (b"1\x00", b"Error"),
            (b"'\\udcff\\x1b'", b"'\\udcff\\x1b'"),
            (b"print('\\udcff')", b"\\udcff"),
            (b"exit()", b"\n"),
        ):
            self.assertIn(shows, Command({"exit": self._exit}).run(line))

    def _exit(self) -> None:
        raise SystemExit

    def test_names_are_kept(self) -> None:
        """
        One command cannot change the names of the next.
        """
        names = {"calls": 1}
        Command(names).run(b"calls = 2")
        self.assertEqual(names, {"calls": 1})

    def test_logged(self) -> None:
        """
        A login is logged, whatever the name given.
        """
        [event] = self.events
        self.assertEqual(formatEvent(event), "Console: 'op\\x1b' logged in")
