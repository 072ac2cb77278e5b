"""
Ends a call that was answered in vain (RFC 3261 sections 13.2.2.4 and 15).

A 2xx that we cannot pass back leaves a callee who repeats it for half a minute
and then waits for a caller who was told that it came to nothing.
"""

from __future__ import annotations

from collections import OrderedDict

from twisted.internet.defer import Deferred

from siptwist.errors import SIPError
from siptwist.interfaces import IMessageSender, IResolver
from siptwist.logs import logger
from siptwist.proxy.identity import Identity
from siptwist.proxy.masquerade import own_via
from siptwist.proxy.passage import Passage
from siptwist.proxy.routing import host_and_port
from siptwist.services.serving.context import new_branch, when
from siptwist.services.transactions import TransactionService
from siptwist.sip.fields import CSeq, NameAddr
from siptwist.sip.headers import Header, Headers, make_header
from siptwist.sip.hop import Hop
from siptwist.sip.message import Request, Response, cseq_of

# Calls of which is remembered that they have had their BYE.
REMEMBERED = 256


class HangUp:
    """
    Says ACK and BYE to callees in the place of the caller.
    """

    _log = logger()

    def __init__(self, transactions: TransactionService, sender: IMessageSender) -> None:
        self._transactions = transactions
        self._sender = sender
        self._ended: OrderedDict[tuple[str, str], None] = OrderedDict()

    def end(
        self, passage: Passage, response: Response, resolver: IResolver, identity: Identity
    ) -> None:
        """
        The caller will never hear of this 2xx to an INVITE; other responses, and
        2xx to other methods, need nothing.

        A call that was established before goes on: its 2xx gets its ACK only.
        """
        if passage.method != "INVITE" or not 200 <= response.status < 300:
            return
        try:
            target, routes = remote_target(passage, response)
            found = _next_hop(passage, target, routes, resolver)
        except SIPError as error:
            self._log.info("Cannot hang up: {why}", why=error.reason)
            return

        def send(hops: list[Hop]) -> None:
            self._send(passage, response, target, routes, hops[0], identity)

        when(found, send, lambda failure: self._log.info("Cannot hang up: {why}", why=str(failure)))

    def _send(
        self,
        passage: Passage,
        response: Response,
        target: str,
        routes: list[str],
        hop: Hop,
        identity: Identity,
    ) -> None:
        def make(method: str, branch: str) -> Request:
            via = own_via(identity, passage.side, branch)
            return in_dialog_request(method, response, target, routes, via)

        self._sender.send(bytes(make("ACK", new_branch(""))), hop, passage.side)
        if passage.in_dialog or self._is_ended(response):
            return
        branch = new_branch("")
        self._transactions.send(make("BYE", branch), branch, hop, passage.side, None)

    def _is_ended(self, response: Response) -> bool:
        """
        Whether this callee has had his BYE: then the 2xx is a repeated one.
        """
        headers = response.headers
        known = (headers.get("call-id") or "", headers.to.tag or "")
        if known in self._ended:
            return True
        self._ended[known] = None
        if len(self._ended) > REMEMBERED:
            self._ended.popitem(last=False)
        return False


def remote_target(passage: Passage, response: Response) -> tuple[str, list[str]]:
    """
    Where requests of this dialog go to, and by which Routes: those Record-Routes that
    were put above ours (RFC 3261 section 12.1.2).

    :raises MalformedHeader: when the response names no Contact.
    """
    contacts = response.headers.values("contact")
    contact = NameAddr.parse(contacts[0] if contacts else "", "Contact")
    routes = response.headers.values("record-route")
    above = routes[: max(0, len(routes) - 1 - passage.below)]
    return contact.uri_text, above[::-1]


def _next_hop(
    passage: Passage, target: str, routes: list[str], resolver: IResolver
) -> list[Hop] | Deferred[list[Hop]]:
    if passage.to_phone and not routes:
        return [passage.hop]
    first = NameAddr.parse(routes[0], "Record-Route").uri_text if routes else target
    host, port, transport = host_and_port(first)
    found: list[Hop] | Deferred[list[Hop]] = resolver.resolve(
        host, port, "UDP" if transport else None
    )
    return found


def in_dialog_request(
    method: str, response: Response, target: str, routes: list[str], via: Header
) -> Request:
    """
    The ACK for a 2xx, or the BYE after it, as the caller would send it.
    """
    number = cseq_of(response).number + (method != "ACK")
    kept = [header for header in response.headers if header[0] in ("from", "to", "call-id")]
    made = [
        via,
        make_header("Max-Forwards", "70"),
        *[make_header("Route", route) for route in routes],
        *kept,
        make_header("CSeq", str(CSeq(number, method))),
        make_header("Content-Length", "0"),
    ]
    return Request(method, target, Headers(made))
