"""
Tests of :mod:`siptwist.services.extending.stages`: a plugin at each stage of a message's way.
"""

from __future__ import annotations

from typing import Any

from zope.interface import implementer

from siptwist.plugins.plugin import moved, only, retargeted
from siptwist.plugins.stages import (
    ICallEnded,
    IDetermineTarget,
    IMedia,
    IPostProxy,
    IPreProxy,
    IRaw,
    IResponse,
    IUnknownParty,
    IValidate,
)
from siptwist.proxy.decision import Drop, Forward, Reply
from siptwist.proxy.passage import Passage
from siptwist.proxy.session.records import EndedCall
from siptwist.proxy.ticket import Ticket
from siptwist.sip.headers import Headers
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Request, Response
from tests.plugins.loaded import PluginCase, make
from tests.services.walking import Agent, sdp


class Answering:
    """
    Gives ``answer``, or what it returns, or raises it; keeps what it was asked.
    """

    answer: Any = None

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def say(self, *asked: Any) -> Any:
        self.asked.append(asked if len(asked) > 1 else asked[0])
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer(*asked) if callable(self.answer) else self.answer


@implementer(IRaw)
class Raw(Answering):
    def raw(self, data: bytes, source: Hop, side: Side) -> Any:
        return self.say(data, source, side)


@implementer(IValidate)
class Validate(Answering):
    def validate(self, ticket: Ticket) -> Any:
        return self.say(ticket)


@implementer(IDetermineTarget)
class Determine(Answering):
    def determine_target(self, ticket: Ticket, from_phone: bool) -> Any:
        return self.say(ticket, from_phone)


@implementer(IUnknownParty)
class Unknown(Answering):
    def unknown_party(self, ticket: Ticket, from_phone: bool) -> Any:
        return self.say(ticket, from_phone)


@implementer(IPreProxy)
class PreProxy(Answering):
    def pre_proxy(self, forward: Forward) -> Any:
        return self.say(forward)


@implementer(IMedia)
class Media(Answering):
    def media(self, sdp: bytes, message: Request | Response, from_phone: bool) -> Any:
        return self.say(sdp, message, from_phone)


@implementer(IResponse)
class Back(Answering):
    def response(self, response: Response, passage: Passage) -> Any:
        return self.say(response, passage)


@implementer(IPostProxy)
class PostProxy(Answering):
    def post_proxy(self, message: Request | Response, hop: Hop, side: Side) -> Any:
        return self.say(message, hop, side)


@implementer(ICallEnded)
class Ended(Answering):
    def call_ended(self, call: EndedCall) -> Any:
        return self.say(call)


class StageCase(PluginCase):
    """
    One plugin, ``first``, and a ``second`` of the same kind behind it.
    """

    kind: type[Answering]
    text = "load_plugin = first\nload_plugin = second\n"
    methods: tuple[str, ...] | None = None

    def setUp(self) -> None:
        self.plugin, self.second = self.kind(), self.kind()
        self.makers = (
            make("first", self.plugin, methods=self.methods),
            make("second", self.second, methods=self.methods),
        )
        super().setUp()

    def invite(self, **more: Any) -> Request:
        return self.phone.invite("sip:carol@provider.example", **more)

    def passed(self) -> Request:
        return self.provider.last("INVITE")

    def assert_failed(self) -> None:
        """
        Exactly one failure was logged.
        """
        self.assertEqual(len(self.failures()), 1)
        self.flushLoggedErrors()


def with_header(message: Any, name: str, *values: str) -> Any:
    editor = message.headers.edit()
    editor.set(name, *values)
    return message._replace(headers=editor.finish())


