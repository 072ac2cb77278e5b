"""
Calls that are handed on to somebody else.
"""

from __future__ import annotations

import re

from tests.interop.case import ALICE, CAROL, InteropCase
from tests.interop.load import CALLEE, CALLER
from tests.interop.phone import Phone
from tests.interop.waiting import wait_until


class BlindTransferTests(InteropCase):
    """
    One of two who talk sends the other on to a third, and hangs up (RFC 5589 section 6).
    """

    def transfer(self, referrer: Phone, referee: Phone, target: Phone, uri: str) -> None:
        """
        The referrer sends the referee on to ``uri``, which the target answers.
        """
        mark = target.program.mark()
        referrer.program.say(f"/transfer {uri}")
        target.wait_established(mark)
        referee.wait_hears(target)
        target.wait_hears(referee)

    def test_peer_is_sent_to_an_account(self) -> None:
        """
        A phone behind the proxy sends its peer outside on to an account, which is
        that of another phone behind the proxy.
        """
        proxy = self.start_proxy()
        bob = self.start_outside()
        alice = self.start_inside("alice", ALICE)
        carol = self.start_inside("carol", CAROL)
        self.connect(alice, bob)
        self.transfer(alice, bob, carol, "sip:carol@example.net")
        wait_until(lambda: bool(alice.received("NOTIFY")), "the NOTIFY of success", 5)
        mark = bob.program.mark()
        alice.hang_up()
        carol.hang_up()
        bob.wait_over(mark)
        proxy.wait_ports_free()

    def test_peer_is_sent_to_an_inside_address(self) -> None:
        """
        A phone behind the proxy sends its peer outside on to the inside address of
        another phone: the peer is given one of ours, and no private one.
        """
        self.start_proxy()
        bob = self.start_outside()
        alice = self.start_inside("alice", ALICE)
        carol = self.start_inside("carol", CAROL)
        self.connect(alice, bob)
        self.transfer(alice, bob, carol, f"sip:carol@{CAROL}:5060")
        (refer,) = bob.received("REFER")
        self.assertRegex(refer, r"(?m)^Refer-To: <?sip:carol@203\.0\.113\.\d+;line=")
        self.assertNotIn(CAROL, refer)

    def test_phone_is_sent_on(self) -> None:
        """
        Somebody outside sends a phone behind the proxy on to another one behind it.
        """
        self.start_proxy()
        bob = self.start_outside()
        alice = self.start_inside("alice", ALICE)
        carol = self.start_inside("carol", CAROL)
        self.connect(bob, alice)
        self.transfer(bob, alice, carol, "sip:carol@example.net")

    def test_phone_is_sent_to_a_mask(self) -> None:
        """
        Somebody outside sends a phone on to the Contact by which it knows another
        phone behind the proxy.
        """
        self.start_proxy()
        bob = self.start_outside()
        alice = self.start_inside("alice", ALICE)
        carol = self.start_inside("carol", CAROL)
        self.connect(bob, carol)
        found = re.search(r"(?m)^Contact: <([^>]+)>", bob.received("SIP/2.0 200")[-1])
        assert found is not None
        carol.hang_up()
        bob.wait_over()
        self.connect(alice, bob)
        self.transfer(bob, alice, carol, found[1])
        (refer,) = alice.received("REFER")
        self.assertRegex(refer, r"(?m)^Refer-To: <?sip:carol@10\.0\.0\.\d+;line=")


class AttendedTransferTests(InteropCase):
    """
    One of three joins the other two (RFC 5589 section 7, RFC 3891).
    """

    def test_peer_is_joined_with_a_phone(self) -> None:
        """
        A phone behind the proxy joins its peer outside with another phone behind it,
        which is not registered anywhere: the peer calls that one, and Replaces
        arrives to the letter.
        """
        proxy = self.start_proxy()
        held = "10.0.0.16"
        replaced = self.run_sipp(held, "replaced")
        referred = self.run_sipp(CALLEE, "referred")
        target = ("-s", "referred", "-key", "target", f"held@{held}:5060")
        refer = self.run_sipp(CALLER, "refer", *target, remote=CALLEE)
        for program in (refer, referred, replaced):
            self.assertEqual(program.wait(10), 0, program.name)
        proxy.wait_ports_free()
