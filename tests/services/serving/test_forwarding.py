"""
Tests for siptwist.services.serving.forwarding: several targets, dead servers, callers
who give up, and the media of it all.
"""

from __future__ import annotations

from zope.interface.verify import verifyObject

from siptwist.errors import NoFreePorts, SIPError, Unresolvable
from siptwist.interfaces import IMediaBackend, IRegistrationStore, IResolver
from siptwist.media.stream import CallKey, Party
from siptwist.sip.headers import make_header
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Request
from tests.fakes import FakeMedia, FakeResolver, FakeStore
from tests.services.walking import Agent, Leg, Proxy, WalkingCase, sdp

CAROL = "sip:carol@provider.example"


class FakesTests(WalkingCase):
    """
    The stand-ins keep their contracts.
    """

    def test_interfaces(self) -> None:
        """
        Store, resolver and media of these tests provide what they stand for.
        """
        verifyObject(IRegistrationStore, FakeStore())
        verifyObject(IResolver, FakeResolver())
        verifyObject(IMediaBackend, FakeMedia())


class CancelTests(WalkingCase):
    """
    The caller gives up.
    """

    def gives_up(self, *statuses: int) -> Request:
        sent = self.phone.invite(CAROL)
        for status in statuses:
            self.provider.reply(self.provider.last("INVITE"), status)
        self.phone.cancel(sent)
        return sent

    def ends(self, sent: Request) -> None:
        """
        The provider ends the INVITE; everybody acknowledges.
        """
        self.provider.reply(self.provider.last("CANCEL"), 200)
        self.provider.reply(self.provider.last("INVITE"), 487)
        self.assertEqual(self.phone.statuses("INVITE")[-1], 487)
        self.phone.acknowledge(sent, self.phone.answer("INVITE"))
        self.assertEqual(len(self.provider.requests("ACK")), 1)
        self.assert_clean(self.phone.call_id)

    def test_before_any_answer(self) -> None:
        """
        A CANCEL waits until the next hop says something (RFC 3261 section 9.1).
        """
        sent = self.gives_up()
        self.assertEqual(self.phone.statuses("CANCEL"), [200])
        self.assertEqual(self.provider.requests("CANCEL"), [])
        self.provider.reply(self.provider.last("INVITE"), 100)
        self.ends(sent)

    def test_while_ringing(self) -> None:
        """
        A ringing call is cancelled at once, and 487 goes back; the ports are free (P1 of siproxd).
        """
        sent = self.gives_up(180)
        cancel = self.provider.last("CANCEL")
        came = self.provider.last("INVITE")
        self.assertEqual(cancel.uri, came.uri)
        self.assertEqual(cancel.headers.values("via"), came.headers.values("via"))
        self.assertEqual(cancel.headers.get("cseq"), "1 CANCEL")
        self.ends(sent)

    def test_after_the_answer(self) -> None:
        """
        A CANCEL that comes too late is answered and changes nothing.
        """
        sent = self.gives_up(180)
        self.provider.reply(self.provider.last("INVITE"), 200, body=sdp("203.0.113.30"))
        self.assertEqual(self.phone.statuses("INVITE"), [180, 200])
        self.proxy.wait(1)
        self.phone.cancel(self.phone.invite(CAROL, call_id="two", branch="z9hG4bKtwo"))
        self.assertEqual(len(self.proxy.rtp_ports), 8)
        self.assertEqual(sent.method, "INVITE")

    def test_of_an_answered_call(self) -> None:
        """
        Once the call is answered, CANCEL goes no further and the call stays.
        """
        sent = self.gives_up_late()
        self.phone.cancel(sent)
        self.assertEqual(self.phone.statuses("CANCEL"), [200])
        self.assertEqual(self.provider.requests("CANCEL"), [])
        self.assertEqual(len(self.proxy.rtp_ports), 4)

    def gives_up_late(self) -> Request:
        sent = self.phone.invite(CAROL)
        self.provider.reply(self.provider.last("INVITE"), 200, body=sdp("203.0.113.30"))
        return sent

    def test_of_nothing(self) -> None:
        """
        A CANCEL for an INVITE that nobody sent is answered 481 (P1 of siproxd).
        """
        sent = self.phone.invite(CAROL, branch="z9hG4bKone")
        other = sent.headers.fields("via")[0][1].replace("Kone", "Kother")
        self.phone.cancel(
            sent._replace(headers=sent.headers.replaced({"via": [make_header("Via", other)]}))
        )
        self.assertEqual(self.phone.statuses("CANCEL"), [481])
        self.assertEqual(self.provider.requests("CANCEL"), [])

    def test_while_the_name_is_resolved(self) -> None:
        """
        A call given up while DNS is asked never leaves; 487 goes back.
        """
        self.proxy.resolver.slow.add("provider.example")
        self.gives_up()
        self.proxy.resolver.answer()
        self.assertEqual(self.provider.datagrams, [])
        self.assertEqual(self.phone.statuses("INVITE"), [487])
        self.phone.acknowledge(
            self.phone.invite(CAROL, branch="z9hG4bKz"), self.phone.answer("INVITE")
        )

    def test_answer_crosses_the_cancel(self) -> None:
        """
        An answer that crosses the CANCEL reaches the caller, who hangs up.
        """
        sent = self.gives_up(180)
        self.provider.reply(self.provider.last("INVITE"), 200, body=sdp("203.0.113.30"))
        caller = Leg(self.phone, sent, self.phone.answer("INVITE"))
        caller.send("ACK")
        caller.send("BYE")
        self.provider.reply(self.provider.last("CANCEL"), 200)
        self.provider.reply(self.provider.last("BYE"), 200)
        self.assert_clean(self.phone.call_id)

    def test_next_hop_ignores_the_cancel(self) -> None:
        """
        Who rings on after a CANCEL is given up after 32 seconds with 408.
        """
        sent = self.gives_up(180)
        self.provider.reply(self.provider.last("CANCEL"), 200)
        self.proxy.wait(33)
        self.assertEqual(self.phone.statuses("INVITE")[:2], [180, 408])
        self.phone.acknowledge(sent, self.phone.answer("INVITE"))
        self.assert_clean(self.phone.call_id)


