"""
Tests for siptwist.services.running.debugport: the log for those who connect.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IPushProducer
from twisted.internet.testing import MemoryReactor, StringTransport
from twisted.logger import ILogObserver, Logger, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from siptwist.errors import SIPTwistError
from siptwist.services.running.debugport import (
    READERS,
    DebugPortService,
    Reader,
    mask_secrets,
)
from tests.test_tap import MemoryReactor as TakenReactor

LOG = Logger("siptwist.services.x", observer=globalLogPublisher)


class DebugPortTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor: Any = MemoryReactor()
        self.service = DebugPortService(self.reactor, "127.0.0.1", 4000, ("hunter2",))
        self.service.privilegedStartService()
        self.addCleanup(self.service.stopService)
        _, self.factory, _, self.address = self.reactor.tcpServers[0]

    def connect(self) -> tuple[Any, StringTransport]:
        reader, transport = self.factory.buildProtocol(None), StringTransport()
        reader.makeConnection(transport)
        return reader, transport

    def test_here_only(self) -> None:
        """
        The port is on the address that was given, and on no other (siproxd's fault S11: it
        was on all).
        """
        self.assertEqual((self.reactor.tcpServers[0][0], self.address), (4000, "127.0.0.1"))

    def test_lines(self) -> None:
        """
        All who are connected read what is logged, a line each.
        """
        readers = [self.connect()[1] for _ in range(2)]
        LOG.info("A call from {who}", who="alice")
        for transport in readers:
            self.assertRegex(transport.value(), rb"\A\S+ \[siptwist.* A call from alice\n\Z")

    def test_secrets(self) -> None:
        """
        No credentials are read there, whoever logged them (siproxd's fault S11).
        """
        _, transport = self.connect()
        LOG.info("{text}", text='REGISTER\r\nAuthorization: Digest response="abc"\r\nX: hunter2')
        self.assertIn(b"REGISTER", transport.value())
        self.assertNotIn(b"abc", transport.value())
        self.assertNotIn(b"hunter2", transport.value())

    def test_masks(self) -> None:
        """
        Headers of digest, their parameters and passwords are masked, and nothing else.
        """
        for text, masked in (
            ("Proxy-Authorization: Digest x", "Proxy-Authorization: ***"),
            ('digest nonce="a,b", uri="sip:c"', 'digest nonce=***, uri="sip:c"'),
            ("response=12ab", "response=***"),
            ("200 response to alice", "200 response to alice"),
        ):
            self.assertEqual(mask_secrets(text), masked)

    def test_slow_reader(self) -> None:
        """
        Who reads slowly misses lines, and is told how many; memory does not grow.
        """
        reader, transport = self.connect()
        reader.pauseProducing()
        for _ in range(3):
            LOG.info("missed")
        self.assertEqual(transport.value(), b"")
        reader.resumeProducing()
        self.assertEqual(transport.value(), b"... 3 lines were missed ...\n")

    def test_too_many(self) -> None:
        """
        More readers than can be are sent away.
        """
        readers = [self.connect()[1] for _ in range(READERS + 1)]
        self.assertEqual([one.disconnecting for one in readers], [False] * READERS + [True])

    def test_taken(self) -> None:
        """
        A port that is taken stops the start.
        """
        reactor: Any = TakenReactor()
        reactor.taken = {("127.0.0.1", 4000)}
        service = DebugPortService(reactor, "127.0.0.1", 4000)
        error = self.assertRaises(SIPTwistError, service.privilegedStartService)
        self.assertIn("debug_port: cannot bind 127.0.0.1:4000 (TCP)", str(error))

    def test_interfaces(self) -> None:
        """
        It is what Twisted wants of observers and producers.
        """
        verifyObject(ILogObserver, self.service)
        verifyObject(IPushProducer, Reader())
