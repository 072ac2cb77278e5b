"""
Asks plugins, stage by stage, and starts and stops them.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import gatherResults, maybeDeferred
from twisted.internet.task import LoopingCall
from zope.interface import implementer
from zope.interface.verify import verifyObject

from siptwist.errors import SIPTwistError
from siptwist.interfaces import IMessageReceiver
from siptwist.logs import logger, logger_of
from siptwist.options import Configured
from siptwist.plugins.plugin import House
from siptwist.plugins.stages import STAGES, ILifetime, ITimer
from siptwist.proxy.core import Core
from siptwist.services.chains import Chain, Failures, Hook
from siptwist.services.listening import ListeningService
from siptwist.services.relaying import RelayingService
from siptwist.services.stages import Stages
from siptwist.services.transactions import TransactionService
from siptwist.sip.hop import Hop, Side

# Makes the house of a plugin, given its logger.
MakeHouse = Callable[[Any], House]


class ExtensionService(Service):
    """
    The plugins that are loaded.

    ``stages`` is what the others ask; its chains are the plugins of the moment.
    """

    name = "extensions"
    _log = logger()

    def __init__(
        self, reactor: Any, configured: Iterable[Configured], make_house: MakeHouse
    ) -> None:
        """
        :raises SIPTwistError: when a plugin cannot be made.
        """
        self._reactor = reactor
        self._make_house = make_house
        self.failures = Failures(reactor.seconds)
        self.stages = Stages(reactor.seconds, self.failures)
        self._plugins = [(one, self._make(one)) for one in configured]
        self._timers: list[LoopingCall] = []
        self._previous: Any = None
        self._compose()

    def _make(self, one: Configured) -> object:
        house = self._make_house(logger_of(f"plugins.{one.maker.name}"))
        try:
            plugin = one.maker.make(one.options, house)
            _verify(plugin)
        except SIPTwistError:
            raise
        except Exception as error:
            text = f"plugin {one.maker.name} cannot be used: {type(error).__name__}: {error}"
            raise SIPTwistError(text) from error
        return plugin

    def _compose(self) -> None:
        """
        Chain the methods of all plugins, stage by stage.
        """
        self.stages.chains = {stage: Chain(self._hooks(stage)) for stage in STAGES}

    def _hooks(self, stage: str) -> Iterator[Hook]:
        for one, plugin in self._plugins:
            if STAGES[stage].providedBy(plugin):
                yield Hook(one.maker.name, stage, getattr(plugin, stage), one.maker.methods)

    # Lifetimes

    def startService(self) -> None:
        """
        :raises SIPTwistError: when a plugin says so.
        """
        super().startService()
        for one, plugin in list(self._plugins):
            if not ILifetime.providedBy(plugin):
                continue
            try:
                plugin.start()
            except SIPTwistError:
                raise
            except Exception:
                self._log.failure("Plugin {name} does not start", name=one.maker.name)
                self._plugins.remove((one, plugin))
        self._compose()
        self._start_timers()
        if self.stages.chains["report"]:
            self._previous = signal.signal(signal.SIGUSR1, self._signalled)

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
            self.failures.note(hook)

    def stopService(self) -> Any:
        super().stopService()
        if self._previous is not None:
            signal.signal(signal.SIGUSR1, self._previous)
            self._previous = None
        timers, self._timers = self._timers, []
        for timer in timers:
            if timer.running:
                timer.stop()
        lived = [plugin for _, plugin in self._plugins if ILifetime.providedBy(plugin)]
        stopped = gatherResults([maybeDeferred(plugin.stop) for plugin in lived])
        return stopped.addErrback(lambda failure: self._log.failure("Stopping a plugin", failure))

    def change(self, configured: Iterable[Configured]) -> Any:
        """
        Put the plugins as another configuration wants them in the place of those
        that run.

        :returns: a ``Deferred`` that fires when the new ones have started.
        :raises SIPTwistError: when one cannot be made; then nothing has changed.
        """
        made = [(one, self._make(one)) for one in configured]

        def begin(_: object) -> None:
            self._plugins = made
            self._compose()
            self.startService()

        return maybeDeferred(self.stopService).addCallback(begin)

    # What somebody wants to know

    def _signalled(self, *_: object) -> None:
        self._reactor.callFromThread(self.report)

    def report(self) -> None:
        """
        Have every plugin that counts something say what it has counted.
        """
        for hook in self.stages.chains["report"].hooks:
            self._tell_time(hook)

    # Where the others ask

    def join(
        self,
        core: Core,
        transactions: TransactionService,
        relaying: RelayingService,
        listening: ListeningService,
    ) -> None:
        """
        Have the others ask the plugins, each where one of them has something to say.
        """
        chains = self.stages.chains
        core.stages = self.stages
        if chains["raw"]:
            listening.receiver = Gate(self.stages, listening.receiver)
        if chains["post_proxy"]:
            transactions.dress = self.stages.respond
        if chains["call_ended"]:
            relaying.ended = self.stages.end_call


@implementer(IMessageReceiver)
class Gate:
    """
    Shows everything that arrives to plugins first.
    """

    def __init__(self, stages: Stages, receiver: IMessageReceiver) -> None:
        self._stages = stages
        self._receiver = receiver

    def message_received(self, data: bytes, source: Hop, side: Side) -> None:
        data = self._stages.raw(data, source, side)
        if data:
            self._receiver.message_received(data, source, side)


def _verify(plugin: object) -> None:
    """
    :raises Exception: for a plugin that does not keep what it promises, or that has
        the method of a stage without saying so, and would wait for it in vain.
    """
    for stage, interface in STAGES.items():
        if interface.providedBy(plugin):
            verifyObject(interface, plugin)
        elif hasattr(plugin, stage):
            raise TypeError(f"it has {stage}() but does not implement {interface.__name__}")
