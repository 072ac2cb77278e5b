"""
Whole calls through the whole proxy: what each side sees of them.
"""

from __future__ import annotations

from siptwist.sip.fields import NameAddr, Via
from siptwist.sip.hop import Side
from siptwist.sip.message import Message, Request
from tests.services.walking import Agent, Leg, Proxy, WalkingCase, sdp

UPDATES = ("INVITE", "UPDATE")
METHODS = ("INFO", "REFER", "NOTIFY", "MESSAGE", "SUBSCRIBE", "OPTIONS", "PUBLISH", "FOO")
US_INSIDE, US_OUTSIDE = "<sip:10.0.0.1;lr>", "<sip:203.0.113.1;lr>"


def places(message: Message) -> str:
    """
    Every line in which a message says where somebody is.
    """
    keys = ("contact", "via", "record-route", "route")
    lines = [header[2] for header in message.headers if header[0] in keys]
    return "\n".join([*lines, message.body.decode()])


class CallOutTests(WalkingCase):
    """
    A phone calls out: INVITE 100 180 200 ACK BYE 200.
    """

    def test_each_side_hears_the_call(self) -> None:
        """
        Provider and phone hear each message of the call once, in order (P1 of siproxd).
        """
        caller, _ = self.call_out()
        caller.send("BYE")
        self.provider.reply(self.provider.last("BYE"), 200)
        lines = [d.split(b"\r\n")[0].split(b" sip:")[0] for d in self.provider.datagrams]
        self.assertEqual(lines, [b"INVITE", b"ACK", b"BYE"])
        lines = [d.split(b"\r\n")[0] for d in self.phone.datagrams]
        self.assertEqual([line[8:11] for line in lines], [b"100", b"180", b"200", b"200"])
        self.assert_clean(self.phone.call_id)

    def test_outside_sees_no_private_address(self) -> None:
        """
        Contact, Via, Record-Route, Route and SDP of what leaves name no inside address.
        """
        caller, _ = self.call_out(
            headers=[("Record-Route", "<sip:10.0.0.9;lr>")], vias=["SIP/2.0/UDP 10.0.0.9;branch=z1"]
        )
        caller.routes = [US_INSIDE]
        caller.send("INVITE", body=sdp("10.0.0.10", 4002))
        self.provider.reply(self.provider.last("INVITE"), 200, body=sdp("203.0.113.30", 6000))
        caller.send("ACK")
        caller.send("BYE")
        self.assertEqual(len(self.provider.heard), 4)
        for message in self.provider.heard:
            self.assertNotIn("10.0.0.", places(message))

    def test_phone_gets_its_own_vias_back(self) -> None:
        """
        The phone's Vias return in each answer, the first with received and rport (P6 of siproxd).
        """
        self.call_out(vias=["SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKdeeper"])
        for response in self.phone.responses("INVITE"):
            first, second = (Via.parse(text) for text in response.headers.values("via"))
            self.assertEqual(first.parameter("received"), "10.0.0.10")
            self.assertEqual(first.parameter("rport"), "5060")
            self.assertEqual(str(second), "SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKdeeper")

    def test_answer_goes_to_the_true_source(self) -> None:
        """
        A Via that lies about the port does not lead the answer astray (P6 and F17 of siproxd).
        """
        self.phone.port = 40000
        self.phone.send("OPTIONS", "sip:10.0.0.1", branch="z9hG4bKx")
        self.assertEqual(self.phone.answer("OPTIONS").status, 200)

    def test_phone_is_given_a_route_of_the_inside(self) -> None:
        """
        The phone's next requests come to our inside address, the provider's to the outside one
        (P8 of siproxd).
        """
        self.call_out()
        self.assertEqual(self.provider.last("INVITE").headers.values("record-route"), [US_OUTSIDE])
        self.assertEqual(self.phone.answer("INVITE").headers.values("record-route"), [US_INSIDE])

    def test_hidden_record_routes_return(self) -> None:
        """
        A proxy inside that recorded itself stays in the route of the phone.
        """
        self.call_out(headers=[("Record-Route", "<sip:10.0.0.9;lr>")])
        routes = self.phone.answer("INVITE").headers.values("record-route")
        self.assertEqual(routes, [US_INSIDE, "<sip:10.0.0.9;lr>"])

    def test_one_hop_less(self) -> None:
        """
        Max-Forwards goes down by one; where there is none, 70 is counted down.
        """
        self.phone.invite("sip:carol@provider.example", hops="17")
        self.assertEqual(self.provider.last("INVITE").headers.get("max-forwards"), "16")

    def test_unknown_headers_survive(self) -> None:
        """
        Headers that we do not know leave byte by byte as they came, in their order.
        """
        odd = [("x-Odd", ' a , "b;c" ;d'), ("User-Agent", "Phone/1.0 (ä)"), ("X-Odd", "second")]
        self.phone.invite("sip:carol@provider.example", headers=odd)
        came = self.provider.last("INVITE")
        kept = [header[2] for header in came.headers if header[0] in ("x-odd", "user-agent")]
        self.assertEqual(kept, [f"{name}: {value}" for name, value in odd])

    def test_from_and_to_stay(self) -> None:
        """
        From, To and Call-ID stay as the phone made them.
        """
        sent = self.phone.invite("sip:carol@provider.example")
        came = self.provider.last("INVITE")
        for key in ("from", "to", "call-id", "cseq", "content-type"):
            self.assertEqual(came.headers.fields(key), sent.headers.fields(key))

    def test_sdp_names_our_ports(self) -> None:
        """
        Each party is told the port of ours that faces it; unknown SDP lines stay.
        """
        self.call_out()
        told = self.provider.last("INVITE").body.decode()
        self.assertIn("c=IN IP4 203.0.113.1\r\n", told)
        self.assertIn("a=x-unknown:kept\r\n", told)
        self.assertNotIn("m=audio 4000 ", told)
        answer = self.phone.answer("INVITE").body.decode()
        self.assertIn("c=IN IP4 10.0.0.1\r\n", answer)
        self.assertIn("o=- 5365 2353 IN IP4 10.0.0.1\r\n", answer)
        (call,) = self.proxy.parts.relaying.calls()
        self.assertEqual(call.key.caller_side, Side.INSIDE)

    def test_unregistered_phone_is_called_back(self) -> None:
        """
        The far end's requests reach a phone that calls without being registered.
        """
        _, callee = self.call_out()
        callee.send("BYE")
        self.assertEqual(self.phone.last("BYE").uri, "sip:alice@10.0.0.10:5060")
        self.phone.reply(self.phone.last("BYE"), 200)
        self.assertEqual(self.provider.statuses("BYE"), [200])
        self.assert_clean(self.phone.call_id)

    def test_hop_of_a_phone_without_rport(self) -> None:
        """
        A phone that knows nothing of rport is answered where it sent from all the same (P6 and
        F17 of siproxd).
        """
        sent = self.phone.invite("sip:carol@provider.example", branch="z9hG4bKold")
        text = bytes(sent).replace(b";rport", b"").replace(b"Kold", b"Kolder")
        self.phone.port = 50_000
        self.phone.deliver(text)
        self.provider.reply(self.provider.last("INVITE"), 486)
        self.assertEqual(self.phone.statuses("INVITE"), [486])


