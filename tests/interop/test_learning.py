"""
Who is heard, wherever phones really are: behind a second router, many at once, or strangers.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.interop import spray
from tests.interop.bed import LAN_ROUTER, WAN_ROUTER
from tests.interop.capture import Packet
from tests.interop.case import ALICE, BOB, STRANGER, TONES, InteropCase
from tests.interop.load import CALLEE, start_sipp
from tests.interop.program import Program
from tests.interop.tone import decode_ulaw, power, write_ulaw_tone
from tests.interop.waiting import wait_until

#: A phone whose router does not know that it is one, and that router.
FAR_ALICE, SECOND_ROUTER = "192.168.20.2", "10.0.0.20"
INSIDE_STRANGER = "10.0.0.16"
STRANGE_TONE = 2500
#: The RTP ports of the proxy, few enough to be sprayed all at once.
LOW, HIGH = 10000, 10003
RATE = 1000


class SecondRouterTests(InteropCase):
    """
    F18 of siproxd: it sent to the address of the SDP, where nobody is.
    """

    def test_rebinds(self) -> None:
        """
        A phone behind a second router talks, also after that router has given its
        RTP another port in mid-call.
        """
        proxy = self.start_proxy()
        bob = self.start_outside()
        alice = self.start_inside("alice", FAR_ALICE)
        self.connect(bob, alice)
        wire = self.start_capture(SECOND_ROUTER, "eth0")
        self.assert_talk(alice, bob)
        self.bed.forget_flows(SECOND_ROUTER)
        self.assert_talk(alice, bob)
        spoken = {p.source_port for p in wire.speech(LAN_ROUTER)}
        self.assertEqual(len(spoken), 2, f"the second router kept its port: {spoken}")
        bob.hang_up()
        proxy.wait_ports_free()


class StrangerTests(InteropCase):
    """
    Bar B11: somebody sprays every media port before, during and after set-up; S5 of siproxd.
    """

    def test_spray(self) -> None:
        """
        Strangers inside and outside at 1,000 packets a second for each port are never
        heard and hear nothing.
        """
        self.start_proxy(rtp_port_low=LOW, rtp_port_high=HIGH)
        wires = {host: self.start_capture(host, "eth0") for host in (ALICE, BOB)}
        bob = self.start_outside()
        alice = self.start_inside("alice", ALICE)
        sprayers = [self._spray(STRANGER, WAN_ROUTER), self._spray(INSIDE_STRANGER, LAN_ROUTER)]
        strangers = (STRANGER, INSIDE_STRANGER)
        ears = {host: self.start_capture(host, "eth0") for host in strangers}
        self.connect(alice, bob)
        self.assert_talk(alice, bob)
        for sprayer in sprayers:
            self.assertTrue(sprayer.running, sprayer.log())
            sprayer.wait_for(f"sent {3 * RATE * (HIGH + 1 - LOW)}|sent [1-9][0-9]{{4,}}")
        for host, wire in wires.items():
            speakers = {packet.ssrc for packet in wire.speech(host)}
            self.assertEqual(len(speakers - {spray.SSRC}), 1)
            self.assertNotIn(spray.SSRC, speakers)
        for host, ear in ears.items():
            self.assertEqual([p for p in ear.packets() if p.destination == host], [])
        self.assertEqual(alice.hears(STRANGE_TONE) + bob.hears(STRANGE_TONE), 0)

    def _spray(self, host: str, router: str) -> Program:
        voice = self.bed.directory / "stranger.ulaw"
        write_ulaw_tone(voice, STRANGE_TONE)
        words = [router, str(LOW), str(HIGH), str(RATE), str(voice)]
        program = self.bed.start(host, "spray", sys.executable, spray.__file__, *words)
        self.addCleanup(program.stop)
        program.wait_for("sent")
        return program


class ForkTests(InteropCase):
    """
    F15 of siproxd: the early media of several callees in one ear.
    """

    FIRST, SECOND = CALLEE, "203.0.113.17"

    def test_early_media(self) -> None:
        """
        Of two servers that play before they answer, the caller hears the first until
        the second begins, then the second alone, also when that has answered.
        """
        proxy = self.start_proxy()
        alice = self.start_inside("alice", ALICE)
        wire = self.start_capture(ALICE, "eth0")
        tones = [TONES["bob"], TONES["carol"]]
        self._announce(self.FIRST, tones[0], 0, 20000)
        self._announce(self.SECOND, tones[1], 1200, 1200)
        alice.dial("sip:bob@example.net")
        for tone in tones:
            wait_until(lambda tone=tone: wire.seconds_heard(ALICE, tone) > 0.9, f"{tone} Hz")
        alice.wait_established()
        spoken = [_tone(packet, tones) for packet in wire.speech(ALICE)]
        turns = [tone for n, tone in enumerate(spoken) if n == 0 or tone != spoken[n - 1]]
        self.assertEqual(turns, tones, "the announcements are mixed")
        alice.hang_up()
        proxy.wait_ports_free()

    def _announce(self, host: str, tone: int, after_ms: int, for_ms: int) -> None:
        """
        A server that is one of Bob's phones, plays a tone (183), and answers in the end.
        """
        sound, scenario = (self.bed.directory / f"{host}.{kind}" for kind in ("ulaw", "xml"))
        write_ulaw_tone(sound, tone)
        text = (Path(__file__).parent / "sipp" / "announce.xml").read_text()
        text = text.replace("announcement.ulaw", sound.name)
        begin = f'<recv request="INVITE"/><pause milliseconds="{max(1, after_ms)}"/>'
        scenario.write_text(text.replace('<recv request="INVITE"/>', begin, 1))
        program = start_sipp(self.bed, host, str(scenario.with_suffix("")), "", "-d", str(for_ms))
        self._logs.append(program)
        self.addCleanup(program.stop)
        self.provider.add("bob", f"sip:callee@{host}:5060")


def _tone(packet: Packet, tones: list[int]) -> int:
    """
    Which of these tones a packet of G.711 holds.
    """
    samples = [decode_ulaw(code) for code in packet.payload[12:]]
    return max(tones, key=lambda tone: power(samples, tone))
