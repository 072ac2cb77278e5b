"""
Servers that say nothing, or are gone: the next one of the domain is asked within
the same transaction (RFC 3263 section 4.3).
"""

from __future__ import annotations

from siptwist.services.serving.failover import PATIENCE
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Request
from tests.services.walking import Agent, Leg, WalkingCase, sdp

CAROL = "sip:carol@provider.example"


class SilentServerTests(WalkingCase):
    """
    A domain of two servers, the first of which is silent.
    """

    def setUp(self) -> None:
        super().setUp()
        self.second = Agent(self.proxy, "203.0.113.21", "server", side=Side.OUTSIDE)
        self.hops = [Hop("203.0.113.20", 5060), Hop("203.0.113.21", 5060)]
        self.proxy.resolver.names["provider.example"] = self.hops

    def call(self, seconds: float = PATIENCE + 0.3) -> Request:
        sent = self.phone.invite(CAROL)
        self.proxy.wait(seconds)
        return sent

    def test_next_server(self) -> None:
        """
        After 2 seconds of silence the second server gets the call, and it is remembered that the
        first is dead (P1 and P11 of siproxd).
        """
        sent = self.call(PATIENCE - 0.2)
        self.assertEqual(self.second.datagrams, [])
        self.proxy.wait(0.5)
        self.assertEqual(self.proxy.resolver.dead, self.hops[:1])
        first, came = self.provider.last("INVITE"), self.second.last("INVITE")
        self.assertNotEqual(first.headers.get("via"), came.headers.get("via"))
        self.second.reply(came, 200, body=sdp("203.0.113.30"))
        self.assertEqual(self.phone.statuses("INVITE"), [200])
        Leg(self.phone, sent, self.phone.answer("INVITE")).send("ACK")
        self.assertEqual(len(self.second.requests("ACK")), 1)

    def test_alive(self) -> None:
        """
        A server that has said 100 is not left, however long it rings.
        """
        self.phone.invite(CAROL)
        self.provider.reply(self.provider.last("INVITE"), 100)
        self.proxy.wait(10)
        self.assertEqual(self.second.datagrams, [])
        self.assertEqual(self.proxy.resolver.dead, [])

    def test_only_server(self) -> None:
        """
        Where there is no other server, the only one has all its time.
        """
        del self.hops[1:]
        self.call(10)
        self.assertEqual(self.proxy.resolver.dead, [])
        self.provider.reply(self.provider.last("INVITE"), 180)
        self.assertEqual(self.phone.statuses("INVITE"), [180])

    def test_first_was_only_slow(self) -> None:
        """
        The first server answers after all: its answer counts, the second is cancelled.
        """
        self.call()
        self.second.reply(self.second.last("INVITE"), 180)
        self.provider.reply(self.provider.last("INVITE"), 200, body=sdp("203.0.113.30"))
        self.assertEqual(self.phone.statuses("INVITE"), [180, 200])
        self.assertEqual(len(self.second.requests("CANCEL")), 1)

    def test_first_wakes_too_late(self) -> None:
        """
        A server that begins to ring when the call is answered elsewhere is cancelled.
        """
        self.call()
        self.second.reply(self.second.last("INVITE"), 200, body=sdp("203.0.113.30"))
        self.assertEqual(self.provider.requests("CANCEL"), [])
        self.provider.reply(self.provider.last("INVITE"), 180)
        self.assertEqual(len(self.provider.requests("CANCEL")), 1)
        self.assertEqual(self.phone.statuses("INVITE"), [200])

    def test_second_refuses(self) -> None:
        """
        The second server's refusal goes back at once; the silent one holds up nothing.
        """
        sent = self.call()
        self.second.reply(self.second.last("INVITE"), 486)
        self.assertEqual(self.phone.statuses("INVITE"), [486])
        self.phone.acknowledge(sent, self.phone.answer("INVITE"))
        self.assert_clean(self.phone.call_id)

    def test_both_silent(self) -> None:
        """
        Nobody answers: 408 when the last one's time is over, nothing left behind.
        """
        sent = self.call(35)
        self.assertEqual(self.phone.statuses("INVITE")[:1], [408])
        self.phone.acknowledge(sent, self.phone.answer("INVITE"))
        self.assert_clean(self.phone.call_id)

    def test_given_up(self) -> None:
        """
        The caller gives up before: no other server is asked.
        """
        self.phone.cancel(self.phone.invite(CAROL))
        self.proxy.wait(5)
        self.assertEqual(self.second.datagrams, [])

    def test_register(self) -> None:
        """
        A registrar that is silent: the next one takes the registration.
        """
        self.phone.register()
        self.proxy.wait(PATIENCE + 0.3)
        passed = self.second.last("REGISTER")
        contact = passed.headers.get("contact") or ""
        self.second.reply(passed, 200, contact=f"{contact};expires=60")
        self.assertEqual(self.phone.statuses("REGISTER"), [200])
        self.assertEqual(self.binding(self.phone).aor, self.phone.aor)
        self.provider.reply(self.provider.last("REGISTER"), 403)
        self.assertEqual(self.phone.statuses("REGISTER"), [200])
        self.assert_clean(self.phone.call_id)


