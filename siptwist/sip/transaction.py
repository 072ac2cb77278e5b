"""
Transactions (RFC 3261 section 17, RFC 6026): states and timers as data.

Nothing here sends or waits.  Who owns a transaction tells it what arrived and
asks it, when its ``due`` has come, what is to be done.
"""

from __future__ import annotations

import enum
import re
from typing import Any

from siptwist.sip.fields import CSeq
from siptwist.sip.headers import Header, Headers, make_header
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Request, call_id_of, cseq_of, from_of, via_of
from siptwist.sip.timers import LIFETIME, T1, T2, T4, TIMER_C
from siptwist.sip.values import plain_members

# Timer E runs out after 1, 3 and 7 T1, and is T2 from then on: a copy that comes this
# long after the first is the one of 7 T1, or a later one.
TRYING_AFTER = 5 * T1

# One string: there are many, and they are kept for half a minute.
Key = str


@plain_members
class State(enum.Enum):
    """
    Calling is also the Trying of a non-INVITE transaction.
    """

    CALLING = "calling"
    PROCEEDING = "proceeding"
    COMPLETED = "completed"
    CONFIRMED = "confirmed"
    ACCEPTED = "accepted"
    TERMINATED = "terminated"

    __hash__ = object.__hash__


@plain_members
class Event(enum.Enum):
    """
    What a timer asks of the owner.
    """

    RESEND = "resend"
    TIMEOUT = "timeout"
    RINGING_TOO_LONG = "timer C"
    ENDED = "ended"


def server_key(request: Request, of_invite: bool = False) -> Key:
    """
    What tells server transactions apart (RFC 3261 section 17.2.3).

    ACK matches its INVITE; with ``of_invite`` a CANCEL does too.  A branch without
    the magic cookie is RFC 2543's: then Call-ID, From tag, CSeq number and top Via
    identify the request.
    """
    via = via_of(request)
    method = "INVITE" if of_invite or request.method == "ACK" else request.method
    if via.is_rfc3261:
        return f"{via.branch} {via.host.lower()} {via.port} {method}"
    cseq, tag = cseq_of(request), from_of(request).tag or ""
    return f"{via} {call_id_of(request)} {tag} {cseq.number} {method}"


def client_key(branch: str, method: str) -> Key:
    """
    What a response is matched by (RFC 3261 section 17.1.3): only a CANCEL
    shares its branch with another request.
    """
    return branch if method != "CANCEL" else f"{branch} CANCEL"


# A request as it leaves us, or the beginning of it: our Via has one branch.
_SENT = re.compile(
    rb"([A-Z]{1,32}) [^\r\n]{1,1500} SIP/2\.0\r\n"
    rb"(?:[^\r\n]{1,1500}\r\n){0,20}?Via: [^\r\n;]{1,300};branch=([^\s;,]{1,128})[\r;,]"
)


def sent_key(data: bytes) -> Key:
    """
    The client transaction of a request that we sent, of which a network may have
    kept only the beginning; "" when that says too little.
    """
    found = _SENT.match(data)
    if found is None:
        return ""
    return client_key(found[2].decode("latin-1"), found[1].decode("ascii"))


class ServerTransaction:
    """
    A request that came to us, until the last retransmission must have come.
    """

    __slots__ = (
        "due",
        "interval",
        "is_invite",
        "key",
        "last",
        "side",
        "source",
        "started",
        "state",
        "status",
        "user",
    )

    def __init__(self, key: Key, method: str, source: Hop, side: Side, now: float) -> None:
        self.key = key
        self.is_invite = method == "INVITE"
        self.source = source
        self.side = side
        self.started = now
        self.state = State.CALLING
        self.status = 0
        self.last = b""
        self.interval = T1
        self.due = 0.0
        # What the transaction user keeps with it; let go when it is over.
        self.user: Any = None

    @property
    def is_final(self) -> bool:
        return self.status >= 200

    def respond(self, status: int, data: bytes, now: float) -> bool:
        """
        A response is sent in this transaction; ``False`` when it may not be.
        """
        if self.state is State.ACCEPTED:
            return 200 <= status < 300
        if self.status >= 200:
            return False
        if status < 200 and not self.is_invite and status > 100:
            return False  # RFC 4320 section 4.1
        self.status = status
        self.last = data
        if status < 200:
            self.state = State.PROCEEDING
        elif not self.is_invite:
            self.state = State.COMPLETED
            self.due = now + LIFETIME  # timer J
        elif status < 300:
            self.state = State.ACCEPTED
            self.last = b""
            self.due = now + LIFETIME  # timer L
        else:
            self.state = State.COMPLETED
            self.interval = T1
            self.started = now
            self.due = now + T1  # timer G
        return True

    def wants_trying(self, now: float) -> bool:
        """
        Whether a request that is repeated now shall hear 100 (RFC 4320 section 4.1):
        not an INVITE, and not answered when timer E of its client has come to T2.
        """
        return not (self.status or self.is_invite) and now - self.started >= TRYING_AFTER

    def abandon(self, now: float) -> None:
        """
        Nothing is ever answered to this request, which is no INVITE.
        """
        self.status = 408
        self.state = State.COMPLETED
        self.last = b""
        self.due = now + LIFETIME

    def acknowledge(self, now: float) -> bool:
        """
        An ACK came; whether it was for our final response to an INVITE.
        """
        if self.state is State.COMPLETED and self.is_invite:
            self.state = State.CONFIRMED
            self.last = b""
            self.due = now + T4  # timer I
        return self.state in (State.COMPLETED, State.CONFIRMED)

    def tick(self, now: float) -> Event | None:
        """
        ``due`` has come.
        """
        if self.state is State.COMPLETED and self.is_invite and now < self.started + LIFETIME:
            self.interval = min(self.interval * 2, T2)
            # From when it was due, not from when it was looked at, or each
            # repetition comes later than the RFC's.
            self.due = min(self.due + self.interval, self.started + LIFETIME)
            return Event.RESEND
        self.state = State.TERMINATED
        self.due = 0.0
        return Event.ENDED


