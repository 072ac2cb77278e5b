"""
Tests for siptwist.services.listening.
"""

from __future__ import annotations

import errno
import socket
from typing import Any

from twisted.internet.interfaces import IReactorUDP
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from siptwist.errors import SIPTwistError
from siptwist.interfaces import IMessageReceiver, IMessageSender, IUndeliverable
from siptwist.net.undeliverable import MAX_DATAGRAM
from siptwist.services.listening import ListeningService
from siptwist.sip.hop import Hop, Side
from tests.net.fakes_udp import MemorySocket, MemoryUDPPort, MemoryUDPReactor

INSIDE, OUTSIDE = ("10.0.0.1", 5060), ("203.0.113.1", 5060)


@implementer(IMessageReceiver)
class Receiver:
    """
    Remembers what arrives.
    """

    def __init__(self) -> None:
        self.received: list[tuple[bytes, Hop, Side]] = []

    def message_received(self, data: bytes, source: Hop, side: Side) -> None:
        if data == b"break":
            raise ZeroDivisionError
        self.received.append((data, source, side))


@implementer(IUndeliverable)
class Reports:
    def __init__(self, told: list[tuple[bytes, Hop]]) -> None:
        self._told = told

    def undeliverable(self, data: bytes, hop: Hop) -> None:
        self._told.append((data, hop))


