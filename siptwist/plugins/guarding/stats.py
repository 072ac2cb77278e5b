"""
How many calls, streams and phones there are: for the log, a file and the console.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from twisted.python.filepath import FilePath
from zope.interface import implementer

from siptwist.logs import shown
from siptwist.media.calls import MediaCall
from siptwist.media.latch import Address
from siptwist.media.leg import MediaStream
from siptwist.media.stream import Party
from siptwist.options import option, text, whole
from siptwist.plugins.plugin import House, PluginMaker
from siptwist.plugins.stages import IReport, ITimer
from siptwist.proxy.registration.location import Locations
from siptwist.proxy.session.dialogs import Dialog
from siptwist.sip.hop import Side

_WHEN = whole(-1, 2**31 - 1)
# Readable by whoever draws graphs; it names who talks to whom.
_MODE = 0o640


class Counts(NamedTuple):
    """
    What there is at one moment.  A stream goes one way: audio of a call is two.
    """

    registered_clients: int
    active_clients: int
    active_calls: int
    active_streams: int


class StreamRow(NamedTuple):
    """
    One direction of an m= line: the address of the phone, our address, and that of
    who sends.
    """

    client: str
    call_id: str
    call_direction: str
    stream_direction: str
    local: str
    remote: str


def streams(calls: Iterable[MediaCall]) -> list[StreamRow]:
    """
    All that is relayed, sorted by phone and call.
    """
    rows = [
        _row(call, stream, party)
        for call in calls
        for stream in call.streams.values()
        for party in Party
    ]
    return sorted(rows)


def _row(call: MediaCall, stream: MediaStream, party: Party) -> StreamRow:
    leg, key = stream.leg(party), call.key
    is_caller = party is Party.CALLER
    # Who sends is the phone; with a phone at one end only, it is that one.
    phone = party if key.side(party) is Side.INSIDE else party.other
    described = call.described.get(phone)
    goes_out = is_caller == (key.caller_side is Side.INSIDE)
    return StreamRow(
        described.signaling_host if described else "",
        key.call_id,
        _direction(key.caller_side is Side.INSIDE),
        _direction(goes_out),
        stream.caller_host if is_caller else stream.callee_host,
        _host(leg.rtp.source or leg.described),
    )


def _direction(goes_out: bool) -> str:
    return "Outgoing" if goes_out else "Incoming"


def _host(address: Address | None) -> str:
    return address[0] if address else ""


def count(
    rows: Sequence[StreamRow], dialogs: Iterable[Dialog], locations: Locations, now: float
) -> Counts:
    """
    What the rows come to, calls whose media goes past us, and who is registered.
    """
    return Counts(
        sum(binding.is_active(now) for binding in locations),
        len({row.client for row in rows}),
        len({row.call_id for row in rows} | {dialog.key.call_id for dialog in dialogs}),
        len(rows),
    )


def page(counts: Counts, rows: Iterable[StreamRow], now: float, pid: int) -> Iterator[str]:
    """
    The lines of the file, as those who read siproxd's expect them.
    """
    yield f"Date: {time.asctime(time.localtime(now))}"
    yield f"PID:  {pid}"
    yield from ("", "Summary", "-------")
    for name, value in zip(Counts._fields, counts, strict=True):
        state, what = name.split("_")
        yield f"{f'{state} {what.title()}:':<19} {value:6}"
    yield from ("", "RTP-Details", "-----------")
    yield "Header; Client-Id; Call-Id; Call Direction; Stream Direction; local IP; remote IP"
    for row in rows:
        yield ";".join(("Data", *(shown(cell).replace(";", "%3B") for cell in row)))


@dataclass(frozen=True, slots=True)
class StatsOptions:
    """
    ``plugin_stats_to_syslog`` and its like.
    """

    to_syslog: int = option(0, _WHEN, "numbers in the log every n s; -1 on SIGUSR1; 0 = never")
    to_file: int = option(0, _WHEN, "numbers in a file every n s; -1 on SIGUSR1; 0 = never")
    filename: str = option("", text, "the file that the numbers go to")


@implementer(ITimer, IReport)
class Stats:
    """
    Says what there is, now and then and when asked.
    """

    def __init__(self, options: StatsOptions, house: House) -> None:
        self._house = house
        self._log = house.log
        self._file = FilePath(options.filename) if options.filename else None
        self._every = {self.tell: options.to_syslog, self.write: options.to_file}
        if self._file is None:
            del self._every[self.write]
            if options.to_file:
                self._log.warn("There is no file: plugin_stats_filename is not set")
        regular = [seconds for seconds in self._every.values() if seconds > 0]
        self.interval = float(math.gcd(*regular) or 3600)
        self._told = dict.fromkeys(self._every, house.now())
        self._complained = False

    def timer(self, now: float) -> None:
        for say, seconds in self._every.items():
            # Half a beat early is in time: timers tick a little off.
            if seconds > 0 and now - self._told[say] >= seconds - self.interval / 2:
                self._told[say] = now
                say(now)

    def report(self, now: float) -> None:
        for say, seconds in self._every.items():
            if seconds:
                say(now)

    def _look(self, now: float) -> tuple[Counts, list[StreamRow]]:
        rows = streams(self._house.media.calls())
        return count(rows, self._house.dialogs, self._house.locations, now), rows

    def tell(self, now: float) -> None:
        """
        The numbers go to the log.
        """
        counts, _ = self._look(now)
        self._log.info(
            "STATS: {streams} active Streams, {calls} active Calls, {active} active Clients, "
            "{registered} registered Clients",
            streams=counts.active_streams,
            calls=counts.active_calls,
            active=counts.active_clients,
            registered=counts.registered_clients,
        )

    def write(self, now: float) -> None:
        """
        The numbers go to the file, which is never half written.
        """
        assert self._file is not None
        counts, rows = self._look(now)
        data = "\n".join(page(counts, rows, now, os.getpid())) + "\n"
        try:
            self._file.setContent(data.encode("utf-8", "surrogateescape"), ext=".new")
            self._file.chmod(_MODE)
        except OSError as error:
            if not self._complained:
                self._log.error("{file}: {error}", file=self._file.path, error=str(error))
            self._complained = True
        else:
            self._complained = False


stats = PluginMaker("stats", Stats, StatsOptions)