class UserAgentTests(WalkingCase):
    """
    ua_string is set.
    """

    text = "ua_string = Hidden\n"

    def test_user_agent_is_replaced(self) -> None:
        """
        Calls and registrations leave with the User-Agent of ua_string.
        """
        named = [("User-Agent", "Phone/1.0")]
        self.phone.invite("sip:carol@provider.example", headers=named)
        self.phone.register(headers=named, call_id="other")
        for method in ("INVITE", "REGISTER"):
            found = self.provider.last(method).headers.values("user-agent")
            self.assertEqual(found, ["Hidden"], method)

    def test_inbound_user_agent_stays(self) -> None:
        """
        What phones hear of the world keeps its User-Agent.
        """
        uri = self.registered(self.phone)
        self.provider.invite(uri, headers=[("User-Agent", "World/1.0")])
        self.assertEqual(self.phone.last("INVITE").headers.get("user-agent"), "World/1.0")


class CallInTests(WalkingCase):
    """
    A registered phone is called.
    """

    def test_call_reaches_the_phone(self) -> None:
        """
        An INVITE to the mask arrives with the phone's own Contact as Request-URI.
        """
        caller, _ = self.call_in()
        came = self.phone.last("INVITE")
        self.assertEqual(came.uri, "sip:alice@10.0.0.10:5060")
        self.assertEqual(came.headers.values("record-route"), [US_INSIDE])
        self.assertEqual(self.provider.statuses("INVITE"), [180, 200])
        caller.send("BYE")
        self.phone.reply(self.phone.last("BYE"), 200)
        self.assertEqual(self.provider.statuses("BYE"), [200])
        self.assert_clean(caller.call_id)

    def test_outside_sees_no_private_address(self) -> None:
        """
        Ringing, answer and BYE of a phone that is called name no inside address.
        """
        _, callee = self.call_in()
        callee.send("BYE")
        self.assertEqual(len(self.provider.heard), 5)
        for message in self.provider.heard:
            self.assertNotIn("10.0.0.", places(message))

    def test_caller_gets_its_vias_and_our_outside_route(self) -> None:
        """
        The caller's Vias return; its next requests come to our outside address (P8 of siproxd).
        """
        self.call_in(vias=["SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bKfar"])
        answer = self.provider.answer("INVITE")
        self.assertEqual(
            answer.headers.values("via")[1], "SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bKfar"
        )
        self.assertEqual(answer.headers.values("record-route"), [US_OUTSIDE])

    def test_record_routes_before_us_stay(self) -> None:
        """
        The provider's Record-Route reaches the phone behind ours and returns in place.
        """
        self.call_in(headers=[("Record-Route", "<sip:203.0.113.20;lr>")])
        told = self.phone.last("INVITE").headers.values("record-route")
        self.assertEqual(told, [US_INSIDE, "<sip:203.0.113.20;lr>"])
        answered = self.provider.answer("INVITE").headers.values("record-route")
        self.assertEqual(answered, [US_OUTSIDE, "<sip:203.0.113.20;lr>"])

    def test_contact_of_the_answer_is_the_mask(self) -> None:
        """
        The answer's Contact is the one that the registrar knows.
        """
        self.call_in()
        contact = self.provider.answer("INVITE").headers.get("contact")
        self.assertEqual(contact, f"<sip:alice@203.0.113.1;line={self.binding(self.phone).mask}>")

    def test_redirection_elsewhere_stays(self) -> None:
        """
        A phone that redirects to somebody else: that Contact goes out as it is.
        """
        self.provider.invite(self.registered(self.phone))
        came = self.phone.last("INVITE")
        self.phone.reply(came, 302, contact="<sip:dave@elsewhere.example>")
        self.assertEqual(
            self.provider.answer("INVITE").headers.values("contact"),
            ["<sip:dave@elsewhere.example>"],
        )

    def test_provider_that_calls_the_aor(self) -> None:
        """
        A provider that sends user@our-address without the mask finds the phone.
        """
        self.registered(self.phone)
        self.provider.invite("sip:alice@203.0.113.1", to=f"<{self.phone.aor}>")
        self.assertEqual(self.phone.last("INVITE").uri, "sip:alice@10.0.0.10:5060")

    def test_two_accounts_with_one_user_part(self) -> None:
        """
        alice at two providers: each provider's call rings its own phone (F11 of siproxd).
        """
        far = Agent(self.proxy, "203.0.113.50", "far", side=Side.OUTSIDE, domain="second.example")
        self.proxy.resolver.names["second.example"] = [
            self.proxy.resolver.names["provider.example"][0]._replace(host="203.0.113.50")
        ]
        twin = Agent(self.proxy, "10.0.0.12", "alice", domain="second.example")
        self.registered(self.phone)
        twin.register()
        passed = far.last("REGISTER")
        far.reply(passed, 200, contact=passed.headers.get("contact"))
        far.invite("sip:alice@203.0.113.1", to="<sip:alice@second.example>")
        self.provider.invite("sip:alice@203.0.113.1", to="<sip:alice@provider.example>")
        self.assertEqual(len(twin.requests("INVITE")), 1)
        self.assertEqual(len(self.phone.requests("INVITE")), 1)


