"""
The prompt of the console, and commands that are run without one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from twisted.conch.avatar import ConchUser
from twisted.conch.insults.insults import ServerProtocol
from twisted.conch.interfaces import IConchUser, ISession
from twisted.conch.manhole import Manhole, ManholeInterpreter
from twisted.conch.manhole_ssh import TerminalSessionTransport
from twisted.conch.ssh.session import SSHSession
from twisted.cred.portal import IRealm
from twisted.internet.error import ProcessDone
from twisted.python.components import registerAdapter
from twisted.python.failure import Failure
from zope.interface import implementer

from siptwist.logs import logger

_BANNER = b"This is the running siptwist. help() says what it can tell; Ctrl-D leaves.\r\n"


class Shell(Manhole):
    """
    A Python prompt that can be left, and survives what is typed.
    """

    def initializeScreen(self) -> None:
        """
        Greet on the screen as it is.
        """
        self.setInsertMode()
        self.terminal.write(_BANNER)
        self.drawInputLine()

    def terminalSize(self, width: int, height: int) -> None:
        self.width, self.height = width, height

    def lineReceived(self, line: bytes) -> None:
        try:
            super().lineReceived(line)
        except SystemExit:
            self.terminal.loseConnection()


class Terminal(ServerProtocol):
    """
    A terminal that keeps what was read in it.

    :param leave: called to close it.
    """

    def __init__(self, leave: Callable[[], object], names: Mapping[str, object]) -> None:
        super().__init__(Shell, names)
        self._leave = leave

    def loseConnection(self) -> None:
        self._leave()

    def reset(self) -> None:
        """
        Clear nothing: not at the start, and not at the end.
        """


class Command:
    """
    One line that is run without a prompt: ``ssh -p 2222 127.0.0.1 'calls()'``.
    """

    def __init__(self, names: Mapping[str, object]) -> None:
        self._names = names
        self._output: list[str] = []

    def addOutput(self, data: str, isAsync: bool | None = None) -> None:
        self._output.append(data)

    def run(self, line: bytes) -> bytes:
        """
        What the line prints.
        """
        interpreter = ManholeInterpreter(self, dict(self._names))
        try:
            interpreter.push(line.decode("utf-8", "replace").encode())
        except SystemExit:
            self._output.append("")
        text = "".join(self._output)
        return (text if text.endswith("\n") else f"{text}\n").encode("utf-8", "backslashreplace")


@implementer(IRealm)
class Visitors:
    """
    Those who are let in; each has the same names.
    """

    _log = logger()

    def __init__(self, names: Mapping[str, object]) -> None:
        self._names = {**names, "exit": _leave, "quit": _leave}

    def requestAvatar(self, avatarId: bytes | tuple[()], mind: object, *interfaces: object) -> Any:
        user = bytes(avatarId).decode("utf-8", "replace")
        self._log.info("Console: {user!r} logged in", user=user)
        return IConchUser, Visitor(self._names), lambda: None


class Visitor(ConchUser):
    """
    Somebody who is logged in.
    """

    def __init__(self, names: Mapping[str, object]) -> None:
        super().__init__()
        self.names = names
        self.channelLookup[b"session"] = SSHSession


@implementer(ISession)
class Session:
    """
    One shell or command of a visitor.
    """

    def __init__(self, visitor: Visitor) -> None:
        self._visitor = visitor
        self._size = (80, 24)
        self._terminal: Any = None

    def getPty(self, term: bytes, windowSize: tuple[int, ...], modes: object) -> None:
        self._size = (windowSize[1], windowSize[0])

    def openShell(self, proto: Any) -> None:
        self._terminal = Terminal(lambda: _end(proto), self._visitor.names)
        TerminalSessionTransport(proto, self._terminal, self._visitor, *self._size)

    def execCommand(self, proto: Any, cmd: bytes) -> None:
        proto.outReceived(Command(self._visitor.names).run(cmd))
        _end(proto)

    def windowChanged(self, newWindowSize: tuple[int, ...]) -> None:
        """
        Nothing to do: lines are as long as they are.
        """

    def eofReceived(self) -> None:
        if self._terminal is not None:
            self._terminal.loseConnection()

    def closed(self) -> None:
        self._terminal = None


registerAdapter(Session, Visitor, ISession)


def _end(proto: Any) -> None:
    """
    Close the channel as a process does that ends well.
    """
    proto.processEnded(Failure(ProcessDone(0)))


def _leave() -> None:
    raise SystemExit
