"""
Servers that say nothing: the next one of the domain is asked within the same
transaction (RFC 3263 section 4.3).
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
        After 2 seconds of silence the second server gets the call, and it is remembered
        that the first is dead.
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
