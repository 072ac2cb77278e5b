"""
Tests of :mod:`siptwist.services.extending.extensions`: plugins that come and go.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import Invalid, implementer

from siptwist import config
from siptwist.errors import SIPTwistError
from siptwist.plugins.loading import configure
from siptwist.plugins.plugin import PluginMaker
from siptwist.plugins.stages import ILifetime, IPreProxy, IReport, ITimer, IValidate
from siptwist.proxy.decision import Forward
from siptwist.services.extending.extensions import verify
from tests.plugins.loaded import PluginCase


@implementer(ILifetime, ITimer, IReport, IPreProxy)
class Living:
    """
    Notes what becomes of it.
    """

    interval = 10.0

    def __init__(self, options: Any, house: Any) -> None:
        self.life: list[Any] = []
        self.failure: Exception | None = None
        self.stopped: Deferred[None] | None = None
        lives.append(self)

    def note(self, what: Any) -> None:
        self.life.append(what)
        if self.failure is not None:
            raise self.failure

    def start(self) -> None:
        self.note("start")

    def stop(self) -> Deferred[None] | None:
        self.note("stop")
        return self.stopped

    def timer(self, now: float) -> None:
        self.note(now)

    def report(self, now: float) -> None:
        self.note("report")

    def pre_proxy(self, forward: Forward) -> None:
        self.note(forward.ticket.method)


lives: list[Living] = []


class LivingCase(PluginCase):
    makers = (PluginMaker("living", Living), PluginMaker("other", Living))
    text = "load_plugin = living\n"

    def setUp(self) -> None:
        lives.clear()
        super().setUp()
        self.extensions = self.proxy.parts.extensions
        assert self.extensions is not None
        self.now = self.proxy.reactor.seconds()

    def settings(self, text: str) -> config.Settings:
        return config.parse(text, configure=configure)


class LifetimeTests(LivingCase):
    def test_started(self) -> None:
        """
        A plugin is started with the proxy, and stopped with it, once each.
        """
        self.assertEqual(lives[0].life, ["start"])
        self.proxy.stop()
        self.assertEqual(lives[0].life, ["start", "stop"])
        self.addCleanup(self.proxy.services.clear)

    def test_timer(self) -> None:
        """
        A plugin hears the time at its interval, also when it raised at the last,
        until it is stopped.
        """
        lives[0].failure = ValueError("x")
        self.proxy.wait(25, 1.0)
        self.assertEqual(lives[0].life, ["start", self.now + 10, self.now + 20])
        lives[0].failure = None
        self.extensions.stopService()
        self.proxy.wait(25, 1.0)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(lives[0].life[3:], ["stop"])

    def test_stop_fails(self) -> None:
        """
        A plugin that cannot stop keeps nobody from stopping.
        """
        lives[0].failure = ValueError("x")
        self.successResultOf(self.extensions.stopService())
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        lives[0].failure = None

    def test_report(self) -> None:
        """
        When somebody wants to know, plugins report.
        """
        self.extensions.report()
        self.assertEqual(lives[0].life, ["start", "report"])

    def test_does_not_start(self) -> None:
        """
        A plugin whose start raises is left out; one that says that nothing shall
        start without it has its way.
        """
        self.extensions.stopService()
        lives[0].failure = ValueError("x")
        self.extensions.startService()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertIsNone(self.proxy.core.stages)
        self.successResultOf(self.change("load_plugin = living\n"))
        self.extensions.stopService()
        lives[1].failure = SIPTwistError("no database")
        self.assertRaises(SIPTwistError, self.extensions.startService)
        lives[1].failure = None

    def change(self, text: str) -> Any:
        return self.extensions.prepare(self.settings(text))()


class ChangeTests(LivingCase):
    def test_other_plugin(self) -> None:
        """
        Another configuration: the new plugin starts when the old one has stopped,
        and is asked from then on.
        """
        lives[0].stopped = Deferred()
        changed = self.extensions.prepare(self.settings("load_plugin = other\n"))()
        self.assertEqual((lives[0].life, lives[1].life), (["start", "stop"], []))
        lives[0].stopped.callback(None)
        self.successResultOf(changed)
        self.phone.send("OPTIONS", "sip:carol@provider.example")
        self.assertEqual(lives[0].life, ["start", "stop"])
        self.assertEqual(lives[1].life, ["start", "OPTIONS"])
        lives[0].stopped = None

    def test_none_any_more(self) -> None:
        """
        When no plugin is left nobody asks any more.
        """
        self.successResultOf(self.extensions.prepare(self.settings(""))())
        self.assertIsNone(self.proxy.core.stages)

    def test_same(self) -> None:
        """
        The same plugins with the same options go on as they are.
        """
        self.assertIsNone(self.extensions.prepare(self.settings("\n\nload_plugin = living"))())
        self.assertEqual(len(lives), 1)

    def test_cannot_be_made(self) -> None:
        """
        When a plugin cannot be made, all stays as it is.
        """
        settings = self.settings("load_plugin = other\n")
        self.patch(Living, "__init__", None)
        self.assertRaises(SIPTwistError, self.extensions.prepare, settings)
        self.assertEqual(lives[0].life, ["start"])


class NoPluginTests(PluginCase):
    def test_costs_nothing(self) -> None:
        """
        Without plugins nobody asks anything.
        """
        parts = self.proxy.parts
        self.assertIsNone(parts.core.stages)
        self.assertIsNone(parts.signaling.gate)
        self.assertIsNone(parts.transactions.dress)
        self.assertIsNone(parts.relaying.ended)


class OneStageTests(PluginCase):
    text = "load_plugin = demo\n"

    def test_others_ask_nothing(self) -> None:
        """
        A stage that no plugin has is not asked for.
        """
        parts = self.proxy.parts
        self.assertIsNotNone(parts.core.stages)
        self.assertIsNone(parts.signaling.gate)
        self.assertIsNone(parts.transactions.dress)
        self.assertIsNone(parts.relaying.ended)


class VerifyTests(SynchronousTestCase):
    def test_forgotten(self) -> None:
        """
        A plugin that has the method of a stage, but does not say so, is refused: it
        would never be asked.
        """

        class Forgetful:
            def validate(self, ticket: Any) -> None: ...

        error = self.assertRaises(TypeError, verify, Forgetful())
        self.assertEqual(str(error), "it has validate() but does not implement IValidate")

    def test_wrong(self) -> None:
        """
        A plugin that says so, but has not the method, is refused.
        """

        @implementer(IValidate)
        class Wrong:
            pass

        self.assertRaises(Invalid, verify, Wrong())

    def test_attribute(self) -> None:
        """
        What a plugin keeps under the name of a stage is no method of one.
        """

        class Keeping:
            def __init__(self) -> None:
                self.media = len

        verify(Keeping())
