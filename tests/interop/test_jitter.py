"""
RTP that comes unevenly, and how it leaves: read off the wire.
"""

from __future__ import annotations

import itertools
import random
import struct
import time

from tests.interop.bed import LAN_ROUTER, WAN_ROUTER
from tests.interop.capture import Packet
from tests.interop.case import InteropCase
from tests.interop.load import CALLEE, CALLER
from tests.interop.waiting import wait_until

#: Where SIPp says that it wants RTP, and has no socket when told to listen elsewhere.
MEDIA_PORT = 6000
ELSEWHERE = ("-mi", "127.0.0.1")
PACKETS = 350
#: A machine that has other things to do may stall for a moment; not always.
TRIES = 3
EVERY = 0.02
JITTER = 0.03
DSCP, SIP_DSCP = 46, 26


class JitterTests(InteropCase):
    """
    F3 of siproxd: its dejitter lost every packet.
    """

    def test_evened_out(self) -> None:
        """
        Speech with 30 ms of jitter leaves every 20 ms, whole, in order and marked, and
        so does all SIP.
        """
        self.start_proxy(rtp_input_dejitter=60000, rtp_dscp=DSCP, sip_dscp=SIP_DSCP)
        wire, wan = self.start_capture(CALLER, "eth0"), self.start_capture()
        self.run_sipp(CALLEE, "callee", *ELSEWHERE)
        self.run_sipp(CALLER, "caller", *ELSEWHERE, "-s", "callee", "-d", "60000", remote=CALLEE)
        wait_until(lambda: any(one.startswith("ACK ") for one in wan.sip(WAN_ROUTER)), "ACK")
        invite = next(one for one in wan.sip(WAN_ROUTER) if one.startswith("INVITE "))
        port = int(invite.partition("m=audio ")[2].split()[0])
        for ssrc in range(1, TRIES + 1):
            self._speak(port, ssrc)
            heard = [p for p in wire.speech(CALLER) if p.source == LAN_ROUTER and p.ssrc == ssrc]
            self.assertEqual([_number(p) for p in heard], list(range(PACKETS)))
            uneven = _uneven(heard)
            if len(uneven) <= PACKETS // 100:
                break
        else:
            self.fail(f"{len(uneven)} of {PACKETS} packets leave unevenly, ms: {uneven}")
        self.assertEqual({p.dscp for p in heard}, {DSCP})
        sip = [p for p in wan.packets() if (p.source, p.source_port) == (WAN_ROUTER, 5060)]
        self.assertEqual({p.dscp for p in sip}, {SIP_DSCP})

    def _speak(self, port: int, ssrc: int) -> None:
        """
        Send packets that are up to 30 ms late, in order.
        """
        chance = random.Random(30)
        started = time.monotonic()
        phone = self.bed.open_socket(CALLEE, MEDIA_PORT)
        with phone, self.bed.open_socket(CALLER, MEDIA_PORT):
            for number in range(PACKETS):
                due = started + number * EVERY + chance.random() * JITTER
                time.sleep(max(0.0, due - time.monotonic()))
                head = struct.pack("!BBHII", 0x80, 0, number, number * 160, ssrc)
                phone.sendto(head + b"\xff" * 160, (WAN_ROUTER, port))
            time.sleep(0.3)


def _uneven(heard: list[Packet]) -> list[float]:
    """
    The intervals that are not 20 ms within 5, in milliseconds.
    """
    apart = [after.at - before.at for before, after in itertools.pairwise(heard)]
    return [round(one * 1000, 1) for one in apart if abs(one - EVERY) > 0.005]


def _number(packet: Packet) -> int:
    return packet.payload[2] << 8 | packet.payload[3]
