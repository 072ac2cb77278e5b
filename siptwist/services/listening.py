"""
The SIP sockets: one that faces each side, or one for both.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, gatherResults, maybeDeferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IReactorUDP
from zope.interface import implementer

from siptwist.errors import SIPTwistError
from siptwist.interfaces import IMessageReceiver, IMessageSender, IUndeliverable
from siptwist.logs import logger
from siptwist.net.pairs import mark
from siptwist.net.udp import UDPTransport
from siptwist.net.undeliverable import listen
from siptwist.sip.hop import Hop, Side

_BUFFER = 4 * 1024 * 1024


@implementer(IMessageSender)
class ListeningService(Service):
    """
    Binds in ``privilegedStartService``, so that a port that is taken fails the
    start.

    :param addresses: our address on each side; when both are the same, one
        wildcard socket serves both.

    ``reports`` is told what could not be sent.
    """

    _log = logger()
    receiver: IMessageReceiver
    reports: IUndeliverable | None = None

    def __init__(
        self, reactor: IReactorUDP, addresses: Mapping[Side, str], port: int, dscp: int = 0
    ) -> None:
        self._reactor = reactor
        self._addresses = addresses
        self._port = port
        self._dscp = dscp
        self._transports: dict[Side, UDPTransport] = {}
        self._ports: list[Any] = []

    def privilegedStartService(self) -> None:
        """
        :raises SIPTwistError: when an address cannot be bound.
        """
        Service.privilegedStartService(self)
        if not self._ports:
            self._bind()

    def _bind(self) -> None:
        inside, outside = self._addresses[Side.INSIDE], self._addresses[Side.OUTSIDE]
        if inside == outside:
            self._transports = dict.fromkeys(Side, self._listen(Side.INSIDE, ""))
        else:
            self._transports = {side: self._listen(side, self._addresses[side]) for side in Side}

    def startService(self) -> None:
        if not self._ports:
            self.privilegedStartService()
        Service.startService(self)

    def move(self, addresses: Mapping[Side, str]) -> Deferred[None]:
        """
        Leave the addresses we had, and bind others.

        :returns: a ``Deferred`` that fails with :class:`SIPTwistError` when they
            cannot be bound; then we try again when told the next time.
        """
        ports, self._ports = self._ports, []
        self._transports = {}
        left = gatherResults([maybeDeferred(port.stopListening) for port in ports])

        def bind(_: object) -> None:
            self._addresses = addresses
            self._bind()

        return left.addCallback(bind)

    def _listen(self, side: Side, address: str) -> UDPTransport:
        transport = UDPTransport(self.receiver, side, reports=self.reports)
        try:
            port = listen(self._reactor, self._port, transport, address)
        except CannotListenError as error:
            for opened in self._ports:
                opened.stopListening()
            self._ports.clear()
            raise SIPTwistError(
                f"sip_listen_port: cannot bind {address or '0.0.0.0'}:{self._port} (UDP): "
                f"{error.socketError}"
            ) from error
        self._ports.append(port)
        self._tune(port)
        return transport

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
        ports, self._ports = self._ports, []
        self._transports = {}
        return gatherResults([maybeDeferred(port.stopListening) for port in ports])

    def send(self, data: bytes, hop: Hop, side: Side) -> None:
        transport = self._transports.get(side)
        if transport is not None:
            transport.send(data, hop)
