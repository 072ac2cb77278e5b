"""
Tests for siptwist.services.running.draining: a stop that lets calls end.
"""

from __future__ import annotations

from siptwist.media.stream import CallKey
from siptwist.proxy.decision import Reply
from siptwist.services.running.draining import DrainingService
from tests.services.walking import Agent, WalkingCase, sdp

CAROL = "sip:carol@provider.example"


class DrainingTests(WalkingCase):
    def setUp(self) -> None:
        super().setUp()
        self.stops: list[float] = []
        self.started_at = self.proxy.reactor.seconds()
        self.service = DrainingService(
            self.proxy.reactor,
            self.proxy.core,
            self.proxy.dialogs,
            30,
            lambda: self.stops.append(self.proxy.reactor.seconds() - self.started_at),
            self.cut,
        )
        self.service.startService()
        self.addCleanup(self.service.stopService)
        self.registered(self.phone)

    def cut(self, key: CallKey) -> int:
        parts = self.proxy.parts
        return parts.signaling.give_up(key.call_id) + parts.ending.end(key, "shutdown")

    def wait(self, seconds: float) -> None:
        self.proxy.reactor.pump([0.25] * int(seconds * 4))

    def call(self) -> None:
        self.phone.invite(CAROL, call_id="the-call")
        self.provider.reply(self.provider.last("INVITE"), 200, body=sdp("203.0.113.30", 6000))

    def test_nothing_to_wait_for(self) -> None:
        """
        Without a call the stop is at once.
        """
        self.service.drain()
        self.assertEqual(self.stops, [0])

    def test_new_calls(self) -> None:
        """
        New calls hear 503 and when to try again; the phone is not rung.
        """
        self.call()
        self.service.drain()
        other = Agent(self.proxy, "10.0.0.11", "bob")
        other.invite(CAROL, call_id="another")
        answer = other.answer("INVITE")
        self.assertEqual((answer.status, answer.headers.get("retry-after")), (503, "30"))
        self.assertEqual(len(self.provider.requests("INVITE")), 1)

    def test_call_goes_on(self) -> None:
        """
        A call that was up goes on, registrations too; when it ends, so do we.
        """
        self.call()
        self.service.drain()
        self.phone.register(3600)
        self.assertEqual(len(self.provider.requests("REGISTER")), 2)
        self.wait(10)
        self.assertEqual(self.stops, [])
        for dialog in list(self.proxy.dialogs):
            self.proxy.dialogs.close(dialog.key)
        self.wait(1)
        self.assertEqual(len(self.stops), 1)

    def test_grace_period(self) -> None:
        """
        A call that does not end is cut when the time is over.
        """
        self.call()
        self.service.drain()
        self.wait(29)
        self.assertEqual(self.stops, [])
        self.wait(2)
        self.assertEqual(len(self.stops), 1)

    def test_cut(self) -> None:
        """
        Both ends of a call that is cut hear BYE, and have a moment to.
        """
        self.call()
        self.service.drain()
        self.wait(30)
        self.assertEqual(len(self.phone.requests("BYE")), 1)
        self.assertEqual(len(self.provider.requests("BYE")), 1)
        self.assertEqual(self.stops, [])
        self.wait(1)
        self.assertEqual(len(self.stops), 1)

    def test_ringing(self) -> None:
        """
        A phone that rings when we stop does not ring on.
        """
        self.phone.invite(CAROL, call_id="the-call")
        came = self.provider.last("INVITE")
        self.provider.reply(came, 180)
        self.service.drain()
        self.wait(30.25)
        self.provider.reply(self.provider.last("CANCEL"), 200)
        self.provider.reply(came, 487)
        self.assertEqual(self.phone.statuses("INVITE")[-1], 487)
        self.wait(1)
        self.assertEqual(len(self.stops), 1)

    def test_twice(self) -> None:
        """
        Told so twice, we wait for no call; told once more, for nothing.
        """
        self.call()
        self.service.drain()
        self.service.drain()
        self.assertEqual(len(self.provider.requests("BYE")), 1)
        self.assertEqual(self.stops, [])
        self.service.drain()
        self.wait(0.25)
        self.assertEqual(len(self.stops), 1)
        self.wait(1)
        self.assertEqual(len(self.stops), 1)

    def test_other_guard(self) -> None:
        """
        What else a request must pass is asked while draining as well.
        """
        refusal = Reply(407, why="no credentials")
        self.call()
        self.service.drain()
        self.service.guard(lambda ticket, is_phone: refusal)
        self.phone.send("MESSAGE", CAROL)
        self.assertEqual(self.phone.statuses("MESSAGE"), [407])
