"""
What the proxy has done and does, in a few lines for the log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from typing import NamedTuple

from siptwist.interfaces import IMediaBackend
from siptwist.logs import logger
from siptwist.proxy.registration.location import Locations
from siptwist.proxy.session.dialogs import Dialogs


class Counted(NamedTuple):
    """
    Where the numbers are.
    """

    media: IMediaBackend
    dialogs: Dialogs
    locations: Locations
    complaints: Counter[str]
    pings: Counter[str]


class Statistics:
    """
    Says how much of everything there is.

    ``others`` are called for their own numbers after ours.
    """

    _log = logger()

    def __init__(self, seconds: Callable[[], float], counted: Counted) -> None:
        self._seconds = seconds
        self._began = seconds()
        self._counted = counted
        self.others: list[Callable[[], object]] = []

    def lines(self) -> Iterator[str]:
        """
        The sentences, one a line.
        """
        media, dialogs, locations, complaints, pings = self._counted
        now = self._seconds()
        calls = list(media.calls())
        active = [binding for binding in locations if binding.is_active(now)]
        yield f"up for {int(now - self._began)} s"
        yield f"{len(dialogs)} calls, {sum(one.is_established for one in dialogs)} of them answered"
        yield f"{len(calls)} with media, {sum(len(call.streams) for call in calls)} streams"
        yield f"{len(active)} registrations of {len({one.aor for one in active})} accounts"
        yield f"keep-alives: {_counts(pings)}"
        yield f"complaints: {_counts(complaints)}"

    def write(self) -> None:
        for line in self.lines():
            self._log.info("Statistics: {line}", line=line)
        for other in self.others:
            other()


def _counts(counts: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(counts.items())) or "none"