class RepetitionTests(WalkingCase):
    """
    Lost and repeated messages.
    """

    def test_invite_before_an_answer(self) -> None:
        """
        A repeated INVITE hears the last provisional answer again and goes no further (P1 of
        siproxd).
        """
        sent = self.phone.invite(CAROL)
        self.phone.again(sent)
        self.assertEqual([m.status for m in self.phone.heard], [100, 100])  # type: ignore[union-attr]
        self.provider.reply(self.provider.last("INVITE"), 180)
        self.phone.again(sent)
        self.assertEqual(self.phone.statuses("INVITE"), [180, 180])
        self.assertEqual(len(self.provider.requests("INVITE")), 1)

    def test_answered_request(self) -> None:
        """
        A repeated MESSAGE gets the same final answer again, byte by byte.
        """
        sent = self.phone.send("MESSAGE", CAROL)
        self.provider.reply(self.provider.last("MESSAGE"), 200)
        self.phone.again(sent)
        first, second = self.phone.datagrams
        self.assertEqual(first, second)
        self.assertEqual(len(self.provider.requests("MESSAGE")), 1)

    def test_pending_request(self) -> None:
        """
        A repeated MESSAGE that is not answered yet is swallowed.
        """
        sent = self.phone.send("MESSAGE", CAROL)
        self.phone.again(sent)
        self.assertEqual(len(self.provider.requests("MESSAGE")), 1)
        self.assertEqual(self.phone.datagrams, [])

    def test_we_repeat_what_is_lost(self) -> None:
        """
        An INVITE that nobody answers is sent again after 0.5, 1.5, 3.5 ... seconds (P1 of siproxd).
        """
        self.phone.invite(CAROL)
        counts = []
        for _ in range(4):
            self.proxy.wait(1)
            counts.append(len(self.provider.requests("INVITE")))
        self.assertEqual(counts, [2, 3, 3, 4])
        self.assertEqual(len(set(self.provider.datagrams)), 1)

    def test_refusal_is_acknowledged_by_us(self) -> None:
        """
        A refusal is acknowledged hop by hop: ours goes out, the phone's stops here.
        """
        sent = self.phone.invite(CAROL)
        came = self.provider.last("INVITE")
        self.provider.reply(came, 486)
        (ack,) = self.provider.requests("ACK")
        self.assertEqual(ack.headers.values("via"), came.headers.values("via"))
        self.assertIn("tag=to-tag", ack.headers.get("to") or "")
        self.phone.acknowledge(sent, self.phone.answer("INVITE"))
        self.assertEqual(len(self.provider.requests("ACK")), 1)
        self.assert_clean(self.phone.call_id)

    def test_repeated_refusal(self) -> None:
        """
        A refusal that comes again is acknowledged again and not passed on twice.
        """
        self.phone.invite(CAROL)
        for _ in range(2):
            self.provider.reply(self.provider.last("INVITE"), 486)
        self.assertEqual(len(self.provider.requests("ACK")), 2)
        self.assertEqual(self.phone.statuses("INVITE"), [486])

    def test_refusal_is_repeated_until_acknowledged(self) -> None:
        """
        The phone hears a refusal again until it acknowledges.
        """
        sent = self.phone.invite(CAROL)
        self.provider.reply(self.provider.last("INVITE"), 486)
        self.proxy.wait(2)
        self.assertEqual(self.phone.statuses("INVITE"), [486, 486, 486])
        self.phone.acknowledge(sent, self.phone.answer("INVITE"))
        self.proxy.wait(5)
        self.assertEqual(len(self.phone.statuses("INVITE")), 3)

    def test_repeated_answer(self) -> None:
        """
        A 200 that comes again is passed on again, until the ACK comes through.
        """
        sent = self.phone.invite(CAROL)
        for _ in range(2):
            self.provider.reply(self.provider.last("INVITE"), 200, body=sdp("203.0.113.30"))
        self.assertEqual(self.phone.statuses("INVITE"), [200, 200])
        first, second = self.phone.datagrams[1:]
        self.assertEqual(first, second)
        caller = Leg(self.phone, sent, self.phone.answer("INVITE"))
        caller.send("ACK")
        caller.send("ACK")
        self.assertEqual(len(self.provider.requests("ACK")), 2)

    def test_silence_after_an_invite(self) -> None:
        """
        Nobody answers an INVITE: 408 after 32 seconds, nothing left behind (P1 of siproxd).
        """
        sent = self.phone.invite(CAROL)
        self.proxy.wait(33)
        self.assertEqual(self.phone.statuses("INVITE")[:1], [408])
        self.assertIn("tag=", self.phone.answer("INVITE").headers.get("to") or "")
        self.phone.acknowledge(sent, self.phone.answer("INVITE"))
        self.assertEqual(self.proxy.resolver.dead, [Hop("203.0.113.20", 5060)])
        self.assert_clean(self.phone.call_id)

    def test_nobody_listens_to_anybody(self) -> None:
        """
        Caller and callee both fall silent: all is forgotten nevertheless.
        """
        self.phone.invite(CAROL)
        self.proxy.wait(70)
        self.assert_clean(self.phone.call_id)

    def test_ringing_for_ever(self) -> None:
        """
        A call that rings longer than timer C (185 seconds) is ended (section 16.8; P1 of siproxd).
        """
        sent = self.phone.invite(CAROL)
        self.provider.reply(self.provider.last("INVITE"), 180)
        self.proxy.wait(186)
        self.provider.reply(self.provider.last("CANCEL"), 200)
        self.provider.reply(self.provider.last("INVITE"), 487)
        self.assertEqual(self.phone.statuses("INVITE"), [180, 487])
        self.phone.acknowledge(sent, self.phone.answer("INVITE"))
        self.assert_clean(self.phone.call_id)

    def test_ringing_is_renewed(self) -> None:
        """
        Each further ringing answer gives the callee timer C again.
        """
        self.phone.invite(CAROL)
        for _ in range(3):
            self.provider.reply(self.provider.last("INVITE"), 180)
            self.proxy.wait(120)
        self.assertEqual(self.provider.requests("CANCEL"), [])


