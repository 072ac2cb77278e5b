"""
Damage to messages, the same for the same seed: what test suites such as PROTOS
c07-sip send, and what broken networks and phones do.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

# Numbers at which counters of 31, 32, 63 and 64 bits end.
_EDGES = (0, 2**16, 2**31, 2**32, 2**63, 2**64)
_NUMBERS = tuple(
    str(edge + step).encode()
    for edge in (0, 2**16, 2**31, 2**32, 2**63, 2**64)
    for step in (-1, 0, 1)
)
_STRANGE = (
    b"",
    b" ",
    b"\t",
    b"\0",
    b"\x1b[2J\x1b[31m",
    b"\xff\xfe",
    b"\xc0\xaf",
    b"\xed\xa0\x80",
    b"\xf0\x9f\x98\x80",
    b"\xc5\xbf\xe2\x84\xaa",
    b"%s%n%x",
    b"%00",
    b"%",
    b"%zz",
    b"\\",
    b'"',
    b'"\\',
    b"<>",
    b"<sip:>",
    b"sip:",
    b"sip:@",
    b"[::1]",
    b"[",
    b"*",
    b"\r",
    b"\n",
    b"\r\n ",
    b"\r\nX: y",
    b"../../etc/passwd",
    b"' OR 1=1--",
    b"0x10",
    b"1e9",
    b"\xd9\xa3",
)
_FILLERS = (
    b"a",
    b" ",
    b"%",
    b"<",
    b"\0",
    b",",
    b";",
    b'"',
    b"\\",
    b"a=",
    b";a",
    b";a=b",
    b"\r\n ",
    b"\r\nv: ",
    b"[",
    b":",
    b"@",
    b"/",
    b"\t ",
    b'<">',
    b'"a"<a>,',
    b"\xe2\x82\xac",
    b"1",
)
_LENGTHS = (1, 2, 3, 9, 64, 255, 256, 257, 1024, 4096, 8192)
HUGE = 65_536
_PIECE = re.compile(rb"[^\r\n;=,:<>@\"/ ]+")
_LINE = re.compile(rb"[^\n]*\n?")


class Mutator:
    """
    Damages messages of a corpus.

    :param seed: the same seed makes the same damage in the same order.
    """

    def __init__(self, seed: int, corpus: Sequence[bytes]) -> None:
        self._chance = random.Random(seed)
        self._corpus = corpus
        self._ways: tuple[Callable[[bytes], bytes], ...] = (
            self._flip,
            self._overwrite,
            self._delete,
            self._repeat,
            self._fill,
            self._replace_piece,
            self._replace_piece,
            self._replace_piece,
            self._drop_line,
            self._repeat_line,
            self._splice_line,
            self._cut,
            self._fold,
        )

    def mutation(self) -> bytes:
        """
        One message of the corpus with one to four faults.
        """
        return self.damage(self._chance.choice(self._corpus))

    def damage(self, data: bytes) -> bytes:
        """
        ``data`` with one to four faults.
        """
        for _ in range(self._chance.choice((1, 1, 1, 2, 2, 3, 4))):
            data = self._chance.choice(self._ways)(data)
        return data[:HUGE]

    def _place(self, data: bytes) -> int:
        return self._chance.randrange(len(data) + 1)

    def _span(self, data: bytes, longest: int) -> tuple[int, int]:
        start = self._place(data)
        return start, start + self._chance.randint(1, longest)

    def _anomaly(self) -> bytes:
        way = self._chance.randrange(8)
        if way < 3:
            return self._chance.choice(_NUMBERS)
        if way < 7:
            return self._chance.choice(_STRANGE)
        return self._run()

    def _run(self) -> bytes:
        filler = self._chance.choice(_FILLERS)
        # The longest runs are rare: they take most of the time.
        length = HUGE if self._chance.random() < 0.02 else self._chance.choice(_LENGTHS)
        return filler * (length // len(filler) + 1)

    def _flip(self, data: bytes) -> bytes:
        at = self._place(data)
        byte = bytes((data[at] ^ 1 << self._chance.randrange(8),)) if at < len(data) else b""
        return data[:at] + byte + data[at + 1 :]

    def _overwrite(self, data: bytes) -> bytes:
        at = self._place(data)
        return data[:at] + bytes((self._chance.randrange(256),)) + data[at + 1 :]

    def _delete(self, data: bytes) -> bytes:
        start, end = self._span(data, 12)
        return data[:start] + data[end:]

    def _repeat(self, data: bytes) -> bytes:
        start, end = self._span(data, 12)
        return data[:start] + data[start:end] * self._chance.randint(2, 9) + data[end:]

    def _fill(self, data: bytes) -> bytes:
        at = self._place(data)
        return data[:at] + self._run() + data[at:]

    def _replace_piece(self, data: bytes) -> bytes:
        """
        One element (a host, a port, a tag, a number) becomes something absurd.
        """
        found = _PIECE.search(data, self._place(data))
        if found is None:
            return data + self._anomaly()
        return data[: found.start()] + self._anomaly() + data[found.end() :]

    def _a_line(self, data: bytes) -> tuple[int, int]:
        found = _LINE.search(data, data.rfind(b"\n", 0, self._place(data)) + 1)
        assert found is not None
        return found.span()

    def _drop_line(self, data: bytes) -> bytes:
        start, end = self._a_line(data)
        return data[:start] + data[end:]

    def _repeat_line(self, data: bytes) -> bytes:
        start, end = self._a_line(data)
        return data[:start] + data[start:end] * self._chance.choice((2, 2, 3, 69, 260)) + data[end:]

    def _splice_line(self, data: bytes) -> bytes:
        other = self._chance.choice(self._corpus)
        start, end = self._a_line(other)
        at = self._a_line(data)[0]
        return data[:at] + other[start:end] + data[at:]

    def _cut(self, data: bytes) -> bytes:
        return data[: self._place(data)]

    def _fold(self, data: bytes) -> bytes:
        """
        White space grows, or begins a new line.
        """
        at = data.find(b" ", self._place(data))
        if at < 0:
            return data
        return (
            data[:at]
            + self._chance.choice((b"\r\n ", b"\t", b"   ", b"\n ", b"\xa0"))
            + data[at + 1 :]
        )