class GoneServerTests(WalkingCase):
    """
    Servers of which the network says that nobody is there (RFC 3261 section 18.4).
    """

    def setUp(self) -> None:
        super().setUp()
        self.second = Agent(self.proxy, "203.0.113.21", "server", side=Side.OUTSIDE)
        self.hops = [Hop("203.0.113.20", 5060), Hop("203.0.113.21", 5060)]
        self.proxy.resolver.names["provider.example"] = self.hops

    def test_next_server(self) -> None:
        """
        The next server gets the call at once, and the first is avoided for a while.
        """
        sent = self.phone.invite(CAROL)
        self.provider.vanish()
        self.assertEqual(self.proxy.resolver.dead, self.hops[:1])
        self.second.reply(self.second.last("INVITE"), 200, body=sdp("203.0.113.30"))
        self.assertEqual(self.phone.statuses("INVITE"), [200])
        Leg(self.phone, sent, self.phone.answer("INVITE")).send("ACK")
        self.proxy.wait(3)
        self.assertEqual(len(self.provider.requests("INVITE")), 1)

    def test_none_left(self) -> None:
        """
        When no server is left the caller hears 503, without Retry-After, at once.
        """
        sent = self.phone.invite(CAROL)
        self.provider.vanish()
        self.second.vanish()
        self.assertEqual(self.phone.statuses("INVITE"), [503])
        answer = self.phone.answer("INVITE")
        self.assertIsNone(answer.headers.get("retry-after"))
        self.assertEqual(self.proxy.resolver.dead, self.hops)
        self.phone.acknowledge(sent, answer)
        self.assert_clean(self.phone.call_id)

    def test_all_that_wait(self) -> None:
        """
        One error is enough for all calls that wait for the server; those of a call
        that rings there are not touched.
        """
        self.phone.invite(CAROL, call_id="rings")
        self.provider.reply(self.provider.last("INVITE"), 180)
        for number in range(3):
            self.phone.invite(CAROL, call_id=f"waits-{number}")
        self.provider.vanish()
        found = {one.headers.get("call-id") for one in self.second.requests("INVITE")}
        self.assertEqual(found, {"waits-0", "waits-1", "waits-2"})

    def test_made_up(self) -> None:
        """
        Who does not know the branch of a request cannot end it with an ICMP error.
        """
        self.phone.invite(CAROL)
        known = self.provider.datagrams[-1]
        branch = known.index(b"branch=")
        made_up = known[: branch + 20] + b"0000" + known[branch + 24 :]
        for data in (made_up, known.replace(b"INVITE", b"CANCEL"), b"", b"\0" * 200):
            self.provider.socket.protocol.undeliverable(data, ("203.0.113.20", 5060))
        self.provider.socket.protocol.undeliverable(known, ("203.0.113.66", 5060))
        self.proxy.wait(0.3)
        self.assertEqual((self.second.datagrams, self.proxy.resolver.dead), ([], []))

    def test_given_up(self) -> None:
        """
        A caller who has given up before hears 487, and no other server is asked.
        """
        sent = self.phone.invite(CAROL)
        self.phone.cancel(sent)
        self.provider.vanish()
        self.assertEqual(self.phone.statuses("INVITE"), [487])
        self.assertEqual(self.second.datagrams, [])

    def test_dies_while_ringing(self) -> None:
        """
        A server that dies while it rings refuses the CANCEL: the call is over at once.
        """
        sent = self.phone.invite(CAROL)
        self.provider.reply(self.provider.last("INVITE"), 180)
        self.phone.cancel(sent)
        self.provider.vanish()
        self.assertEqual(self.phone.statuses("INVITE"), [180, 487])
        self.phone.acknowledge(sent, self.phone.answer("INVITE"))
        self.assert_clean(self.phone.call_id)

    def test_register(self) -> None:
        """
        A registrar that is gone: the next one, and 503 when there is none.
        """
        self.phone.register()
        self.provider.vanish()
        self.second.last("REGISTER")
        self.second.vanish()
        self.assertEqual(self.phone.statuses("REGISTER"), [503])

    def test_hang_up(self) -> None:
        """
        A server that is gone when the call is hung up keeps no media ports of ours.
        """
        caller, _ = self.call_out()
        self.assertEqual(len(self.proxy.rtp_ports), 4)
        caller.send("BYE")
        self.provider.vanish()
        self.assertEqual(self.phone.statuses("BYE"), [503])
        self.assertEqual(self.proxy.rtp_ports, [])

    def test_told(self) -> None:
        """
        The log has one line for a request that was given up, none for made up errors.
        """
        self.test_made_up()
        self.assertFalse([one for one in self.events if "reached" in one.get("log_format", "")])
        self.provider.vanish()
        self.second.vanish()
        told = [one for one in self.events if "reached" in one.get("log_format", "")]
        self.assertEqual(
            [(one["status"], one["hop"]) for one in told], [(503, "203.0.113.21:5060")]
        )


