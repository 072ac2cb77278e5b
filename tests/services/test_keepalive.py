"""
Tests for siptwist.services.keepalive: pings of phones, and ours.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from siptwist.proxy.screening.access import Access
from siptwist.services.keepalive import PATIENCE, KeepaliveService
from siptwist.sip import stun
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Request, cseq_of
from siptwist.sip.stun import Message, xor_address
from tests.services.walking import Agent, Proxy, WalkingCase

CRLF = b"\r\n\r\n"
BINDING_REQUEST = bytes(Message(stun.REQUEST, b"transaction!"))
INTERVAL = 30


class PingsTests(WalkingCase):
    """
    Phones keep their NAT open at our SIP port.
    """

    text = "hosts_allow_reg = 0.0.0.0/0\n"

    def sent(self) -> list[Any]:
        return [*self.proxy.socket(Side.INSIDE).sent, *self.proxy.socket(Side.OUTSIDE).sent]

    @property
    def counts(self) -> dict[str, int]:
        return dict(self.proxy.signaling.pings.counts)

    def test_crlf(self) -> None:
        """
        A double CRLF is answered with one, from the socket that it came to (P10 of siproxd).
        """
        self.phone.deliver(CRLF)
        self.assertEqual(self.phone.datagrams, [b"\r\n"])
        self.assertEqual((len(self.sent()), self.counts), (1, {"crlf": 1}))

    def test_our_address_has_changed(self) -> None:
        """
        A phone that its provider knows by an address that we have no more hears nothing
        until it has registered again (RFC 5626 section 4.4).
        """
        self.registered(self.phone)
        reactor = self.proxy.reactor
        reactor.advance(5)
        self.proxy.core.moved_at = reactor.seconds()
        before = len(self.phone.datagrams)
        for data in (CRLF, BINDING_REQUEST):
            self.phone.deliver(data)
        self.assertEqual((len(self.phone.datagrams), self.counts), (before, {"stale": 2}))
        reactor.advance(5)
        self.registered(self.phone)
        self.phone.deliver(CRLF)
        self.assertEqual(self.phone.datagrams[-1], b"\r\n")

    def test_nothing(self) -> None:
        """
        A lone CRLF, NULs, blanks and nothing at all hear nothing.
        """
        for data in (b"\r\n", b"\0", b"\0\0\0\0", b"", b" ", b"\r\n\r\n\r\n"):
            self.phone.deliver(data)
        self.assertEqual((self.sent(), self.counts), ([], {}))
        self.assertEqual(self.proxy.signaling.complaints.counts, {})

    def test_message_behind_line_breaks(self) -> None:
        """
        A request behind line breaks is served as one without.
        """
        request = self.phone.send("OPTIONS", "sip:10.0.0.1")
        self.phone.deliver(CRLF + bytes(request).replace(b"branch=", b"branch=z9hG4bK-b"))
        self.assertEqual(self.phone.statuses("OPTIONS"), [200, 200])

    def test_stun(self) -> None:
        """
        A STUN ping hears the address that it came from.
        """
        self.phone.deliver(BINDING_REQUEST)
        [answer] = self.phone.datagrams
        value = xor_address(Hop("10.0.0.10", 5060), b"transaction!")
        self.assertEqual(
            Message.parse(answer),
            Message(stun.SUCCESS, b"transaction!", ((stun.XOR_MAPPED_ADDRESS, value),)),
        )
        self.assertEqual(self.counts, {"stun": 1})

    def test_unusable_stun(self) -> None:
        """
        A STUN indication, or one cut short, is counted, not answered, not complained of.
        """
        for data in (bytes(Message(0x0011, b"transaction!")), BINDING_REQUEST + b"\0"):
            self.phone.deliver(data)
        self.assertEqual((self.sent(), self.counts), ([], {"unusable": 2}))
        self.assertEqual(self.proxy.signaling.complaints.counts, {})

    def test_without_cookie(self) -> None:
        """
        What only begins like STUN is a malformed message.
        """
        self.phone.deliver(BINDING_REQUEST.replace(stun.MAGIC_COOKIE, b"\0\0\0\0"))
        self.assertEqual(self.sent(), [])
        self.assertEqual(self.proxy.signaling.complaints.counts, {"malformed": 1})

    def test_stranger(self) -> None:
        """
        Strangers outside hear nothing: nobody is pestered with our answers.
        """
        stranger = Agent(self.proxy, "203.0.113.66", side=Side.OUTSIDE)
        for data in (CRLF, BINDING_REQUEST):
            stranger.deliver(data)
        self.assertEqual((self.sent(), self.counts), ([], {"stranger": 2}))

    def test_known_phone_outside(self) -> None:
        """
        A phone that registered from outside hears its answers, at its port only.
        """
        self.proxy.core.access = Access(register_outside=True)
        abroad = Agent(self.proxy, "198.51.100.7", "dora", port=40000, side=Side.OUTSIDE)
        abroad.register(uri="sip:203.0.113.1", to="<sip:dora@203.0.113.1>")
        self.assertEqual(abroad.statuses("REGISTER"), [200])
        neighbor = Agent(self.proxy, "198.51.100.7", port=40001, side=Side.OUTSIDE)
        for agent in (abroad, neighbor):
            agent.deliver(CRLF)
        self.assertEqual(abroad.datagrams[-1], b"\r\n")
        self.assertEqual(neighbor.datagrams, [])

    def test_provider(self) -> None:
        """
        The provider is no phone, though we register there.
        """
        self.registered(self.phone)
        heard = len(self.provider.datagrams)
        self.provider.deliver(CRLF)
        self.assertEqual(len(self.provider.datagrams), heard)


class NoKeepalivesTests(WalkingCase):
    text = "tcp_keepalive = 0\nping_interval = 0\n"

    def test_none(self) -> None:
        """
        No interval is none: a registered phone hears nothing for an hour, on UDP, as
        long as there is no TCP (siproxd's fault R6: 0 meant every five seconds).
        """
        self.registered(self.phone, expires=7200)
        heard = len(self.phone.datagrams)
        for _ in range(60):
            self.proxy.wait(60)
        self.assertEqual(len(self.phone.datagrams), heard)


class LifetimeTests(WalkingCase):
    """
    max_expires: our address may change.
    """

    text = "max_expires = 120\n"

    def test_told(self) -> None:
        """
        A phone is told to come back soon, whatever its provider says, and is not forgotten
        before the provider forgets it.
        """
        self.registered(self.phone, 3600)
        headers = self.phone.heard[-1].headers
        self.assertRegex(headers.get("contact") or "", "^<sip:alice@10[^>]*>;expires=120$")
        lasts = self.binding(self.phone).expires_at - self.proxy.reactor.seconds()
        self.assertEqual(lasts, 3600)


class DeniedPingsTests(WalkingCase):
    """
    hosts_deny_sip names a phone.
    """

    text = "hosts_deny_sip = 10.0.0.66/32\n"

    def test_denied(self) -> None:
        """
        Who may not send us SIP hears nothing either.
        """
        denied = Agent(self.proxy, "10.0.0.66")
        for data in (CRLF, BINDING_REQUEST):
            denied.deliver(data)
        self.assertEqual(denied.datagrams, [])
        self.phone.deliver(CRLF)
        self.assertEqual(self.phone.datagrams, [b"\r\n"])


class OneSocketPingsTests(WalkingCase):
    """
    One address for both sides, as behind another NAT router.
    """

    def make_proxy(self) -> Proxy:
        return Proxy("10.0.0.1/24", "10.0.0.1/24")

    def test_who_is_answered(self) -> None:
        """
        Neighbors are answered, the Internet is not.
        """
        stranger = Agent(self.proxy, "203.0.113.66")
        for agent in (self.phone, stranger):
            agent.deliver(CRLF)
        self.assertEqual((self.phone.datagrams, stranger.datagrams), ([b"\r\n"], []))


def keepalive_of(proxy: Proxy) -> KeepaliveService:
    return next(one for one in proxy.services if isinstance(one, KeepaliveService))


class KeepaliveCase(WalkingCase):
    """
    Phones are pinged.
    """

    text = f"ping_interval = {INTERVAL}\n"

    @property
    def keepalive(self) -> KeepaliveService:
        return keepalive_of(self.proxy)

    def is_silent(self, phone: Agent) -> bool:
        return self.keepalive.is_silent(self.binding(phone).mask)

    def pings(self, phone: Agent) -> list[Request]:
        """
        Those that it heard, repetitions left out.
        """
        found = {request.headers.get("call-id"): request for request in phone.requests("OPTIONS")}
        return list(found.values())

    def wait_answering(self, *phones: Agent, seconds: float, status: int = 200) -> None:
        """
        Let time pass in which these phones answer what they are asked.
        """
        for _ in range(round(seconds)):
            self.proxy.wait(1)
            for phone in phones:
                for ping in self.pings(phone)[phone.answered :]:
                    phone.reply(ping, status)
                    phone.answered += 1

    def setUp(self) -> None:
        super().setUp()
        for phone in (self.phone, self.other):
            phone.answered = 0

    def said(self, text: str) -> list[Any]:
        return [event for event in self.events if text in event.get("log_format", "")]

    def make_silent(self, phone: Agent) -> None:
        self.registered(phone, expires=36000)
        self.proxy.wait(PATIENCE * 2 * INTERVAL + 40)
        self.assertTrue(self.is_silent(phone))


class KeepaliveTests(KeepaliveCase):
    def test_ping(self) -> None:
        """
        A phone is asked with an OPTIONS from our inside address, for itself alone.
        """
        self.registered(self.phone)
        self.proxy.wait(1)
        [ping] = self.pings(self.phone)
        self.assertEqual(ping.uri, "sip:alice@10.0.0.10:5060")
        self.assertTrue((ping.headers.get("via") or "").startswith("SIP/2.0/UDP 10.0.0.1:5060;"))
        self.assertRegex(ping.headers.get("from") or "", r"^<sip:10\.0\.0\.1>;tag=[0-9a-f]{10}$")
        self.assertEqual(cseq_of(ping).method, "OPTIONS")
        self.assertNotIn("tag=", ping.headers.get("to") or "")
        self.assertEqual(self.provider.requests("OPTIONS"), [])

    def test_answer_stays(self) -> None:
        """
        What a phone answers goes nowhere, and leaves nothing.
        """
        self.registered(self.phone)
        heard = len(self.provider.datagrams)
        self.wait_answering(self.phone, seconds=4 * INTERVAL)
        self.assertEqual(len(self.pings(self.phone)), 4)
        self.assertEqual(len(self.provider.datagrams), heard)
        self.assertEqual(self.proxy.signaling.complaints.counts, {})
        self.assertLessEqual(len(self.proxy.parts.transactions), 1)
        self.assertEqual(self.failures(), [])

    def test_any_answer_is_a_sign_of_life(self) -> None:
        """
        A phone that knows no OPTIONS is there all the same.
        """
        self.registered(self.phone)
        for status in (404, 405, 501, 408):
            self.wait_answering(self.phone, seconds=3 * INTERVAL, status=status)
        self.assertEqual(self.keepalive._silences, {})

    def test_silent(self) -> None:
        """
        Three silences in a row mark the phone, and are logged once.
        """
        self.registered(self.phone)
        self.proxy.wait(2 * 2 * INTERVAL + 20)
        self.assertFalse(self.is_silent(self.phone))
        self.proxy.wait(300)
        self.assertTrue(self.is_silent(self.phone))
        [event] = self.said("is silent")
        self.assertEqual(event["aor"], self.phone.aor)
        self.assertEqual(event["contact"], "sip:alice@10.0.0.10:5060")

    def test_in_a_row(self) -> None:
        """
        An answer between two silences begins the count anew.
        """
        self.registered(self.phone)
        for _ in range(3):
            self.proxy.wait(2 * 2 * INTERVAL)
            self.phone.answered = len(self.pings(self.phone)) - 1
            self.wait_answering(self.phone, seconds=INTERVAL)
        self.assertEqual(self.said("is silent"), [])

    def test_answers_again(self) -> None:
        """
        A silent phone that answers is unmarked, and that is logged once.
        """
        self.make_silent(self.phone)
        self.phone.answered = len(self.pings(self.phone)) - 1
        self.wait_answering(self.phone, seconds=3 * INTERVAL)
        self.assertFalse(self.is_silent(self.phone))
        self.assertEqual(len(self.said("heard again")), 1)

    def test_request_revives(self) -> None:
        """
        A request of the silent phone unmarks it; one of another phone does not.
        """
        self.make_silent(self.phone)
        self.other.send("OPTIONS", "sip:10.0.0.1")
        self.assertTrue(self.is_silent(self.phone))
        self.phone.send("OPTIONS", "sip:10.0.0.1")
        self.assertFalse(self.is_silent(self.phone))
        self.assertEqual(len(self.said("heard again")), 1)

    def test_ping_revives(self) -> None:
        """
        A keep-alive of the silent phone unmarks it.
        """
        self.make_silent(self.phone)
        self.phone.deliver(CRLF)
        self.assertFalse(self.is_silent(self.phone))

    def test_refresh_from_elsewhere_revives(self) -> None:
        """
        A phone that renews its registration from another port is unmarked when
        the registrar agrees.
        """
        self.make_silent(self.phone)
        contact = f"<sip:alice@{self.phone.address}>"
        moved = Agent(self.proxy, "10.0.0.10", "alice", port=5099)
        moved.call_id = self.phone.call_id
        moved.register(contact=contact, cseq=2)
        self.assertTrue(self.is_silent(self.phone))
        passed = self.provider.last("REGISTER")
        self.provider.reply(passed, 200, contact=passed.headers.get("contact") or "")
        self.assertFalse(self.is_silent(self.phone))

    def test_silent_phone_is_called(self) -> None:
        """
        A silent phone keeps its registration and is called.
        """
        self.make_silent(self.phone)
        self.provider.invite(
            self.provider.last("REGISTER").headers.get("contact")[1:-1], to=f"<{self.phone.aor}>"
        )
        self.assertEqual(len(self.phone.requests("INVITE")), 1)

    def test_only_one_at_a_time(self) -> None:
        """
        A phone that has not answered yet is not asked again.
        """
        self.registered(self.phone)
        self.proxy.wait(INTERVAL + 1)
        self.assertEqual(len(self.pings(self.phone)), 1)
        self.proxy.wait(INTERVAL)
        self.assertEqual(len(self.pings(self.phone)), 2)

    def test_signed_off(self) -> None:
        """
        A phone that is gone is asked no more, and leaves nothing.
        """
        self.make_silent(self.phone)
        self.proxy.locations.remove(self.binding(self.phone).mask)
        asked = len(self.pings(self.phone))
        self.proxy.wait(3 * INTERVAL)
        self.assertEqual(len(self.pings(self.phone)), asked)
        self.assertEqual((self.keepalive._silences, self.keepalive._asked), ({}, set()))

    def test_spread(self) -> None:
        """
        Many phones are asked one after the other, each once in an interval, and
        a renewed registration changes nobody's turn.
        """
        phones = [Agent(self.proxy, f"10.0.0.{host}", f"u{host}") for host in range(20, 80)]
        for phone in phones:
            phone.answered = 0
            self.registered(phone)
        asked: dict[Agent, list[int]] = {phone: [] for phone in phones}
        for second in range(3 * INTERVAL):
            self.wait_answering(*phones, seconds=1)
            for phone in phones:
                asked[phone] += [second] * (phone.answered - len(asked[phone]))
            for phone in phones[second % 7 :: 7]:
                self.proxy.locations.put(self.binding(phone))
        seconds = [second for times in asked.values() for second in times]
        self.assertLessEqual(max(map(seconds.count, seconds)), 4)
        for first, second, third in asked.values():
            for gap in (second - first, third - second):
                self.assertAlmostEqual(gap, INTERVAL, delta=2)

    def test_behind_another_proxy(self) -> None:
        """
        A phone with a Path is left to the proxy before it.
        """
        self.registered(self.phone)
        self.proxy.locations.put(replace(self.binding(self.phone), path=("<sip:10.0.0.9;lr>",)))
        self.proxy.wait(2 * INTERVAL)
        self.assertEqual(self.phone.requests("OPTIONS"), [])

    def test_failure_is_survived(self) -> None:
        """
        A ping that fails does not end the others.
        """
        self.registered(self.phone)
        send = self.proxy.parts.transactions.send
        self.proxy.parts.transactions.send = None
        self.proxy.wait(1)
        self.proxy.parts.transactions.send = send
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
        self.events.clear()
        self.proxy.wait(INTERVAL)
        self.assertEqual(len(self.pings(self.phone)), 1)


class StopTests(KeepaliveCase):
    def test_stop(self) -> None:
        """
        A stopped service asks nobody.
        """
        self.registered(self.phone)
        self.keepalive.stopService()
        self.proxy.wait(2 * INTERVAL)
        self.assertEqual(self.pings(self.phone), [])
        self.keepalive.startService()


class OffTests(WalkingCase):
    """
    ping_interval is not set.
    """

    def test_off(self) -> None:
        """
        Nobody is asked, and no phone is ever marked.
        """
        self.registered(self.phone)
        self.proxy.wait(60)
        self.assertEqual(self.phone.requests("OPTIONS"), [])
        self.assertFalse(keepalive_of(self.proxy).is_silent(self.binding(self.phone).mask))
