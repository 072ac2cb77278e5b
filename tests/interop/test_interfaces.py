"""
Links that come up late, and addresses that change.
"""

from __future__ import annotations

import re
import socket
import time
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.interop.bed import FW, LAN_ROUTER, WAN_ROUTER, Bed
from tests.interop.proxy import Proxy
from tests.interop.readiness import reason_to_skip

PHONE, SERVER = "10.0.0.11", "203.0.113.16"
#: Of a second network inside, and of a second line.
NEAR_ROUTER, NEAR_PHONE = "10.0.1.1", "10.0.1.12"
SPARE, SPARE_GATEWAY = "198.51.100.1", "198.51.100.16"
#: Seconds in which a change of ours must be in effect.
SOON = 1.0

_SDP = """\
v=0
o=- 1 1 IN IP4 {host}
s=-
c=IN IP4 {host}
t=0 0
m=audio {port} RTP/AVP 0
"""

_REQUEST = """\
OPTIONS sip:{server} SIP/2.0
Via: SIP/2.0/UDP {address}:{port};branch=z9hG4bK-{number};rport
From: <sip:alice@{server}>;tag=a
To: <sip:{server}>
Call-ID: {number}@{address}
CSeq: 1 OPTIONS
Max-Forwards: 70
Contact: <sip:alice@{address}:{port}>
Content-Length: 0

"""


