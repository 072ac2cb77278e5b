"""
Lists of who may and who may not: addresses, networks and names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

Network = IPv4Network | IPv6Network

# The last label of a host name begins with a letter (RFC 1123 section 2.1): what
# does not was meant to be an address.
_NAME = re.compile(
    r"((?:[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,62})\.)*[A-Za-z](?:[A-Za-z0-9-]{0,62})\.?)(?:/([0-9]{1,3}))?"
)


@dataclass(frozen=True, slots=True)
class HostName:
    """
    A name in a list; with ``bits``, the networks of that size that its addresses
    lie in, otherwise its addresses alone.
    """

    name: str
    bits: int | None = None

    def __str__(self) -> str:
        return self.name if self.bits is None else f"{self.name}/{self.bits}"

    def networks(self, addresses: tuple[str, ...]) -> tuple[Network, ...]:
        """
        What the name means while these are its addresses.
        """
        return tuple(map(self._network, addresses))

    def _network(self, address: str) -> Network:
        alone = ip_network(address)
        if self.bits is None:
            return alone
        return ip_network(f"{address}/{min(self.bits, alone.max_prefixlen)}", strict=False)


def networks(value: str) -> tuple[Network, ...]:
    """
    Addresses and CIDR networks, separated by commas.
    """
    return tuple(_network(item) for item in _items(value))


def hosts(value: str) -> tuple[Network | HostName, ...]:
    """
    Addresses, CIDR networks and names, separated by commas.
    """
    return tuple(_host(item) for item in _items(value))


def _items(value: str) -> list[str]:
    found = [item for item in re.split(r"[,\s]+", value) if item]
    if not found:
        raise ValueError(f"{value!r} names no network")
    return found


def _network(item: str) -> Network:
    try:
        return ip_network(item, strict=False)
    except ValueError:
        raise ValueError(f"{item!r} is not an address or a network like 10.0.0.0/8") from None


def _host(item: str) -> Network | HostName:
    match = _NAME.fullmatch(item)
    if match is None:
        return _network(item)
    bits = None if match[2] is None else int(match[2])
    if bits is not None and bits > 128:
        raise ValueError(f"{item!r}: no network has {bits} bits")
    return HostName(match[1], bits)
