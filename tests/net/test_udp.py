"""
Tests for siptwist.net.udp.
"""

from __future__ import annotations

import errno
import os
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from siptwist.interfaces import IMessageReceiver, IUndeliverable
from siptwist.net.udp import UDPTransport
from siptwist.sip.hop import Hop, Side
from tests.net.fakes_udp import MemoryUDPPort, MemoryUDPReactor

PHONE = Hop("10.0.0.10", 5060)


@implementer(IMessageReceiver)
class Receiver:
    def __init__(self) -> None:
        self.received: list[Any] = []

    def message_received(self, data: bytes, source: Hop, side: Side) -> None:
        if data == b"fault":
            raise ZeroDivisionError
        self.received.append((data, source, side))


@implementer(IUndeliverable)
class Reports:
    def __init__(self) -> None:
        self.told: list[Any] = []

    def undeliverable(self, data: bytes, hop: Hop) -> None:
        self.told.append((data, hop))
        if data == b"fault":
            raise ZeroDivisionError


class Socket:
    """
    A socket that sends, or fails.
    """

    def __init__(self) -> None:
        self.sent: list[Any] = []
        self.fails: Exception | None = None

    def sendto(self, data: bytes, address: Any) -> int:
        if self.fails is not None:
            raise self.fails
        self.sent.append((data, address))
        return len(data)


class UDPCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.receiver = Clock(), Receiver()
        self.reports = Reports()
        self.transport = UDPTransport(
            self.receiver, Side.INSIDE, self.clock.seconds, reports=self.reports
        )
        self.events: list[Any] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def listen(self) -> MemoryUDPPort:
        return MemoryUDPReactor().listenUDP(5060, self.transport, "10.0.0.1")


class ReceivingTests(UDPCase):
    def test_received(self) -> None:
        """
        A datagram goes up with where it came from, and from which side.
        """
        self.assertTrue(verifyObject(IMessageReceiver, self.receiver))
        self.listen().deliver(b"data", ("10.0.0.10", 5060))
        self.assertEqual(self.receiver.received, [(b"data", PHONE, Side.INSIDE)])

    def test_fault(self) -> None:
        """
        A fault in one message is logged, and the next one is served.
        """
        port = self.listen()
        port.deliver(b"fault", ("10.0.0.10", 5060))
        port.deliver(b"data", ("10.0.0.10", 5060))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(len(self.receiver.received), 1)


class SendingTests(UDPCase):
    """
    Straight through the socket of Twisted's port.
    """

    def setUp(self) -> None:
        super().setUp()
        self.socket = Socket()
        port = MemoryUDPPort(MemoryUDPReactor(), ("10.0.0.1", 5060), self.transport)
        port.socket = self.socket  # type: ignore[attr-defined]
        port.startListening()

    def fail(self, number: int) -> None:
        self.socket.fails = OSError(number, os.strerror(number))

    def told(self) -> list[Any]:
        return [event["error"] for event in self.events if "hop" in event]

    def test_sent(self) -> None:
        """
        A message goes to its hop.
        """
        self.transport.send(b"data", PHONE)
        self.assertEqual((self.socket.sent, self.told()), ([(b"data", ("10.0.0.10", 5060))], []))

    def test_name(self) -> None:
        """
        Nothing is sent to a name: to look it up would make all calls wait.
        """
        for host in ("phone.example.net", "", "localhost"):
            self.transport.send(b"data", Hop(host, 5060))
        self.assertEqual((self.socket.sent, len(self.told()), self.transport.unsent), ([], 1, 3))

    def test_network_refuses(self) -> None:
        """
        What the network refuses is counted, told once a second, and the next one is sent.
        """
        self.fail(errno.ENETUNREACH)
        for _ in range(5):
            self.transport.send(b"data", PHONE)
            self.clock.advance(0.4)
        self.socket.fails = None
        self.transport.send(b"data", PHONE)
        self.assertEqual(
            (len(self.told()), self.transport.unsent, len(self.socket.sent)), (2, 5, 1)
        )

    def test_full(self) -> None:
        """
        A full buffer loses the message, as the network might.
        """
        self.fail(errno.EAGAIN)
        self.transport.send(b"data", PHONE)
        self.assertEqual((self.transport.unsent, len(self.told())), (1, 1))

    def test_nobody_there(self) -> None:
        """
        That nobody listens at a phone is no news for the log.
        """
        self.fail(errno.ECONNREFUSED)
        self.transport.send(b"data", PHONE)
        self.assertEqual((self.transport.unsent, self.told()), (1, []))

    def test_impossible_port(self) -> None:
        """
        A port beyond 65535 is told, and no fault.
        """
        self.socket.fails = OverflowError("port must be 0-65535")
        self.transport.send(b"data", Hop("10.0.0.10", 70000))
        self.assertEqual(self.told(), ["port must be 0-65535"])

    def test_stopped(self) -> None:
        """
        Before the start and after the end nothing is sent, and nobody is told.
        """
        self.transport.stopProtocol()
        self.transport.send(b"data", PHONE)
        UDPTransport(self.receiver, Side.INSIDE).send(b"data", PHONE)
        self.assertEqual((self.socket.sent, self.told()), ([], []))


