"""
Expressions that a search could take for ever with.

Python tries one way after another to match.  Their number grows with the power of
two of the subject's length when a repeated part can match the same text in two ways,
as in ``(a+)+`` or ``(a|ab?)*``: whoever dials the right nonsense stops the proxy.
Such an expression is found by its automaton (Glushkov's, with a state for each
character of the expression): from some state two different ways lead back to it over
the same text (Weber and Seidl, "On the degree of ambiguity of finite automata").
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple, TypeVar

from siptwist.plugins.dialing.expressions import (
    FLAGS,
    Character,
    Choice,
    Expression,
    Group,
    Mark,
    Node,
    Reference,
    Repeat,
    Sequence,
    read,
)

# What is repeated more often than this counts as repeated without end.
_COPIES = 16
_MOST_STATES = 400
_MOST_LOOPS = 4
# The last one stands for all that ASCII does not have.
_SAMPLES = [chr(code) for code in range(128)] + ["\u00e9"]

_T = TypeVar("_T")


class _Part(NamedTuple):
    """
    Whether a part can match nothing, and the states that it begins and ends in.
    """

    nullable: bool
    first: frozenset[int] = frozenset()
    last: frozenset[int] = frozenset()


class _Automaton:
    """
    ``characters`` is what each state matches, a bit for each sample; ``edges`` is
    how many ways lead from one to another.
    """

    def __init__(self) -> None:
        self.characters: list[int] = []
        self.edges: Counter[tuple[int, int]] = Counter()

    def add(self, node: Node) -> _Part:
        if isinstance(node, Character):
            return self._state(node.text)
        if isinstance(node, Mark):
            return _Part(True)
        if isinstance(node, Reference):
            return self._loop(self._state("."))._replace(nullable=True)
        if isinstance(node, Group):
            return self.add(node.body)
        if isinstance(node, Choice):
            parts = [self.add(branch) for branch in node.branches]
            return _Part(
                any(part.nullable for part in parts),
                _union(part.first for part in parts),
                _union(part.last for part in parts),
            )
        if isinstance(node, Sequence):
            return self._chain([self.add(part) for part in node.parts])
        return self._repeat(node)

    def _state(self, text: str) -> _Part:
        if len(self.characters) >= _MOST_STATES:
            raise ValueError("it is too large")
        match = re.compile(text, FLAGS).match
        self.characters.append(sum(1 << bit for bit, one in enumerate(_SAMPLES) if match(one)))
        states = frozenset([len(self.characters) - 1])
        return _Part(False, states, states)

    def _join(self, last: Iterable[int], first: Iterable[int]) -> None:
        self.edges.update((one, other) for one in last for other in first)

    def _loop(self, part: _Part) -> _Part:
        self._join(part.last, part.first)
        return part

    def _chain(self, parts: list[_Part]) -> _Part:
        whole = _Part(True)
        for part in parts:
            self._join(whole.last, part.first)
            whole = _Part(
                whole.nullable and part.nullable,
                whole.first | part.first if whole.nullable else whole.first,
                whole.last | part.last if part.nullable else part.last,
            )
        return whole

    def _repeat(self, node: Repeat) -> _Part:
        part, low, high = self.add(node.item), node.low, node.high
        if high == 0:
            return _Part(True)
        if high is None or high > _COPIES or (part.nullable and high > 1):
            return self._loop(part)._replace(nullable=part.nullable or low == 0)
        copies = [part, *(self.add(node.item) for _ in range(high - 1))]
        for one, other in pairwise(copies):
            self._join(one.last, other.first)
        ends = copies[max(low, 1) - 1 :]
        return _Part(part.nullable or low == 0, part.first, _union(one.last for one in ends))

    # What can be said of the whole

    @cached_property
    def _after(self) -> list[set[int]]:
        after: list[set[int]] = [set() for _ in self.characters]
        for one, other in self.edges:
            after[one].add(other)
        return after

    @cached_property
    def _reach(self) -> list[set[int]]:
        states = range(len(self.characters))
        return [_reachable([state], self._after.__getitem__) for state in states]

    def _around(self, state: int) -> list[int]:
        """
        The states that follow one, and lead back to it.
        """
        return [other for other in self._after[state] if state in self._reach[other]]

    def _both(self, pair: tuple[int, int]) -> list[tuple[int, int]]:
        """
        Where the same character leads to from each of two states.
        """
        return [
            (one, other)
            for one in self._around(pair[0])
            for other in self._around(pair[1])
            if self.characters[one] & self.characters[other]
        ]

    def is_ambiguous(self) -> bool:
        """
        Whether a state has two ways back to it over the same text.
        """
        states = range(len(self.characters))
        if any(self.edges[one, other] > 1 for one in states for other in self._around(one)):
            return True
        pairs = _reachable([(state, state) for state in states], self._both)
        apart = [pair for pair in pairs if pair[0] != pair[1]]
        return any(one == other for one, other in _reachable(apart, self._both))

    def loops(self) -> int:
        """
        How many loops can follow one another that match the same character.
        """
        looped = [state for state, reach in enumerate(self._reach) if state in reach]
        return max(
            (self._longest(bit, looped) for bit in range(len(_SAMPLES))),
            default=0,
        )

    def _longest(self, bit: int, looped: list[int]) -> int:
        reach = self._reach
        states = [state for state in looped if self.characters[state] >> bit & 1]
        # One state of each loop; whoever reaches more comes before.
        loops = {
            min(other for other in states if one in reach[other] and other in reach[one])
            for one in states
        }
        depths: dict[int, int] = {}
        for one in sorted(loops, key=lambda state: len(reach[state])):
            depths[one] = 1 + max(
                (depths[other] for other in depths if other in reach[one]), default=0
            )
        return max(depths.values(), default=0)


def _union(sets: Iterable[frozenset[int]]) -> frozenset[int]:
    return frozenset().union(*sets)


def _reachable(start: Iterable[_T], follow: Callable[[_T], Iterable[_T]]) -> set[_T]:
    """
    All that can be reached in one step or more.
    """
    found: set[_T] = set()
    waiting = list(start)
    while waiting:
        for other in follow(waiting.pop()):
            if other not in found:
                found.add(other)
                waiting.append(other)
    return found


def expression(text: str) -> Expression:
    """
    Read an expression that can be searched for without fear.

    :raises ValueError: with a sentence that says what is wrong with it.
    """
    node = read(text)
    automaton = _Automaton()
    automaton.add(node)
    if automaton.is_ambiguous():
        raise ValueError("a search could take for ever: what it repeats matches in several ways")
    loops = automaton.loops()
    # A search that may begin anywhere is one more loop.
    if loops + (not text.startswith("^")) > _MOST_LOOPS:
        raise ValueError(
            f"a search could take very long: {loops} parts that repeat match the same text"
        )
    try:
        return Expression(text, re.compile(node.text, FLAGS))
    except re.error as error:
        raise ValueError(f"it cannot be used: {error.msg}") from None