class RawTests(StageCase):
    kind = Raw

    def test_sees_all(self) -> None:
        """
        Everything that arrives is shown to plugins, keep-alives and noise too.
        """
        self.phone.deliver(b"\r\n\r\n")
        self.phone.deliver(b"\x00\x01noise")
        source = Hop("10.0.0.10", 5060)
        self.assertEqual(
            self.plugin.asked,
            [(b"\r\n\r\n", source, Side.INSIDE), (b"\x00\x01noise", source, Side.INSIDE)],
        )

    def test_swallowed(self) -> None:
        """
        What was for a plugin goes no further, not even to the next plugin.
        """
        self.plugin.answer = b""
        self.invite()
        self.assertEqual((self.phone.heard, self.second.asked), ([], []))

    def test_changed(self) -> None:
        """
        What a plugin reads differently is read so by all that follow.
        """
        self.plugin.answer = lambda data, source, side: data.replace(b"carol", b"dave")
        self.invite()
        self.assertEqual(self.passed().uri, "sip:dave@provider.example")
        self.assertIn(b"dave", self.second.asked[0][0])

    def test_swallowed_later(self) -> None:
        """
        What one plugin has changed, and the next one took, goes no further.
        """
        self.plugin.answer, self.second.answer = b"INVITE", b""
        self.invite()
        self.assertEqual(self.second.asked[0][0], b"INVITE")
        self.assertEqual((self.phone.heard, self.failures()), ([], []))

    def test_failure_later(self) -> None:
        """
        What one plugin has changed goes on, though the next one raises.
        """
        self.plugin.answer = lambda data, source, side: data.replace(b"carol", b"dave")
        self.second.answer = ValueError("x")
        self.invite()
        self.assertEqual(self.passed().uri, "sip:dave@provider.example")
        self.assert_failed()

    def test_failure(self) -> None:
        """
        A plugin that raises, or returns no bytes, stops nothing.
        """
        for answer in (ValueError("x"), "text"):
            self.plugin.answer = answer
            self.invite(call_id=str(answer))
        self.assertEqual(len(self.provider.requests("INVITE")), 2)
        self.assertEqual(len(self.second.asked), 2)
        self.assert_failed()


class ValidateTests(StageCase):
    kind = Validate

    def test_refused(self) -> None:
        """
        A plugin refuses a request with the status it likes.
        """
        self.plugin.answer = Reply(403, "Not You", why="listed")
        self.invite()
        self.assertEqual(self.phone.statuses("INVITE"), [403])
        self.assertEqual((self.provider.requests("INVITE"), self.second.asked), ([], []))

    def test_dropped(self) -> None:
        """
        A plugin has a request dropped without an answer.
        """
        self.plugin.answer = Drop("listed")
        self.invite()
        self.assertEqual(self.phone.heard, [])
        self.assertEqual(len(self.proxy.parts.transactions), 0)

    def test_after_our_checks(self) -> None:
        """
        What we refuse ourselves is not shown.
        """
        self.invite(hops="0")
        self.assertEqual(self.phone.statuses("INVITE"), [483])
        self.assertEqual(self.plugin.asked, [])

    def test_failure(self) -> None:
        """
        A plugin that raises, or says what it may not, refuses nobody.
        """
        for answer in (ValueError("x"), 403, retargeted):
            self.plugin.answer = answer
            self.invite(call_id=str(answer))
        self.assertEqual(len(self.provider.requests("INVITE")), 3)
        self.assert_failed()