class InDialogTests(WalkingCase):
    """
    Requests inside of a call, both ways.
    """

    def test_phone_to_world(self) -> None:
        """
        Every method, known or not, goes from the phone to the far end's Contact.
        """
        caller, _ = self.call_out()
        for method in METHODS:
            caller.send(method)
            came = self.provider.last(method)
            self.assertEqual(came.uri, "sip:server@203.0.113.20:5060", method)
            self.assertNotIn("route", came.headers)
            self.provider.reply(came, 202)
            self.assertEqual(self.phone.statuses(method), [202])

    def test_world_to_phone(self) -> None:
        """
        Every method, known or not, goes from the far end to the phone's Contact.
        """
        caller, _ = self.call_in()
        for method in METHODS:
            caller.send(method)
            came = self.phone.last(method)
            self.assertEqual(came.uri, "sip:alice@10.0.0.10:5060", method)
            self.phone.reply(came, 202)
            self.assertEqual(self.provider.statuses(method), [202])

    def test_new_offers_both_ways(self) -> None:
        """
        re-INVITE and UPDATE of either end are answered, the ports stay the same.
        """
        caller, callee = self.call_out()
        before = self.proxy.rtp_ports
        for method in UPDATES:
            caller.send(method, body=sdp("10.0.0.10", 4000))
            came = self.provider.last(method)
            self.assertNotIn("10.0.0.", places(came))
            self.provider.reply(came, 200, body=sdp("203.0.113.30", 6000))
            self.assertIn("c=IN IP4 10.0.0.1", self.phone.answer(method).body.decode())
            callee.send(method, body=sdp("203.0.113.30", 6000))
            came = self.phone.last(method)
            self.assertIn("c=IN IP4 10.0.0.1", came.body.decode())
            self.phone.reply(came, 200, body=sdp("10.0.0.10", 4000))
            self.assertIn("c=IN IP4 203.0.113.1", self.provider.answer(method).body.decode())
        self.assertEqual(self.proxy.rtp_ports, before)

    def test_dialog_makers_are_recorded(self) -> None:
        """
        Requests that make or refresh a dialog carry our Record-Route, others do not (P8 of
        siproxd).
        """
        caller, _ = self.call_out()
        for method in ("SUBSCRIBE", "REFER", "NOTIFY", "UPDATE"):
            caller.send(method)
            routes = self.provider.last(method).headers.values("record-route")
            self.assertEqual(routes, [US_OUTSIDE], method)
        for method in ("INFO", "MESSAGE", "BYE"):
            caller.send(method)
            self.assertNotIn("record-route", self.provider.last(method).headers, method)

    def test_route_through_others(self) -> None:
        """
        Behind us in the Route: the next proxy gets the request, its Route unchanged.
        """
        caller, _ = self.call_out()
        caller.routes = [US_INSIDE, "<sip:203.0.113.40;lr>", "<sip:203.0.113.41;lr>"]
        next_proxy = Agent(self.proxy, "203.0.113.40", "proxy", side=Side.OUTSIDE)
        caller.send("INFO")
        came = next_proxy.last("INFO")
        self.assertEqual(came.uri, "sip:server@203.0.113.20:5060")
        self.assertEqual(
            came.headers.values("route"), ["<sip:203.0.113.40;lr>", "<sip:203.0.113.41;lr>"]
        )

    def test_next_hop_is_a_strict_router(self) -> None:
        """
        A next hop without lr gets its own URI as Request-URI, the target as last Route (P8 of
        siproxd).
        """
        caller, _ = self.call_out()
        caller.routes = [US_INSIDE, "<sip:203.0.113.40>"]
        strict = Agent(self.proxy, "203.0.113.40", "proxy", side=Side.OUTSIDE)
        caller.send("INFO")
        came = strict.last("INFO")
        self.assertEqual(came.uri, "sip:203.0.113.40")
        self.assertEqual(came.headers.values("route"), ["<sip:server@203.0.113.20:5060>"])

    def test_phone_is_a_strict_router(self) -> None:
        """
        A request whose Request-URI is our Record-Route goes to its last Route (P8 of siproxd).
        """
        caller, _ = self.call_out()
        target, caller.target = caller.target, "sip:10.0.0.1;lr"
        caller.routes = [f"<{target}>"]
        caller.send("INFO")
        came = self.provider.last("INFO")
        self.assertEqual(came.uri, target)
        self.assertNotIn("route", came.headers)

    def test_both_routes_of_ours(self) -> None:
        """
        Two Routes of ours in a row, one per side, are both taken off (P8 of siproxd).
        """
        caller, _ = self.call_out()
        caller.routes = [US_INSIDE, US_OUTSIDE]
        caller.send("INFO")
        self.assertNotIn("route", self.provider.last("INFO").headers)

    def test_route_of_a_stranger(self) -> None:
        """
        Nobody outside can use us to reach a third party by a Route.
        """
        victim = Agent(self.proxy, "198.51.100.9", "victim", side=Side.OUTSIDE)
        stranger = Agent(self.proxy, "198.51.100.66", "stranger", side=Side.OUTSIDE)
        uri = self.registered(self.phone)
        for target in (uri, "sip:dave@198.51.100.9"):
            routes = [("Route", US_OUTSIDE), ("Route", "<sip:198.51.100.9;lr>")]
            stranger.send("MESSAGE", target, headers=routes)
        self.assertEqual(victim.datagrams, [])
        self.assertNotIn("route", self.phone.last("MESSAGE").headers)
        self.assertEqual(stranger.statuses("MESSAGE"), [404])

    def test_binding_has_lapsed(self) -> None:
        """
        A call goes on when the registration of its phone has lapsed meanwhile.
        """
        self.registered(self.phone, expires=60)
        caller, _ = self.call_in()
        self.proxy.reactor.advance(4000)
        for binding in self.proxy.locations.expire(self.proxy.reactor.seconds()):
            self.proxy.core.retire(binding, self.proxy.reactor.seconds())
        self.assertEqual(len(self.proxy.locations), 0)
        caller.send("BYE")
        self.assertEqual(self.phone.last("BYE").uri, "sip:alice@10.0.0.10:5060")

    def test_phone_has_unregistered(self) -> None:
        """
        A call goes on when its phone signs off meanwhile.
        """
        caller, _ = self.call_in()
        self.phone.register(0, cseq=2)
        self.provider.reply(self.provider.last("REGISTER"), 200)
        self.assertEqual(len(self.proxy.locations), 0)
        caller.send("INFO")
        self.assertEqual(len(self.phone.requests("INFO")), 1)

    def test_phone_has_moved_to_another_port(self) -> None:
        """
        In-dialog requests follow a phone whose port changed with its re-registration.
        """
        caller, _ = self.call_in()
        call_id = self.phone.call_id
        self.phone.port = 5072
        self.phone.register(cseq=2, call_id=call_id)
        passed = self.provider.last("REGISTER")
        self.provider.reply(passed, 200, contact=passed.headers.get("contact"))
        caller.send("BYE")
        self.assertEqual(self.phone.last("BYE").uri, "sip:alice@10.0.0.10:5072")

    def test_unregistered_caller_moves_by_registering(self) -> None:
        """
        A phone that called before it registered from another port is found there.
        """
        _, callee = self.call_out()
        self.proxy.reactor.advance(1)
        self.phone.port = 5072
        self.registered(self.phone)
        callee.send("BYE")
        self.assertEqual(self.phone.last("BYE").uri, "sip:alice@10.0.0.10:5072")


