"""
Our addresses in the place of a party's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from siptwist.sip.sdp.grammar import (
    C_HOST,
    C_VALUE,
    CONNECTION,
    COUNT,
    MEDIA,
    NULL_ADDRESSES,
    O_VALUE,
    ORIGIN,
    PORTS,
    RTCP,
    RTCP_HOST,
    RTCP_VALUE,
)

if TYPE_CHECKING:
    from siptwist.sip.sdp.description import SessionDescription

_INFORMATION = re.compile(r"\r?\ni=[^\r\n]*")


class Rewriting:
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
            if line == CONNECTION:
                if match[C_HOST] not in NULL_ADDRESSES:
                    host = self._session_host if index < 0 else self._replacements[index][0]
                    start, end = match.span(C_VALUE)
                    self._replace(start, end, _address(host))
            elif line == MEDIA:
                self._write_medium(index, match)
            elif line == RTCP:
                self._write_rtcp(index, match)
            elif line == ORIGIN:
                start, end = match.span(O_VALUE)
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
        start, end = match.span(PORTS)
        self._replace(start, end, f"{rtp_port}/1" if match[COUNT] == "1" else str(rtp_port))
        if medium.rtcp is None and rtcp_port not in (0, rtp_port + 1):
            self._pending = f"a=rtcp:{rtcp_port}{self._line_end}"
        if rtp_port and host != self._session_host:
            self._write_own_connection(index, match, host)

    def _write_own_connection(self, index: int, match: re.Match[str], host: str) -> None:
        """
        Add a c= line to a medium that shared the session's address until now.
        """
        if self._has_own_connection(match) or self._description.connection in NULL_ADDRESSES:
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
        if match[RTCP_HOST] is not None:
            held = match[RTCP_HOST] in NULL_ADDRESSES
            value = f"{value} {_address(match[RTCP_HOST] if held else host)}"
        self._replace(match.start(RTCP_VALUE), match.end(RTCP_VALUE), value)


def _address(host: str) -> str:
    return f"IN IP6 {host}" if ":" in host else f"IN IP4 {host}"
