"""
Dials long numbers by short ones: *01 is the first entry of a list.
"""

from __future__ import annotations

from dataclasses import dataclass

from zope.interface import implementer

from siptwist.options import option
from siptwist.plugins.dialing.diversion import Diversion, redirect_option
from siptwist.plugins.dialing.numbers import Extension, extension, number
from siptwist.plugins.plugin import House, PluginMaker
from siptwist.plugins.stages import IDetermineTarget
from siptwist.proxy.decision import Reply
from siptwist.proxy.ticket import Ticket
from siptwist.sip.uri import canonical_user


def pattern(value: str) -> str:
    """
    A key, and a place for each digit that follows.
    """
    if len(number(value)) < 2:
        raise ValueError(f"{value!r} has no place for a digit; *00 is * and two digits")
    return value


@dataclass(frozen=True, slots=True)
class ShortDialOptions:
    """
    ``plugin_shortdial_akey``, ``plugin_shortdial_entry``, ``plugin_shortdial_redirect``.
    """

    akey: str = option("", pattern, "the key, and as many digits as short numbers have")
    entry: tuple[Extension, ...] = option(
        (), extension, "what the next number calls: user or user@host", repeated=True
    )
    redirect: bool = redirect_option()


@implementer(IDetermineTarget)
class ShortDial:
    """
    Knows short numbers by their length; all others go on as they are.
    """

    def __init__(self, options: ShortDialOptions, house: House) -> None:
        key, digits = options.akey[0], len(options.akey) - 1
        most = 10**digits - 1
        self._extensions = {
            f"{key}{place:0{digits}}": entry for place, entry in enumerate(options.entry[:most], 1)
        }
        self._diversion = Diversion("shortdial", options.redirect, house)
        if len(options.entry) > most:
            house.log.warn(
                "{akey!r} reaches the first {most} of {count} entries",
                akey=options.akey,
                most=most,
                count=len(options.entry),
            )

    def determine_target(self, ticket: Ticket, from_phone: bool) -> Ticket | Reply | None:
        uri = ticket.uri
        entry = self._extensions.get(canonical_user(uri.user)) if uri and uri.user else None
        if uri is None or entry is None or not from_phone:
            return None
        if not self._diversion.may_divert(ticket):
            return None
        return self._diversion.divert(ticket, entry.of(uri))


shortdial = PluginMaker(
    "shortdial", ShortDial, ShortDialOptions, methods=("INVITE",), needs=("akey", "entry")
)
