"""
One request, several targets, one answer (RFC 3261 section 16.7).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from siptwist.proxy.decision import Target
from siptwist.sip.headers import Header
from siptwist.sip.message import Response

# RFC 3261 section 16.7 step 6: these help the caller to repair the request.
_REPAIRABLE = (401, 407, 415, 420, 484)
_AGGREGATED = {401: "www-authenticate", 407: "proxy-authenticate"}


@dataclass(frozen=True, slots=True)
class Verdict:
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
    lower ones when all of the higher have refused.
    """

    __slots__ = ("_best", "_challenges", "_groups", "_pending", "is_answered", "is_cancelled")

    def __init__(self, targets: Sequence[Target]) -> None:
        self._groups = _by_q(targets) if len(targets) > 1 else [list(targets)]
        self._pending: list[str] = []
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
        return self.pending

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
                return Verdict(cancel=self.pending)
        return self._settle()

    def _succeed(self, branch: str, response: Response) -> Verdict:
        others = () if self.is_answered else self.pending
        self.is_answered = True
        self._groups = []
        return Verdict(response, branch, others)

    def _settle(self) -> Verdict:
        if self._pending or self.is_answered:
            return Verdict()
        if self._groups and not self.is_cancelled:
            return Verdict(try_next=True)
        self.is_answered = True
        return Verdict(self._final(), self._best[0] if self._best else "")

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
    return (status // 100, 2 if status == 408 else 1)
