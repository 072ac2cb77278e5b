"""
What the network says it could not deliver: ICMP errors (RFC 3261 section 18.4).

Linux keeps them for a socket that asks (``IP_RECVERR``), with the datagram they
are about; elsewhere there are none, and a silent hop is found out by its silence.
"""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import suppress
from typing import Any

from twisted.internet import udp
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

#: Twisted cuts datagrams at 8192 bytes unless told otherwise.
MAX_DATAGRAM = 65_535
#: Datagrams, and errors, taken before the reactor gets its turn.
MAX_READY = 256
_MAX_ERRORS = 64

# <linux/in.h>, <linux/in6.h> and <linux/errqueue.h>; Python does not name them all.
_RECVERR = {
    socket.AF_INET: (socket.IPPROTO_IP, 11),
    socket.AF_INET6: (socket.IPPROTO_IPV6, 25),
}
# struct sock_extended_err: errno, origin, type, code, padding, info, data.
_EXTENDED = struct.Struct("=IBBBBII")
_ORIGIN_ICMP, _ORIGIN_ICMP6 = 2, 3
# An ICMP error quotes the beginning of a datagram: 548 bytes, or 1232 by IPv6.
_QUOTED, _NOTES = 2048, 256


def is_refusal(level: int, kind: int, data: bytes) -> bool:
    """
    Whether a note of the error queue says that a datagram will never arrive:
    "destination unreachable" and "parameter problem".  Others are to be ignored
    (section 18.4), and after "fragmentation needed" the next try is smaller.
    """
    if (level, kind) not in _RECVERR.values() or len(data) < _EXTENDED.size:
        return False
    _, origin, icmp, code, _, _, _ = _EXTENDED.unpack_from(data)
    if origin == _ORIGIN_ICMP:
        return bool(icmp == 12 or (icmp == 3 and code != 4))
    return bool(origin == _ORIGIN_ICMP6 and icmp in (1, 4))


@implementer(IReadDescriptor)
class SIPPort(udp.Port):
    """
    A UDP port that hands up what could not be delivered, too.

    A reactor takes an error on a descriptor for its end.  Here it is none: the
    queue of errors is read, and the port stays.
    """

    def startListening(self) -> None:
        super().startListening()
        level, option = _RECVERR[self.addressFamily]
        # A system without it: then there are no errors to read.
        with suppress(OSError):
            self.socket.setsockopt(level, option, 1)

    def doRead(self) -> None:
        """
        Hand up what has arrived.
        """
        receive, received = self.socket.recvfrom, self.protocol.datagramReceived
        size = self.maxPacketSize
        for _ in range(MAX_READY):
            try:
                data, address = receive(size)
            except BlockingIOError:
                return
            except OSError:
                self.read_errors()
                return
            received(data, address)

    def read_errors(self) -> None:
        """
        Hand up what the network has refused; nothing is pending afterwards, unless
        there is more than one turn of the reactor should take.
        """
        bound: Any = self.socket
        for _ in range(_MAX_ERRORS):
            try:
                data, notes, _, address = bound.recvmsg(_QUOTED, _NOTES, socket.MSG_ERRQUEUE)
            except OSError:
                # One may be pending that found no place in the queue.
                bound.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                return
            if address and any(is_refusal(*note) for note in notes):
                self.protocol.undeliverable(data, address)

    def connectionLost(self, reason: Failure | None = None) -> None:
        """
        Without a reason it is we who close; the reactor's "done" is an error pending.
        """
        if reason is not None and reason.check(ConnectionDone) and self.connected:
            self.read_errors()
            self.startReading()
        else:
            super().connectionLost(reason)


def listen(reactor: Any, port: int, protocol: Any, address: str) -> Any:
    """
    Bind ``protocol``; its ``undeliverable`` is told of ICMP errors where there are any.

    :raises CannotListenError: with the reason of the system.
    """
    if sys.platform != "linux" or not IReactorFDSet.providedBy(reactor):
        return reactor.listenUDP(port, protocol, address, MAX_DATAGRAM)
    bound = SIPPort(port, protocol, address, MAX_DATAGRAM, reactor)
    bound.startListening()
    return bound