class SeveralPhonesCase(WalkingCase):
    """
    bob has three phones here; alice calls bob.
    """

    def setUp(self) -> None:
        super().setUp()
        self.desk, self.cell, self.door = (
            Agent(self.proxy, f"10.0.0.{n}", "bob", domain="10.0.0.1") for n in (21, 22, 23)
        )
        self.phone.domain = "10.0.0.1"

    def bind(self, *phones: Agent, q: tuple[str, ...] = ()) -> None:
        for index, phone in enumerate(phones):
            weight = f";q={q[index]}" if q else ""
            phone.register(contact=phone.contact + weight)
            self.assertEqual(phone.statuses("REGISTER"), [200])

    def call(self) -> Request:
        return self.phone.invite("sip:bob@10.0.0.1")

    def refuse(self, phone: Agent, status: int, **more: str) -> None:
        headers = [(name.replace("_", "-"), value) for name, value in more.items()]
        phone.reply(phone.last("INVITE"), status, tag=phone.host, headers=headers)


class SeveralPhonesTests(SeveralPhonesCase):
    """
    Forking to all of them.
    """

    text = "direct_media = off\n"

    def test_all_ring(self) -> None:
        """
        All phones of equal preference ring at once, each under its own branch.
        """
        self.bind(self.desk, self.cell)
        self.call()
        branches = {p.last("INVITE").headers.values("via")[0] for p in (self.desk, self.cell)}
        self.assertEqual(len(branches), 2)
        for phone in (self.desk, self.cell):
            self.assertEqual(phone.last("INVITE").uri, phone.contact[1:-1])
            self.assertNotIn("c=IN IP4 10.0.0.10", phone.last("INVITE").body.decode())

    def test_first_answer_wins(self) -> None:
        """
        One phone answers: the caller hears it, the other stops ringing.
        """
        self.bind(self.desk, self.cell)
        sent = self.call()
        self.refuse(self.cell, 180)
        self.refuse(self.desk, 180)
        self.desk.reply(self.desk.last("INVITE"), 200, body=sdp("10.0.0.21"))
        self.assertEqual(self.phone.statuses("INVITE"), [180, 180, 200])
        self.cell.reply(self.cell.last("CANCEL"), 200)
        self.refuse(self.cell, 487)
        self.assertEqual(self.phone.statuses("INVITE"), [180, 180, 200])
        self.assertEqual(len(self.cell.requests("ACK")), 1)
        caller = Leg(self.phone, sent, self.phone.answer("INVITE"))
        caller.send("ACK")
        caller.send("BYE")
        self.desk.reply(self.desk.last("BYE"), 200)
        self.assert_clean(self.phone.call_id)

    def test_two_answers(self) -> None:
        """
        Two phones answer at once: the caller hears both, and ending one keeps the other's media.
        """
        self.bind(self.desk, self.cell)
        sent = self.call()
        legs = []
        for phone in (self.desk, self.cell):
            phone.reply(phone.last("INVITE"), 200, tag=phone.host, body=sdp(phone.host))
            legs.append(Leg(self.phone, sent, self.phone.answer("INVITE")))
        self.assertEqual(self.phone.statuses("INVITE"), [200, 200])
        legs[1].send("ACK")
        legs[1].send("BYE")
        self.cell.reply(self.cell.last("BYE"), 200)
        self.assertEqual(len(self.proxy.rtp_ports), 4)
        legs[0].send("BYE")
        self.desk.reply(self.desk.last("BYE"), 200)
        self.assert_clean(self.phone.call_id)

    def test_preferred_phone_first(self) -> None:
        """
        The phone with the higher q rings alone; the next when it has refused (P5 of siproxd).
        """
        self.bind(self.desk, self.cell, q=("0.2", "0.9"))
        self.call()
        self.assertEqual(self.desk.requests("INVITE"), [])
        self.refuse(self.cell, 486)
        self.assertEqual(len(self.desk.requests("INVITE")), 1)
        self.assertEqual(self.phone.statuses("INVITE"), [])

    def test_best_refusal(self) -> None:
        """
        When all refuse, the caller hears the best: here that one is busy, not a 500.
        """
        self.bind(self.desk, self.cell, self.door)
        sent = self.call()
        self.refuse(self.desk, 500)
        self.refuse(self.door, 486)
        self.assertEqual(self.phone.statuses("INVITE"), [])
        self.refuse(self.cell, 503)
        self.assertEqual(self.phone.statuses("INVITE"), [486])
        self.phone.acknowledge(sent, self.phone.answer("INVITE"))
        self.assert_clean(self.phone.call_id)

    def test_decline_everywhere(self) -> None:
        """
        A 603 stops all other phones and is what the caller hears.
        """
        self.bind(self.desk, self.cell, self.door, q=("1.0", "1.0", "0.1"))
        sent = self.call()
        self.refuse(self.cell, 180)
        self.refuse(self.desk, 603)
        self.assertEqual(len(self.cell.requests("CANCEL")), 1)
        self.cell.reply(self.cell.last("CANCEL"), 200)
        self.refuse(self.cell, 487)
        self.assertEqual(self.phone.statuses("INVITE"), [180, 603])
        self.assertEqual(self.door.requests("INVITE"), [])
        self.phone.acknowledge(sent, self.phone.answer("INVITE"))
        self.assert_clean(self.phone.call_id)

    def test_challenges_are_collected(self) -> None:
        """
        Two phones want a password each: the caller sees both challenges.
        """
        self.bind(self.desk, self.cell)
        self.call()
        self.refuse(self.desk, 407, Proxy_Authenticate='Digest realm="desk"')
        self.refuse(self.cell, 407, Proxy_Authenticate='Digest realm="cell"')
        self.assertEqual(
            sorted(self.phone.answer("INVITE").headers.lines("proxy-authenticate")),
            ['Digest realm="cell"', 'Digest realm="desk"'],
        )

    def test_caller_gives_up(self) -> None:
        """
        The caller gives up: every phone stops ringing, 487 goes back.
        """
        self.bind(self.desk, self.cell)
        sent = self.call()
        for phone in (self.desk, self.cell):
            self.refuse(phone, 180)
        self.phone.cancel(sent)
        for phone in (self.desk, self.cell):
            phone.reply(phone.last("CANCEL"), 200)
            self.refuse(phone, 487)
        self.assertEqual(self.phone.statuses("INVITE")[-1:], [487])
        self.phone.acknowledge(sent, self.phone.answer("INVITE"))
        self.assert_clean(self.phone.call_id)

    def test_no_more_phones_after_giving_up(self) -> None:
        """
        A caller that gave up makes no further phone ring.
        """
        self.bind(self.desk, self.cell, q=("0.2", "0.9"))
        sent = self.call()
        self.refuse(self.cell, 180)
        self.phone.cancel(sent)
        self.refuse(self.cell, 487)
        self.assertEqual(self.desk.requests("INVITE"), [])
        self.assertEqual(self.phone.statuses("INVITE"), [180, 487])

    def test_request_other_than_invite(self) -> None:
        """
        A MESSAGE goes to all phones; one answer goes back.
        """
        self.bind(self.desk, self.cell)
        self.phone.send("MESSAGE", "sip:bob@10.0.0.1")
        for phone in (self.desk, self.cell):
            phone.reply(phone.last("MESSAGE"), 200)
        self.assertEqual(self.phone.statuses("MESSAGE"), [200])

    def test_early_media_of_each(self) -> None:
        """
        Early media of several phones: each answer is anchored under its own To tag (F15 of
        siproxd).
        """
        self.bind(self.desk, self.cell)
        self.call()
        for phone in (self.desk, self.cell):
            phone.reply(phone.last("INVITE"), 183, tag=phone.host, body=sdp(phone.host))
        for response in self.phone.responses("INVITE"):
            self.assertIn("c=IN IP4 10.0.0.1\r\n", response.body.decode())
        self.assertEqual(len(self.proxy.rtp_ports), 4)


