"""
When calls must be over: session timers as a proxy sees them (RFC 4028), and a limit
that holds for all.

We add no Session-Expires and change none; we only watch what the two ends agreed
upon.  A proxy must not send BYE when a session expires (section 8): the ends do
that themselves.  We let go of what the call holds.
"""

from __future__ import annotations

import heapq
import itertools
import re

from siptwist.media.stream import CallKey, Party
from siptwist.proxy.session.dialogs import Dialog, Dialogs

# The shortest session (RFC 4028 section 4), and the longest that is watched.
SHORTEST, LONGEST = 90, 86_400
# The longest time that a call is kept beyond its session.
GRACE = 32.0

# Session-Expires = delta-seconds *(SEMI se-params)
_SESSION_EXPIRES = re.compile(r"([0-9]{1,10})[ \t]*(?:;.*)?", re.DOTALL)
_HEAP_SIZE = 64


def parse_session_expires(text: str) -> int | None:
    """
    The seconds of a Session-Expires; ``None`` when it cannot be read.
    """
    match = _SESSION_EXPIRES.fullmatch(text)
    return int(match[1]) if match else None


def deadline_of(seconds: int, now: float) -> float:
    """
    When a session refreshed at ``now`` is over: its interval, and as much as
    the ends hang up before that (section 10), for theirs may be a late clock.
    """
    interval = min(max(seconds, SHORTEST), LONGEST)
    return now + interval + min(GRACE, interval / 3)


class Refreshes:
    """
    When each call must have been refreshed, and when it must be over.

    :param longest: seconds that a call may last; 0 is for ever.
    """

    def __init__(self, dialogs: Dialogs, longest: float = 0.0) -> None:
        self._dialogs = dialogs
        self.longest = longest
        # The number decides between two of one moment.
        self._deadlines: list[tuple[float, int, CallKey]] = []
        self._numbers = itertools.count()
        self._size = _HEAP_SIZE

    def __len__(self) -> int:
        return len(self._deadlines)

    def note(
        self,
        key: CallKey,
        session_expires: str | None,
        now: float,
        requester: Party | None = None,
    ) -> None:
        """
        A 2xx to INVITE or UPDATE of ``requester`` went through; without Session-Expires, the
        call has no timer, or no longer (section 8.2).

        A call that several have answered is not watched: one of these dialogs
        ends soon, and its timer is not the timer of the other.
        """
        if session_expires is None and not self._deadlines and not self.longest:
            return
        dialog = self._dialogs.by_key(key)
        if dialog is None or not dialog.is_established:
            return
        if self.longest and dialog.limit_at is None:
            dialog.limit_at = now + self.longest
            self._push(dialog.limit_at, key)
        seconds = parse_session_expires(session_expires or "")
        if seconds is None or len(dialog.callees) > 1:
            dialog.expires_at = dialog.timer = None
            return
        dialog.timer = session_expires or "", requester or Party.CALLER
        dialog.expires_at = deadline_of(seconds, now)
        self._push(dialog.expires_at, key)

    def _push(self, deadline: float, key: CallKey) -> None:
        heapq.heappush(self._deadlines, (deadline, next(self._numbers), key))
        if len(self._deadlines) > self._size:
            self._deadlines = [one for one in self._deadlines if self._counts(one[0], one[2])]
            heapq.heapify(self._deadlines)
            self._size = max(_HEAP_SIZE, 2 * len(self._deadlines))

    def _counts(self, deadline: float, key: CallKey) -> Dialog | None:
        """
        The dialog that this deadline still means: not ended, not refreshed since.
        """
        dialog = self._dialogs.by_key(key)
        if dialog is None or deadline not in (dialog.expires_at, dialog.limit_at):
            return None
        return dialog

    def expire(self, now: float) -> list[tuple[CallKey, bool]]:
        """
        The calls that are over, each told once, and whether they just were not
        refreshed.
        """
        over = []
        while self._deadlines and self._deadlines[0][0] <= now:
            deadline, _, key = heapq.heappop(self._deadlines)
            dialog = self._counts(deadline, key)
            if dialog is not None:
                over.append((key, deadline != dialog.limit_at))
                dialog.expires_at = dialog.limit_at = None
        return over
