"""
What the proxy answers by itself, and what it never answers.
"""

from __future__ import annotations

from typing import Any

from siptwist.sip.headers import make_header
from siptwist.sip.message import Request, Response, parse
from siptwist.sip.timers import LIFETIME
from tests.proxy.asking import ticket
from tests.services.walking import WalkingCase, sdp

CAROL = "sip:carol@provider.example"
US = "sip:10.0.0.1"


class OwnAnswersTests(WalkingCase):
    """
    Each refusal of ours, as RFC 3261 wants it.
    """

    def refusals(self) -> dict[int, Response]:
        """
        Every request that we refuse, once.
        """
        phone = self.phone
        phone.send("OPTIONS", US)
        phone.send("INVITE", CAROL, hops="x")
        phone.send("INVITE", CAROL, hops="0")
        phone.send("INVITE", US)
        phone.send("INVITE", "http://provider.example/")
        phone.send("INVITE", CAROL, headers=[("Proxy-Require", "gruu")])
        phone.send("INVITE", CAROL, headers=[("Max-Breadth", "0")])
        phone.send("JUMP", US)
        phone.send("INVITE", "sip:carol@unknown.example")
        made = bytes(phone.send("MESSAGE", CAROL, hops="0", branch="z9hG4bKv"))
        phone.deliver(made.replace(b"SIP/2.0\r\n", b"SIP/7.0\r\n", 1).replace(b"Kv", b"Kw"))
        phone.deliver(made.replace(b"Length: 0", b"Length: 70000").replace(b"Kv", b"Kx"))
        headers = [("Subject", "y" * 300)]
        phone.send("MESSAGE", CAROL, body="x" * 65_000, type="text/plain", headers=headers)
        return {one.status: one for one in phone.heard if isinstance(one, Response)}

    def test_statuses(self) -> None:
        """
        200, 400, 404, 413, 416, 420, 440, 483, 501, 505 and 513, each where it belongs, with a To
        tag and a Server header (P3 and P4 of siproxd).
        """
        found = self.refusals()
        expected = {200, 400, 404, 413, 416, 420, 440, 483, 501, 505, 513}
        self.assertEqual(set(found) - {100}, expected)
        for status in expected:
            headers = found[status].headers
            self.assertIsNotNone(headers.to.tag, status)
            self.assertEqual(headers.get("server"), "siptwist", status)
        self.assertEqual(found[420].headers.get("unsupported"), "gruu")
        self.assertEqual(found[400].reason, "Malformed Max-Forwards")
        self.assertEqual(found[100].headers.get("server"), "siptwist")

    def test_no_hops_for_options(self) -> None:
        """
        OPTIONS that may go no further is answered by us, whomever it was for.
        """
        self.phone.send("OPTIONS", CAROL, hops="0")
        self.assertEqual(self.phone.statuses("OPTIONS"), [200])

    def test_timestamp(self) -> None:
        """
        The 100 repeats the Timestamp (RFC 3261 section 8.2.6.1).
        """
        self.phone.invite(CAROL, headers=[("Timestamp", "54.2")])
        (trying,) = [one for one in self.phone.heard if isinstance(one, Response)]
        self.assertEqual((trying.status, trying.headers.get("timestamp")), (100, "54.2"))

    def test_nothing_for_an_ack(self) -> None:
        """
        Whatever is wrong with an ACK, nobody answers it (P2 of siproxd).
        """
        for more in ({"hops": "0"}, {"hops": "x"}, {"uri": "http://x/"}, {"uri": "sips:a@b.c"}):
            uri = more.pop("uri", CAROL)
            self.phone.send("ACK", uri, headers=[("Proxy-Require", "x")], **more)
        ack = bytes(self.phone.send("ACK", US))
        for old, new in ((b"SIP/2.0\r\n", b"SIP/9.0\r\n"), (b"Call-ID", b"Call-IX")):
            self.phone.deliver(ack.replace(old, new, 1))
        self.proxy.wait(1)
        self.assertEqual(self.phone.datagrams, [])

    def test_nothing_for_a_response(self) -> None:
        """
        A response is never answered, well-formed or not, ours or a stranger's (P2 of siproxd).
        """
        sent = self.phone.invite(CAROL)
        before = len(self.provider.datagrams)
        answer = bytes(self.phone.reply(sent, 200)).replace(b"branch=z9hG4bK", b"branch=z9hG4bKx")
        for data in (answer, answer.replace(b"CSeq", b"CSxq"), b"SIP/2.0 999 x\r\n\r\n"):
            self.provider.deliver(data)
            self.other.deliver(data)
        self.assertEqual(self.other.datagrams, [])
        self.assertEqual(len(self.provider.datagrams), before)

    def test_overloaded_server(self) -> None:
        """
        503 of the only server becomes 500 (RFC 3261 section 16.7 step 6).
        """
        self.phone.invite(CAROL)
        self.provider.reply(self.provider.last("INVITE"), 503, reason="Full")
        answer = self.phone.answer("INVITE")
        self.assertEqual((answer.status, answer.reason), (500, "Next hop: Full"))


