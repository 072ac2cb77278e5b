"""
Tests for siptwist.services.serving.ending: calls that we end ourselves.
"""

from __future__ import annotations

from typing import Any

from siptwist.media.stream import CallKey
from siptwist.services.console.console import Console
from siptwist.sip.hop import Side
from siptwist.sip.message import Request
from tests.services.walking import Agent, Leg, WalkingCase, sdp

CAROL = "sip:carol@provider.example"


class EndingCase(WalkingCase):
    def hang_up(self, *agents: Agent) -> None:
        """
        Each answers the BYE that it heard.
        """
        for agent in agents:
            agent.reply(agent.last("BYE"), 200)

    def told(self) -> list[dict[str, Any]]:
        return [one for one in self.events if "hear BYE" in str(one.get("log_format"))]

    def assert_in_dialog(self, request: Request, leg: Leg, number: int) -> None:
        """
        The request is one that ``leg`` must take for its own dialog's.
        """
        headers = request.headers
        self.assertEqual(headers.get("call-id"), leg.call_id)
        self.assertEqual(headers.from_.tag, leg.remote_tag)
        self.assertEqual(headers.to.tag, leg.tag)
        self.assertEqual(headers.cseq.number, number)
        self.assertEqual(len(headers.values("via")), 1)
        self.assertEqual(request.uri, f"sip:{leg.agent.user}@{leg.agent.address}")


