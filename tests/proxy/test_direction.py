"""
Tests for siptwist.proxy.direction.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.proxy.direction import Direction, Peers
from siptwist.proxy.registration.location import Locations
from siptwist.proxy.registration.visitors import Visitor, Visitors
from siptwist.sip.hop import Hop, Side
from tests.proxy.asking import ONE_SOCKET, TWO_SOCKETS, WORLD, bind
from tests.proxy.registering import NOW


class DirectionCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.locations, self.visitors, self.peers = Locations(), Visitors(), Peers()
        self.direction = Direction(self.locations, self.visitors, self.peers)


class TwoSocketsTests(DirectionCase):
    """
    A socket on each side decides.
    """

    def is_phone(self, host: str, side: Side, port: int = 5060) -> bool:
        return self.direction.is_phone(Hop(host, port), side, TWO_SOCKETS)

    def test_inside_socket(self) -> None:
        """
        Whatever arrives on the inside socket is from a phone.
        """
        self.assertTrue(self.is_phone("192.0.2.1", Side.INSIDE))

    def test_outside_socket(self) -> None:
        """
        What arrives outside is from the world.
        """
        self.assertFalse(self.is_phone("198.51.100.9", Side.OUTSIDE))
        self.assertFalse(self.is_phone("10.0.1.9", Side.OUTSIDE))

    def test_phone_that_uses_the_outside_address(self) -> None:
        """
        A phone of the inside network that points to our outside address is a phone.
        """
        self.assertTrue(self.is_phone("10.0.0.9", Side.OUTSIDE))
        self.assertTrue(self.is_phone("203.0.113.7", Side.OUTSIDE))

    def test_registered_far_away(self) -> None:
        """
        A phone elsewhere that registered with us is a phone at its exact address and port.
        """
        bind(self.locations, source=WORLD, contact=f"sip:a@{WORLD}")
        self.assertTrue(self.is_phone(WORLD.host, Side.OUTSIDE))
        self.assertFalse(self.is_phone(WORLD.host, Side.OUTSIDE, 5090))

    def test_side_of_a_next_hop(self) -> None:
        """
        A next hop in the inside network is reached by the inside socket, all others outside.
        """
        sides = [
            self.direction.side_of(Hop(h, 5060), TWO_SOCKETS) for h in ("10.0.0.9", "192.0.2.1")
        ]
        self.assertEqual(sides, [Side.INSIDE, Side.OUTSIDE])


class OneSocketTests(DirectionCase):
    """
    One address for both: who we know decides.
    """

    def is_phone(self, host: str, port: int = 5060) -> bool:
        return self.direction.is_phone(Hop(host, port), Side.INSIDE, ONE_SOCKET)

    def test_addresses(self) -> None:
        """
        Private and loopback addresses are phones, public ones are the world.
        """
        hosts = ("192.168.1.20", "127.0.0.1", "10.1.2.3", "198.51.100.9", "2001:db8::1")
        self.assertEqual([self.is_phone(h) for h in hosts], [True, True, True, False, False])

    def test_private_provider(self) -> None:
        """
        A server to which we sent something is no phone, though its address is private.
        """
        self.peers.note(Hop("127.0.0.1", 5080))
        self.assertFalse(self.is_phone("127.0.0.1", 5080))
        self.assertTrue(self.is_phone("127.0.0.1", 5062))

    def test_called_phone_registers(self) -> None:
        """
        A phone on the premises that another one called before may still register.
        """
        hop = Hop("192.168.1.21", 5060)
        self.peers.note(hop)
        self.assertTrue(self.direction.is_phone(hop, Side.INSIDE, ONE_SOCKET, "REGISTER"))
        self.peers.note(WORLD)
        self.assertFalse(self.direction.is_phone(WORLD, Side.INSIDE, ONE_SOCKET, "REGISTER"))

    def test_registered_phone(self) -> None:
        """
        A registered phone is one wherever it is, even if we once sent to it as a server.
        """
        self.peers.note(WORLD)
        bind(self.locations, source=WORLD, contact=f"sip:a@{WORLD}")
        self.assertTrue(self.is_phone(WORLD.host))

    def test_side_of_a_next_hop(self) -> None:
        """
        A next hop that is a known phone lies inside, all others outside.
        """
        phone, guest = Hop("192.168.1.20", 5060), Hop("192.168.1.21", 5060)
        bind(self.locations, source=phone, contact=f"sip:a@{phone}")
        self.visitors.note(Visitor("m", f"sip:b@{guest}", guest, Side.INSIDE, "sip:b@c", NOW))
        hops = (phone, guest, Hop("192.168.1.22", 5060), WORLD)
        sides = [self.direction.side_of(hop, ONE_SOCKET) for hop in hops]
        self.assertEqual(sides, [Side.INSIDE, Side.INSIDE, Side.OUTSIDE, Side.OUTSIDE])


class PeersTests(SynchronousTestCase):
    """
    Servers that we know.
    """

    def test_domains(self) -> None:
        """
        A server is known with the domains whose registrar it is.
        """
        peers = Peers()
        peers.note(WORLD)
        peers.note(WORLD, "a.example")
        peers.note(WORLD, "b.example")
        self.assertIn(WORLD, peers)
        self.assertNotIn(Hop(WORLD.host, 5090), peers)
        self.assertEqual(peers.domains(WORLD), {"a.example", "b.example"})
        self.assertEqual(peers.domains(Hop("192.0.2.1", 5060)), set())

    def test_limit(self) -> None:
        """
        Too many servers: the one not used for longest makes room.
        """
        peers = Peers(limit=2)
        one, two, three = (Hop(f"192.0.2.{n}", 5060) for n in (1, 2, 3))
        for hop in (one, two, one, three):
            peers.note(hop)
        self.assertEqual([hop in peers for hop in (one, two, three)], [True, False, True])

    def test_domains_are_bounded(self) -> None:
        """
        A server's domains do not grow without end.
        """
        peers = Peers()
        for number in range(100):
            peers.note(WORLD, f"d{number}.example")
        self.assertEqual(len(peers.domains(WORLD)), 64)
