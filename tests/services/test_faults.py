"""
What siproxd does wrong, done here, through the whole proxy.

Each test names the fault of siproxd of which it shows the opposite;
``tests/test_rows.py`` lists them.
"""

from __future__ import annotations

import re

from siptwist.sip.headers import make_header
from siptwist.sip.hop import Side
from siptwist.sip.message import Message, Request, Response
from tests.media.packets import rtp
from tests.net.fakes_udp import MemoryUDPPort
from tests.services.walking import Agent, Leg, WalkingCase, sdp

CAROL = "sip:carol@provider.example"


def told_port(message: Message) -> int:
    """
    The RTP port that a session description tells.
    """
    found = re.search(rb"m=audio (\d+) ", message.body)
    assert found is not None, message
    return int(found[1])


class AudioTests(WalkingCase):
    """
    Calls that go on although something in them is refused.
    """

    def setUp(self) -> None:
        super().setUp()
        self.number = 0

    def ports(self) -> tuple[MemoryUDPPort, MemoryUDPPort]:
        """
        Our RTP ports that face the phone and the provider.
        """
        bound = self.proxy.reactor.ports
        inside = told_port(next(r for r in self.phone.responses("INVITE") if r.status == 200))
        outside = told_port(self.provider.requests("INVITE")[0])
        return bound["10.0.0.1", inside], bound["203.0.113.1", outside]

    def assert_audio(self) -> None:
        """
        Both hear each other, at the addresses of the call as it was set up.
        """
        inside, outside = self.ports()
        for port, source, other, target in (
            (inside, ("10.0.0.10", 4000), outside, ("203.0.113.30", 6000)),
            (outside, ("203.0.113.30", 6000), inside, ("10.0.0.10", 4000)),
        ):
            self.number += 1
            port.deliver(rtp(self.number), source)
            self.assertEqual(other.sent[-1], (rtp(self.number), target))

    def test_new_offer_is_refused(self) -> None:
        """
        A re-INVITE or an UPDATE that is refused, by either end and with whatever CSeq
        numbers both count, leaves the audio as it is (F1 of siproxd).
        """
        legs = self.call_out()
        ports = self.proxy.rtp_ports
        self.assert_audio()
        for leg, other in (legs, legs[::-1]):
            for method in ("INVITE", "UPDATE"):
                for status in (401, 488, 491):
                    sent = leg.send(method, body=sdp(leg.agent.host, 4998))
                    other.agent.reply(other.agent.last(method), status)
                    answer = leg.agent.answer(method)
                    self.assertEqual(answer.status, status)
                    if method == "INVITE":
                        leg.agent.acknowledge(sent, answer)
                    self.assertEqual(self.proxy.rtp_ports, ports)
                    self.assert_audio()

    def test_new_offer_is_given_up(self) -> None:
        """
        So does a re-INVITE that its sender cancels (F1 of siproxd).
        """
        caller, _ = self.call_out()
        ports = self.proxy.rtp_ports
        sent = caller.send("INVITE", body=sdp("10.0.0.10", 4998))
        came = self.provider.last("INVITE")
        self.provider.reply(came, 180)
        self.phone.cancel(sent)
        self.provider.reply(self.provider.last("CANCEL"), 200)
        self.provider.reply(came, 487)
        self.assertEqual(self.phone.answer("INVITE").status, 487)
        self.assertEqual(self.proxy.rtp_ports, ports)
        self.assert_audio()

    def test_repeated_challenge(self) -> None:
        """
        A call that needs a password has audio, however often the first INVITE and its
        407 are repeated after the second one (F2 of siproxd).
        """
        first = self.phone.invite(CAROL)
        challenged = self.provider.last("INVITE")
        self.provider.reply(challenged, 407)
        refusal = self.phone.answer("INVITE")
        self.phone.acknowledge(first, refusal)
        sent = self.phone.invite(CAROL, cseq=2, headers=[("Proxy-Authorization", "Digest x")])
        came = self.provider.last("INVITE")
        self.assertNotEqual(came.headers.get("cseq"), challenged.headers.get("cseq"))
        for _ in range(3):
            self.phone.again(first)
            self.provider.reply(challenged, 407)
            self.phone.acknowledge(first, refusal)
        self.provider.reply(came, 200, body=sdp("203.0.113.30", 6000))
        self.provider.reply(challenged, 407)
        answer = self.phone.answer("INVITE")
        self.assertEqual(answer.status, 200)
        Leg(self.phone, sent, answer).send("ACK")
        inside = self.proxy.reactor.ports["10.0.0.1", told_port(answer)]
        outside = self.proxy.reactor.ports["203.0.113.1", told_port(came)]
        inside.deliver(rtp(1), ("10.0.0.10", 4000))
        outside.deliver(rtp(2), ("203.0.113.30", 6000))
        self.assertEqual(outside.sent, [(rtp(1), ("203.0.113.30", 6000))])
        self.assertEqual(inside.sent, [(rtp(2), ("10.0.0.10", 4000))])
        self.assertEqual(len(self.proxy.rtp_ports), 4)


