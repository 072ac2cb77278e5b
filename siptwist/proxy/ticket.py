"""
A request on its way through the proxy.
"""

from __future__ import annotations

from typing import NamedTuple

from siptwist.errors import MalformedURI
from siptwist.proxy.vias import arrived_vias
from siptwist.sip.fields import CSeq, NameAddr, Via
from siptwist.sip.headers import Header, Headers
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Request
from siptwist.sip.uri import SIPURI


class Ticket(NamedTuple):
    """
    A request, where it came from, and what everybody asks of it.

    ``source`` is its transport address, ``side`` our side that faces it,
    ``uri`` the Request-URI, ``None`` when that is not a SIP URI, and ``vias`` what
    its responses shall carry.
    """

    request: Request
    source: Hop
    side: Side
    now: float
    via: Via
    from_: NameAddr
    to: NameAddr
    cseq: CSeq
    call_id: str
    uri: SIPURI | None
    vias: tuple[Header, ...]

    @classmethod
    def make(cls, request: Request, source: Hop, side: Side, now: float) -> Ticket:
        headers = request.headers
        return cls(
            request,
            source,
            side,
            now,
            headers.via,
            headers.from_,
            headers.to,
            headers.cseq,
            headers.get("call-id") or "",
            _sip_uri(request.uri),
            arrived_vias(headers, headers.via, source),
        )

    def with_request(self, request: Request) -> Ticket:
        """
        The same way, with another Request-URI, other Routes or another body.
        """
        return Ticket(
            request,
            self.source,
            self.side,
            self.now,
            self.via,
            self.from_,
            self.to,
            self.cseq,
            self.call_id,
            self.uri if request.uri == self.request.uri else _sip_uri(request.uri),
            self.vias,
        )

    def slim(self) -> Ticket:
        """
        What a repeated answer still needs of the ticket, to be kept for long:
        neither the message nor what was read of it.
        """
        return Ticket(
            Request(self.request.method, self.request.uri, _NO_HEADERS),
            self.source,
            self.side,
            self.now,
            _NO_VIA,
            _NOBODY,
            _NOBODY,
            self.cseq,
            self.call_id,
            None,
            self.vias,
        )

    @property
    def method(self) -> str:
        return self.request.method

    @property
    def in_dialog(self) -> bool:
        """
        Whether the request is inside a dialog (RFC 3261 section 12.2).
        """
        return self.to.tag is not None


_NO_HEADERS = Headers()
_NO_VIA = Via("UDP", "", None)
_NOBODY = NameAddr("", "sip:anonymous.invalid")


def _sip_uri(text: str) -> SIPURI | None:
    if not text[:5].lower().startswith(("sip:", "sips:")):
        return None
    try:
        return SIPURI.parse(text)
    except MalformedURI:
        return None
