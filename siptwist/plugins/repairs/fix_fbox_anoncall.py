"""
For the FRITZ!Box, which in anonymous calls is not where it has registered.

Its Contact then names another user, ``sip:anonymous@192.168.1.2;uniq=...``, and what
the provider sends there does not find the account.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from zope.interface import implementer

from siptwist.errors import MalformedHeader, MalformedURI
from siptwist.plugins.plugin import House, PluginMaker
from siptwist.plugins.repairs.networks import NetworkOptions, Networks
from siptwist.plugins.stages import IPreProxy, IResponse
from siptwist.proxy.decision import Forward
from siptwist.proxy.passage import Passage
from siptwist.proxy.registration.location import Binding, Locations, user_of
from siptwist.proxy.ticket import Ticket
from siptwist.sip.fields import NameAddr
from siptwist.sip.headers import Headers, make_header
from siptwist.sip.hop import Hop
from siptwist.sip.message import Response
from siptwist.sip.uri import SIPURI, canonical_user


class Account(NamedTuple):
    """
    The user of an account, and the Contact that it has registered.
    """

    user: str
    contact: SIPURI


@implementer(IPreProxy, IResponse)
class FixFboxAnoncall:
    """
    Puts the registered user into the Contact of what phones in the networks send.
    """

    def __init__(self, options: NetworkOptions, house: House) -> None:
        self._networks = Networks(options.networks)
        self._locations = house.locations
        self._log = house.log

    def pre_proxy(self, forward: Forward) -> Ticket | None:
        ticket = forward.ticket
        if not forward.from_phone or not self._networks.has(ticket.source.host):
            return None
        callers = (ticket.from_.aor, ticket.to.aor)
        headers = self._repair(ticket.request.headers, ticket.source, callers)
        if headers is None:
            return None
        return ticket.with_request(ticket.request._replace(headers=headers))

    def response(self, response: Response, passage: Passage) -> Response | None:
        if not passage.to_phone or not self._networks.has(passage.hop.host):
            return None
        headers = self._repair(response.headers, passage.hop, (response.headers.to.aor,))
        return None if headers is None else response._replace(headers=headers)

    def _repair(self, headers: Headers, source: Hop, aors: Iterable[str]) -> Headers | None:
        """
        The headers with the Contact that was registered; ``None`` when it is that, or
        nobody knows which it should be.

        :param aors: who the phone may be, likeliest first.
        """
        contacts = headers.values("contact")
        if len(contacts) != 1:
            return None
        try:
            contact = NameAddr.parse(contacts[0], "Contact")
            uri = contact.uri
        except (MalformedHeader, MalformedURI):
            return None
        users = [user for user in map(user_of, aors) if user]
        accounts = list(accounts_at(self._locations, uri, source, users))
        if any(one.contact.user == uri.user for one in accounts):
            return None
        found = choose(accounts, uri, users)
        if found is None:
            return None
        self._log.debug(
            "Contact of {user!r} is {registered!r} [{call_id}]",
            user=uri.user,
            registered=found.contact.user,
            call_id=headers.get("call-id"),
        )
        repaired = str(contact.with_uri(str(uri._replace(user=found.contact.user))))
        return headers.with_field(make_header("Contact", repaired))


def accounts_at(
    locations: Locations, uri: SIPURI, source: Hop, users: Iterable[str]
) -> Iterator[Account]:
    """
    Whose Contacts are registered at the host of ``uri``.
    """
    found: dict[str, Binding] = {}
    for hop in (source, Hop(uri.address, uri.effective_port)):
        found.update((one.mask, one) for one in locations.by_hop(hop))
    for user in users:
        found.update((one.mask, one) for one in locations.lookup_user(user, 0.0))
    for binding in found.values():
        try:
            contact = SIPURI.parse(binding.contact)
        except MalformedURI:
            continue
        if contact.user and contact.address == uri.address:
            yield Account(binding.user, contact)


def choose(accounts: Sequence[Account], uri: SIPURI, users: Iterable[str]) -> Account | None:
    """
    The one registered Contact with the same ``uniq``, or else the first user's.
    """
    uniq = uri.parameter("uniq")
    same = [one for one in accounts if uniq and one.contact.parameter("uniq") == uniq]
    if len({one.contact.user for one in same}) == 1:
        return same[0]
    for user in users:
        for one in accounts:
            if user == one.user or user == canonical_user(one.contact.user or ""):
                return one
    return None


fix_fbox_anoncall = PluginMaker(
    "fix_fbox_anoncall",
    FixFboxAnoncall,
    NetworkOptions,
    # Those whose Contact says where the other end finds this one (RFC 3261 section 20,
    # RFC 3311, RFC 6665, RFC 3515).
    methods=("INVITE", "UPDATE", "SUBSCRIBE", "NOTIFY", "REFER"),
    needs=("networks",),
)