class UndeliverableTests(UDPCase):
    """
    What did not arrive is told to whom it concerns, and harms nobody else.
    """

    def setUp(self) -> None:
        super().setUp()
        self.assertTrue(verifyObject(IUndeliverable, self.reports))
        self.port = MemoryUDPPort(MemoryUDPReactor(), ("10.0.0.1", 5060), self.transport)
        self.socket = Socket()
        self.port.socket = self.socket  # type: ignore[attr-defined]
        self.port.read_errors = self.read_errors  # type: ignore[attr-defined]
        self.errors = 0
        self.port.startListening()

    def read_errors(self) -> None:
        self.errors -= 1
        self.transport.undeliverable(b"lost", ("10.0.0.11", 5062))
        if not self.errors:
            self.socket.fails = None

    def send(self, number: int, errors: int = 0) -> None:
        self.errors = errors
        self.socket.fails = OSError(number, os.strerror(number))
        self.transport.send(b"data", PHONE)

    def test_error_of_another(self) -> None:
        """
        The ICMP error of one message fails the next: that is sent again at once, and
        the error is told of the one that it is about.
        """
        for number in (errno.ECONNREFUSED, errno.EHOSTUNREACH):
            self.send(number, errors=1)
            self.assertEqual(self.socket.sent.pop(), (b"data", ("10.0.0.10", 5060)))
            self.assertEqual(self.reports.told, [(b"lost", Hop("10.0.0.11", 5062))])
            self.reports.told.clear()

    def test_flood_of_errors(self) -> None:
        """
        Who has others' errors in his way again and again is not told to be refused.
        """
        self.send(errno.ECONNREFUSED, errors=50)
        self.assertEqual((self.socket.sent, self.errors), ([], 48))
        self.assertNotIn((b"data", PHONE), self.reports.told)

    def test_no_route(self) -> None:
        """
        What the system itself knows no way for is told.
        """
        self.send(errno.ENETUNREACH, errors=50)
        self.assertIn((b"data", PHONE), self.reports.told)

    def test_passing(self) -> None:
        """
        A full buffer, or a firewall that throws dice, is not: the message is repeated.
        """
        for number in (errno.EAGAIN, errno.ENOBUFS, errno.EPERM):
            self.send(number, errors=50)
        self.assertNotIn((b"data", PHONE), self.reports.told)

    def test_name(self) -> None:
        """
        A hop that is no address is told at once.
        """
        self.transport.send(b"data", Hop("phone.example.net", 5060))
        self.assertEqual(self.reports.told, [(b"data", Hop("phone.example.net", 5060))])

    def test_fault(self) -> None:
        """
        A fault of who is told does not reach the reactor.
        """
        self.transport.undeliverable(b"fault", ("10.0.0.11", 5062))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class PortableSendingTests(UDPCase):
    """
    Through the port of a reactor that shows no socket.
    """

    def test_sent(self) -> None:
        """
        A message goes to its hop.
        """
        port = self.listen()
        self.transport.send(b"data", PHONE)
        self.assertEqual(port.sent, [(b"data", ("10.0.0.10", 5060))])

    def test_network_refuses(self) -> None:
        """
        What the network refuses is counted, and the next one is sent.
        """
        port = self.listen()
        port.fails = OSError(errno.ENETUNREACH, os.strerror(errno.ENETUNREACH))
        self.transport.send(b"data", PHONE)
        port.fails = None
        self.transport.send(b"data", PHONE)
        self.assertEqual((self.transport.unsent, len(port.sent)), (1, 1))
