"""
Tests for siptwist.proxy.routing.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import MalformedMessage, MalformedURI
from siptwist.proxy.routing import OutboundProxies, host_and_port, outward, take_own_routes
from tests.proxy.asking import TWO_SOCKETS, ticket

US, THEM = "<sip:10.0.0.1;lr>", "<sip:proxy.example;lr>"


class OwnRoutesTests(SynchronousTestCase):
    """
    Route information preprocessing (RFC 3261 section 16.4).
    """

    def left(self, *routes: str, uri: str = "sip:bob@example.net") -> tuple[str, list[str]]:
        lines = [f"Route: {route}" for route in routes]
        made = take_own_routes(ticket(*lines, uri=uri), TWO_SOCKETS)
        return made.request.uri, made.request.headers.values("route")

    def test_none(self) -> None:
        """
        A request without Route, or with those of others, stays as it is.
        """
        self.assertEqual(self.left(), ("sip:bob@example.net", []))
        made = ticket(f"Route: {THEM}")
        self.assertIs(take_own_routes(made, TWO_SOCKETS), made)

    def test_ours(self) -> None:
        """
        Every topmost Route that is us goes, by either address, in one line or several.
        """
        other = "<sip:203.0.113.7:5060;lr>"
        self.assertEqual(self.left(US, other, THEM)[1], [THEM])
        self.assertEqual(self.left(f"{US}, {other},{THEM}")[1], [THEM])

    def test_ours_below_another(self) -> None:
        """
        A Route of ours behind another's stays for our next turn.
        """
        self.assertEqual(self.left(THEM, US)[1], [THEM, US])

    def test_strict_router_before_us(self) -> None:
        """
        A Request-URI that is our Record-Route is replaced by the last Route.
        """
        found = self.left(THEM, "<sip:bob@10.0.0.9>", uri="sip:10.0.0.1;lr")
        self.assertEqual(found, ("sip:bob@10.0.0.9", [THEM]))

    def test_request_for_us(self) -> None:
        """
        A Request-URI that names us without lr, or a user of ours, is no Record-Route.
        """
        for uri in ("sip:10.0.0.1", "sip:bob@10.0.0.1;lr"):
            self.assertEqual(self.left(THEM, uri=uri), (uri, [THEM]))

    def test_malformed(self) -> None:
        """
        A Route that cannot be read: 400; one that is no SIP URI as well.
        """
        for route in ("<sip:[>", "<tel:+4930>", "<>"):
            self.assertRaises(MalformedMessage, self.left, route)


class OutwardTests(SynchronousTestCase):
    """
    Where a phone's request goes (RFC 3261 section 16.6 steps 6 and 7).
    """

    def test_request_uri(self) -> None:
        """
        Without Route and outbound proxy the Request-URI decides.
        """
        made = ticket()
        self.assertEqual(outward(made, OutboundProxies()), (made, "sip:bob@example.net"))

    def test_telephone_number(self) -> None:
        """
        A tel URI names no next hop.
        """
        self.assertEqual(outward(ticket(uri="tel:+4930"), OutboundProxies())[1], "")

    def test_route(self) -> None:
        """
        A Route comes before the outbound proxy, and stays in the request.
        """
        made, hop = outward(ticket(f"Route: {THEM}"), OutboundProxies("sip:out.example:5060"))
        self.assertEqual(hop, "sip:proxy.example;lr")
        self.assertEqual(made.request.headers.values("route"), [THEM])

    def test_strict_router(self) -> None:
        """
        A strict router gets its URI as Request-URI, and the real one as last Route.
        """
        made, hop = outward(ticket("Route: <sip:old.example>", f"Route: {THEM}"), OutboundProxies())
        self.assertEqual((hop, made.request.uri), ("sip:old.example", "sip:old.example"))
        self.assertEqual(made.request.headers.values("route"), [THEM, "<sip:bob@example.net>"])

    def test_outbound_proxies(self) -> None:
        """
        The outbound proxy of the From's domain, or that for all; tel goes there too.
        """
        proxies = OutboundProxies(
            "sip:out.example:5060", {"provider.example": "sip:own.example:5070"}
        )
        special = ticket(from_="<sip:alice@Provider.Example>;tag=a")
        other = ticket(from_="<sip:alice@other.example>;tag=a")
        number = ticket(from_="<tel:+49301>;tag=a", uri="tel:+4930")
        hops = [outward(made, proxies)[1] for made in (special, other, number)]
        self.assertEqual(
            hops, ["sip:own.example:5070", "sip:out.example:5060", "sip:out.example:5060"]
        )

    def test_other_domains_only(self) -> None:
        """
        A domain without its own outbound proxy goes by the Request-URI when there is none for all.
        """
        proxies = OutboundProxies("", {"special.example": "sip:own.example"})
        self.assertEqual(outward(ticket(), proxies)[1], "sip:bob@example.net")


class HostAndPortTests(SynchronousTestCase):
    """
    What is to be resolved (RFC 3263 section 4).
    """

    def test_parts(self) -> None:
        """
        Host, port and transport, if named; maddr stands for the host.
        """
        cases = {
            "sip:a@Example.Net": ("example.net", None, None),
            "sip:example.net:5070;transport=tcp": ("example.net", 5070, "TCP"),
            "sip:[2001:db8::1]:5070": ("2001:db8::1", 5070, None),
            "sip:a@example.net;maddr=192.0.2.1": ("192.0.2.1", None, None),
        }
        for uri, found in cases.items():
            self.assertEqual(host_and_port(uri), found, uri)

    def test_malformed(self) -> None:
        """
        What is no SIP URI cannot be resolved.
        """
        for uri in ("tel:+4930", "sip:", ""):
            self.assertRaises(MalformedURI, host_and_port, uri)
