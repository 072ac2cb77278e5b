"""
Who we are: the names and addresses that each side knows us by.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

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


class Inside(NamedTuple):
    """
    One of several addresses of ours inside, the network that it belongs to, and our
    IPv6 address there, "" for none.
    """

    host: str
    network: Network | None = None
    wide: str = ""


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
    ``record_routes`` are the fields that each side is given, ``own_routes`` their values.
    ``one_socket`` is whether both sides share one address, as behind another
    NAT router.

    ``insides`` are our addresses when there are several inside, the first of which is
    ``inside``, and else none; ``source`` says from which of our addresses the system
    reaches a host, "" if it does not.
    """

    inside: Hop
    outside: Hop
    bound: Mapping[Side, str]
    inside_networks: tuple[Network, ...] = ()
    names: frozenset[str] = frozenset()
    wide: Mapping[Side, str] = field(default_factory=dict)
    insides: tuple[Inside, ...] = ()
    source: Callable[[str], str] | None = None
    inside_hosts: frozenset[str] = field(init=False)
    bound_hosts: frozenset[str] = field(init=False)
    own: frozenset[tuple[str, int]] = field(init=False)
    sent_by: Mapping[Side, str] = field(init=False)
    routes: Mapping[Side, str] = field(init=False)
    record_routes: Mapping[Side, Header] = field(init=False)
    own_routes: frozenset[str] = field(init=False)
    one_socket: bool = field(init=False)
    _near: dict[str, bool] = field(init=False, repr=False, default_factory=dict)
    _nearest: dict[str, str] = field(init=False, repr=False, default_factory=dict)
    _views: dict[str, Identity] = field(init=False, repr=False, default_factory=dict)

    def __post_init__(self) -> None:
        inside_hosts = frozenset([one.host for one in self.insides] or [self.inside.host])
        object.__setattr__(self, "inside_hosts", inside_hosts)
        bound_inside = inside_hosts if self.insides else {self.bound[Side.INSIDE]}
        bound_hosts = frozenset({*bound_inside, self.bound[Side.OUTSIDE]} - {""})
        object.__setattr__(self, "bound_hosts", bound_hosts)
        hosts = {*inside_hosts, self.outside.host, *bound_hosts, *self.names}
        ports = {self.inside.port, self.outside.port}
        own = frozenset((host.lower(), port) for host in hosts if host for port in ports)
        object.__setattr__(self, "own", own)
        sent_by = {Side.INSIDE: str(self.inside), Side.OUTSIDE: str(self.outside)}
        object.__setattr__(self, "sent_by", sent_by)
        routes = {side: f"<{self.uri(side, parameters=';lr')}>" for side in Side}
        object.__setattr__(self, "routes", routes)
        made = {side: keep_header("Record-Route", route) for side, route in routes.items()}
        object.__setattr__(self, "record_routes", made)
        others = [f"<{_uri(Hop(host, self.inside.port))};lr>" for host in inside_hosts]
        object.__setattr__(self, "own_routes", frozenset((*routes.values(), *others)))
        one_socket = self.bound[Side.OUTSIDE] in bound_inside
        object.__setattr__(self, "one_socket", one_socket)

    @property
    def told_inside(self) -> str:
        """
        All that phones may use, in words.
        """
        hosts = [str(self.inside._replace(host=host)) for host in self.further_hosts]
        return " or ".join([str(self.inside), *hosts])

    @property
    def further_hosts(self) -> tuple[str, ...]:
        """
        Our addresses inside but the first.
        """
        return tuple([one.host for one in self.insides[1:]])

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
        if host in self.bound_hosts or (host[:4] == "127." and ours[:4] != "127."):
            is_nearer = self.insides and side is Side.INSIDE and host in self.inside_hosts
            return host if is_nearer else ours
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
        return _uri(self.facing(side), user, parameters)

    def toward(self, side: Side, host: str) -> Identity:
        """
        This, with that address of ours as ``inside`` which a host there is to know; the
        same when there is only one, and outside.
        """
        if not self.insides or side is Side.OUTSIDE:
            return self
        ours = self.nearest(host)
        found = self._views.get(ours)
        if found is None:
            found = self._views[ours] = self._view(ours)
        return found

    def _view(self, ours: str) -> Identity:
        (one,) = (one for one in self.insides if one.host == ours)
        wide: dict[Side, str] = {
            side: host for side, host in self.wide.items() if side is Side.OUTSIDE
        }
        if one.wide:
            wide[Side.INSIDE] = one.wide
        bound = {**self.bound, Side.INSIDE: ours}
        return replace(self, inside=self.inside._replace(host=ours), bound=bound, wide=wide)

    def nearest(self, host: str) -> str:
        """
        Our address inside by whose network a host is reached, the smallest one if
        several do; else the one that the system would take; else the first.
        """
        found = self._nearest.get(host)
        if found is None:
            found = self._find_nearest(host)
            if len(self._nearest) < _REMEMBERED:
                self._nearest[host] = found
        return found

    def _find_nearest(self, host: str) -> str:
        for one in self.insides:
            if host in (one.host, one.wide) and host:
                return one.host
        near = [one for one in self.insides if one.network and _is_in(host, (one.network,))]
        if near:
            return max(near, key=_length).host
        taken = self.source(host) if self.source is not None and host else ""
        return taken if taken in self.inside_hosts else self.insides[0].host


def _length(one: Inside) -> int:
    return one.network.prefixlen if one.network else 0


def _uri(hop: Hop, user: str | None = None, parameters: str = "") -> str:
    host = f"[{hop.host}]" if ":" in hop.host else hop.host
    port = "" if hop.port == 5060 else f":{hop.port}"
    return f"sip:{user + '@' if user else ''}{host}{port}{parameters}"
