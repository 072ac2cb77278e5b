"""
Tests for siptwist.services.signaling: registrations, answers of our own, and
what cannot be served.
"""

from __future__ import annotations

import re
from typing import Any

from zope.interface.verify import verifyObject

from siptwist.interfaces import IMessageReceiver
from siptwist.proxy.decision import Reply
from siptwist.proxy.ticket import Ticket
from siptwist.sip import digest
from siptwist.sip.digest import Challenge
from siptwist.sip.hop import Side
from tests.services.walking import Agent, WalkingCase, sdp
from tests.sip.mutations import Mutator


class PassedRegistrationTests(WalkingCase):
    """
    REGISTER passed through to the provider (3.2).
    """

    def answer(self, status: int, **more: Any) -> None:
        passed = self.provider.last("REGISTER")
        if status == 200 and "contact" not in more:
            more["contact"] = passed.headers.get("contact")
        self.provider.reply(passed, status, **more)

    def test_round_trip_with_password(self) -> None:
        """
        401 and the second attempt pass through; only the 200 makes the binding.
        """
        self.phone.register()
        challenge = ("WWW-Authenticate", 'Digest realm="p", nonce="n"')
        self.answer(401, headers=[challenge])
        refused = self.phone.answer("REGISTER")
        self.assertEqual(
            (refused.status, refused.headers.lines("www-authenticate")), (401, [challenge[1]])
        )
        self.assertEqual(len(self.proxy.locations), 0)
        credentials = ("Authorization", 'Digest username="alice", response="abc"')
        self.phone.register(cseq=2, headers=[credentials])
        passed = self.provider.last("REGISTER")
        self.assertEqual(passed.headers.lines("authorization"), [credentials[1]])
        self.answer(200)
        self.assertEqual(self.phone.statuses("REGISTER"), [401, 200])
        self.assertEqual(self.binding(self.phone).contact, "sip:alice@10.0.0.10:5060")
        self.assert_clean(self.phone.call_id)

    def test_contact_is_masked_and_restored(self) -> None:
        """
        The registrar sees a Contact of ours, the phone its own in the answer.
        """
        self.phone.register()
        passed = self.provider.last("REGISTER")
        self.assertRegex(
            passed.headers.get("contact") or "", r"^<sip:alice@203\.0\.113\.1;line=[0-9a-f]{12}>$"
        )
        self.assertNotIn("10.0.0.", str([h[2] for h in passed.headers if h[0] != "call-id"]))
        self.answer(200)
        self.assertEqual(
            self.phone.answer("REGISTER").headers.get("contact"), "<sip:alice@10.0.0.10:5060>"
        )

    def test_disk_comes_first(self) -> None:
        """
        The phone hears the 2xx only when the binding is on disk.
        """
        self.proxy.store.waits = True
        self.phone.register()
        self.answer(200)
        self.assertEqual(self.phone.statuses("REGISTER"), [])
        self.proxy.store.commit()
        self.assertEqual(self.phone.statuses("REGISTER"), [200])
        self.assertEqual(len(self.proxy.store.saved), 1)

    def test_first_notify_is_not_lost(self) -> None:
        """
        A NOTIFY right behind the registrar's 2xx finds the phone, disk or no disk.
        """
        self.proxy.store.waits = True
        self.phone.register()
        self.answer(200)
        contact = self.provider.last("REGISTER").headers.get("contact") or ""
        self.provider.send("NOTIFY", contact[1:-1])
        self.assertEqual(len(self.phone.requests("NOTIFY")), 1)

    def test_disk_fails(self) -> None:
        """
        The disk fails: the phone hears 500, and nothing is bound.
        """
        self.proxy.store.fails = True
        self.phone.register()
        self.answer(200)
        self.assertEqual(self.phone.statuses("REGISTER"), [500])
        self.assertEqual(len(self.proxy.locations), 0)
        self.flushLoggedErrors(OSError)

    def test_disk_fails_at_a_renewal(self) -> None:
        """
        A renewal that cannot be saved leaves the old binding as it was.
        """
        self.registered(self.phone, expires=600)
        before = self.binding(self.phone)
        self.proxy.store.waits = True
        self.proxy.reactor.advance(100)
        self.phone.register(cseq=2)
        self.answer(200)
        self.proxy.store.break_down()
        self.assertEqual(self.phone.statuses("REGISTER"), [200, 500])
        self.assertEqual(self.binding(self.phone), before)
        self.flushLoggedErrors(OSError)

    def test_disk_fails_at_signing_off(self) -> None:
        """
        A sign-off that cannot be saved leaves the binding there.
        """
        self.registered(self.phone)
        before = self.binding(self.phone)
        self.proxy.store.fails = True
        self.phone.register(0, cseq=2)
        self.answer(200, contact="")
        self.assertEqual(self.phone.statuses("REGISTER"), [200, 500])
        self.assertEqual(self.binding(self.phone), before)
        self.flushLoggedErrors(OSError)

    def test_refusal_leaves_the_old_binding(self) -> None:
        """
        A renewal that the registrar refuses leaves the old binding as it was (S1 of siproxd).
        """
        self.registered(self.phone)
        before = self.binding(self.phone)
        for cseq, status in ((2, 403), (3, 503)):
            self.phone.register(cseq=cseq)
            self.answer(status)
        self.assertEqual(self.binding(self.phone), before)

    def test_registrar_is_silent(self) -> None:
        """
        A registrar that never answers: nothing is bound, and no 408 (RFC 4320).
        """
        self.phone.register()
        self.proxy.wait(33)
        self.assertEqual(self.phone.statuses("REGISTER"), [])
        self.assertEqual(len(self.proxy.locations), 0)

    def test_sign_off(self) -> None:
        """
        A sign-off takes effect with the registrar's 2xx.
        """
        self.registered(self.phone)
        self.phone.register(0, cseq=2)
        self.assertEqual(len(self.proxy.locations), 1)
        self.answer(200, contact="")
        self.assertEqual(len(self.proxy.locations), 0)
        self.assertEqual(self.proxy.store.saved, {})

    def test_query(self) -> None:
        """
        A REGISTER without Contact passes as it is and changes nothing.
        """
        self.registered(self.phone)
        before = self.binding(self.phone)
        self.phone.register(None, cseq=2, contact="")
        passed = self.provider.last("REGISTER")
        self.assertNotIn("contact", passed.headers)
        mask = f"<sip:alice@203.0.113.1;line={before.mask}>;expires=30"
        self.answer(200, contact=mask)
        self.assertEqual(
            self.phone.answer("REGISTER").headers.get("contact"),
            "<sip:alice@10.0.0.10:5060>;expires=30",
        )
        self.assertEqual(self.binding(self.phone), before)

    def test_from_outside(self) -> None:
        """
        Nobody outside registers through us.
        """
        stranger = Agent(self.proxy, "198.51.100.66", "eve", side=Side.OUTSIDE)
        for uri in ("sip:provider.example", "sip:203.0.113.1"):
            stranger.register(uri=uri)
        self.assertEqual(stranger.statuses("REGISTER"), [403, 403])
        self.assertEqual(self.provider.datagrams, [])

    def test_malformed_contact(self) -> None:
        """
        A Contact that cannot be read: 400, and the registrar hears nothing.
        """
        self.phone.register(contact="<sip:[>")
        self.assertEqual(self.phone.statuses("REGISTER"), [400])
        self.assertEqual(self.provider.datagrams, [])


