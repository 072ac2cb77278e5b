"""
Whose messages a plugin repairs.
"""

from __future__ import annotations

from collections.abc import Iterable
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
    """

    def __init__(self, listed: Iterable[Network]) -> None:
        self._listed = tuple(listed)
        self._known: dict[str, bool] = {}

    def __contains__(self, host: str) -> bool:
        """
        :param host: an address; IPv6 may be in brackets.
        """
        found = self._known.get(host)
        if found is None:
            found = self._is_in(host)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[host] = found
        return found

    def _is_in(self, host: str) -> bool:
        try:
            address = ip_address(host.removeprefix("[").removesuffix("]"))
        except ValueError:
            return False
        return any(address in network for network in self._listed)
