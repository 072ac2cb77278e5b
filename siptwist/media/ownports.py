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

    Known by the even port of a pair, that of RTP.
    """

    def __init__(self) -> None:
        self._owners: dict[Address, tuple[MediaStream, str]] = {}
        self._pairs: dict[MediaStream, tuple[Address, ...]] = {}
        # Every host of ours that was ever told: a handful.
        self._hosts: set[str] = set()
        #: Whether a call ever came back in, so that it pays to look for others.
        self.has_met = False

    def add(self, stream: MediaStream, facing_caller: str, facing_callee: str) -> None:
        """
        ``stream`` receives on its ports, which the world knows by these hosts.
        """
        caller, callee = stream.caller_port, stream.callee_port
        near, far = (stream, stream.caller_host), (stream, stream.callee_host)
        pairs = (
            (stream.caller_host, caller),
            (stream.callee_host, callee),
            (facing_caller, caller),
            (facing_callee, callee),
        )
        self._pairs[stream] = pairs
        self._hosts.add(facing_caller)
        self._hosts.add(facing_callee)
        owners = self._owners
        owners[pairs[0]] = owners[pairs[2]] = near
        owners[pairs[1]] = owners[pairs[3]] = far

    def discard(self, stream: MediaStream) -> None:
        """
        ``stream`` receives nothing any more.
        """
        for pair in self._pairs.pop(stream, ()):
            self._owners.pop(pair, None)

    def resolve(self, address: Address, stream: MediaStream, party: Party) -> Address | None:
        """
        Where media of ``stream`` for ``party`` at ``address`` are sent.

        A call that leaves and comes back in rightly sends from one of our
        ports to another.  A stream with both ends at our ports would be part
        of a circle, and so would one that sends to itself.
        """
        host, port = address
        owner = self._owners.get((host, port & ~1))
        if owner is None:
            return address
        self.has_met = True
        if owner[0] is stream or any(map(self._owner, stream.leg(party.other).addresses())):
            return None
        return address if owner[1] in UNSPECIFIED else (owner[1], port)

    def has(self, host: str) -> bool:
        """
        Whether the world knows a stream of ours by this host.
        """
        return host in self._hosts

    def owner(self, address: Address) -> MediaStream | None:
        """
        The stream of ours that receives RTP there.
        """
        found = self._owners.get(address)
        return found and found[0]

    def _owner(self, address: Address) -> tuple[MediaStream, str] | None:
        host, port = address
        return self._owners.get((host, port & ~1))

    def __len__(self) -> int:
        return len(self._owners)
