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
from siptwist.sip.multipart import find_part

MAX_MEDIA = 64

_VERSION = re.compile(r"v=0[ \t]*(?:\r?\n|\Z)")
_END = r"[ \t]*(?=[\r\n]|\Z)"
_ADDRESS = r"[Ii][Nn][ ]+[Ii][Pp]([46])[ ]+([^ \t\r\n/]{1,255})"

# The lines that matter; every other line is passed over at the speed of a search.
# Each alternative ends in a group of its own, so ``lastindex`` names the line, and
# begins with a character that decides, so that most lines cost one comparison.
_LINE = re.compile(
    r"\n(?:"
    # m=<media> <port>["/" <count>] <proto> <fmt> ...           (RFC 8866 section 5.14)
    # Phones that refuse a stream (port 0) forget its formats.
    r"m=([!-~]+)[ ]+(([0-9]{1,5})(?:/([0-9]{1,5}))?)[ ]+([!-~]+)((?:[ ][^\r\n]*)?)(?=[\r\n]|\Z)"
    # c=<nettype> <addrtype> <connection-address>               (RFC 8866 section 5.7)
    rf"|c=({_ADDRESS}(?:/[0-9/]*)?){_END}()"
    # o=<username> <sess-id> <sess-version> <nettype> <addrtype> <unicast-address>
    rf"|o=[^\r\n]*[ ]({_ADDRESS}){_END}()"
    # Most lines are of these, which matter to nobody here: they are told apart first.
    rf"|a=(?!rtpmap|fmtp|ptime)(?:(sendrecv|sendonly|recvonly|inactive){_END}"
    # a=rtcp:<port> [<nettype> <addrtype> <connection-address>] (RFC 3605 section 2.1)
    rf"|rtcp:([ ]*([0-9]{{1,5}})(?:[ ]+{_ADDRESS})?){_END}()"
    # Addresses that would lead media past the relay (RFC 8839) or forbid it (RFC 4570).
    r"|([cC](?i:andidate)|[rR](?i:emote-candidates)|[eE](?i:nd-of-candidates)|[iI](?i:ce-[a-z]+)"
    r"|[sS](?i:ource-filter))(?=[ \t:\r\n]|\Z))"
    r"|([mco]=|a=rtcp:)"
    r")"
)
# The groups of _LINE; those that name a line come last in their alternative.
_KIND, _PORTS, _PORT, _COUNT, _PROTO, _MEDIA = range(1, 7)
_C_VALUE, _C_TYPE, _C_HOST, _CONNECTION = range(7, 11)
_O_VALUE, _O_TYPE, _O_HOST, _ORIGIN = range(11, 15)
_DIRECTION = 15
_RTCP_VALUE, _RTCP_PORT, _RTCP_TYPE, _RTCP_HOST, _RTCP = range(16, 21)
_PRIVATE, _MALFORMED = 21, 22

_INFORMATION = re.compile(r"\r?\ni=[^\r\n]*")
_NAME = re.compile(r"(?:[A-Za-z0-9_-]+\.)*[A-Za-z0-9_-]+\.?")
_NULL_ADDRESSES = frozenset(("0.0.0.0", "::"))
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
            self.direction in _NOT_SENDING_BACK or self.connection in _NULL_ADDRESSES
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
        for match in _LINE.finditer(text):
            line = match.lastindex
            if line == _DIRECTION:
                section.direction = match[_DIRECTION]
                continue
            if line == _MEDIA:
                section = _Section(match)
                sections.append(section)
                index += 1
            elif line == _CONNECTION:
                version, host = match.group(_C_TYPE, _C_HOST)
                _check_address(version, host)
                section.connection = section.connection or host
            elif line == _ORIGIN:
                version, origin = match.group(_O_TYPE, _O_HOST)
                _check_address(version, origin)
            elif line == _RTCP:
                section.rtcp = _read_rtcp(match)
            elif line != _PRIVATE:
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
        return _Rewriting(self, replacements, origin_host).run()


