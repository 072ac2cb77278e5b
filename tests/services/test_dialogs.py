"""
Dialogs through the whole proxy: where the registration of a phone ends or moves
while it is in a call, and what happens in a call before it is answered.
"""

from __future__ import annotations

from siptwist.sip.hop import Side
from tests.services.walking import Agent, Leg, Proxy, WalkingCase, sdp

METHODS = ("INVITE", "UPDATE", "INFO", "REFER", "NOTIFY")


class LapsedTests(WalkingCase):
    """
    A registration ends in the middle of a call.
    """

    def lapse(self) -> None:
        """
        The registration ends, sooner than the silence of these calls ends them.
        """
        now = self.proxy.reactor.seconds()
        for binding in self.proxy.locations.expire(now + 4000):
            self.proxy.core.retire(binding, now)
        self.assertEqual(len(self.proxy.locations), 0)

    def assert_goes_on(self, near: Leg, far: Leg, *call_ids: str) -> None:
        """
        Requests pass both ways, with ports that stay, and BYE ends all.
        """
        ports = self.proxy.rtp_ports
        for leg, other in ((near, far), (far, near)):
            for method in METHODS:
                body = sdp(leg.agent.host) if method == "INVITE" else ""
                leg.send(method, body=body)
                came = other.agent.last(method)
                if other is far and method != "INFO" and method != "NOTIFY":
                    self.assertIn("@203.0.113.1;line=", came.headers.get("contact") or "")
                answer = sdp(other.agent.host, 5000) if method == "INVITE" else ""
                other.agent.reply(came, 200, body=answer)
                self.assertEqual(leg.agent.statuses(method)[-1], 200, method)
                if method == "INVITE":
                    leg.send("ACK", cseq=leg.cseq)
        self.assertEqual(self.proxy.rtp_ports, ports)
        far.send("BYE")
        near.agent.reply(near.agent.last("BYE"), 200)
        self.assertEqual(far.agent.statuses("BYE"), [200])
        self.assert_clean(*call_ids)

    def test_phone_was_called(self) -> None:
        """
        The phone that was called and its caller go on talking after it lapsed.
        """
        caller, callee = self.call_in()
        self.lapse()
        self.assert_goes_on(callee, caller, self.provider.call_id)

    def test_phone_called(self) -> None:
        """
        The phone that called and its callee go on talking after it lapsed.
        """
        self.registered(self.phone)
        caller, callee = self.call_out()
        self.lapse()
        self.assert_goes_on(caller, callee, self.phone.call_id)

    def test_phone_signed_off(self) -> None:
        """
        A phone that signed off in a call goes on talking.
        """
        self.registered(self.phone)
        caller, callee = self.call_out()
        self.phone.register(0, cseq=9)
        self.provider.reply(self.provider.last("REGISTER"), 200)
        self.assertEqual(len(self.proxy.locations), 0)
        self.assert_goes_on(caller, callee, self.phone.call_id)


class MovedTests(WalkingCase):
    """
    A phone gets another port in the middle of a call, and registers again.
    """

    def move(self, call_id: str) -> None:
        self.phone.port = 5072
        self.phone.register(cseq=2, call_id=call_id)
        passed = self.provider.last("REGISTER")
        self.provider.reply(passed, 200, contact=passed.headers.get("contact"))

    def assert_goes_on(self, near: Leg, far: Leg) -> None:
        """
        The phone is found where it is now, and is heard from there.
        """
        for method in METHODS[1:]:
            far.send(method)
            came = self.phone.last(method)
            self.assertEqual(came.uri, "sip:alice@10.0.0.10:5072")
            self.phone.reply(came, 200)
            self.assertEqual(far.agent.statuses(method), [200])
        near.send("UPDATE")
        came = self.provider.last("UPDATE")
        self.assertRegex(came.headers.get("contact") or "", "@203.0.113.1;line=")
        self.provider.reply(came, 200)
        self.assertEqual(self.phone.statuses("UPDATE"), [200])
        near.send("BYE")
        self.provider.reply(self.provider.last("BYE"), 200)
        self.assertEqual(self.phone.statuses("BYE"), [200])

    def test_phone_was_called(self) -> None:
        """
        A phone that was called goes on talking from its new port.
        """
        registration = self.phone.call_id
        caller, callee = self.call_in()
        self.move(registration)
        self.assert_goes_on(callee, caller)
        self.assert_clean(self.provider.call_id)

    def test_phone_called(self) -> None:
        """
        A phone that called goes on talking from its new port.
        """
        registration = self.phone.call_id
        self.registered(self.phone)
        self.phone.call_id = "the-call"
        caller, callee = self.call_out()
        self.move(registration)
        self.assert_goes_on(caller, callee)
        self.assert_clean("the-call")

    def test_under_a_new_registration(self) -> None:
        """
        A phone that restarted registers as a new one: its calls still find it.
        """
        self.registered(self.phone)
        self.phone.call_id = "the-call"
        caller, callee = self.call_out()
        self.proxy.reactor.advance(1)
        self.move("after-the-restart")
        self.assert_goes_on(caller, callee)


