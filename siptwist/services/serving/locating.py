"""
Host names in session descriptions (RFC 8866 section 5.7) become addresses.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from siptwist.errors import Unresolvable
from siptwist.interfaces import IResolver
from siptwist.logs import logger
from siptwist.media.stream import StreamOffer, is_name

#: Names looked up for one description; whoever writes more keeps those as they are.
MAX_NAMES = 4

#: Nothing answers under this name (RFC 6761 section 6.4): it stands for hold.
_NOWHERE = ".invalid"


class Locating:
    """
    Asks the name servers where a party receives.
    """

    _log = logger()

    def __init__(self, resolver: IResolver) -> None:
        self.resolver = resolver

    def locate(self, streams: tuple[StreamOffer, ...]) -> Any:
        """
        The streams with addresses in the place of names.

        :returns: the streams, or a ``Deferred`` of them.  What cannot be resolved
            stays a name: its party is found by where its packets come from.
        """
        names = {one.endpoint.host for one in streams if one.is_relayed}
        wanted = [name for name in names if is_name(name) and not _is_nowhere(name)]
        return self._next(streams, wanted[:MAX_NAMES], {})

    def _next(
        self, streams: tuple[StreamOffer, ...], names: list[str], known: dict[str, str]
    ) -> Any:
        while names:
            name = names.pop()
            # A port keeps the resolver from asking for SRV records (RFC 3263 section 4.2).
            found = self.resolver.resolve(name, 9, "UDP")
            if isinstance(found, Deferred):
                found.addCallbacks(
                    lambda hops, name=name: known.update({name: hops[0].host}), self._give_up
                )
                return found.addCallback(lambda _: self._next(streams, names, known))
            known[name] = found[0].host
        return tuple([_at(one, known) for one in streams])

    def _give_up(self, failure: Any) -> None:
        failure.trap(Unresolvable)
        self._log.info("SDP: {error}", error=failure.getErrorMessage())


def _is_nowhere(name: str) -> bool:
    return name.rstrip(".").lower().endswith(_NOWHERE)


def _at(stream: StreamOffer, known: dict[str, str]) -> StreamOffer:
    host = known.get(stream.endpoint.host)
    if host is None:
        return stream
    return stream._replace(endpoint=stream.endpoint._replace(host=host))
