"""
REGISTER requests and their surroundings, for the tests of registration.
"""

from __future__ import annotations

from siptwist.proxy.decision import Reply
from siptwist.proxy.identity import Identity
from siptwist.proxy.registration.location import Binding, Locations
from siptwist.proxy.ticket import Ticket
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Request, Response, parse

KEY = b"a key of this test"
NOW = 1_790_000_000.0
PHONE = Hop("10.0.0.5", 5060)
IDENTITY = Identity(
    inside=Hop("10.0.0.1", 5060),
    outside=Hop("203.0.113.7", 5060),
    bound={Side.INSIDE: "10.0.0.1", Side.OUTSIDE: "203.0.113.7"},
)


def register(
    *lines: str,
    uri: str = "sip:10.0.0.1",
    to: str = "<sip:alice@10.0.0.1>",
    cseq: int = 1,
    call_id: str = "one@phone",
    source: Hop = PHONE,
    now: float = NOW,
) -> Ticket:
    """
    A REGISTER on its way, with these further header lines.
    """
    text = "\r\n".join(
        (
            f"REGISTER {uri} SIP/2.0",
            "Via: SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bKabc",
            f"To: {to}",
            f"From: {to};tag=1",
            f"Call-ID: {call_id}",
            f"CSeq: {cseq} REGISTER",
            *lines,
            "Content-Length: 0",
            "\r\n",
        )
    )
    request = parse(text.encode("utf-8", "surrogateescape"))
    assert isinstance(request, Request)
    return Ticket.make(request, source, Side.INSIDE, now)


def response(ticket: Ticket, status: int, *lines: str) -> Response:
    """
    What a registrar answers to a REGISTER, with these further header lines.
    """
    text = "\r\n".join(
        (
            f"SIP/2.0 {status} Whatever",
            "Via: SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bKabc",
            f"To: {ticket.to};tag=2",
            f"From: {ticket.from_}",
            f"Call-ID: {ticket.call_id}",
            f"CSeq: {ticket.cseq}",
            *lines,
            "Content-Length: 0",
            "\r\n",
        )
    )
    message = parse(text.encode("utf-8", "surrogateescape"))
    assert isinstance(message, Response)
    return message


def make_binding(
    mask: str = "0123456789ab",
    aor: str = "sip:alice@provider.example",
    contact: str = "sip:alice@10.0.0.5:5060",
    source: Hop = PHONE,
    expires_at: float = NOW + 3600,
    registrar: str = "provider.example",
    parameters: str = "",
    call_id: str = "one@phone",
    cseq: int = 1,
    user_agent: str = "",
    path: tuple[str, ...] = (),
) -> Binding:
    return Binding(
        aor=aor,
        contact=contact,
        source=source,
        side=Side.INSIDE,
        mask=mask,
        call_id=call_id,
        cseq=cseq,
        created_at=NOW - 100,
        updated_at=NOW - 50,
        expires_at=expires_at,
        registrar=registrar,
        parameters=parameters,
        path=path,
        user_agent=user_agent,
    )


def apply(locations: Locations, changed: tuple[Binding, ...], removed: tuple[str, ...]) -> None:
    for mask in removed:
        locations.remove(mask)
    for binding in changed:
        locations.put(binding)


def values(reply: Reply, name: str) -> list[str]:
    return [value for key, value in reply.headers if key == name]