class LargeTests(WalkingCase):
    """
    Messages above the 1300 bytes after which RFC 3261 section 18.1.1 wants another
    transport: toward peers that know UDP alone they go out whole.
    """

    def test_large(self) -> None:
        """
        An INVITE of 12 KB goes out as one datagram, and so does its answer (P10 of siproxd).
        """
        more = "".join(f"a=x-{number}:{'x' * 90}\r\n" for number in range(120))
        self.phone.invite(CAROL, body=sdp("10.0.0.10", 4000, more))
        (data,) = self.provider.datagrams
        self.assertGreater(len(data), 12_000)
        came = self.provider.last("INVITE")
        self.assertTrue(came.body.endswith(more.encode()))
        self.provider.reply(came, 200, body=sdp("203.0.113.30", 6000, more))
        answer = self.phone.answer("INVITE")
        self.assertTrue(answer.body.endswith(more.encode()))
        self.assertGreater(len(self.phone.datagrams[-1]), 12_000)


class TimeoutTests(WalkingCase):
    """
    RFC 4320 section 4.2: 408 is for INVITE alone.
    """

    def test_silence(self) -> None:
        """
        A next hop that is silent: no 408, for it would come when the client has given
        up too; repetitions until then are not sent on again.
        """
        sent = self.phone.send("MESSAGE", CAROL)
        self.proxy.wait(LIFETIME + 1)
        count = len(self.provider.requests("MESSAGE"))
        self.phone.again(sent)
        self.assertEqual(self.phone.datagrams, [])
        self.assertEqual(len(self.provider.requests("MESSAGE")), count)
        self.assert_clean(self.phone.call_id)

    def test_early(self) -> None:
        """
        Neither is the 408 of somebody behind us sent on.
        """
        self.phone.send("MESSAGE", CAROL)
        self.provider.reply(self.provider.last("MESSAGE"), 408)
        self.assertEqual(self.phone.datagrams, [])
        self.assert_clean(self.phone.call_id)


class TryingTests(WalkingCase):
    """
    RFC 4320 section 4.1: 100 for other requests than INVITE, late and alone.
    """

    def heard(self) -> list[int]:
        return [one.status for one in self.phone.heard if isinstance(one, Response)]

    def test_late(self) -> None:
        """
        Whoever repeats a request for the third time hears 100, and the answer when it
        comes; the provider heard the request from us alone.
        """
        sent = self.phone.send("MESSAGE", CAROL, headers=[("Timestamp", "54.2")])
        for pause in (0.5, 1, 2):
            self.assertEqual(self.heard(), [])
            self.proxy.wait(pause)
            self.phone.again(sent)
        self.assertEqual(self.heard(), [100])
        trying = self.phone.heard[0]
        self.assertEqual(trying.headers.get("timestamp"), "54.2")
        self.proxy.wait(4)
        self.phone.again(sent)
        self.provider.reply(self.provider.last("MESSAGE"), 200)
        self.assertEqual(self.heard(), [100, 100, 200])

    def test_alone(self) -> None:
        """
        Other provisional responses are for INVITE: they are not sent on.
        """
        self.phone.send("MESSAGE", CAROL)
        came = self.provider.last("MESSAGE")
        for status in (100, 180, 183, 199, 200):
            self.provider.reply(came, status)
        self.assertEqual(self.heard(), [200])