class ProviderProxy:
    """
    A provider that is a plain proxy: it sends bob's calls to bob's mask.

    :param records: whether it stays in the dialog.
    """

    def __init__(self, agent: Agent, records: bool) -> None:
        self.agent = agent
        self.records = records
        self.masks: dict[str, str] = {}
        self._seen = 0
        self._came: dict[str, Request] = {}

    def work(self) -> None:
        """
        Pass on what has come; answers too.
        """
        while self._seen < len(self.agent.heard):
            message = self.agent.heard[self._seen]
            self._seen += 1
            if isinstance(message, Request):
                self._pass_on(message)
            elif message.status > 100:
                branch = Via.parse(message.headers.values("via")[0]).branch
                came = self._came[branch]
                vias = came.headers.fields("via")
                headers = message.headers.replaced({"via": vias})
                self.agent.deliver(bytes(message._replace(headers=headers)))

    def _pass_on(self, request: Request) -> None:
        branch = f"z9hG4bKprov{self._seen}"
        self._came[branch] = request
        own = ("via", "", f"Via: SIP/2.0/UDP {self.agent.address};branch={branch}")
        changes: dict[str, list[tuple[str, str, str]]] = {
            "via": [own, *request.headers.fields("via")]
        }
        routes = request.headers.values("route")
        if routes:
            # RFC 3261 section 16.4: our own goes; what follows is where it goes next.
            routes = routes[1:]
            changes["route"] = [("route", r, f"Route: {r}") for r in routes]
        if request.method == "INVITE" and self.records:
            mine = f"<sip:{self.agent.address};lr>"
            changes["record-route"] = [
                ("record-route", mine, f"Record-Route: {mine}"),
                *request.headers.fields("record-route"),
            ]
        user = request.uri.partition(":")[2].partition("@")[0]
        uri = request.uri
        if "provider.example" in uri:
            uri = self.masks[user]
        elif routes and "203.0.113.1" not in routes[0]:
            raise AssertionError(f"nobody outside can reach {routes[0]}")
        headers = request.headers.replaced(changes)
        self.agent.deliver(bytes(request._replace(uri=uri, headers=headers)))


