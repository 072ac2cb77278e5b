"""
SIP over UDP (RFC 3261 section 18).
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from functools import lru_cache
from time import monotonic
from typing import Any

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.protocol import DatagramProtocol

from siptwist.interfaces import IMessageReceiver, IUndeliverable
from siptwist.logs import logger
from siptwist.sip.hop import Hop, Side

#: Seconds between two lines about messages that could not be sent.
_QUIET = 1.0
# Tries for one message, when the errors of others are in its way.
_TRIES = 3
# What the system refuses now, and may not in a moment: the message is repeated anyway.
_PASSING = frozenset(
    (errno.EAGAIN, errno.EINTR, errno.ENOBUFS, errno.ENOMEM, errno.EPERM, errno.EMSGSIZE)
)


@lru_cache(maxsize=4096)
def _is_address(host: str) -> bool:
    return bool(isIPAddress(host) or isIPv6Address(host))


class UDPTransport(DatagramProtocol):
    """
    One socket that faces a side: datagrams up, messages down.

    What the network refuses is lost, as UDP is; ``unsent`` counts it, and
    ``reports`` is told.

    :param clock: seconds, whenever they began.
    """

    _log = logger()
    noisy = False

    def __init__(
        self,
        receiver: IMessageReceiver,
        side: Side,
        clock: Callable[[], float] = monotonic,
        reports: IUndeliverable | None = None,
    ) -> None:
        self._receiver = receiver
        self._side = side
        self._clock = clock
        self._reports = reports
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

    def undeliverable(self, datagram: bytes, addr: tuple[str, int]) -> None:
        """
        An ICMP error says that ``datagram`` did not arrive at ``addr``.
        """
        self.unsent += 1
        self._report(datagram, Hop(addr[0], addr[1]))

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
        except (OSError, ValueError, OverflowError) as error:
            self._fail(data, hop, self._send_again(data, hop, error))

    def _send_again(self, data: bytes, hop: Hop, error: Exception) -> Exception | None:
        """
        An ICMP error that is pending fails the next message, whomever that is for:
        it is innocent, and sent again at once.
        """
        read_errors = getattr(self.transport, "read_errors", None)
        if read_errors is None or not isinstance(error, OSError) or self._sendto is None:
            return error
        for _ in range(_TRIES - 1):
            read_errors()
            try:
                self._sendto(data, (hop.host, hop.port))
                return None
            except OSError as again:
                error = again
        return error

    def _fail(self, data: bytes, hop: Hop, error: Exception | None) -> None:
        if error is None:
            return
        self.unsent += 1
        if isinstance(error, ConnectionRefusedError):
            return  # Says ICMP, of an earlier one.
        self._complain(hop, error)
        if not (isinstance(error, OSError) and error.errno in _PASSING):
            self._report(data, hop)

    def _report(self, data: bytes, hop: Hop) -> None:
        if self._reports is not None:
            try:
                self._reports.undeliverable(data, hop)
            except Exception:
                self._log.failure("Undeliverable to {hop}", hop=str(hop))

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
