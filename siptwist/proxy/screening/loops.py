"""
A request that comes back unchanged goes round in circles (RFC 3261 sections
16.3 step 4 and 16.6 step 8, RFC 5393 section 4).
"""

from __future__ import annotations

from collections.abc import Sequence

from siptwist.proxy.ticket import Ticket
from siptwist.sip.hop import Side

# Bits of a mark: enough that no two requests of a call have the same one.
_MASK = 2**48 - 1
# What else of a request may send it another way (RFC 5393 section 4.2.1).
_MORE = frozenset({"route", "proxy-require", "proxy-authorization"})


class Loops:
    """
    Marks what goes out, and knows it again when nothing has changed.

    The mark stands in the branch of our Via, behind its random part.  A spiral,
    a request that comes back for somebody else, has another mark.

    Marks are Python's own hash, which has a secret of its process: a request that
    was on its way while we restarted goes one more round.

    :param key: makes marks that only we can make, should the secret be known.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key

    def mark(self, ticket: Ticket) -> str:
        """
        What routing depends on, as the request came, hashed.  Vias are not
        among it: they change on every round.
        """
        request = ticket.request
        headers = request.headers
        more: Sequence[object] = ()
        if not _MORE.isdisjoint(headers.first):
            more = [header[:2] for header in headers.items if header[0] in _MORE]
        # The same from a phone and from the world are two questions: a provider
        # may send a call for another of our phones back with its Request-URI as it was.
        made = hash(
            (
                self._key,
                request.uri,
                ticket.to.tag,
                ticket.from_.tag,
                ticket.call_id,
                ticket.cseq.number,
                ticket.side is Side.INSIDE,
                *more,
            )
        )
        return f"{made & _MASK:012x}"

    def has_looped(self, ticket: Ticket) -> bool:
        """
        Whether this very request went through us before.
        """
        vias = ticket.vias
        if len(vias) == 1 and "," not in vias[0][1]:
            return False
        ending = branch_ending(self.mark(ticket))
        return any(ending in via[1] for via in vias)


def branch_ending(mark: str) -> str:
    """
    How a mark stands in a branch.
    """
    return f".{mark}" if mark else ""
