"""
Reasonable checks before a request is forwarded (RFC 3261 section 16.3).
"""

from __future__ import annotations

from siptwist.errors import MalformedHeader
from siptwist.proxy.decision import Reply
from siptwist.proxy.ticket import Ticket
from siptwist.sip.fields import option_tags, parse_number
from siptwist.sip.headers import Header, make_header
from siptwist.sip.uri import scheme_of

# What our own OPTIONS answer says (RFC 3261 section 11.2).
ALLOW = (
    "INVITE, ACK, BYE, CANCEL, OPTIONS, REGISTER, INFO, UPDATE, PRACK, REFER, MESSAGE, "
    "SUBSCRIBE, NOTIFY, PUBLISH"
)
METHODS = frozenset(ALLOW.split(", "))
CAPABILITIES = (
    ("Allow", ALLOW),
    ("Accept", "application/sdp, */*"),
    ("Accept-Encoding", "identity"),
    ("Supported", "path"),
)
DEFAULT_MAX_FORWARDS = 70
_DEFAULT = str(DEFAULT_MAX_FORWARDS)


def options_reply() -> Reply:
    return Reply(200, headers=CAPABILITIES, why="OPTIONS for us")


def timestamp_of(ticket: Ticket) -> tuple[tuple[str, str], ...]:
    """
    What a 100 repeats of its request (RFC 3261 section 8.2.6.1).
    """
    text = ticket.request.headers.get("timestamp")
    return (("Timestamp", text),) if text else ()


def max_forwards_of(ticket: Ticket) -> int:
    """
    :raises MalformedHeader: when it is not a number from 0 to 255.
    """
    text = ticket.request.headers.get("max-forwards")
    if text is None:
        return DEFAULT_MAX_FORWARDS
    return parse_number(text, "Max-Forwards", 255)


# What becomes of each Max-Forwards (RFC 3261 section 16.6 step 3).
_LESS = {str(hops): (make_header("Max-Forwards", str(hops - 1)),) for hops in range(1, 256)}


def one_hop_less(ticket: Ticket) -> tuple[Header, ...]:
    """
    The Max-Forwards that a validated request goes out with.
    """
    field = ticket.request.headers.first.get("max-forwards")
    found = _LESS.get(field[1] if field is not None else _DEFAULT)
    return found or _LESS[str(max_forwards_of(ticket))]


def validate(ticket: Ticket) -> Reply | None:
    """
    The answer to a request that must not be forwarded, or ``None``.
    """
    if ticket.uri is None:
        scheme = scheme_of(ticket.request.uri)
        if scheme in ("sip", "sips"):
            return Reply(400, "Malformed Request-URI", why="Request-URI")
        if scheme != "tel":
            return Reply(416, why="scheme")
    elif ticket.uri.scheme == "sips":
        return Reply(416, "SIPS needs TLS", why="sips")
    elif ticket.uri.headers:
        return Reply(400, "Headers in Request-URI", why="Request-URI")
    first = ticket.request.headers.first
    field = first.get("max-forwards")
    if field is not None and field[1] not in _LESS:
        refusal = _at_the_end(ticket)
        if refusal is not None:
            return refusal
    return _extensions(ticket) if "proxy-require" in first else None


def _at_the_end(ticket: Ticket) -> Reply | None:
    """
    The answer to a Max-Forwards that allows no further hop.
    """
    try:
        hops = max_forwards_of(ticket)
    except MalformedHeader as error:
        return Reply(error.status, error.reason, why="Max-Forwards")
    if hops:
        return None
    return options_reply() if ticket.method == "OPTIONS" else Reply(483, why="Max-Forwards")


def _extensions(ticket: Ticket) -> Reply | None:
    """
    We understand none of the extensions that a proxy can be required to.
    """
    unknown = option_tags(ticket.request.headers.values("proxy-require"))
    if not unknown or ticket.method in ("ACK", "CANCEL"):
        return None
    return Reply(420, headers=(("Unsupported", ", ".join(unknown)),), why="Proxy-Require")
