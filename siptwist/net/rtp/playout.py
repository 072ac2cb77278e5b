"""
Send evenly what came unevenly: one timer for all streams that ask for it.
"""

from __future__ import annotations

import heapq
from typing import Any

from siptwist.media.dejitter import Dejitter
from siptwist.media.latch import Address
from siptwist.media.leg import Flow
from siptwist.net.rtp.relay import Send

#: Seconds by which packets may leave early: timers have no finer grain.
GRAIN = 0.0005


class Playout:
    """
    Every direction of a stream that is evened out, by when its next packet is due.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._lines: set[Line] = set()
        # Entries are in force while their line is armed for that time.
        self._due: list[tuple[float, int, Line]] = []
        self._entries = 0
        self._timer: Any = None

    def line(self, delay: float, flow: Flow, toward: Flow, send: Send) -> Line:
        """
        Even out what ``flow`` counts, ``delay`` seconds late, on its way through ``send``.
        """
        line = Line(self, Dejitter(delay, flow.reception), flow, toward, send)
        self._lines.add(line)
        return line

    def seconds(self) -> float:
        """
        The time by which packets are due.
        """
        now: float = self._reactor.seconds()
        return now

    def arm(self, line: Line, at: float) -> None:
        """
        Ask ``line`` to play when it is due.
        """
        line.armed_at = at
        self._entries += 1
        heapq.heappush(self._due, (at, self._entries, line))
        self._set_timer(at)

    def forget(self, line: Line) -> None:
        """
        ``line`` is closed; the last one takes the timer with it.
        """
        self._lines.discard(line)
        if not self._lines:
            self._due.clear()
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None

    def _set_timer(self, at: float) -> None:
        if self._timer is None:
            self._timer = self._reactor.callLater(max(0.0, at - self.seconds()), self._play)
        elif at < self._timer.getTime():
            self._timer.reset(max(0.0, at - self.seconds()))

    def _play(self) -> None:
        self._timer = None
        due, now = self._due, self.seconds() + GRAIN
        while due and due[0][0] <= now:
            at, _, line = heapq.heappop(due)
            if line.armed_at == at:
                line.armed_at = None
                line.play(now)
        if due:
            self._set_timer(due[0][0])


class Line:
    """
    One direction of a stream; :meth:`send` stands in for that of the socket.
    """

    def __init__(
        self, playout: Playout, dejitter: Dejitter, flow: Flow, toward: Flow, send: Send
    ) -> None:
        self._playout = playout
        self._dejitter = dejitter
        self._flow = flow
        self._toward = toward
        self._send = send
        #: When the playout asks us to play.
        self.armed_at: float | None = None

    def send(self, data: bytes, destination: Address) -> None:
        """
        Send a packet when its time has come; at once what is no RTP.

        :raises OSError: when it is sent at once, as the network does.
        """
        now = self._playout.seconds()
        if self._flow.is_rtp and self._dejitter.put(data, destination, now):
            self.play(now)
        else:
            self._send(data, destination)

    def play(self, now: float) -> None:
        """
        Send what is due, and wait for the rest.
        """
        for waiting in self._dejitter.take(now):
            try:
                self._send(waiting.data, waiting.destination)
            except OSError:
                self._toward.unsent += 1
        at = self._dejitter.next_at
        if at is not None and (self.armed_at is None or at < self.armed_at):
            self._playout.arm(self, at)

    def close(self) -> None:
        """
        Send nothing any more.
        """
        self.armed_at = None
        self._dejitter = Dejitter(0.0, self._flow.reception)
        self._playout.forget(self)