class HairpinCase(WalkingCase):
    def call(self, records: bool) -> tuple[ProviderProxy, Leg, Leg]:
        proxy = ProviderProxy(self.provider, records)
        for phone in (self.phone, self.other):
            proxy.masks[phone.user] = self.registered(phone)
        proxy._seen = len(self.provider.heard)
        sent = self.phone.invite("sip:bob@provider.example")
        proxy.work()
        came = self.other.last("INVITE")
        self.other.reply(came, 180)
        self.other.reply(came, 200, body=sdp("10.0.0.11", 5000))
        proxy.work()
        caller = Leg(self.phone, sent, self.phone.answer("INVITE"))
        callee = Leg(self.other, came, came)
        caller.send("ACK")
        proxy.work()
        return proxy, caller, callee


class HairpinTests(HairpinCase):
    """
    Two phones behind the proxy call each other through the provider (3.6).
    """

    def test_both_passes_have_media(self) -> None:
        """
        The call passes twice, with ports of its own each time.
        """
        self.call(records=True)
        keys = {call.key for call in self.proxy.parts.relaying.calls()}
        sides = {(key.caller_side, key.callee_side) for key in keys}
        self.assertEqual(sides, {(Side.INSIDE, Side.OUTSIDE), (Side.OUTSIDE, Side.INSIDE)})
        self.assertEqual(len({key.call_id for key in keys}), 1)
        self.assertEqual(len(self.proxy.rtp_ports), 8)
        self.assertEqual(len(self.other.requests("ACK")), 1)

    def test_routes_lead_through_the_provider(self) -> None:
        """
        Each Record-Route that a phone gets of ours is the one of its pass and side.
        """
        _, caller, callee = self.call(records=True)
        provider = f"<sip:{self.provider.address};lr>"
        self.assertEqual(caller.routes, [US_INSIDE, provider, US_OUTSIDE])
        self.assertEqual(callee.routes, [US_INSIDE, provider, US_OUTSIDE])

    def test_caller_hangs_up(self) -> None:
        """
        BYE of the caller ends both passes.
        """
        proxy, caller, _ = self.call(records=True)
        caller.send("BYE")
        proxy.work()
        self.other.reply(self.other.last("BYE"), 200)
        proxy.work()
        self.assertEqual(self.phone.statuses("BYE"), [200])
        self.assert_clean(self.phone.call_id)

    def test_callee_hangs_up(self) -> None:
        """
        BYE of the callee ends both passes.
        """
        proxy, _, callee = self.call(records=True)
        callee.send("BYE")
        proxy.work()
        self.phone.reply(self.phone.last("BYE"), 200)
        proxy.work()
        self.assertEqual(self.other.statuses("BYE"), [200])
        self.assert_clean(self.phone.call_id)

    def test_provider_does_not_stay_in_the_dialog(self) -> None:
        """
        A provider that recorded no route: BYE goes straight, and still ends both passes.
        """
        proxy, caller, _ = self.call(records=False)
        caller.send("BYE")
        proxy.work()
        self.other.reply(self.other.last("BYE"), 200)
        proxy.work()
        self.assertEqual(self.phone.statuses("BYE"), [200])
        self.assert_clean(self.phone.call_id)