class SilenceTests(EndingCase):
    """
    Nobody is heard for rtp_timeout.
    """

    text = "rtp_timeout = 30\ndirect_media = off\n"

    def test_calls_out(self) -> None:
        """
        Both ends hear BYE in their dialogs, the media is closed, one line in the log
        and in the count (R8 of siproxd: the relay just disappears).
        """
        caller, callee = self.call_out()
        self.proxy.wait(29, 1.0)
        self.assertEqual((self.phone.requests("BYE"), self.provider.requests("BYE")), ([], []))
        self.proxy.wait(3, 1.0)
        self.assert_in_dialog(self.phone.last("BYE"), caller, 1)
        self.assert_in_dialog(self.provider.last("BYE"), callee, 2)
        self.assertIn("silence", self.phone.last("BYE").headers.get("reason") or "")
        self.hang_up(self.phone, self.provider)
        (line,) = self.told()
        self.assertEqual((line["told"], line["call_id"]), (2, self.phone.call_id))
        self.assertEqual(self.proxy.parts.ending.counts, {"silence": 1})
        self.assert_clean(self.phone.call_id)

    def test_is_called(self) -> None:
        """
        So it is when the phone was called; it hears BYE where it is.
        """
        caller, callee = self.call_in()
        self.proxy.wait(32, 1.0)
        self.assert_in_dialog(self.phone.last("BYE"), callee, 2)
        self.assert_in_dialog(self.provider.last("BYE"), caller, 1)
        self.hang_up(self.phone, self.provider)
        self.assert_clean(self.provider.call_id)

    def test_requests_before(self) -> None:
        """
        The numbers of BYE follow those of requests that each end had sent.
        """
        caller, callee = self.call_out()
        for leg, other in ((caller, callee), (caller, callee), (callee, caller)):
            leg.send("INFO", headers=[("Info-Package", "x")])
            other.agent.reply(other.agent.last("INFO"), 200)
        self.proxy.wait(32, 1.0)
        self.assert_in_dialog(self.phone.last("BYE"), caller, 102)
        self.assert_in_dialog(self.provider.last("BYE"), callee, 4)

    def test_within_house(self) -> None:
        """
        Two phones that call each other through us both hear it.
        """
        for phone in (self.phone, self.other):
            phone.domain = "10.0.0.1"
            phone.register()
        sent = self.phone.invite("sip:bob@10.0.0.1")
        came = self.other.last("INVITE")
        self.other.reply(came, 200, body=sdp("10.0.0.11", 4002))
        Leg(self.phone, sent, self.phone.answer("INVITE")).send("ACK")
        self.proxy.wait(32, 1.0)
        self.hang_up(self.phone, self.other)
        self.assert_clean(self.phone.call_id)

    def test_proxies_between(self) -> None:
        """
        BYE goes by way of the proxies that want to hear of it, ours left out.
        """
        sent = self.phone.invite(CAROL, headers=[("Record-Route", "<sip:10.0.0.77;lr>")])
        came = self.provider.last("INVITE")
        routes = ["<sip:203.0.113.41;lr>", "<sip:203.0.113.42;lr>"]
        headers = came.headers.edit()
        headers.set("Record-Route", *routes, *came.headers.values("record-route"))
        self.provider.reply(came._replace(headers=headers.finish()), 200, body=sdp("203.0.113.30"))
        Leg(self.phone, sent, self.phone.answer("INVITE")).send("ACK")
        near = Agent(self.proxy, "10.0.0.77")
        far = Agent(self.proxy, "203.0.113.42", side=Side.OUTSIDE)
        self.proxy.wait(32, 1.0)
        self.assertEqual(near.last("BYE").headers.values("route"), ["<sip:10.0.0.77;lr>"])
        self.assertEqual(far.last("BYE").headers.values("route"), routes[::-1])
        self.assertEqual((self.phone.requests("BYE"), self.provider.requests("BYE")), ([], []))

    def test_moved(self) -> None:
        """
        A phone that has registered from another port hears it there, and an end that
        has told another Contact hears it at that one.
        """
        registration = self.phone.call_id
        self.registered(self.phone)
        self.phone.call_id = "the-call"
        _, callee = self.call_out()
        self.phone.port = 5072
        self.phone.register(cseq=2, call_id=registration)
        passed = self.provider.last("REGISTER")
        self.provider.reply(passed, 200, contact=passed.headers.get("contact"))
        callee.send("UPDATE", contact="<sip:new@203.0.113.20>")
        self.phone.reply(self.phone.last("UPDATE"), 200)
        self.proxy.wait(32, 1.0)
        self.assertEqual(self.phone.last("BYE").uri, "sip:alice@10.0.0.10:5072")
        self.assertEqual(self.provider.last("BYE").uri, "sip:new@203.0.113.20")

    def test_refused_change(self) -> None:
        """
        A re-INVITE that was refused moves nobody.
        """
        _, callee = self.call_out()
        callee.send("INVITE", contact="<sip:new@203.0.113.99>", body=sdp("203.0.113.30"))
        self.phone.reply(self.phone.last("INVITE"), 488)
        self.proxy.wait(40, 1.0)
        self.assertEqual(self.provider.last("BYE").uri, "sip:server@203.0.113.20:5060")

    def test_outbound_proxy(self) -> None:
        """
        BYE to the outside goes where the phone's own would go.
        """
        far = Agent(self.proxy, "203.0.113.50", side=Side.OUTSIDE)
        self.proxy.core.proxies = type(self.proxy.core.proxies)("sip:203.0.113.50")
        sent = self.phone.invite(CAROL)
        far.reply(far.last("INVITE"), 200, body=sdp("203.0.113.30"), contact="<sip:x@1.2.3.4>")
        Leg(self.phone, sent, self.phone.answer("INVITE")).send("ACK")
        self.proxy.wait(32, 1.0)
        self.assertEqual(far.last("BYE").uri, "sip:x@1.2.3.4")

    def test_two_callees(self) -> None:
        """
        A call that two have answered ends for both of them.
        """
        sent = self.phone.invite(CAROL)
        came = self.provider.last("INVITE")
        for tag in ("one", "two"):
            self.provider.reply(came, 200, body=sdp("203.0.113.30"), tag=tag)
        Leg(self.phone, sent, self.phone.answer("INVITE")).send("ACK")
        self.proxy.wait(32, 1.0)
        tags = {request.headers.to.tag for request in self.provider.requests("BYE")}
        self.assertEqual(tags, {"one", "two"})
        tags = {request.headers.from_.tag for request in self.phone.requests("BYE")}
        self.assertEqual(tags, {"one", "two"})

    def test_one_is_gone(self) -> None:
        """
        An end that cannot be reached or found keeps nothing, and nobody, waiting.
        """
        sent = self.phone.invite(CAROL)
        came = self.provider.last("INVITE")
        self.provider.reply(came, 200, body=sdp("203.0.113.3"), contact="<sip:x@nowhere.example>")
        Leg(self.phone, sent, self.phone.answer("INVITE")).send("ACK")
        self.proxy.wait(32, 1.0)
        self.assertEqual(self.provider.requests("BYE"), [])
        self.phone.vanish()
        self.assert_clean(self.phone.call_id)

    def test_joined_late(self) -> None:
        """
        Of a call that began before we were there the ends are not known: it is just
        let go.
        """
        self.phone.send("INVITE", CAROL, to_tag="old", body=sdp("10.0.0.10"))
        self.provider.reply(self.provider.last("INVITE"), 200, body=sdp("203.0.113.30"))
        self.proxy.wait(400, 1.0)
        self.assertEqual([line["told"] for line in self.told()], [0])
        self.assert_clean(self.phone.call_id)

    def test_not_for_early_calls(self) -> None:
        """
        Who hears no ringing tone for that long is not hung up.
        """
        self.phone.invite(CAROL)
        self.provider.reply(self.provider.last("INVITE"), 180)
        self.proxy.wait(60, 1.0)
        self.assertEqual((self.phone.requests("BYE"), self.provider.requests("BYE")), ([], []))