class PhoneOutsideTests(WalkingCase):
    """
    A phone that registers with us from outside.
    """

    text = "hosts_allow_reg = 198.51.100.0/24\nregister_from_outside = 1\n"

    def setUp(self) -> None:
        super().setUp()
        self.roamer = Agent(
            self.proxy, "198.51.100.7", "rose", side=Side.OUTSIDE, domain="203.0.113.1"
        )
        self.roamer.register(60, uri="sip:203.0.113.1")
        self.assertEqual(self.roamer.answer("REGISTER").status, 200)

    def test_registration_has_lapsed(self) -> None:
        """
        It can still hang up the call that it made, but make no other.
        """
        self.roamer.call_id = "the-call"
        sent = self.roamer.invite("sip:carol@provider.example")
        self.provider.reply(self.provider.last("INVITE"), 200, body=sdp("203.0.113.30", 6000))
        caller = Leg(self.roamer, sent, self.roamer.answer("INVITE"))
        caller.send("ACK")
        self.proxy.reactor.advance(100)
        now = self.proxy.reactor.seconds()
        for binding in self.proxy.locations.expire(now):
            self.proxy.core.retire(binding, now)
        caller.send("BYE")
        self.provider.reply(self.provider.last("BYE"), 200)
        self.assertEqual(self.roamer.statuses("BYE"), [200])
        self.assert_clean("the-call")
        self.roamer.invite("sip:carol@provider.example", call_id="another")
        self.assertEqual(self.roamer.statuses("INVITE")[-1], 404)
        self.assertEqual(len(self.provider.requests("INVITE")), 1)

    def test_stranger(self) -> None:
        """
        Who claims to be in a dialog, and is no phone of ours, is sent nowhere.
        """
        stranger = Agent(self.proxy, "198.51.100.66", "eve", side=Side.OUTSIDE)
        stranger.send("BYE", "sip:carol@provider.example", to_tag="made-up")
        self.assertEqual(stranger.statuses("BYE"), [404])
        self.assertEqual(self.provider.datagrams, [])


class EarlyTests(WalkingCase):
    """
    Before the answer: reliable ringing (RFC 3262) and UPDATE (RFC 3311).
    """

    reliable = (("Require", "100rel"), ("RSeq", "7"))

    def assert_early(self, near: Leg, far: Leg) -> None:
        """
        PRACK of the caller and UPDATEs of both pass, headers and bodies in order.
        """
        near.send("PRACK", headers=[("RAck", "7 1 INVITE")])
        came = far.agent.last("PRACK")
        self.assertEqual(came.headers.get("rack"), "7 1 INVITE")
        self.assertNotIn("record-route", came.headers)
        far.agent.reply(came, 200)
        self.assertEqual(near.agent.statuses("PRACK"), [200])
        for leg, other in ((near, far), (far, near)):
            leg.send("UPDATE", body=sdp(leg.agent.host, 4004))
            came = other.agent.last("UPDATE")
            us = "203.0.113.1" if other.agent is self.provider else "10.0.0.1"
            self.assertIn(f"c=IN IP4 {us}\r\n", came.body.decode())
            other.agent.reply(came, 200, body=sdp(other.agent.host, 5004))
            self.assertEqual(leg.agent.statuses("UPDATE"), [200])
        self.assertEqual(len(self.proxy.rtp_ports), 4)

    def test_phone_calls(self) -> None:
        """
        A phone calls out; the far end's first answer is a reliable 183.
        """
        sent = self.phone.invite("sip:carol@provider.example")
        came = self.provider.last("INVITE")
        self.provider.reply(came, 183, headers=self.reliable, body=sdp("203.0.113.30"))
        ringing = self.phone.answer("INVITE")
        self.assertEqual(ringing.headers.get("rseq"), "7")
        self.assert_early(Leg(self.phone, sent, ringing), Leg(self.provider, came, came))
        self.provider.reply(came, 200)
        caller = Leg(self.phone, sent, self.phone.answer("INVITE"))
        caller.cseq = 50
        caller.send("ACK", cseq=1)
        caller.send("BYE")
        self.provider.reply(self.provider.last("BYE"), 200)
        self.assert_clean(self.phone.call_id)

    def test_phone_is_called(self) -> None:
        """
        A phone is called, and rings reliably; its Contact is masked from the start.
        """
        uri = self.registered(self.phone)
        sent = self.provider.invite(uri)
        came = self.phone.last("INVITE")
        self.phone.reply(came, 183, headers=self.reliable, body=sdp("10.0.0.10"))
        ringing = self.provider.answer("INVITE")
        self.assertEqual(ringing.headers.get("contact"), f"<{uri}>")
        self.assert_early(Leg(self.provider, sent, ringing), Leg(self.phone, came, came))
        self.phone.reply(came, 200)
        caller = Leg(self.provider, sent, self.provider.answer("INVITE"))
        caller.cseq = 50
        caller.send("ACK", cseq=1)
        caller.send("BYE")
        self.phone.reply(self.phone.last("BYE"), 200)
        self.assert_clean(self.provider.call_id)


class OneAddressTests(LapsedTests):
    """
    The same with one address for both sides, behind another router.
    """

    def make_proxy(self) -> Proxy:
        return Proxy("10.0.0.1/24", "10.0.0.1/24", "host_outbound = 203.0.113.1\n")

    def setUp(self) -> None:
        super().setUp()
        self.provider = Agent(self.proxy, "203.0.113.20", "server")
