"""
Tests for siptwist.services.console.tables.
"""

from __future__ import annotations

from typing import NamedTuple

from twisted.trial.unittest import SynchronousTestCase

from siptwist.services.console.tables import LONGEST, ROWS, Sentence, Table


class Row(NamedTuple):
    call_id: str
    party: str
    packets: int | None = 0
    held: bool = False


def table(*rows: Row, marks: int = 0) -> Table[Row]:
    return Table(Row._fields, rows, "Nothing.", marks)


class TableTests(SynchronousTestCase):
    def test_columns(self) -> None:
        """
        Columns are as wide as their widest cell, and numbers stand right.
        """
        shows = repr(table(Row("a", "caller", 7), Row("bcdefghi", "callee", 12345, True)))
        self.assertEqual(
            shows.splitlines(),
            [
                "call id   party   packets  held",
                "a         caller        7  -",
                "bcdefghi  callee    12345  yes",
            ],
        )

    def test_rows(self) -> None:
        """
        Rows can be iterated over, and hold what is there.
        """
        rows = table(Row("\x1b", "caller"), Row("b", "callee"))
        self.assertEqual([row.call_id for row in rows], ["\x1b", "b"])
        self.assertEqual((len(rows), rows[1].party, len(rows[:1])), (2, "callee", 1))
        self.assertNotIn("\x1b", repr(rows))

    def test_notes(self) -> None:
        """
        What is said of several rows stands once, below them, and at full length.
        """
        rows = [("a", 1, "fine"), ("a", 2, "fine"), ("b", 3, "\x1b" + "long " * 20)]
        shows = repr(Table(("call", "n", "note"), rows, "", marks=1, has_notes=True))
        self.assertEqual(
            shows.splitlines(),
            ["call  n", "a     1", "      2", "    fine", "b     3", f"    \\x1b{'long ' * 20}"],
        )

    def test_numbers_missing(self) -> None:
        """
        Numbers stand right, also when the first of them is not known.
        """
        shows = repr(table(Row("a", "x", None), Row("b", "y", 12345)))
        self.assertEqual(shows.splitlines()[1], "a        x            -  -")

    def test_empty(self) -> None:
        """
        A table without rows is a sentence.
        """
        self.assertEqual(repr(table()), "Nothing.")

    def test_missing(self) -> None:
        """
        What is not there is a dash.
        """
        self.assertEqual(repr(table(Row("", "x", None))).splitlines()[1].split(), list("-x--"))

    def test_repeated(self) -> None:
        """
        The rows of one call name it once.
        """
        rows = [Row("a", "caller"), Row("a", "callee"), Row("b", "caller")]
        lines = repr(table(*rows, marks=1)).splitlines()
        self.assertEqual([line.split()[0] for line in lines[1:]], ["a", "callee", "b"])

    def test_long(self) -> None:
        """
        A cell longer than the screen is cut, and says so.
        """
        line = repr(table(Row("a" * 10_000, "caller"))).splitlines()[1]
        self.assertEqual(line.split()[0], "a" * (LONGEST - 3) + "...")

    def test_many(self) -> None:
        """
        Of thousands of rows the first are shown, and the rest counted.
        """
        lines = repr(table(*[Row("a", "caller")] * (ROWS + 12))).splitlines()
        self.assertEqual(len(lines), ROWS + 2)
        self.assertIn("12 more", lines[-1])


class SentenceTests(SynchronousTestCase):
    def test_without_quotes(self) -> None:
        """
        The prompt shows an answer without quotes.
        """
        self.assertEqual(repr(Sentence("It's done")), "It's done")
