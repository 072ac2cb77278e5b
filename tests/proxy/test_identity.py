"""
Tests for siptwist.proxy.identity.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

from twisted.trial.unittest import SynchronousTestCase

from siptwist.proxy.identity import Identity, Inside
from siptwist.sip.hop import Hop, Side
from siptwist.sip.uri import SIPURI
from tests.proxy.asking import ONE_SOCKET, TWO_SOCKETS

OTHER_PORT = Identity(
    Hop("10.0.0.1", 5070), Hop("2001:db8::7", 5070), dict.fromkeys(Side, "10.0.0.1")
)


class InsidesTests(SynchronousTestCase):
    """
    Several addresses inside.
    """

    def setUp(self) -> None:
        self.asked: list[str] = []
        self.routes = {"10.9.0.1": "10.8.0.1", "192.0.2.1": "203.0.113.7"}
        self.identity = replace(
            TWO_SOCKETS,
            insides=(
                Inside("10.0.0.1", ip_network("10.0.0.0/16")),
                Inside("10.0.1.1", ip_network("10.0.1.0/24"), "2001:db8::1"),
                Inside("10.8.0.1", ip_network("10.8.0.1/32")),
            ),
            source=self.source,
        )

    def source(self, host: str) -> str:
        self.asked.append(host)
        return self.routes.get(host, "")

    def toward(self, host: str) -> str:
        return self.identity.toward(Side.INSIDE, host).inside.host

    def test_by_network(self) -> None:
        """
        A phone is told the address in its network, of two networks in the smaller one.
        """
        self.assertEqual(self.toward("10.0.0.9"), "10.0.0.1")
        self.assertEqual(self.toward("10.0.1.9"), "10.0.1.1")
        self.assertEqual(self.asked, [])

    def test_by_route(self) -> None:
        """
        Who is in none of our networks is told the address that the system reaches it
        from, if that is one inside, else the first; the system is asked once.
        """
        for _ in range(2):
            self.assertEqual(self.toward("10.9.0.1"), "10.8.0.1")
            self.assertEqual(self.toward("192.0.2.1"), "10.0.0.1")
        self.assertEqual(self.asked, ["10.9.0.1", "192.0.2.1"])
        self.assertEqual([self.toward(host) for host in ("", "phone.example")], ["10.0.0.1"] * 2)

    def test_of_our_own(self) -> None:
        """
        An address of ours leads to itself, one of IPv6 to its interface.
        """
        self.assertEqual(self.toward("10.8.0.1"), "10.8.0.1")
        self.assertEqual(self.toward("2001:db8::1"), "10.0.1.1")
        self.assertEqual(self.identity.sender("10.0.1.1", Side.INSIDE), "10.0.1.1")

    def test_what_is_told(self) -> None:
        """
        All that a phone is told is of one address; all of them are ours to everybody.
        """
        seen = self.identity.toward(Side.INSIDE, "10.0.1.9")
        self.assertEqual(seen.sent_by[Side.INSIDE], "10.0.1.1:5060")
        self.assertEqual(seen.record_routes[Side.INSIDE][1], "<sip:10.0.1.1;lr>")
        self.assertEqual(seen.bound[Side.INSIDE], "10.0.1.1")
        self.assertEqual(seen.wide[Side.INSIDE], "2001:db8::1")
        self.assertEqual(seen.outside, self.identity.outside)
        for one in (seen, self.identity):
            for host in ("10.0.0.1", "10.0.1.1", "10.8.0.1"):
                self.assertTrue(one.is_own(SIPURI.parse(f"sip:x@{host}")))
                self.assertIn(f"<sip:{host};lr>", one.own_routes)

    def test_outside(self) -> None:
        """
        Outside we are one; with one address inside everybody is told the same.
        """
        self.assertIs(self.identity.toward(Side.OUTSIDE, "10.0.1.9"), self.identity)
        self.assertIs(TWO_SOCKETS.toward(Side.INSIDE, "10.0.1.9"), TWO_SOCKETS)

    def test_one_of_them_outside(self) -> None:
        """
        An interface on both sides means one socket for all.
        """
        self.assertFalse(self.identity.one_socket)
        bound = {**self.identity.bound, Side.OUTSIDE: "10.0.1.1"}
        self.assertTrue(replace(self.identity, bound=bound).one_socket)


class IdentityTests(SynchronousTestCase):
    """
    Who we are.
    """

    def is_own(self, identity: Identity, *texts: str) -> list[bool]:
        return [identity.is_own(SIPURI.parse(text)) for text in texts]

    def test_neighbors(self) -> None:
        """
        Two phones are neighbors when one network of ours holds both.
        """
        ask = replace(
            TWO_SOCKETS,
            inside_networks=(ip_network("10.0.0.0/24"), ip_network("10.0.1.0/24")),
        ).are_neighbors
        found = [ask("10.0.0.5", other) for other in ("10.0.0.6", "10.0.1.6", "203.0.113.9", "x")]
        self.assertEqual(found, [True, False, False, False])

    def test_sender_on_this_machine(self) -> None:
        """
        A PBX on our own machine, at any of its addresses, sends media from where it sends to.
        """
        outer = TWO_SOCKETS.bound[Side.OUTSIDE]
        found = [TWO_SOCKETS.sender(host, Side.INSIDE) for host in ("127.0.0.1", outer)]
        self.assertEqual(found, [TWO_SOCKETS.bound[Side.INSIDE]] * 2)

    def test_sender_elsewhere(self) -> None:
        """
        Every other machine sends media from where its signaling comes from.
        """
        self.assertEqual(TWO_SOCKETS.sender("10.0.0.9", Side.INSIDE), "10.0.0.9")

    def test_both_addresses_are_ours(self) -> None:
        """
        Either address means us, with our port or none.
        """
        uris = ("sip:10.0.0.1", "sip:x@10.0.0.1:5060", "sip:203.0.113.7", "sip:203.0.113.7:5060")
        self.assertEqual(self.is_own(TWO_SOCKETS, *uris), [True] * 4)

    def test_others_are_not(self) -> None:
        """
        Another host, and another program on our host, are not us.
        """
        uris = ("sip:10.0.0.2", "sip:10.0.0.1:5080", "sip:example.net")
        self.assertEqual(self.is_own(TWO_SOCKETS, *uris), [False] * 3)

    def test_names(self) -> None:
        """
        Names of ours mean us in any case, and so does the router's address.
        """
        uris = ("sip:PBX", "sip:a@pbx:5060", "sip:203.0.113.7", "sip:192.168.1.5")
        self.assertEqual(self.is_own(ONE_SOCKET, *uris), [True] * 4)

    def test_another_port(self) -> None:
        """
        On another port, a URI without one still means us; 5060 does not.
        """
        uris = ("sip:10.0.0.1", "sip:10.0.0.1:5070", "sip:10.0.0.1:5060", "sip:[2001:db8::7]")
        self.assertEqual(self.is_own(OTHER_PORT, *uris), [True, True, False, True])

    def test_uri(self) -> None:
        """
        A URI of ours names the side's address; its port unless 5060; brackets around IPv6.
        """
        self.assertEqual(TWO_SOCKETS.uri(Side.INSIDE), "sip:10.0.0.1")
        self.assertEqual(TWO_SOCKETS.uri(Side.OUTSIDE, "bob", ";lr"), "sip:bob@203.0.113.7;lr")
        self.assertEqual(OTHER_PORT.uri(Side.INSIDE), "sip:10.0.0.1:5070")
        self.assertEqual(OTHER_PORT.uri(Side.OUTSIDE), "sip:[2001:db8::7]:5070")

    def test_sockets(self) -> None:
        """
        One address for both sides is one socket.
        """
        self.assertEqual([TWO_SOCKETS.one_socket, ONE_SOCKET.one_socket], [False, True])

    def test_inside_network(self) -> None:
        """
        Addresses of the inside interface's network are inside; names are not.
        """
        inside = [
            TWO_SOCKETS.is_inside_address(h) for h in ("10.0.0.9", "10.0.1.9", "phone", "::1")
        ]
        self.assertEqual(inside, [True, False, False, False])
        self.assertFalse(ONE_SOCKET.is_inside_address("192.168.1.9"))

    def test_replaced(self) -> None:
        """
        A new outside address is known at once.
        """
        moved = replace(TWO_SOCKETS, outside=Hop("203.0.113.8", 5060))
        self.assertEqual(moved.routes[Side.OUTSIDE], "<sip:203.0.113.8;lr>")
        self.assertEqual(self.is_own(moved, "sip:203.0.113.8"), [True])

    def test_own_hop(self) -> None:
        """
        A resolved address and port are ours or not.
        """
        found = [TWO_SOCKETS.is_own_hop("10.0.0.1", port) for port in (5060, 5080)]
        self.assertEqual(found, [True, False])
