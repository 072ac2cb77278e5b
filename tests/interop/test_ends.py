"""
Requests of our own, to telephones that know nothing of them.
"""

from __future__ import annotations

import time

from tests.interop.bed import FW, WAN_ROUTER
from tests.interop.capture import Capture
from tests.interop.case import ALICE, InteropCase
from tests.interop.phone import Phone
from tests.interop.waiting import wait_until

MOVED = "203.0.113.2"

# No RTP reaches the router.
_MUTE = """
table ip mute {
  chain input {
    type filter hook input priority 0;
    udp dport 10000-30001 drop
  }
}
"""


class SilenceTests(InteropCase):
    """
    A call in which nobody is heard any more (R8 of siproxd).
    """

    def test_both_hear_bye(self) -> None:
        """
        After rtp_timeout both phones are told that it is over, and every port is free.
        """
        proxy = self.start_proxy(rtp_timeout=3)
        bob = self.start_outside()
        alice = self.start_inside("alice", ALICE)
        self.connect(alice, bob)
        marks = {phone: phone.program.mark() for phone in (alice, bob)}
        self.addCleanup(self.bed.run, FW, "nft", "delete", "table", "ip", "mute")
        self.bed.run(FW, "nft", "-f", "-", text=_MUTE)
        for phone, mark in marks.items():
            phone.wait_over(mark)
            self.assertIn('text="silence"', phone.received("BYE ")[-1])
            self.assertTrue(any(" BYE" in answer for answer in phone.sent("SIP/2.0 200")))
        proxy.wait_ports_free()
        proxy.program.wait_for("2 of its ends hear BYE")

    def test_longest_call(self) -> None:
        """
        So they are when a call has lasted for max_call_time, whatever is said in it.
        """
        proxy = self.start_proxy(max_call_time=3)
        bob = self.start_outside()
        alice = self.start_inside("alice", ALICE)
        self.connect(bob, alice)
        for phone in (alice, bob):
            phone.wait_over()
            self.assertTrue(phone.received("BYE "))
        proxy.wait_ports_free()


class MovingCase(InteropCase):
    """
    A phone inside and one at the provider, and a line that gets another address.
    """

    def setUp(self) -> None:
        super().setUp()
        self.proxy = self.start_proxy()
        self.bob = self.start_outside()
        self.alice = self.start_inside("alice", ALICE)
        self.addCleanup(self.change, WAN_ROUTER)

    def change(self, address: str) -> None:
        self.bed.run(FW, "ip", "address", "flush", "dev", "ppp0")
        self.bed.run(FW, "ip", "address", "add", f"{address}/24", "dev", "ppp0")
        self.bed.run(FW, "ip", "route", "replace", "default", "dev", "ppp0")


class RegisteredTests(MovingCase):
    """
    The line gets another address while a phone is registered.
    """

    def test_called(self) -> None:
        """
        The provider knows the new address within seconds, and no other; it calls the phone
        there, which has done nothing for that, and the two hear each other.
        """
        before = self.alice.sent("REGISTER ")
        (old,) = self.provider.bindings("alice")
        self.assertIn(f"@{WAN_ROUTER};", old)
        self.change(MOVED)
        new = old.replace(WAN_ROUTER, MOVED)
        wait_until(lambda: self.provider.bindings("alice") == [new], "the new Contact", 5)
        self.proxy.program.wait_for("1 of 1 bindings refreshed at their providers")
        self.connect(self.bob, self.alice)
        self.assertEqual(self.alice.sent("REGISTER "), before)
        self.assertEqual(len(self.alice.received("SIP/2.0 200")), 1)
        self.assertNotIn("response=", self.proxy.program.log())


class MovedTests(MovingCase):
    """
    The line gets another address in the middle of a call (R9 of siproxd).
    """

    def test_called_out(self) -> None:
        """
        Both hear each other before and after, and either can hang up.
        """
        self._check(self.alice, self.bob)

    def test_was_called(self) -> None:
        """
        So it is when the phone at the provider has called.
        """
        self._check(self.bob, self.alice)

    def _check(self, caller: Phone, callee: Phone) -> None:
        self.connect(caller, callee)
        ports = self.proxy.media_ports()
        wires = {phone: self.start_capture(phone.address, "eth0") for phone in (caller, callee)}
        self.change(MOVED)
        self.proxy.program.wait_for("goes on at our new address")
        moved = time.time()
        for phone, other in ((caller, callee), (callee, caller)):
            self._wait_hears(wires[phone], phone, other, moved)
        self.assertEqual(self.proxy.media_ports(), ports)
        speakers = {p.source for p in wires[self.bob].speech(self.bob.address) if p.at > moved}
        self.assertEqual(speakers, {MOVED})
        self.assertEqual(len(self.alice.received("INVITE ")), int(callee is self.alice))
        self.alice.hang_up()
        self.bob.wait_over()
        self.proxy.wait_ports_free()

    def _wait_hears(self, wire: Capture, phone: Phone, other: Phone, since: float) -> None:
        wait_until(
            lambda: wire.seconds_heard(phone.address, other.tone, since) > 1.0,
            f"{phone.directory.name} to hear {other.tone} Hz",
        )
