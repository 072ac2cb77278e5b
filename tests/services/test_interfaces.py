"""
Phones on several networks of ours, and a spare line: the whole proxy, its sockets in
memory.
"""

from __future__ import annotations

import re
import tempfile
from ipaddress import IPv4Interface

from twisted.trial.unittest import SynchronousTestCase

from siptwist import config
from siptwist.composition import compose
from siptwist.net.addresses import Chosen, Interface, choose
from siptwist.proxy.registration.location import Binding
from siptwist.services.addressing import POLL_SECONDS
from siptwist.sip.hop import Hop, Side
from tests.net.fakes_udp import MemoryUDPPort, MemoryUDPReactor

ALICE, BOB, WORLD = ("10.0.0.11", 5060), ("10.0.1.12", 5060), ("203.0.113.16", 5060)
NAMES = {"alice": ALICE, "bob": BOB}

SDP = """\
v=0
o=- 1 1 IN IP4 {host}
s=-
c=IN IP4 {host}
t=0 0
m=audio 4000 RTP/AVP 0
"""


def interface(name: str, address: str | None, carrier: bool = True) -> Interface:
    network = None if address is None else IPv4Interface(f"{address}/24")
    return Interface(name, network, has_carrier=carrier)


ETH0, WLAN0 = interface("eth0", "10.0.0.1"), interface("wlan0", "10.0.1.1")
PPP0, LTE0 = interface("ppp0", "203.0.113.1"), interface("lte0", "198.51.100.1")


