"""
Tests for siptwist.services.serving.refreshing: session timers through the whole proxy.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from siptwist.media.stream import CallKey
from siptwist.proxy.session.dialogs import Dialogs
from siptwist.proxy.session.refresh import Refreshes
from siptwist.services.serving.refreshing import RefreshingService
from siptwist.sip.hop import Side
from tests.services.walking import Leg, WalkingCase, sdp

TIMER = [("Session-Expires", "90;refresher=uac")]


class ServiceTests(SynchronousTestCase):
    """
    The service alone.
    """

    def setUp(self) -> None:
        self.clock, dialogs = Clock(), Dialogs()
        self.refreshes = Refreshes(dialogs)
        for call_id in ("one", "two"):
            key = CallKey(call_id, "a", Side.INSIDE, Side.OUTSIDE)
            dialogs.open(key, 0.0)[0].is_established = True
            self.refreshes.note(key, "90", 0.0)

    def test_ended(self) -> None:
        """
        Each call whose time is over is ended, also when ending another one fails.
        """
        ended: list[str] = []

        def end(key: CallKey, is_unrefreshed: bool) -> None:
            self.assertTrue(is_unrefreshed)
            ended.append(key.call_id)
            raise ValueError(key)

        service = RefreshingService(self.clock, self.refreshes, end)
        service.startService()
        self.clock.pump([10.0] * 13)
        self.assertEqual(ended, ["one", "two"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 2)
        service.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopped_twice(self) -> None:
        """
        A service that never ran can be stopped.
        """
        RefreshingService(self.clock, self.refreshes, print).stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class SessionTimerTests(WalkingCase):
    """
    Calls with and without Session-Expires (RFC 4028).
    """

    def timed_call(self) -> tuple[Leg, Leg]:
        sent = self.phone.invite(
            "sip:carol@provider.example",
            headers=[("Session-Expires", "90"), ("Min-SE", "90"), ("Supported", "timer")],
        )
        came = self.provider.last("INVITE")
        self.provider.reply(came, 200, body=sdp("203.0.113.30", 6000), headers=TIMER)
        caller = Leg(self.phone, sent, self.phone.answer("INVITE"))
        caller.send("ACK")
        return caller, Leg(self.provider, came, came)

    def calls(self) -> int:
        calls = len(list(self.proxy.parts.relaying.calls()))
        self.assertEqual(len(self.proxy.dialogs), calls)
        return calls

    def refresh(self, leg: Leg, other: Leg, method: str) -> None:
        body = sdp(leg.agent.host) if method == "INVITE" else ""
        leg.send(method, headers=[("Session-Expires", "90")], body=body)
        answer = sdp(other.agent.host, 5000) if method == "INVITE" else ""
        other.agent.reply(other.agent.last(method), 200, headers=TIMER, body=answer)
        if method == "INVITE":
            leg.send("ACK", cseq=leg.cseq)

    def test_headers_pass(self) -> None:
        """
        Session-Expires, Min-SE and Supported pass as they are, both ways.
        """
        self.timed_call()
        came = self.provider.last("INVITE").headers
        named = ("session-expires", "min-se", "supported")
        self.assertEqual([came.get(key) for key in named], ["90", "90", "timer"])
        self.assertEqual(self.phone.answer("INVITE").headers.get("session-expires"), TIMER[0][1])

    def test_refresh_stops(self) -> None:
        """
        A call that nobody refreshes is let go: media closed, one line in the log, and no BYE,
        which a proxy must not send (P12 of siproxd).
        """
        self.timed_call()
        self.proxy.wait(110, 1.0)
        self.assertEqual(self.calls(), 1)
        heard = len(self.phone.datagrams), len(self.provider.datagrams)
        self.proxy.wait(20, 1.0)
        self.assertEqual(self.calls(), 0)
        self.assertEqual(self.proxy.rtp_ports, [])
        self.assertEqual((len(self.phone.datagrams), len(self.provider.datagrams)), heard)
        lines = [one for one in self.events if "not refreshed" in str(one.get("log_format"))]
        self.assertEqual(len(lines), 1)
        self.assertEqual(lines[0]["call_id"], self.phone.call_id)

    def test_end_that_hangs_up_late(self) -> None:
        """
        A BYE after that still finds its way.
        """
        caller, callee = self.timed_call()
        self.proxy.wait(140, 1.0)
        for leg, other in ((caller, callee), (callee, caller)):
            leg.send("BYE")
            other.agent.reply(other.agent.last("BYE"), 481)
            self.assertEqual(leg.agent.statuses("BYE"), [481])
        self.assert_clean(self.phone.call_id)

    def test_refreshed(self) -> None:
        """
        re-INVITE and UPDATE of either end keep the call for as long as they come.
        """
        caller, callee = self.timed_call()
        for leg, other in ((caller, callee), (callee, caller)):
            for method in ("INVITE", "UPDATE"):
                self.proxy.wait(85, 1.0)
                self.refresh(leg, other, method)
        self.assertEqual(self.calls(), 1)
        self.proxy.wait(135, 1.0)
        self.assertEqual(self.calls(), 0)

    def test_refused_refresh(self) -> None:
        """
        A refresh that is refused is none; the 422 that asks for a longer one passes.
        """
        caller, _ = self.timed_call()
        self.proxy.wait(60, 1.0)
        caller.send("UPDATE", headers=[("Session-Expires", "60")])
        self.provider.reply(self.provider.last("UPDATE"), 422, headers=[("Min-SE", "90")])
        answer = self.phone.answer("UPDATE")
        self.assertEqual((answer.status, answer.headers.get("min-se")), (422, "90"))
        self.proxy.wait(75, 1.0)
        self.assertEqual(self.calls(), 0)

    def test_first_invite_refused(self) -> None:
        """
        A 422 to the first INVITE passes, and leaves nothing.
        """
        sent = self.phone.invite("sip:carol@provider.example", headers=[("Session-Expires", "60")])
        self.provider.reply(self.provider.last("INVITE"), 422, headers=[("Min-SE", "90")])
        self.phone.acknowledge(sent, self.phone.answer("INVITE"))
        self.assertEqual(self.phone.statuses("INVITE"), [422])
        self.assert_clean(self.phone.call_id)

    def test_without_timer(self) -> None:
        """
        A call without Session-Expires gets none of us, and is not ended.
        """
        self.call_out()
        for message in (self.provider.last("INVITE"), self.phone.answer("INVITE")):
            self.assertNotIn("session-expires", message.headers)
        self.proxy.wait(250, 1.0)
        self.assertEqual(self.calls(), 1)

    def test_hung_up(self) -> None:
        """
        A call that was hung up in time leaves nothing to be ended.
        """
        caller, _ = self.timed_call()
        caller.send("BYE")
        self.provider.reply(self.provider.last("BYE"), 200)
        self.proxy.wait(200, 1.0)
        self.assertEqual(
            [e for e in self.events if "not refreshed" in str(e.get("log_format"))], []
        )
        self.assert_clean(self.phone.call_id)