class FullTableTests(WalkingCase):
    """
    max_registrations = 1.
    """

    text = "max_registrations = 1\n"

    def test_table_is_full(self) -> None:
        """
        A phone too many hears 503; the registrar is not asked (F21 of siproxd).
        """
        self.registered(self.phone)
        asked = len(self.provider.requests("REGISTER"))
        self.other.register()
        self.assertEqual(self.other.statuses("REGISTER"), [503])
        self.assertEqual(len(self.provider.requests("REGISTER")), asked)
        self.phone.register(cseq=2)
        self.assertEqual(len(self.provider.requests("REGISTER")), asked + 1)


class OwnRegistrationTests(WalkingCase):
    """
    REGISTER to us, with passwords (3.3).
    """

    text = "proxy_auth_realm = home\nproxy_auth_passwd = secret\n"

    def setUp(self) -> None:
        super().setUp()
        self.phone.domain = "10.0.0.1"

    def credentials(self, password: str = "secret") -> tuple[str, str]:
        challenge = Challenge.parse(
            self.phone.answer("REGISTER").headers.lines("www-authenticate")[0]
        )
        name, realm, nonce = challenge.algorithm, challenge.realm, challenge.nonce
        secret = digest.ha1(name, "alice", realm, password)
        request = digest.ha2(name, "REGISTER", "sip:10.0.0.1")
        proof = digest.response(name, secret, nonce, request, "auth", "00000001", "c")
        return (
            "Authorization",
            f'Digest username="alice", realm="{realm}", nonce="{nonce}", uri="sip:10.0.0.1", '
            f'algorithm={name}, qop=auth, nc=00000001, cnonce="c", response="{proof}"',
        )

    def test_no_password(self) -> None:
        """
        A phone without credentials hears 401 with a challenge (P5 of siproxd).
        """
        self.phone.register()
        answer = self.phone.answer("REGISTER")
        self.assertEqual(answer.status, 401)
        self.assertIn('realm="home"', answer.headers.lines("www-authenticate")[0])
        self.assertEqual(len(self.proxy.locations), 0)

    def test_right_password(self) -> None:
        """
        The right password binds the phone.
        """
        self.phone.register()
        self.phone.register(cseq=2, headers=[self.credentials()])
        self.assertEqual(self.phone.statuses("REGISTER"), [401, 200])
        self.assertEqual(self.binding(self.phone).registrar, "")

    def test_wrong_password(self) -> None:
        """
        A wrong password binds nobody (P5 of siproxd).
        """
        self.phone.register()
        self.phone.register(cseq=2, headers=[self.credentials("guess")])
        self.assertEqual(self.phone.statuses("REGISTER"), [401, 401])
        self.assertEqual(len(self.proxy.locations), 0)

    def test_credentials_stay_out_of_the_log(self) -> None:
        """
        Neither passwords nor proofs of them are logged.
        """
        self.phone.register()
        name, credentials = self.credentials()
        self.phone.register(cseq=2, headers=[(name, credentials)])
        proof = credentials.rpartition("response=")[2].strip('"')
        logged = " ".join(str(event) for event in self.events)
        self.assertNotIn(proof, logged)
        self.assertNotIn("secret", logged)


