"""
Our addresses in the place of a party's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from siptwist.sip.sdp.grammar import CONNECTION, MEDIA, ORIGIN, RTCP, is_null

if TYPE_CHECKING:
    from siptwist.sip.sdp.description import MediaDescription, SessionDescription

#: What a line is (a number of ``grammar``), of which medium (-1: the session), what
#: of the text is to be replaced, and the host that stood there.
Line = tuple[int, int, int, int, str | None]

# The type preference of a host candidate, the local preference of the only one
# there is, and its component (RFC 8445 section 5.1.2.1).
_PRIORITY = 126 << 24 | 65535 << 8
_LINE_END = re.compile(r"(?=[\r\n])")
_INFORMATION = re.compile(r"\r?\ni=[^\r\n]*")


class Credentials(NamedTuple):
    """
    What ICE checks of one stream are made with (RFC 8445 section 5.3).
    """

    ufrag: str
    password: str


class Rewriting:
    """
    One pass over the lines that matter, copying what lies between them.
    """

    __slots__ = (
        "_copied",
        "_credentials",
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
        credentials: Sequence[Credentials | None] = (),
    ) -> None:
        self._description = description
        self._text = description.text
        self._replacements = replacements
        self._credentials = credentials
        self._origin_host = self._session_host = origin_host
        for replacement in replacements:
            if replacement[1]:
                self._session_host = replacement[0]
                break
        self._out: list[str] = []
        self._copied = 0
        # Lines that the present medium lacks; written where the medium ends.
        self._pending = ""

    def run(self) -> bytes:
        text = self._text
        for what, index, start, end, detail in self._description.lines:
            if what == MEDIA:
                self._write_medium(index, start, end)
            elif what == CONNECTION:
                self._write_connection(index, start, end, detail)
            elif what == ORIGIN:
                self._replace(start, end, address(self._origin_host))
            elif what == RTCP:
                self._write_rtcp(index, start, end, detail)
            else:
                self._replace(start, end, "")
        self._out.append(text[self._copied :])
        whole = "".join(self._out)
        if self._pending:
            # The last line may lack its end, or its Content-Length may have cut the LF off.
            whole = whole.removesuffix("\r").removesuffix("\n").removesuffix("\r")
            whole += self._line_end + self._pending
        return whole.encode("utf-8", "surrogateescape")

    @property
    def _line_end(self) -> str:
        return "\r\n" if "\r\n" in self._text else "\n"

    def _replace(self, start: int, end: int, new: str) -> None:
        self._out.append(self._text[self._copied : start])
        self._out.append(new)
        self._copied = end

    def _write_connection(self, index: int, start: int, end: int, host: str | None) -> None:
        if is_null(host):
            media = self._description.media
            if all(medium.is_null for medium in (media if index < 0 else media[index : index + 1])):
                return
        ours = self._session_host if index < 0 else self._replacements[index][0]
        self._replace(start, end, address(ours))

    def _write_medium(self, index: int, start: int, end: int) -> None:
        text, medium, replacement = (
            self._text,
            self._description.media[index],
            self._replacements[index],
        )
        if self._pending or (index == 0 and any(self._credentials)):
            lite = "" if index else f"a=ice-lite{self._line_end}"
            line = text.rfind("\n", 0, start) + 1
            self._replace(line, line, self._pending + lite)
            self._pending = ""
        if medium.port == 0:
            return
        rtp_port, rtcp_port = replacement[1], replacement[2]
        # One pair of ports is relayed; a count of one says no more than none.
        ports = f"{rtp_port}/1" if text.endswith("/1", start, end) else str(rtp_port)
        self._replace(start, end, ports)
        if not rtp_port:
            return
        if medium.rtcp is None and rtcp_port != rtp_port + 1 and rtcp_port:
            self._pending = f"a=rtcp:{rtcp_port}{self._line_end}"
        if self._credentials:
            self._pending += self._ice(index)
        if replacement[0] != self._session_host:
            self._write_own_connection(medium, end, replacement[0])

    def _write_own_connection(self, medium: MediaDescription, end: int, host: str) -> None:
        """
        Add a c= line to a medium that shared the session's address until now.
        """
        if "\nc=" in medium.text or is_null(self._description.connection):
            return
        line_end = _LINE_END.search(self._text, end)
        information = _INFORMATION.match(self._text, line_end.start() if line_end else end)
        start = (information or line_end).end() if line_end else len(self._text)
        self._replace(start, start, f"{self._line_end}c={address(host)}")

    def _write_rtcp(self, index: int, start: int, end: int, host: str | None) -> None:
        media = self._description.media
        replacement = self._replacements[index] if index >= 0 and media[index].port else ("", 0, 0)
        rtp_port, rtcp_port = replacement[1], replacement[2]
        if not rtp_port or not rtcp_port:
            text = self._text
            line_end = text.find("\n", end) + 1
            self._replace(text.rfind("\n", 0, start) + 1, line_end or len(text), "")
            return
        # Multiplexed, and said so (RFC 8035 section 3).
        value = str(rtp_port if media[index].rtcp_port == media[index].port else rtcp_port)
        if host is not None:
            value = f"{value} {address(host if is_null(host) else replacement[0])}"
        self._replace(start, end, value)

    def _ice(self, index: int) -> str:
        """
        What an ICE-lite agent says of a medium (RFC 8839 section 5): its address,
        and what checks are made with.
        """
        credentials, replacement = self._credentials[index], self._replacements[index]
        if credentials is None or self._description.media[index].is_null:
            return ""
        host, end = replacement[0], self._line_end
        lines = [f"a=ice-ufrag:{credentials.ufrag}", f"a=ice-pwd:{credentials.password}"]
        lines += [
            f"a=candidate:1 {component} UDP {_PRIORITY | 256 - component} {host} {port} typ host"
            for component, port in enumerate(replacement[1:3], 1)
            if port
        ]
        return "".join(line + end for line in lines)


def address(host: str) -> str:
    """
    A connection address (RFC 8866 section 9).
    """
    return f"IN IP6 {host}" if ":" in host else f"IN IP4 {host}"
