"""
Who has to prove who it is before it may call.
"""

from __future__ import annotations

from typing import Protocol
from urllib.parse import unquote

from siptwist.proxy.identity import Identity
from siptwist.proxy.registration.location import Locations
from siptwist.proxy.session.dialogs import Dialogs
from siptwist.proxy.ticket import Ticket

# What begins something.  The others are about something that has begun, and reach
# nobody who is not in it.
ASKED = frozenset({"INVITE", "MESSAGE", "SUBSCRIBE", "REFER", "PUBLISH"})


class KnowsUs(Protocol):
    """
    Who can say who we are now.
    """

    @property
    def identity(self) -> Identity:
        """
        Our addresses and names.
        """


class Callers:
    """
    Tells our own users, who have a password here, from those who have none.

    A phone whose account is at a provider proves itself there, and whoever calls
    from outside is none of our users.
    """

    def __init__(self, us: KnowsUs, locations: Locations, dialogs: Dialogs) -> None:
        self._us = us
        self._locations = locations
        self._dialogs = dialogs

    def must_prove(self, ticket: Ticket, is_phone: bool) -> bool:
        """
        Whether this request needs credentials of ours.
        """
        if ticket.method not in ASKED or self._is_known(ticket):
            return False
        return self.is_ours(ticket) or (is_phone and not self._has_provider(ticket))

    def is_ours(self, ticket: Ticket) -> bool:
        """
        Whether the sender says to be a user of ours.
        """
        sender = ticket.from_
        if not sender.is_sip:
            return False
        if self._us.identity.is_own(sender.uri):
            return True
        found = self._locations.lookup(sender.aor, ticket.now)
        return any(not binding.registrar for binding in found)

    def user_of(self, ticket: Ticket) -> str | None:
        """
        Whose password it must be; ``None`` when any of ours will do.
        """
        return unquote(ticket.from_.uri.user or "") if self.is_ours(ticket) else None

    def _is_known(self, ticket: Ticket) -> bool:
        """
        Whether it belongs to a call that was let through: a To tag alone proves
        nothing.
        """
        if not ticket.in_dialog:
            return False
        tags = (ticket.from_.tag or "", ticket.to.tag)
        return self._dialogs.find(ticket.call_id, *tags, ticket.side) is not None

    def _has_provider(self, ticket: Ticket) -> bool:
        return any(binding.registrar for binding in self._locations.by_hop(ticket.source))
