"""
Sends calls that are for nobody known to a phone for such calls.
"""

from __future__ import annotations

from dataclasses import dataclass

from zope.interface import implementer

from siptwist.options import option, switch
from siptwist.plugins.dialing.diversion import is_new_call, redirect_option
from siptwist.plugins.dialing.numbers import address
from siptwist.plugins.plugin import House, PluginMaker, moved, retargeted
from siptwist.plugins.stages import IUnknownParty
from siptwist.proxy.decision import Reply
from siptwist.proxy.ticket import Ticket
from siptwist.sip.uri import SIPURI


@dataclass(frozen=True, slots=True)
class DefaultTargetOptions:
    """
    ``plugin_defaulttarget_target``, ``plugin_defaulttarget_log``,
    ``plugin_defaulttarget_redirect``.
    """

    target: str = option("", address, "who is called in the place of nobody")
    log: bool = option(False, switch, "log each such call")
    redirect: bool = redirect_option()


@implementer(IUnknownParty)
class DefaultTarget:
    """
    Has an account of ours rung; a target elsewhere is for the caller to call, for we
    carry nobody's calls from outside to outside.
    """

    def __init__(self, options: DefaultTargetOptions, house: House) -> None:
        self._target = SIPURI.parse(options.target)
        self._logs = options.log
        self._redirect = options.redirect
        self._house = house

    def unknown_party(self, ticket: Ticket, from_phone: bool) -> Ticket | Reply | None:
        locations = self._house.locations
        if not is_new_call(ticket) or (from_phone and locations.by_hop(ticket.source)):
            return None
        if self._logs:
            self._say(ticket)
        if self._redirect or not self._is_ours(ticket.now):
            return moved(str(self._target), "defaulttarget")
        return retargeted(ticket, str(self._target))

    def _is_ours(self, now: float) -> bool:
        target = self._target
        return self._house.identity().is_own(target) or bool(
            self._house.locations.lookup(target.aor, now)
        )

    def _say(self, ticket: Ticket) -> None:
        self._house.log.info(
            "From {source}: {caller} -> {callee} goes to {target} [{call_id}]",
            source=str(ticket.source),
            caller=ticket.from_.uri_text,
            callee=ticket.to.uri_text,
            target=str(self._target),
            call_id=ticket.call_id,
        )


defaulttarget = PluginMaker(
    "defaulttarget",
    DefaultTarget,
    DefaultTargetOptions,
    methods=("INVITE",),
    needs=("target",),
)
