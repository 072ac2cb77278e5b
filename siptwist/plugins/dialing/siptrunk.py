"""
Gives the calls for a block of numbers to the telephone system that has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from zope.interface import implementer

from siptwist.errors import MalformedURI
from siptwist.options import option, text
from siptwist.plugins.dialing.ambiguity import expression
from siptwist.plugins.dialing.expressions import Expression
from siptwist.plugins.dialing.numbers import address
from siptwist.plugins.dialing.rows import uneven
from siptwist.plugins.plugin import House, PluginMaker
from siptwist.plugins.stages import IUnknownParty
from siptwist.proxy.core import as_targets, without_routes
from siptwist.proxy.decision import Forward, Reply
from siptwist.proxy.ticket import Ticket
from siptwist.sip.fields import NameAddr
from siptwist.sip.uri import SIPURI


@dataclass(frozen=True, slots=True)
class SIPTrunkOptions:
    """
    ``plugin_siptrunk_name``, ``plugin_siptrunk_account``,
    ``plugin_siptrunk_numbers_regex``: each trunk has a line of each.
    """

    name: tuple[str, ...] = option((), text, "what a trunk is called", repeated=True)
    account: tuple[str, ...] = option(
        (), address, "the account that its telephone system registers", repeated=True
    )
    numbers_regex: tuple[Expression, ...] = option(
        (), expression, "its numbers, a POSIX expression", repeated=True
    )


def wrong(options: SIPTrunkOptions) -> Iterable[tuple[str, str]]:
    yield from uneven(options, "name", "account", "numbers_regex")


@implementer(IUnknownParty)
class SIPTrunk:
    """
    Rings the first account whose numbers are meant and that is registered.  The
    Request-URI stays: the telephone system sees the number that was dialed.
    """

    def __init__(self, options: SIPTrunkOptions, house: House) -> None:
        accounts = [SIPURI.parse(account).aor for account in options.account]
        self._trunks = list(zip(options.name, accounts, options.numbers_regex, strict=True))
        self._locations = house.locations
        self._log = house.log

    def unknown_party(self, ticket: Ticket, from_phone: bool) -> Forward | Reply | None:
        if from_phone and self._locations.by_hop(ticket.source):
            return None
        known = False
        for name, aor in self._meant(ticket):
            known = True
            bindings = self._locations.lookup(aor, ticket.now)
            targets = as_targets(bindings)
            if targets:
                uri = ticket.request.uri
                self._log.debug(
                    "{uri!r} is for {name} [{call_id}]", uri=uri, name=name, call_id=ticket.call_id
                )
                targets = tuple(target._replace(uri=uri) for target in targets)
                return Forward(without_routes(ticket), targets, from_phone, True, "to a trunk")
        return Reply(480, why="no telephone system is registered") if known else None

    def _meant(self, ticket: Ticket) -> Iterator[tuple[str, str]]:
        """
        The trunks that have the number in the Request-URI or in the To.
        """
        uris = (ticket.uri, uri_of(ticket.to))
        numbers = [uri.user for uri in uris if uri and uri.user]
        for name, aor, pattern in self._trunks:
            if any(map(pattern.search, numbers)):
                yield name, aor


def uri_of(party: NameAddr) -> SIPURI | None:
    """
    The URI of a From or To, if it is one of SIP.
    """
    try:
        return party.uri
    except MalformedURI:
        return None


siptrunk = PluginMaker(
    "siptrunk",
    SIPTrunk,
    SIPTrunkOptions,
    check=wrong,
    needs=("account",),
)