class InterfacesTests(SynchronousTestCase):
    """
    A bed of its own, for its links go up and down.
    """

    def setUp(self) -> None:
        reason = reason_to_skip()
        if reason:
            raise SkipTest(reason)
        self.bed = Bed(keep=Path(f"interop-{self._testMethodName}").resolve())
        self.addCleanup(self.bed.remove)
        self.server = self.bed.open_socket(SERVER, 5060)
        self.phone = self.bed.open_socket(PHONE, 5060)
        for opened in (self.server, self.phone):
            self.addCleanup(opened.close)
        self.number = 0

    def start_proxy(self, **options: str) -> Proxy:
        proxy = Proxy(self.bed, **options)
        self.addCleanup(proxy.stop)
        return proxy

    def ip(self, words: str) -> None:
        self.bed.run(FW, "ip", *words.split())

    def ask(self, seconds: float = 0.2) -> tuple[str, str]:
        """
        What the server outside and the phone receive when the phone asks.
        """
        self.number += 1
        host, port = self.phone.getsockname()
        text = _REQUEST.format(server=SERVER, address=host, port=port, number=self.number)
        self.phone.sendto(text.replace("\n", "\r\n").encode(), (LAN_ROUTER, 5060))
        return _read(self.server, seconds), _read(self.phone, 0.01)

    def wait_via(self, address: str, seconds: float = SOON) -> None:
        """
        Ask until the server outside is told that we are at this address.
        """
        end, arrived = time.monotonic() + seconds, ""
        while time.monotonic() < end:
            arrived = self.ask(0.1)[0]
            if f"Via: SIP/2.0/UDP {address}" in arrived:
                return
        self.fail(f"not at {address} within {seconds} s; {arrived}")

    def test_late_and_changing(self) -> None:
        """
        With the link to the provider down the proxy starts, serves the phones, and tells
        them at once that the provider cannot be reached.  The link comes up, and later has
        another address: each time the next second's requests go out from there.
        """
        self.ip("link set ppp0 down")
        proxy = self.start_proxy()
        self.assertIn("if_outbound = ppp0: the interface is down", proxy.program.log())
        arrived, answered = self.ask(1)
        self.assertEqual(arrived, "")
        self.assertRegex(answered, "^SIP/2.0 503 ")
        self.ip("link set ppp0 up")
        self.wait_via(WAN_ROUTER)
        self.ip("address add 203.0.113.2/24 dev ppp0")
        self.ip(f"address del {WAN_ROUTER}/24 dev ppp0")
        self.ip("address replace 203.0.113.2/24 dev ppp0")
        self.wait_via("203.0.113.2")

    def register(self) -> tuple[str, str]:
        """
        The phone registers at the provider: the Contact that arrives there, and what the
        phone is told.
        """
        aor = f"sip:alice@{SERVER}"
        self.server.settimeout(SOON)
        more = (f"To: <{aor}>", "Expires: 3600")
        self.say(self.phone, LAN_ROUTER, f"REGISTER sip:{SERVER}", *more)
        (contact,) = self.answer("200 OK", ";expires=3600")
        return contact, _read(self.phone, SOON)

    def answer(self, status: str, more: str = "") -> list[str]:
        """
        Answer the REGISTER that comes next to the server outside; its Contacts, the first
        of which goes into the answer with ``more``.
        """
        data, source = self.server.recvfrom(65535)
        text = data.decode()
        contacts = re.findall(r"^Contact: (.*)\r", text, re.M)
        kept = re.findall(r"^(?:Via|From|To|Call-ID|CSeq): .*(?=\r)", text, re.M)
        lines = (f"SIP/2.0 {status}", *kept, f"Contact: {contacts[0]}{more}")
        self.server.sendto(_message(lines, ""), source)
        return contacts

    def pongs(self) -> bool:
        """
        Whether a keep-alive of the phone is answered.
        """
        self.phone.sendto(b"\r\n\r\n", (LAN_ROUTER, 5060))
        return _read(self.phone, 0.3) == "\r\n"

    def test_registers_again(self) -> None:
        """
        The line gets another address, and the provider does not take our word for it, for
        it wants the phone's password.  Phones were told to come back soon, hear no answer to
        keep-alives until they do, and then the provider knows the new address.
        """
        self.start_proxy(max_expires="60")
        contact, told = self.register()
        self.assertIn(f"@{WAN_ROUTER};", contact)
        self.assertRegex(told, r"Contact: <sip:[^>]*>;expires=60\r")
        self.assertTrue(self.pongs())
        self.ip("address add 203.0.113.2/24 dev ppp0")
        self.ip(f"address del {WAN_ROUTER}/24 dev ppp0")
        self.ip("address replace 203.0.113.2/24 dev ppp0")
        contacts = self.answer("401 Unauthorized")
        self.assertEqual(["@203.0.113.2;" in one for one in contacts], [True, False])
        time.sleep(0.1)
        self.assertFalse(self.pongs())
        self.assertIn("@203.0.113.2;", self.register()[0])
        self.assertTrue(self.pongs())

    def add_link(self, name: str, switch: str, address: str, up: bool = True) -> None:
        """
        Another interface of the router.
        """
        namespace = f"{self.bed.prefix}-{switch}"
        self.ip(f"link add {name} type veth peer name p{name} netns {namespace}")
        self.bed.run(switch, "ip", "link", "set", f"p{name}", "master", "br0", "up")
        self.ip(f"address add {address}/24 dev {name}")
        if up:
            self.ip(f"link set {name} up")

    def move_in(self) -> socket.socket:
        """
        A phone in the second network.
        """
        host = "10.0.0.12"
        self.bed.run(host, "ip", "address", "add", f"{NEAR_PHONE}/24", "dev", "eth0")
        self.bed.run(host, "ip", "route", "replace", "default", "via", NEAR_ROUTER)
        phone = self.bed.open_socket(host, 5060, NEAR_PHONE)
        phone.settimeout(1)
        self.addCleanup(phone.close)
        return phone

    def say(self, phone: socket.socket, ours: str, first: str, *more: str, body: str = "") -> None:
        self.number += 1
        host, port = phone.getsockname()
        lines = (
            f"{first} SIP/2.0",
            f"Via: SIP/2.0/UDP {host}:{port};branch=z9hG4bK-{self.number};rport",
            f"From: <sip:{host}@{ours}>;tag=a",
            f"Call-ID: {self.number}@{host}",
            f"CSeq: 1 {first.split()[0]}",
            "Max-Forwards: 70",
            f"Contact: <sip:{host}@{host}:{port}>",
            *more,
        )
        phone.sendto(_message(lines, body), (ours, 5060))

    def test_two_networks(self) -> None:
        """
        An interface of the phones comes up late.  A phone there registers, and is called
        from the other network: each hears of the address in its own network only, in
        signaling and in media, and voice passes.
        """
        self.add_link("wlan0", "lan", NEAR_ROUTER, up=False)
        phone = self.move_in()
        self.start_proxy(if_inbound="eth0, wlan0", hosts_allow_reg="10.0.0.0/16")
        self.ip("link set wlan0 up")
        time.sleep(SOON)
        self.say(phone, NEAR_ROUTER, f"REGISTER sip:{NEAR_ROUTER}", f"To: <sip:bob@{NEAR_ROUTER}>")
        answer, source = phone.recvfrom(65535)
        self.assertEqual((answer[:11], source[0]), (b"SIP/2.0 200", NEAR_ROUTER))
        self.phone.settimeout(1)
        body = _SDP.format(host=PHONE, port=4000)
        bob = f"sip:bob@{NEAR_ROUTER}"
        self.say(self.phone, LAN_ROUTER, f"INVITE {bob}", f"To: <{bob}>", body=body)
        data, source = phone.recvfrom(65535)
        invite = data.decode()
        self.assertTrue(invite.startswith("INVITE"), invite)
        self.assertEqual(source, (NEAR_ROUTER, 5060))
        self.assertIn(f"Via: SIP/2.0/UDP {NEAR_ROUTER}:5060;", invite)
        self.assertEqual(_routes(invite), [f"<sip:{NEAR_ROUTER};lr>"])
        self.assertEqual(_media(invite)[0], NEAR_ROUTER)
        kept = re.findall(r"^(?:Via|Record-Route|From|Call-ID|CSeq): .*(?=\r)", invite, re.M)
        more = (f"To: <{bob}>;tag=b", f"Contact: <sip:bob@{NEAR_PHONE}>")
        body = _SDP.format(host=NEAR_PHONE, port=4000)
        phone.sendto(_message(("SIP/2.0 200 OK", *kept, *more), body), source)
        while not (answered := self.phone.recvfrom(65535))[0].startswith(b"SIP/2.0 200"):
            self.assertTrue(answered[0].startswith(b"SIP/2.0 1"), answered)
        self.assertEqual(answered[1], (LAN_ROUTER, 5060))
        text = answered[0].decode()
        self.assertEqual(_routes(text), [f"<sip:{LAN_ROUTER};lr>"])
        self.assertEqual(_media(text)[0], LAN_ROUTER)
        self.talk(_media(text), _media(invite))

    def talk(self, calling: tuple[str, int], called: tuple[str, int]) -> None:
        """
        One packet of RTP each way, to where each phone was told.
        """
        caller = self.bed.open_socket(PHONE, 4000)
        callee = self.bed.open_socket("10.0.0.12", 4000, NEAR_PHONE)
        packet = bytes((0x80, 0, 0, 1)) + bytes(8) + b"v" * 160
        for opened in (caller, callee):
            self.addCleanup(opened.close)
            opened.settimeout(1)
        caller.sendto(packet, calling)
        self.assertEqual(callee.recvfrom(2048), (packet, called))
        callee.sendto(packet, called)
        self.assertEqual(caller.recvfrom(2048), (packet, calling))

    def test_spare_line(self) -> None:
        """
        The line to the provider breaks: within a second requests leave by the spare one,
        and by the first again once it is back.
        """
        self.bed.run(SERVER, "ip", "address", "add", f"{SPARE_GATEWAY}/24", "dev", "eth0")
        self.add_link("lte0", "wan", SPARE)
        self.ip("route add default dev lte0 metric 100")
        self.start_proxy(if_outbound="ppp0,lte0")
        self.wait_via(WAN_ROUTER)
        self.bed.run("wan", "ip", "link", "set", "p1", "down")
        self.ip("route del default dev ppp0")
        self.ip("route del 203.0.113.0/24 dev ppp0")
        self.wait_via(SPARE)
        self.bed.run("wan", "ip", "link", "set", "p1", "up")
        self.ip("route add 203.0.113.0/24 dev ppp0 src 203.0.113.1")
        self.wait_via(WAN_ROUTER, 2 * SOON)


def _message(lines: tuple[str, ...], body: str) -> bytes:
    body = body.replace("\n", "\r\n")
    kind = ["Content-Type: application/sdp"] if body else []
    return "\r\n".join((*lines, *kind, f"Content-Length: {len(body)}", "", body)).encode()


def _routes(text: str) -> list[str]:
    return re.findall(r"^Record-Route: (.*)\r", text, re.M)


def _media(text: str) -> tuple[str, int]:
    """
    Where a session description asks for RTP.
    """
    (host,), (port,) = re.findall(r"c=IN IP4 (\S+)", text), re.findall(r"m=audio (\d+)", text)
    return host, int(port)


def _read(opened: socket.socket, seconds: float) -> str:
    """
    All that arrives in this time, or right after the first.
    """
    found = []
    opened.settimeout(seconds)
    try:
        while True:
            found.append(opened.recv(65535).decode())
            opened.settimeout(0.01)
    except OSError:
        return "".join(found)