class SilentHairpinTests(HairpinCase):
    """
    Such a call in which nobody says anything.
    """

    text = "rtp_timeout = 30\ndirect_media = off\n"

    def test_silent(self) -> None:
        """
        Both phones hear BYE in their dialogs, whoever else is in between, and nothing
        of either pass is left.
        """
        for records in (True, False):
            self.phone.call_id = f"silent-{records}"
            proxy, caller, callee = self.call(records)
            self.proxy.wait(33, 1.0)
            for leg in (caller, callee):
                bye = leg.agent.last("BYE")
                self.assertEqual(bye.headers.get("call-id"), caller.call_id)
                self.assertEqual(
                    (bye.headers.to.tag, bye.headers.from_.tag), (leg.tag, leg.remote_tag)
                )
                leg.agent.reply(bye, 200)
            proxy.work()
            for leg in (caller, callee):
                leg.agent.reply(leg.agent.last("BYE"), 481)
            self.assert_clean(caller.call_id)


class ForkingProviderTests(WalkingCase):
    """
    Two phones on one account: the provider rings both, under one Call-ID.
    """

    def setUp(self) -> None:
        super().setUp()
        self.other.user = "alice"
        uris = [self.registered(phone) for phone in (self.phone, self.other)]
        self.sent = [self.provider.invite(uri) for uri in uris]
        for phone in (self.phone, self.other):
            phone.reply(phone.last("INVITE"), 180, tag=phone.host)

    def answered(self) -> Leg:
        self.other.reply(
            self.other.last("INVITE"), 200, tag=self.other.host, body=sdp(self.other.host)
        )
        caller = Leg(self.provider, self.sent[1], self.provider.answer("INVITE"))
        caller.send("ACK")
        return caller

    def test_one_declines(self) -> None:
        """
        One phone declines: the other can still be answered, with media.
        """
        self.phone.reply(self.phone.last("INVITE"), 486, tag=self.phone.host)
        self.provider.acknowledge(self.sent[0], self.provider.answer("INVITE"))
        caller = self.answered()
        answer = self.provider.answer("INVITE")
        self.assertEqual(answer.status, 200)
        self.assertIn("c=IN IP4 203.0.113.1", answer.body.decode())
        self.assertEqual(len(self.proxy.rtp_ports), 4)
        caller.send("BYE")
        self.other.reply(self.other.last("BYE"), 200)
        self.assert_clean(self.provider.call_id)

    def test_one_answers(self) -> None:
        """
        One phone answers, the provider cancels the other: the call goes on.
        """
        caller = self.answered()
        self.provider.cancel(self.sent[0])
        self.phone.reply(self.phone.last("CANCEL"), 200)
        self.phone.reply(self.phone.last("INVITE"), 487, tag=self.phone.host)
        self.provider.acknowledge(self.sent[0], self.provider.answer("INVITE"))
        self.assertEqual(len(self.proxy.rtp_ports), 4)
        caller.send("BYE")
        self.other.reply(self.other.last("BYE"), 200)
        self.assert_clean(self.provider.call_id)

    def test_both_decline(self) -> None:
        """
        Both decline: the ports are free.
        """
        for phone, sent in zip((self.phone, self.other), self.sent, strict=True):
            phone.reply(phone.last("INVITE"), 486, tag=phone.host)
            self.provider.acknowledge(sent, self.provider.answer("INVITE"))
        self.assert_clean(self.provider.call_id)


