"""
What is left to say of a call when it is over.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

from siptwist.media.calls import MediaCall
from siptwist.media.stream import CallKey
from siptwist.proxy.passage import Passage
from siptwist.proxy.ticket import Ticket
from siptwist.sip.hop import Hop

# A refusal with which the same call begins anew (RFC 3261 section 22.1).
_CHALLENGES = ("401", "407")


class EndedCall(NamedTuple):
    """
    A call that is over, or that came to nothing.

    ``caller`` and ``callee`` are the URIs of From and To, ``uri`` what was called,
    ``source`` where the INVITE came from.  Times are in seconds; ``answered_at`` is
    ``None`` when nobody answered.  ``reason`` is ``"BYE"``, the status of a refusal,
    ``"silence"``, or a few words.  ``media`` is what was relayed, if anything was.
    """

    call_id: str
    caller: str
    callee: str
    uri: str
    source: Hop
    from_phone: bool
    to_phone: bool
    started_at: float
    answered_at: float | None
    ended_at: float
    reason: str
    media: MediaCall | None = None

    @property
    def duration(self) -> float:
        """
        Seconds from the answer to the end; 0.0 without an answer.
        """
        return 0.0 if self.answered_at is None else self.ended_at - self.answered_at


class Records:
    """
    The calls of which somebody wants to know when they end.  Of more than
    ``limit`` the oldest is forgotten.
    """

    def __init__(self, limit: int = 50_000) -> None:
        self._limit = limit
        self._open: OrderedDict[CallKey, EndedCall] = OrderedDict()
        self._answered: dict[CallKey, float] = {}

    def __len__(self) -> int:
        return len(self._open)

    def begin(self, ticket: Ticket, passage: Passage) -> None:
        """
        A request leaves; the first INVITE of a call begins its record.
        """
        key = passage.key
        if ticket.method != "INVITE" or ticket.in_dialog or key is None or key in self._open:
            return
        self._open[key] = EndedCall(
            ticket.call_id,
            ticket.from_.uri_text,
            ticket.to.uri_text,
            ticket.request.uri,
            ticket.source,
            passage.from_phone,
            passage.to_phone,
            ticket.now,
            None,
            ticket.now,
            "",
        )
        if len(self._open) > self._limit:
            oldest, _ = self._open.popitem(last=False)
            self._answered.pop(oldest, None)

    def answer(self, passage: Passage, status: int, now: float) -> None:
        """
        A response comes back; the first 2xx to an INVITE is the answer.
        """
        if passage.method != "INVITE" or not 200 <= status < 300 or passage.key is None:
            return
        if passage.key in self._open:
            self._answered.setdefault(passage.key, now)

    def end(
        self, key: CallKey, reason: str, media: MediaCall | None, now: float
    ) -> EndedCall | None:
        """
        The call is over: its record, once; none when the caller was merely asked who
        he is.
        """
        found = self._open.pop(key, None)
        answered_at = self._answered.pop(key, None)
        if found is None or reason in _CHALLENGES:
            return None
        return EndedCall(*found[:8], answered_at, now, reason, media)