class OpenRegistrationTests(WalkingCase):
    """
    REGISTER to us, without passwords (3.3).
    """

    def setUp(self) -> None:
        super().setUp()
        self.phone.domain = "10.0.0.1"

    def test_bound(self) -> None:
        """
        The phone is bound, on disk first, and told for how long.
        """
        self.proxy.store.waits = True
        self.phone.register(600)
        self.assertEqual(self.phone.statuses("REGISTER"), [])
        self.proxy.store.commit()
        answer = self.phone.answer("REGISTER")
        self.assertEqual(answer.status, 200)
        self.assertEqual(
            answer.headers.values("contact"), ["<sip:alice@10.0.0.10:5060>;expires=600"]
        )
        self.assertIn("date", answer.headers)
        self.assertIn("tag=", answer.headers.get("to") or "")

    def test_disk_fails(self) -> None:
        """
        The disk fails: 500, and nobody is bound.
        """
        self.proxy.store.fails = True
        self.phone.register()
        self.assertEqual(self.phone.statuses("REGISTER"), [500])
        self.assertEqual(len(self.proxy.locations), 0)

    def test_query_and_sign_off(self) -> None:
        """
        A query lists the binding, ``*`` undoes it (P5 of siproxd).
        """
        self.phone.register()
        self.phone.register(None, cseq=2, contact="")
        self.assertEqual(len(self.phone.answer("REGISTER").headers.values("contact")), 1)
        self.phone.register(0, cseq=3, contact="*")
        self.assertEqual(self.phone.statuses("REGISTER"), [200, 200, 200])
        self.assertEqual(len(self.proxy.locations), 0)

    def test_too_brief(self) -> None:
        """
        A lifetime below min_expires is refused with 423 and the minimum.
        """
        self.phone.register(10)
        answer = self.phone.answer("REGISTER")
        self.assertEqual((answer.status, answer.headers.get("min-expires")), (423, "60"))

    def test_repeated(self) -> None:
        """
        A repeated REGISTER gets the same answer and is saved once.
        """
        sent = self.phone.register()
        self.phone.again(sent)
        first, second = self.phone.datagrams
        self.assertEqual(first, second)


