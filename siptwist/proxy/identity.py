"""
Who we are: the names and addresses that each side knows us by.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field

from siptwist.sip.headers import Header, keep_header
from siptwist.sip.hop import Hop, Side
from siptwist.sip.uri import SIPURI

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


# Our address on a side whose interface has none yet.
NOWHERE = "0.0.0.0"

# More addresses than these are looked at anew.
_REMEMBERED = 4096


def _is_in(host: str, networks: tuple[Network, ...]) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    return any(address in network for network in networks)


# Compared by identity, so that what is asked of it for each message can be cached.
@dataclass(frozen=True, eq=False)
class Identity:
    """
    Our addresses.

    ``inside`` and ``outside`` are what we tell each side; ``bound`` is where the
    sockets are, which differs outside when ``host_outbound`` names a public
    address of a router before us; "" on a side whose interface has no address yet.
    ``names`` are further hosts that mean us, and ``wide`` is our IPv6 address on a
    side that has one: it serves media.
    ``further`` are addresses of ours in other networks inside, where phones may turn to
    us as well.
    ``record_routes`` are the fields that each side is given, ``own_routes`` their values.
    ``one_socket`` is whether both sides share one address, as behind another
    NAT router.
    """

    inside: Hop
    outside: Hop
    bound: Mapping[Side, str]
    inside_networks: tuple[Network, ...] = ()
    names: frozenset[str] = frozenset()
    wide: Mapping[Side, str] = field(default_factory=dict)
    further: tuple[tuple[Network, str], ...] = ()
    own: frozenset[tuple[str, int]] = field(init=False)
    sent_by: Mapping[Side, str] = field(init=False)
    routes: Mapping[Side, str] = field(init=False)
    record_routes: Mapping[Side, Header] = field(init=False)
    own_routes: frozenset[str] = field(init=False)
    one_socket: bool = field(init=False)
    _near: dict[str, bool] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        hosts = {self.inside.host, self.outside.host, *self.bound.values(), *self.names}
        hosts.update(host for _, host in self.further)
        ports = {self.inside.port, self.outside.port}
        own = frozenset((host.lower(), port) for host in hosts if host for port in ports)
        object.__setattr__(self, "own", own)
        sent_by = {Side.INSIDE: str(self.inside), Side.OUTSIDE: str(self.outside)}
        object.__setattr__(self, "sent_by", sent_by)
        routes = {side: f"<{self.uri(side, parameters=';lr')}>" for side in Side}
        object.__setattr__(self, "routes", routes)
        made = {side: keep_header("Record-Route", route) for side, route in routes.items()}
        object.__setattr__(self, "record_routes", made)
        object.__setattr__(self, "own_routes", frozenset(routes.values()))
        one_socket = self.bound[Side.INSIDE] == self.bound[Side.OUTSIDE]
        object.__setattr__(self, "one_socket", one_socket)

    def facing(self, side: Side) -> Hop:
        return self.inside if side is Side.INSIDE else self.outside

    def is_own(self, uri: SIPURI) -> bool:
        """
        Whether a URI's host and port are ours.  One without a port counts: a
        phone whose outbound proxy is us on another port writes it so.
        """
        port = uri.port or self.inside.port
        return (uri.address, port) in self.own

    def is_own_address(self, uri: SIPURI) -> bool:
        """
        Whether a URI is one of our sockets, by its address and not by a name.
        """
        return uri.address not in self.names and (uri.address, uri.effective_port) in self.own

    def is_own_hop(self, host: str, port: int) -> bool:
        return (host, port) in self.own

    def is_inside_address(self, host: str) -> bool:
        """
        Whether an address belongs to the networks of our inside interface.
        """
        if not self.inside_networks:
            return False
        found = self._near.get(host)
        if found is None:
            found = _is_in(host, self.inside_networks)
            if len(self._near) < _REMEMBERED:
                self._near[host] = found
        return found

    def sender(self, host: str, side: Side) -> str:
        """
        The address that the media of a party on ``side`` come from, by the address of
        its signaling: a program on our own machine, such as a PBX, sends from the address
        that it sends to, unless it is bound to another one.
        """
        ours = self.bound[side]
        if host in self.bound.values() or (host[:4] == "127." and ours[:4] != "127."):
            return ours
        return host

    def are_neighbors(self, one: str, other: str) -> bool:
        """
        Whether two addresses belong to one network of ours inside.
        """
        return any(_is_in(one, (net,)) and _is_in(other, (net,)) for net in self.inside_networks)

    def uri(self, side: Side, user: str | None = None, parameters: str = "") -> str:
        """
        A SIP URI of ours as ``side`` shall know it.
        """
        hop = self.facing(side)
        host = f"[{hop.host}]" if ":" in hop.host else hop.host
        port = "" if hop.port == 5060 else f":{hop.port}"
        return f"sip:{user + '@' if user else ''}{host}{port}{parameters}"
