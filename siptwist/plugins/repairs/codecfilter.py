"""
Takes codecs out of what phones and providers offer each other.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from zope.interface import implementer

from siptwist.errors import MalformedMessage
from siptwist.options import option
from siptwist.plugins.plugin import House, PluginMaker, only
from siptwist.plugins.repairs.payloads import Filtered, filter_codecs
from siptwist.plugins.stages import IMedia, IPreProxy
from siptwist.proxy.decision import Forward, Reply
from siptwist.sip.message import Request, Response
from siptwist.sip.sdp import STATIC, find_sdp, is_whole

# Requests that can be refused for what they offer.
_OFFERING = ("INVITE", "UPDATE")
# RFC 3261 section 20.43.
_WARNING = ("Warning", '305 siptwist "No codec that is allowed here"')


def codec(value: str) -> str:
    """
    A part of a codec's name, or a payload type.
    """
    if value.isdigit() and (not value.isascii() or int(value) > 127):
        raise ValueError(f"{value} is not a payload type, which are from 0 to 127")
    if not (value.isascii() and value.isprintable() and value.strip(" /")):
        raise ValueError(f"{value!r} is not the name of a codec")
    return value


@dataclass(frozen=True, slots=True)
class CodecOptions:
    """
    ``plugin_codecfilter_blacklist``.
    """

    blacklist: tuple[str, ...] = option(
        (), codec, "a codec to remove: part of its name, or a payload type", repeated=True
    )


class Blacklist:
    """
    The codecs that are not wanted, whatever case they are written in.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        entries = tuple(entries)
        self._types = {int(entry) for entry in entries if entry.isdigit()}
        names = [entry.lower() for entry in entries if not entry.isdigit()]
        self._names = tuple(" ".join(name.split()) for name in names)
        # The longest word of a name; however many blanks stand around it.
        self._signs = tuple(max(name.split(), key=len).encode() for name in self._names)
        self._numbers = self._compile()

    def is_unwanted(self, payload_type: int, encoding: str) -> bool:
        """
        :param encoding: as an rtpmap has it, ``G729/8000``; "" when it is not known.
        """
        if payload_type in self._types:
            return True
        said = f"{payload_type} {encoding}".lower() if encoding else ""
        return any(name in said for name in self._names)

    def may_be_in(self, sdp: bytes) -> bool:
        """
        Whether a description is worth a closer look: it holds a name, wherever, or a
        number in an m= line.
        """
        lowered = sdp.lower()
        for sign in self._signs:
            if sign in lowered:
                return True
        return self._numbers.search(sdp) is not None

    def _compile(self) -> re.Pattern[bytes]:
        """
        What finds in an m= line the numbers of codecs that need no rtpmap.
        """
        static = {one for one, encoding in STATIC.items() if self.is_unwanted(one, encoding)}
        numbers = "|".join(map(str, sorted(self._types | static)))
        pattern = rf"\nm=(?>[^\n]*?RTP/)[^\n]* 0*(?:{numbers})(?![^ \r\n])" if numbers else r"(?!)"
        return re.compile(pattern.encode())


@implementer(IPreProxy, IMedia)
class CodecFilter:
    """
    Filters every description, and refuses offers of nothing but unwanted codecs.
    """

    def __init__(self, options: CodecOptions, house: House) -> None:
        self._blacklist = Blacklist(options.blacklist)
        self._log = house.log
        # Asked of an offer twice, at two stages.
        self._last: tuple[bytes, Filtered | None] = (b"", None)

    @only(methods=_OFFERING)
    def pre_proxy(self, forward: Forward) -> Reply | None:
        request = forward.ticket.request
        filtered = self._filter(_sdp_of(request)) if request.body else None
        if filtered is None or not filtered.refused or filtered.left:
            return None
        return Reply(488, headers=(_WARNING,), why="codecfilter: no codec is left of the offer")

    def media(self, sdp: bytes, message: Request | Response, from_phone: bool) -> bytes | None:
        filtered = self._filter(sdp)
        if filtered is None:
            return None
        if filtered.refused:
            self._log.warn(
                "No codec is left of {count} streams [{call_id}]",
                count=filtered.refused,
                call_id=message.headers.get("call-id"),
            )
        return filtered.text.encode("utf-8", "surrogateescape")

    def _filter(self, sdp: bytes) -> Filtered | None:
        """
        The description without what is unwanted; ``None`` when there is nothing.
        """
        known, found = self._last
        if known is not sdp and known != sdp:
            found = None
            if self._blacklist.may_be_in(sdp):
                text = sdp.decode("utf-8", "surrogateescape")
                found = filter_codecs(text, self._blacklist.is_unwanted)
                found = None if found.text == text else found
            self._last = (sdp, found)
        return found


def _sdp_of(request: Request) -> bytes:
    """
    The session description of a request; empty when it has none that can be read.
    """
    headers, body = request.headers, request.body
    if is_whole(headers):
        return body
    encoding = headers.get("content-encoding") or ""
    try:
        place = find_sdp(headers.get("content-type") or "", body, encoding)
    except MalformedMessage:
        return b""
    return b"" if place is None else body[slice(*place)]


codecfilter = PluginMaker(
    "codecfilter",
    CodecFilter,
    CodecOptions,
    methods=("INVITE", "ACK", "PRACK", "UPDATE", "OPTIONS"),
    needs=("blacklist",),
)
