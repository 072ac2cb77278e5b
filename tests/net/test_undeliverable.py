"""
Tests for siptwist.net.undeliverable.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Any

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from siptwist.net import undeliverable
from siptwist.net.undeliverable import MAX_READY, SIPPort, is_refusal, listen
from tests.net.fakes_udp import MemoryUDPPort, MemoryUDPReactor

SERVER = ("203.0.113.20", 5060)
ICMP, ICMP6 = 2, 3


def note(origin: int, kind: int, code: int) -> bytes:
    """
    struct sock_extended_err, and who sent the error.
    """
    return struct.pack("=IBBBBII", 111, origin, kind, code, 0, 0, 0) + bytes(16)


REFUSED = [(socket.IPPROTO_IP, 11, note(ICMP, 3, 3))]


class Reactor:
    """
    Remembers who waits for something to read.
    """

    def __init__(self) -> None:
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        self.readers.remove(reader)

    def removeWriter(self, writer: Any) -> None:
        """
        Nobody waits to write.
        """


class Socket:
    """
    A socket with what arrives, an error that is pending, and a queue of errors.
    """

    def __init__(self) -> None:
        self.arrived: list[bytes] = []
        self.pending = 0
        self.errors: list[tuple[bytes, Any, Any]] = []
        self.options: list[Any] = []
        self.refuses = False
        self.closed = False

    def fileno(self) -> int:
        return -1 if self.closed else 7

    def bind(self, address: Any) -> None:
        self.address = address

    def getsockname(self) -> Any:
        return self.address

    def setsockopt(self, *option: int) -> None:
        if self.refuses:
            raise OSError(errno.ENOPROTOOPT, "no such option")
        self.options.append(option)

    def getsockopt(self, level: int, option: int) -> int:
        number, self.pending = self.pending, 0
        return number

    def recvfrom(self, size: int) -> tuple[bytes, Any]:
        if self.pending:
            number, self.pending = self.pending, 0
            raise OSError(number, os.strerror(number))
        if not self.arrived:
            raise BlockingIOError(errno.EAGAIN, "nothing there")
        return self.arrived.pop(0), SERVER

    def recvmsg(self, size: int, notes: int, flags: int) -> Any:
        assert flags == socket.MSG_ERRQUEUE
        if not self.errors:
            raise BlockingIOError(errno.EAGAIN, "nothing there")
        data, found, address = self.errors.pop(0)
        return data[:size], found, flags, address

    def close(self) -> None:
        self.closed = True


class Protocol:
    """
    Remembers what it is told.
    """

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.refused: list[Any] = []
        self.stopped = False

    def makeConnection(self, port: Any) -> None:
        self.port = port

    def doStop(self) -> None:
        self.stopped = True

    def datagramReceived(self, data: bytes, address: Any) -> None:
        self.received.append(data)

    def undeliverable(self, data: bytes, address: Any) -> None:
        self.refused.append((data, address))


class PortCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor, self.socket, self.protocol = Reactor(), Socket(), Protocol()
        self.patch(SIPPort, "createInternetSocket", lambda port: self.socket)

    def listen(self) -> Any:
        port = SIPPort(5060, self.protocol, "10.0.0.1", 65535, self.reactor)
        port.startListening()
        return port


class PortTests(PortCase):
    """
    The socket stays whatever ICMP says.
    """

    def test_asks(self) -> None:
        """
        The system is asked for the errors of the socket.
        """
        self.listen()
        self.assertEqual(self.socket.options, [(socket.IPPROTO_IP, 11, 1)])

    def test_system_has_none(self) -> None:
        """
        A system that knows nothing of it is no reason not to listen.
        """
        self.socket.refuses = True
        port = self.listen()
        self.assertEqual(self.reactor.readers, [port])

    def test_received(self) -> None:
        """
        All that has arrived is handed up at once.
        """
        self.socket.arrived = [b"one", b"two"]
        self.listen().doRead()
        self.assertEqual(self.protocol.received, [b"one", b"two"])

    def test_flood(self) -> None:
        """
        In a flood, even of empty datagrams, the reactor gets its turn.
        """
        self.socket.arrived = [b""] * (MAX_READY + 5)
        self.listen().doRead()
        self.assertEqual(len(self.protocol.received), MAX_READY)

    def test_error_while_reading(self) -> None:
        """
        An error met while reading is told with what was sent and where to; then what
        has arrived is read.
        """
        for number in (errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH):
            self.socket.pending = number
            self.socket.errors = [(b"lost", REFUSED, SERVER)]
            self.socket.arrived = [b"data"]
            port = self.listen()
            port.doRead()
            self.assertEqual(self.protocol.refused.pop(), (b"lost", SERVER))
            port.doRead()
            self.assertEqual(self.protocol.received.pop(), b"data")

    def test_error_alone(self) -> None:
        """
        A reactor that takes an error for the end is told otherwise: the socket stays.
        """
        port = self.listen()
        self.socket.pending = errno.ECONNREFUSED
        self.socket.errors = [(b"lost", REFUSED, SERVER)] * 2
        self.reactor.removeReader(port)
        port.connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.protocol.refused, [(b"lost", SERVER)] * 2)
        self.assertEqual((self.reactor.readers, self.socket.pending), ([port], 0))
        self.assertFalse(self.socket.closed or self.protocol.stopped)

    def test_error_without_a_message(self) -> None:
        """
        An error that found no place in the queue is taken off, and wakes nobody again.
        """
        port = self.listen()
        self.socket.pending = errno.ECONNREFUSED
        port.read_errors()
        self.assertEqual((self.protocol.refused, self.socket.pending), ([], 0))

    def test_flood_of_errors(self) -> None:
        """
        In a flood of errors the reactor gets its turn, too; the others are read after.
        """
        port = self.listen()
        self.socket.errors = [(b"lost", REFUSED, SERVER)] * 1000
        port.read_errors()
        self.assertEqual((len(self.protocol.refused), len(self.socket.errors)), (64, 936))

    def test_closed(self) -> None:
        """
        Without a reason, and with the end of the reactor, the socket is closed.
        """
        for reason in (None, Failure(ConnectionLost())):
            self.socket.closed = False
            port = self.listen()
            port.connectionLost(reason)
            self.assertTrue(self.socket.closed and self.protocol.stopped)


class NoteTests(SynchronousTestCase):
    """
    Which ICMP errors say that something never arrives (RFC 3261 section 18.4).
    """

    def check(self, expected: bool, origin: int, kind: int, code: int) -> None:
        level, option = (socket.IPPROTO_IP, 11) if origin == ICMP else (socket.IPPROTO_IPV6, 25)
        told = is_refusal(int(level), option, note(origin, kind, code))
        self.assertEqual(told, expected, (origin, kind, code))

    def test_refusals(self) -> None:
        """
        Network, host, protocol and port unreachable, and what firewalls say.
        """
        for code in (0, 1, 2, 3, 9, 10, 13):
            self.check(True, ICMP, 3, code)
        self.check(True, ICMP, 12, 0)
        for code in (0, 1, 3, 4):
            self.check(True, ICMP6, 1, code)

    def test_others(self) -> None:
        """
        Too large, source quench, time exceeded: the message is repeated anyway.
        """
        for kind, code in ((3, 4), (4, 0), (11, 0)):
            self.check(False, ICMP, kind, code)
        for kind in (2, 3):
            self.check(False, ICMP6, kind, 0)
        self.check(False, 1, 3, 3)

    def test_malformed(self) -> None:
        """
        A note that is cut off, or of another kind, says nothing.
        """
        self.assertFalse(is_refusal(int(socket.IPPROTO_IP), 11, b"\0" * 15))
        self.assertFalse(is_refusal(int(socket.IPPROTO_IP), 8, note(ICMP, 3, 3)))


class ListenTests(SynchronousTestCase):
    def test_elsewhere(self) -> None:
        """
        Reactors that know no descriptors, and other systems, listen as they can.
        """
        reactor = MemoryUDPReactor()
        port = listen(reactor, 5060, Protocol(), "10.0.0.1")
        self.assertIsInstance(port, MemoryUDPPort)
        self.patch(undeliverable.sys, "platform", "freebsd14")
        self.assertIsInstance(listen(reactor, 5061, Protocol(), "10.0.0.1"), MemoryUDPPort)