class DetermineTargetTests(StageCase):
    kind = Determine

    def test_retargeted(self) -> None:
        """
        A request is routed to whom a plugin names; the next plugin sees that.
        """
        self.plugin.answer = lambda ticket, from_phone: retargeted(
            ticket, "sip:4912@provider.example"
        )
        self.invite()
        self.assertEqual(self.passed().uri, "sip:4912@provider.example")
        self.assertEqual(self.passed().headers.to.uri_text, "sip:carol@provider.example")
        self.assertEqual(self.second.asked[0][0].uri.user, "4912")

    def test_to_a_phone(self) -> None:
        """
        A call that comes in is taken to another phone of ours.
        """
        self.registered(self.phone)
        uri = self.registered(self.other)
        self.plugin.answer = lambda ticket, from_phone: (
            None if from_phone else retargeted(ticket, uri)
        )
        self.provider.invite("sip:nobody@203.0.113.1")
        self.assertEqual(self.other.last("INVITE").uri, "sip:bob@10.0.0.11:5060")

    def test_redirected(self) -> None:
        """
        A 302 of a plugin reaches the caller, whose ACK goes no further.
        """
        self.plugin.answer = lambda ticket, from_phone: moved("sip:12@provider.example", "x")
        invite = self.invite()
        answer = self.phone.answer("INVITE")
        self.assertEqual(answer.status, 302)
        self.assertEqual(answer.headers.get("contact"), "<sip:12@provider.example>")
        self.phone.acknowledge(invite, answer)
        self.assertEqual(self.provider.heard, [])

    def test_who_asks(self) -> None:
        """
        A plugin is told whether a phone of ours asks.
        """
        self.invite()
        self.provider.invite("sip:nobody@203.0.113.1")
        self.assertEqual([from_phone for _, from_phone in self.plugin.asked], [True, False])

    def test_register(self) -> None:
        """
        Registrations are nobody's call: plugins are not asked.
        """
        self.registered(self.phone)
        self.assertEqual(self.plugin.asked, [])

    def test_failure(self) -> None:
        """
        A plugin that raises leaves the request as it was.
        """
        self.plugin.answer = ValueError("x")
        self.invite()
        self.assertEqual(self.passed().uri, "sip:carol@provider.example")
        self.assert_failed()

    def test_once(self) -> None:
        """
        When a name turns out to be ours, plugins are asked about the request as it
        came, and a prefix is not put twice.
        """
        self.proxy.resolver.names["us.example"] = [Hop("203.0.113.1", 5060)]

        def prefix(ticket: Ticket, from_phone: bool) -> Ticket:
            uri = ticket.uri
            assert uri is not None
            return retargeted(ticket, f"sip:0{uri.user}@{uri.host}")

        self.plugin.answer = prefix
        self.phone.invite("sip:12@us.example")
        users = [ticket.uri.user for ticket, _ in self.second.asked]
        self.assertEqual(users, ["012", "012"])


class UnknownPartyTests(StageCase):
    kind = Unknown

    def test_named(self) -> None:
        """
        A call for nobody goes to the phone that a plugin names.
        """
        uri = self.registered(self.phone)
        self.plugin.answer = lambda ticket, from_phone: retargeted(ticket, uri)
        self.provider.invite("sip:nobody@203.0.113.1")
        self.assertEqual(self.phone.last("INVITE").uri, "sip:alice@10.0.0.10:5060")

    def test_named_nobody(self) -> None:
        """
        When the phone that a plugin names is not there either, it is 404: nobody
        is called on behalf of strangers.
        """
        self.plugin.answer = lambda ticket, from_phone: retargeted(ticket, "sip:x@198.51.100.1")
        self.provider.invite("sip:nobody@203.0.113.1")
        self.assertEqual(self.provider.statuses("INVITE"), [404])

    def test_redirected(self) -> None:
        """
        Or the caller is told where to call.
        """
        self.plugin.answer = moved("sip:reception@pbx.example", "default target")
        self.provider.invite("sip:nobody@203.0.113.1")
        self.assertEqual(self.provider.statuses("INVITE"), [302])

    def test_known(self) -> None:
        """
        Nobody asks about a call for somebody we know.
        """
        self.invite()
        self.call_in()
        self.assertEqual(self.plugin.asked, [])

    def test_nothing_to_say(self) -> None:
        """
        Without a plugin's word it stays 404; one that raises does not change that.
        """
        self.second.answer = ValueError("x")
        self.provider.invite("sip:nobody@203.0.113.1")
        self.assertEqual(self.provider.statuses("INVITE"), [404])
        self.assert_failed()


