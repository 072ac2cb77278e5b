"""
Session descriptions (RFC 8866), read and edited line by line.

A body belongs to somebody else: unknown lines, their order and their line ends
go out as they came in, and only what must change is replaced.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

from siptwist.errors import MalformedSDP
from siptwist.sip.sdp.grammar import (
    C_HOST,
    C_TYPE,
    CONNECTION,
    COUNT,
    DIRECTION,
    KIND,
    LINE,
    MEDIA,
    NULL_ADDRESSES,
    O_HOST,
    O_TYPE,
    ORIGIN,
    PORT,
    PRIVATE,
    PROTO,
    RTCP,
    RTCP_HOST,
    RTCP_PORT,
    RTCP_TYPE,
)
from siptwist.sip.sdp.rewriting import Rewriting

MAX_MEDIA = 64

_VERSION = re.compile(r"v=0[ \t]*(?:\r?\n|\Z)")
_NAME = re.compile(r"(?:[A-Za-z0-9_-]+\.)*[A-Za-z0-9_-]+\.?")
_NOT_SENDING_BACK = frozenset(("inactive", "sendonly"))


class MediaDescription(NamedTuple):
    """
    One m= line and what belongs to it (RFC 8866 section 5.14).

    ``connection`` is its own c= address or else the session's; None is possible
    only when ``port`` is 0, a stream that was refused.  ``rtcp`` is a=rtcp as
    written: its host, if it has one, and its port.
    """

    kind: str
    port: int
    port_count: int
    proto: str
    formats: tuple[str, ...]
    connection: str | None
    rtcp: tuple[str | None, int] | None
    direction: str

    @property
    def held(self) -> bool:
        """
        Whether the party wants no media now (RFC 3264 section 8.4, RFC 2543).
        """
        return self.port != 0 and (
            self.direction in _NOT_SENDING_BACK or self.connection in NULL_ADDRESSES
        )

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
    What was read of the session (``line`` is None) or of one medium.
    """

    __slots__ = ("connection", "direction", "line", "rtcp")

    def __init__(self, line: re.Match[str] | None) -> None:
        self.line = line
        self.connection: str | None = None
        self.direction: str | None = None
        self.rtcp: tuple[str | None, int] | None = None


class SessionDescription(NamedTuple):
    """
    A session description as it was received.

    ``origin_address`` is the address in o=, ``connection`` that of the c= line
    of the session; each None when there is no such line.  ``lines`` are those
    of ``text`` that are rewritten: what each is, and of which medium.
    """

    origin_address: str | None
    connection: str | None
    media: tuple[MediaDescription, ...]
    text: str
    lines: list[tuple[int, int, re.Match[str]]]

    @classmethod
    def parse(cls, body: bytes) -> SessionDescription:
        """
        :raises MalformedSDP: when a line that matters here cannot be read.
        """
        text = body.decode("utf-8", "surrogateescape")
        _check_text(text)
        origin: str | None = None
        section = session = _Section(None)
        sections: list[_Section] = []
        index = -1
        lines: list[tuple[int, int, re.Match[str]]] = []
        for match in LINE.finditer(text):
            line = match.lastindex
            if line == DIRECTION:
                section.direction = match[DIRECTION]
                continue
            if line == MEDIA:
                section = _Section(match)
                sections.append(section)
                index += 1
            elif line == CONNECTION:
                version, host = match.group(C_TYPE, C_HOST)
                _check_address(version, host)
                section.connection = section.connection or host
            elif line == ORIGIN:
                version, origin = match.group(O_TYPE, O_HOST)
                _check_address(version, origin)
            elif line == RTCP:
                section.rtcp = _read_rtcp(match)
            elif line != PRIVATE:
                raise MalformedSDP(f"Malformed {match[0].strip()} line in SDP")
            lines.append((line, index, match))
        if index >= MAX_MEDIA:
            raise MalformedSDP(f"More than {MAX_MEDIA} media in SDP")
        media = tuple([_describe(medium, session) for medium in sections])
        return cls(origin, session.connection, media, text, lines)

    def rewrite(self, replacements: Sequence[tuple[str, int, int]], origin_host: str) -> bytes:
        """
        Put our addresses in the place of the party's.

        A stream on hold by address (RFC 2543) and a refused stream stay what
        they are.  ICE lines go, or the parties would find a way past us.

        :param replacements: one ``(host, rtp_port, rtcp_port)`` for each m= line;
            ``rtp_port`` 0 refuses the stream, ``rtcp_port`` 0 means no RTCP.
        :param origin_host: the address for o=.
        """
        if len(replacements) != len(self.media):
            raise ValueError(f"{len(replacements)} replacements for {len(self.media)} media")
        return Rewriting(self, replacements, origin_host).run()


def _check_text(text: str) -> None:
    if not text.startswith("v=0\r\n") and _VERSION.match(text) is None:
        raise MalformedSDP("No v=0 line in SDP")
    if "\0" in text:
        raise MalformedSDP("NUL in SDP")
    # A lone CR is a line end to some and text to others: what we rewrite and
    # what the other party reads would not be the same lines.
    if text.count("\r") - text.endswith("\r") != text.count("\r\n"):
        raise MalformedSDP("CR without LF in SDP")


@lru_cache(maxsize=1024)
def _check_address(version: str, host: str) -> None:
    """
    A connection address is an address of its family or a name (RFC 8866 section 9).
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
        _check_address(match[RTCP_TYPE], host)
    return host, _check_port(match[RTCP_PORT])


def _describe(section: _Section, session: _Section) -> MediaDescription:
    assert section.line is not None
    kind, port_text, count, proto, formats = section.line.group(KIND, PORT, COUNT, PROTO, MEDIA)
    port = _check_port(port_text)
    connection = section.connection or session.connection
    if port and connection is None:
        raise MalformedSDP("No c= line for a medium in SDP")
    return MediaDescription(
        kind,
        port,
        int(count) if count else 1,
        proto,
        tuple(formats.split()),
        connection,
        section.rtcp,
        section.direction or session.direction or "sendrecv",
    )
