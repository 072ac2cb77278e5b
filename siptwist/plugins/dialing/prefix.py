"""
Puts a prefix before every number that a phone calls.
"""

from __future__ import annotations

from dataclasses import dataclass

from zope.interface import implementer

from siptwist.options import option
from siptwist.plugins.dialing.diversion import Diversion, redirect_option
from siptwist.plugins.dialing.numbers import number
from siptwist.plugins.plugin import House, PluginMaker
from siptwist.plugins.stages import IDetermineTarget
from siptwist.proxy.decision import Reply
from siptwist.proxy.ticket import Ticket


@dataclass(frozen=True, slots=True)
class PrefixOptions:
    """
    ``plugin_prefix_akey``, ``plugin_prefix_redirect``.
    """

    akey: str = option("", number, "what goes before every number that is called")
    redirect: bool = redirect_option()


@implementer(IDetermineTarget)
class Prefix:
    """
    Changes the user of the Request-URI of calls that begin; nothing inside a dialog.
    """

    def __init__(self, options: PrefixOptions, house: House) -> None:
        self._prefix = options.akey
        self._diversion = Diversion("prefix", options.redirect, house)

    def determine_target(self, ticket: Ticket, from_phone: bool) -> Ticket | Reply | None:
        uri = ticket.uri
        if not (from_phone and uri and uri.user and self._diversion.may_divert(ticket)):
            return None
        return self._diversion.divert(ticket, uri._replace(user=f"{self._prefix}{uri.user}"))


prefix = PluginMaker("prefix", Prefix, PrefixOptions, methods=("INVITE",), needs=("akey",))