class PreProxyTests(StageCase):
    kind = PreProxy

    def test_masked(self) -> None:
        """
        What a plugin puts into a request is masked like all else.
        """

        def contact(forward: Forward) -> Ticket:
            request = with_header(forward.ticket.request, "Contact", "<sip:x@10.0.0.10:5060>")
            return forward.ticket.with_request(request)

        self.plugin.answer = contact
        self.invite()
        self.assertIn("@203.0.113.1", self.passed().headers.get("contact") or "")
        self.assertIn("<sip:x@", self.second.asked[0].ticket.request.headers.get("contact"))

    def test_other_decisions(self) -> None:
        """
        A plugin may refuse now, or send the request elsewhere.
        """
        self.plugin.answer = Reply(488, why="x")
        self.invite()
        self.assertEqual(self.phone.statuses("INVITE"), [488])
        target = "sip:198.51.100.1"
        elsewhere = Agent(self.proxy, "198.51.100.1", side=Side.OUTSIDE)
        self.plugin.answer = lambda forward: forward._replace(
            targets=(forward.targets[0]._replace(next_hop=target),)
        )
        self.invite(call_id="second")
        self.assertEqual(len(elsewhere.requests("INVITE")), 1)

    def test_cancel(self) -> None:
        """
        A CANCEL is shown, and goes its way whatever a plugin says.
        """
        invite = self.invite()
        self.provider.reply(self.passed(), 180)
        self.plugin.answer = Reply(403)
        self.phone.cancel(invite)
        self.assertEqual(self.plugin.asked[-1].ticket.method, "CANCEL")
        self.assertEqual(len(self.provider.requests("CANCEL")), 1)

    def test_not_asked_again(self) -> None:
        """
        After a plugin has failed a message, the other still sees it.
        """
        self.plugin.answer = ValueError("x")
        self.invite()
        self.assertEqual(len(self.second.asked), 1)
        self.assert_failed()


@implementer(IRaw, IPreProxy, IPostProxy)
class Choosy(Answering):
    """
    Looks at INVITEs as they are routed, at responses as they leave, and at STUN.
    """

    @only(starts=b"\x00\x01")
    def raw(self, data: bytes, source: Hop, side: Side) -> None:
        self.say(data[:1])

    @only(methods=("INVITE",))
    def pre_proxy(self, forward: Forward) -> None:
        self.say(forward.ticket.method)

    @only(kind=Response)
    def post_proxy(self, message: Response, hop: Hop, side: Side) -> None:
        self.say(message.status)


@implementer(IRaw)
class Wrapped(Answering):
    @only(starts=b"#")
    def raw(self, data: bytes, source: Hop, side: Side) -> bytes:
        self.say(data[:2])
        return data[1:]


class WrappedTests(StageCase):
    kind = Wrapped

    def test_unwrapped(self) -> None:
        """
        What begins otherwise after a plugin has changed it is for those plugins that
        look at that.
        """
        data = bytes(self.invite())
        self.phone.deliver(b"#" + data.replace(b"z9hG4bK", b"z9hG4bK1").replace(b"carol", b"dave"))
        self.assertEqual(self.passed().uri, "sip:dave@provider.example")
        self.assertEqual((self.plugin.asked, self.second.asked), ([b"#I"], []))

    def test_twice(self) -> None:
        """
        What still begins as others look at is theirs.
        """
        data = bytes(self.invite())
        self.phone.deliver(b"##" + data.replace(b"z9hG4bK", b"z9hG4bK1").replace(b"carol", b"dave"))
        self.assertEqual(self.passed().uri, "sip:dave@provider.example")
        self.assertEqual((self.plugin.asked, self.second.asked), ([b"##"], [b"#I"]))


class OnlyTests(StageCase):
    kind = Choosy
    methods = ("INVITE", "BYE")

    def test_call(self) -> None:
        """
        A plugin is asked about what it looks at, stage by stage, and nothing else.
        """
        caller, _ = self.call_out()
        caller.send("BYE")
        self.provider.reply(self.provider.last("BYE"), 200)
        self.phone.deliver(b"\x00\x01noise")
        self.assertEqual(self.plugin.asked, ["INVITE", 100, 180, 200, 200, b"\x00"])


@implementer(IPostProxy)
class OnRequests(Answering):
    @only(kind=Request)
    def post_proxy(self, message: Request, hop: Hop, side: Side) -> None:
        self.say(message.method)


