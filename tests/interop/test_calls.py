"""
Telephone calls through siptwist between real telephones.
"""

from __future__ import annotations

import re
import time

from tests.interop.bed import LAN_ROUTER, WAN_ROUTER
from tests.interop.capture import Capture
from tests.interop.case import ALICE, BOB, CAROL, PROVIDER, TONES, InteropCase
from tests.interop.load import CALLEE
from tests.interop.phone import Account, Phone
from tests.interop.tone import write_ulaw_tone
from tests.interop.waiting import wait_until


class CallTests(InteropCase):
    """
    Each side hears the other's voice, and afterwards nothing is left.
    """

    def test_calls_out(self) -> None:
        """
        A phone behind the proxy calls a phone at the provider.
        """
        proxy = self.start_proxy()
        bob = self.start_outside()
        alice = self.start_inside("alice", ALICE)
        self.connect(alice, bob)
        self.assertTrue(proxy.media_ports(), "the call does not use our media ports")

    def test_is_called(self) -> None:
        """
        A phone at the provider calls a phone behind the proxy.
        """
        self.start_proxy()
        bob = self.start_outside()
        alice = self.start_inside("alice", ALICE)
        self.connect(bob, alice)

    def test_through_provider_and_back(self) -> None:
        """
        Two phones behind the proxy call each other through the provider.
        """
        proxy = self.start_proxy()
        alice = self.start_inside("alice", ALICE)
        carol = self.start_inside("carol", CAROL)
        self.connect(alice, carol)
        carol.hang_up()
        alice.wait_over()
        proxy.wait_ports_free()

    def test_within_house(self) -> None:
        """
        Two phones that are registered at siptwist itself call each other, no provider needed.
        """
        proxy = self.start_proxy()
        capture = self.start_capture()
        alice = self.start_phone(ALICE, Account("alice", LAN_ROUTER))
        carol = self.start_phone(CAROL, Account("carol", LAN_ROUTER))
        self.connect(alice, carol)
        alice.hang_up()
        carol.wait_over()
        proxy.wait_ports_free()
        self.assertEqual(capture.sip(), [])

    def test_interfaces_found(self) -> None:
        """
        With if_inbound and if_outbound = auto the routing table is enough to place a call.
        """
        self.start_proxy(if_inbound="auto", if_outbound="auto")
        bob = self.start_outside()
        alice = self.start_inside("alice", ALICE)
        self.connect(alice, bob)

    def test_one_call_after_another(self) -> None:
        """
        The same two phones talk three times, in both directions.
        """
        proxy = self.start_proxy()
        bob = self.start_outside()
        alice = self.start_inside("alice", ALICE)
        for caller, callee in ((alice, bob), (bob, alice), (alice, bob)):
            mark = callee.program.mark()
            self.connect(caller, callee)
            caller.hang_up()
            callee.wait_over(mark)
            proxy.wait_ports_free()


class HangUpTests(InteropCase):
    """
    Whoever hangs up, the other side is told and every media port is given back.
    """

    def test_caller_inside(self) -> None:
        """
        The caller behind the proxy hangs up.
        """
        self._check(outward=True, by_caller=True)

    def test_callee_outside(self) -> None:
        """
        The called phone at the provider hangs up.
        """
        self._check(outward=True, by_caller=False)

    def test_caller_outside(self) -> None:
        """
        The caller at the provider hangs up.
        """
        self._check(outward=False, by_caller=True)

    def test_callee_inside(self) -> None:
        """
        The called phone behind the proxy hangs up.
        """
        self._check(outward=False, by_caller=False)

    def _check(self, outward: bool, by_caller: bool) -> None:
        proxy = self.start_proxy()
        bob = self.start_outside()
        alice = self.start_inside("alice", ALICE)
        caller, callee = (alice, bob) if outward else (bob, alice)
        self.connect(caller, callee)
        self.assertTrue(proxy.media_ports())
        one, other = (caller, callee) if by_caller else (callee, caller)
        one.hang_up()
        other.wait_over()
        proxy.wait_ports_free()
        wait_until(lambda: self._bye_answered(one), "BYE to be answered with 200", 5)

    def _bye_answered(self, phone: Phone) -> bool:
        return any(" BYE" in answer for answer in phone.received("SIP/2.0 200"))


class HoldTests(InteropCase):
    """
    Hold and resume; baresip's recording ends with the first re-INVITE, so we listen on its wire.
    """

    def test_holds_from_inside(self) -> None:
        """
        A phone behind the proxy holds a call for a while and takes it back.
        """
        self.start_proxy()
        bob = self.start_outside()
        alice = self.start_inside("alice", ALICE)
        self.connect(alice, bob)
        self._check(alice, bob)

    def test_holds_from_outside(self) -> None:
        """
        A phone at the provider holds a call for a while and takes it back.
        """
        self.start_proxy()
        bob = self.start_outside()
        alice = self.start_inside("alice", ALICE)
        self.connect(bob, alice)
        self._check(bob, alice)

    def _check(self, holder: Phone, held: Phone) -> None:
        wires = {phone: self.start_capture(phone.address, "eth0") for phone in (holder, held)}
        voices = {holder: held.tone, held: holder.tone}
        for phone, tone in voices.items():
            self._wait_talk(wires[phone], phone, tone)
        mark = held.program.mark()
        holder.hold()
        held.program.wait_for(r"CSeq: \d+ INVITE(?s:.*)a=recvonly", since=mark)
        wait_until(lambda: all(_is_silent(wires[p], p) for p in voices), "silence on hold")
        resumed = time.time()
        holder.resume()
        for phone, tone in voices.items():
            self._wait_talk(wires[phone], phone, tone, resumed)

    def _wait_talk(self, capture: Capture, phone: Phone, tone: int, since: float = 0.0) -> None:
        wait_until(
            lambda: capture.seconds_heard(phone.address, tone, since) > 1.0,
            f"{phone.directory.name} to hear {tone} Hz",
        )


