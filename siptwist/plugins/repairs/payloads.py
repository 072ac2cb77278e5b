"""
Codecs taken out of a session description (RFC 8866, RFC 3551).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from siptwist.sip.sdp import MAX_MEDIA, STATIC

# What goes along with a codec, and is none (RFC 4733, 3389, 2198, 4588, 5109, 8627).
_COMPANIONS = frozenset(
    ("telephone-event", "tone", "cn", "red", "rtx", "ulpfec", "parityfec", "flexfec")
)

_MEDIUM = re.compile(r"^m=", re.M)
_CLOSED = re.compile(r"m=[!-~]++[ ]++0(?![0-9])")
# m=<media> <port>["/" <count>] <proto> <fmt> ...             (RFC 8866 section 5.14)
_M_LINE = re.compile(r"m=[!-~]++[ ]++([0-9]{1,5})(?:/[0-9]++)?[ ]++([!-~]++)((?:[ ]++[!-~]++)++)")
# a=rtpmap:<payload type> <encoding name>/<clock rate>[/<encoding parameters>]
_RTPMAP = re.compile(r"^a=rtpmap:[ ]*([0-9]{1,3})[ ]+([^\s]+)", re.M)
_FMTP = re.compile(r"^a=fmtp:[ ]*([0-9]{1,3})[ ]+([^\r\n]*)", re.M)
# The attributes that belong to one payload type (RFC 8866, RFC 4585, RFC 6236).
_OF_TYPE = re.compile(
    r"^a=(?:rtpmap|fmtp|rtcp-fb|imageattr):[ ]*([0-9]{1,3})(?![0-9])[^\n]*(?:\n|\Z)", re.M
)
_APT = re.compile(r"(?:^|;)[ ]*apt=([0-9]{1,3})(?![0-9])")

# Whether a codec is unwanted, told its payload type and its encoding.
IsUnwanted = Callable[[int, str], bool]


class Filtered(NamedTuple):
    """
    A description without unwanted codecs.

    ``refused`` is how many streams have lost all codecs, and ``left`` how many
    streams are still there.
    """

    text: str
    refused: int
    left: int


def filter_codecs(text: str, is_unwanted: IsUnwanted) -> Filtered:
    """
    Take payload types out of the m= lines, and the attributes of theirs alone.

    A stream that keeps no codec is refused: its port is 0, and its formats stay, for
    some must stand there (RFC 3264 section 6).
    """
    starts = [match.start() for match in _MEDIUM.finditer(text)]
    if not 0 < len(starts) <= MAX_MEDIA:
        return Filtered(text, 0, 0)
    pieces, refused, left = [text[: starts[0]]], 0, 0
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        medium = text[start:end]
        line = _M_LINE.match(medium)
        if line is None or "RTP/" not in line[2]:
            left += _CLOSED.match(medium) is None
            pieces.append(medium)
            continue
        found = _filter_medium(medium, line, is_unwanted)
        if int(line[1]):
            refused += found is None
            left += found is not None
        pieces.append(_refused(medium, line) if found is None else found)
    return Filtered("".join(pieces), refused, left)


def _filter_medium(medium: str, line: re.Match[str], is_unwanted: IsUnwanted) -> str | None:
    """
    The lines of one stream that stay; ``None`` when no codec does.
    """
    formats = line[3].split()
    encodings = dict(STATIC)
    encodings.update((int(match[1]), match[2]) for match in _RTPMAP.finditer(medium))
    types = {one: int(one) for one in formats if len(one) <= 3 and one.isdigit()}
    gone = {one for one in types.values() if is_unwanted(one, encodings.get(one, ""))}
    if not gone:
        return medium
    gone |= _orphans(medium, gone, encodings)
    kept = [one for one in formats if types.get(one) not in gone]
    if all(one in types and _is_companion(encodings.get(types[one], "")) for one in kept):
        return None
    start, end = line.span(3)
    rest = _OF_TYPE.sub(lambda match: "" if int(match[1]) in gone else match[0], medium[end:])
    return f"{medium[:start]} {' '.join(kept)}{rest}"


def _is_companion(encoding: str) -> bool:
    return encoding.partition("/")[0].lower() in _COMPANIONS


def _orphans(medium: str, gone: set[int], encodings: dict[int, str]) -> set[int]:
    """
    What repeats or packs a codec that is gone (RFC 4588 section 8.1, RFC 2198 section 5).
    """
    found = set()
    for match in _FMTP.finditer(medium):
        payload_type, value = int(match[1]), match[2].strip()
        name = encodings.get(payload_type, "").partition("/")[0].lower()
        if name == "rtx":
            packed = _APT.findall(value)
        elif name == "red":
            packed = re.findall("[0-9]+", value.partition(";")[0])
        else:
            continue
        if any(int(one) in gone for one in packed):
            found.add(payload_type)
    return found


def _refused(medium: str, line: re.Match[str]) -> str:
    start, end = line.span(1)
    return f"{medium[:start]}0{medium[end:]}"
