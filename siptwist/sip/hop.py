"""
Where a message comes from and where it goes.
"""

from __future__ import annotations

import enum
from typing import NamedTuple

from siptwist.sip.values import plain_members


@plain_members
class Side(enum.Enum):
    """
    A side of the proxy: phones live inside, the world outside.
    """

    INSIDE = "inside"
    OUTSIDE = "outside"

    # Identity is enough, and quicker than hashing the name on every message.
    __hash__ = object.__hash__


class Hop(NamedTuple):
    """
    A transport address: the next or the previous hop (RFC 3261 section 18).

    ``host`` is an IP address without brackets, except before it is resolved.
    """

    host: str
    port: int
    transport: str = "UDP"

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"