class SlowMediaForkTests(SeveralPhonesCase):
    """
    The same, with an engine of media that answers later or not at all.
    """

    fakes_media = True

    def test_engine_is_slow(self) -> None:
        """
        No phone rings before the ports are there; then all get them.
        """
        self.media.waits = True
        self.bind(self.desk, self.cell)
        self.call()
        self.assertEqual(self.desk.requests("INVITE") + self.cell.requests("INVITE"), [])
        self.media.lend()
        for phone in (self.desk, self.cell):
            self.assertIn("m=audio 20000 ", phone.last("INVITE").body.decode())
        self.assertEqual(len(self.media.described), 1)

    def test_engine_has_no_ports(self) -> None:
        """
        No ports for a call to two phones: neither rings, the caller hears 503.
        """
        self.media.refusal = NoFreePorts("no free ports")
        self.bind(self.desk, self.cell)
        self.call()
        self.assertEqual(self.desk.requests("INVITE") + self.cell.requests("INVITE"), [])
        self.assertEqual(self.phone.statuses("INVITE"), [503])

    def test_slow_engine_has_no_ports(self) -> None:
        """
        An engine that refuses later refuses the call to all phones alike.
        """
        self.media.waits = True
        self.bind(self.desk, self.cell)
        self.call()
        self.media.refuse(NoFreePorts("no free ports"))
        self.assertEqual(self.desk.requests("INVITE") + self.cell.requests("INVITE"), [])
        self.assertEqual(self.phone.statuses("INVITE"), [503])
        self.assertEqual(len(self.proxy.dialogs), 0)


