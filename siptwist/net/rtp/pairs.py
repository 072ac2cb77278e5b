"""
Pairs of sockets for one stream: RTP and RTCP, facing each party.
"""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable
from typing import NamedTuple

from twisted.internet.error import CannotListenError

from siptwist.errors import NoFreePorts
from siptwist.logs import logger
from siptwist.media.leg import Flow, Leg, MediaStream
from siptwist.media.ports import PortPool
from siptwist.media.stream import Party
from siptwist.net.rtp.ice import Judge, judge_rtcp, judge_rtp
from siptwist.net.rtp.playout import Line, Playout
from siptwist.net.rtp.relay import Binder, Relay, Send

#: Ports tried for one pair while other programs sit on them.
MAX_TRIES = 16


def mark(bound: socket.SocketType, dscp: int) -> None:
    """
    Give what a socket sends a class of service, 0..63 (RFC 2474): no privilege is
    needed for that.

    :raises OSError: the system refuses.
    """
    if bound.family == socket.AF_INET6:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_TCLASS, dscp << 2)
    else:
        bound.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, dscp << 2)


class Evening(NamedTuple):
    """
    By how many seconds the RTP of each party is delayed to be evened out; 0.0
    is not at all.
    """

    playout: Playout
    caller: float
    callee: float


class Pair(NamedTuple):
    """
    An even RTP port and its RTCP port, bound on one of our addresses.
    """

    host: str
    port: int
    rtp: Relay
    rtcp: Relay
    pool: PortPool

    def close(self, now: float) -> None:
        """
        Close both sockets and let the port rest.
        """
        self.rtp.port.stopListening()
        self.rtcp.port.stopListening()
        self.pool.rest(self.port, now)


class StreamRelay:
    """
    The sockets of one media stream.
    """

    __slots__ = ("_lines", "callee", "caller")

    def __init__(self, caller: Pair, callee: Pair) -> None:
        self.caller = caller
        self.callee = callee
        self._lines: list[Line] = []

    def join(self, stream: MediaStream, evening: Evening | None = None) -> None:
        """
        Begin to relay ``stream``.

        :param evening: which RTP is to be evened out on its way, if any.
        """
        near, far, caller, callee = self.caller, self.callee, stream.caller, stream.callee
        onward = back = None
        if evening is not None:
            onward = self._detour(evening, evening.caller, caller.rtp, callee.rtp)
            back = self._detour(evening, evening.callee, callee.rtp, caller.rtp)
        rtp, rtcp, rtp_back, rtcp_back = (
            (caller.judge_rtp, caller.judge_rtcp, callee.judge_rtp, callee.judge_rtcp)
            if caller.ice is None and callee.ice is None
            else self._checking_judges(caller, callee)
        )
        near.rtp.join(caller.rtp, rtp, callee.rtp, far.rtp, onward)
        far.rtp.join(callee.rtp, rtp_back, caller.rtp, near.rtp, back)
        near.rtcp.join(caller.rtcp, rtcp, callee.rtcp, far.rtcp)
        far.rtcp.join(callee.rtcp, rtcp_back, caller.rtcp, near.rtcp)

    def _checking_judges(self, caller: Leg, callee: Leg) -> tuple[Judge, Judge, Judge, Judge]:
        """
        What judges the packets of parties that may check the way to us.
        """
        near, far = self.caller, self.callee
        return (
            judge_rtp(near.rtp, caller),
            judge_rtcp(near.rtcp, caller),
            judge_rtp(far.rtp, callee),
            judge_rtcp(far.rtcp, callee),
        )

    def move(
        self, party: Party, pair: Pair, stream: MediaStream, now: float, evening: Evening | None
    ) -> None:
        """
        Go on with another pair that faces ``party``: what was learned of it stays.

        :param evening: as in :meth:`join`.
        """
        if party is Party.CALLER:
            old, self.caller = self.caller, pair
        else:
            old, self.callee = self.callee, pair
        self._close_lines()
        self.join(stream, evening)
        old.close(now)

    def close(self, now: float) -> None:
        """
        Close all four sockets.
        """
        self._close_lines()
        self.caller.close(now)
        self.callee.close(now)

    def _close_lines(self) -> None:
        for line in self._lines:
            line.close()
        self._lines.clear()

    def _detour(
        self, evening: Evening, delay: float, flow: Flow, toward: Flow
    ) -> Callable[[Send], Send] | None:
        if not delay:
            return None

        def even(send: Send) -> Send:
            line = evening.playout.line(delay, flow, toward, send)
            self._lines.append(line)
            return line.send

        return even


class PairOpener:
    """
    Binds pairs.

    :param binder: binds one relay.
    :param dscp: the class of service of what we send, 0..63 (RFC 2474); may be changed.
    """

    _log = logger()

    def __init__(self, binder: Binder, dscp: int = 0) -> None:
        self._bind_one = binder.bind
        self.stop = binder.stop
        self.dscp = dscp

    def open_stream(
        self, caller: tuple[PortPool, str], callee: tuple[PortPool, str], now: float
    ) -> StreamRelay:
        """
        Bind a pair facing each party, from a pool and on a host each.

        :raises NoFreePorts: nothing is bound or lent then.
        """
        facing_caller = self.open(*caller, now)
        try:
            return StreamRelay(facing_caller, self.open(*callee, now))
        except NoFreePorts:
            facing_caller.close(now)
            raise

    def open(self, pool: PortPool, host: str, now: float) -> Pair:
        """
        Bind one pair; ports that other programs have are set aside.

        :raises NoFreePorts: the pool is empty, or the system gives no socket.
        """
        for _ in range(MAX_TRIES):
            port = pool.lend(now)
            rtp, rtcp = Relay(), Relay()
            try:
                self._bind(host, port, rtp, rtcp)
            except CannotListenError as error:
                if getattr(error.socketError, "errno", None) != errno.EADDRINUSE:
                    pool.put_back(port)
                    self._log.warn(
                        "No socket for RTP on {host}: {error}", host=host, error=error.socketError
                    )
                    raise NoFreePorts(f"No RTP socket on {host}") from error
                pool.set_aside(port, now)
            else:
                return Pair(host, port, rtp, rtcp, pool)
        raise NoFreePorts("Other programs use the RTP ports")

    def open_at(self, pool: PortPool, host: str, port: int) -> Pair:
        """
        Bind one pair with this port.

        :raises NoFreePorts: somebody else has it.
        """
        pool.take(port)
        rtp, rtcp = Relay(), Relay()
        try:
            self._bind(host, port, rtp, rtcp)
        except CannotListenError as error:
            pool.put_back(port)
            raise NoFreePorts(f"RTP port {port} on {host}: {error.socketError}") from error
        return Pair(host, port, rtp, rtcp, pool)

    def _bind(self, host: str, port: int, rtp: Relay, rtcp: Relay) -> None:
        self._bind_one(host, port, rtp)
        try:
            self._bind_one(host, port + 1, rtcp)
        except CannotListenError:
            rtp.port.stopListening()
            raise
        if self.dscp:
            self._mark(rtp)
            self._mark(rtcp)

    def _mark(self, relay: Relay) -> None:
        if not self.dscp:
            return  # Refused a moment ago.
        try:
            mark(relay.port.getHandle(), self.dscp)
        except OSError as error:
            self._log.warn("rtp_dscp has no effect: {error}", error=error)
            self.dscp = 0
