"""
SIP messages (RFC 3261 section 7): bytes in, a value, the same bytes out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from siptwist.errors import MalformedMessage
from siptwist.sip.fields import CSeq, NameAddr, Via
from siptwist.sip.grammar import TOKEN, split_commas
from siptwist.sip.headers import Header, Headers, keep_header, make_header
from siptwist.sip.status import reason_of
from siptwist.sip.uri import is_uri
from siptwist.sip.values import Value

# Limits against memory and parsing attacks; a start line or a header longer
# than this, or more headers than this, is nobody's phone.
MAX_LINE = 8192
MAX_HEADERS = 256
MAX_VIAS = 70
MAX_BODY = 65535
# It is kept for as long as the call.
MAX_CALL_ID = 512

# Request-Line = Method SP Request-URI SP SIP-Version
_REQUEST_LINE = re.compile(rf"({TOKEN}) ([^ \t\r\n]+) [Ss][Ii][Pp]/([0-9]+\.[0-9]+)")
# Status-Line = SIP-Version SP Status-Code SP Reason-Phrase
_STATUS_LINE = re.compile(r"[Ss][Ii][Pp]/2\.0 ([1-6][0-9][0-9])(?: ([^\r\n]*))?")
_SINGLE = {
    "call-id": "Call-ID",
    "cseq": "CSeq",
    "from": "From",
    "to": "To",
    "max-forwards": "Max-Forwards",
    "content-length": "Content-Length",
}
_MANDATORY = (
    ("via", "Via"),
    ("from", "From"),
    ("to", "To"),
    ("call-id", "Call-ID"),
    ("cseq", "CSeq"),
)


@dataclass(slots=True)
class Request(Value):
    """
    A request: ``uri`` is the Request-URI as text.
    """

    method: str
    uri: str
    headers: Headers
    body: bytes = b""

    def __bytes__(self) -> bytes:
        return _to_bytes(f"{self.method} {self.uri} SIP/2.0", self.headers, self.body)


@dataclass(slots=True)
class Response(Value):
    """
    A response with its status code.
    """

    status: int
    reason: str
    headers: Headers
    body: bytes = b""

    def __bytes__(self) -> bytes:
        return _to_bytes(f"SIP/2.0 {self.status} {self.reason}", self.headers, self.body)


Message = Request | Response
#: The same kind of message that was given.
AnyMessage = TypeVar("AnyMessage", bound=Message)


def _to_bytes(start_line: str, headers: Headers, body: bytes) -> bytes:
    lines = [start_line]
    lines.extend([header[2] for header in headers.items])
    lines.append("\r\n")
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + body


def with_body(message: AnyMessage, body: bytes) -> AnyMessage:
    """
    The same message with another body, and its length.
    """
    length = str(len(body))
    field = ("content-length", length, f"Content-Length: {length}")
    return changed(message, message.headers.with_field(field), body)


def changed(message: AnyMessage, headers: Headers, body: bytes) -> AnyMessage:
    """
    The same message with these header fields and this body.
    """
    made: Message
    if isinstance(message, Request):
        made = Request(message.method, message.uri, headers, body)
    else:
        made = Response(message.status, message.reason, headers, body)
    return cast(AnyMessage, made)


def via_of(message: Message) -> Via:
    """
    The topmost Via.

    :raises MalformedHeader: when it cannot be read.
    """
    return message.headers.via


def from_of(message: Message) -> NameAddr:
    return message.headers.from_


def to_of(message: Message) -> NameAddr:
    return message.headers.to


def cseq_of(message: Message) -> CSeq:
    return message.headers.cseq


def call_id_of(message: Message) -> str:
    return message.headers.get("call-id") or ""


def parse(data: bytes) -> Message:
    """
    Read one message that fills a datagram (RFC 3261 sections 7 and 18.3).

    :raises MalformedMessage: ``request`` holds what could be read of a
        request, so that it can be answered; ``None`` for all else.
    """
    head, body = _split(data)
    start_line, _, rest = head.decode("utf-8", "surrogateescape").partition("\r\n")
    if start_line[:4].upper() == "SIP/":
        return _parse_response(start_line, rest, body)
    return _parse_request(start_line, rest, body)


def _split(data: bytes) -> tuple[bytes, bytes]:
    head, blank, body = data.partition(b"\r\n\r\n")
    if not blank and b"\r\n" not in data:
        # Lines that end in LF alone; hand-made messages and RFC 5118 are so.
        head, blank, body = data.partition(b"\n\n")
        head = head.replace(b"\n", b"\r\n")
    if not blank:
        head = head.removesuffix(b"\r\n")
    return head, body


def _parse_response(start_line: str, rest: str, body: bytes) -> Response:
    match = _STATUS_LINE.fullmatch(start_line)
    if match is None or len(start_line) > MAX_LINE:
        raise MalformedMessage("Malformed status line")
    headers = _parse_headers(rest)
    _check(headers)
    body = _cut_body(headers, body)
    return Response(int(match[1]), match[2] or "", headers, body)


def _parse_request(start_line: str, rest: str, body: bytes) -> Request:
    match = _REQUEST_LINE.fullmatch(start_line)
    headers = None
    try:
        headers = _parse_headers(rest)
        if match is None or len(start_line) > MAX_LINE:
            raise MalformedMessage("Malformed request line")
        if match[3] != "2.0":
            raise MalformedMessage("SIP version not supported", 505)
        _check(headers)
        if headers.cseq.method != match[1]:
            raise MalformedMessage("CSeq method does not match the request")
        if not is_uri(match[2]):
            raise MalformedMessage("Malformed Request-URI")
        return Request(match[1], match[2], headers, _cut_body(headers, body))
    except MalformedMessage as error:
        method = match[1] if match else start_line.partition(" ")[0]
        if headers is None:
            headers = Headers.salvage(rest, MAX_HEADERS, MAX_LINE)
        error.request = Request(method, match[2] if match else "", headers)
        raise


def _parse_headers(text: str) -> Headers:
    headers = Headers.recall(text)
    if headers is None:
        headers = _parse_carefully(text)
    elif len(headers.items) > MAX_HEADERS:
        raise MalformedMessage("Too many headers")
    if len(text) > MAX_LINE and any(len(header[2]) > MAX_LINE for header in headers):
        raise MalformedMessage("Header too long")
    return headers


def _parse_carefully(text: str) -> Headers:
    count = text.count("\r\n")
    if count >= MAX_HEADERS:
        raise MalformedMessage("Too many headers")
    if text.count("\n") != count or text.count("\r") != count:
        raise MalformedMessage("Stray line break")
    try:
        return Headers.parse(text)
    except ValueError:
        raise MalformedMessage("Malformed header line") from None


def _check(headers: Headers) -> None:
    first = headers.first
    try:
        via, from_, to = first["via"][1], first["from"][1], first["to"][1]
        call_id, cseq = first["call-id"][1], first["cseq"][1]
    except KeyError:
        via = from_ = to = call_id = cseq = ""
    if not (via and from_ and to and call_id and cseq):
        missing = next(name for key, name in _MANDATORY if not headers.get(key))
        raise MalformedMessage(f"Missing {missing}")
    if len(first) != len(headers.items) or "," in via:
        _check_repeated(headers)
        via = split_commas(via)[0]
    # Reading them is the check; what was read is kept.
    headers.via = Via.parse(via)
    headers.from_ = NameAddr.parse(from_, "From")
    headers.to = NameAddr.parse(to, "To")
    headers.cseq = CSeq.parse(cseq)
    if len(call_id) > MAX_CALL_ID:
        raise MalformedMessage("Call-ID too long")


def _check_repeated(headers: Headers) -> None:
    for key in headers.repeated:
        if key in _SINGLE:
            raise MalformedMessage(f"More than one {_SINGLE[key]}")
    lines = headers.lines("via")
    if len(lines) + sum(line.count(",") for line in lines) > MAX_VIAS:
        raise MalformedMessage("Too many Vias")


def _cut_body(headers: Headers, body: bytes) -> bytes:
    field = headers.first.get("content-length")
    if field is None:
        return body
    length = field[1]
    if length == "0":
        return b""
    if not length.isascii() or not length.isdigit() or len(length) > 10:
        raise MalformedMessage("Malformed Content-Length")
    size = int(length)
    if size > MAX_BODY:
        raise MalformedMessage("Body too large", 413)
    if size > len(body):
        raise MalformedMessage("Content-Length is larger than the body")
    return body[:size]


def make_response(
    request: Request,
    status: int,
    reason: str = "",
    to_tag: str = "",
    headers: Iterable[tuple[str, str]] = (),
    vias: Sequence[Header] = (),
) -> Response:
    """
    An answer of ours (RFC 3261 section 8.2.6.2).

    :param to_tag: put into the To unless it has a tag.
    :param vias: in the place of those of the request.
    """
    echoed = _ECHOED_BESIDE_VIA if vias else _ECHOED
    kept = [*vias, *[header for header in request.headers.items if header[0] in echoed]]
    if to_tag:
        kept = [_tagged(header, to_tag) if header[0] == "to" else header for header in kept]
    kept.extend([make_header(name, value) for name, value in headers])
    kept.append(_EMPTY)
    return Response(status, reason or reason_of(status), Headers(kept))


def _tagged(to: Header, tag: str) -> Header:
    try:
        if NameAddr.parse(to[1], "To").tag is not None:
            return to
    except MalformedMessage:
        return to
    return keep_header("To", f"{to[1]};tag={tag}")


_ECHOED_BESIDE_VIA = frozenset(("from", "to", "call-id", "cseq"))
_ECHOED = _ECHOED_BESIDE_VIA | {"via"}
_EMPTY = make_header("Content-Length", "0")