class DirectCallTests(WalkingCase):
    """
    Two phones that are registered with us call each other directly (3.6).
    """

    def setUp(self) -> None:
        super().setUp()
        for phone in (self.phone, self.other):
            phone.domain = "10.0.0.1"
            phone.register()
            self.assertEqual(phone.answer("REGISTER").status, 200)

    def test_direct_call(self) -> None:
        """
        The call rings the other phone, with plain Contacts, and media through us.
        """
        sent = self.phone.invite("sip:bob@10.0.0.1")
        came = self.other.last("INVITE")
        self.assertEqual(came.uri, "sip:bob@10.0.0.11:5060")
        self.assertEqual(came.headers.get("contact"), "<sip:alice@10.0.0.10:5060>")
        self.assertIn("c=IN IP4 10.0.0.1", came.body.decode())
        self.other.reply(came, 200, body=sdp("10.0.0.11", 5000))
        caller = Leg(self.phone, sent, self.phone.answer("INVITE"))
        self.assertEqual(caller.target, "sip:bob@10.0.0.11:5060")
        caller.send("ACK")
        caller.send("BYE")
        self.other.reply(self.other.last("BYE"), 200)
        self.assertEqual(self.phone.statuses("BYE"), [200])
        self.assertEqual(self.provider.datagrams, [])
        self.assert_clean(self.phone.call_id)

    def test_path_of_the_registration(self) -> None:
        """
        A phone that registered through another proxy is reached through it (RFC 3327; P12 of
        siproxd).
        """
        path = [("Path", "<sip:10.0.0.11:5070;lr>"), ("Supported", "path")]
        self.other.register(headers=path, cseq=2)
        edge = Agent(self.proxy, "10.0.0.11", "edge", port=5070)
        self.phone.invite("sip:bob@10.0.0.1")
        came = edge.last("INVITE")
        self.assertEqual(came.headers.get("route"), "<sip:10.0.0.11:5070;lr>")
        self.assertEqual(came.uri, "sip:bob@10.0.0.11:5060")
        edge.reply(came, 486)
        self.assertEqual(self.phone.statuses("INVITE"), [486])

    def test_callee_hangs_up(self) -> None:
        """
        The one who was called hangs up: the ports are free again.
        """
        self.phone.invite("sip:bob@10.0.0.1")
        came = self.other.last("INVITE")
        self.other.reply(came, 200, body=sdp("10.0.0.11", 5000))
        callee = Leg(self.other, came, came)
        callee.send("BYE")
        self.phone.reply(self.phone.last("BYE"), 200)
        self.assert_clean(self.phone.call_id)


