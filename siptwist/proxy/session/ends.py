"""
Where the two ends of a call are, for requests of our own (RFC 3261 section 12).

What each of them said of itself is kept as it came, and read when a request is
made: hardly a call ever needs one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from siptwist.errors import MalformedHeader
from siptwist.sip.fields import CSeq, NameAddr
from siptwist.sip.headers import Header, Headers, keep_header, make_header
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Request, Response
from siptwist.sip.values import Value

if TYPE_CHECKING:
    from siptwist.proxy.passage import Passage
    from siptwist.proxy.ticket import Ticket


@dataclass(slots=True)
class End(Value):
    """
    One end of a call.

    ``name`` is its From or To with the tag, ``contact`` where it says it is, and
    ``hop`` where it was heard from on ``side``.  ``recorded`` are the Record-Routes
    of the message by which it joined the call, of which ``below`` stand below ours;
    -1 for the caller, who is reached by all of them.  ``is_phone`` says that it is
    ours to mask, ``mask`` names its binding if one was called; ``allow`` are the
    methods that it takes.
    """

    name: Header
    contact: Header | None
    recorded: tuple[Header, ...]
    below: int
    side: Side
    hop: Hop
    is_phone: bool
    mask: str = ""
    allow: Header | None = None

    @property
    def may_be_invited(self) -> bool:
        """
        Whether it takes INVITE, as far as it says (RFC 3261 section 20.5).
        """
        return self.allow is None or "INVITE" in self.allow[1].upper()

    @property
    def target(self) -> str:
        """
        The URI that requests to it have.

        :raises MalformedHeader: when it named no Contact, or not one.
        """
        if self.contact is None:
            raise MalformedHeader("Contact", "")
        return NameAddr.parse(self.contact[1], "Contact").uri_text

    @property
    def routes(self) -> list[str]:
        """
        The proxies between it and us, nearest first (RFC 3261 section 12.1).
        """
        values = Headers(self.recorded).values("record-route")
        if self.below < 0:
            return values
        return values[: max(0, len(values) - 1 - self.below)][::-1]


def caller_of(ticket: Ticket, is_phone: bool) -> End:
    """
    Who sent the INVITE of ``ticket``.
    """
    headers = ticket.request.headers
    first = headers.first
    return End(
        first["from"],
        first.get("contact"),
        _recorded(headers),
        -1,
        ticket.side,
        ticket.source,
        is_phone,
        allow=first.get("allow"),
    )


def callee_of(passage: Passage, response: Response) -> End:
    """
    Who answered with ``response``, as it came.
    """
    headers = response.headers
    first = headers.first
    return End(
        first["to"],
        first.get("contact"),
        _recorded(headers),
        passage.below,
        passage.side,
        passage.hop,
        passage.to_phone,
        passage.target.mask,
        first.get("allow"),
    )


def _recorded(headers: Headers) -> tuple[Header, ...]:
    first = headers.first
    if "record-route" not in first:
        return ()
    is_only = len(first) == len(headers.items)
    return (first["record-route"],) if is_only else headers.fields("record-route")


def in_dialog_request(
    method: str,
    number: int,
    end: End,
    sender: Header,
    call_id: str,
    via: Header,
    more: tuple[Header, ...] = (),
    body: bytes = b"",
) -> Request:
    """
    A request to ``end`` as the other end of its dialog would send it.

    :param number: of its CSeq.
    :param sender: the From or To of the other end.
    :param more: further fields.
    :raises MalformedHeader: when it is not known where ``end`` is.
    """
    made = [
        via,
        make_header("Max-Forwards", "70"),
        *[make_header("Route", route) for route in end.routes],
        keep_header("From", sender[1]),
        keep_header("To", end.name[1]),
        make_header("Call-ID", call_id),
        make_header("CSeq", str(CSeq(number, method))),
        *more,
        make_header("Content-Length", str(len(body))),
    ]
    return Request(method, end.target, Headers(made), body)
