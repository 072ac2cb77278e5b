"""
Sound that we cannot understand, and phones that insist on checking the way first.
"""

from __future__ import annotations

import re

from tests.interop.bed import LAN_ROUTER, WAN_ROUTER
from tests.interop.case import ALICE, BOB, InteropCase
from tests.interop.phone import Account, Phone
from tests.interop.proxy import Proxy


class SecureCase(InteropCase):
    def call(self, encryption: str = "", nat: str = "", **options: str) -> tuple[Phone, Phone]:
        """
        A phone behind the proxy calls one at the provider; both hear each other.
        """
        self.proxy: Proxy = self.start_proxy(**options)
        bob = self.start_phone(BOB, Account("bob", encryption=encryption, nat=nat))
        account = Account("alice", outbound=LAN_ROUTER, encryption=encryption, nat=nat)
        alice = self.start_phone(ALICE, account)
        self.connect(alice, bob)
        self.assertTrue(self.proxy.media_ports(), "the call does not use our media ports")
        return alice, bob


class SRTPTests(SecureCase):
    """
    Encrypted calls pass untouched: keys and fingerprints are between the phones.
    """

    def test_sdes(self) -> None:
        """
        Two phones that insist on SRTP with keys in SDP (RFC 4568) hear each other.
        """
        alice, bob = self.call("srtp-mand")
        self.assertIn(" RTP/SAVP ", bob.received("INVITE")[-1])
        keys = [re.findall("a=crypto:.*", text) for text in (*alice.sent("INVITE"), "")]
        self.assertIn(re.findall("a=crypto:.*", bob.received("INVITE")[-1]), keys[:-1])
        alice.hold()
        bob.program.wait_for("a=recvonly")
        alice.hang_up()
        bob.wait_over()
        self.proxy.wait_ports_free()

    def test_dtls(self) -> None:
        """
        Two phones that agree on keys by a handshake on the media ports (DTLS-SRTP) do, too.
        """
        alice, bob = self.call("dtls_srtp")
        self.assertIn("a=fingerprint:", bob.received("INVITE")[-1])
        bob.hang_up()
        alice.wait_over()
        self.proxy.wait_ports_free()


class ICETests(SecureCase):
    """
    Phones that are silent towards whoever does not speak ICE.
    """

    def test_lite(self) -> None:
        """
        With ice = lite each of them checks us, is answered, and talks; no other way is offered.
        """
        alice, bob = self.call(nat="ice", ice="lite")
        for phone, ours in ((bob, WAN_ROUTER), (alice, LAN_ROUTER)):
            told = phone.received("INVITE" if phone is bob else "SIP/2.0 200 Answering")[-1]
            self.assertIn("a=ice-lite", told)
            found = re.findall(r"a=candidate:\S+ \d UDP \d+ (\S+) ", told)
            self.assertEqual(found, [ours, ours])
