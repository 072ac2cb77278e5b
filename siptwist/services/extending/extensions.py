"""
Starts and stops plugins, and has the rest of the proxy ask them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.task import LoopingCall
from zope.interface.verify import verifyObject

from siptwist.config import Settings
from siptwist.errors import SIPTwistError
from siptwist.logs import OwnLogger, logger, logger_of, unwatch_levels, watch_levels
from siptwist.options import Configured
from siptwist.plugins.plugin import House, wanted
from siptwist.plugins.stages import STAGES, ILifetime, ITimer
from siptwist.proxy.core import Core
from siptwist.services.extending.chains import Chain, Failures, Hook
from siptwist.services.extending.stages import Stages
from siptwist.services.relaying import RelayingService
from siptwist.services.signaling import SignalingService
from siptwist.services.transactions import TransactionService

# Makes the house of a plugin, given its logger.
MakeHouse = Callable[[Any], House]
# The settings that say which plugins there are.
KEYS = ("load_plugin", "plugindir", "plugin_directives", "plugins")


class Askers(NamedTuple):
    """
    Who asks plugins.
    """

    core: Core
    signaling: SignalingService
    transactions: TransactionService
    relaying: RelayingService


class ExtensionService(Service):
    """
    The plugins that are loaded.

    :param askers: those who ask them, each only while there is somebody to ask.
    :raises SIPTwistError: when a plugin cannot be made.
    """

    name = "extensions"
    _log = logger()

    def __init__(
        self,
        reactor: Any,
        configured: Iterable[Configured],
        make_house: MakeHouse,
        askers: Askers,
    ) -> None:
        self._reactor = reactor
        self._make_house = make_house
        self._askers = askers
        self._failures = Failures(reactor.seconds)
        self.stages = Stages(reactor.seconds, self._failures)
        self._plugins = self._make_all(configured)
        self._timers: list[LoopingCall] = []
        self._compose()

    def _make_all(self, configured: Iterable[Configured]) -> list[tuple[Configured, object]]:
        return [(one, self._make(one)) for one in configured]

    def _make(self, one: Configured) -> object:
        house = self._make_house(_log_of(one))
        try:
            plugin = one.maker.make(one.options, house)
            verify(plugin)
        except SIPTwistError:
            raise
        except Exception as error:
            text = f"plugin {one.maker.name} cannot be used: {type(error).__name__}: {error}"
            raise SIPTwistError(text) from error
        return plugin

    def _compose(self) -> None:
        """
        Chain the methods of all plugins, stage by stage, for those who ask.
        """
        chains = self.stages.chains = {stage: Chain(self._hooks(stage)) for stage in STAGES}
        askers, stages = self._askers, self.stages
        askers.core.stages = stages if self._plugins else None
        askers.signaling.gate = stages.raw if chains["raw"].hooks else None
        askers.transactions.dress = stages.respond if stages.dresses else None
        askers.relaying.ended = stages.end_call if chains["call_ended"].hooks else None

    def _hooks(self, stage: str) -> Iterator[Hook]:
        for one, plugin in self._plugins:
            if STAGES[stage].providedBy(plugin):
                call = getattr(plugin, stage)
                wants = wanted(call)
                if wants.informing and not _log_of(one).is_informing:
                    continue
                methods = _both(one.maker.methods, wants.methods)
                yield Hook(one.maker.name, stage, call, methods, wants.kind, wants.starts)

    # Lifetimes

    def startService(self) -> None:
        """
        :raises SIPTwistError: when a plugin says so.
        """
        super().startService()
        for one, plugin in list(self._plugins):
            if ILifetime.providedBy(plugin):
                self._start(one, plugin)
        self._compose()
        watch_levels(self._compose)
        self._start_timers()

    def _start(self, one: Configured, plugin: Any) -> None:
        try:
            plugin.start()
        except SIPTwistError:
            raise
        except Exception:
            self._log.failure("Plugin {name} does not start", name=one.maker.name)
            self._plugins.remove((one, plugin))

    def _start_timers(self) -> None:
        for one, plugin in self._plugins:
            if ITimer.providedBy(plugin):
                hook = Hook(one.maker.name, "timer", plugin.timer)
                timer = LoopingCall(self._tell_time, hook)
                timer.clock = self._reactor
                timer.start(plugin.interval, now=False)
                self._timers.append(timer)

    def _tell_time(self, hook: Hook) -> None:
        try:
            hook.call(self._reactor.seconds())
        except Exception:
            self._failures.note(hook)

    def stopService(self) -> Any:
        super().stopService()
        unwatch_levels(self._compose)
        timers, self._timers = self._timers, []
        for timer in timers:
            if timer.running:
                timer.stop()
        lived: list[Any] = [plugin for _, plugin in self._plugins if ILifetime.providedBy(plugin)]
        return gatherResults([self._stop(plugin) for plugin in lived])

    def _stop(self, plugin: Any) -> Deferred[Any]:
        stopped = maybeDeferred(plugin.stop)
        return stopped.addErrback(lambda failure: self._log.failure("Stopping a plugin", failure))

    # Other plugins, or other options

    def prepare(self, settings: Settings) -> Callable[[], Any]:
        """
        Make the plugins that other settings want.

        :returns: puts them in the place of those that run; its ``Deferred`` fires
            when they have started.
        :raises SIPTwistError: when one cannot be made; nothing has changed.
        """
        if list(settings.plugins) == [one for one, _ in self._plugins]:
            return lambda: None
        made = self._make_all(settings.plugins)

        def begin(_: object) -> None:
            self._plugins = made
            self.startService()

        def change() -> Deferred[None]:
            stopped: Deferred[Any] = self.stopService()
            return stopped.addCallback(begin).addErrback(self._complain)

        return change

    def _complain(self, failure: Any) -> None:
        self._log.error("Plugins do not start: {why}", why=failure.getErrorMessage())

    # What somebody wants to know

    def report(self) -> None:
        """
        Have every plugin that counts something say what it has counted.
        """
        for hook in self.stages.chains["report"].hooks:
            self._tell_time(hook)


def _log_of(one: Configured) -> OwnLogger:
    return logger_of(f"plugins.{one.maker.name}")


def _both(some: frozenset[str] | None, others: frozenset[str] | None) -> frozenset[str] | None:
    if some is None or others is None:
        return some if others is None else others
    return some & others


def verify(plugin: object) -> None:
    """
    :raises Exception: for a plugin that does not keep what it promises, or that has
        the method of a stage without saying so, and would wait for it in vain.
    """
    for stage, interface in STAGES.items():
        if interface.providedBy(plugin):
            verifyObject(interface, plugin)
        elif callable(getattr(type(plugin), stage, None)):
            raise TypeError(f"it has {stage}() but does not implement {interface.__name__}")