class GonePhoneTests(WalkingCase):
    """
    Phones that are gone without a word.
    """

    def test_gone(self) -> None:
        """
        A caller from outside hears 480 at once.
        """
        uri = self.registered(self.phone)
        sent = self.provider.invite(uri, to=f"<{self.phone.aor}>")
        self.phone.vanish()
        self.assertEqual(self.provider.statuses("INVITE"), [480])
        self.provider.acknowledge(sent, self.provider.answer("INVITE"))
        self.assert_clean(self.provider.call_id)

    def test_other_phone(self) -> None:
        """
        Of two phones of an account one is gone: the other rings on, and is heard.
        """
        for agent in (self.phone, self.other):
            agent.domain, agent.user = "10.0.0.1", "alice"
            agent.register()
        caller = Agent(self.proxy, "10.0.0.12", "carol", domain="10.0.0.1")
        caller.invite("sip:alice@10.0.0.1")
        came = self.other.last("INVITE")
        self.other.reply(came, 180)
        self.phone.vanish()
        self.assertEqual(caller.statuses("INVITE"), [180])
        self.other.reply(came, 486)
        self.assertEqual(caller.statuses("INVITE"), [180, 486])
        self.assertEqual(self.failures(), [])

    def test_hang_up(self) -> None:
        """
        A phone that is gone when the other side hangs up keeps no media ports of ours.
        """
        caller, _ = self.call_in()
        caller.send("BYE")
        self.phone.vanish()
        self.assertEqual(self.provider.statuses("BYE"), [480])
        self.assertEqual(self.proxy.rtp_ports, [])
