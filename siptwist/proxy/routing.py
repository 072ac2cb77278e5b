"""
Where a request goes (RFC 3261 sections 16.4 to 16.6).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from siptwist.errors import MalformedHeader, MalformedURI, SIPError
from siptwist.proxy.identity import Identity
from siptwist.proxy.ticket import Ticket
from siptwist.sip.fields import NameAddr
from siptwist.sip.grammar import REMEMBERED
from siptwist.sip.headers import keep_header
from siptwist.sip.message import Request
from siptwist.sip.uri import SIPURI


def take_own_routes(ticket: Ticket, identity: Identity) -> Ticket:
    """
    Route information preprocessing (RFC 3261 section 16.4).

    A Request-URI that is our own Record-Route value comes from a strict router:
    the last Route is the real one.  Then every topmost Route that is us goes.
    """
    request = ticket.request
    headers = request.headers
    if "route" not in headers.first:
        return ticket
    method, uri, body = request.method, request.uri, request.body
    is_strict = _is_own_record_route(ticket.uri, identity)
    is_only = len(headers.first) == len(headers.items)
    if is_only and not is_strict and _is_one_of_us(headers.first["route"][1], identity):
        return ticket.with_request(Request(method, uri, headers.without("route"), body))
    routes = headers.values("route")
    count = len(routes)
    if is_strict:
        uri = NameAddr.parse(routes.pop(), "Route").uri_text
    while routes and _is_us(routes[0], identity):
        routes.pop(0)
    if len(routes) == count:
        return ticket
    if routes:
        headers = headers.replaced({"route": [keep_header("Route", route) for route in routes]})
    else:
        headers = headers.without("route")
    return ticket.with_request(Request(method, uri, headers, body))


def _is_own_record_route(uri: SIPURI | None, identity: Identity) -> bool:
    if uri is None or uri.user or uri.parameter("lr") is None:
        return False
    return identity.is_own(uri)


def _is_one_of_us(value: str, identity: Identity) -> bool:
    """
    Whether the value of a Route is a single one, and us.
    """
    return value in identity.own_routes or ("," not in value and _is_us(value, identity))


def _is_us(route: str, identity: Identity) -> bool:
    return (_is_own if len(route) <= REMEMBERED else _is_own.__wrapped__)(route, identity)


@lru_cache(maxsize=1024)
def _is_own(route: str, identity: Identity) -> bool:
    value = NameAddr.parse(route, "Route")
    try:
        return identity.is_own(value.uri)
    except MalformedURI:
        raise MalformedHeader("Route", route) from None


@dataclass(frozen=True)
class OutboundProxies:
    """
    Fixed next hops of what phones send out (siproxd's outbound_proxy_* and
    outbound_domain_*): by the domain of the From, or for all.
    """

    default: str = ""
    by_domain: Mapping[str, str] | None = None

    def next_hop(self, from_host: str) -> str:
        """
        A SIP URI, or "" when the Request-URI decides.
        """
        if self.by_domain:
            found = self.by_domain.get(from_host.lower())
            if found is not None:
                return found
        return self.default


def outward(ticket: Ticket, proxies: OutboundProxies) -> tuple[Ticket, str]:
    """
    The request to send out and the URI of its next hop: the first Route, or
    the outbound proxy, or the Request-URI (RFC 3261 section 16.6 steps 6, 7).

    The next hop is "" for a URI that names no host, such as ``tel:``.

    :raises SIPError: 416 for a Route that asks for TLS: never in the clear.
    """
    routes = ticket.request.headers.values("route")
    if routes:
        first = NameAddr.parse(routes[0], "Route")
        if is_secure(first.uri_text):
            raise SIPError("Route needs TLS", 416)
        if first.uri.parameter("lr") is None:
            return _strictly(ticket, routes), first.uri_text
        return ticket, first.uri_text
    if proxies.default or proxies.by_domain:
        hop = proxies.next_hop(ticket.from_.uri.host if ticket.from_.is_sip else "")
        if hop:
            return ticket, hop
    return ticket, ticket.request.uri if ticket.uri is not None else ""


def is_secure(uri_text: str) -> bool:
    """
    Whether a URI asks for TLS on the whole way, which we do not speak yet: what
    is meant for it is refused (RFC 5630 section 5.3), never sent in the clear.
    """
    return uri_text[:5].lower() == "sips:"


def _strictly(ticket: Ticket, routes: list[str]) -> Ticket:
    """
    The next hop is a strict router (section 16.6 step 6): it wants its own
    URI as Request-URI, and the real one as the last Route.
    """
    editor = ticket.request.headers.edit()
    editor.set("Route", *routes[1:], f"<{ticket.request.uri}>")
    uri = NameAddr.parse(routes[0], "Route").uri_text
    return ticket.with_request(ticket.request._replace(uri=uri, headers=editor.finish()))


def host_and_port(uri_text: str) -> tuple[str, int | None, str | None]:
    """
    What to resolve for a next hop: host, port if it names one, transport if
    it names one (RFC 3263 section 4); ``maddr`` replaces the host.

    :raises MalformedURI: when it is not a SIP URI.
    """
    short = len(uri_text) <= REMEMBERED
    return _host_and_port(uri_text) if short else _host_and_port.__wrapped__(uri_text)


@lru_cache(maxsize=1024)
def _host_and_port(uri_text: str) -> tuple[str, int | None, str | None]:
    uri = SIPURI.parse(uri_text)
    host = uri.parameter("maddr") or uri.address
    return host.strip("[]"), uri.port, uri.transport