class UnknownUserTests(WalkingCase):
    """
    Nobody is known who is meant (3.4).
    """

    def test_nobody_known(self) -> None:
        """
        A call to a user that nobody is: 404 with a To tag (P2 of siproxd).
        """
        self.provider.invite("sip:nobody@203.0.113.1")
        answer = self.provider.answer("INVITE")
        self.assertEqual(answer.status, 404)
        self.assertIn(";tag=", answer.headers.get("to") or "")
        self.assertEqual(answer.headers.get("server"), "siptwist")

    def test_registration_has_lapsed(self) -> None:
        """
        A call to a phone whose registration has expired: 480, swept up or not.
        """
        uri = self.registered(self.phone, expires=60)
        self.proxy.reactor.advance(61)
        self.provider.invite(uri, to=f"<{self.phone.aor}>")
        for binding in self.proxy.locations.expire(self.proxy.reactor.seconds()):
            self.proxy.core.retire(binding, self.proxy.reactor.seconds())
        self.provider.invite(uri, to=f"<{self.phone.aor}>", call_id="two")
        self.provider.invite(uri, to="<sip:+493012345@provider.example>", call_id="three")
        self.provider.invite("sip:alice@provider.example", call_id="four")
        self.assertEqual(self.provider.statuses("INVITE"), [480, 480, 480, 480])
        self.assertEqual(self.phone.requests("INVITE"), [])

    def test_never_for_ack(self) -> None:
        """
        An ACK that leads nowhere is not answered.
        """
        self.provider.send("ACK", "sip:nobody@203.0.113.1", to_tag="x")
        self.provider.send("ACK", "ftp:nobody", to_tag="x")
        self.provider.send("ACK", "sip:nobody@203.0.113.1", to_tag="x", hops="0")
        self.assertEqual(self.provider.datagrams, [])

    def test_stranger_wants_to_call_elsewhere(self) -> None:
        """
        We are no open relay: who is outside reaches phones of ours only.
        """
        self.provider.invite("sip:dave@198.51.100.9")
        self.assertEqual(self.provider.statuses("INVITE"), [404])


class OwnAnswerTests(WalkingCase):
    """
    Requests that we answer ourselves.
    """

    def test_options_to_us(self) -> None:
        """
        OPTIONS to us: 200 with Allow, Accept and Supported, on both sides (P3 of siproxd).
        """
        self.phone.send("OPTIONS", "sip:10.0.0.1")
        self.provider.send("OPTIONS", "sip:203.0.113.1:5060")
        for agent in (self.phone, self.provider):
            answer = agent.answer("OPTIONS")
            self.assertEqual(answer.status, 200)
            for key in ("allow", "accept", "supported"):
                self.assertIn(key, answer.headers)

    def test_no_more_hops(self) -> None:
        """
        Max-Forwards 0: 483; OPTIONS is answered in our own name.
        """
        self.phone.invite("sip:carol@provider.example", hops="0")
        self.assertEqual(self.phone.statuses("INVITE"), [483])
        self.phone.send("OPTIONS", "sip:carol@provider.example", hops="0")
        self.assertEqual(self.phone.statuses("OPTIONS"), [200])
        self.assertEqual(self.provider.datagrams, [])

    def test_malformed_hops(self) -> None:
        """
        A Max-Forwards that is no number up to 255: 400.
        """
        for number, hops in enumerate(("many", "256", "-1")):
            self.phone.send("MESSAGE", "sip:c@provider.example", hops=hops, call_id=f"c{number}")
        self.assertEqual(self.phone.statuses("MESSAGE"), [400, 400, 400])

    def test_required_extension(self) -> None:
        """
        Proxy-Require of what we do not know: 420, which names it.
        """
        self.phone.invite("sip:carol@provider.example", headers=[("Proxy-Require", "foo, bar")])
        answer = self.phone.answer("INVITE")
        self.assertEqual((answer.status, answer.headers.get("unsupported")), (420, "foo, bar"))

    def test_unknown_scheme(self) -> None:
        """
        A Request-URI that is neither SIP nor tel: 416.
        """
        self.phone.send("MESSAGE", "mailto:carol@provider.example")
        self.assertEqual(self.phone.statuses("MESSAGE"), [416])

    def test_telephone_number(self) -> None:
        """
        tel: goes to the provider of the caller's account, as it is (P4 of siproxd).
        """
        self.registered(self.phone)
        self.phone.invite("tel:+49301234567")
        self.assertEqual(self.provider.last("INVITE").uri, "tel:+49301234567")

    def test_telephone_number_without_account(self) -> None:
        """
        tel: of a phone without a provider: 416.
        """
        self.phone.invite("tel:+49301234567")
        self.assertEqual(self.phone.statuses("INVITE"), [416])

    def test_secure_uri(self) -> None:
        """
        sips: is never sent in the clear, whether the Request-URI or a Route says it (P4 of
        siproxd).
        """
        self.phone.invite("sips:carol@provider.example")
        route = ("Route", "<sips:edge.provider.example;lr>")
        self.phone.invite("sip:carol@provider.example", headers=[route])
        self.assertEqual(self.phone.statuses("INVITE"), [416, 416])
        self.assertEqual(self.provider.datagrams, [])

    def test_forbidden_network(self) -> None:
        """
        Without access lists everybody may ask.
        """
        self.provider.send("OPTIONS", "sip:203.0.113.1")
        self.assertEqual(self.provider.statuses("OPTIONS"), [200])


