"""
The SIP sockets: one that faces each side, or one for both.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Collection, Mapping
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
from siptwist.sip.hop import Hop, Side

_BUFFER = 4 * 1024 * 1024


# A socket of ours: the side it faces, and its address; "" is any.
Place = tuple[Side, str]


def places(addresses: Mapping[Side, str], further: Collection[str] = ()) -> set[Place]:
    """
    The sockets wanted: none on a side without an address.

    :param further: more addresses inside.
    """
    inside, outside = addresses[Side.INSIDE], addresses[Side.OUTSIDE]
    if outside and outside in (inside, *further):
        return {(Side.INSIDE, "")}
    found = [*addresses.items(), *[(Side.INSIDE, address) for address in further]]
    return {(side, address) for side, address in found if address}


@implementer(IMessageSender)
class ListeningService(Service):
    """
    Binds in ``privilegedStartService``, so that a port that is taken fails the
    start.

    :param addresses: our address on each side; when both are the same, one
        wildcard socket serves both.  "" is none: its interface is down.
    :param further: our other addresses inside; ``nearest`` says which of them all a
        host is reached from.

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
        further: Collection[str] = (),
        nearest: Callable[[str], str] | None = None,
    ) -> None:
        self._reactor = reactor
        self._addresses = addresses
        self._further = further
        self._nearest = nearest
        self._port = port
        self._dscp = dscp
        self._transports: dict[Side, UDPTransport] = {}
        # Those inside by their address, when there are several.
        self._inside: dict[str, UDPTransport] = {}
        self._ports: dict[Place, Any] = {}

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

    def is_at(self, addresses: Mapping[Side, str], further: Collection[str] = ()) -> bool:
        """
        Whether we have all the sockets for these addresses, and no others.
        """
        return places(addresses, further) == set(self._ports)

    def move(self, addresses: Mapping[Side, str], further: Collection[str] = ()) -> Deferred[None]:
        """
        Leave the addresses that are no longer ours, and bind those that are new.

        :returns: a ``Deferred`` that fails with :class:`SIPTwistError` when they
            cannot be bound; then we try again when told the next time.
        """
        wanted = places(addresses, further)

        def bind(_: object) -> None:
            self._addresses, self._further = addresses, further
            self._bind()

        return self._close(lambda place: place not in wanted).addCallback(bind)

    def _close(self, is_wrong: Callable[[Place], bool]) -> Deferred[Any]:
        left = [self._ports.pop(place) for place in list(self._ports) if is_wrong(place)]
        self._know()
        return gatherResults([maybeDeferred(port.stopListening) for port in left])

    def _bind(self) -> None:
        """
        :raises SIPTwistError: for the first that cannot be bound, once all others are.
        """
        errors: list[SIPTwistError] = []
        for place in places(self._addresses, self._further) - set(self._ports):
            try:
                self._listen(place)
            except SIPTwistError as error:
                errors.append(error)
        self._know()
        if errors:
            raise errors[0]

    def _know(self) -> None:
        """
        Note which sockets there are now.
        """
        ports = {place: port.protocol for place, port in self._ports.items()}
        if (Side.INSIDE, "") in ports:
            self._transports, self._inside = dict.fromkeys(Side, ports[Side.INSIDE, ""]), {}
            return
        found = {side: ports.get((side, address)) for side, address in self._addresses.items()}
        self._transports = {side: port for side, port in found.items() if port is not None}
        inside = {address: port for (side, address), port in ports.items() if side is Side.INSIDE}
        self._inside = inside if self._further else {}

    def _listen(self, place: Place) -> None:
        side, address = place
        transport = UDPTransport(self.receiver, side, reports=self.reports)
        try:
            port = listen(self._reactor, self._port, transport, address)
        except CannotListenError as error:
            if not self.running and getattr(error.socketError, "errno", 0) == EADDRNOTAVAIL:
                # Gone since we looked; it is followed once we run.
                self._log.warn("{address} is not ours any more", address=address)
                return
            raise SIPTwistError(
                f"sip_listen_port: cannot bind {address or '0.0.0.0'}:{self._port} (UDP): "
                f"{error.socketError}"
            ) from error
        self._ports[place] = port
        self._tune(port)

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
        if self._inside and side is Side.INSIDE and self._nearest is not None:
            transport = self._inside.get(self._nearest(hop.host), transport)
        if transport is not None:
            transport.send(data, hop)
        elif self.reports is not None:
            # Whoever asked is told at once, and need not wait until time is out.
            self.reports.undeliverable(data, hop)
