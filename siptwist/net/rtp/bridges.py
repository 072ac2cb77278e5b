"""
One hop for a call that left and came back in.

Its two passes have ports of their own, and media would go through both: in at one,
over to the other, and out.  Once both passes are agreed, the sockets that face the
two phones are joined with each other.
"""

from __future__ import annotations

from typing import NamedTuple

from siptwist.media.calls import MediaCall
from siptwist.media.calltable import CallTable
from siptwist.media.leg import Leg, MediaStream
from siptwist.net.rtp.pairs import StreamRelay
from siptwist.sip.hop import Side


class _Bridge(NamedTuple):
    """
    A stream that went out, the one by which it came in, and the legs by which
    they knew each other.
    """

    out: MediaStream
    back: MediaStream
    callee: Leg
    caller: Leg


class Bridges:
    """
    Joins the streams of two passes while nothing is being negotiated.

    A bridged stream has the phone beyond in the place of our own port: what is
    asked of it, it answers of that phone.  Descriptions are not of that phone, so
    the bridge is taken away before one is taken, and made again afterwards.

    :param relays: the sockets of each stream.
    """

    def __init__(self, table: CallTable, relays: dict[MediaStream, StreamRelay]) -> None:
        self._table = table
        self._relays = relays
        self._bridges: dict[MediaStream, _Bridge] = {}

    def __len__(self) -> int:
        return len(self._bridges)

    def make(self, call: MediaCall) -> None:
        """
        ``call`` is agreed: bridge its streams, if they lead to another pass that
        is agreed as well.
        """
        other = self._table.other_pass(call.key)
        if other is None or call.confirmed is None or other.confirmed is None:
            return
        out, back = (call, other) if call.key.caller_side is Side.INSIDE else (other, call)
        for stream in list(out.streams.values()):
            beyond = back.streams.get(stream.index)
            if beyond is None or stream in self._bridges:
                continue
            if self._leads(stream.callee, beyond) and self._leads(beyond.caller, stream):
                self.connect(stream, beyond)

    def connect(self, out: MediaStream, back: MediaStream) -> None:
        """
        Bridge a stream that went out with the one by which it came in.
        """
        bridge = _Bridge(out, back, out.callee, back.caller)
        out.callee, back.caller = back.callee, out.caller
        self._bridges[out] = self._bridges[back] = bridge
        StreamRelay(self._relays[out].caller, self._relays[back].callee).join(out)

    def _leads(self, leg: Leg, stream: MediaStream) -> bool:
        at = leg.described
        return at is not None and self._table.ours.owner(at) is stream

    def part(self, call: MediaCall) -> list[tuple[MediaStream, MediaStream]]:
        """
        ``call`` is about to change: its streams end at our ports again.

        :returns: what to :meth:`connect` when nothing but our sockets changed.
        """
        found = [self._bridges.get(stream) for stream in call.streams.values()]
        bridges = [bridge for bridge in found if bridge is not None]
        for bridge in bridges:
            self._take_away(bridge.out)
        return [(bridge.out, bridge.back) for bridge in bridges]

    def discard(self, stream: MediaStream) -> None:
        """
        ``stream`` is over, and so are the media of the one that it was bridged with.
        """
        bridge = self._bridges.get(stream)
        if bridge is not None:
            # How well the phone beyond was heard is told of both.
            bridge.callee.rtp.reception = bridge.out.callee.rtp.reception
            bridge.caller.rtp.reception = bridge.back.caller.rtp.reception
            self._take_away(stream)

    def _take_away(self, stream: MediaStream) -> None:
        bridge = self._bridges.pop(stream, None)
        if bridge is None:
            return
        out, back, callee, caller = bridge
        self._bridges.pop(out, None)
        self._bridges.pop(back, None)
        for kept, leg in ((callee, out.callee), (caller, back.caller)):
            kept.rtp.packets, kept.rtp.octets = leg.rtp.packets, leg.rtp.octets
        out.callee, back.caller = callee, caller
        for one in (out, back):
            if one in self._relays:
                self._relays[one].join(one)