class AnswerTests(WalkingCase):
    """
    Where answers go, and what gets none.
    """

    def test_answer_without_hops(self) -> None:
        """
        A response is never too far from home, nor in a loop: it reaches the phone, and
        nobody is answered (P2 of siproxd).
        """
        self.phone.invite(CAROL)
        came = self.provider.last("INVITE")
        count = len(self.provider.datagrams)
        self.provider.reply(came, 180, headers=[("Max-Forwards", "0")])
        self.assertEqual(self.phone.statuses("INVITE"), [180])
        self.assertEqual(len(self.provider.datagrams), count)

    def test_acknowledgement_in_a_loop(self) -> None:
        """
        An ACK that comes back as we sent it on is not answered, other requests are (P2
        of siproxd).
        """
        caller, _ = self.call_in()
        caller.send("ACK")
        back = self.phone.last("ACK").headers.lines("via")
        before = len(self.provider.datagrams)
        for _ in range(3):
            caller.send("ACK", vias=back)
        self.assertEqual(len(self.provider.datagrams), before)
        caller.send("INFO", cseq=9)
        caller.send("INFO", cseq=9, vias=self.phone.last("INFO").headers.lines("via"))
        self.assertEqual(self.provider.statuses("INFO"), [482])

    def test_port_of_zero(self) -> None:
        """
        A Via with port 0 is answered where it came from; a response whose branch is
        none of ours goes nowhere (P6 of siproxd).
        """
        request = self.phone.send("OPTIONS", "sip:10.0.0.1")
        via = make_header("Via", "SIP/2.0/UDP 10.0.0.10:0;branch=z9hG4bKzero")
        headers = request.headers.replaced({"via": [via]})
        self.phone.again(request._replace(headers=headers))
        self.assertEqual(self.phone.statuses("OPTIONS"), [200, 200])
        self.phone.invite(CAROL)
        came = self.provider.last("INVITE")
        via = make_header("Via", "SIP/2.0/UDP 203.0.113.1;branch=z9hG4bKguessed")
        guessed = came._replace(headers=came.headers.replaced({"via": [via]}))
        self.provider.reply(guessed, 200)
        self.assertEqual(self.phone.statuses("INVITE"), [])

    def test_refusal_has_no_route(self) -> None:
        """
        A refusal is given no Record-Route of ours, in neither direction (P8 of siproxd).
        """
        self.phone.invite(CAROL)
        self.provider.reply(self.without_routes(self.provider.last("INVITE")), 486)
        self.assertNotIn("record-route", self.phone.answer("INVITE").headers)
        self.provider.invite(self.registered(self.phone))
        self.phone.reply(self.without_routes(self.phone.last("INVITE")), 486)
        self.assertNotIn("record-route", self.provider.answer("INVITE").headers)

    def without_routes(self, request: Request) -> Request:
        return request._replace(headers=request.headers.replaced({"record-route": []}))

    def test_unknown_phone_signs_off(self) -> None:
        """
        Contact * of a phone that nobody knows gets one answer (P5 of siproxd).
        """
        self.phone.domain = "10.0.0.1"
        self.phone.register(0, contact="*")
        self.assertEqual([one.status for one in self.responses_heard()], [200])

    def responses_heard(self) -> list[Response]:
        return [one for one in self.phone.heard if isinstance(one, Response)]

    def test_message_waiting_of_grandstream(self) -> None:
        """
        A 202 of whatever make stays a 202 (P13 of siproxd, which makes it a 404).
        """
        self.phone.send("SUBSCRIBE", CAROL, headers=[("Event", "message-summary")])
        came = self.provider.last("SUBSCRIBE")
        headers = [("User-Agent", "Grandstream UCM6202V1.0A"), ("Expires", "600")]
        self.provider.reply(came, 202, headers=headers)
        self.assertEqual(self.phone.statuses("SUBSCRIBE"), [202])


