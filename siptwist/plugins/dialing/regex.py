"""
Rewrites what phones call by regular expressions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from zope.interface import implementer

from siptwist.options import option, text
from siptwist.plugins.dialing.ambiguity import expression
from siptwist.plugins.dialing.diversion import Diversion, redirect_option
from siptwist.plugins.dialing.expressions import Expression, Replacement, replacement
from siptwist.plugins.dialing.numbers import address
from siptwist.plugins.dialing.rows import uneven
from siptwist.plugins.plugin import House, PluginMaker
from siptwist.plugins.stages import IDetermineTarget
from siptwist.proxy.decision import Reply
from siptwist.proxy.ticket import Ticket
from siptwist.sip.uri import SIPURI


@dataclass(frozen=True, slots=True)
class RegexOptions:
    """
    ``plugin_regex_desc``, ``plugin_regex_pattern``, ``plugin_regex_replace``: each rule
    has a line of each.
    """

    desc: tuple[str, ...] = option((), text, "what a rule is for", repeated=True)
    pattern: tuple[Expression, ...] = option(
        (), expression, "its POSIX expression, searched in the URI called", repeated=True
    )
    replace: tuple[Replacement, ...] = option(
        (), replacement, "what goes in the place of the match", repeated=True
    )
    redirect: bool = redirect_option()


def wrong(options: RegexOptions) -> Iterable[tuple[str, str]]:
    yield from uneven(options, "desc", "pattern", "replace")
    for one, other in zip(options.pattern, options.replace, strict=False):
        if other.highest > one.pattern.groups:
            yield "replace", f"{other.text!r} speaks of a group that {one.text!r} does not have"


@implementer(IDetermineTarget)
class Regex:
    """
    Changes the Request-URI of calls that begin, by the first rule that matches it.
    """

    def __init__(self, options: RegexOptions, house: House) -> None:
        self._rules = list(zip(options.desc, options.pattern, options.replace, strict=True))
        self._diversion = Diversion("regex", options.redirect, house)
        self._log = house.log

    def determine_target(self, ticket: Ticket, from_phone: bool) -> Ticket | Reply | None:
        if not from_phone or not self._diversion.may_divert(ticket):
            return None
        for what, pattern, put in self._rules:
            match = pattern.search(ticket.request.uri)
            if match is not None:
                uri = self._put(ticket, what, put, match)
                return None if uri is None else self._diversion.divert(ticket, uri)
        return None

    def _put(
        self, ticket: Ticket, what: str, put: Replacement, match: re.Match[str]
    ) -> SIPURI | None:
        """
        What is to be called now, if it can be.
        """
        try:
            return SIPURI.parse(address(put.put(match)))
        except (LookupError, ValueError) as error:
            self._log.warn(
                "Rule {what!r} does not fit {uri!r}: {why} [{call_id}]",
                what=what,
                uri=ticket.request.uri,
                why=str(error),
                call_id=ticket.call_id,
            )
            return None


regex = PluginMaker(
    "regex", Regex, RegexOptions, methods=("INVITE",), check=wrong, needs=("pattern",)
)
