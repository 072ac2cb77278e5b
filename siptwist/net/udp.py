"""
SIP over UDP (RFC 3261 section 18).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from time import monotonic
from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.protocol import DatagramProtocol

from siptwist.interfaces import IMessageReceiver
from siptwist.logs import logger
from siptwist.sip.hop import Hop, Side

# Twisted cuts datagrams at 8192 bytes unless told otherwise.
MAX_DATAGRAM = 65_535
#: Seconds between two lines about messages that could not be sent.
_QUIET = 1.0


@lru_cache(maxsize=4096)
def _is_address(host: str) -> bool:
    return bool(isIPAddress(host) or isIPv6Address(host))


class UDPTransport(DatagramProtocol):
    """
    One socket that faces a side: datagrams up, messages down.

    What the network refuses is lost, as UDP is; ``unsent`` counts it.

    :param clock: seconds, whenever they began.
    """

    _log = logger()
    noisy = False

    def __init__(
        self, receiver: IMessageReceiver, side: Side, clock: Callable[[], float] = monotonic
    ) -> None:
        self._receiver = receiver
        self._side = side
        self._clock = clock
        self._sendto: Callable[[bytes, Any], object] | None = None
        self._quiet_until = float("-inf")
        self.unsent = 0

    def startProtocol(self) -> None:
        # Port.write looks at the address three times before each datagram.
        port: Any = self.transport
        handle = getattr(port, "socket", None)
        self._sendto = port.write if handle is None else handle.sendto

    def stopProtocol(self) -> None:
        self._sendto = None

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        try:
            self._receiver.message_received(datagram, Hop(addr[0], addr[1]), self._side)
        except Exception:
            self._log.failure("Message from {source}", source=f"{addr[0]}:{addr[1]}")

    def send(self, data: bytes, hop: Hop) -> None:
        """
        Send one message to an address; names are not looked up.
        """
        if self._sendto is None:
            return
        try:
            if not _is_address(hop.host):
                raise ValueError("not an address")
            self._sendto(data, (hop.host, hop.port))
        except ConnectionRefusedError:
            self.unsent += 1  # Says ICMP, of an earlier one.
        except (OSError, ValueError, OverflowError) as error:
            self.unsent += 1
            self._complain(hop, error)

    def _complain(self, hop: Hop, error: Exception) -> None:
        now = self._clock()
        if now < self._quiet_until:
            return
        self._quiet_until = now + _QUIET
        self._log.warn(
            "Cannot send to {hop}: {error}; {count} messages lost until now",
            hop=str(hop),
            error=str(error),
            count=self.unsent,
        )
