"""
A reactor whose UDP ports are lists.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorUDP, IUDPTransport
from twisted.internet.task import Clock
from zope.interface import implementer

Address = tuple[str, int]


class MemorySocket:
    """
    Remembers socket options; refuses them when told to.
    """

    def __init__(self, family: socket.AddressFamily) -> None:
        self.family = family
        self.options: list[tuple[int, int, int]] = []
        self.refuses = False
        self.asked = 0

    def setsockopt(self, level: int, option: int, value: int) -> None:
        self.asked += 1
        if self.refuses:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        self.options.append((level, option, value))


@implementer(IListeningPort, IUDPTransport)
class MemoryUDPPort:
    """
    A bound port: ``sent`` holds what the protocol wrote, :meth:`deliver` feeds it.
    """

    def __init__(self, reactor: MemoryUDPReactor, address: Address, protocol: Any) -> None:
        self.reactor = reactor
        self.address = address
        self.protocol = protocol
        self.sent: list[tuple[bytes, Address]] = []
        self.fails: OSError | None = None
        self.handle = MemorySocket(socket.AF_INET6 if ":" in address[0] else socket.AF_INET)
        self.handle.refuses = reactor.refuses_options

    def startListening(self) -> None:
        self.reactor.ports[self.address] = self
        self.protocol.makeConnection(self)

    def stopListening(self) -> None:
        self.reactor.ports.pop(self.address, None)

    def write(self, packet: bytes, addr: Address | None = None) -> None:
        if self.fails is not None:
            raise self.fails
        assert addr is not None
        self.sent.append((packet, addr))

    def deliver(self, data: bytes, addr: Address) -> None:
        """
        A datagram arrives.
        """
        self.protocol.datagramReceived(data, addr)

    def getHandle(self) -> MemorySocket:
        return self.handle

    def getHost(self) -> IPv4Address | IPv6Address:
        kind = IPv6Address if ":" in self.address[0] else IPv4Address
        return kind("UDP", *self.address)

    def connect(self, host: str, port: int) -> None:
        raise RuntimeError("nothing here connects")

    def getBroadcastAllowed(self) -> bool:
        return False

    def setBroadcastAllowed(self, enabled: bool) -> None:
        raise RuntimeError("nothing here broadcasts")


@implementer(IReactorUDP)
class MemoryUDPReactor(Clock):
    """
    A clock with UDP.

    ``taken`` are addresses that other programs have; ``descriptors`` is how
    many ports may be open at once; ``refuses_options`` refuses socket options.
    """

    def __init__(self) -> None:
        super().__init__()
        self.ports: dict[Address, MemoryUDPPort] = {}
        self.taken: set[Address] = set()
        self.descriptors: int | None = None
        self.refuses_options = False
        self._ephemeral = 49152

    def listenUDP(
        self, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192
    ) -> MemoryUDPPort:
        if not port:
            self._ephemeral += 1
            port = self._ephemeral
        address = (interface or "0.0.0.0", port)
        if self.descriptors is not None and len(self.ports) >= self.descriptors:
            self._refuse(address, errno.EMFILE)
        if address in self.taken or address in self.ports:
            self._refuse(address, errno.EADDRINUSE)
        bound = MemoryUDPPort(self, address, protocol)
        bound.startListening()
        return bound

    def _refuse(self, address: Address, number: int) -> None:
        raise CannotListenError(*address, OSError(number, os.strerror(number)))
