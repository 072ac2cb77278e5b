"""
Header fields as received: name, value and order survive.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from siptwist.errors import MalformedHeader
from siptwist.sip.fields import CSeq, NameAddr, Via
from siptwist.sip.grammar import REMEMBERED, is_token, split_commas, unfold

# RFC 3261 section 7.3.3 and the IANA registry of SIP compact forms.
COMPACT = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "n": "identity-info",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}
_LINE_END = re.compile(r"\r\n(?![ \t])")
_STRAY = re.compile(r"[\r\n]")
# Spellings of names seen lately, so that they need no work; never one that is
# not a token.  Begun anew when strangers have filled it with their inventions.
_KEYS: dict[str, str] = {}
_KEYS_LIMIT = 1024


# One header field: its name in lower case and long form, its value unfolded and
# stripped, and the field as it goes out.  A bare tuple: a message has fifteen of
# them, and a class would double the time that reading it takes.
Header = tuple[str, str, str]


def make_header(name: str, value: str) -> Header:
    """
    A field of ours.

    :raises MalformedHeader: if the value would start another field.
    """
    if "\r" in value or "\n" in value or "\0" in value:
        raise MalformedHeader(name, value)
    return (key_of(name), value, f"{name}: {value}")


def keep_header(name: str, value: str) -> Header:
    """
    A field made of what came in a message: nothing in it was refused there, and
    no line ends are left in it.
    """
    return (key_of(name), value, f"{name}: {value}")


def key_of(name: str) -> str:
    """
    The name to compare by: white space, case and compact forms vanish.
    """
    key = _KEYS.get(name)
    if key is None:
        key = name.rstrip(" \t").lower()
        key = COMPACT.get(key, key)
        if len(name) <= 40 and is_token(key):
            if len(_KEYS) >= _KEYS_LIMIT:
                _KEYS.clear()
            _KEYS[name] = key
    return key


def _parse_field(line: str) -> Header:
    name, colon, value = line.partition(":")
    if not colon or not is_token(name.rstrip(" \t")):
        raise ValueError(line)
    return (key_of(name), unfold(value).strip(" \t"), line)


class _Lines(dict[str, Header]):
    """
    Fields seen lately, by their lines: of those in a message most were in others
    before.  What is not plain is not here, nor are long lines and credentials; begun
    anew when it is full.
    """

    def __missing__(self, line: str) -> Header:
        name, colon, value = line.partition(":")
        key = _KEYS.get(name)
        if key is None or not colon or "\r" in line or "\n" in line:
            raise KeyError(line)
        header = (key, value.strip(" \t"), line)
        if len(line) <= REMEMBERED and key not in _SECRET:
            if len(self) >= _LINES_LIMIT:
                self.clear()
            self[line] = header
        return header


_LINES_LIMIT = 4096
_SECRET = frozenset({"authorization", "proxy-authorization"})
_LINES = _Lines()


class Headers:
    """
    An ordered list of header fields that never changes; editing makes another.

    ``via`` is the topmost, ``from_``, ``to`` and ``cseq`` are what they say: typed
    views, read when first asked for and then kept, as the index of keys is.
    They raise :class:`MalformedHeader`.

    ``items`` are the fields and ``first`` the first of each key; neither is to be
    changed.
    """

    __slots__ = ("cseq", "first", "from_", "items", "to", "via")

    first: dict[str, Header]
    cseq: CSeq
    from_: NameAddr
    to: NameAddr
    via: Via

    def __init__(self, items: Sequence[Header] = ()) -> None:
        self.items = items

    def __getattr__(self, name: str) -> Any:
        # Comes here once for each view: a slot that is filled is found without.
        read = _VIEWS.get(name)
        if read is None:
            raise AttributeError(name)
        value = read(self)
        setattr(self, name, value)
        return value

    @classmethod
    def recall(cls, text: str) -> Headers | None:
        """
        All fields of a message, separated by CRLF, if they are plain: a line each,
        and all names known.
        """
        lines = text.split("\r\n")
        try:
            items = list(map(_LINES.__getitem__, lines))
        except KeyError:
            return None
        first = {header[0]: header for header in reversed(items)}
        if len(first) != len(items) and len(set(lines)) != len(lines):
            # Each field is one of its own, though another says the same.
            items = [(key, value, line) for key, value, line in items]
            first = {header[0]: header for header in reversed(items)}
        headers = cls(items)
        headers.first = first
        return headers

    @classmethod
    def parse(cls, text: str) -> Headers:
        """
        Read all fields of a message, separated by CRLF, however they are written.

        :raises ValueError: for a line that is not a field.
        """
        return cls([_parse_field(line) for line in _LINE_END.split(text) if line])

    @classmethod
    def salvage(cls, text: str, limit: int, longest: int) -> Headers:
        """
        What can be read of damaged fields, so that a request can be answered.

        :param limit: how many fields are looked at.
        :param longest: the length above which one is left out.
        """
        found = []
        for line in _LINE_END.split(text, limit)[:limit]:
            if len(line) > longest or _STRAY.search(unfold(line)):
                continue
            with suppress(ValueError):
                found.append(_parse_field(line))
        return cls(found)

    @property
    def repeated(self) -> set[str]:
        """
        The keys that more than one field has.
        """
        first = self.first
        if len(first) == len(self.items):
            return set()
        return {header[0] for header in self.items if first[header[0]] is not header}

    def __iter__(self) -> Iterator[Header]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __contains__(self, key: str) -> bool:
        return key in self.first

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and list(self.items) == list(other.items)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Headers({list(self.items)!r})"

    def get(self, key: str) -> str | None:
        """
        The value of the first field of this key.
        """
        header = self.first.get(key)
        return None if header is None else header[1]

    def lines(self, key: str) -> list[str]:
        """
        The value of every field of this key.
        """
        if key not in self.first:
            return []
        return [header[1] for header in self.items if header[0] == key]

    def fields(self, key: str) -> tuple[Header, ...]:
        """
        Every field of this key, as it is.
        """
        if key not in self.first:
            return ()
        return tuple([header for header in self.items if header[0] == key])

    def values(self, key: str) -> list[str]:
        """
        Every value of this key, split at commas (RFC 3261 section 7.3.1).
        """
        if key not in self.first:
            return []
        return [value for line in self.lines(key) for value in split_commas(line) if value]

    def replaced(self, changes: Mapping[str, Sequence[Header]]) -> Headers:
        """
        The same fields, but all of each key in ``changes`` replaced by those
        given, where the first one stood; first of all where there was none.
        """
        first = self.first
        items: list[Header] = []
        for key, made in changes.items():
            if key not in first:
                items.extend(made)
        for header in self.items:
            found = changes.get(header[0])
            if found is None:
                items.append(header)
            elif first[header[0]] is header:
                items.extend(found)
        return Headers(items)

    def with_field(self, header: Header) -> Headers:
        """
        The same fields, but this one in the place of the only one of its key; last
        of all where there was none.
        """
        items, key = list(self.items), header[0]
        for index, (other, _, _) in enumerate(items):
            if other == key:
                items[index] = header
                return Headers(items)
        items.append(header)
        return Headers(items)

    def without(self, key: str) -> Headers:
        """
        The same fields but those of this key, which is no key of a view.
        """
        kept = Headers([header for header in self.items if header[0] != key])
        kept.first = {**self.first}
        kept.first.pop(key, None)
        kept.via, kept.cseq = self.via, self.cseq
        kept.from_, kept.to = self.from_, self.to
        return kept

    def edit(self) -> HeadersEditor:
        return HeadersEditor(list(self.items))


_VIEWS: dict[str, Callable[[Headers], Any]] = {
    "first": lambda headers: {header[0]: header for header in reversed(headers.items)},
    "via": lambda headers: Via.parse(split_commas(headers.get("via") or "")[0]),
    "from_": lambda headers: NameAddr.parse(headers.get("from") or "", "From"),
    "to": lambda headers: NameAddr.parse(headers.get("to") or "", "To"),
    "cseq": lambda headers: CSeq.parse(headers.get("cseq") or ""),
}


class HeadersEditor:
    """
    A draft of :class:`Headers`: edit, then :meth:`finish`.
    """

    __slots__ = ("_items",)

    def __init__(self, items: list[Header]) -> None:
        self._items = items

    def _index(self, key: str) -> int | None:
        for index, header in enumerate(self._items):
            if header[0] == key:
                return index
        return None

    def push(self, name: str, value: str) -> None:
        """
        Put a field before the first one of its key, or first of all.
        """
        header = make_header(name, value)
        self._items.insert(self._index(header[0]) or 0, header)

    def append(self, name: str, value: str) -> None:
        self._items.append(make_header(name, value))

    def set(self, name: str, *values: str) -> None:
        """
        Replace all fields of this key by these, where the first one stood.
        """
        made = [make_header(name, value) for value in values]
        key = key_of(name)
        index = self._index(key)
        if index is None:
            self._items.extend(made)
            return
        self.remove(key)
        self._items[index:index] = made

    def restore(self, headers: Iterable[Header]) -> None:
        """
        Put fields of one key, as they were, in the place of those now there.
        """
        kept = list(headers)
        if not kept:
            return
        index = self._index(kept[0][0]) or 0
        self.remove(kept[0][0])
        self._items[index:index] = kept

    def remove(self, key: str) -> None:
        self._items = [header for header in self._items if header[0] != key]

    def drop_first(self, key: str) -> str | None:
        """
        Take the topmost value of a list header away; return it.
        """
        index = self._index(key)
        if index is None:
            return None
        header = self._items[index]
        first, *rest = split_commas(header[1])
        if rest:
            name = header[2].partition(":")[0].rstrip(" \t")
            self._items[index] = make_header(name, ", ".join(rest))
        else:
            del self._items[index]
        return first

    def finish(self) -> Headers:
        return Headers(self._items)