class NamesTests(WalkingCase):
    """
    Who is meant is told by names, not by what they resolve to.
    """

    def test_two_domains_at_one_address(self) -> None:
        """
        Domains at one address are two domains: each account of the same user is called
        by its own (P9 of siproxd), and both are registered (F11 of siproxd).
        """
        twin = Agent(self.proxy, "10.0.0.12", "alice", domain="second.example")
        names = self.proxy.resolver.names
        names["second.example"] = names["provider.example"]
        for phone in (self.phone, twin):
            self.registered(phone)
        self.assertEqual(self.binding(self.phone).registrar, "provider.example")
        self.assertEqual(self.binding(twin).registrar, "second.example")
        for domain, phone in (("provider.example", self.phone), ("second.example", twin)):
            uri = f"sip:alice@{domain}"
            self.provider.invite("sip:alice@203.0.113.1", to=f"<{uri}>", call_id=domain)
            calls = [one.headers.get("call-id") for one in phone.requests("INVITE")]
            self.assertEqual(calls, [domain])

    def test_address_that_others_use_too(self) -> None:
        """
        Vias with our addresses and port that are none of ours, as a private address may
        be used by many, are no loop (P7 of siproxd).
        """
        uri = self.registered(self.phone)
        vias = [f"SIP/2.0/UDP {host}:5060;branch=z9hG4bKv" for host in ("10.0.0.1", "203.0.113.1")]
        self.provider.invite(uri, vias=vias * 3)
        self.assertEqual(self.provider.statuses("INVITE"), [])
        self.assertEqual(len(self.phone.requests("INVITE")), 1)

    def test_transport_is_kept(self) -> None:
        """
        The transport that a Request-URI asks for stays in it, and the call is made,
        whatever the phone speaks (F16 of siproxd, as far as it goes with UDP alone,
        by which this version calls everybody).
        """
        for number, wanted in enumerate(("udp", "tcp")):
            uri = f"sip:carol@provider.example;transport={wanted}"
            self.phone.invite(uri, call_id=f"c{number}")
            self.assertEqual(self.provider.last("INVITE").uri, uri)
        asked = {transport for _, _, transport in self.proxy.resolver.asked}
        self.assertEqual(asked, {"UDP"})


class OutboundProxyTests(WalkingCase):
    """
    Every phone and every domain has an outbound proxy.
    """

    text = (
        "outbound_proxy_host = 203.0.113.40\n"
        "outbound_domain_name = provider.example\noutbound_domain_host = 203.0.113.41\n"
        "outbound_domain_port = 5060\n"
    )

    def test_answer_of_a_phone(self) -> None:
        """
        What a called phone answers goes to who called, and to no outbound proxy, of
        whatever domain the caller is (F24 of siproxd).
        """
        edge = Agent(self.proxy, "203.0.113.41", "edge", side=Side.OUTSIDE)
        other = Agent(self.proxy, "203.0.113.40", "other", side=Side.OUTSIDE)
        self.phone.register()
        passed = edge.last("REGISTER")
        contact = passed.headers.get("contact") or ""
        edge.reply(passed, 200, contact=contact)
        counts = len(edge.datagrams), len(other.datagrams)
        for number, domain in enumerate(("provider.example", "elsewhere.example")):
            self.provider.domain = domain
            uri = contact.strip("<>")
            self.provider.invite(uri, to=f"<{self.phone.aor}>", call_id=f"c{number}")
            self.phone.reply(self.phone.last("INVITE"), 180)
            self.phone.reply(self.phone.last("INVITE"), 486)
        self.assertEqual(self.provider.statuses("INVITE"), [180, 486, 180, 486])
        self.assertEqual((len(edge.datagrams), len(other.datagrams)), counts)
