"""
Requests, responses and their surroundings, for the tests of the proxy core.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from siptwist.proxy.identity import Identity
from siptwist.proxy.registration.location import Binding
from siptwist.proxy.ticket import Ticket
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Request, Response, parse
from tests.proxy.registering import NOW, make_binding

PHONE, WORLD = Hop("10.0.0.5", 5060), Hop("198.51.100.9", 5060)
INSIDE, OUTSIDE = Hop("10.0.0.1", 5060), Hop("203.0.113.7", 5060)
TWO_SOCKETS = Identity(
    INSIDE,
    OUTSIDE,
    {Side.INSIDE: INSIDE.host, Side.OUTSIDE: OUTSIDE.host},
    (ipaddress.ip_network("10.0.0.0/24"),),
)
ONE_SOCKET = Identity(
    Hop("192.168.1.5", 5060), OUTSIDE, dict.fromkeys(Side, "192.168.1.5"), names=frozenset({"pbx"})
)


def request(
    *lines: str,
    method: str = "INVITE",
    uri: str = "sip:bob@example.net",
    via: str = "SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bKabc;rport",
    from_: str = "<sip:alice@provider.example>;tag=a",
    to: str = "<sip:bob@example.net>",
    call_id: str = "call@phone",
    body: str = "",
) -> Request:
    """
    A request with these further header lines.
    """
    text = "\r\n".join(
        (
            f"{method} {uri} SIP/2.0",
            f"Via: {via}",
            f"From: {from_}",
            f"To: {to}",
            f"Call-ID: {call_id}",
            f"CSeq: 1 {method}",
            *lines,
            f"Content-Length: {len(body)}",
            f"\r\n{body}",
        )
    )
    message = parse(text.encode("utf-8", "surrogateescape"))
    assert isinstance(message, Request)
    return message


def ticket(
    *lines: str, source: Hop = PHONE, side: Side = Side.INSIDE, now: float = NOW, **more: Any
) -> Ticket:
    return Ticket.make(request(*lines, **more), source, side, now)


def from_world(*lines: str, source: Hop = WORLD, **more: Any) -> Ticket:
    """
    A request that came from outside.
    """
    more.setdefault("via", f"SIP/2.0/UDP {source.host};branch=z9hG4bKw")
    more.setdefault("from_", "<sip:bob@example.net>;tag=b")
    return ticket(*lines, source=source, side=Side.OUTSIDE, **more)


def response(
    status: int, *lines: str, method: str = "INVITE", to: str = "", body: str = ""
) -> Response:
    text = "\r\n".join(
        (
            f"SIP/2.0 {status} Whatever",
            "Via: SIP/2.0/UDP 203.0.113.7;branch=z9hG4bKours",
            "From: <sip:alice@provider.example>;tag=a",
            f"To: {to or '<sip:bob@example.net>;tag=b'}",
            "Call-ID: call@phone",
            f"CSeq: 1 {method}",
            *lines,
            f"Content-Length: {len(body)}",
            f"\r\n{body}",
        )
    )
    message = parse(text.encode())
    assert isinstance(message, Response)
    return message


def bind(locations: Any, mask: str = "0123456789ab", **more: Any) -> Binding:
    """
    Put a binding into ``locations``.
    """
    binding = make_binding(mask, **more)
    locations.put(binding)
    return binding


def sdp(host: str = "10.0.0.5", port: int = 4000) -> str:
    return (
        f"v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
        f"m=audio {port} RTP/AVP 8\r\n"
    )
