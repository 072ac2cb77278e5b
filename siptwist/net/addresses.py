"""
The interfaces of this machine, and which of them face the phones and the world.
"""

from __future__ import annotations

import re
import socket
import struct
import sys
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address
from typing import NamedTuple

AUTO = "auto"

# SIOCGIFADDR, SIOCGIFNETMASK and SIOCGIFFLAGS; the BSDs share theirs.
_LINUX_REQUESTS = (0x8915, 0x891B, 0x8913)
_BSD_REQUESTS = (0xC0206921, 0xC0206925, 0xC0206911)
_IFF_UP = 0x1
_IFF_LOOPBACK = 0x8
_IFF_RUNNING = 0x40
_RTF_UP = 0x1
# Temporary, failed, deprecated or tentative (RFC 4862): no address for a call.
_IFA_UNSTABLE = 0x01 | 0x08 | 0x20 | 0x40

# RFC 1918, and RFC 6598 for those behind a carrier's NAT.
_PRIVATE = tuple(
    map(IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10"))
)
# No phones live behind these; they are made for containers and virtual machines.
_CONTAINERS = re.compile(
    r"(docker|veth|virbr|vnet|vmnet|vboxnet|lxc|lxd|podman|cni|flannel|cali|br-[0-9a-f]{12}).*"
)
_TUNNELS = re.compile(r"(wg|tun|tap|tailscale|zt|ipsec|utun).*")


class Interface(NamedTuple):
    """
    A network interface and its first IPv4 address; ``network`` is None, and
    ``address`` empty, when it has none.  ``wide`` is its IPv6 address, which
    serves media; empty without one.  ``has_carrier`` is whether somebody is at the other
    end of its cable.
    """

    name: str
    network: IPv4Interface | None
    is_up: bool = True
    is_loopback: bool = False
    wide: str = ""
    has_carrier: bool = True

    @property
    def address(self) -> str:
        return "" if self.network is None else str(self.network.ip)

    @property
    def is_private(self) -> bool:
        return self.network is not None and any(self.network.ip in net for net in _PRIVATE)

    @property
    def is_usable(self) -> bool:
        return self.is_up and self.network is not None

    def __str__(self) -> str:
        state = self.address or "no IPv4 address"
        return f"{self.name} ({state})" if self.is_up else f"{self.name} ({state}, down)"


class Chosen(NamedTuple):
    """
    The interfaces to use; ``reasons`` are sentences for the start message, and
    ``problems`` say what they lack now.  ``is_guess`` is whether there was no
    default route to choose by.  ``further`` are more interfaces that face the phones,
    some of which may be without an address.
    """

    inbound: Interface
    outbound: Interface
    reasons: tuple[str, ...]
    problems: tuple[str, ...] = ()
    is_guess: bool = False
    further: tuple[Interface, ...] = ()

    @property
    def inbounds(self) -> tuple[Interface, ...]:
        return (self.inbound, *self.further)

    def or_else(self, before: Chosen) -> Chosen:
        """
        This, with what it lacks as it was before: an interface that goes down will
        come back, and so will the default route.
        """
        if self.is_guess and not before.is_guess:
            lack = "if_outbound = auto: there is no default route"
            return before._replace(problems=(*self.problems, lack))
        known = {one.name: one for one in before.inbounds}
        inbounds = [one if one.is_usable else known.get(one.name, one) for one in self.inbounds]
        inbound, *further = _usable_first(inbounds)
        return self._replace(
            inbound=inbound if inbound.is_usable else before.inbound,
            outbound=self.outbound if self.outbound.is_usable else before.outbound,
            further=tuple(further),
        )


def _usable_first(found: Sequence[Interface]) -> list[Interface]:
    return sorted(found, key=lambda one: not one.is_usable)


def find(if_inbound: str = AUTO, if_outbound: str = AUTO) -> Chosen:
    """
    :func:`choose` on this machine as it is now.
    """
    found = interfaces()
    return choose(if_inbound, if_outbound, found, default_interfaces(found))


def choose(
    if_inbound: str, if_outbound: str, found: Sequence[Interface], defaults: Sequence[str]
) -> Chosen:
    """
    Decide which interface faces the phones and which the world.  One that cannot
    be used, now, is without an address, and a problem.

    :param if_inbound: names with commas between them, all of which are used, or
        ``"auto"``; of those in ``if_outbound`` the first is used that can be.
    :param found: every interface, in the order of the system.
    :param defaults: names of those with a default route, best first.
    """
    return _Choice(found, defaults).run(if_inbound, if_outbound)


class _Choice:
    """
    One decision and the reasons for it.
    """

    def __init__(self, found: Sequence[Interface], defaults: Sequence[str]) -> None:
        self._found = found
        self._defaults = defaults
        self._reasons: list[str] = []
        self._problems: list[str] = []
        self._is_guess = False

    def run(self, if_inbound: str, if_outbound: str) -> Chosen:
        named: list[Interface] = []
        if if_inbound != AUTO:
            named = [self._named("if_inbound", name) for name in if_inbound.split(",")]
            named = _usable_first(named)
        if if_outbound == AUTO:
            outbound = self._outbound(named)
        else:
            outbound = self._first("if_outbound", if_outbound.split(","))
        inbound, *further = named or [self._inbound(outbound)]
        return Chosen(
            inbound,
            outbound,
            tuple(self._reasons),
            tuple(self._problems),
            self._is_guess,
            tuple(further),
        )

    def _take(self, key: str, interface: Interface, why: str) -> Interface:
        self._reasons.append(f"{key} = {interface}: {why}")
        return interface

    def _lack(self, key: str, name: str, why: str) -> Interface:
        self._problems.append(f"{key} = {name}: {why}")
        return Interface(name, None, is_up=False)

    def _named(self, key: str, name: str) -> Interface:
        for interface in self._found:
            if interface.name == name:
                if not interface.is_up:
                    return self._lack(key, name, "the interface is down")
                if interface.network is None:
                    return self._lack(key, name, "the interface has no IPv4 address")
                return self._take(key, interface, "as configured")
        known = ", ".join(map(str, self._found)) or "none"
        return self._lack(key, name, f"there is no such interface; there are {known}")

    def _first(self, key: str, names: Sequence[str]) -> Interface:
        """
        The first that can be used, best one with somebody at the other end.
        """
        found = {one.name: one for one in self._found if one.is_usable}
        there = [found[name] for name in names if name in found]
        best = next((one for one in there if one.has_carrier), there[0] if there else None)
        if best is None or len(names) == 1:
            named = [self._named(key, name) for name in names]
            return named[0]
        for name in names:
            if name not in found:
                self._named(key, name)
        why = "as configured" if best.name == names[0] else f"{names[0]} cannot be used"
        return self._take(key, best, why)

    def _outbound(self, inbounds: Sequence[Interface]) -> Interface:
        usable = [interface for interface in self._found if interface.is_usable]
        for name in self._defaults:
            for interface in usable:
                if interface.name == name:
                    return self._take("if_outbound", interface, "it has the default route")
        self._is_guess = True
        others = [interface for interface in usable if not interface.is_loopback]
        others.sort(key=lambda interface: _is_virtual(interface.name))
        for interface in others:
            if interface.name not in [one.name for one in inbounds]:
                why = "there is no default route, and it is the first with an address"
                return self._take("if_outbound", interface, why)
        if inbounds and inbounds[0].is_usable:
            return self._take("if_outbound", inbounds[0], "there is no other interface")
        for interface in usable:
            why = "there is no other interface; only this machine can use the proxy"
            return self._take("if_outbound", interface, why)
        return self._lack("if_outbound", AUTO, "no interface is up with an IPv4 address")

    def _inbound(self, outbound: Interface) -> Interface:
        candidates = [
            interface
            for interface in self._found
            if interface.is_usable
            and not interface.is_loopback
            and interface.is_private
            and interface.name != outbound.name
            and interface.name not in self._defaults
            and not _is_same_network(interface, outbound)
        ]
        for interface in candidates:
            if not _is_virtual(interface.name):
                why = "it has a private address and does not lead to the Internet"
                return self._take("if_inbound", interface, why)
        for interface in candidates:
            if _TUNNELS.fullmatch(interface.name) and not outbound.is_private:
                why = "it has a private address, and no network of phones is nearer"
                return self._take("if_inbound", interface, why)
        if not outbound.is_usable:
            return self._lack("if_inbound", AUTO, "no interface leads to a network for phones")
        why = "there is no other network for phones"
        if outbound.is_loopback:
            why = "there is no other interface; only this machine can use the proxy"
        self._take("if_inbound", outbound, why)
        for interface in candidates:
            self._reasons.append(
                f"{interface} was passed over: such names belong to containers, virtual "
                f"machines or tunnels; to use it, set if_inbound = {interface.name}"
            )
        return outbound


def _is_virtual(name: str) -> bool:
    return bool(_CONTAINERS.fullmatch(name) or _TUNNELS.fullmatch(name))


def _is_same_network(one: Interface, other: Interface) -> bool:
    if one.network is None or other.network is None:
        return False
    return one.network.network.overlaps(other.network.network)


def default_routes(text: str) -> tuple[str, ...]:
    """
    The interfaces with a default route, lowest metric first.

    :param text: the content of Linux's ``/proc/net/route``; lines that make no
        sense are passed over.
    """
    routes: list[tuple[int, str]] = []
    for line in text.splitlines()[1:]:
        words = line.split()
        try:
            name, destination, flags, metric, mask = (words[i] for i in (0, 1, 3, 6, 7))
            if int(destination, 16) == int(mask, 16) == 0 and int(flags, 16) & _RTF_UP:
                routes.append((int(metric), name))
        except (IndexError, ValueError):
            continue
    return tuple(dict.fromkeys(name for _, name in sorted(routes, key=lambda route: route[0])))


def default_interfaces(found: Sequence[Interface]) -> tuple[str, ...]:
    """
    The interfaces with a default route, best first, on any system.
    """
    try:
        with open("/proc/net/route", encoding="ascii", errors="replace") as file:
            names = default_routes(file.read())
    except OSError:
        names = ()
    if names:
        return names
    # It is for documentation: only a default route leads there.
    source = source_toward("198.51.100.1")
    return tuple(interface.name for interface in found if interface.address == source)


def source_toward(host: str) -> str:
    """
    Our address that packets to a host would come from, "" for none; nothing is sent.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((host, 9))
        except OSError:
            return ""
        return str(probe.getsockname()[0])


def interfaces() -> list[Interface]:
    """
    Every interface of this machine, in the order of its index.
    """
    try:
        with open("/proc/net/if_inet6", encoding="ascii", errors="replace") as file:
            wide = wide_addresses(file.read())
    except OSError:
        wide = {}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        found = [_describe(asked, name) for _, name in sorted(socket.if_nameindex())]
    return [one._replace(wide=wide.get(one.name, "")) for one in found]


def wide_addresses(text: str) -> dict[str, str]:
    """
    One IPv6 address for each interface that has one, reachable from anywhere if
    there is such a one.

    :param text: the content of Linux's ``/proc/net/if_inet6``; lines that make no
        sense are passed over.
    """
    found: dict[str, IPv6Address] = {}
    for line in text.splitlines():
        try:
            digits, _, _, scope, flags, name = line.split()
            address = IPv6Address(int(digits, 16))
            if int(scope, 16) or int(flags, 16) & _IFA_UNSTABLE:
                continue
        except ValueError:
            continue
        if name not in found or address.is_global > found[name].is_global:
            found[name] = address
    return {name: str(address) for name, address in found.items()}


def _describe(asked: socket.socket, name: str) -> Interface:
    requests = _LINUX_REQUESTS if sys.platform.startswith("linux") else _BSD_REQUESTS
    answers = [_ask(asked, request, name) for request in requests]
    address, netmask, flags = answers
    bits = 0 if flags is None else struct.unpack("=H", flags[:2])[0]
    network = None
    if address is not None and netmask is not None:
        # struct sockaddr_in: family, port, address.
        host, mask = IPv4Address(address[4:8]), IPv4Address(netmask[4:8])
        network = IPv4Interface(f"{host}/{mask}")
    return Interface(
        name,
        network,
        bool(bits & _IFF_UP),
        bool(bits & _IFF_LOOPBACK),
        has_carrier=bool(bits & _IFF_RUNNING),
    )


def _ask(asked: socket.socket, request: int, name: str) -> bytes | None:
    """
    One ioctl of an interface; None when it has no such thing.
    """
    import fcntl  # Not at the top: this module is read on systems without it.

    try:
        answer = fcntl.ioctl(asked, request, struct.pack("=16s24x", name.encode()[:15]))
    except OSError:
        return None
    return answer[16:]
