"""
Whose messages a plugin repairs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from ipaddress import ip_address

from siptwist.hostlists import Network, networks
from siptwist.options import option

# How many hosts are remembered, whether they are listed or not.
_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """
    ``plugin_<name>_networks``.
    """

    networks: tuple[Network, ...] = option((), networks, "whose messages are repaired")


class Networks:
    """
    Networks, quick to ask.  A host name is in none.

    ``has`` says whether an address is in one of them; IPv6 may be in brackets.
    """

    __slots__ = ("has",)

    def __init__(self, listed: Iterable[Network]) -> None:
        self.has: Callable[[str], bool] = _Known(listed).__getitem__


class _Known(dict[str, bool]):
    """
    Hosts, and whether they are listed: each is found out once.
    """

    def __init__(self, listed: Iterable[Network]) -> None:
        self._listed = tuple(listed)

    def __missing__(self, host: str) -> bool:
        found = self._is_in(host)
        if len(self) >= _REMEMBERED:
            self.clear()
        self[host] = found
        return found

    def _is_in(self, host: str) -> bool:
        try:
            address = ip_address(host.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return any(address in network for network in self._listed)
