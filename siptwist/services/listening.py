"""
The SIP sockets: one that faces each side, or one for both.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from errno import EADDRNOTAVAIL
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorUDP
from zope.interface import implementer

from siptwist.errors import SIPTwistError
from siptwist.interfaces import IMessageReceiver, IMessageSender, IUndeliverable
from siptwist.logs import logger
from siptwist.net.rtp.pairs import mark
from siptwist.net.udp import UDPTransport
from siptwist.net.undeliverable import listen
from siptwist.proxy.identity import Network
from siptwist.proxy.screening.access import is_in
from siptwist.sip.hop import Hop, Side

_BUFFER = 4 * 1024 * 1024
# Phones whose socket is remembered.
_REMEMBERED = 4096


# Further addresses inside, by the networks that they are for.
Further = Sequence[tuple[Network, str]]
# A socket of ours: the side it faces, and its address; "" is any.
Place = tuple[Side, str]


def sockets(addresses: Mapping[Side, str], further: Further = ()) -> set[Place]:
    """
    The sockets wanted: one for each address, or one for all when both sides share theirs.
    """
    found = set(places(addresses).values())
    if (Side.INSIDE, "") not in found:
        found.update((Side.INSIDE, address) for _, address in further)
    return found


def places(addresses: Mapping[Side, str]) -> dict[Side, Place]:
    """
    The sockets that face each side: none one without an address.
    """
    inside, outside = addresses[Side.INSIDE], addresses[Side.OUTSIDE]
    if inside and inside == outside:
        return dict.fromkeys(Side, (Side.INSIDE, ""))
    return {side: (side, address) for side, address in addresses.items() if address}


@implementer(IMessageSender)
class ListeningService(Service):
    """
    Binds in ``privilegedStartService``, so that a port that is taken fails the
    start.

    :param addresses: our address on each side; when both are the same, one
        wildcard socket serves both.  "" is none: its interface is down.
    :param further: other addresses of ours inside: those in their networks hear us
        from there.

    ``reports`` is told what could not be sent.
    """

    _log = logger()
    receiver: IMessageReceiver
    reports: IUndeliverable | None = None

    def __init__(
        self,
        reactor: IReactorUDP,
        addresses: Mapping[Side, str],
        port: int,
        dscp: int = 0,
        further: Further = (),
    ) -> None:
        self._reactor = reactor
        self._addresses = addresses
        self._port = port
        self._dscp = dscp
        self._transports: dict[Side, UDPTransport] = {}
        self._ports: dict[Place, Any] = {}
        self._further = further
        self._nearest: dict[str, UDPTransport | None] = {}

    def privilegedStartService(self) -> None:
        """
        :raises SIPTwistError: when an address cannot be bound.
        """
        Service.privilegedStartService(self)
        if not self._ports:
            try:
                self._bind()
            except SIPTwistError:
                self._close(lambda place: True)
                raise

    def startService(self) -> None:
        if not self._ports:
            self.privilegedStartService()
        Service.startService(self)

    def is_at(self, addresses: Mapping[Side, str], further: Further = ()) -> bool:
        """
        Whether we have all the sockets for these addresses, and no others.
        """
        return sockets(addresses, further) == set(self._ports)

    def move(self, addresses: Mapping[Side, str], further: Further = ()) -> Deferred[None]:
        """
        Leave the addresses that are no longer ours, and bind those that are new.

        :returns: a ``Deferred`` that fails with :class:`SIPTwistError` when they
            cannot be bound; then we try again when told the next time.
        """
        wanted = sockets(addresses, further)

        def bind(_: object) -> None:
            self._addresses, self._further = addresses, further
            self._bind()

        return self._close(lambda place: place not in wanted).addCallback(bind)

    def _close(self, is_wrong: Callable[[Place], bool]) -> Deferred[Any]:
        left = [self._ports.pop(place) for place in list(self._ports) if is_wrong(place)]
        for side, transport in list(self._transports.items()):
            if any(port.protocol is transport for port in left):
                del self._transports[side]
        return gatherResults([maybeDeferred(port.stopListening) for port in left])

    def _bind(self) -> None:
        for side, place in places(self._addresses).items():
            port = self._ports.get(place) or self._listen(place)
            if port is not None:
                self._transports[side] = port.protocol
        for place in sockets(self._addresses, self._further):
            if place not in self._ports:
                self._listen(place)
        self._nearest.clear()

    def _listen(self, place: Place) -> Any:
        side, address = place
        transport = UDPTransport(self.receiver, side, reports=self.reports)
        try:
            port = listen(self._reactor, self._port, transport, address)
        except CannotListenError as error:
            if not self.running and getattr(error.socketError, "errno", 0) == EADDRNOTAVAIL:
                # Gone since we looked; it is followed once we run.
                self._log.warn("{address} is not ours any more", address=address)
                return None
            raise SIPTwistError(
                f"sip_listen_port: cannot bind {address or '0.0.0.0'}:{self._port} (UDP): "
                f"{error.socketError}"
            ) from error
        self._ports[place] = port
        self._tune(port)
        return port

    def _near(self, host: str) -> UDPTransport | None:
        """
        The socket in the network of a phone, if that is one of the further ones.
        """
        if host not in self._nearest:
            if len(self._nearest) >= _REMEMBERED:
                self._nearest.clear()
            found = [at for network, at in self._further if is_in(host, (network,))]
            port = self._ports.get((Side.INSIDE, found[0])) if found else None
            self._nearest[host] = port and port.protocol
        return self._nearest[host]

    def _tune(self, port: Any) -> None:
        handle = getattr(port, "socket", None)
        if handle is None:
            return
        # A burst of calls must not be lost while one of them is served.
        handle.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        if self._dscp:
            try:
                mark(handle, self._dscp)
            except OSError as error:
                self._log.warn("sip_dscp: cannot mark SIP: {error}", error=str(error))

    def stopService(self) -> Any:
        Service.stopService(self)
        return self._close(lambda place: True)

    def send(self, data: bytes, hop: Hop, side: Side) -> None:
        transport = self._transports.get(side)
        if self._further and side is Side.INSIDE:
            transport = self._near(hop.host) or transport
        if transport is not None:
            transport.send(data, hop)
        elif self.reports is not None:
            # Whoever asked is told at once, and need not wait until time is out.
            self.reports.undeliverable(data, hop)
