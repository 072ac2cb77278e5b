"""
What the console shows: rows as a readable table, and sentences.

Much of it came from the network.  Nothing of it reaches the terminal as it is:
an escape sequence in a User-Agent would be obeyed there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

from siptwist.logs import shown

#: Characters of a cell, and rows of a table, that are shown.
LONGEST = 72
ROWS = 500

_Row = TypeVar("_Row", bound=tuple[Any, ...])


class Sentence(str):
    """
    An answer that the prompt shows without quotes.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Table(Sequence[_Row], Generic[_Row]):
    """
    Rows that print as a table.  They hold what is there, not what is shown.

    :param columns: the name of each field of the rows; ``_`` shows as a blank.
    :param empty: the sentence in place of a table without rows.
    :param marks: how many leading columns say whose row it is: they are left
        blank where they repeat.
    :param has_notes: whether the last column is a sentence about all the rows of
        one mark, to be shown below them.
    """

    def __init__(
        self,
        columns: Sequence[str],
        rows: Sequence[_Row],
        empty: str,
        marks: int = 0,
        has_notes: bool = False,
    ) -> None:
        self._columns = columns
        self._rows = rows
        self._empty = empty
        self._marks = marks
        self._width = len(columns) - has_notes

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[_Row]:
        return iter(self._rows)

    @overload
    def __getitem__(self, index: int) -> _Row: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[_Row]: ...

    def __getitem__(self, index: int | slice) -> _Row | Sequence[_Row]:
        return self._rows[index]

    def __repr__(self) -> str:
        if not self._rows:
            return self._empty
        head = [name.replace("_", " ") for name in self._columns[: self._width]]
        lines = [head, *self._lines()]
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        numeric = list(map(_is_numeric, zip(*self._rows[:ROWS], strict=True)))
        text = []
        for line, note in zip(lines, ["", *self._notes()], strict=True):
            text.append("  ".join(map(_aligned, line, widths, numeric)).rstrip())
            if note:
                text.append(f"    {shown(note)}")
        hidden = len(self._rows) - ROWS
        if hidden > 0:
            text.append(f"... and {hidden} more: iterate over the table to see all")
        return "\n".join(text)

    def _lines(self) -> Iterator[list[str]]:
        before: tuple[Any, ...] = ()
        for row in self._rows[:ROWS]:
            cells = list(map(_cell, row[: self._width]))
            if row[: self._marks] == before:
                cells[: self._marks] = [""] * self._marks
            before = row[: self._marks] if self._marks else (object(),)
            yield cells

    def _notes(self) -> Iterator[str]:
        """
        For each row the note below it.
        """
        rows = self._rows[:ROWS]
        for row, after in zip(rows, [*rows[1:], None], strict=True):
            is_last = after is None or row[: self._marks] != after[: self._marks]
            yield row[-1] if is_last and self._width < len(self._columns) else ""


def _is_numeric(column: tuple[object, ...]) -> bool:
    return any(isinstance(value, int | float) and not isinstance(value, bool) for value in column)


def _cell(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "-"
    if value is None or value == "":
        return "-"
    text = shown(str(value))
    return text if len(text) <= LONGEST else text[: LONGEST - 3] + "..."


def _aligned(text: str, width: int, is_number: bool) -> str:
    return text.rjust(width) if is_number else text.ljust(width)
