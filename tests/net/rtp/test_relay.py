"""
Tests for siptwist.net.rtp.relay.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections import deque
from typing import Any

from twisted.internet.interfaces import (
    IListeningPort,
    IReactorFDSet,
    IReactorUDP,
    IReadDescriptor,
    IUDPTransport,
)
from twisted.internet.protocol import DatagramProtocol
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from siptwist.media.leg import Flow
from siptwist.net.rtp import relay
from siptwist.net.rtp.relay import MAX_DATAGRAM, PlainBinder, Relay, RelayPort, Watch, binder
from tests.media.packets import rtp
from tests.net.fakes_udp import MemoryUDPPort, MemoryUDPReactor

PHONE = ("10.0.0.10", 4000)
FRIEND = ("203.0.113.10", 5000)
STRANGER = ("198.51.100.66", 4000)
PACKET = bytes(172)


class FakeSocket:
    """
    A socket whose queues are lists.
    """

    def __init__(self, number: int, family: socket.AddressFamily = socket.AF_INET) -> None:
        self.number = number
        self.family = family
        self.arrived: deque[Any] = deque()
        self.sent: list[tuple[bytes, Any]] = []
        self.fails: OSError | None = None
        self.closed = 0

    def fileno(self) -> int:
        return self.number

    def recvfrom(self, size: int) -> Any:
        if not self.arrived:
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
        data, source = self.arrived.popleft()
        return data[:size], source

    def sendto(self, data: bytes, address: Any) -> int:
        if self.fails is not None:
            raise self.fails
        self.sent.append((data, address))
        return len(data)

    def getsockname(self) -> Any:
        return ("192.0.2.1", 7000 + self.number)

    def close(self) -> None:
        self.closed += 1


class FakePoll:
    """
    An epoll object that says what the test says.
    """

    def __init__(self) -> None:
        self.registered: dict[int, int] = {}
        self.ready: list[tuple[int, int]] = []

    def fileno(self) -> int:
        return 99

    def register(self, fileno: int, mask: int) -> None:
        self.registered[fileno] = mask

    def poll(self, timeout: float, maxevents: int) -> list[tuple[int, int]]:
        return self.ready[:maxevents]


@implementer(IReactorFDSet)
class FakeFDReactor:
    """
    A reactor that remembers its readers.
    """

    def __init__(self) -> None:
        self.readers: list[Any] = []

    def seconds(self) -> float:
        return 7.5

    def addReader(self, reader: Any) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        if reader in self.readers:
            self.readers.remove(reader)

    def addWriter(self, writer: Any) -> None: ...

    def removeWriter(self, writer: Any) -> None: ...

    def removeAll(self) -> list[Any]:
        return []

    def getReaders(self) -> list[Any]:
        return self.readers

    def getWriters(self) -> list[Any]:
        return []


def settled(at: tuple[str, int]) -> Flow:
    flow = Flow()
    flow.source = flow.destination = at
    return flow


class RelayingTests:
    """
    What a pair of joined relays does, whatever moves the packets.
    """

    def join(self) -> None:
        self.near, self.far = Relay(), Relay()
        self.bind()
        self.phone, self.friend = settled(PHONE), settled(FRIEND)
        self.judged: list[Any] = []
        self.verdict = False

        def judge(data: bytes, source: Any) -> bool:
            self.judged.append((data, source))
            return self.verdict

        self.near.join(self.phone, judge, self.friend, self.far)
        self.far.join(self.friend, judge, self.phone, self.near)

    def test_relayed(self) -> None:
        """
        What a settled party sends leaves through the other socket and is counted.
        """
        self.arrive(PACKET, PHONE)
        self.assertEqual(self.sent(), [(PACKET, FRIEND)])
        self.assertEqual((self.phone.packets, self.phone.octets, self.judged), (1, 172, []))

    def test_stranger(self) -> None:
        """
        A packet from elsewhere goes nowhere and does not count as the party's.
        """
        self.arrive(PACKET, STRANGER)
        self.assertEqual((self.sent(), self.judged), ([], [(PACKET, STRANGER)]))
        self.assertEqual(self.phone.packets, 0)

    def test_measured(self) -> None:
        """
        What is relayed is measured, with the time of its arrival; a stranger is not.
        """
        self.phone.expect(is_rtp=True)
        self.arrive(rtp(5), PHONE)
        self.arrive(rtp(6), STRANGER)
        reception = self.phone.reception
        self.assertEqual((reception.number, reception.at), (5, self.reactor.seconds()))

    def test_accepted(self) -> None:
        """
        A packet that the leg accepts is relayed like any other.
        """
        self.verdict = True
        self.arrive(PACKET, STRANGER)
        self.assertEqual((self.sent(), self.phone.packets), ([(PACKET, FRIEND)], 1))

    def test_short(self) -> None:
        """
        The leg is asked about short packets, even those of the party.
        """
        self.arrive(b"\x80", PHONE)
        self.assertEqual((self.sent(), len(self.judged)), ([], 1))

    def test_nowhere_to_send(self) -> None:
        """
        While the other party is unknown, media are counted and dropped.
        """
        self.friend.destination = None
        self.arrive(PACKET, PHONE)
        self.assertEqual((self.sent(), self.phone.packets), ([], 1))

    def test_network_refuses(self) -> None:
        """
        A packet that the network refuses is counted, and the next one tried.
        """
        for number in (errno.ECONNREFUSED, errno.ENOBUFS, errno.EPERM, errno.ENETUNREACH):
            self.fail_far(OSError(number, os.strerror(number)))
            self.arrive(PACKET, PHONE)
        self.fail_far(None)
        self.arrive(PACKET, PHONE)
        self.assertEqual((self.friend.unsent, len(self.sent())), (4, 1))

    def test_large(self) -> None:
        """
        Large packets are relayed whole.
        """
        large = bytes(9000)
        self.arrive(large, PHONE)
        self.assertEqual(self.sent(), [(large, FRIEND)])


class PlainRelayTests(RelayingTests, SynchronousTestCase):
    """
    Relays in a reactor that knows UDP only.
    """

    def setUp(self) -> None:
        self.reactor = MemoryUDPReactor()
        self.binder = binder(self.reactor)
        self.join()

    def bind(self) -> None:
        self.inside: Any = self.binder.bind("10.0.0.1", 7000, self.near)
        self.outside: Any = self.binder.bind("192.0.2.1", 7002, self.far)

    def arrive(self, data: bytes, source: Any) -> None:
        self.inside.deliver(data, source)

    def sent(self) -> list[Any]:
        return self.outside.sent

    def fail_far(self, error: OSError | None) -> None:
        self.outside.fails = error

    def test_binder(self) -> None:
        """
        Without file descriptors the reactor's own UDP ports serve.
        """
        self.assertIsInstance(self.binder, PlainBinder)
        self.binder.stop()
        self.assertEqual(len(self.reactor.ports), 2)


class WatchedRelayTests(RelayingTests, SynchronousTestCase):
    """
    Relays behind one file descriptor of the reactor.
    """

    def setUp(self) -> None:
        self.reactor = FakeFDReactor()
        self.poll = FakePoll()
        self.watch = Watch(self.reactor, self.poll)
        self.inside, self.outside = FakeSocket(5), FakeSocket(6)
        self.join()

    def bind(self) -> None:
        self.inside_port = RelayPort(self.watch, self.inside, self.near)
        self.outside_port = RelayPort(self.watch, self.outside, self.far)

    def arrive(self, data: bytes, source: Any) -> None:
        self.inside.arrived.append((data, source))
        self.poll.ready = [(5, select.EPOLLIN)]
        self.watch.doRead()

    def sent(self) -> list[Any]:
        return self.outside.sent

    def fail_far(self, error: OSError | None) -> None:
        self.outside.fails = error

    def test_interfaces(self) -> None:
        """
        The reactor can read the watch; a port is closed like any listening port.
        """
        self.assertTrue(verifyObject(IReadDescriptor, self.watch))
        self.assertTrue(verifyObject(IListeningPort, self.inside_port))

    def test_nothing_there(self) -> None:
        """
        A wake-up without a packet does no harm.
        """
        self.poll.ready = [(5, select.EPOLLIN)]
        self.watch.doRead()
        self.assertEqual(self.sent(), [])

    def test_portable_relay_agrees(self) -> None:
        """
        The same relay works when Twisted's own port feeds it.
        """
        self.near.datagramReceived(PACKET, PHONE)
        self.near.datagramReceived(PACKET, STRANGER)
        self.assertEqual(self.sent(), [(PACKET, FRIEND)])

    def test_ipv6(self) -> None:
        """
        The flow and scope that sockets add to IPv6 sources are no part of the address.
        """
        third, wide = Relay(), FakeSocket(7, socket.AF_INET6)
        port = RelayPort(self.watch, wide, third)
        source = settled(("2001:db8::7", 4000))
        third.join(source, lambda data, source: False, self.friend, self.far)
        wide.arrived.append((PACKET, ("2001:db8::7", 4000, 0, 0)))
        port.doRead()
        self.assertEqual(self.sent(), [(PACKET, FRIEND)])

    def test_size(self) -> None:
        """
        The largest datagram there is fits.
        """
        self.assertEqual(MAX_DATAGRAM, 65535)
        whole = bytes(65507)
        self.arrive(whole, PHONE)
        self.assertEqual(self.sent(), [(whole, FRIEND)])

    def test_before_joining(self) -> None:
        """
        A port that is not joined yet hears nobody.
        """
        lone = FakeSocket(8)
        port = RelayPort(self.watch, lone, Relay())
        lone.arrived.append((PACKET, PHONE))
        port.doRead()
        self.assertEqual((self.inside.sent, self.outside.sent, lone.sent), ([], [], []))

    def test_closed(self) -> None:
        """
        A closed port leaves the watch, also when it was ready at that moment; closing
        it again does nothing (F5 of siproxd).
        """
        for _ in range(2):
            self.inside_port.stopListening()
        self.assertEqual((self.inside.closed, list(self.watch.reads)), (1, [6]))
        self.inside.arrived.append((PACKET, PHONE))
        self.poll.ready = [(5, 1)]
        self.watch.doRead()
        self.assertEqual((self.outside.sent, self.flushLoggedErrors()), ([], []))

    def test_fault_of_one_call(self) -> None:
        """
        A fault in one call is logged and does not stop the others.
        """

        def broken(data: bytes, source: Any) -> bool:
            raise ZeroDivisionError

        self.near.join(self.phone, broken, self.friend, self.far)
        self.inside.arrived.append((PACKET, STRANGER))
        self.outside.arrived.append((PACKET, FRIEND))
        self.poll.ready = [(5, 1), (6, 1)]
        self.watch.doRead()
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(self.inside.sent, [(PACKET, PHONE)])

    def test_write(self) -> None:
        """
        A port writes like any UDP transport and knows its address.
        """
        self.inside_port.write(b"x", PHONE)
        self.assertEqual(self.inside.sent, [(b"x", PHONE)])
        self.assertEqual(self.inside_port.getHost().port, 7005)


class WatchTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = FakeFDReactor()
        self.watch = Watch(self.reactor, FakePoll())
        self.patch(relay, "bind_socket", lambda host, port: FakeSocket(port))

    def test_one_reader(self) -> None:
        """
        However many sockets there are, the reactor has one descriptor to look at.
        """
        for port in (1, 2, 3):
            self.watch.bind("192.0.2.1", port, Relay())
        self.assertEqual(self.reactor.readers, [self.watch])

    def test_stop(self) -> None:
        """
        A stopped watch leaves nothing in the reactor, and comes back when needed.
        """
        self.watch.bind("192.0.2.1", 1, Relay())
        self.watch.stop()
        self.assertEqual(self.reactor.readers, [])
        self.watch.bind("192.0.2.1", 2, Relay())
        self.assertEqual(self.reactor.readers, [self.watch])

    def test_lost(self) -> None:
        """
        A watch that the reactor dropped is added again with the next call.
        """
        self.watch.bind("192.0.2.1", 1, Relay())
        self.reactor.readers.clear()
        self.watch.connectionLost(None)
        self.watch.bind("192.0.2.1", 2, Relay())
        self.assertEqual((self.reactor.readers, self.watch.logPrefix()), ([self.watch], "relay"))

    def test_binder(self) -> None:
        """
        A reactor that watches file descriptors gets a watch.
        """
        self.assertIsInstance(binder(self.reactor), Watch)


class FakeTests(SynchronousTestCase):
    def test_interfaces(self) -> None:
        """
        The memory reactor and its ports are what Twisted says they are.
        """
        reactor = MemoryUDPReactor()
        port = reactor.listenUDP(0, DatagramProtocol(), "192.0.2.1")
        self.assertTrue(verifyObject(IReactorUDP, reactor))
        self.assertTrue(verifyObject(IListeningPort, port))
        self.assertTrue(verifyObject(IUDPTransport, port))
        self.assertTrue(verifyObject(IReactorFDSet, FakeFDReactor()))
        self.assertIsInstance(port, MemoryUDPPort)
