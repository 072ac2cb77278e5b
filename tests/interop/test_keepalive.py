"""
Pings between real phones and siptwist.
"""

from __future__ import annotations

import socket

from siptwist.sip import stun
from siptwist.sip.hop import Hop
from siptwist.sip.stun import Message, xor_address
from tests.interop.bed import LAN_ROUTER, WAN_ROUTER
from tests.interop.case import ALICE, CAROL, STRANGER, InteropCase
from tests.interop.phone import Phone
from tests.interop.waiting import wait_until

# Somebody of the LAN who is nobody's phone.
NEIGHBOR = "10.0.0.19"
TRANSACTION = b"transaction!"
# Nobody is at the port of a dead phone, as its machine says at once; and some.
THREE_REFUSALS = 3 * 1 + 12


class KeepaliveTests(InteropCase):
    """
    Both directions.
    """

    def test_answers(self) -> None:
        """
        CRLF and STUN are answered inside, and to strangers outside nothing is said.
        """
        self.start_proxy()
        ping = bytes(Message(stun.REQUEST, TRANSACTION))
        with self.bed.open_socket(NEIGHBOR) as phone:
            phone.settimeout(2)
            phone.sendto(b"\r\n\r\n", (LAN_ROUTER, 5060))
            self.assertEqual(phone.recvfrom(65535), (b"\r\n", (LAN_ROUTER, 5060)))
            phone.sendto(ping, (LAN_ROUTER, 5060))
            answer, source = phone.recvfrom(65535)
            value = xor_address(Hop(*phone.getsockname()), TRANSACTION)
        self.assertEqual(source, (LAN_ROUTER, 5060))
        self.assertEqual(dict(Message.parse(answer).attributes), {stun.XOR_MAPPED_ADDRESS: value})
        with self.bed.open_socket(STRANGER) as stranger:
            stranger.settimeout(1)
            for data in (b"\r\n\r\n", ping):
                stranger.sendto(data, (WAN_ROUTER, 5060))
            self.assertRaises(socket.timeout, stranger.recv, 65535)

    def test_power_cut(self) -> None:
        """
        A phone whose power is cut is said to be silent, once, others are not;
        plugged in again, it is said to be heard.
        """
        proxy = self.start_proxy(ping_interval=1)
        alice, carol = self.start_inside("alice", ALICE), self.start_inside("carol", CAROL)
        for phone in (alice, carol):
            wait_until(lambda phone=phone: _answered(phone), "a phone to answer OPTIONS", 10)
        alice.cut_power()
        before = _answered(carol)
        silent = "sip:alice@example.net' at .* is silent"
        proxy.program.wait_for(silent, THREE_REFUSALS)
        self.start_inside("alice", ALICE)
        proxy.program.wait_for("sip:alice@example.net' at .* is heard again")
        self.assertGreater(_answered(carol), before + 1)
        log = proxy.program.log()
        self.assertEqual((log.count("is silent"), log.count("is heard again")), (1, 1))


def _answered(phone: Phone) -> int:
    """
    How many requests it answered; nobody sends any but siptwist its OPTIONS.
    """
    return len(phone.sent("SIP/2.0 "))
