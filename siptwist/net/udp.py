"""
SIP over UDP (RFC 3261 section 18).
"""

from __future__ import annotations

from twisted.internet.protocol import DatagramProtocol

from siptwist.interfaces import IMessageReceiver
from siptwist.logs import logger
from siptwist.sip.hop import Hop, Side

# Twisted cuts datagrams at 8192 bytes unless told otherwise.
MAX_DATAGRAM = 65_535


class UDPTransport(DatagramProtocol):
    """
    One socket that faces a side: datagrams up, messages down.
    """

    _log = logger()
    noisy = False

    def __init__(self, receiver: IMessageReceiver, side: Side) -> None:
        self._receiver = receiver
        self._side = side

    def datagramReceived(self, datagram: bytes, addr: tuple[str, int]) -> None:
        try:
            self._receiver.message_received(datagram, Hop(addr[0], addr[1]), self._side)
        except Exception:
            self._log.failure("Message from {source}", source=f"{addr[0]}:{addr[1]}")

    def send(self, data: bytes, hop: Hop) -> None:
        """
        Send one message; what the network refuses is lost, as UDP is.
        """
        if self.transport is None:
            return
        try:
            self.transport.write(data, (hop.host, hop.port))
        except (OSError, ValueError, OverflowError) as error:
            self._log.warn("Cannot send to {hop}: {error}", hop=str(hop), error=str(error))