class _Rewriting:
    """
    One pass over the lines that matter, copying what lies between them.
    """

    __slots__ = (
        "_copied",
        "_description",
        "_origin_host",
        "_out",
        "_pending",
        "_replacements",
        "_session_host",
        "_text",
    )

    def __init__(
        self,
        description: SessionDescription,
        replacements: Sequence[tuple[str, int, int]],
        origin_host: str,
    ) -> None:
        self._description = description
        self._text = description.text
        self._replacements = replacements
        self._origin_host = self._session_host = origin_host
        for host, port, _ in replacements:
            if port:
                self._session_host = host
                break
        self._out: list[str] = []
        self._copied = 0
        # The a=rtcp line that the present medium lacks; written where the medium ends.
        self._pending = ""

    def run(self) -> bytes:
        for line, index, match in self._description.lines:
            if line == _CONNECTION:
                if match[_C_HOST] not in _NULL_ADDRESSES:
                    host = self._session_host if index < 0 else self._replacements[index][0]
                    start, end = match.span(_C_VALUE)
                    self._replace(start, end, _address(host))
            elif line == _MEDIA:
                self._write_medium(index, match)
            elif line == _RTCP:
                self._write_rtcp(index, match)
            elif line == _ORIGIN:
                start, end = match.span(_O_VALUE)
                self._replace(start, end, _address(self._origin_host))
            else:
                self._remove_line(match)
        self._out.append(self._text[self._copied :])
        text = "".join(self._out)
        if self._pending:
            # The last line may lack its end, or its Content-Length may have cut the LF off.
            text = text.removesuffix("\r").removesuffix("\n").removesuffix("\r")
            text += self._line_end + self._pending
        return text.encode("utf-8", "surrogateescape")

    @property
    def _line_end(self) -> str:
        return "\r\n" if "\r\n" in self._text else "\n"

    def _replace(self, start: int, end: int, text: str) -> None:
        self._out.append(self._text[self._copied : start])
        self._out.append(text)
        self._copied = end

    def _remove_line(self, match: re.Match[str]) -> None:
        line_end = self._text.find("\n", match.end())
        self._replace(match.start() + 1, line_end + 1 or len(self._text), "")

    def _write_medium(self, index: int, match: re.Match[str]) -> None:
        if self._pending:
            start = match.start() + 1
            self._replace(start, start, self._pending)
            self._pending = ""
        medium = self._description.media[index]
        if medium.port == 0:
            return
        host, rtp_port, rtcp_port = self._replacements[index]
        # One pair of ports is relayed; a count of one says no more than none.
        start, end = match.span(_PORTS)
        self._replace(start, end, f"{rtp_port}/1" if match[_COUNT] == "1" else str(rtp_port))
        if medium.rtcp is None and rtcp_port not in (0, rtp_port + 1):
            self._pending = f"a=rtcp:{rtcp_port}{self._line_end}"
        if rtp_port and host != self._session_host:
            self._write_own_connection(index, match, host)

    def _write_own_connection(self, index: int, match: re.Match[str], host: str) -> None:
        """
        Add a c= line to a medium that shared the session's address until now.
        """
        if self._has_own_connection(match) or self._description.connection in _NULL_ADDRESSES:
            return
        information = _INFORMATION.match(self._text, match.end())
        start = information.end() if information else match.end()
        self._replace(start, start, f"{self._line_end}c={_address(host)}")

    def _has_own_connection(self, match: re.Match[str]) -> bool:
        section_end = self._text.find("\nm=", match.end())
        found = self._text.find("\nc=", match.end(), section_end if section_end >= 0 else None)
        return found >= 0

    def _write_rtcp(self, index: int, match: re.Match[str]) -> None:
        host, rtp_port, rtcp_port = self._replacements[index] if index >= 0 else ("", 0, 0)
        if not rtp_port or not rtcp_port or not self._description.media[index].port:
            self._remove_line(match)
            return
        value = str(rtcp_port)
        if match[_RTCP_HOST] is not None:
            held = match[_RTCP_HOST] in _NULL_ADDRESSES
            value = f"{value} {_address(match[_RTCP_HOST] if held else host)}"
        self._replace(match.start(_RTCP_VALUE), match.end(_RTCP_VALUE), value)


def find_sdp(content_type: str, body: bytes) -> tuple[int, int] | None:
    """
    Where the session description lies in a body, multipart or not (RFC 5621).

    :returns: ``(start, end)``, or None when the body holds none.
    """
    if content_type == "application/sdp":
        return 0, len(body)
    return find_part(content_type, body, "application/sdp")


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
    host = match[_RTCP_HOST]
    if host is not None:
        _check_address(match[_RTCP_TYPE], host)
    return host, _check_port(match[_RTCP_PORT])


def _describe(section: _Section, session: _Section) -> MediaDescription:
    assert section.line is not None
    kind, port_text, count, proto, formats = section.line.group(
        _KIND, _PORT, _COUNT, _PROTO, _MEDIA
    )
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


def _address(host: str) -> str:
    return f"IN IP6 {host}" if ":" in host else f"IN IP4 {host}"