class OneAddressTests(WalkingCase):
    """
    Everything on 127.0.0.1, told apart by ports alone.
    """

    def make_proxy(self) -> Proxy:
        return Proxy("127.0.0.1/8", "127.0.0.1/8", "sip_listen_port = 5070\n")

    def setUp(self) -> None:
        super().setUp()
        self.phone = Agent(self.proxy, "127.0.0.1", "alice", 5062, domain="127.0.0.1:5080")
        self.provider = Agent(self.proxy, "127.0.0.1", "server", 5080, domain="127.0.0.1:5080")
        self.us = "127.0.0.1:5070"

    def test_one_socket(self) -> None:
        """
        One wildcard socket serves both sides.
        """
        self.assertEqual(list(self.proxy.reactor.ports), [("0.0.0.0", 5070)])

    def test_calls_out_and_in(self) -> None:
        """
        A phone registers through us, calls out, is called, and both calls end clean.
        """
        uri = self.registered(self.phone)
        self.assertIn(f"alice@{self.us};line=", uri)
        self.assertEqual(
            self.phone.answer("REGISTER").headers.get("contact"),
            "<sip:alice@127.0.0.1:5062>;expires=3600",
        )
        sent = self.phone.invite("sip:carol@127.0.0.1:5080")
        came = self.provider.last("INVITE")
        self.assertEqual(NameAddr.parse(came.headers.get("contact") or "", "Contact").uri_text, uri)
        self.provider.reply(came, 200, body=sdp("127.0.0.1", 6000))
        caller = Leg(self.phone, sent, self.phone.answer("INVITE"))
        caller.send("ACK")
        caller.send("BYE")
        self.provider.reply(self.provider.last("BYE"), 200)
        self.assertEqual(self.phone.statuses("BYE"), [200])
        sent = self.provider.invite(uri)
        came = self.phone.last("INVITE")
        self.assertEqual(came.uri, "sip:alice@127.0.0.1:5062")
        self.phone.reply(came, 200, body=sdp("127.0.0.1", 4000))
        caller = Leg(self.provider, sent, self.provider.answer("INVITE"))
        self.assertEqual(caller.target, uri)
        caller.send("BYE")
        self.phone.reply(self.phone.last("BYE"), 200)
        self.assert_clean(self.phone.call_id, self.provider.call_id)

    def test_two_phones_through_the_provider(self) -> None:
        """
        Two phones on one host call each other through the provider on that host.
        """
        other = Agent(self.proxy, "127.0.0.1", "bob", 5064, domain="127.0.0.1:5080")
        self.registered(self.phone)
        uri = self.registered(other)
        sent = self.phone.invite("sip:bob@127.0.0.1:5080")
        came = self.provider.last("INVITE")
        self.provider.send(
            "INVITE",
            uri,
            call_id=sent.headers.get("call-id") or "",
            vias=came.headers.values("via"),
            contact=came.headers.get("contact"),
            headers=[("Record-Route", r) for r in came.headers.values("record-route")],
            body=came.body.decode(),
            to="<sip:bob@127.0.0.1:5080>",
        )
        self.assertEqual(other.last("INVITE").uri, "sip:bob@127.0.0.1:5064")
        self.assertEqual(len(list(self.proxy.parts.relaying.calls())), 2)


class BehindARouterTests(WalkingCase):
    """
    One address, behind a router whose public address host_outbound names.
    """

    def make_proxy(self) -> Proxy:
        return Proxy("192.168.1.5/24", "192.168.1.5/24", "host_outbound = 198.51.100.1\n")

    def setUp(self) -> None:
        super().setUp()
        self.phone = Agent(self.proxy, "192.168.1.20", "alice")
        self.provider = Agent(self.proxy, "203.0.113.20", "server")

    def test_call_out(self) -> None:
        """
        The outside sees the router's address and nothing of the inside.
        """
        self.registered(self.phone)
        _, callee = self.call_out()
        for message in self.provider.heard:
            self.assertNotIn("192.168.", places(message))
        self.assertIn("c=IN IP4 198.51.100.1", self.provider.last("INVITE").body.decode())
        self.assertIn("c=IN IP4 192.168.1.5", self.phone.answer("INVITE").body.decode())
        callee.send("BYE")
        self.phone.reply(self.phone.last("BYE"), 200)
        self.assert_clean(self.phone.call_id)

    def test_call_in(self) -> None:
        """
        A call to the router's address rings the phone.
        """
        caller, _ = self.call_in()
        self.assertEqual(
            self.phone.last("INVITE").headers.values("record-route"), ["<sip:192.168.1.5;lr>"]
        )
        caller.send("BYE")
        self.phone.reply(self.phone.last("BYE"), 200)
        self.assert_clean(caller.call_id)

    def test_stranger_is_no_phone(self) -> None:
        """
        Who is neither known nor of our premises cannot call out through us.
        """
        stranger = Agent(self.proxy, "198.51.100.66", "stranger")
        stranger.invite("sip:carol@provider.example")
        self.assertEqual(stranger.statuses("INVITE"), [404])
        self.assertEqual(self.provider.datagrams, [])