class SizedReactor(MemoryUDPReactor):
    """
    Remembers how large a datagram each port takes, and gives ports a socket.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.gone: set[str] = set()

    def listenUDP(
        self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192
    ) -> MemoryUDPPort:
        self.sizes.append(maxPacketSize)
        if interface in self.gone:
            self._refuse((interface, port), errno.EADDRNOTAVAIL)
        bound = super().listenUDP(port, protocol, interface, maxPacketSize)
        bound.socket = bound.handle  # type: ignore[attr-defined]
        return bound


class ListeningTests(SynchronousTestCase):
    """
    The sockets that SIP arrives on.
    """

    def setUp(self) -> None:
        self.reactor = SizedReactor()
        self.receiver = Receiver()

    def start(self, inside: str = INSIDE[0], outside: str = OUTSIDE[0], dscp: int = 0) -> None:
        addresses = {Side.INSIDE: inside, Side.OUTSIDE: outside}
        self.service = ListeningService(self.reactor, addresses, 5060, dscp)
        self.service.receiver = self.receiver
        self.service.privilegedStartService()
        self.service.startService()

    def test_interfaces(self) -> None:
        """
        The service sends messages, the fakes keep their contracts.
        """
        self.start()
        verifyObject(IMessageSender, self.service)
        verifyObject(IMessageReceiver, self.receiver)
        verifyObject(IReactorUDP, self.reactor)

    def test_a_socket_for_each_side(self) -> None:
        """
        Two addresses: one socket each, and what arrives says on which side (siproxd's fault
        R10: one socket on all addresses for both).
        """
        self.start()
        self.assertEqual(set(self.reactor.ports), {INSIDE, OUTSIDE})
        for address, side in ((INSIDE, Side.INSIDE), (OUTSIDE, Side.OUTSIDE)):
            self.reactor.ports[address].deliver(b"x", ("192.0.2.1", 5062))
            self.assertEqual(self.receiver.received[-1], (b"x", Hop("192.0.2.1", 5062), side))

    def test_one_socket_for_one_address(self) -> None:
        """
        One address: one wildcard socket, from which both sides are sent to.
        """
        self.start(outside=INSIDE[0])
        self.assertEqual(list(self.reactor.ports), [("0.0.0.0", 5060)])
        for side in Side:
            self.service.send(b"x", Hop("192.0.2.1", 5062), side)
        self.assertEqual(len(self.reactor.ports["0.0.0.0", 5060].sent), 2)

    def test_only_what_changes(self) -> None:
        """
        When one address changes the socket of the other side stays open.
        """
        self.start()
        inside = self.reactor.ports[INSIDE]
        self.successResultOf(
            self.service.move({Side.INSIDE: INSIDE[0], Side.OUTSIDE: "203.0.113.9"})
        )
        self.assertIs(self.reactor.ports[INSIDE], inside)
        self.assertEqual(set(self.reactor.ports), {INSIDE, ("203.0.113.9", 5060)})

    def start_several(self, outside: str = OUTSIDE[0]) -> None:
        addresses = {Side.INSIDE: INSIDE[0], Side.OUTSIDE: outside}
        nearest = {"192.0.2.1": INSIDE[0], "192.0.2.2": "10.0.1.1"}
        self.service = ListeningService(
            self.reactor, addresses, 5060, 0, ("10.0.1.1",), nearest.__getitem__
        )
        self.service.receiver = self.receiver
        self.service.privilegedStartService()

    def test_several_inside(self) -> None:
        """
        With several addresses inside each host is sent to from the nearest (siproxd's
        fault R10: one inbound interface).
        """
        self.start_several()
        more = ("10.0.1.1", 5060)
        self.assertEqual(set(self.reactor.ports), {INSIDE, more, OUTSIDE})
        for address, host in ((INSIDE, "192.0.2.1"), (more, "192.0.2.2")):
            self.service.send(b"x", Hop(host, 5062), Side.INSIDE)
            self.assertEqual(self.reactor.ports[address].sent, [(b"x", (host, 5062))])
        self.reactor.ports[more].deliver(b"y", ("192.0.2.2", 5062))
        self.assertEqual(self.receiver.received, [(b"y", Hop("192.0.2.2", 5062), Side.INSIDE)])

    def test_several_and_one_of_them_outside(self) -> None:
        """
        When one of several interfaces inside faces the world, too, one socket serves all.
        """
        self.start_several(outside="10.0.1.1")
        self.assertEqual(list(self.reactor.ports), [("0.0.0.0", 5060)])
        for side in Side:
            self.service.send(b"x", Hop("192.0.2.2", 5062), side)
        self.assertEqual(len(self.reactor.ports["0.0.0.0", 5060].sent), 2)

    def test_one_of_several_gone(self) -> None:
        """
        An address inside that goes away takes its socket along, and no other.
        """
        self.start_several()
        addresses = {Side.INSIDE: INSIDE[0], Side.OUTSIDE: OUTSIDE[0]}
        self.assertFalse(self.service.is_at(addresses))
        self.successResultOf(self.service.move(addresses))
        self.assertEqual(set(self.reactor.ports), {INSIDE, OUTSIDE})
        self.service.send(b"x", Hop("192.0.2.2", 5062), Side.INSIDE)
        self.assertEqual(len(self.reactor.ports[INSIDE].sent), 1)

    def test_one_of_several_taken(self) -> None:
        """
        Of several addresses the others are bound when one cannot be.
        """
        self.start()
        self.reactor.taken.add(("10.0.1.1", 5060))
        addresses = {Side.INSIDE: INSIDE[0], Side.OUTSIDE: "203.0.113.9"}
        self.failureResultOf(self.service.move(addresses, ("10.0.1.1",)), SIPTwistError)
        self.assertEqual(set(self.reactor.ports), {INSIDE, ("203.0.113.9", 5060)})

    def test_no_address(self) -> None:
        """
        A side without an address has no socket; whoever sends there is told at once.
        """
        self.start(outside="")
        told: list[tuple[bytes, Hop]] = []
        self.service.reports = Reports(told)
        self.assertEqual(set(self.reactor.ports), {INSIDE})
        self.service.send(b"x", Hop("192.0.2.1", 5062), Side.OUTSIDE)
        self.assertEqual(told, [(b"x", Hop("192.0.2.1", 5062))])

    def test_gone_since(self) -> None:
        """
        An address that went away between looking and binding does not fail the start.
        """
        self.reactor.gone.add(OUTSIDE[0])
        self.start()
        self.assertEqual(set(self.reactor.ports), {INSIDE})
        self.assertFalse(self.service.is_at({Side.INSIDE: INSIDE[0], Side.OUTSIDE: OUTSIDE[0]}))

    def test_large_datagrams(self) -> None:
        """
        Datagrams of 65,535 bytes arrive whole.
        """
        self.start()
        self.assertEqual(self.reactor.sizes, [MAX_DATAGRAM, MAX_DATAGRAM])

    def test_sends_from_the_side(self) -> None:
        """
        What goes to a side leaves from the socket that faces it.
        """
        self.start()
        self.service.send(b"x", Hop("192.0.2.1", 5062), Side.OUTSIDE)
        self.assertEqual(self.reactor.ports[OUTSIDE].sent, [(b"x", ("192.0.2.1", 5062))])
        self.assertEqual(self.reactor.ports[INSIDE].sent, [])

    def test_network_refuses(self) -> None:
        """
        What the network refuses to carry is logged and lost, as UDP is.
        """
        self.start()
        self.reactor.ports[OUTSIDE].fails = OSError("no route to host")
        self.service.send(b"x", Hop("192.0.2.1", 5062), Side.OUTSIDE)
        self.assertEqual(self.reactor.ports[OUTSIDE].sent, [])

    def test_receiver_breaks(self) -> None:
        """
        A message that breaks its receiver does not close the socket.
        """
        self.start()
        for data in (b"break", b"x"):
            self.reactor.ports[INSIDE].deliver(data, ("192.0.2.1", 5062))
        self.assertEqual(len(self.receiver.received), 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_port_is_taken(self) -> None:
        """
        A port that is taken fails the start in plain words, and leaves nothing bound.
        """
        self.reactor.taken.add(OUTSIDE)
        error = self.assertRaises(SIPTwistError, self.start)
        self.assertIn("sip_listen_port: cannot bind 203.0.113.1:5060 (UDP): ", str(error))
        self.assertEqual(self.reactor.ports, {})

    def test_started_without_privileges_only(self) -> None:
        """
        A service that is started late binds all the same, once.
        """
        addresses = {Side.INSIDE: INSIDE[0], Side.OUTSIDE: OUTSIDE[0]}
        service = ListeningService(self.reactor, addresses, 5060)
        service.receiver = self.receiver
        service.startService()
        service.privilegedStartService()
        self.assertEqual(len(self.reactor.sizes), 2)

    def test_stop(self) -> None:
        """
        A stop gives the ports back; what is sent afterwards is lost.
        """
        self.start()
        self.successResultOf(self.service.stopService())
        self.assertEqual(self.reactor.ports, {})
        self.service.send(b"x", Hop("192.0.2.1", 5062), Side.OUTSIDE)

    def test_socket_options(self) -> None:
        """
        Sockets have room for a burst of calls, and sip_dscp marks what they send; nobody
        need be root for that (siproxd's fault R7).
        """
        self.start(dscp=26)
        options = self.reactor.ports[OUTSIDE].handle.options
        self.assertIn((socket.IPPROTO_IP, socket.IP_TOS, 26 << 2), options)
        self.assertEqual([o[1] for o in options if o[0] == socket.SOL_SOCKET], [socket.SO_RCVBUF])

    def test_mark_of_ipv6(self) -> None:
        """
        sip_dscp marks what IPv6 sockets send, as their traffic class.
        """
        self.start(outside="2001:db8::1", dscp=26)
        options = self.reactor.ports["2001:db8::1", 5060].handle.options
        self.assertIn((socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 26 << 2), options)
        self.assertNotIn(socket.IPPROTO_IP, [level for level, _, _ in options])

    def test_mark_is_refused(self) -> None:
        """
        A system that refuses sip_dscp is no reason not to start.
        """
        refused = self.patch(MemorySocket, "setsockopt", _refuse_marks)
        self.start(dscp=26)
        self.assertEqual(len(self.reactor.ports), 2)
        refused.restore()


def _refuse_marks(self: MemorySocket, level: int, option: int, value: int) -> None:
    if option == socket.IP_TOS:
        raise PermissionError("not permitted")