class ClientTransaction:
    """
    A request that we sent, until its last response must have come.
    """

    __slots__ = (
        "ack",
        "asker",
        "branch",
        "cancelled",
        "due",
        "hop",
        "interval",
        "is_invite",
        "method",
        "request",
        "side",
        "started",
        "state",
        "status",
        "user",
    )

    def __init__(self, branch: str, request: Request, hop: Hop, side: Side, now: float) -> None:
        self.branch = branch
        self.method = request.method
        self.is_invite = request.method == "INVITE"
        # Kept while it may have to be sent again; then only the ACK is.
        self.request: Request | None = request
        self.ack = b""
        self.hop = hop
        self.side = side
        self.started = now
        self.state = State.CALLING
        self.status = 0
        self.interval = T1
        self.cancelled = False
        self.due = now + T1  # timers A and E
        self.user: Any = None
        # Who hears the answer, when it is not the core.
        self.asker: Any = None

    @property
    def key(self) -> Key:
        return client_key(self.branch, self.method)

    @property
    def is_waiting(self) -> bool:
        """
        Whether it has no final response, and sends its request until it has one.
        """
        waiting = self.state is State.PROCEEDING and not self.is_invite
        return waiting or self.state is State.CALLING

    def receive(self, status: int, now: float) -> bool:
        """
        A response came; whether the transaction user shall see it.
        """
        if self.state in (State.CALLING, State.PROCEEDING):
            self.status = status
            if status < 200:
                self._proceed(status, now)
            else:
                self._complete(status, now)
            return True
        return self.state is State.ACCEPTED and 200 <= status < 300

    def _proceed(self, status: int, now: float) -> None:
        # Who keeps ringing after a CANCEL is not waited for longer (section 9.1).
        if self.is_invite and (self.state is State.CALLING or not self.cancelled):
            if self.state is State.CALLING or status > 100:
                self.started = now
            self.due = now + LIFETIME
        self.state = State.PROCEEDING

    def _complete(self, status: int, now: float) -> None:
        if not self.is_invite:
            self.state = State.COMPLETED
            self.due = now + T4  # timer K
        elif status < 300:
            self.state = State.ACCEPTED
            self.due = now + LIFETIME  # timer M
        else:
            self.state = State.COMPLETED
            self.due = now + LIFETIME  # timer D

    def cancel(self, now: float) -> bool:
        """
        Ask for an end; whether a CANCEL may go out now (section 9.1: only
        after a provisional response, and not after a final one).
        """
        already, self.cancelled = self.cancelled, True
        if already or self.state is not State.PROCEEDING:
            return False
        self.started = now
        self.due = now + LIFETIME
        return True

    def fail(self) -> None:
        """
        The next hop cannot be reached (section 17.1.4).
        """
        self.state = State.TERMINATED
        self.due = 0.0

    def tick(self, now: float) -> Event | None:
        """
        ``due`` has come.
        """
        if self.state is State.CALLING or (self.state is State.PROCEEDING and not self.is_invite):
            return self._resend(now)
        if self.state is State.PROCEEDING:
            return self._ring_on(now)
        self.state = State.TERMINATED
        self.due = 0.0
        return Event.ENDED

    def _ring_on(self, now: float) -> Event | None:
        end = self.started + (LIFETIME if self.cancelled else TIMER_C)
        if now < end:
            # Never due further ahead than a finished transaction is kept.
            self.due = min(now + LIFETIME, end)
            return None
        if not self.cancelled:
            return Event.RINGING_TOO_LONG
        self.state = State.TERMINATED
        self.due = 0.0
        return Event.TIMEOUT

    def _resend(self, now: float) -> Event:
        end = self.started + LIFETIME  # timers B and F
        if now >= end:
            self.state = State.TERMINATED
            self.due = 0.0
            return Event.TIMEOUT
        if self.state is State.PROCEEDING:
            self.interval = T2
        else:
            doubled = self.interval * 2
            self.interval = doubled if self.is_invite else min(doubled, T2)
        self.due = min(self.due + self.interval, end)
        return Event.RESEND


_DERIVED = frozenset({"from", "to", "call-id", "route"})


def derived(request: Request, method: str, to: Header | None) -> Request:
    """
    The ACK for a refusal (RFC 3261 section 17.1.1.3) or the CANCEL (section
    9.1) of a request of ours.
    """
    kept = [header for header in request.headers if header[0] in _DERIVED]
    if to is not None:
        kept = [to if header[0] == "to" else header for header in kept]
    via = next(header for header in request.headers if header[0] == "via")
    number = cseq_of(request).number
    made = [
        via,
        make_header("Max-Forwards", "70"),
        *kept,
        make_header("CSeq", str(CSeq(number, method))),
        make_header("Content-Length", "0"),
    ]
    return Request(method, request.uri, Headers(made))
