"""
One request, several targets, one answer (RFC 3261 section 16.7).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from siptwist.errors import SIPError
from siptwist.proxy.decision import Target
from siptwist.sip.fields import parse_number
from siptwist.sip.headers import Header, Headers
from siptwist.sip.message import Response
from siptwist.sip.values import Value

# RFC 3261 section 16.7 step 6: these help the caller to repair the request.
_REPAIRABLE = (401, 407, 415, 420, 484)
# What a request without Max-Breadth has (RFC 5393 section 5.3.3).
DEFAULT_BREADTH = 60
# Nobody was there to say anything about the call; whoever was knows more.
_NOBODY = {480: 2, 408: 3}
_AGGREGATED = {401: "www-authenticate", 407: "proxy-authenticate"}


@dataclass(slots=True)
class Verdict(Value):
    """
    What follows from a response: what to send upstream (and the branch it
    came on), whom to cancel, and whether the next targets are to be tried.
    """

    forward: Response | None = None
    branch: str = ""
    cancel: tuple[str, ...] = ()
    try_next: bool = False


class Fork:
    """
    The response context of one server transaction.

    Branches are named by our Via branch.  Targets of equal q ring together,
    lower ones when all of the higher have refused.  A branch whose server is
    silent is left behind: it holds up nothing, but may still answer.
    """

    __slots__ = (
        "_best",
        "_challenges",
        "_groups",
        "_left",
        "_pending",
        "is_answered",
        "is_cancelled",
    )

    def __init__(self, targets: Sequence[Target]) -> None:
        self._groups = _by_q(targets) if len(targets) > 1 else [list(targets)]
        self._pending: list[str] = []
        self._left: tuple[str, ...] = ()
        self._best: tuple[str, Response] | None = None
        self._challenges: dict[int, list[Header]] = {}
        self.is_answered = False
        self.is_cancelled = False

    def next_group(self) -> list[Target]:
        """
        The targets to try now; empty when there are no more.
        """
        if self.is_cancelled or self.is_answered or not self._groups:
            return []
        return self._groups.pop(0)

    def begin(self, branch: str) -> None:
        self._pending.append(branch)

    def replace(self, branch: str, other: str) -> None:
        """
        The same target goes on under another branch.
        """
        self._end(branch)
        self._pending.append(other)

    def leave(self, branch: str, other: str) -> None:
        """
        The same target is tried under another branch as well, for this one is silent.
        """
        self.replace(branch, other)
        self._left = (*self._left, branch)

    def _end(self, branch: str) -> None:
        # A list: there are few, and an empty set is four times as large.
        if branch in self._pending:
            self._pending.remove(branch)

    @property
    def pending(self) -> tuple[str, ...]:
        return tuple(self._pending)

    def cancel(self) -> tuple[str, ...]:
        """
        The caller gave up: no more targets, and these branches are to end.
        """
        self.is_cancelled = True
        self._groups = []
        return (*self._pending, *self._left)

    def receive(self, branch: str, response: Response) -> Verdict:
        """
        A response came on a branch (RFC 3261 section 16.7 steps 5 to 7).
        """
        status = response.status
        if status < 200:
            return Verdict(None if status == 100 or self.is_answered else response, branch)
        self._end(branch)
        if status < 300:
            return self._succeed(branch, response)
        self._remember(branch, response)
        if status >= 600:
            self._groups = []
            if self._pending:
                return Verdict(cancel=(*self._pending, *self._left))
        return self._settle()

    def _succeed(self, branch: str, response: Response) -> Verdict:
        others = () if self.is_answered else (*self._pending, *self._left)
        self.is_answered = True
        self._groups = []
        return Verdict(response, branch, tuple([one for one in others if one != branch]))

    def _settle(self) -> Verdict:
        if self._pending or self.is_answered:
            return Verdict()
        if self._groups and not self.is_cancelled:
            return Verdict(try_next=True)
        self.is_answered = True
        return Verdict(self._final(), self._best[0] if self._best else "", self._left)

    def _remember(self, branch: str, response: Response) -> None:
        key = _AGGREGATED.get(response.status)
        if key is not None:
            kept = self._challenges.setdefault(response.status, [])
            kept.extend([header for header in response.headers if header[0] == key][:8])
        if self._best is None or _rank(response.status) < _rank(self._best[1].status):
            self._best = (branch, response)

    def _final(self) -> Response | None:
        if self._best is None:
            return None
        best = self._best[1]
        challenges = self._challenges.get(best.status)
        if challenges and len(challenges) > 1:
            editor = best.headers.edit()
            editor.restore(challenges)
            best = best._replace(headers=editor.finish())
        return best


def spread(targets: tuple[Target, ...], headers: Headers) -> tuple[Target, ...]:
    """
    Divide the Max-Breadth of a request among the targets that it goes to at the
    same time (RFC 5393 section 5.3.3).

    :raises SIPError: 440 when it is less than they are.
    :raises MalformedHeader: when it is no number.
    """
    text = headers.get("max-breadth")
    if text is None and len(targets) == 1:
        return targets
    breadth = DEFAULT_BREADTH if text is None else parse_number(text, "Max-Breadth", 2**31)
    together = Counter(target.q for target in targets)
    if max(together.values()) > breadth:
        raise SIPError("", 440)
    given: Counter[float] = Counter()
    shared = []
    for target in targets:
        count, before = together[target.q], given[target.q]
        share = breadth // count + (before < breadth % count)
        given[target.q] += 1
        shared.append(target._replace(breadth=share))
    return tuple(shared)


def as_upstream(response: Response) -> Response:
    """
    503 says that whoever sent it is overloaded: passed on, it would keep the
    caller from using us at all (RFC 3261 section 16.7 step 6).
    """
    if response.status != 503:
        return response
    return response._replace(status=500, reason=f"Next hop: {response.reason}")


def _by_q(targets: Sequence[Target]) -> list[list[Target]]:
    groups: dict[float, list[Target]] = {}
    for target in targets:
        groups.setdefault(target.q, []).append(target)
    return [groups[q] for q in sorted(groups, reverse=True)]


def _rank(status: int) -> tuple[int, int]:
    """
    Lower is better: 6xx, then the lowest class, then what can be repaired.
    """
    if status >= 600:
        return (0, status)
    if status in _REPAIRABLE:
        return (status // 100, 0)
    return (status // 100, _NOBODY.get(status, 1))
