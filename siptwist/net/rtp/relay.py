"""
Sockets that relay RTP: the hot loop.

Every packet costs what is written here, so nothing is looked up, logged or
decided for a packet of a settled source.  Twisted's own ``udp.Port`` checks and
logs more than a call with four sockets can afford; :class:`RelayPort` is the
same thing for a reactor that watches file descriptors.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet import address
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IReactorFDSet, IReadDescriptor
from twisted.internet.protocol import DatagramProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from siptwist.logs import logger
from siptwist.media.latch import Address
from siptwist.media.leg import Flow
from siptwist.media.rtp import RTP_HEADER

#: Whole datagrams only (RFC 768).
MAX_DATAGRAM = 65535
_IPV4, _IPV6 = int(socket.AF_INET), int(socket.AF_INET6)
_DATAGRAM = int(socket.SOCK_DGRAM | getattr(socket, "SOCK_NONBLOCK", 0))
_EPOLLIN = getattr(select, "EPOLLIN", 1)
#: Sockets served before the reactor gets its turn.
MAX_READY = 128

#: Sends a packet to an address, or raises ``OSError``.
Send = Callable[[bytes, Address], Any]

_UNUSED = Flow()


def _refuse(data: bytes, source: Address) -> bool:
    return False


class Port(Protocol):
    """
    What :class:`Relay` needs of a listening port.
    """

    def write(self, packet: bytes, addr: Address) -> Any: ...

    def getHandle(self) -> Any: ...

    def stopListening(self) -> Any: ...


class Binder(Protocol):
    """
    Binds relays to sockets, or raises ``CannotListenError``.
    """

    def bind(self, host: str, port: int, relay: Relay) -> Port: ...

    def stop(self) -> None: ...


class Relay(DatagramProtocol):
    """
    One of our sockets: what its party sends leaves through the opposite socket.
    """

    noisy = False

    #: What arrives here, and where the opposite socket sends it.
    flow: Flow = _UNUSED
    toward: Flow = _UNUSED
    judge: Callable[[bytes, Address], bool] = staticmethod(_refuse)
    forward: Send = staticmethod(_refuse)
    seconds: Callable[[], float]

    def join(
        self,
        flow: Flow,
        judge: Callable[[bytes, Address], bool],
        toward: Flow,
        opposite: Relay,
        detour: Callable[[Send], Send] | None = None,
    ) -> None:
        """
        Begin to relay through ``opposite`` what ``judge`` accepts.

        :param detour: makes what sends in place of the opposite socket out of that.
        """
        self.flow = flow
        self.judge = judge
        self.toward = toward
        port: object = self.transport
        across: object = opposite.transport
        # A socket of ours sends without a look at each address.
        forward = across.send if type(across) is RelayPort else opposite.port.write
        self.forward = forward if detour is None else detour(forward)
        if type(port) is RelayPort:
            port.join(flow, judge, toward, self.forward)

    @property
    def port(self) -> Port:
        """
        The socket that this relay is bound to.
        """
        return self.transport  # type: ignore[return-value]

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        """
        Relay one datagram; :meth:`RelayPort.doRead` does the same, faster.
        """
        source, flow = addr[:2], self.flow
        if (source != flow.source or len(datagram) < RTP_HEADER) and not self.judge(
            datagram, source
        ):
            return
        flow.packets += 1
        flow.octets += len(datagram)
        flow.note(datagram, self.seconds())
        if self.toward.destination is not None:
            try:
                self.forward(datagram, self.toward.destination)
            except OSError:
                self.toward.unsent += 1


def bind_socket(host: str, port: int) -> socket.SocketType:
    """
    A UDP socket on ``host`` and ``port``: the plain one of the system, for
    Python's own around it takes a quarter of its time.

    :raises CannotListenError: with the reason of the system.
    """
    try:
        bound = socket.SocketType(_IPV6 if ":" in host else _IPV4, _DATAGRAM)
    except OSError as error:
        raise CannotListenError(host, port, error) from error
    try:
        bound.bind((host, port))
    except OSError as error:
        bound.close()
        raise CannotListenError(host, port, error) from error
    return bound


@implementer(IReadDescriptor)
class Watch:
    """
    Waits for many sockets behind one file descriptor of the reactor, which
    would otherwise spend more on each packet than relaying it costs.
    """

    _log = logger()

    def __init__(self, reactor: Any, poll: select.epoll | None = None) -> None:
        self._reactor = reactor
        self.seconds: Callable[[], float] = reactor.seconds
        self._poll = poll or select.epoll()
        self.fileno = self._poll.fileno
        #: Adds a socket to those that are waited for.
        self.register = self._poll.register
        #: What to do when there is something to read, by file descriptor.
        self.reads: dict[int, Callable[[], None]] = {}
        self._watched = False

    def bind(self, host: str, port: int, relay: Relay) -> RelayPort:
        """
        Bind ``relay`` and begin to wait for its packets.
        """
        if not self._watched:
            self._watched = True
            self._reactor.addReader(self)
        return RelayPort(self, bind_socket(host, port), relay)

    def stop(self) -> None:
        """
        Leave the reactor until something is bound again.
        """
        self._watched = False
        self._reactor.removeReader(self)

    def doRead(self) -> None:
        """
        Serve each socket that is ready once.
        """
        reads = self.reads
        for fileno, _ in self._poll.poll(0, MAX_READY):
            try:
                # One that was ready may have been closed by another since.
                if (read := reads.get(fileno)) is not None:
                    read()
            except Exception:
                self._log.failure("Relaying failed")

    def logPrefix(self) -> str:
        return "relay"

    def connectionLost(self, reason: Failure) -> None:
        self._watched = False


@implementer(IListeningPort)
class RelayPort:
    """
    A bound UDP socket in a reactor, without anything that RTP does not need.
    """

    __slots__ = (
        "_fileno",
        "_flow",
        "_forward",
        "_judge",
        "_reads",
        "_receive",
        "_seconds",
        "_socket",
        "_toward",
        "_wide",
        "send",
    )

    def __init__(self, watch: Watch, bound: socket.SocketType, relay: Relay) -> None:
        self._reads = watch.reads
        self._socket = bound
        self._wide = bound.family == _IPV6
        self._fileno = fileno = bound.fileno()
        self._receive = bound.recvfrom
        self.send = bound.sendto
        self._seconds = relay.seconds = watch.seconds
        self._flow = self._toward = _UNUSED
        self._judge: Callable[[bytes, Address], bool] = _refuse
        self._forward: Send = _refuse
        # Of what makeConnection does, nothing else concerns a relay.
        relay.transport = self  # type: ignore[assignment]
        watch.register(fileno, _EPOLLIN)
        watch.reads[fileno] = self.doRead

    def join(
        self,
        flow: Flow,
        judge: Callable[[bytes, Address], bool],
        toward: Flow,
        forward: Send,
    ) -> None:
        """
        Take what a relay knows to where the loop finds it at once.
        """
        self._flow = flow
        self._judge = judge
        self._toward = toward
        self._forward = forward

    def doRead(self) -> None:
        """
        Relay one datagram.
        """
        try:
            data, source = self._receive(MAX_DATAGRAM)
        except OSError:
            return  # Nothing there, or the ICMP error of a packet that we sent.
        if self._wide:
            source = source[:2]
        flow = self._flow
        if (source != flow.source or len(data) < RTP_HEADER) and not self._judge(data, source):
            return
        flow.packets += 1
        flow.octets += len(data)
        flow.note(data, self._seconds())
        destination = self._toward.destination
        if destination is not None:
            try:
                self._forward(data, destination)
            except OSError:
                self._toward.unsent += 1

    def getHandle(self) -> socket.SocketType:
        return self._socket

    def getHost(self) -> address.IPv4Address | address.IPv6Address:
        kind = address.IPv6Address if self._wide else address.IPv4Address
        return kind("UDP", *self._socket.getsockname()[:2])

    def write(self, packet: bytes, addr: Address) -> None:
        self._socket.sendto(packet, addr)

    def startListening(self) -> None:
        """
        Does nothing: a port listens from its beginning.
        """

    def stopListening(self) -> None:
        """
        Close at once, with which the system waits for it no more; closing again does
        nothing.
        """
        if self._fileno >= 0:
            del self._reads[self._fileno]
            self._fileno = -1
            self._socket.close()


class PlainBinder:
    """
    Binds relays in any reactor that knows UDP.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def bind(self, host: str, port: int, relay: Relay) -> Port:
        """
        Bind ``relay`` and begin to wait for its packets.
        """
        relay.seconds = self._reactor.seconds
        bound: Port = self._reactor.listenUDP(
            port, relay, interface=host, maxPacketSize=MAX_DATAGRAM
        )
        return bound

    def stop(self) -> None:
        """
        Nothing is left in the reactor when all ports are closed.
        """


def binder(reactor: Any) -> Binder:
    """
    The quickest way to bind relays in ``reactor``.
    """
    if IReactorFDSet.providedBy(reactor) and hasattr(select, "epoll"):
        return Watch(reactor)
    return PlainBinder(reactor)
