"""
Tests for siptwist.net.rtp.pairs.
"""

from __future__ import annotations

import random
import socket
from typing import Any

from twisted.internet.error import CannotListenError
from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import NoFreePorts
from siptwist.media.latch import Described
from siptwist.media.leg import MediaStream
from siptwist.media.ports import PortPool
from siptwist.net.rtp.pairs import MAX_TRIES, Evening, Pair, PairOpener
from siptwist.net.rtp.playout import Playout
from siptwist.net.rtp.relay import binder
from tests.media.packets import rtcp, rtp
from tests.net.fakes_udp import MemoryUDPReactor

INSIDE, OUTSIDE = "10.0.0.1", "192.0.2.1"
PHONE, FRIEND = ("10.0.0.10", 4000), ("203.0.113.10", 5000)


class PairOpenerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = MemoryUDPReactor()
        self.opener = PairOpener(binder(self.reactor))
        self.pool = PortPool(7000, 7099, random.Random(1).randrange)

    def open_stream(self) -> Any:
        other = PortPool(7000, 7099, random.Random(2).randrange)
        return self.opener.open_stream((self.pool, INSIDE), (other, OUTSIDE), 0.0)

    def test_four_sockets(self) -> None:
        """
        A stream has an even RTP port and the odd one above on each side.
        """
        relay = self.open_stream()
        bound = sorted(self.reactor.ports)
        expected = [
            (pair.host, pair.port + rtcp)
            for pair in (relay.caller, relay.callee)
            for rtcp in (0, 1)
        ]
        self.assertEqual((bound, relay.caller.port % 2), (sorted(expected), 0))

    def test_closed(self) -> None:
        """
        A closed stream leaves no socket, and its ports rest.
        """
        relay = self.open_stream()
        relay.close(1.0)
        self.assertEqual((self.reactor.ports, len(self.pool)), ({}, 50))

    def test_taken_ports_are_skipped(self) -> None:
        """
        Ports that another program has, RTP or RTCP, are left out.
        """
        pool = PortPool(7000, 7005, random.Random(1).randrange)
        self.reactor.taken = {(INSIDE, 7000), (INSIDE, 7003)}
        pair = self.opener.open(pool, INSIDE, 0.0)
        self.assertEqual((pair.port, len(self.reactor.ports)), (7004, 2))

    def test_everything_is_taken(self) -> None:
        """
        When other programs have the ports the call is refused after a few tries.
        """
        self.reactor.taken = {(INSIDE, port) for port in range(7000, 7100)}
        self.assertRaises(NoFreePorts, self.opener.open, self.pool, INSIDE, 0.0)
        self.assertEqual((len(self.reactor.ports), len(self.pool)), (0, 50 - MAX_TRIES))

    def test_no_descriptors(self) -> None:
        """
        Without file descriptors the call is refused, and nothing is kept (bar B19).
        """
        for limit in range(4):
            self.reactor.descriptors = limit
            error = self.assertRaises(NoFreePorts, self.open_stream)
            self.assertEqual((error.status, self.reactor.ports), (503, {}))
        self.assertEqual(len(self.pool), 50)

    def test_recovers(self) -> None:
        """
        When descriptors are there again, calls are.
        """
        self.reactor.descriptors = 1
        self.assertRaises(NoFreePorts, self.open_stream)
        self.reactor.descriptors = None
        self.open_stream()
        self.assertEqual(len(self.reactor.ports), 4)

    def test_cause_is_kept(self) -> None:
        """
        The refusal knows what the system said.
        """
        self.reactor.descriptors = 0
        error = self.assertRaises(NoFreePorts, self.open_stream)
        self.assertIsInstance(error.__cause__, CannotListenError)


class EveningTests(SynchronousTestCase):
    """
    RTP of one side or of both is evened out on its way.
    """

    def join(self, caller: float, callee: float) -> None:
        self.reactor = MemoryUDPReactor()
        pools = [PortPool(7000, 7099, random.Random(seed).randrange) for seed in (1, 2)]
        opener = PairOpener(binder(self.reactor))
        self.relay = opener.open_stream((pools[0], INSIDE), (pools[1], OUTSIDE), 0.0)
        stream = MediaStream(0, "audio", (INSIDE, 1), (OUTSIDE, 2))
        for leg, at in ((stream.caller, PHONE), (stream.callee, FRIEND)):
            leg.describe("", Described(at, (at[0], at[1] + 1), at[0]))
        self.relay.join(stream, Evening(Playout(self.reactor), caller, callee))

    def arrive(self, pair: Pair, source: tuple[str, int], data: bytes, rtcp: int = 0) -> None:
        self.reactor.ports[(pair.host, pair.port + rtcp)].deliver(data, source)

    def sent(self, pair: Pair) -> int:
        return sum(len(self.reactor.ports[(pair.host, pair.port + n)].sent) for n in (0, 1))

    def test_one_side(self) -> None:
        """
        What the caller sends waits, what the callee sends and all RTCP does not.
        """
        self.join(0.05, 0.0)
        near, far = self.relay.caller, self.relay.callee
        self.arrive(near, PHONE, rtp(1))
        self.arrive(far, FRIEND, rtp(1))
        self.arrive(near, (PHONE[0], PHONE[1] + 1), rtcp(), rtcp=1)
        self.assertEqual((self.sent(far), self.sent(near)), (1, 1))
        self.reactor.advance(0.05)
        self.assertEqual((self.sent(far), self.sent(near)), (2, 1))

    def test_closed(self) -> None:
        """
        A stream that is closed while packets wait leaves no timer behind.
        """
        self.join(0.05, 0.05)
        self.arrive(self.relay.caller, PHONE, rtp(1))
        self.relay.close(0.0)
        self.assertEqual((self.reactor.getDelayedCalls(), self.reactor.ports), ([], {}))


class DSCPTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = MemoryUDPReactor()
        self.pool = PortPool(7000, 7099, random.Random(1).randrange)

    def options(self, host: str, dscp: int) -> list[Any]:
        opener = PairOpener(binder(self.reactor), dscp)
        for _ in range(2):
            opener.open(self.pool, host, 0.0)
        return [option for port in self.reactor.ports.values() for option in port.handle.options]

    def test_ipv4(self) -> None:
        """
        RTP and RTCP sockets carry the class of service in their upper six bits (siproxd's
        fault R7: RTCP had none).
        """
        marked = (socket.IPPROTO_IP, socket.IP_TOS, 46 << 2)
        self.assertEqual(self.options(INSIDE, 46), [marked] * 4)

    def test_ipv6(self) -> None:
        """
        IPv6 sockets carry it as traffic class.
        """
        marked = (socket.IPPROTO_IPV6, socket.IPV6_TCLASS, 46 << 2)
        self.assertEqual(self.options("2001:db8::1", 46), [marked] * 4)

    def test_off(self) -> None:
        """
        With rtp_dscp 0 no socket option is touched.
        """
        self.assertEqual(self.options(INSIDE, 0), [])

    def test_refused(self) -> None:
        """
        A system that refuses it is asked once, and the call goes on.
        """
        self.reactor.refuses_options = True
        self.assertEqual(self.options(INSIDE, 46), [])
        self.assertEqual([port.handle.asked for port in self.reactor.ports.values()], [1, 0, 0, 0])
