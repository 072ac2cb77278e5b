"""
A request on its way through the proxy.
"""

from __future__ import annotations

from dataclasses import dataclass

from siptwist.errors import MalformedURI
from siptwist.proxy.vias import arrived_vias
from siptwist.sip.fields import CSeq, NameAddr, Via
from siptwist.sip.headers import Header, Headers
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Request
from siptwist.sip.uri import SIPURI
from siptwist.sip.values import Value


@dataclass(slots=True)
class Ticket(Value):
    """
    A request, where it came from, and what everybody asks of it.

    ``source`` is its transport address, ``side`` our side that faces it,
    ``uri`` the Request-URI, ``None`` when that is not a SIP URI, ``vias`` what its
    responses shall carry, and ``in_dialog`` whether it is inside a dialog
    (RFC 3261 section 12.2).
    """

    request: Request
    method: str
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
    in_dialog: bool

    @classmethod
    def make(cls, request: Request, source: Hop, side: Side, now: float) -> Ticket:
        headers = request.headers
        via, to = headers.via, headers.to
        return cls(
            request,
            request.method,
            source,
            side,
            now,
            via,
            headers.from_,
            to,
            headers.cseq,
            headers.get("call-id") or "",
            _sip_uri(request.uri),
            arrived_vias(headers, via, source),
            to.tag is not None,
        )

    def with_request(self, request: Request) -> Ticket:
        """
        The same way, with another Request-URI, other Routes or another body.
        """
        return Ticket(
            request,
            self.method,
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
            self.in_dialog,
        )

    def slim(self) -> Ticket:
        """
        What a repeated answer still needs of the ticket, to be kept for long:
        neither the message nor what was read of it.
        """
        return Ticket(
            Request(self.method, self.request.uri, _NO_HEADERS),
            self.method,
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
            self.in_dialog,
        )


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