class LimitTests(EndingCase):
    """
    A call may last ``max_call_time`` seconds.
    """

    text = "max_call_time = 60\nrtp_timeout = 0\n"

    def test_limit(self) -> None:
        """
        It ends with BYE to both, to within three seconds.
        """
        caller, callee = self.call_out()
        self.proxy.wait(59, 1.0)
        self.assertEqual(len(self.proxy.dialogs), 1)
        self.proxy.wait(4, 1.0)
        self.assert_in_dialog(self.phone.last("BYE"), caller, 1)
        self.assert_in_dialog(self.provider.last("BYE"), callee, 2)
        self.hang_up(self.phone, self.provider)
        self.assertEqual(self.proxy.parts.ending.counts, {"max_call_time": 1})
        self.assert_clean(self.phone.call_id)

    def test_hung_up_before(self) -> None:
        """
        A shorter call is not touched, nor the time until it is answered counted.
        """
        sent = self.phone.invite(CAROL)
        came = self.provider.last("INVITE")
        self.provider.reply(came, 180)
        self.proxy.wait(50, 1.0)
        self.provider.reply(came, 200, body=sdp("203.0.113.30"))
        caller = Leg(self.phone, sent, self.phone.answer("INVITE"))
        caller.send("ACK")
        self.proxy.wait(50, 1.0)
        self.assertEqual(self.phone.requests("BYE"), [])
        caller.send("BYE")
        self.provider.reply(self.provider.last("BYE"), 200)
        self.proxy.wait(30, 1.0)
        self.assertEqual(self.phone.requests("BYE"), [])
        self.assert_clean(self.phone.call_id)


class DropTests(EndingCase):
    """
    The operator drops a call.
    """

    def drop(self) -> str:
        parts = self.proxy.parts
        console = Console(
            self.proxy.reactor,
            parts.settings,
            parts.relaying,
            self.proxy.dialogs,
            self.proxy.locations,
            end=parts.ending.end,
            give_up=parts.signaling.give_up,
        )
        return console.drop(self.phone.call_id)

    def test_ringing(self) -> None:
        """
        A telephone that rings stops, its caller is told, and nothing is left.
        """
        self.phone.send("INVITE", "sip:carol@provider.example", body=sdp("10.0.0.10"))
        came = self.provider.last("INVITE")
        self.provider.reply(came, 180)
        self.assertIn("1 unanswered cancelled", self.drop())
        self.provider.reply(self.provider.last("CANCEL"), 200)
        self.provider.reply(came, 487)
        self.assertEqual(self.phone.statuses("INVITE")[-1], 487)
        self.assertEqual(self.phone.requests("BYE"), [])
        self.proxy.wait(40, 1.0)
        self.assert_clean(self.phone.call_id)

    def test_drop(self) -> None:
        """
        Both ends hear BYE, and nothing is left.
        """
        caller, callee = self.call_out()
        said = self.drop()
        self.assertIn("media of 1 pass closed, 1 pass forgotten, 2 ends hear BYE", said)
        self.assert_in_dialog(self.phone.last("BYE"), caller, 1)
        self.assert_in_dialog(self.provider.last("BYE"), callee, 2)
        self.hang_up(self.phone, self.provider)
        self.assert_clean(self.phone.call_id)

    def test_unknown(self) -> None:
        """
        A call that is not known cannot be ended.
        """
        key = CallKey("nobody's", "tag", Side.INSIDE, Side.OUTSIDE)
        self.assertEqual(self.proxy.parts.ending.end(key, "because"), 0)
        self.assertEqual(self.proxy.parts.ending.counts, {})


class StrangerTests(EndingCase):
    """
    BYE and CANCEL of those who are not in the call (S6 of siproxd: only the Call-ID is
    looked at).
    """

    def test_other_tags(self) -> None:
        """
        A BYE with the Call-ID, or with one tag of two, ends nothing.
        """
        self.call_in()
        ports = self.proxy.rtp_ports
        stranger = Agent(self.proxy, "198.51.100.66", "eve", side=Side.OUTSIDE)
        uri = self.provider.last("REGISTER").headers.values("contact")[0].strip("<>")
        for tags in (("made", "up"), ("from-tag", "up"), ("made", "to-tag"), ("to-tag", "x")):
            stranger.send(
                "BYE", uri, tag=tags[0], to_tag=tags[1], call_id=self.provider.call_id, cseq=9
            )
            self.phone.reply(self.phone.last("BYE"), 481)
        self.assertEqual(self.proxy.rtp_ports, ports)
        self.assertEqual(len(self.proxy.dialogs), 1)

    def test_cancel(self) -> None:
        """
        A CANCEL that names no transaction of ours is answered 481, and ends nothing.
        """
        invite = self.phone.invite(CAROL)
        self.provider.reply(self.provider.last("INVITE"), 180)
        stranger = Agent(self.proxy, "10.0.0.66", "eve")
        stranger.cancel(stranger.invite(CAROL, call_id=self.phone.call_id, tag="other"))
        editor = invite.headers.edit()
        editor.set("Via", f"SIP/2.0/UDP {stranger.address};branch=z9hG4bK-guessed;rport")
        stranger.cancel(invite._replace(headers=editor.finish()))
        self.assertEqual(stranger.statuses("CANCEL")[-1], 481)
        self.assertEqual(self.provider.requests("CANCEL"), [])
        self.assertEqual(self.phone.statuses("INVITE"), [180])
