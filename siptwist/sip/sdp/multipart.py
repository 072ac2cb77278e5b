"""
Finds the parts of a multipart body (RFC 2046 section 5.1, RFC 5621).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from siptwist.errors import EncodedSDP

# SIP bodies nest rarely and hold few parts; more than this is not read.
MAX_PARTS = 32
MAX_DEPTH = 3
MAX_PART_HEADERS = 8192

# m-type "/" m-subtype *(SEMI m-parameter)             (RFC 3261 section 25.1)
_MEDIA_TYPE = re.compile(r"[ \t]*([^\s/;,]+)[ \t]*/[ \t]*([^\s/;,]+)[ \t]*(?:;|\Z)")
_BOUNDARY = re.compile(r';[ \t]*boundary[ \t]*=[ \t]*(?:"([^"\r\n]{1,70})"|([^\s";,]{1,70}))', re.I)
_FOLD = re.compile(rb"\r?\n[ \t]+")
_PART_FIELD = re.compile(
    rb"^content-(type|(?:transfer-)?encoding)[ \t]*:[ \t]*([^\r\n]*)", re.I | re.M
)
_BLANK_LINE = re.compile(rb"\r?\n\r?\n")
_ENCODING_FIELDS = ("transfer-encoding", "encoding")
_PLAIN_ENCODINGS = frozenset(("", "7bit", "8bit", "binary", "identity"))


def media_type(content_type: str) -> str:
    """
    The type and subtype in lower case, ``"application/sdp"``; empty when malformed.
    """
    match = _MEDIA_TYPE.match(content_type)
    return f"{match[1]}/{match[2]}".lower() if match else ""


def find_part(content_type: str, body: bytes, wanted: str) -> tuple[int, int] | None:
    """
    Where the first part of type ``wanted`` lies in ``body``.

    :param content_type: the value of the message's Content-Type.
    :param wanted: a media type in lower case.
    :returns: ``(start, end)`` so that ``body[start:end]`` is the part; the whole
        body when the message itself is of that type; None when there is none.
    :raises EncodedSDP: when it is written in another way than it reads.
    """
    return _find(content_type, body, 0, len(body), wanted, MAX_DEPTH)


def leaves(content_type: str, body: bytes) -> Iterator[tuple[str, int, int]]:
    """
    Every part that is no multipart itself, and is written as it reads: its media type
    and where it begins and ends.  A body that is none is its only part.
    """
    yield from _leaves(content_type, body, 0, len(body), MAX_DEPTH)


def _leaves(
    content_type: str, body: bytes, start: int, end: int, depth: int
) -> Iterator[tuple[str, int, int]]:
    kind = media_type(content_type)
    if not kind.startswith("multipart/"):
        yield kind, start, end
        return
    for part_type, part_start, part_end, is_plain in _parts_in(
        content_type, body, start, end, depth
    ):
        if is_plain:
            yield from _leaves(part_type, body, part_start, part_end, depth - 1)


def _find(
    content_type: str, body: bytes, start: int, end: int, wanted: str, depth: int
) -> tuple[int, int] | None:
    kind = media_type(content_type)
    if kind == wanted:
        return start, end
    if not kind.startswith("multipart/"):
        return None
    for part_type, part_start, part_end, is_plain in _parts_in(
        content_type, body, start, end, depth
    ):
        if not is_plain:
            if media_type(part_type) == wanted:
                raise EncodedSDP("Encoded SDP")
            continue
        found = _find(part_type, body, part_start, part_end, wanted, depth - 1)
        if found is not None:
            return found
    return None


def _parts_in(
    content_type: str, body: bytes, start: int, end: int, depth: int
) -> Iterator[tuple[str, int, int, bool]]:
    """
    The parts of a multipart body: their Content-Type, where their contents are, and
    whether these are written as they read.
    """
    boundary = _BOUNDARY.search(content_type) if depth else None
    if boundary is None:
        return
    delimiter = b"--" + (boundary[1] or boundary[2]).encode("utf-8", "surrogateescape")
    for part_start, part_end in _parts(body, start, end, delimiter):
        part_type, content, is_plain = _read_part_headers(body, part_start, part_end)
        yield part_type, content, part_end, is_plain


def _parts(body: bytes, start: int, end: int, delimiter: bytes) -> list[tuple[int, int]]:
    """
    Every part between two delimiters, its headers included.
    """
    parts: list[tuple[int, int]] = []
    opened = -1
    position = start
    while len(parts) < MAX_PARTS:
        found = body.find(delimiter, position, end)
        if found < 0:
            break
        position = found + len(delimiter)
        line_end = _delimiter_line_end(body, found, position, start, end)
        if line_end is None:
            continue
        if opened >= 0:
            parts.append((opened, max(opened, _before_line_end(body, found))))
        if body.startswith(b"--", position, end):
            break
        opened = position = line_end
    return parts


def _delimiter_line_end(body: bytes, found: int, after: int, start: int, end: int) -> int | None:
    """
    Where the line after a delimiter begins; None when this is no delimiter line.
    """
    if found > start and body[found - 1] != 0x0A:
        return None
    if body.startswith(b"--", after, end):
        return end
    newline = body.find(b"\n", after, min(end, after + 80))
    # Transport padding may follow a boundary; other text makes it another boundary.
    if newline < 0 or body[after:newline].strip(b" \t\r"):
        return None
    return newline + 1


def _before_line_end(body: bytes, position: int) -> int:
    """
    Step back over the line end that belongs to the delimiter after it.
    """
    return position - 2 if body[position - 2 : position] == b"\r\n" else position - 1


def _read_part_headers(body: bytes, start: int, end: int) -> tuple[str, int, bool]:
    """
    The Content-Type of a part, where its content begins, and whether that is
    written as it reads.
    """
    if body.startswith((b"\r\n", b"\n"), start, end):
        return "text/plain", start + (2 if body[start] == 0x0D else 1), True
    blank = _BLANK_LINE.search(body, start, min(end, start + MAX_PART_HEADERS))
    if blank is None:
        return "", end, True
    fields = {"type": "text/plain"} | dict.fromkeys(_ENCODING_FIELDS, "")
    for match in _PART_FIELD.finditer(_FOLD.sub(b" ", body[start : blank.start()])):
        fields[match[1].lower().decode()] = match[2].strip().decode("utf-8", "surrogateescape")
    is_plain = all(fields[name].lower() in _PLAIN_ENCODINGS for name in _ENCODING_FIELDS)
    return fields["type"], blank.end(), is_plain
