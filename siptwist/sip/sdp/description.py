"""
Session descriptions (RFC 8866), read line by line.

A body belongs to somebody else: unknown lines, their order and their line ends
go out as they came in, and only what must change is replaced.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from siptwist.errors import MalformedSDP
from siptwist.sip.sdp.grammar import (
    C_HOST,
    C_TYPE,
    C_VALUE,
    CONNECTION,
    COUNT,
    DIRECTION,
    HEAD,
    KIND,
    LINE,
    MEDIA,
    O_HOST,
    O_TYPE,
    O_VALUE,
    ORIGIN,
    PORT,
    PORTS,
    PRIVATE,
    PROTO,
    RTCP,
    RTCP_HOST,
    RTCP_PORT,
    RTCP_TYPE,
    RTCP_VALUE,
    is_null,
)
from siptwist.sip.sdp.rewriting import Credentials, Line, Rewriting
from siptwist.sip.values import Value

MAX_MEDIA = 64
#: The port of a stream whose ICE candidates come later (RFC 8840 section 4.1.1).
_TRICKLING = 9

_NO_WORDS = ("", "0", None, "", "")
_VERSION = re.compile(r"v=0[ \t]*(?:\r?\n|\Z)")
_NAME = re.compile(r"(?:[A-Za-z0-9_-]+\.)*[A-Za-z0-9_-]+\.?")


@dataclass(slots=True)
class MediaDescription(Value):
    """
    One m= line and what belongs to it (RFC 8866 section 5.14).

    ``formats`` is text, ``text`` the lines from the m= line on.  ``connection``
    is its own c= address or else the session's; None is possible only when
    ``port`` is 0, a stream that was refused.  ``rtcp`` is a=rtcp as written: its
    host, if it has one, and its port.  ``has_ice`` says that its party can
    speak ICE (RFC 8839).
    """

    kind: str
    port: int
    port_count: int
    proto: str
    formats: str
    connection: str | None
    rtcp: tuple[str | None, int] | None
    direction: str
    has_ice: bool
    text: str

    @property
    def is_null(self) -> bool:
        """
        Whether its c= line asks for nothing to be sent (RFC 2543).  One that
        awaits candidates says the same and means another thing.
        """
        return is_null(self.connection) and not (self.has_ice and self.port == _TRICKLING)

    @property
    def held(self) -> bool:
        """
        Whether media may stay out, in one direction or both (RFC 3264 section
        8.4, RFC 2543).
        """
        return self.port != 0 and (self.direction != "sendrecv" or self.is_null)

    @property
    def is_rtp(self) -> bool:
        return "RTP/" in self.proto

    @property
    def rtcp_port(self) -> int:
        """
        Where RTCP is received: a=rtcp, or else the port after RTP's; 0 for none.
        """
        if self.rtcp is not None:
            return self.rtcp[1]
        return self.port + 1 if 0 < self.port < 65535 else 0


class _Section:
    """
    What was read of the session, or of the medium whose m= line is at ``start``.
    """

    # Not slots: most of it is never said, and need not be set.
    connection: str | None = None
    direction: str | None = None
    rtcp: tuple[str | None, int] | None = None
    has_ice = False

    def __init__(self, start: int, words: tuple[Any, ...] = _NO_WORDS) -> None:
        self.start = start
        #: Kind, port, count of ports, transport and formats.
        self.words = words


@dataclass(slots=True)
class SessionDescription(Value):
    """
    A session description as it was received.

    ``origin_address`` is the address in o=, ``connection`` that of the c= line
    of the session; each None when there is no such line.  ``lines`` are those
    of ``text`` that are rewritten.
    """

    origin_address: str | None
    connection: str | None
    media: tuple[MediaDescription, ...]
    text: str
    lines: list[Line]

    @classmethod
    def parse(cls, body: bytes) -> SessionDescription:
        """
        :raises MalformedSDP: when a line that matters here cannot be read.
        """
        text = body.decode("utf-8", "surrogateescape")
        if "\0" in text:
            raise MalformedSDP("NUL in SDP")
        # A lone CR is a line end to some and text to others: what we rewrite and
        # what the other party reads would not be the same lines.
        lone = text.count("\r") - text.count("\r\n")
        if lone and lone != text.endswith("\r"):
            raise MalformedSDP("CR without LF in SDP")
        session = _Section(0)
        lines: list[Line] = []
        sections: list[_Section] = []
        origin, end = _read_head(text, session, sections, lines)
        origin = _read_lines(text, end, session, sections, lines) or origin
        if len(sections) > MAX_MEDIA:
            raise MalformedSDP(f"More than {MAX_MEDIA} media in SDP")
        media: tuple[MediaDescription, ...]
        if len(sections) == 1:
            media = (_describe(sections[0], session, text[sections[0].start :]),)
        else:
            media = _describe_all(sections, session, text)
        return cls(origin, session.connection, media, text, lines)

    def rewrite(
        self,
        replacements: Sequence[tuple[str, int, int]],
        origin_host: str,
        credentials: Sequence[Credentials | None] = (),
    ) -> bytes:
        """
        Put our addresses in the place of the party's.

        A stream on hold by address (RFC 2543) and a refused stream stay what
        they are.  ICE lines go, or the parties would find a way past us.

        :param replacements: one ``(host, rtp_port, rtcp_port)`` for each m= line;
            ``rtp_port`` 0 refuses the stream, ``rtcp_port`` 0 means no RTCP.
        :param origin_host: the address for o=.
        :param credentials: for each m= line what the receiver shall check us
            with (ICE); none for no ICE.
        """
        if len(replacements) != len(self.media):
            raise ValueError(f"{len(replacements)} replacements for {len(self.media)} media")
        return Rewriting(self, replacements, origin_host, credentials).run()


def _read_head(
    text: str, session: _Section, sections: list[_Section], lines: list[Line]
) -> tuple[str | None, int]:
    """
    Read up to the first m= line, when all is as usual.

    :returns: the address in o=, and how far it was read.
    """
    head = HEAD.match(text)
    if head is None:
        if _VERSION.match(text) is None:
            raise MalformedSDP("No v=0 line in SDP")
        return None, 0
    o_value, o_type, origin, c_value, c_type, host, kind, port, proto, formats = head.groups()
    check_address(c_type, host)
    if o_value != c_value:
        check_address(o_type, origin)
    session.connection = host
    start, end = head.span(8)
    sections.append(_Section(head.start(7) - 2, (kind, port, None, proto, formats)))
    from_, to = head.span(1)
    lines.append((ORIGIN, -1, from_, to, None))
    from_, to = head.span(4)
    lines.append((CONNECTION, -1, from_, to, host))
    lines.append((MEDIA, 0, start, end, None))
    return origin, head.end()


def _read_lines(
    text: str, position: int, session: _Section, sections: list[_Section], lines: list[Line]
) -> str | None:
    """
    Read the lines from ``position`` on; returns the address in o=, when it is there.
    """
    origin: str | None = None
    section = sections[-1] if sections else session
    index = len(sections) - 1
    for match in LINE.finditer(text, position):
        what = match.lastindex
        if what == DIRECTION:
            section.direction = match[DIRECTION]
            continue
        detail: str | None = None
        if what == MEDIA:
            start, end = match.span(PORTS)
            words = match.group(KIND, PORT, COUNT, PROTO, MEDIA)
            section = _Section(match.start() + 1, words)
            sections.append(section)
            index += 1
        elif what == CONNECTION:
            start, end = match.span(C_VALUE)
            version, detail = match.group(C_TYPE, C_HOST)
            check_address(version, detail)
            section.connection = section.connection or detail
        elif what == ORIGIN:
            start, end = match.span(O_VALUE)
            version, origin = match.group(O_TYPE, O_HOST)
            check_address(version, origin)
        elif what == RTCP:
            start, end = match.span(RTCP_VALUE)
            section.rtcp = _read_rtcp(match)
            detail = section.rtcp[0]
        elif what == PRIVATE:
            start, end = match.start() + 1, text.find("\n", match.end()) + 1 or len(text)
            section.has_ice = section.has_ice or match[PRIVATE].lower() == "ice-ufrag"
        else:
            raise MalformedSDP(f"Malformed {match[0].strip()} line in SDP")
        lines.append((what, index, start, end, detail))
    return origin


@lru_cache(maxsize=1024)
def check_address(version: str, host: str) -> None:
    """
    A connection address is an address of its family or a name (RFC 8866 section 9).

    :raises MalformedSDP: for anything else.
    """
    try:
        if version == "6" and "%" not in host:
            ipaddress.IPv6Address(host)
        else:
            ipaddress.IPv4Address(host)
    except ValueError:
        last_label = host.rstrip(".").rpartition(".")[2]
        if _NAME.fullmatch(host) is None or last_label.isdigit():
            raise MalformedSDP("Malformed address in SDP") from None


def _check_port(text: str) -> int:
    port = int(text)
    if port > 65535:
        raise MalformedSDP("Port above 65535 in SDP")
    return port


def _read_rtcp(match: re.Match[str]) -> tuple[str | None, int]:
    host = match[RTCP_HOST]
    if host is not None:
        check_address(match[RTCP_TYPE], host)
    return host, _check_port(match[RTCP_PORT])


def _describe_all(
    sections: list[_Section], session: _Section, text: str
) -> tuple[MediaDescription, ...]:
    ends = [*[section.start for section in sections[1:]], len(text)]
    return tuple(
        [
            _describe(section, session, text[section.start : end])
            for section, end in zip(sections, ends, strict=False)
        ]
    )


def _describe(section: _Section, session: _Section, text: str) -> MediaDescription:
    kind, port_text, count, proto, formats = section.words
    port = _check_port(port_text)
    connection = section.connection or session.connection
    if port and connection is None:
        raise MalformedSDP("No c= line for a medium in SDP")
    return MediaDescription(
        kind,
        port,
        int(count) if count else 1,
        proto,
        formats,
        connection,
        section.rtcp,
        section.direction or session.direction or "sendrecv",
        section.has_ice or session.has_ice,
        text,
    )