class RequestsTests(StageCase):
    kind = OnRequests

    def test_not_asked(self) -> None:
        """
        Where plugins look at requests alone, responses leave without a further step.
        """
        self.call_out()
        self.assertEqual(self.plugin.asked, ["INVITE", "ACK"])
        self.assertIsNone(self.proxy.parts.transactions.dress)


class MethodTests(StageCase):
    kind = PreProxy
    methods = ("INVITE",)

    def test_methods(self) -> None:
        """
        A plugin that wants to see INVITEs sees nothing else.
        """
        caller, _ = self.call_out()
        caller.send("BYE")
        self.assertEqual([one.ticket.method for one in self.plugin.asked], ["INVITE"])


class MediaTests(StageCase):
    kind = Media

    def setUp(self) -> None:
        super().setUp()
        self.plugin.answer = lambda sdp, message, from_phone: sdp.replace(b" 8 101", b" 8")

    def test_call(self) -> None:
        """
        Offer and answer are changed, then anchored; their lengths are right.
        """
        self.call_out()
        offer, answer = self.passed(), self.phone.answer("INVITE")
        for message, host in ((offer, b"203.0.113.1"), (answer, b"10.0.0.1")):
            self.assertRegex(message.body, rb"m=audio 70\d\d RTP/AVP 8\r\n")
            self.assertIn(b"c=IN IP4 " + host, message.body)
            self.assertEqual(message.headers.get("content-length"), str(len(message.body)))
        self.assertEqual([from_phone for *_, from_phone in self.second.asked], [True, False])

    def test_multipart(self) -> None:
        """
        Only the description within a multipart body is shown and changed.
        """
        head = "--b\r\nContent-Type: application/sdp\r\n\r\n"
        body = f"{head}{sdp('10.0.0.10')}\r\n--b\r\nContent-Type: text/x\r\n\r\n 8 101\r\n--b--\r\n"
        self.invite(body=body, type='multipart/mixed; boundary="b"')
        self.assertTrue(self.plugin.asked[0][0].startswith(b"v=0"))
        self.assertIn(b"RTP/AVP 8\r\n", self.passed().body)
        self.assertIn(b"\r\n 8 101\r\n--b--", self.passed().body)

    def test_no_description(self) -> None:
        """
        Bodies of other kinds are not shown, nor those that cannot be read.
        """
        self.invite(body="hello", type="text/plain", call_id="one")
        self.invite(body="x", type="multipart/mixed", call_id="two")
        self.invite(media=0, call_id="three")
        self.assertEqual(self.plugin.asked, [])
        self.assertEqual(self.failures(), [])

    def test_failure(self) -> None:
        """
        A plugin that raises leaves the description as it was.
        """
        self.plugin.answer = ValueError("x")
        self.invite()
        self.assertIn(b" 8 101", self.passed().body)
        self.assert_failed()


class ResponseTests(StageCase):
    kind = Back

    def test_changed(self) -> None:
        """
        A response is changed before the caller hears it; the second sees that.
        """
        self.plugin.answer = lambda response, passage: with_header(response, "X-Seen", "yes")
        self.call_out()
        self.assertEqual(self.phone.answer("INVITE").headers.get("x-seen"), "yes")
        self.assertEqual(self.second.asked[0][0].headers.get("x-seen"), "yes")
        response, passage = self.plugin.asked[0]
        self.assertEqual((response.status, passage.hop.host), (180, "203.0.113.20"))

    def test_media_follows(self) -> None:
        """
        A body that a plugin changes is anchored as it then is.
        """

        def move(response: Response, passage: Passage) -> Response:
            return response._replace(body=response.body.replace(b"audio 6000", b"audio 6006"))

        self.plugin.answer = move
        self.call_out()
        call = next(iter(self.proxy.parts.relaying.calls()))
        stream = call.stream(0)
        assert stream is not None
        self.assertRegex(self.phone.answer("INVITE").body, rb"m=audio 70\d\d ")
        self.assertNotIn(b"600", self.phone.answer("INVITE").body)

    def test_refusal(self) -> None:
        """
        A status that a plugin makes another one ends the call as that.
        """
        self.plugin.answer = lambda response, passage: response._replace(status=486)
        self.invite()
        self.provider.reply(self.passed(), 404)
        self.assertEqual(self.phone.statuses("INVITE"), [486])
        self.proxy.wait(70)
        self.assertEqual(self.proxy.rtp_ports, [])

    def test_failure(self) -> None:
        """
        A plugin that raises, or returns a request, leaves the response as it was.
        """
        self.plugin.answer = lambda response, passage: Request("X", "sip:x", Headers())
        self.call_out()
        self.assertEqual(self.phone.statuses("INVITE"), [180, 200])
        self.assertGreater(len(self.failures()), 0)
        self.flushLoggedErrors()


