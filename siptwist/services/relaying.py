"""
The media backend that relays through sockets of this process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from twisted.application.service import Service
from twisted.internet.task import LoopingCall
from zope.interface import implementer

from siptwist.errors import NoFreePorts, SIPError
from siptwist.interfaces import IMediaBackend
from siptwist.logs import logger
from siptwist.media.calls import MAX_STREAMS, Description, MediaCall
from siptwist.media.calltable import CallTable, MayMeet
from siptwist.media.ice import Agent, make_credentials
from siptwist.media.leg import MediaStream
from siptwist.media.ports import PortPool
from siptwist.media.stream import CallKey, Endpoint, Party, StreamOffer
from siptwist.media.verdict import record
from siptwist.net.rtp.bridges import Bridges
from siptwist.net.rtp.pairs import Evening, PairOpener, StreamRelay
from siptwist.net.rtp.playout import Playout
from siptwist.net.rtp.relay import binder
from siptwist.sip.hop import Side

#: Seconds between two looks for silent calls, at most and at least; between
#: them it is a twentieth of the time until a call is silent.
SWEEP_SECONDS, SHORTEST_SWEEP = 15.0, 1.0

#: Seconds until a call on hold is given up.
HELD_SECONDS = 12 * 3600.0

#: ``addresses(side, wide, near)`` is the host to bind on ``side`` and the host to advertise:
#: addresses of IPv6 when that is ``wide`` and the side has one, else of IPv4.  With several
#: on a side they are those by which ``near`` is reached, a peer, or that is our own or was.
Addresses = Callable[[Side, bool, str], tuple[str, str]]


#: Told of each call that is closed: its key, why, and its media if it had any.
Ended = Callable[[CallKey, str, MediaCall | None], object]


@implementer(IMediaBackend)
class RelayingService(Service):
    """
    Relays RTP and RTCP between the two parties of each call.

    :param reactor: gives time and sockets.
    :param addresses: asked for each new stream, so that they may change.
    :param chance: ``chance(n)`` returns 0..n-1; it should not be guessable.
    :param low: the lowest RTP port.
    :param high: the highest RTP port.
    :param rtp_timeout: seconds without media after which a call is closed; 0 is never.
    :param rtp_dscp: the class of service of relayed packets, 0..63.
    :param on_silence: told the key of a call that was closed for silence.
    :param hold_timeout: seconds as ``rtp_timeout`` while a call is on hold, if that
        is longer; 0 is never.
    :param may_meet: whether two hosts inside may send media to each other directly;
        without it none may.
    :param dejitter: by how many seconds RTP that comes from a side is delayed to
        be evened out; a side that is not there is not.
    :param ice: whether we are an ICE-lite agent for those who speak ICE.
    """

    name = "relaying"
    _log = logger()
    ended: Ended | None = None

    def __init__(
        self,
        reactor: Any,
        addresses: Addresses,
        chance: Callable[[int], int],
        low: int,
        high: int,
        rtp_timeout: float = 300.0,
        rtp_dscp: int = 0,
        on_silence: Callable[[CallKey], object] | None = None,
        hold_timeout: float = HELD_SECONDS,
        may_meet: MayMeet | None = None,
        dejitter: Mapping[Side, float] | None = None,
        ice: bool = False,
    ) -> None:
        self._reactor = reactor
        self._addresses = addresses
        self._chance_of_ports = chance
        self._new_pool: Callable[[], PortPool] = lambda: PortPool(low, high, chance)
        self._rtp_timeout = rtp_timeout
        self._hold_timeout = hold_timeout
        self.on_silence = on_silence
        self._opener = PairOpener(binder(reactor), rtp_dscp)
        self._dejitter = dejitter or {}
        self._chance = chance if ice else None
        self._playout = Playout(reactor)
        self._pools: dict[str, PortPool] = {}
        self._table = CallTable(may_meet)
        self._relays: dict[MediaStream, StreamRelay] = {}
        self._bridges = Bridges(self._table, self._relays)
        self._sweeping = LoopingCall(self._sweep)
        self._sweeping.clock = reactor

    def startService(self) -> None:
        """
        Begin to look for calls without media.
        """
        super().startService()
        self._sweeping.start(self._sweep_interval, now=False)

    def change(
        self, low: int, high: int, rtp_timeout: float, rtp_dscp: int, hold_timeout: float
    ) -> None:
        """
        Other ports and another mark, for streams to come; other times, for all.
        """
        chance = self._chance_of_ports
        self._new_pool = lambda: PortPool(low, high, chance)
        self._pools = {}
        self._opener.dscp = rtp_dscp
        self._rtp_timeout, self._hold_timeout = rtp_timeout, hold_timeout
        if self._sweeping.running:
            self._sweeping.stop()
            self._sweeping.start(self._sweep_interval, now=False)

    @property
    def _sweep_interval(self) -> float:
        often = max(SHORTEST_SWEEP, self._rtp_timeout / 20 or SWEEP_SECONDS)
        return min(SWEEP_SECONDS, often)

    def stopService(self) -> None:
        """
        Close every call.
        """
        super().stopService()
        if self._sweeping.running:
            self._sweeping.stop()
        for call in self._table:
            self.close(call.key, "shutdown")
        self._opener.stop()

    def describe(
        self,
        key: CallKey,
        party: Party,
        streams: tuple[StreamOffer, ...],
        signaling_host: str,
        offer: bool,
        branch: str = "",
        receivers: tuple[str, ...] = (),
    ) -> tuple[Endpoint, ...]:
        call = self._table.get(key)
        now = self._reactor.seconds()
        description = Description(party, streams, signaling_host, branch)
        if self._bridges and call is not None:
            self._bridges.part(call)
        if call is not None and not offer:
            if freed := call.answer(description, now):
                self._release(freed, now)
        elif offer:
            call = call or self._table.new(key, now)
            self._offer(call, description, receivers, now)
        elif any(one.endpoint.rtp_port for one in streams):
            raise SIPError("Answer Without Offer", 481)
        other = party.other
        if call is None:
            near = receivers[0] if receivers else ""
            host = self._addresses(key.side(other), False, near)[1]
            return tuple([Endpoint(host, 0, 0) for one in streams])
        near = call.hosts.get(other, "")
        host = self._addresses(key.side(other), ":" in near, near)[1]
        return self._table.tell(call, description, offer, receivers, host)

    def confirm(self, key: CallKey, branch: str) -> None:
        call = self._table.get(key)
        if call is not None:
            now = self._reactor.seconds()
            if freed := call.confirm(branch, now):
                self._release(freed, now)
            self._bridge(call)

    def settle(self, key: CallKey) -> None:
        call = self._table.get(key)
        if call is not None:
            if freed := call.settle():
                self._release(freed, self._reactor.seconds())
            self._bridge(call)

    def reject(self, key: CallKey, party: Party) -> None:
        call = self._table.get(key)
        if call is not None:
            if freed := call.reject(party):
                self._release(freed, self._reactor.seconds())
            self._bridge(call)

    def close(self, key: CallKey, reason: str) -> None:
        call = self._table.pop(key)
        if call is not None:
            self._end(call, reason)
        if self.ended is not None:
            self.ended(key, reason, call)

    def _end(self, call: MediaCall, reason: str) -> None:
        key, now = call.key, self._reactor.seconds()
        self._release(call.close(), now)
        self._log.info(
            "Media of {call_id!r} ended: {reason}, {seconds:.0f} s, {sent} packets from the "
            "caller, {received} from the callee, {strangers} of strangers dropped; {record}",
            call_id=key.call_id,
            reason=reason,
            seconds=now - call.started_at,
            sent=call.packets(Party.CALLER),
            received=call.packets(Party.CALLEE),
            strangers=call.strangers,
            record=record(call, reason, now),
        )

    def calls(self) -> Iterable[MediaCall]:
        return iter(self._table)

    def move(self, side: Side) -> None:
        now = self._reactor.seconds()
        for call in self._table:
            for party in Party:
                if call.key.side(party) is side:
                    self._move(call, party, now)
        # Ports of an address that was ours rest for nobody.
        ours = {self._addresses(one, wide, "")[0] for one in Side for wide in (False, True)}
        ours.update(host for call in self._table for host in call.hosts.values())
        self._pools = {host: pool for host, pool in self._pools.items() if host in ours}

    def _move(self, call: MediaCall, party: Party, now: float) -> None:
        """
        Let the sockets of a call that face ``party`` follow our address.
        """
        key = call.key
        host = self._facing(key, party, call.hosts[party])[0]
        call.hosts[party] = host
        told = [self._facing(key, one, call.hosts[one])[1] for one in Party]
        bridged = self._bridges.part(call)
        for stream in filter(None, map(call.stream, range(MAX_STREAMS))):
            self._table.ours.discard(stream)
            try:
                self._follow(key, stream, party, host, now)
            except NoFreePorts as error:
                self._log.warn(
                    "Media of {call_id!r} stay where they are: {error}",
                    call_id=key.call_id,
                    error=str(error),
                )
            self._table.ours.add(stream, *told)
        for out, back in bridged:
            self._bridges.connect(out, back)

    def _facing(self, key: CallKey, party: Party, near: str) -> tuple[str, str]:
        return self._addresses(key.side(party), ":" in near, near)

    def _follow(
        self, key: CallKey, stream: MediaStream, party: Party, host: str, now: float
    ) -> None:
        relay = self._relays[stream]
        before = relay.caller.host if party is Party.CALLER else relay.callee.host
        # Whoever is reached by IPv6 alone cannot be reached without it.
        if host != before and (":" in host) == (":" in before):
            pair = self._opener.open_at(self._pool(host), host, stream.port(party))
            relay.move(party, pair, stream, now, self._evening(key))
            stream.move(party, host)

    def _offer(
        self, call: MediaCall, description: Description, receivers: tuple[str, ...], now: float
    ) -> None:
        wanted = call.wanting(description.streams)
        opened = self._open(call, description, wanted, receivers, now) if wanted else []
        if opened and self._table.get(call.key) is None:
            self._table.add(call)
            self._log.debug(
                "Media of {call_id!r} opened: {ports}",
                call_id=call.key.call_id,
                ports=[(stream.caller_port, stream.callee_port) for stream in opened],
            )
        if freed := call.offer(description, opened, now):
            self._release(freed, now)

    def _open(
        self,
        call: MediaCall,
        description: Description,
        wanted: list[StreamOffer],
        receivers: tuple[str, ...],
        now: float,
    ) -> list[MediaStream]:
        """
        Bind sockets for every wanted stream, or for none: of the family that
        the party describes, and of that which its peer is reached by.
        """
        here = (":" in wanted[0].endpoint.host, description.signaling_host)
        there = receivers[0] if receivers else ""
        is_caller, key = description.party is Party.CALLER, call.key
        near, far = (here, (":" in there, there)) if is_caller else ((":" in there, there), here)
        caller_host, caller_told = self._addresses(key.caller_side, *near)
        callee_host, callee_told = self._addresses(key.callee_side, *far)
        call.hosts = {Party.CALLER: caller_host, Party.CALLEE: callee_host}
        caller = (self._pool(caller_host), caller_host)
        callee = (self._pool(callee_host), callee_host)
        opened: list[MediaStream] = []
        try:
            for one in wanted:
                relay = self._opener.open_stream(caller, callee, now)
                stream = MediaStream(
                    one.index,
                    one.kind,
                    (relay.caller.host, relay.caller.port),
                    (relay.callee.host, relay.callee.port),
                )
                if self._chance is not None:
                    self._equip(stream, self._chance)
                relay.join(stream, self._evening(key) if self._dejitter else None)
                self._relays[stream] = relay
                self._table.ours.add(stream, caller_told, callee_told)
                opened.append(stream)
        except NoFreePorts:
            self._release(opened, now)
            raise
        return opened

    def _equip(self, stream: MediaStream, chance: Callable[[int], int]) -> None:
        """
        Give both parties what they may check us with (RFC 8445).
        """
        for leg in (stream.caller, stream.callee):
            leg.ice = Agent(partial(make_credentials, chance))

    def _evening(self, key: CallKey) -> Evening:
        caller, callee = (self._dejitter.get(key.side(party), 0.0) for party in Party)
        return Evening(self._playout, caller, callee)

    def _pool(self, host: str) -> PortPool:
        """
        The ports of one local address: both sides share them where it is one.
        """
        pool = self._pools.get(host)
        if pool is None:
            pool = self._pools[host] = self._new_pool()
        return pool

    def _bridge(self, call: MediaCall) -> None:
        # Where RTP is evened out, each pass does its part.
        if self._table.ours.has_met and not self._dejitter:
            self._bridges.make(call)

    def _release(self, streams: list[MediaStream], now: float) -> None:
        for stream in streams:
            self._bridges.discard(stream)
            self._table.ours.discard(stream)
            self._relays.pop(stream).close(now)

    def _sweep(self) -> None:
        now = self._reactor.seconds()
        for call in self._table.silent(now, self._rtp_timeout, self._hold_timeout):
            self.close(call.key, "silence")
            self._tell_silence(call.key)

    def _tell_silence(self, key: CallKey) -> None:
        try:
            if self.on_silence is not None:
                self.on_silence(key)
        except Exception:
            self._log.failure("Could not tell that {call_id!r} is silent", call_id=key.call_id)
