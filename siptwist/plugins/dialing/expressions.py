r"""
Extended regular expressions of POSIX (XBD section 9.4), as siproxd's users write them.

Case does not matter, and a match may begin anywhere.  ``( ) | * + ? {m,n} ^ $ .`` are
those of POSIX, and so are brackets: ``[[:digit:]]``, ``[^]-]``, a backslash between
them is nothing special.  ``\1`` to ``\9`` are what a group matched; GNU's ``\w \W \s
\S \b \B \< \> \` \'`` are understood.  Where several alternatives match, POSIX takes
what makes the match longest; here it is the longest of words, as in ``(0|00)``, and
the first of others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

FLAGS = re.ASCII | re.DOTALL | re.IGNORECASE
# Nobody dials more than this; a search takes time that grows with it.
LONGEST_SUBJECT = 200
_LONGEST_PATTERN = 512
_MOST_TIMES = 255

_CLASSES = {
    "alnum": "0-9A-Za-z",
    "alpha": "A-Za-z",
    "blank": r"\ \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": r"\ -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\ \t-\r",
    "upper": "A-Z",
    "xdigit": "0-9A-Fa-f",
}
_MARKS = {
    "b": r"\b",
    "B": r"\B",
    "<": r"\b(?=\w)",
    ">": r"\b(?<=\w)",
    "`": r"\A",
    "'": r"\Z",
}
_TIMES = re.compile(r"\{(?:([0-9]{1,5})(,([0-9]{1,5})?)?|,([0-9]{1,5}))\}")
_SIGNS = {"*": (0, None), "+": (1, None), "?": (0, 1)}


class Character(NamedTuple):
    """
    One character of a set, in the words of Python.
    """

    text: str
    is_word: bool = False


class Mark(NamedTuple):
    """
    A place: the beginning, the end, where a word begins.
    """

    text: str


class Reference(NamedTuple):
    """
    What a group has matched, once more.
    """

    text: str


class Group(NamedTuple):
    body: Node

    @property
    def text(self) -> str:
        return f"({self.body.text})"


class Sequence(NamedTuple):
    parts: tuple[Node, ...]

    @property
    def text(self) -> str:
        return "".join(part.text for part in self.parts)

    @property
    def is_word(self) -> bool:
        return all(type(part) is Character and part.is_word for part in self.parts)


class Choice(NamedTuple):
    branches: tuple[Sequence, ...]

    @property
    def text(self) -> str:
        return "|".join(branch.text for branch in self.branches)


class Repeat(NamedTuple):
    """
    ``high`` is ``None`` for any number of times.
    """

    item: Node
    low: int
    high: int | None

    @property
    def text(self) -> str:
        # Python reads "a+?" and "a++" in ways of its own.
        item = f"(?:{self.item.text})" if type(self.item) is Repeat else self.item.text
        return f"{item}{{{self.low},{'' if self.high is None else self.high}}}"


Node = Character | Mark | Reference | Group | Sequence | Choice | Repeat


class _Reader:
    """
    Reads one expression from left to right.
    """

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._depth = 0

    def _next(self) -> str:
        """
        The character to be read; "" at the end.
        """
        return self._text[self._at : self._at + 1]

    def _take(self) -> str:
        found = self._next()
        self._at += 1
        return found

    def choice(self) -> Node:
        branches = [self._sequence()]
        while self._next() == "|":
            self._at += 1
            branches.append(self._sequence())
        if len(branches) == 1:
            return branches[0]
        if all(branch.is_word for branch in branches):
            branches.sort(key=lambda branch: -len(branch.parts))
        return Choice(tuple(branches))

    def _sequence(self) -> Sequence:
        parts = []
        while (found := self._next()) and found != "|" and not (found == ")" and self._depth):
            parts.append(self._repeated(self._atom()))
        return Sequence(tuple(parts))

    def _repeated(self, item: Node) -> Node:
        while (sign := self._next()) and sign in "*+?{":
            if type(item) is Mark:
                raise ValueError(f"there is nothing that {sign!r} could repeat")
            low, high = self._times()
            item = Repeat(item, low, high)
        return item

    def _times(self) -> tuple[int, int | None]:
        sign = self._next()
        if sign != "{":
            self._at += 1
            return _SIGNS[sign]
        match = _TIMES.match(self._text, self._at)
        if match is None:
            raise ValueError(r"'{' begins {m}, {m,} or {m,n}; the character itself is '\{'")
        self._at = match.end()
        exact, comma, last, most = match.groups()
        low = int(exact or 0)
        high = low if exact and not comma else int(last or most) if last or most else None
        if max(low, high or 0) > _MOST_TIMES or (high is not None and high < low):
            raise ValueError(f"{match[0]!r} is not from 0 to {_MOST_TIMES} in ascending order")
        return low, high

    def _atom(self) -> Node:
        sign = self._take()
        if sign in "*+?{":
            raise ValueError(f"there is nothing that {sign!r} could repeat")
        if sign == "(":
            return self._group()
        if sign == "[":
            return self._bracket()
        if sign == "\\":
            return self._escape()
        if sign in "^$":
            return Mark(r"\A" if sign == "^" else r"\Z")
        return Character(".") if sign == "." else _literal(sign)

    def _group(self) -> Group:
        self._depth += 1
        body = self.choice()
        self._depth -= 1
        if self._take() != ")":
            raise ValueError("a '(' is not closed")
        return Group(body)

    def _escape(self) -> Node:
        sign = self._take()
        if not sign:
            raise ValueError("a backslash stands at the end")
        if sign in "123456789":
            # In a group of its own, so that no digit that follows becomes part of it.
            return Reference(rf"(?:\{sign})")
        if sign in _MARKS:
            return Mark(_MARKS[sign])
        if sign in "wWsS":
            return Character(rf"\{sign}")
        if sign.isalnum():
            hint = "; a digit is [[:digit:]]" if sign == "d" else ""
            raise ValueError(f"'\\{sign}' means nothing{hint}")
        return _literal(sign)

    # Brackets (XBD section 9.3.5)

    def _bracket(self) -> Character:
        negated = self._next() == "^"
        self._at += negated
        found = [self._element()]
        while self._next() != "]":
            found.append(self._element())
        self._at += 1
        return Character(f"[{'^' if negated else ''}{''.join(found)}]")

    def _element(self) -> str:
        """
        A class, a range or a character.
        """
        if self._text.startswith("[:", self._at):
            name = self._named(":")
            if name not in _CLASSES:
                raise ValueError(f"there is no class '[:{name}:]'")
            return _CLASSES[name]
        first = self._single()
        rest = self._text[self._at : self._at + 2]
        if len(rest) < 2 or rest[0] != "-" or rest[1] == "]":
            return re.escape(first)
        self._at += 1
        last = self._single()
        if last < first:
            raise ValueError(f"the range '{first}-{last}' runs backward")
        return f"{re.escape(first)}-{re.escape(last)}"

    def _single(self) -> str:
        for kind in ".=":
            if self._text.startswith(f"[{kind}", self._at):
                name = self._named(kind)
                if len(name) != 1:
                    raise ValueError(f"there is no character '[{kind}{name}{kind}]'")
                return name
        found = self._take()
        if not found:
            raise ValueError("a '[' is not closed")
        return found

    def _named(self, kind: str) -> str:
        name, end, _ = self._text[self._at + 2 :].partition(f"{kind}]")
        if not end:
            raise ValueError(f"a '[{kind}' is not closed")
        self._at += len(name) + 4
        return name


def _literal(sign: str) -> Character:
    return Character(re.escape(sign), True)


def read(text: str) -> Node:
    """
    What an expression is made of.

    :raises ValueError: with a sentence that says what is wrong with it.
    """
    if len(text) > _LONGEST_PATTERN:
        raise ValueError(f"it is longer than {_LONGEST_PATTERN} characters")
    return _Reader(text).choice()


@dataclass(frozen=True, slots=True)
class Expression:
    """
    An expression as it was written, and as Python searches for it.
    """

    text: str
    pattern: re.Pattern[str]

    def __str__(self) -> str:
        return self.text

    def search(self, subject: str) -> re.Match[str] | None:
        """
        The first match; none in what is longer than :data:`LONGEST_SUBJECT`.
        """
        return self.pattern.search(subject) if len(subject) <= LONGEST_SUBJECT else None


@dataclass(frozen=True, slots=True)
class Replacement:
    r"""
    What goes in the place of a match; numbers are what a group matched (``\1``).
    """

    text: str
    parts: tuple[str | int, ...]

    def __str__(self) -> str:
        return self.text

    @property
    def highest(self) -> int:
        """
        The last group that it speaks of.
        """
        return max((part for part in self.parts if isinstance(part, int)), default=0)

    def of(self, match: re.Match[str]) -> str:
        """
        :raises LookupError: when it speaks of a group that matched nothing.
        """
        found = []
        for part in self.parts:
            piece = match[part] if isinstance(part, int) else part
            if piece is None:
                raise LookupError(f"group {part} matched nothing")
            found.append(piece)
        return "".join(found)

    def put(self, match: re.Match[str]) -> str:
        """
        The subject of a match with this in its place; and in the place of all others,
        unless the match has a first group.

        :raises LookupError: when it speaks of a group that matched nothing.
        """
        is_one = match.re.groups > 0 and match[1] is not None
        return match.re.sub(self.of, match.string, count=int(is_one))


def replacement(text: str) -> Replacement:
    """
    Read what is to go in the place of a match.
    """
    pieces = re.split(r"\\([1-9])", text)
    parts = [int(piece) if index % 2 else piece for index, piece in enumerate(pieces)]
    return Replacement(text, tuple(part for part in parts if part != ""))