class DeniedTests(WalkingCase):
    """
    hosts_deny_sip is set.
    """

    text = "hosts_deny_sip = 198.51.100.0/24\n"

    def test_denied_network(self) -> None:
        """
        A denied network is not answered at all, and leaves nothing behind.
        """
        stranger = Agent(self.proxy, "198.51.100.66", "eve", side=Side.OUTSIDE)
        for _ in range(3):
            stranger.send("OPTIONS", "sip:203.0.113.1")
        self.assertEqual(stranger.datagrams, [])
        self.assertEqual(len(self.proxy.parts.transactions), 0)
        self.assertEqual(self.proxy.signaling.complaints.counts["unwanted"], 3)


class OutboundProxyTests(WalkingCase):
    """
    outbound_proxy_host and outbound_domain_* are set.
    """

    text = (
        "outbound_proxy_host = 203.0.113.20\noutbound_proxy_port = 5060\n"
        "outbound_domain_name = special.example\noutbound_domain_host = 203.0.113.50\n"
        "outbound_domain_port = 5070\n"
    )

    def test_by_default(self) -> None:
        """
        What phones send goes to the outbound proxy, the Request-URI as it was.
        """
        self.phone.invite("sip:carol@elsewhere.example")
        self.assertEqual(self.provider.last("INVITE").uri, "sip:carol@elsewhere.example")

    def test_by_domain(self) -> None:
        """
        Accounts of a domain that has its own outbound proxy use that one.
        """
        special = Agent(self.proxy, "203.0.113.50", "x", 5070, side=Side.OUTSIDE)
        self.phone.domain = "special.example"
        self.phone.invite("sip:carol@elsewhere.example")
        self.assertEqual(len(special.requests("INVITE")), 1)
        self.assertEqual(self.provider.datagrams, [])