class PostProxyTests(StageCase):
    kind = PostProxy

    def kinds(self) -> list[str]:
        return [
            message.method if isinstance(message, Request) else str(message.status)
            for message, *_ in self.plugin.asked
        ]

    def test_call(self) -> None:
        """
        Everything that goes out is shown once, our own 100 too.
        """
        caller, _ = self.call_out()
        caller.send("BYE")
        self.provider.reply(self.provider.last("BYE"), 200)
        self.assertEqual(self.kinds(), ["100", "INVITE", "180", "200", "ACK", "BYE", "200"])
        _, hop, side = self.plugin.asked[1]
        self.assertEqual((hop.host, side), ("203.0.113.20", Side.OUTSIDE))

    def test_repeated(self) -> None:
        """
        What is repeated for lack of an answer goes out as it was, and is not shown
        again.
        """
        self.plugin.answer = lambda message, hop, side: with_header(message, "X-Seen", "yes")
        self.invite()
        self.proxy.wait(2)
        sent = self.provider.datagrams
        self.assertGreater(len(sent), 1)
        self.assertEqual(set(sent), {sent[0]})
        self.assertEqual(self.passed().headers.get("x-seen"), "yes")
        self.assertEqual(self.kinds(), ["100", "INVITE"])

    def test_own_answers(self) -> None:
        """
        Refusals of ours are shown as well.
        """
        self.invite(hops="0")
        self.assertEqual(self.kinds(), ["483"])

    def test_failure(self) -> None:
        """
        A plugin that raises, or returns a message of the other kind, holds nothing up.
        """
        self.plugin.answer = lambda message, hop, side: ValueError
        self.call_out()
        self.assertEqual(self.phone.statuses("INVITE"), [180, 200])
        self.flushLoggedErrors()


class CallEndedTests(StageCase):
    kind = Ended

    def test_ended(self) -> None:
        """
        A call that is over is told once, with what its media came to.
        """
        caller, _ = self.call_out()
        self.proxy.wait(3)
        caller.send("BYE")
        self.provider.reply(self.provider.last("BYE"), 200)
        [call] = self.plugin.asked
        self.assertEqual((call.call_id, call.reason), (caller.call_id, "BYE"))
        self.assertAlmostEqual(call.duration, 3.0, places=3)
        self.assertIsNotNone(call.media)
        self.assertEqual(self.second.asked, [call])

    def test_without_media(self) -> None:
        """
        A call without media is told as well.
        """
        self.invite(media=0)
        self.provider.reply(self.passed(), 486)
        [call] = self.plugin.asked
        self.assertEqual((call.reason, call.media, call.duration), ("486", None, 0.0))

    def test_shutdown(self) -> None:
        """
        Calls that are cut off by a stop are told while plugins still listen.
        """
        self.call_out()
        self.proxy.parts.relaying.stopService()
        self.assertEqual([call.reason for call in self.plugin.asked], ["shutdown"])

    def test_failure(self) -> None:
        """
        A plugin that raises keeps no other from hearing of it.
        """
        self.plugin.answer = ValueError("x")
        self.invite()
        self.provider.reply(self.passed(), 486)
        self.assertEqual(len(self.second.asked), 1)
        self.assert_failed()