class EarlyMediaTests(InteropCase):
    """
    Sound before the call is answered.
    """

    def test_announcement(self) -> None:
        """
        A caller behind the proxy hears the announcement of a server that has not answered (183).
        """
        proxy = self.start_proxy()
        write_ulaw_tone(self.bed.directory / "announcement.ulaw", TONES["bob"])
        server = self.run_sipp(CALLEE, "announce", "-d", "3000")
        alice = self.start_inside("alice", ALICE)
        alice.dial(f"sip:callee@{CALLEE}")
        wait_until(lambda: alice.hears(TONES["bob"]) > 0.9, "the announcement")
        self.assertTrue(alice.received("SIP/2.0 183"))
        self.assertEqual(alice.received("SIP/2.0 200 OK")[-1].count(" INVITE"), 0)
        alice.wait_established()
        alice.hang_up()
        self.assertEqual(server.wait(5), 0)
        proxy.wait_ports_free()


class SilenceTests(InteropCase):
    """
    A call whose phones vanish.
    """

    def test_power_cut(self) -> None:
        """
        When both phones lose power in a call, its media ports are freed after rtp_timeout.
        """
        proxy = self.start_proxy(rtp_timeout=3)
        bob = self.start_outside()
        alice = self.start_inside("alice", ALICE)
        self.connect(alice, bob)
        alice.cut_power()
        bob.cut_power()
        self.assertTrue(proxy.media_ports())
        proxy.wait_ports_free(25)


class PrivacyTests(InteropCase):
    """
    What the outside can read of the inside.
    """

    def test_nothing_private(self) -> None:
        """
        No Contact, Via, Record-Route or SDP line that leaves us names a private address.
        """
        self.start_proxy()
        capture = self.start_capture()
        bob = self.start_outside()
        alice = self.start_inside("alice", ALICE)
        carol = self.start_inside("carol", CAROL)
        for caller, callee in ((alice, bob), (bob, alice), (alice, carol)):
            mark = callee.program.mark()
            self.connect(caller, callee)
            caller.hold()
            callee.program.wait_for("a=recvonly", since=mark)
            caller.hang_up()
            callee.wait_over(mark)
        methods = {message.split(" ", 1)[0] for message in capture.sip(WAN_ROUTER)}
        self.assertLessEqual({"REGISTER", "INVITE", "ACK", "BYE", "SIP/2.0"}, methods)
        self.assert_nothing_leaks(capture)

    def test_media_described(self) -> None:
        """
        The SDP that leaves us names our outside address, and the one that enters our inside one.
        """
        self.start_proxy()
        outside, inside = self.start_capture(), self.start_capture(ALICE, "eth0")
        bob = self.start_outside()
        alice = self.start_inside("alice", ALICE)
        self.connect(alice, bob)
        self.assertEqual(self._connections(outside.sip(WAN_ROUTER)), {WAN_ROUTER})
        self.assertEqual(self._connections(inside.sip(LAN_ROUTER)), {LAN_ROUTER})
        strangers = {p.source for p in outside.packets() if p.destination in (BOB, PROVIDER)}
        self.assertEqual(strangers, {WAN_ROUTER})

    def _connections(self, messages: list[str]) -> set[str]:
        return {found for text in messages for found in re.findall(r"c=IN IP4 (\S+)", text)}


class NoRelayTests(InteropCase):
    """
    ``rtp_proxy_enable = 0``.
    """

    def test_descriptions_untouched(self) -> None:
        """
        With the RTP proxy off, SDP goes through as the phone wrote it and no port is taken.
        """
        proxy = self.start_proxy(rtp_proxy_enable=0)
        bob = self.start_outside()
        alice = self.start_inside("alice", ALICE)
        alice.dial("sip:bob@example.net")
        alice.wait_established()
        bodies = [_body(text) for text in alice.sent("INVITE")]
        self.assertIn(_body(bob.received("INVITE")[-1]), bodies)
        self.assertEqual(
            _body(alice.received("SIP/2.0 200 Answering")[-1]),
            _body(bob.sent("SIP/2.0 200 Answering")[-1]),
        )
        self.assertEqual(proxy.media_ports(), [])


def _is_silent(wire: Capture, phone: Phone) -> bool:
    return time.time() - wire.last_sound(phone.address) > 0.5


def _body(message: str) -> str:
    return message.replace("\r", "").partition("\n\n")[2]