class ServersTests(WalkingCase):
    """
    A provider with two servers (RFC 3263 section 4.3).
    """

    def setUp(self) -> None:
        super().setUp()
        self.second = Agent(self.proxy, "203.0.113.21", "second", side=Side.OUTSIDE)
        self.hops = [Hop("203.0.113.20", 5060), Hop("203.0.113.21", 5060)]
        self.proxy.resolver.names["provider.example"] = self.hops

    def test_overloaded_server(self) -> None:
        """
        503 of the first server: the second gets the call, the phone hears of nothing.
        """
        self.phone.invite(CAROL)
        self.provider.reply(self.provider.last("INVITE"), 503)
        self.assertEqual(len(self.provider.requests("ACK")), 1)
        came = self.second.last("INVITE")
        self.assertEqual(self.phone.statuses("INVITE"), [])
        self.assertNotEqual(
            came.headers.values("via"), self.provider.last("INVITE").headers.values("via")
        )
        self.assertEqual(came.body, self.provider.last("INVITE").body)
        self.assertEqual(self.proxy.resolver.dead, self.hops[:1])
        self.second.reply(came, 486)
        self.assertEqual(self.phone.statuses("INVITE"), [486])

    def test_server_of_the_registration(self) -> None:
        """
        The server that took an account's registration gets its calls, as long as it lives.
        """
        self.proxy.resolver.names["provider.example"] = self.hops[::-1]
        self.phone.register()
        passed = self.second.last("REGISTER")
        self.second.reply(passed, 200, contact=passed.headers.get("contact"))
        self.proxy.resolver.names["provider.example"] = self.hops
        self.phone.invite(CAROL)
        self.second.reply(self.second.last("INVITE"), 486)
        self.assertEqual(self.provider.requests("INVITE"), [])
        self.proxy.resolver.dead.append(self.hops[1])
        self.phone.call_id = "another"
        self.phone.invite(CAROL)
        self.provider.reply(self.provider.last("INVITE"), 486)

    def test_dead_server(self) -> None:
        """
        A first server that never answers: the second gets the call.
        """
        sent = self.phone.invite(CAROL)
        self.proxy.wait(33)
        self.second.reply(self.second.last("INVITE"), 486)
        self.assertEqual(self.phone.statuses("INVITE"), [486])
        self.assertEqual(set(self.proxy.resolver.dead), set(self.hops[:1]))
        self.assertIn(self.hops[1], self.proxy.resolver.alive)
        self.phone.acknowledge(sent, self.phone.answer("INVITE"))
        self.assert_clean(self.phone.call_id)

    def test_both_are_overloaded(self) -> None:
        """
        When the last server is overloaded too, the phone hears 500 (RFC 3261 16.7 step 6).
        """
        self.phone.invite(CAROL)
        self.provider.reply(self.provider.last("INVITE"), 503)
        self.second.reply(self.second.last("INVITE"), 503)
        self.assertEqual(self.phone.statuses("INVITE"), [500])

    def test_register_goes_on(self) -> None:
        """
        A REGISTER too goes on with the second server, under the same mask.
        """
        self.phone.register()
        self.provider.reply(self.provider.last("REGISTER"), 503)
        came = self.second.last("REGISTER")
        contact = came.headers.get("contact") or ""
        self.assertEqual(contact, self.provider.last("REGISTER").headers.get("contact"))
        self.second.reply(came, 200, contact=contact)
        self.assertEqual(self.phone.statuses("REGISTER"), [200])
        self.assertEqual(len(self.proxy.locations), 1)

    def test_caller_has_given_up(self) -> None:
        """
        A call that was given up is not tried at the next server.
        """
        sent = self.phone.invite(CAROL)
        self.phone.cancel(sent)
        self.provider.reply(self.provider.last("INVITE"), 503)
        self.assertEqual(self.second.datagrams, [])
        self.assertEqual(self.phone.statuses("INVITE"), [500])

    def test_rang_too_long(self) -> None:
        """
        A callee that rang too long and ignores CANCEL is not called by another server.
        """
        self.phone.invite(CAROL)
        self.provider.reply(self.provider.last("INVITE"), 180)
        self.proxy.wait(220)
        self.assertEqual(self.second.datagrams, [])
        self.assertEqual(self.phone.statuses("INVITE")[:2], [180, 408])

    def test_unknown_domain(self) -> None:
        """
        A domain that DNS does not know: 404, and nothing left behind (F21 of siproxd).
        """
        sent = self.phone.invite("sip:carol@nowhere.example")
        self.assertEqual(self.phone.statuses("INVITE"), [404])
        self.phone.acknowledge(sent, self.phone.answer("INVITE"))
        self.assert_clean(self.phone.call_id)

    def test_unknown_route(self) -> None:
        """
        That a proxy on the way does not exist is no 404: nobody knows of the user.
        """
        self.phone.invite(CAROL, headers=[("Route", "<sip:nowhere.example;lr>")])
        self.assertEqual(self.phone.statuses("INVITE"), [503])

    def test_silent_name_servers(self) -> None:
        """
        Name servers that say nothing: 504, which keeps nobody away from us (F21 of siproxd).
        """
        self.proxy.resolver.slow.add("slow.example")
        self.phone.invite("sip:carol@slow.example")
        self.proxy.resolver.fail(Unresolvable("No name server told an address", 504))
        self.assertEqual(self.phone.statuses("INVITE"), [504])
        self.assertIsNone(self.phone.answer("INVITE").headers.get("retry-after"))

    def test_slow_domain(self) -> None:
        """
        A name that takes long holds up its own call only.
        """
        self.proxy.resolver.slow.add("slow.example")
        self.proxy.resolver.names["slow.example"] = self.hops[1:]
        self.phone.invite("sip:dave@slow.example", call_id="slow-one")
        self.other.invite(CAROL)
        self.assertEqual(len(self.provider.requests("INVITE")), 1)
        self.proxy.resolver.answer()
        self.assertEqual(self.second.last("INVITE").uri, "sip:dave@slow.example")

    def test_name_that_is_ours(self) -> None:
        """
        A name that resolves to us is served as our own, then and later.
        """
        self.proxy.resolver.names["pbx.example"] = [Hop("203.0.113.1", 5060)]
        for number in range(2):
            self.phone.send("OPTIONS", "sip:pbx.example", call_id=f"n{number}")
        self.assertEqual(self.phone.statuses("OPTIONS"), [200, 200])
        asked = [host for host, _, _ in self.proxy.resolver.asked]
        self.assertEqual(asked, ["pbx.example"])

    def test_names_that_are_ours_are_bounded(self) -> None:
        """
        Who invents names that resolve to us fills no table.
        """
        for number in range(1000):
            name = f"n{number}.example"
            self.proxy.resolver.names[name] = [Hop("203.0.113.1", 5060)]
            self.phone.send("OPTIONS", f"sip:{name}", call_id=name)
        self.assertLessEqual(len(self.proxy.core.identity.names), 100)
        self.assertEqual(len(self.phone.statuses("OPTIONS")), 1000)


