"""
Phones that register through siptwist at real registrars.
"""

from __future__ import annotations

from tests.interop.bed import LAN_ROUTER, WAN_ROUTER
from tests.interop.case import ALICE, BOB, CAROL, STRANGER, InteropCase, world
from tests.interop.phone import Account
from tests.interop.provider import password
from tests.interop.waiting import wait_until

CAROLS_PHONE = "10.0.0.17"


class DigestTests(InteropCase):
    """
    Passwords are the business of phone and provider; both directions pass.
    """

    def test_register_and_call(self) -> None:
        """
        Kamailio challenges REGISTER (401) and INVITE (407), and both then succeed.
        """
        self.start_proxy()
        log = self.provider.program
        mark = log.mark()
        bob = self.start_outside()
        alice = self.start_inside("alice", ALICE)
        self.connect(alice, bob)
        for line in ("401 REGISTER alice", "200 REGISTER alice", "407 INVITE alice"):
            log.wait_for(f"@@ {line}", since=mark)
        log.wait_for("@@ authenticated INVITE alice", since=mark)
        self.assertTrue(alice.received("SIP/2.0 401"))
        self.assertTrue(alice.received("SIP/2.0 407"))

    def test_binding_is_ours(self) -> None:
        """
        The provider learns our outside address, never the phone's, and forgets it on request.
        """
        self.start_proxy()
        alice = self.start_inside("alice", ALICE)
        (contact,) = self.provider.bindings("alice")
        self.assertIn(f"@{WAN_ROUTER}", contact)
        answer = alice.received("SIP/2.0 200")[-1]
        self.assertIn(f"@{ALICE}:5060>", answer)
        alice.stop()
        wait_until(lambda: not self.provider.bindings("alice"), "the binding to be removed")

    def test_wrong_password(self) -> None:
        """
        A phone with a wrong password has no binding at the provider and cannot be called.
        """
        self.start_proxy()
        bob = self.start_outside()
        alice = self.plug_in_phone(ALICE, Account("alice", outbound=LAN_ROUTER, secret="wrong"))
        alice.program.wait_for(r"SIP/2\.0 401(?s:.*)SIP/2\.0 401")
        self.assertEqual(self.provider.bindings("alice"), [])
        with self.bed.open_socket(STRANGER) as stranger:
            stranger.settimeout(2)
            stranger.sendto(_invite("alice", *stranger.getsockname()), (WAN_ROUTER, 5060))
            answers = _answers(stranger.recv(65535))
            while answers < 200:
                answers = _answers(stranger.recv(65535))
        self.assertIn(answers, (404, 480))
        self.assertEqual(alice.received("INVITE"), [])
        bob.dial("sip:alice@example.net")
        bob.wait_over()
        self.assertTrue(bob.received("SIP/2.0 404"))


class OwnRegistrarTests(InteropCase):
    """
    siptwist as the registrar, with passwords.
    """

    def test_right_password(self) -> None:
        """
        A phone that knows the password is challenged once, registers and can be called.
        """
        self.start_proxy(proxy_auth_realm="home", proxy_auth_passwd="open-sesame")
        alice = self.start_phone(ALICE, Account("alice", LAN_ROUTER, secret="open-sesame"))
        carol = self.start_phone(CAROL, Account("carol", LAN_ROUTER, secret="open-sesame"))
        self.assertEqual(len(carol.received("SIP/2.0 401")), 1)
        self.connect(carol, alice)

    def test_wrong_password(self) -> None:
        """
        A phone that does not know the password is not registered and cannot be called.
        """
        self.start_proxy(proxy_auth_realm="home", proxy_auth_passwd="open-sesame")
        alice = self.plug_in_phone(ALICE, Account("alice", LAN_ROUTER, secret="wrong"))
        alice.program.wait_for(r"SIP/2\.0 401(?s:.*)SIP/2\.0 401")
        carol = self.start_phone(CAROL, Account("carol", LAN_ROUTER, secret="open-sesame"))
        carol.dial(f"sip:alice@{LAN_ROUTER}")
        carol.wait_over()
        self.assertEqual(alice.received("INVITE"), [])


class TwoProvidersTests(InteropCase):
    """
    One phone, one name, two providers.
    """

    def test_both_ring(self) -> None:
        """
        Two accounts with the same user part at two providers are both called.
        """
        self.start_proxy()
        accounts = [Account("alice", name, LAN_ROUTER) for name in ("example.net", "example.org")]
        alice = self.start_phone(ALICE, *accounts)
        for domain in ("example.org", "example.net"):
            self.assertEqual(len(world().providers[domain].bindings("alice")), 1)
            bob = self.start_phone(BOB, Account("bob", domain))
            mark = alice.program.mark()
            self.connect(bob, alice, f"sip:alice@{domain}")
            rung = alice.received("INVITE")[-1]
            self.assertIn(f"<sip:alice@{domain}", rung)
            bob.hang_up()
            alice.wait_over(mark)
            bob.stop()


class MovedPhoneTests(InteropCase):
    """
    A phone that comes back on another port in the middle of a call.
    """

    def test_hang_up_finds_new_port(self) -> None:
        """
        A phone that re-registered from another port during a call is told that the other hung up.
        """
        proxy = self.start_proxy()
        bob = self.start_outside()
        words = ["-s", "carol", "-au", "carol", "-ap", password("carol", "example.net")]
        words += ["-key", "domain", "example.net"]

        def register(port: int) -> None:
            phone = self.run_sipp(CAROLS_PHONE, "register", *words, remote="example.net", port=port)
            self.assertEqual(phone.wait(10), 0, phone.log())

        register(5060)
        answering = self.run_sipp(CAROLS_PHONE, "pick-up", "-s", "carol")
        bob.dial("sip:carol@example.net")
        self.assertEqual(answering.wait(10), 0)
        bob.wait_established()
        register(5070)
        listening = self.run_sipp(CAROLS_PHONE, "hang-up-seen", port=5070)
        bob.hang_up()
        self.assertEqual(listening.wait(10), 0)
        proxy.wait_ports_free()


def _invite(user: str, address: str, port: int) -> bytes:
    lines = [
        f"INVITE sip:{user}@{WAN_ROUTER} SIP/2.0",
        f"Via: SIP/2.0/UDP {address}:{port};branch=z9hG4bK-stranger-{port};rport",
        f"From: <sip:stranger@{address}>;tag=s{port}",
        f"To: <sip:{user}@{WAN_ROUTER}>",
        f"Call-ID: stranger-{port}@{address}",
        "CSeq: 1 INVITE",
        f"Contact: <sip:stranger@{address}:{port}>",
        "Max-Forwards: 70",
        "Content-Length: 0",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def _answers(message: bytes) -> int:
    return int(message.split(b" ")[1])
