"""
The log, for whoever connects to ``debug_port``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import gatherResults, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IPushProducer
from twisted.internet.protocol import Protocol, ServerFactory
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface import implementer

from siptwist.errors import SIPTwistError
from siptwist.logfile import line_of
from siptwist.logs import logger
from siptwist.services.running.syslogging import is_ours

READERS = 8

_SECRETS = re.compile(
    r"(?i)\b((?:proxy-)?authorization|(?:www|proxy)-authenticate)(\s*:\s*)[^\r\n]*"
    r"|\b(response|password|passwd|nonce|cnonce)(=)(?:\"[^\"]*\"|[^\s,]+)"
)


def mask_secrets(text: str, secrets: Iterable[str] = ()) -> str:
    """
    A line without credentials, whoever wrote them into it.
    """
    for secret in secrets:
        text = text.replace(secret, "***")
    return _SECRETS.sub(lambda m: f"{m[1] or m[3]}{m[2] or m[4]}***", text)


@implementer(IPushProducer)
class Reader(Protocol):
    """
    Somebody who reads; lines that come faster than that are counted.
    """

    factory: Readers

    def connectionMade(self) -> None:
        self.is_slow = False
        self.missed = 0
        transport: Any = self.transport
        if len(self.factory.readers) >= READERS:
            transport.loseConnection()
            return
        transport.registerProducer(self, True)
        self.factory.readers.append(self)

    def connectionLost(self, reason: Any = None) -> None:
        if self in self.factory.readers:
            self.factory.readers.remove(self)

    def write(self, line: bytes) -> None:
        if self.is_slow:
            self.missed += 1
        else:
            assert self.transport is not None
            self.transport.write(line)

    def pauseProducing(self) -> None:
        self.is_slow = True

    def resumeProducing(self) -> None:
        self.is_slow = False
        missed, self.missed = self.missed, 0
        if missed:
            self.write(b"... %d lines were missed ...\n" % missed)

    def stopProducing(self) -> None:
        self.is_slow = True


class Readers(ServerFactory):
    """
    All who read.
    """

    protocol: Any = Reader
    noisy = False

    def __init__(self) -> None:
        self.readers: list[Reader] = []


@implementer(ILogObserver)
class DebugPortService(Service):
    """
    Listens, and writes each line of our log to those who are connected.

    :param secrets: what is masked wherever it stands.
    """

    name = "debugport"
    _log = logger()

    def __init__(self, reactor: Any, host: str, port: int, secrets: Iterable[str] = ()) -> None:
        self._reactor = reactor
        self._host = host
        self._port = port
        self._secrets = tuple(filter(None, secrets))
        self._readers = Readers()
        self._listening: Any = None

    def privilegedStartService(self) -> None:
        """
        :raises SIPTwistError: when the port is taken.
        """
        super().privilegedStartService()
        listen = self._reactor.listenTCP
        try:
            self._listening = listen(self._port, self._readers, interface=self._host)
        except CannotListenError as error:
            raise SIPTwistError(
                f"debug_port: cannot bind {self._host}:{self._port} (TCP): {error.socketError}"
            ) from error
        globalLogPublisher.addObserver(self)

    def startService(self) -> None:
        super().startService()
        self._log.info("Debug log: nc {host} {port}", host=self._host, port=self._port)

    def stopService(self) -> Any:
        super().stopService()
        if self._listening is None:
            return None
        globalLogPublisher.removeObserver(self)
        listening, self._listening = self._listening, None
        for reader in list(self._readers.readers):
            transport: Any = reader.transport
            transport.loseConnection()
        return gatherResults([maybeDeferred(listening.stopListening)])

    def __call__(self, event: LogEvent) -> None:
        if not self._readers.readers or not is_ours(event):
            return
        line = mask_secrets(line_of(event) or "", self._secrets).encode("utf-8", "replace")
        for reader in list(self._readers.readers):
            reader.write(line)
