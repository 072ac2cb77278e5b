"""
Calls that change what they carry, and calls that carry it past us.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from functools import partial

from tests.interop.bed import FW, LAN_ROUTER, WAN_ROUTER
from tests.interop.capture import Capture
from tests.interop.case import ALICE, CAROL, InteropCase
from tests.interop.load import CALLEE, CALLER
from tests.interop.phone import Phone
from tests.interop.waiting import wait_until
from tests.media.packets import rtp

CALLER_PORT, CALLEE_PORT = 4000, 5000
A_LAW, FAX = "audio {port} RTP/AVP 8", "image {port} udptl t38"
U_LAW = "audio {port} RTP/AVP 0"


class Wire:
    """
    The sockets where SIPp says that both ends of a call are.
    """

    def __init__(self, caller: socket.socket, callee: socket.socket, ports: list[int]) -> None:
        self._ends = ((caller, LAN_ROUTER), (callee, WAN_ROUTER))
        # SIPp does not tell which port it was given: the wrong one is closed there.
        self._ports = sorted({port & ~1 for port in ports})
        self._number = 0
        for end, _ in self._ends:
            end.setblocking(False)

    def passes(self, packet: Callable[[int], bytes]) -> bool:
        """
        Whether what each end sends now reaches the other.
        """
        for end, _ in self._ends:
            _read(end)
        self._number += 1
        data = packet(self._number)
        for end, router in self._ends:
            for port in self._ports:
                end.sendto(data, (router, port))
        try:
            for end, _ in self._ends:
                wait_until(partial(_has, end, data), "a packet", 0.2, pause=0.01)
        except AssertionError:
            return False
        return True


def _read(end: socket.socket) -> list[bytes]:
    found = []
    while True:
        try:
            found.append(end.recv(2048))
        except BlockingIOError:
            return found
        except OSError:
            continue  # The ICMP error of the port that is not there.


def _has(end: socket.socket, data: bytes) -> bool:
    return data in _read(end)


def _alaw(number: int) -> bytes:
    return _with_type(8, rtp(number))


def _ulaw(number: int) -> bytes:
    return _with_type(0, rtp(number, payload=bytes(80)))


def _fax(number: int) -> bytes:
    return bytes((0, number & 0xFF)) + b"\x01\x00t30 indicator"


def _with_type(number: int, packet: bytes) -> bytes:
    return packet[:1] + bytes((number,)) + packet[2:]


class ReofferTests(InteropCase):
    """
    A phone inside and a server outside change what they send, in a call of SIPp.
    """

    def test_codec(self) -> None:
        """
        A-law becomes u-law and A-law again: everything arrives, on the same ports.
        """
        self.check((A_LAW, U_LAW, A_LAW), (_alaw, _ulaw, _alaw))

    def test_fax(self) -> None:
        """
        Sound becomes a fax by T.38 and sound again: everything arrives, on the same ports.
        """
        self.check((A_LAW, FAX, A_LAW), (_alaw, _fax, _alaw))

    def check(self, lines: tuple[str, ...], packets: tuple[Callable[[int], bytes], ...]) -> None:
        proxy = self.start_proxy()
        sound = self.start_capture(CALLEE, "eth0")
        keys = ("first", "second", "third")
        words: dict[int, list[str]] = {CALLER_PORT: [], CALLEE_PORT: []}
        for port, given in words.items():
            for key, line in zip(keys, lines, strict=True):
                given += ["-key", key, line.format(port=port)]
        callee = self.run_sipp(CALLEE, "accept", *words[CALLEE_PORT])
        caller = self.run_sipp(
            CALLER, "offer", "-s", "callee", "-d", "2500", *words[CALLER_PORT], remote=CALLEE
        )
        wait_until(lambda: len(proxy.media_ports()) == 4, "media ports", 5)
        ports = proxy.media_ports()
        ends = (
            self.bed.open_socket(CALLER, CALLER_PORT),
            self.bed.open_socket(CALLEE, CALLEE_PORT),
        )
        for end in ends:
            self.addCleanup(end.close)
        wire = Wire(*ends, ports)
        for packet in packets:
            wait_until(partial(wire.passes, packet), packet.__name__, 6)
            self.assertEqual(proxy.media_ports(), ports)
        self.assertEqual((caller.wait(8), callee.wait(3)), (0, 0))
        told = [text.split("\nm=")[1].split()[:2] for text in _invites(sound)]
        self.assertEqual([port for _, port in told], [told[0][1]] * 3)
        proxy.wait_ports_free()


def _invites(capture: Capture) -> list[str]:
    """
    The INVITEs seen, each once.
    """
    found = [text for text in capture.sip(destination=CALLEE) if text.startswith("INVITE ")]
    return list({text.split("CSeq: ")[1].split()[0]: text for text in found}.values())


class DirectTests(InteropCase):
    """
    Two phones in one network; F23 of siproxd: their media went through it, twice.
    """

    def test_by_the_provider(self) -> None:
        """
        A call that goes out to the provider and comes back in: the phones hear each
        other, and the router sees nothing of it.
        """
        proxy = self.start_proxy()
        alice, carol = (self.start_inside(*who) for who in (("alice", ALICE), ("carol", CAROL)))
        wire, outside = self.start_capture(FW, "eth0"), self.start_capture()
        self.connect(alice, carol)
        self.assert_direct(wire, alice, carol)
        self.assert_nothing_leaks(outside)
        self.assertEqual(len(proxy.media_ports()), 8)
        alice.hang_up()
        carol.wait_over()
        proxy.wait_ports_free()

    def test_off(self) -> None:
        """
        With direct_media = off the router carries all of it, from phone to phone: it
        sends nothing to itself.
        """
        self.start_proxy(direct_media="off")
        loop = self.start_capture(FW, "lo")
        alice, carol = (self.start_inside(*who) for who in (("alice", ALICE), ("carol", CAROL)))
        wire = self.start_capture(FW, "eth0")
        self.connect(alice, carol)
        for phone in (alice, carol):
            self.assertTrue(wire.speech(phone.address))
        since = time.time()
        self.assert_talk(alice, carol)
        sent = [p for p in loop.packets() if p.at > since and p.payload[:1] == b"\x80"]
        self.assertEqual(sent, [])

    def assert_direct(self, wire: Capture, *phones: Phone) -> None:
        for phone in phones:
            self.assertEqual(wire.speech(phone.address), [])
        self.assertEqual(wire.speech(LAN_ROUTER), [])
