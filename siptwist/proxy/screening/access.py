"""
Who may talk to us.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import lru_cache

from siptwist.proxy.identity import Network


@lru_cache(maxsize=4096)
def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def is_address(host: str) -> bool:
    """
    Whether this is an IP address and not a name.
    """
    return _address(host) is not None


def is_in(host: str, networks: Iterable[Network]) -> bool:
    """
    Whether an address lies in one of the networks.
    """
    address = _address(host)
    return address is not None and any(address in network for network in networks)


@lru_cache(maxsize=4096)
def is_local(host: str) -> bool:
    """
    Whether an address can only be of our own premises: loopback, link-local,
    private (RFC 1918, RFC 4193).
    """
    address = _address(host)
    if address is None or address.is_unspecified:
        return False
    if isinstance(address, ipaddress.IPv4Address):
        return is_in(host, _PREMISES)
    return address.is_loopback or address.is_link_local or address in _UNIQUE_LOCAL


# In a list in place of a name without addresses: nobody sends from there, and
# the list is not empty, which would mean everybody.
NOBODY = ipaddress.IPv6Network("::/128")

_PREMISES = tuple(
    ipaddress.IPv4Network(text)
    for text in ("127.0.0.0/8", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16")
)
_UNIQUE_LOCAL = ipaddress.IPv6Network("fc00::/7")


@dataclass(frozen=True, slots=True)
class Access:
    """
    The three lists of siproxd: deny is asked first.  Who registers is inside,
    whatever the lists say, unless ``register_outside``.

    ``deny_unknown`` is while not all that is denied is known, for a name has no
    address yet: then only who is expressly allowed may send.
    """

    deny_sip: tuple[Network, ...] = ()
    allow_sip: tuple[Network, ...] = ()
    allow_register: tuple[Network, ...] = ()
    register_outside: bool = False
    deny_unknown: bool = False
    is_open: bool = field(init=False)

    def __post_init__(self) -> None:
        is_open = not (self.deny_sip or self.allow_sip or self.deny_unknown)
        object.__setattr__(self, "is_open", is_open)

    def may_send(self, host: str) -> bool:
        """
        Whether a source address may send SIP at all.
        """
        if self.is_open:
            return True
        if self.deny_sip and is_in(host, self.deny_sip):
            return False
        if not (self.allow_sip or self.deny_unknown):
            return True
        return is_in(host, self.allow_sip) or is_in(host, self.allow_register)

    def may_register(self, host: str, is_inside: bool) -> bool:
        if not (is_inside or self.register_outside):
            return False
        return not self.allow_register or is_in(host, self.allow_register)