class OfferTests(WalkingCase):
    """
    What the media backend is told of a call.
    """

    fakes_media = True

    @property
    def key(self) -> CallKey:
        return CallKey(self.phone.call_id, "from-tag", Side.INSIDE, Side.OUTSIDE)

    def told(self) -> list[tuple[Party, str, bool, str]]:
        """
        Who described what from where, as an offer or not, under which branch.
        """
        return [
            (party, host, offer, branch)
            for _, party, _, host, offer, branch in self.media.described
        ]

    def test_offer_and_answer(self) -> None:
        """
        The caller's offer, the callee's answer, each once; 200 confirms its branch.
        """
        self.call_out()
        self.assertEqual(
            self.told(),
            [
                (Party.CALLER, "10.0.0.10", True, ""),
                (Party.CALLEE, "203.0.113.20", False, "to-tag"),
            ],
        )
        self.assertEqual({one[0] for one in self.media.described}, {self.key})
        offered, answered = (one[2][0].endpoint for one in self.media.described)
        self.assertEqual((offered.host, offered.rtp_port), ("10.0.0.10", 4000))
        self.assertEqual((answered.host, answered.rtp_port), ("203.0.113.30", 6000))
        self.assertEqual(self.media.confirmed, [(self.key, "to-tag")])

    def test_early_media(self) -> None:
        """
        A 183 with SDP is an answer, anchored, but confirms nothing yet.
        """
        self.phone.invite(CAROL)
        self.provider.reply(self.provider.last("INVITE"), 183, body=sdp("203.0.113.30"))
        self.assertEqual(self.told()[1], (Party.CALLEE, "203.0.113.20", False, "to-tag"))
        self.assertIn("m=audio 20000 ", self.phone.answer("INVITE").body.decode())
        self.assertEqual(self.media.confirmed, [])

    def test_delayed_offer(self) -> None:
        """
        No SDP in the INVITE: the 200 offers, the ACK answers.
        """
        sent = self.phone.invite(CAROL, media=0)
        self.provider.reply(self.provider.last("INVITE"), 200, body=sdp("203.0.113.30"))
        caller = Leg(self.phone, sent, self.phone.answer("INVITE"))
        caller.send("ACK", body=sdp("10.0.0.10"))
        self.assertEqual(
            self.told(),
            [
                (Party.CALLEE, "203.0.113.20", True, "to-tag"),
                (Party.CALLER, "10.0.0.10", False, ""),
            ],
        )
        self.assertIn("c=IN IP4 203.0.113.1", self.provider.last("ACK").body.decode())
        self.assertEqual(self.media.settled, [self.key])

    def test_reliable_delayed_offer(self) -> None:
        """
        An offer in a reliable 183 is answered by the PRACK (RFC 3262 section 5).
        """
        sent = self.phone.invite(CAROL, media=0)
        self.provider.reply(self.provider.last("INVITE"), 183, body=sdp("203.0.113.30"))
        early = Leg(self.phone, sent, self.phone.answer("INVITE"))
        early.send("PRACK", body=sdp("10.0.0.10"))
        self.assertEqual(self.told()[1], (Party.CALLER, "10.0.0.10", False, ""))
        self.assertIn("c=IN IP4 203.0.113.1", self.provider.last("PRACK").body.decode())

    def test_offer_in_a_prack(self) -> None:
        """
        After an answer in 183, a PRACK with SDP is a new offer, its 200 the answer.
        """
        sent = self.phone.invite(CAROL)
        self.provider.reply(self.provider.last("INVITE"), 183, body=sdp("203.0.113.30"))
        early = Leg(self.phone, sent, self.phone.answer("INVITE"))
        early.send("PRACK", body=sdp("10.0.0.10", 4002))
        self.provider.reply(self.provider.last("PRACK"), 200, body=sdp("203.0.113.30"))
        self.assertEqual(
            self.told()[2:],
            [
                (Party.CALLER, "10.0.0.10", True, ""),
                (Party.CALLEE, "203.0.113.20", False, "to-tag"),
            ],
        )

    def test_update_of_the_callee(self) -> None:
        """
        An UPDATE of the callee is its offer, under its own tag; the 200 the answer.
        """
        _, callee = self.call_out()
        callee.send("UPDATE", body=sdp("203.0.113.30", 6002))
        self.phone.reply(self.phone.last("UPDATE"), 200, body=sdp("10.0.0.10"))
        self.assertEqual(
            self.told()[2:],
            [
                (Party.CALLEE, "203.0.113.20", True, "to-tag"),
                (Party.CALLER, "10.0.0.10", False, ""),
            ],
        )

    def test_refused_new_offer(self) -> None:
        """
        A re-INVITE that is refused is taken back; the call goes on (section 14.1; F1 of siproxd).
        """
        caller, _ = self.call_out()
        caller.send("INVITE", body=sdp("10.0.0.10", 4002))
        self.provider.reply(self.provider.last("INVITE"), 488)
        self.assertEqual(self.media.rejected, [(self.key, Party.CALLER)])
        self.assertEqual(self.media.closed, [])
        self.assertEqual(self.phone.statuses("INVITE")[-1], 488)

    def test_glare(self) -> None:
        """
        A re-INVITE of the phone meets an UPDATE of the callee, which is refused 491
        (RFC 3311 section 5.2): the offer of the callee is taken back, not the phone's.
        """
        caller, callee = self.call_out()
        caller.send("INVITE", body=sdp("10.0.0.10", 4002))
        callee.send("UPDATE", body=sdp("203.0.113.30", 6002))
        self.phone.reply(self.phone.last("UPDATE"), 491)
        self.assertEqual(self.media.rejected, [(self.key, Party.CALLEE)])
        self.provider.reply(self.provider.last("INVITE"), 200, body=sdp("203.0.113.30"))
        self.assertEqual(self.told()[-1], (Party.CALLEE, "203.0.113.20", False, "to-tag"))
        self.assertEqual(self.media.settled, [self.key])

    def test_refused_new_offer_after_early_answer(self) -> None:
        """
        So is a re-INVITE that a 183 had answered, once it is refused.
        """
        caller, _ = self.call_out()
        caller.send("INVITE", body=sdp("10.0.0.10", 4002))
        came = self.provider.last("INVITE")
        self.provider.reply(came, 183, body=sdp("203.0.113.30", 6002))
        self.provider.reply(came, 488)
        self.assertEqual(self.media.rejected, [(self.key, Party.CALLER)])
        self.assertEqual((self.media.settled, self.media.closed), ([], []))

    def test_new_offer_that_cannot_go_out(self) -> None:
        """
        A re-INVITE that we refuse ourselves is taken back as well.
        """
        caller, _ = self.call_out()
        caller.send("INVITE", body=sdp("10.0.0.10", 4002), contact="<sip:[>")
        self.assertEqual(self.phone.statuses("INVITE")[-1], 400)
        self.assertEqual(self.media.rejected, [(self.key, Party.CALLER)])

    def test_refused_call(self) -> None:
        """
        A final refusal of the first INVITE gives the ports back.
        """
        self.phone.invite(CAROL)
        self.provider.reply(self.provider.last("INVITE"), 486)
        self.assertEqual(self.media.closed, [(self.key, "486")])
        self.assertEqual(len(self.proxy.dialogs), 0)

    def test_bye(self) -> None:
        """
        BYE ends the media when it is answered 200, 481 or 408.
        """
        for status in (200, 481, 408):
            caller, _ = self.call_out(call_id=f"call-{status}")
            self.media.closed.clear()
            caller.send("BYE")
            self.provider.reply(self.provider.last("BYE"), status)
            self.assertEqual([reason for _, reason in self.media.closed], ["BYE"], status)

    def test_bye_is_lost(self) -> None:
        """
        A far end that never answers BYE ends the media as well.
        """
        caller, _ = self.call_out()
        caller.send("BYE")
        self.proxy.wait(33)
        self.assertEqual(self.phone.statuses("BYE"), [])
        self.assertEqual(self.media.closed, [(self.key, "BYE")])

    def test_challenged_bye(self) -> None:
        """
        BYE that is answered 401 or 407 ends nothing: it comes again.
        """
        caller, _ = self.call_out()
        for status in (401, 407):
            caller.send("BYE")
            self.provider.reply(self.provider.last("BYE"), status)
        self.assertEqual(self.media.closed, [])
        self.assertEqual(len(self.proxy.dialogs), 1)

    def test_challenged_invite(self) -> None:
        """
        An INVITE that needs a password: the second one opens the call anew (F2 of siproxd).
        """
        sent = self.phone.invite(CAROL)
        self.provider.reply(self.provider.last("INVITE"), 407)
        self.phone.acknowledge(sent, self.phone.answer("INVITE"))
        self.call_out(cseq=2)
        self.assertEqual(self.media.closed, [(self.key, "407")])
        self.assertEqual(self.media.open, {self.key})

    def test_no_ports(self) -> None:
        """
        No free ports: 503 with Retry-After, the call is not forwarded, nothing stays.
        """
        self.media.refusal = NoFreePorts("no free ports")
        sent = self.phone.invite(CAROL)
        answer = self.phone.answer("INVITE")
        self.assertEqual((answer.status, answer.headers.get("retry-after")), (503, "10"))
        self.assertEqual(self.provider.datagrams, [])
        self.phone.acknowledge(sent, answer)
        # The error's traceback holds what it came through.
        self.media.refusal = None
        self.assert_clean(self.phone.call_id)

    def test_no_ports_for_a_new_stream(self) -> None:
        """
        No ports for a re-INVITE: 503, and the call goes on as it was.
        """
        caller, _ = self.call_out()
        self.media.refusal = NoFreePorts("no free ports")
        caller.send("INVITE", body=sdp("10.0.0.10", 4002))
        self.assertEqual(self.phone.statuses("INVITE")[-1], 503)
        self.assertEqual((self.media.rejected, self.media.closed), ([], []))
        self.assertEqual(len(self.proxy.dialogs), 1)

    def test_no_ports_for_an_answer(self) -> None:
        """
        No ports for the offer in a 200: the caller hears 503, no half call.
        """
        self.phone.invite(CAROL, media=0)
        self.media.refusal = NoFreePorts("no free ports")
        came = self.provider.last("INVITE")
        self.provider.reply(came, 200, body=sdp("203.0.113.30"))
        self.media.refusal = None
        self.provider.reply(came, 200, body=sdp("203.0.113.30"))
        self.assertEqual(self.phone.statuses("INVITE"), [503])
        self.assertEqual(self.media.open, set())
        self.assertEqual(len(self.proxy.dialogs), 0)

    def test_malformed_sdp(self) -> None:
        """
        SDP that cannot be read: 400 with a reason, and nothing is forwarded.
        """
        self.phone.invite(CAROL, body="v=0\r\nm=audio x RTP/AVP 0\r\n")
        self.assertEqual(self.phone.statuses("INVITE"), [400])
        self.assertEqual(self.provider.datagrams, [])
        self.assertEqual(len(self.proxy.dialogs), 0)

    def test_malformed_sdp_in_an_answer(self) -> None:
        """
        An answer whose SDP cannot be read becomes 502; a ringing one is dropped.
        """
        self.phone.invite(CAROL)
        came = self.provider.last("INVITE")
        for status in (183, 200):
            self.provider.reply(came, status, body="v=0\r\nm=audio x RTP/AVP 0\r\n")
        self.assertEqual(self.phone.statuses("INVITE"), [502])
        self.assertEqual(self.media.open, set())

    def test_body_of_several_parts(self) -> None:
        """
        SDP inside a multipart body is anchored, the other parts stay.
        """
        body = (
            "--cut\r\nContent-Type: application/sdp\r\n\r\n"
            + sdp("10.0.0.10")
            + "\r\n--cut\r\nContent-Type: text/plain\r\n\r\nkept\r\n--cut--\r\n"
        )
        self.phone.invite(CAROL, body=body, type="multipart/mixed;boundary=cut")
        came = self.provider.last("INVITE").body.decode()
        self.assertIn("c=IN IP4 203.0.113.1\r\n", came)
        self.assertIn("m=audio 20000 ", came)
        self.assertIn("Content-Type: text/plain\r\n\r\nkept\r\n--cut--\r\n", came)
        self.assertNotIn("10.0.0.10", came)

    def test_other_bodies(self) -> None:
        """
        Bodies that are no SDP pass as they are.
        """
        self.phone.invite(CAROL, body="c=IN IP4 10.0.0.10", type="text/plain")
        self.assertEqual(self.provider.last("INVITE").body, b"c=IN IP4 10.0.0.10")
        self.assertEqual(self.media.described, [])

    def test_refused_stream(self) -> None:
        """
        A stream that is answered with port 0 is told as port 0.
        """
        self.phone.invite(CAROL, body=sdp("10.0.0.10", 4000, "m=video 4002 RTP/AVP 99\r\n"))
        self.assertIn("m=video 20002 ", self.provider.last("INVITE").body.decode())
        answer = sdp("203.0.113.30", 6000, "m=video 0 RTP/AVP 99\r\n")
        self.provider.reply(self.provider.last("INVITE"), 200, body=answer)
        self.assertIn("m=video 0 ", self.phone.answer("INVITE").body.decode())


