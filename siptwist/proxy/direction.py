"""
Who sent a request: one of our phones, or the world.
"""

from __future__ import annotations

from collections import OrderedDict

from siptwist.proxy.identity import Identity
from siptwist.proxy.registration.location import Locations
from siptwist.proxy.registration.visitors import Visitors
from siptwist.proxy.screening.access import is_local
from siptwist.sip.hop import Hop, Side


class Peers:
    """
    Servers outside to which we sent something, and the domains whose
    registrars they are; the one not used for longest makes room.
    """

    def __init__(self, limit: int = 4096) -> None:
        self._limit = limit
        self._domains: OrderedDict[tuple[str, int], set[str]] = OrderedDict()
        self._servers: OrderedDict[str, Hop] = OrderedDict()

    def note(self, hop: Hop, domain: str = "") -> None:
        address = (hop.host, hop.port)
        found = self._domains.get(address)
        if found is None:
            found = self._domains[address] = set()
            if len(self._domains) > self._limit:
                self._domains.popitem(last=False)
        else:
            self._domains.move_to_end(address)
        if domain and len(found) < 64:
            found.add(domain)

    def note_account(self, aor: str, hop: Hop) -> None:
        """
        This server took the registration of an account.
        """
        self._servers.pop(aor, None)
        self._servers[aor] = hop
        if len(self._servers) > self._limit:
            self._servers.popitem(last=False)

    def server_of(self, aor: str) -> Hop | None:
        """
        The server that took the registration of an account: the others of its
        domain may not know it, or want to be asked who it is.
        """
        return self._servers.get(aor)

    def __contains__(self, hop: Hop) -> bool:
        return (hop.host, hop.port) in self._domains

    def domains(self, hop: Hop) -> set[str]:
        """
        The domains of the accounts that registered there.
        """
        return self._domains.get((hop.host, hop.port), set())


class Direction:
    """
    Tells phones from the world.

    With a socket on each side the socket decides.  With one address for both,
    as behind another NAT router, it is who we know, and then the address.
    """

    def __init__(self, locations: Locations, visitors: Visitors, peers: Peers) -> None:
        self._locations = locations
        self._visitors = visitors
        self._peers = peers

    def is_known_phone(self, hop: Hop) -> bool:
        return bool(self._locations.by_hop(hop)) or self._visitors.has_hop(hop)

    def is_phone(self, source: Hop, side: Side, identity: Identity, method: str = "") -> bool:
        """
        Whether a request from ``source``, arrived on ``side``, is from inside.

        Who registers from our own premises is a phone, also when another one
        has called it before.
        """
        if identity.one_socket:
            if self._locations.by_hop(source):
                return True
            is_near = is_local(source.host) or identity.is_inside_address(source.host)
            return is_near and (method == "REGISTER" or source not in self._peers)
        if side is Side.INSIDE:
            return True
        host = source.host
        return (
            identity.is_inside_address(host)
            or host in identity.bound_hosts
            or host.startswith("127.")
            or bool(self._locations.by_hop(source))
        )

    def may_register(self, source: Hop, side: Side, identity: Identity, is_listed: bool) -> bool:
        """
        Whether a REGISTER came from inside, by the socket that received it: an
        address of the inside can be forged outside.  With one address for both
        sides it is a near address, or one that the operator ``is_listed``.
        """
        host = source.host
        if identity.one_socket:
            return is_listed or is_local(host) or identity.is_inside_address(host)
        return side is Side.INSIDE or host in identity.bound_hosts or host.startswith("127.")

    def side_of(self, hop: Hop, identity: Identity) -> Side:
        """
        The side on which a next hop of a phone's request lies.
        """
        if identity.one_socket:
            return (
                Side.INSIDE if self.is_known_phone(hop) and hop not in self._peers else Side.OUTSIDE
            )
        return Side.INSIDE if identity.is_inside_address(hop.host) else Side.OUTSIDE
