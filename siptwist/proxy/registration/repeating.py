"""
Registering a phone again when our address changes, by what it said last.

Only the phone knows its password, but its digest is of method, Request-URI and nonce
(RFC 7616 section 3.4.3), not of the Contact: a registrar that does not count what it
is told with one nonce, or asks for no password, takes it again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from siptwist.errors import MalformedURI, SIPError
from siptwist.proxy.decision import Forward, Target
from siptwist.proxy.identity import Identity
from siptwist.proxy.routing import OutboundProxies, outward
from siptwist.proxy.ticket import Ticket
from siptwist.sip.fields import MAGIC_COOKIE, NameAddr
from siptwist.sip.grammar import parse_parameters
from siptwist.sip.headers import Headers, keep_header, make_header
from siptwist.sip.message import Request
from siptwist.sip.uri import SIPURI

if TYPE_CHECKING:
    from siptwist.proxy.passage import Passage
    from siptwist.proxy.registration.location import Binding

# What would take more bytes than these is left to its phone.
REPEAT_LENGTH = 4096

# Of one message, or made anew for each; and what describes a body, which is not kept.
_PASSING = frozenset(
    {
        "via",
        "record-route",
        "max-forwards",
        "max-breadth",
        "call-id",
        "cseq",
        "contact",
        "date",
        "timestamp",
        "content-length",
        "content-type",
        "content-encoding",
        "content-disposition",
        "content-language",
    }
)


@dataclass(frozen=True, slots=True, repr=False)
class Repeat:
    """
    What it takes to repeat the REGISTER that a registrar accepted for one binding.

    It holds credentials: it is in memory only, with its binding and as long as that,
    and has no ``repr``.  ``fields`` are the header fields as the phone sent them,
    ``contact`` its Contact, ``told`` the masked URI that the registrar knows.  After
    ``until`` the phone had to come itself; whoever did not is not spoken for.
    """

    uri: str
    fields: bytes
    contact: str
    told: str
    until: float

    @classmethod
    def of(cls, request: Request, contact: NameAddr, told: str, until: float) -> Repeat | None:
        """
        :param request: as the phone sent it, our Routes taken off.
        """
        headers = request.headers
        routes = headers.values("route")
        if routes and ";lr" not in routes[-1].lower():
            # It was rewritten for a strict router, and would be once more.
            return None
        text = "\r\n".join([header[2] for header in headers.items if header[0] not in _PASSING])
        fields, written = text.encode("utf-8", "surrogateescape"), str(contact)
        if len(request.uri) + len(fields) + len(written) > REPEAT_LENGTH:
            return None
        return cls(request.uri, fields, written, told, until)


def may_repeat(binding: Binding, now: float) -> bool:
    """
    Whether we can register this phone again, and may.
    """
    repeat = binding.repeat
    return repeat is not None and repeat.until > now and binding.is_active(now)


def is_known_there(binding: Binding, identity: Identity) -> bool:
    """
    Whether the registrar was told the address that is ours now.
    """
    if binding.repeat is None:
        return False
    try:
        told = SIPURI.parse(binding.repeat.told)
    except MalformedURI:
        return False
    return (told.address, told.effective_port) == identity.outside[:2]


def repeated(
    binding: Binding, proxies: OutboundProxies, call_id: str, tag: str, now: float
) -> Forward:
    """
    The REGISTER of a binding once more, as if its phone sent it now.

    :param call_id: of ours, so that numbers of the phone's own stay in order
        (RFC 3261 section 10.3 step 7); ``tag`` is that of the From.
    :raises SIPError: when it is not known, or leads nowhere.
    """
    repeat = binding.repeat
    if repeat is None:
        raise SIPError("not known")
    kept = Headers.parse(repeat.fields.decode("utf-8", "surrogateescape"))
    via = f"SIP/2.0/UDP {binding.source};branch={MAGIC_COOKIE}{tag}"
    from_ = keep_header("From", str(_tagged(kept.from_, tag)))
    made = [
        make_header("Via", via),
        make_header("Max-Forwards", "70"),
        *kept.replaced({"from": (from_,)}),
        make_header("Call-ID", call_id),
        make_header("CSeq", "1 REGISTER"),
        keep_header("Contact", repeat.contact),
        make_header("Content-Length", "0"),
    ]
    request = Request("REGISTER", repeat.uri, Headers(made))
    ticket, next_hop = outward(Ticket.make(request, binding.source, binding.side, now), proxies)
    if not next_hop:
        raise SIPError("leads nowhere")
    return Forward(ticket, (Target(request.uri, next_hop=next_hop),), True, False, "repeated")


def _tagged(from_: NameAddr, tag: str) -> NameAddr:
    found = {**(parse_parameters(from_.parameters) or {}), "tag": tag}
    parameters = "".join(
        [f";{name}={value}" if value else f";{name}" for name, value in found.items()]
    )
    return NameAddr(from_.display, from_.uri_text, parameters, tag)


def as_repeat(request: Request, passage: Passage, binding: Binding) -> tuple[Request, Passage]:
    """
    A repeated REGISTER as it leaves, and what is to be known of it.

    The contact at our old address goes in the same request, behind the new one on a line
    of its own: another may have that address by now.  What the phone's own numbers say of
    the binding stays.
    """
    repeat, attempt = binding.repeat, passage.attempt
    if repeat is None or attempt is None:
        return request, passage
    attempt = replace(
        attempt, call_id=binding.call_id, cseq=binding.cseq, request=None, repeat=repeat
    )
    new = [wish.told for wish in attempt.wishes]
    # By RFC 5626 a registrar puts the new contact in the place of the old one.
    if repeat.told not in new and "reg-id" not in (parse_parameters(binding.parameters) or {}):
        old = make_header("Contact", f"<{repeat.told}>;expires=0")
        contacts = (*request.headers.fields("contact"), old)
        request = request._replace(headers=request.headers.replaced({"contact": contacts}))
    return request, passage._replace(attempt=attempt)


__all__ = ["REPEAT_LENGTH", "Repeat", "as_repeat", "is_known_there", "may_repeat", "repeated"]