class SlowMediaTests(WalkingCase):
    """
    An engine of media that answers later.
    """

    fakes_media = True

    def setUp(self) -> None:
        super().setUp()
        self.media.waits = True

    def test_call(self) -> None:
        """
        INVITE and 200 leave when the engine has answered, with its ports.
        """
        sent = self.phone.invite(CAROL)
        self.assertEqual(self.provider.datagrams, [])
        self.media.lend()
        came = self.provider.last("INVITE")
        self.assertIn("m=audio 20000 ", came.body.decode())
        self.provider.reply(came, 200, body=sdp("203.0.113.30"))
        self.assertEqual(self.phone.statuses("INVITE"), [])
        self.media.lend()
        self.assertIn("c=IN IP4 10.0.0.1", self.phone.answer("INVITE").body.decode())
        caller = Leg(self.phone, sent, self.phone.answer("INVITE"))
        caller.send("ACK")
        caller.send("BYE")
        self.provider.reply(self.provider.last("BYE"), 200)
        self.assert_clean(self.phone.call_id)
        self.assertEqual(self.media.open, set())

    def test_given_up_while_waiting(self) -> None:
        """
        A caller that gives up while the engine is asked hears 487; the ports go back.
        """
        sent = self.phone.invite(CAROL)
        self.phone.cancel(sent)
        self.media.lend()
        self.assertEqual(self.provider.datagrams, [])
        self.assertEqual(self.phone.statuses("INVITE"), [487])
        self.phone.acknowledge(sent, self.phone.answer("INVITE"))
        self.assert_clean(self.phone.call_id)
        self.assertEqual(self.media.open, set())

    def test_engine_refuses(self) -> None:
        """
        An engine without ports: 503 with Retry-After.
        """
        self.phone.invite(CAROL)
        self.media.refuse(NoFreePorts("no free ports"))
        answer = self.phone.answer("INVITE")
        self.assertEqual((answer.status, answer.headers.get("retry-after")), (503, "10"))

    def test_engine_refuses_the_answer(self) -> None:
        """
        An engine that fails on the answer: the caller hears its status, the call is over.
        """
        self.phone.invite(CAROL)
        self.media.lend()
        self.provider.reply(self.provider.last("INVITE"), 200, body=sdp("203.0.113.30"))
        self.media.refuse(SIPError("no codec", 488))
        self.assertEqual(self.phone.statuses("INVITE"), [488])
        self.assertEqual(self.media.open, set())

    def test_engine_breaks(self) -> None:
        """
        An engine that breaks is our failure: logged, answered 500.
        """
        self.phone.invite(CAROL)
        self.media.refuse(ZeroDivisionError("broken"))
        self.assertEqual(self.phone.statuses("INVITE"), [500])
        self.assertEqual(len(self.failures()), 1)
        self.flushLoggedErrors(ZeroDivisionError)


