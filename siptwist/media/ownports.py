"""
Our own ports as destinations: a call may come back in, media must not circle.
"""

from __future__ import annotations

from siptwist.media.latch import Address
from siptwist.media.leg import MediaStream
from siptwist.media.stream import Party

#: Addresses that stand for every one of a machine, or for none.
UNSPECIFIED = ("0.0.0.0", "::")


class OurPorts:
    """
    Which addresses are ends of our own streams, so that media that would go
    round in circles is never sent.
    """

    def __init__(self) -> None:
        self._owners: dict[Address, tuple[MediaStream, str]] = {}
        self._addresses: dict[MediaStream, list[Address]] = {}

    def add(self, stream: MediaStream, facing_caller: str, facing_callee: str) -> None:
        """
        ``stream`` receives on its ports, which the world knows by these hosts.
        """
        found = self._addresses[stream] = []
        for bound, advertised, port in (
            (stream.caller_host, facing_caller, stream.caller_port),
            (stream.callee_host, facing_callee, stream.callee_port),
        ):
            for host in {bound, advertised}:
                for address in ((host, port), (host, port + 1)):
                    self._owners[address] = (stream, bound)
                    found.append(address)

    def discard(self, stream: MediaStream) -> None:
        """
        ``stream`` receives nothing any more.
        """
        for address in self._addresses.pop(stream, ()):
            self._owners.pop(address, None)

    def resolve(self, address: Address, stream: MediaStream, party: Party) -> Address | None:
        """
        Where media of ``stream`` for ``party`` at ``address`` are sent.

        A call that leaves and comes back in rightly sends from one of our
        ports to another.  A stream with both ends at our ports would be part
        of a circle, and so would one that sends to itself.
        """
        owner = self._owners.get(address)
        if owner is None:
            return address
        opposite = stream.leg(party.other).addresses()
        if owner[0] is stream or not opposite.isdisjoint(self._owners):
            return None
        return address if owner[1] in UNSPECIFIED else (owner[1], address[1])

    def __len__(self) -> int:
        return len(self._owners)