class InterfacesTests(SynchronousTestCase):
    """
    ``if_inbound = eth0, wlan0`` and ``if_outbound = ppp0, lte0``.
    """

    found: tuple[Interface, ...] = (ETH0, WLAN0, PPP0, LTE0)

    def setUp(self) -> None:
        self.count = 0

    def start(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.reactor = MemoryUDPReactor()
        self.reactor.advance(1_700_000_000)
        self.settings = config.parse(
            "if_inbound = eth0, wlan0\nif_outbound = ppp0,lte0\n"
            f"registration_file = {directory.name}/r\n"
        )
        self.service, self.parts = compose(self.settings, self.choose(), self.reactor, self.choose)
        self.service.privilegedStartService()
        self.service.startService()
        self.addCleanup(self.service.stopService)

    def choose(self) -> Chosen:
        return choose(self.settings.if_inbound, self.settings.if_outbound, self.found, ())

    def become(self, *found: Interface) -> None:
        self.found = found
        self.reactor.advance(POLL_SECONDS)

    def bound(self) -> set[str]:
        return {host for host, port in self.reactor.ports if port == 5060}

    def port(self, host: str) -> MemoryUDPPort:
        return self.reactor.ports[host, 5060]

    def say(self, ours: str, user: str, first: str, *more: str, body: str = "") -> str:
        """
        A request of ``user``, who is told to use ``ours``; its branch.
        """
        self.count += 1
        host = NAMES[user][0]
        method = first.split()[0]
        lines = (
            f"{first} SIP/2.0",
            f"Via: SIP/2.0/UDP {host}:5060;branch=z9hG4bK{self.count}",
            f"From: <sip:{user}@{ours}>;tag={user}",
            f"Call-ID: {method}{user}@{host}",
            f"CSeq: {self.count} {method}",
            "Max-Forwards: 70",
            f"Contact: <sip:{user}@{host}:5060>",
            *more,
        )
        self.deliver(ours, lines, body, NAMES[user])
        return f"z9hG4bK{self.count}"

    def deliver(
        self, ours: str, lines: tuple[str, ...], body: str, source: tuple[str, int]
    ) -> None:
        body = body.replace("\n", "\r\n")
        kind = ["Content-Type: application/sdp"] if body else []
        head = "\r\n".join((*lines, *kind, f"Content-Length: {len(body)}"))
        self.port(ours).deliver(f"{head}\r\n\r\n{body}".encode(), source)

    def last(self, ours: str, start: str) -> str:
        """
        What was sent last from an address of ours, and begins so.
        """
        texts = [data.decode() for data, _ in self.port(ours).sent]
        return [text for text in texts if text.startswith(start)][-1]

    def ring_bob(self) -> str:
        """
        Alice calls Bob; the INVITE as he receives it.
        """
        self.say(
            "10.0.0.1",
            "alice",
            "INVITE sip:bob@10.0.1.1",
            "To: <sip:bob@10.0.1.1>",
            body=SDP.format(host=ALICE[0]),
        )
        return self.last("10.0.1.1", "INVITE")

    def test_a_socket_for_each(self) -> None:
        """
        There is a socket for each interface of the phones, and one for the world.
        """
        self.start()
        self.assertEqual(self.bound(), {"10.0.0.1", "10.0.1.1", "203.0.113.1"})

    def test_answers_from_there(self) -> None:
        """
        Each phone is answered from the address that it asked.
        """
        self.start()
        for ours, user in (("10.0.0.1", "alice"), ("10.0.1.1", "bob")):
            self.say(ours, user, f"OPTIONS sip:{ours}", f"To: <sip:{ours}>")
            answers = [to for data, to in self.port(ours).sent if data.startswith(b"SIP/2.0 200")]
            self.assertEqual(answers, [NAMES[user]])

    def test_call_between_networks(self) -> None:
        """
        Phones on two networks call each other: Via, Record-Route and media name to each
        the address in its own network, in the request and in the answer.
        """
        self.start()
        self.parts.registrations.locations.put(self.binding())
        invite = self.ring_bob()
        self.assertIn("Via: SIP/2.0/UDP 10.0.1.1:5060;", invite)
        self.assertIn("Record-Route: <sip:10.0.1.1;lr>", invite)
        self.assertEqual(re.findall(r"c=IN IP4 (\S+)", invite), ["10.0.1.1"])
        kept = re.findall(r"^(?:Via|Record-Route|From|Call-ID|CSeq): .*(?=\r)", invite, re.M)
        lines = ("SIP/2.0 200 OK", *kept, "To: <sip:bob@10.0.1.1>;tag=b")
        contact = (f"Contact: <sip:bob@{BOB[0]}:5060>",)
        self.deliver("10.0.1.1", lines + contact, SDP.format(host=BOB[0]), BOB)
        answer = self.last("10.0.0.1", "SIP/2.0 200")
        self.assertIn("Record-Route: <sip:10.0.0.1;lr>", answer)
        self.assertNotIn("<sip:10.0.1.1;lr>", answer)
        self.assertEqual(re.findall(r"c=IN IP4 (\S+)", answer), ["10.0.0.1"])
        media = {host for host, port in self.reactor.ports if port != 5060}
        self.assertEqual(media, {"10.0.0.1", "10.0.1.1"})

    def binding(self) -> Binding:
        now = self.reactor.seconds()
        return Binding(
            "sip:bob@10.0.1.1",
            f"sip:bob@{BOB[0]}:5060",
            Hop(*BOB),
            Side.INSIDE,
            "b" * 12,
            "r",
            1,
            now,
            now,
            now + 600,
        )

    def test_one_comes_up_late(self) -> None:
        """
        An interface of the phones that is down at the start is used when it comes up, and
        the socket of the other one stays.
        """
        self.found = (ETH0, PPP0)
        self.start()
        self.assertEqual(self.bound(), {"10.0.0.1", "203.0.113.1"})
        eth0 = self.port("10.0.0.1")
        self.become(ETH0, WLAN0, PPP0)
        self.assertEqual(self.bound(), {"10.0.0.1", "10.0.1.1", "203.0.113.1"})
        self.assertIs(self.port("10.0.0.1"), eth0)

    def test_spare_line(self) -> None:
        """
        When the line goes down, or nobody is at its other end, the spare one takes over,
        until the first is back.
        """
        self.start()
        for ppp0 in (interface("ppp0", None), interface("ppp0", "203.0.113.1", carrier=False)):
            self.become(ETH0, WLAN0, ppp0, LTE0)
            self.assertEqual(self.parts.core.identity.outside.host, "198.51.100.1")
            self.assertEqual(self.bound(), {"10.0.0.1", "10.0.1.1", "198.51.100.1"})
            self.become(ETH0, WLAN0, PPP0, LTE0)
            self.assertEqual(self.parts.core.identity.outside.host, "203.0.113.1")

    def test_both_lines_down(self) -> None:
        """
        With all lines down the last one stays.
        """
        self.start()
        self.become(ETH0, WLAN0, LTE0)
        self.become(ETH0, WLAN0)
        self.assertEqual(self.parts.core.identity.outside.host, "198.51.100.1")