class NoMediaTests(WalkingCase):
    """
    rtp_proxy_enable = 0.
    """

    text = "rtp_proxy_enable = 0\n"

    def test_sdp_stays(self) -> None:
        """
        Session descriptions pass byte by byte, and no port is bound.
        """
        caller, _ = self.call_out()
        self.assertEqual(self.provider.last("INVITE").body.decode(), sdp("10.0.0.10"))
        self.assertEqual(self.phone.answer("INVITE").body.decode(), sdp("203.0.113.30", 6000))
        self.assertEqual(self.proxy.rtp_ports, [])
        caller.send("BYE")
        self.provider.reply(self.provider.last("BYE"), 200)
        self.assert_clean(self.phone.call_id)


class PoolTests(WalkingCase):
    """
    Our own relay, with ports for a few calls.
    """

    def make_proxy(self) -> Proxy:
        return Proxy(text="rtp_port_low = 7070\nrtp_port_high = 7071\n")

    def test_pool_is_full(self) -> None:
        """
        The pool is full: the next call hears 503 with Retry-After, the first goes on.
        """
        self.phone.invite(CAROL)
        bound = self.proxy.rtp_ports
        self.other.invite(CAROL)
        answer = self.other.answer("INVITE")
        self.assertEqual((answer.status, answer.headers.get("retry-after")), (503, "10"))
        self.assertEqual(len(self.provider.requests("INVITE")), 1)
        self.assertEqual(self.proxy.rtp_ports, bound)
        self.assertEqual(len(self.proxy.dialogs), 1)

    def test_silence(self) -> None:
        """
        A call whose media falls silent for rtp_timeout is forgotten.
        """
        self.call_out()
        self.proxy.wait(320, step=1.0)
        self.assert_clean(self.phone.call_id)
