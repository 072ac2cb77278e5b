"""
Call transfer through the whole proxy: blind, attended, and Replaces.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote, unquote

from siptwist.sip.fields import NameAddr
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Request
from tests.services.walking import Agent, Leg, WalkingCase, sdp


def replaces(call_id: str, to_tag: str, from_tag: str) -> str:
    """
    The header of RFC 3891.
    """
    return f"{call_id};to-tag={to_tag};from-tag={from_tag}"


def refer_to(uri: str, replaced: str) -> str:
    """
    A Refer-To for an attended transfer (RFC 5589 section 7).
    """
    return f"<{uri}?Replaces={quote(replaced, safe='')}>"


class TransferCase(WalkingCase):
    def setUp(self) -> None:
        super().setUp()
        self.dave = Agent(self.proxy, "203.0.113.60", "dave", side=Side.OUTSIDE)
        self.proxy.resolver.names["dave.example"] = [Hop("203.0.113.60", 5060)]

    def assert_referred(self, referrer: Agent, referee: Agent, leg: Leg, to: str, by: str) -> str:
        """
        A REFER, its 202 and the NOTIFY of its success pass; the Refer-To that arrived.
        """
        leg.send("REFER", headers=[("Refer-To", to), ("Referred-By", by)])
        came = referee.last("REFER")
        referee.reply(came, 202)
        self.assertEqual(referrer.statuses("REFER"), [202])
        back = Leg(referee, came, came)
        back.cseq = 500
        body = "SIP/2.0 200 OK\r\n"
        state = [("Event", "refer"), ("Subscription-State", "terminated;reason=noresource")]
        back.send("NOTIFY", headers=state, body=body, type="message/sipfrag")
        told = referrer.last("NOTIFY")
        self.assertEqual(told.body.decode(), body)
        referrer.reply(told, 200)
        self.assertEqual(referee.statuses("NOTIFY"), [200])
        return came.headers.get("refer-to") or ""

    def follow(self, referee: Agent, to: str, **more: Any) -> Request:
        """
        The INVITE that a Refer-To asks for.
        """
        uri = NameAddr.parse(to, "Refer-To").uri
        headers = [("Referred-By", f"<{self.phone.aor}>")]
        for piece in uri.headers[1:].split("&"):
            name, _, value = piece.partition("=")
            if name:
                headers.append((name, unquote(value)))
        target = str(uri.without_headers())
        referee.call_id = f"triggered-{referee.user}"
        return referee.invite(target, headers=headers, tag="third", **more)

    def assert_answered(self, caller: Agent, callee: Agent, sent: Request) -> None:
        """
        The new call is answered, and hung up clean.
        """
        came = callee.last("INVITE")
        callee.reply(came, 200, body=sdp(callee.host, 7000))
        leg = Leg(caller, sent, caller.answer("INVITE"))
        leg.send("ACK")
        leg.send("BYE")
        callee.reply(callee.last("BYE"), 200)
        self.assertEqual(caller.statuses("BYE")[-1], 200)

    def hang_up(self, leg: Leg, other: Agent) -> None:
        leg.send("BYE")
        other.reply(other.last("BYE"), 200)


class BlindTests(TransferCase):
    """
    Somebody is sent on to a third party without asking it first (RFC 5589 section 6).
    """

    def test_phone_refers_outside_to_outside(self) -> None:
        """
        A phone sends its peer on to somebody outside: its peer calls there by itself.
        """
        caller, _ = self.call_out()
        to = "<sip:dave@dave.example>"
        told = self.assert_referred(
            self.phone, self.provider, caller, to, "<sip:alice@10.0.0.10:5060>"
        )
        self.assertEqual(told, to)
        by = self.provider.last("REFER").headers.get("referred-by") or ""
        self.assertRegex(by, r"^<sip:alice@203\.0\.113\.1;line=[0-9a-f]{12}>$")
        self.hang_up(caller, self.provider)
        self.assert_clean(self.phone.call_id)

    def test_phone_refers_outside_to_phone(self) -> None:
        """
        A phone sends its peer on to another phone, known to it by its inside Contact: the peer
        reaches that phone through us (F22 of siproxd).
        """
        self.registered(self.other)
        caller, _ = self.call_out()
        told = self.assert_referred(
            self.phone, self.provider, caller, self.other.contact, f"<{self.phone.aor}>"
        )
        self.assertNotIn("10.0.0.", told)
        sent = self.follow(self.provider, told)
        self.assertEqual(self.other.last("INVITE").uri, "sip:bob@10.0.0.11:5060")
        self.assert_answered(self.provider, self.other, sent)
        self.hang_up(caller, self.provider)
        self.assert_clean(self.phone.call_id, self.provider.call_id)

    def test_phone_refers_outside_to_our_account(self) -> None:
        """
        A phone sends its peer on to an account with us, by our inside address.
        """
        self.other.domain = "10.0.0.1"
        self.other.register()
        caller, _ = self.call_out()
        told = self.assert_referred(
            self.phone, self.provider, caller, "<sip:bob@10.0.0.1>", f"<{self.phone.aor}>"
        )
        self.assertEqual(told, "<sip:bob@203.0.113.1>")
        self.assert_answered(self.provider, self.other, self.follow(self.provider, told))

    def test_outside_refers_phone_to_outside(self) -> None:
        """
        A phone that is sent on to somebody outside calls there.
        """
        caller, _ = self.call_in()
        told = self.assert_referred(
            self.provider, self.phone, caller, "<sip:dave@dave.example>", "<sip:server@x.example>"
        )
        self.assertEqual(told, "<sip:dave@dave.example>")
        sent = self.follow(self.phone, told)
        self.assertEqual(self.dave.last("INVITE").uri, "sip:dave@dave.example")
        self.assert_answered(self.phone, self.dave, sent)
        self.hang_up(caller, self.phone)
        self.assert_clean(self.provider.call_id, self.phone.call_id)

    def test_outside_refers_phone_to_phone(self) -> None:
        """
        A phone that is sent on to the mask of another phone reaches it through us,
        even if it can reach no address but the inside one.
        """
        uri = self.registered(self.other)
        caller, _ = self.call_in()
        told = self.assert_referred(
            self.provider, self.phone, caller, f"<{uri}>", "<sip:server@x.example>"
        )
        self.assertEqual(told, f"<{uri.replace('203.0.113.1', '10.0.0.1')}>")
        sent = self.follow(self.phone, told)
        self.assertEqual(self.other.last("INVITE").uri, "sip:bob@10.0.0.11:5060")
        self.assert_answered(self.phone, self.other, sent)

    def test_phone_refers_phone(self) -> None:
        """
        Between two phones of ours a Refer-To stays as it is.
        """
        for phone in (self.phone, self.other):
            phone.domain = "10.0.0.1"
            phone.register()
        sent = self.phone.invite("sip:bob@10.0.0.1")
        self.other.reply(self.other.last("INVITE"), 200, body=sdp("10.0.0.11", 5000))
        caller = Leg(self.phone, sent, self.phone.answer("INVITE"))
        for to in ("<sip:carol@10.0.0.12>", "<sip:dave@dave.example>"):
            caller.send("REFER", headers=[("Refer-To", to)])
            self.assertEqual(self.other.last("REFER").headers.get("refer-to"), to)


class AttendedTests(TransferCase):
    """
    The referrer talks to both, then joins them (RFC 5589 section 7).
    """

    def second_call(self) -> tuple[Leg, str]:
        """
        Another call of the phone, to the other phone of ours; its end, its Call-ID.
        """
        self.phone.call_id = "second-call@10.0.0.10"
        sent = self.phone.invite("sip:bob@10.0.0.11:5060", tag="second-from")
        came = self.other.last("INVITE")
        self.other.reply(came, 200, tag="second-to", body=sdp("10.0.0.11", 5000))
        leg = Leg(self.phone, sent, self.phone.answer("INVITE"), tag="second-from")
        leg.send("ACK")
        return leg, "second-call@10.0.0.10"

    def check_joined(self) -> None:
        """
        The provider's peer calls the other phone in the place of the second call.
        """
        caller, _ = self.call_out()
        second, call_id = self.second_call()
        named = replaces(call_id, "second-to", "second-from")
        told = self.assert_referred(
            self.phone,
            self.provider,
            caller,
            refer_to("sip:bob@10.0.0.11:5060", named),
            f"<{self.phone.aor}>",
        )
        self.assertNotIn("10.0.0.11", told)
        sent = self.follow(self.provider, told)
        came = self.other.last("INVITE")
        self.assertEqual(came.uri, "sip:bob@10.0.0.11:5060")
        self.assertEqual(came.headers.get("replaces"), named)
        self.assert_answered(self.provider, self.other, sent)
        self.hang_up(second, self.other)
        self.hang_up(caller, self.provider)
        self.assert_clean(self.phone.call_id, call_id, self.provider.call_id)

    def test_registered_target(self) -> None:
        """
        The peer outside is joined with another phone: Replaces arrives to the letter at the phone
        that has that call, and everything ends clean (F22 of siproxd).
        """
        self.registered(self.other)
        self.check_joined()

    def test_unregistered_target(self) -> None:
        """
        The other phone need not be registered: who replaces a call of it may call it.
        """
        self.check_joined()

    def test_unregistered_phone_is_not_called_otherwise(self) -> None:
        """
        Without Replaces, a phone that is not registered is not called by its mask.
        """
        _, callee = self.call_out()
        self.dave.invite(callee.target)
        self.assertEqual(self.dave.statuses("INVITE"), [480])

    def test_registration_has_lapsed(self) -> None:
        """
        A call at a mask whose registration is over can still be replaced.
        """
        uri = self.registered(self.phone, expires=60)
        self.proxy.reactor.advance(4000)
        now = self.proxy.reactor.seconds()
        named = [("Replaces", "x;to-tag=1;from-tag=2")]
        self.dave.invite(uri)
        self.assertEqual(self.dave.statuses("INVITE"), [480])
        self.dave.invite(uri, headers=named)
        self.assertEqual(len(self.phone.requests("INVITE")), 1)
        for binding in self.proxy.locations.expire(now):
            self.proxy.core.retire(binding, now)
        self.dave.invite(uri, headers=named)
        self.assertEqual(len(self.phone.requests("INVITE")), 2)

    def test_target_outside(self) -> None:
        """
        The phone joins its two peers outside: nothing of Refer-To changes.
        """
        caller, _ = self.call_out()
        to = refer_to("sip:dave@203.0.113.60:5060", replaces("x@10.0.0.10", "1", "2"))
        told = self.assert_referred(self.phone, self.provider, caller, to, f"<{self.phone.aor}>")
        self.assertEqual(told, to)

    def test_phone_is_joined(self) -> None:
        """
        Somebody outside joins two phones of ours: the one replaces the call of the other.
        """
        bob = self.registered(self.other)
        self.provider.call_id = "to-bob"
        first = self.provider.invite(bob, tag="b-from")
        self.other.reply(self.other.last("INVITE"), 200, tag="b-to", body=sdp("10.0.0.11", 5000))
        to_bob = Leg(self.provider, first, self.provider.answer("INVITE"), tag="b-from")
        self.provider.call_id = "to-alice"
        caller, _ = self.call_in()
        named = replaces("to-bob", "b-to", "b-from")
        told = self.assert_referred(
            self.provider,
            self.phone,
            caller,
            refer_to(to_bob.target, named),
            "<sip:server@x.example>",
        )
        sent = self.follow(self.phone, told)
        came = self.other.last("INVITE")
        self.assertEqual(came.uri, "sip:bob@10.0.0.11:5060")
        self.assertEqual(came.headers.get("replaces"), named)
        self.assert_answered(self.phone, self.other, sent)
        self.hang_up(to_bob, self.other)
        self.hang_up(caller, self.phone)
        self.assert_clean("to-bob", "to-alice", self.phone.call_id)

    def test_phone_replaces_a_call_outside(self) -> None:
        """
        Replaces of a phone goes out to the letter, with the Referred-By outside can use (F22 of
        siproxd).
        """
        named = replaces("any@thing", "1", "2") + ";early-only"
        by = "<sip:bob@10.0.0.11:5060>"
        self.phone.invite(
            "sip:dave@dave.example", headers=[("Replaces", named), ("Referred-By", by)]
        )
        came = self.dave.last("INVITE")
        self.assertEqual(came.headers.get("replaces"), named)
        self.assertNotIn("10.0.0.", came.headers.get("referred-by") or "10.0.0.")