class LoopTests(WalkingCase):
    """
    Requests that come back (RFC 3261 section 16.3 step 4, RFC 5393).
    """

    def come_back(self, came: Request, uri: str = "", **more: Any) -> int:
        """
        The provider sends what it got on to us; what it hears, 0 for nothing.
        """
        self.provider.send(
            "INVITE",
            uri or came.uri,
            to=came.headers.get("to") or "",
            call_id=came.headers.get("call-id") or "",
            vias=came.headers.lines("via"),
            **more,
        )
        found = self.provider.statuses("INVITE")
        return found[-1] if found else 0

    def test_loop(self) -> None:
        """
        A call for a phone of ours that comes back as we sent it on is answered 482 (P7 of siproxd).
        """
        self.registered(self.phone)
        self.assertEqual(self.come_back(self.to_the_phone()), 482)

    def test_spiral(self) -> None:
        """
        It comes back for another phone: no loop, that phone rings (P7 of siproxd).
        """
        self.registered(self.phone)
        uri = self.registered(self.other)
        self.assertEqual(self.come_back(self.to_the_phone(), uri), 0)
        self.assertEqual(len(self.other.requests("INVITE")), 1)

    def to_the_phone(self) -> Request:
        """
        An INVITE from the world as the phone got it, with the URI that we were asked.
        """
        asked = self.provider.invite("sip:alice@203.0.113.1", to=f"<{self.phone.aor}>")
        return self.phone.last("INVITE")._replace(uri=asked.uri)

    def test_through_the_provider(self) -> None:
        """
        A call from phone to phone through the provider passes us twice, although its Request-URI,
        an AOR, may stay the same (P7 of siproxd).
        """
        self.registered(self.other)
        self.phone.invite(self.other.aor, media=0)
        self.assertEqual(self.come_back(self.provider.last("INVITE")), 0)
        self.assertEqual(len(self.other.requests("INVITE")), 1)

    def test_secret(self) -> None:
        """
        Nobody can tell beforehand how we mark a request.
        """
        other = self.make_proxy()
        self.addCleanup(other.stop)
        marks = {proxy.core.loops.mark(ticket()) for proxy in (self.proxy, other)}
        self.assertEqual(len(marks), 2)


class CarriedTests(WalkingCase):
    """
    What is none of our business goes through as it came.
    """

    def test_service_route(self) -> None:
        """
        Service-Route (RFC 3608) and a REGISTER's own Path (RFC 3327) pass untouched (P12 of
        siproxd).
        """
        self.phone.register(headers=[("Path", "<sip:edge.lan;lr>"), ("Supported", "path")])
        passed = self.provider.last("REGISTER")
        self.assertEqual(passed.headers.values("path"), ["<sip:edge.lan;lr>"])
        routes = [("Service-Route", "<sip:a.example;lr>"), ("Service-Route", "<sip:b.example;lr>")]
        contact = passed.headers.get("contact") or ""
        self.provider.reply(passed, 200, contact=contact, headers=routes)
        answer = self.phone.answer("REGISTER")
        self.assertEqual(
            answer.headers.values("service-route"), ["<sip:a.example;lr>", "<sip:b.example;lr>"]
        )

    def test_compact_forms(self) -> None:
        """
        A call in compact forms is a call like any other.
        """
        request = self.phone.invite(CAROL, branch="z9hG4bKlong")
        short = {"via": "v", "from": "f", "to": "t", "call-id": "i", "contact": "m"}
        short |= {"content-type": "c", "content-length": "l"}
        made = [
            make_header(short.get(key, line.partition(":")[0]), value)
            for key, value, line in request.headers
        ]
        data = bytes(request._replace(headers=type(request.headers)(made)))
        self.phone.deliver(data.replace(b"Klong", b"Kshort").replace(b"i: ", b"i: c-"))
        came = self.provider.last("INVITE")
        self.assertEqual(came.headers.get("call-id"), f"c-{self.phone.call_id}")
        self.assertTrue(came.headers.fields("from")[0][2].startswith("f: "))
        self.assertIn("203.0.113.1", came.headers.get("contact") or "")
        self.assertIn(b"c=IN IP4 203.0.113.1", came.body)
        self.provider.reply(came, 200, body=sdp("203.0.113.30"))
        self.assertEqual(self.phone.statuses("INVITE"), [200])

    def test_address_in_brackets(self) -> None:
        """
        An IPv6 reference is a next hop, brackets and port included (P12 of siproxd).
        """
        self.phone.invite("sip:carol@[2001:db8::9]:5062")
        self.assertIn(("2001:db8::9", 5062, None), self.proxy.resolver.asked)
        sent = [data for data, to in self.provider.socket.sent if to == ("2001:db8::9", 5062)]
        request = parse(sent[0])
        self.assertTrue(bytes(request).startswith(b"INVITE sip:carol@[2001:db8::9]:5062 "))

    def test_breadth(self) -> None:
        """
        What goes out says into how many branches it may still fork (RFC 5393).
        """
        self.phone.invite(CAROL)
        self.assertEqual(self.provider.last("INVITE").headers.get("max-breadth"), "60")
        self.phone.invite(CAROL, headers=[("Max-Breadth", "7")])
        self.assertEqual(self.provider.last("INVITE").headers.values("max-breadth"), ["7"])
        caller, _ = self.call_out()
        caller.send("BYE")
        self.assertNotIn("max-breadth", self.provider.last("BYE").headers)