class BadInputTests(WalkingCase):
    """
    What cannot be read (3.7).
    """

    def warnings(self) -> list[dict[str, Any]]:
        return [event for event in self.events if event.get("log_level").name == "warn"]

    def wrong(self, agent: Agent, pattern: bytes, instead: bytes, method: str = "MESSAGE") -> None:
        """
        A message of which something is replaced.
        """
        text = (
            f"{method} sip:203.0.113.1 SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP {agent.address};branch=z9hG4bKwrong\r\n"
            "Max-Forwards: 70\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\n"
            f"Call-ID: wrong@one\r\nCSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
        ).encode()
        self.assertIn(pattern, text)
        agent.deliver(text.replace(pattern, instead))

    def test_answered_with_the_reason(self) -> None:
        """
        A request with something wrong in it: 400 that says what, and Vias that lead back.
        """
        cases = {
            b"Call-ID: wrong@one\r\n": (b"", "Missing Call-ID"),
            b"CSeq: 1 MESSAGE": (b"CSeq: one MESSAGE", "Malformed CSeq"),
            b"From: <sip:a@b>": (b"From: <sip:a@b", "Malformed From"),
            b"Content-Length: 0": (b"Content-Length: 9", "Content-Length is larger than the body"),
        }
        for pattern, (instead, reason) in cases.items():
            self.wrong(self.provider, pattern, instead)
            answer = parse_loosely(self.provider.datagrams[-1])
            self.assertEqual(answer[:2], ("400", reason))
            self.assertIn("z9hG4bKwrong", answer[2])

    def test_other_versions(self) -> None:
        """
        SIP/3.0 is answered 505.
        """
        self.wrong(self.provider, b"203.0.113.1 SIP/2.0", b"203.0.113.1 SIP/3.0")
        self.assertEqual(parse_loosely(self.provider.datagrams[-1])[0], "505")

    def test_unanswerable(self) -> None:
        """
        ACKs, responses, noise and messages without Via are never answered.
        """
        self.wrong(self.provider, b"CSeq: 1 ACK", b"CSeq: one ACK", "ACK")
        self.wrong(self.provider, b"Via:", b"Vie:")
        self.provider.deliver(b"SIP/2.0 200 OK\r\nVia: x\r\n\r\n")
        self.provider.deliver(b"\xff\xfe\x00garbage" * 20)
        self.provider.deliver(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        self.assertEqual(self.provider.datagrams, [])
        self.assertEqual(self.proxy.signaling.complaints.counts["malformed"], 5)

    def test_keepalive(self) -> None:
        """
        Empty lines of a phone that keeps its NAT open are no mistake.
        """
        for data in (b"\r\n", b"\0", b"\0\0\0\0", b""):
            self.phone.deliver(data)
        self.assertEqual(self.phone.datagrams, [])
        self.assertEqual(dict(self.proxy.signaling.complaints.counts), {})

    def test_logged_once_a_second(self) -> None:
        """
        A flood of nonsense is counted in full, and logged once a second for each source.
        """
        stranger = Agent(self.proxy, "198.51.100.66", "eve", side=Side.OUTSIDE)
        for _ in range(50):
            self.provider.deliver(b"garbage")
            stranger.deliver(b"garbage")
        self.assertEqual(len(self.warnings()), 2)
        self.proxy.reactor.advance(1.1)
        self.provider.deliver(b"garbage")
        self.assertEqual(len(self.warnings()), 3)
        self.assertEqual(self.proxy.signaling.complaints.counts["malformed"], 101)

    def test_stray_responses_hide_nothing(self) -> None:
        """
        Stray answers are counted, not logged, and do not keep a real mistake out of the log (P6
        of siproxd).
        """
        self.phone.invite("sip:carol@provider.example")
        came = self.provider.last("INVITE")
        other = came._replace(
            headers=came.headers.replaced(
                {"via": [("via", "", "Via: SIP/2.0/UDP 203.0.113.1;branch=z9hG4bKother")]}
            )
        )
        self.provider.reply(other, 200)
        self.provider.deliver(b"garbage")
        self.assertEqual(self.proxy.signaling.complaints.counts["stray response"], 1)
        self.assertEqual(len(self.warnings()), 1)
        self.assertEqual(self.phone.statuses("INVITE"), [])

    def test_too_many_transactions(self) -> None:
        """
        Above the limit of transactions requests are answered 503 without memory.
        """
        self.proxy.parts.transactions._limit = 2
        for number in range(5):
            self.provider.send("OPTIONS", "sip:203.0.113.1", call_id=f"c{number}")
        self.assertEqual(self.provider.statuses("OPTIONS"), [200, 200, 503, 503, 503])
        self.assertEqual(len(self.proxy.parts.transactions), 2)

    def test_broken_part(self) -> None:
        """
        A bug of ours in one message is logged; the next message is served.
        """

        def broken(ticket: Ticket, is_phone: bool) -> Reply:
            raise ZeroDivisionError

        self.proxy.core.guard = broken
        self.phone.send("MESSAGE", "sip:carol@provider.example")
        self.proxy.core.guard = None
        self.phone.send("OPTIONS", "sip:10.0.0.1")
        self.assertEqual(self.phone.statuses("MESSAGE"), [500])
        self.assertEqual(self.phone.statuses("OPTIONS"), [200])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_receives_messages(self) -> None:
        """
        The service is what sockets hand messages to.
        """
        verifyObject(IMessageReceiver, self.proxy.signaling)


def parse_loosely(data: bytes) -> tuple[str, str, str]:
    """
    Status, reason and Via of an answer that need not be well-formed.
    """
    match = re.match(r"SIP/2\.0 (\d+) ([^\r]*)\r\n(?:.*\r\n)*?Via: ([^\r]*)", data.decode())
    assert match is not None, data
    return match[1], match[2], match[3]


class MutationTests(WalkingCase):
    """
    Thousands of damaged messages in the middle of a call.
    """

    def test_nothing_breaks(self) -> None:
        """
        Damaged messages raise nothing, log no bug, and stop no other call.
        """
        self.registered(self.phone)
        caller, callee = self.call_out()
        caller.send("INFO")
        callee.send("INVITE", body=sdp("203.0.113.30"))
        self.phone.reply(self.phone.last("INVITE"), 183, body=sdp("10.0.0.10"))
        said = [
            (agent, data)
            for agent, heard in ((self.provider, self.phone), (self.phone, self.provider))
            for data in heard.datagrams
        ]
        mutator = Mutator(4475, [data for _, data in said])
        for number in range(2000):
            agent, data = said[number % len(said)]
            agent.deliver(mutator.damage(data)[:65_535])
        self.assertEqual(self.failures(), [])
        self.assertEqual(self.proxy.signaling.complaints.counts["failure"], 0)
        self.other.send("OPTIONS", "sip:10.0.0.1")
        self.assertEqual(self.other.statuses("OPTIONS"), [200])
