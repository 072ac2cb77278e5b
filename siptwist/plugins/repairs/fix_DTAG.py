"""
For providers that answer with a Via of their own in the place of ours.

Deutsche Telekom (DTAG) did.  Such a response belongs to no request that we sent
(RFC 3261 section 17.1.3); by Call-ID and CSeq it is found out to which.
"""

from __future__ import annotations

from collections import OrderedDict

from zope.interface import implementer

from siptwist.errors import MalformedMessage
from siptwist.plugins.plugin import House, PluginMaker, only
from siptwist.plugins.repairs.networks import NetworkOptions, Networks
from siptwist.plugins.stages import IPostProxy, IRaw
from siptwist.sip.fields import CSeq
from siptwist.sip.grammar import split_commas
from siptwist.sip.headers import Header, Headers, keep_header
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Request, parse

# Requests that are remembered; the oldest makes room.
REMEMBERED = 4096

# Where a request went, its Call-ID and CSeq.
_Key = tuple[str, str, CSeq]


@implementer(IRaw, IPostProxy)
class FixDTAG:
    """
    Gives responses from the networks our Via back.
    """

    def __init__(self, options: NetworkOptions, house: House) -> None:
        self._networks = Networks(options.networks)
        self._sent: OrderedDict[_Key, Header] = OrderedDict()

    @only(kind=Request)
    def post_proxy(self, message: Request, hop: Hop, side: Side) -> None:
        if message.method != "ACK" and self._networks.has(hop.host):
            self._sent[_key(hop, message.headers)] = message.headers.first["via"]
            if len(self._sent) > REMEMBERED:
                self._sent.popitem(last=False)

    @only(starts=b"S")
    def raw(self, data: bytes, source: Hop, side: Side) -> bytes | None:
        if not self._networks.has(source.host) or data[:4] != b"SIP/":
            return None
        try:
            message = parse(data)
        except MalformedMessage:
            # Whoever reads it next says so.
            return None
        headers = message.headers
        ours = self._sent.get(_key(source, headers))
        if ours is None or not self._networks.has(headers.via.host):
            return None
        if headers.via.branch == Headers([ours]).via.branch:
            return None
        return bytes(message._replace(headers=headers.replaced({"via": _vias(headers, ours)})))


def _key(hop: Hop, headers: Headers) -> _Key:
    """
    A CANCEL has the Via of its INVITE (RFC 3261 section 9.1).
    """
    cseq = headers.cseq
    if cseq.method == "CANCEL":
        cseq = cseq._replace(method="INVITE")
    return hop.host, headers.get("call-id") or "", cseq


def _vias(headers: Headers, ours: Header) -> list[Header]:
    """
    Ours in the place of the topmost Via.
    """
    first, *rest = headers.fields("via")
    below = split_commas(first[1])[1:]
    return [ours, *[keep_header("Via", value) for value in below], *rest]


fix_DTAG = PluginMaker("fix_DTAG", FixDTAG, NetworkOptions, needs=("networks",))
