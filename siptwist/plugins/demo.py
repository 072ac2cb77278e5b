"""
The smallest plugin: says at which stages it was asked.  For authors of others.
"""

from __future__ import annotations

from dataclasses import dataclass

from zope.interface import implementer

from siptwist.options import option, text
from siptwist.plugins.plugin import House, PluginMaker, only
from siptwist.plugins.stages import IDetermineTarget, IPreProxy
from siptwist.proxy.decision import Forward
from siptwist.proxy.ticket import Ticket


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """
    ``plugin_demo_string``.
    """

    string: str = option("", text, "what the demo plugin says at each stage")


@implementer(IDetermineTarget, IPreProxy)
class Demo:
    """
    Changes nothing.
    """

    def __init__(self, options: DemoOptions, house: House) -> None:
        self._string = options.string
        self._log = house.log

    @only(informing=True)
    def determine_target(self, ticket: Ticket, from_phone: bool) -> None:
        self._say("determine_target", ticket)

    @only(informing=True)
    def pre_proxy(self, forward: Forward) -> None:
        self._say("pre_proxy", forward.ticket)

    def _say(self, stage: str, ticket: Ticket) -> None:
        self._log.info(
            "{stage}: {method} {string!r} [{call_id}]",
            stage=stage,
            method=ticket.method,
            string=self._string,
            call_id=ticket.call_id,
        )


demo = PluginMaker("demo", Demo, DemoOptions)
