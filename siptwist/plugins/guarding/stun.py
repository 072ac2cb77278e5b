"""
Learns our public address from a STUN server (RFC 8489), behind a NAT router.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.python.failure import Failure
from zope.interface import implementer

from siptwist.errors import SIPTwistError
from siptwist.net.guarding.binding import BindingClient, NoBinding
from siptwist.options import host, option, whole
from siptwist.plugins.plugin import House, PluginMaker, only
from siptwist.plugins.stages import ILifetime, IRaw, ITimer
from siptwist.sip.hop import Hop, Side

#: Seconds until a server that did not answer is asked again.
RETRY_SECONDS = 10.0

# Of responses to a Binding request, good or bad, the first byte.
_RESPONSE = b"\x01"


@dataclass(frozen=True, slots=True)
class StunOptions:
    """
    ``plugin_stun_server`` and its like.
    """

    server: str = option("", host, "STUN server that tells our public address")
    port: int = option(3478, whole(1, 65535), "its port")
    period: int = option(300, whole(1, 86400), "seconds between two questions")


@implementer(IRaw, ITimer, ILifetime)
class Stun:
    """
    Asks from the SIP socket, at the start, every so often, and when our own address
    has changed.  What was learned holds until something else is.
    """

    interval = 1.0

    def __init__(self, options: StunOptions, house: House) -> None:
        self._options = options
        self._house = house
        self._log = house.log
        self._client = BindingClient(house.reactor, self._send)
        self._next = 0.0
        self._bound = ""
        self._asking: Deferred[Any] | None = None
        self._learned: Hop | None = None
        self._complaint = ""

    def start(self) -> None:
        self._next = 0.0

    def stop(self) -> None:
        if self._asking is not None:
            self._asking.cancel()

    # Asking

    def timer(self, now: float) -> None:
        bound = self._house.identity().bound[Side.OUTSIDE]
        if bound == self._bound and now < self._next:
            return
        self.stop()
        self._bound = bound
        self._next = now + self._options.period
        asking: Deferred[Any] = maybeDeferred(
            self._house.resolver.resolve, self._options.server, self._options.port, "UDP"
        )
        asking.addCallback(self._ask).addCallbacks(self._learn, self._fail)
        self._asking = asking
        asking.addErrback(lambda failure: self._log.failure("Bug in a question", failure))

    def _ask(self, servers: Sequence[Hop]) -> Deferred[Hop]:
        is_wide = ":" in self._bound
        for server in servers:
            if (":" in server.host) == is_wide:
                return self._client.ask(server).addErrback(self._pass_over, server)
        raise NoBinding("it has no address that our socket could send to")

    def _pass_over(self, failure: Failure, server: Hop) -> Failure:
        if failure.check(NoBinding):
            self._house.resolver.mark_dead(server)
        return failure

    def _send(self, data: bytes, server: Hop) -> None:
        self._house.sender.send(data, server, Side.OUTSIDE)

    # Hearing

    @only(starts=_RESPONSE)
    def raw(self, data: bytes, source: Hop, side: Side) -> bytes | None:
        return b"" if self._client.take(data, source) else None

    def _learn(self, found: Hop) -> None:
        self._complaint = ""
        if found != self._learned:
            self._learned = found
            self._log.info(
                "{server}: the outside sees us as {found}",
                server=self._options.server,
                found=str(found),
            )
            self._look_at_port(found)
        if self._house.identity().outside.host != found.host:
            self._house.learn_public_address(found.host)

    def _look_at_port(self, found: Hop) -> None:
        port = self._house.settings.sip_listen_port
        if found.port != port:
            self._log.warn(
                "A router makes UDP port {port} of ours {found}: have it forward {port} to us",
                port=port,
                found=found.port,
            )

    def _fail(self, failure: Failure) -> None:
        if failure.check(CancelledError):
            return
        self._next = min(self._next, self._house.now() + RETRY_SECONDS)
        failure.trap(SIPTwistError)
        text = failure.getErrorMessage()
        if text != self._complaint:
            self._complaint = text
            self._log.warn("{server}: {text}", server=self._options.server, text=text)


stun = PluginMaker("stun", Stun, StunOptions, needs=("server",))
