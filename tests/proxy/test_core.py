"""
Tests for siptwist.proxy.core.
"""

from __future__ import annotations

import ipaddress
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import SIPError
from siptwist.proxy.core import Core
from siptwist.proxy.decision import Decision, Drop, Forward, Reply
from siptwist.proxy.direction import Peers
from siptwist.proxy.identity import Identity
from siptwist.proxy.registration.location import Locations
from siptwist.proxy.registration.registrar import Registrar
from siptwist.proxy.registration.visitors import Visitor, Visitors
from siptwist.proxy.routing import OutboundProxies
from siptwist.proxy.screening.access import Access
from siptwist.proxy.ticket import Ticket
from siptwist.sip.hop import Hop, Side
from tests.proxy.asking import PHONE, TWO_SOCKETS, WORLD, bind, from_world, ticket
from tests.proxy.registering import KEY, NOW, register

MASK, OTHER = "aaaaaaaaaaaa", "bbbbbbbbbbbb"
AT_MASK = f"sip:alice@203.0.113.7;line={MASK}"


class CoreCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.locations, self.visitors, self.peers = Locations(), Visitors(), Peers()
        self.core = self.make_core()

    def make_core(self, identity: Identity = TWO_SOCKETS, **more: Any) -> Core:
        registrar = Registrar(self.locations, identity, KEY)
        return Core(identity, self.locations, self.visitors, self.peers, registrar, **more)

    def forwarded(self, made: Ticket) -> Forward:
        decision = self.core.decide(made)
        assert isinstance(decision, Forward), decision
        return decision

    def status(self, made: Ticket) -> int:
        decision = self.core.decide(made)
        assert isinstance(decision, Reply), decision
        return decision.status

    def uris(self, made: Ticket) -> list[str]:
        return [target.uri for target in self.forwarded(made).targets]


class OutwardTests(CoreCase):
    """
    What phones send out.
    """

    def test_request_uri(self) -> None:
        """
        A phone's request goes where its Request-URI says.
        """
        found = self.forwarded(ticket())
        (target,) = found.targets
        self.assertEqual((target.uri, target.next_hop), ("sip:bob@example.net",) * 2)
        self.assertEqual((found.from_phone, found.to_phone), (True, False))

    def test_route(self) -> None:
        """
        A phone's Route decides, ours taken off, even when the Request-URI is ours.
        """
        bind(self.locations, MASK)
        made = ticket("Route: <sip:10.0.0.1;lr>, <sip:p.example;lr>", uri=AT_MASK)
        (target,) = self.forwarded(made).targets
        self.assertEqual((target.uri, target.next_hop), (AT_MASK, "sip:p.example;lr"))

    def test_registration_elsewhere(self) -> None:
        """
        A REGISTER for another domain goes there.
        """
        made = register(uri="sip:provider.example", to="<sip:alice@provider.example>")
        self.assertEqual(self.uris(made), ["sip:provider.example"])

    def test_telephone_number(self) -> None:
        """
        tel goes to the provider of the caller's account; without one it is refused.
        """
        self.assertEqual(self.status(ticket(uri="tel:+4930")), 416)
        bind(self.locations, MASK)
        (target,) = self.forwarded(ticket(uri="tel:+4930")).targets
        self.assertEqual((target.uri, target.next_hop), ("tel:+4930", "sip:provider.example"))

    def test_telephone_number_and_outbound_proxy(self) -> None:
        """
        tel goes to the outbound proxy when there is one.
        """
        self.core = self.make_core(proxies=OutboundProxies("sip:out.example:5060"))
        (target,) = self.forwarded(ticket(uri="tel:+4930")).targets
        self.assertEqual((target.uri, target.next_hop), ("tel:+4930", "sip:out.example:5060"))

    def test_unreadable_route(self) -> None:
        """
        A Route that cannot be read is an error with its status.
        """
        error = self.assertRaises(SIPError, self.core.decide, ticket("Route: <sip:[>"))
        self.assertEqual(error.status, 400)


class ToPhonesTests(CoreCase):
    """
    Which phone is meant.
    """

    def test_mask(self) -> None:
        """
        The mask names the phone, whatever user and To say.
        """
        bind(self.locations, MASK)
        bind(self.locations, OTHER, aor="sip:bob@provider.example", contact="sip:bob@10.0.0.6")
        made = from_world(
            uri=f"sip:x@203.0.113.7;line={OTHER.upper()}", to="<sip:alice@provider.example>"
        )
        found = self.forwarded(made)
        self.assertEqual([target.uri for target in found.targets], ["sip:bob@10.0.0.6"])
        self.assertEqual((found.from_phone, found.to_phone), (False, True))

    def test_lapsed_mask(self) -> None:
        """
        The mask of a lapsed binding: 480 for new requests, the phone inside of dialogs.
        """
        bind(self.locations, MASK, expires_at=NOW - 1)
        self.assertEqual(self.status(from_world(uri=AT_MASK)), 480)
        made = from_world(uri=AT_MASK, to="<sip:alice@provider.example>;tag=a", method="BYE")
        self.assertEqual(self.uris(made), ["sip:alice@10.0.0.5:5060"])

    def test_retired_mask(self) -> None:
        """
        A binding that is gone serves its dialogs, and nothing else.
        """
        binding = bind(self.locations, MASK)
        self.locations.remove(MASK)
        self.core.retire(binding, NOW)
        self.assertEqual(self.status(from_world(uri=AT_MASK)), 480)
        made = from_world(uri=AT_MASK, to="<sip:alice@provider.example>;tag=a", method="BYE")
        (target,) = self.forwarded(made).targets
        self.assertEqual((target.hop, target.side), (PHONE, Side.INSIDE))

    def test_visitor_moved(self) -> None:
        """
        A visitor that registered from another port later is reached there.
        """
        contact = "sip:alice@10.0.0.5:5060"
        aor = "sip:alice@provider.example"
        self.visitors.note(Visitor(MASK, contact, PHONE, Side.INSIDE, aor, NOW - 500))
        bind(self.locations, OTHER, contact="sip:alice@10.0.0.5:5072")
        made = from_world(uri=AT_MASK, to="<sip:alice@provider.example>;tag=a", method="BYE")
        self.assertEqual(self.uris(made), ["sip:alice@10.0.0.5:5072"])

    def test_guessed_mask(self) -> None:
        """
        A mask that we never gave: 404.
        """
        bind(self.locations, MASK)
        self.assertEqual(
            self.status(from_world(uri="sip:alice@203.0.113.7;line=cccccccccccc")), 404
        )

    def test_request_uri_before_to(self) -> None:
        """
        The Request-URI decides before the To: a forwarded call rings whom it was forwarded to
        (F13 of siproxd).
        """
        bind(self.locations, MASK)
        bind(self.locations, OTHER, aor="sip:bob@provider.example", contact="sip:bob@10.0.0.6")
        made = from_world(uri="sip:bob@provider.example", to="<sip:alice@provider.example>")
        self.assertEqual(self.uris(made), ["sip:bob@10.0.0.6"])

    def test_to(self) -> None:
        """
        A Request-URI that names nobody: the To does.
        """
        bind(self.locations, MASK)
        made = from_world(uri="sip:x@elsewhere.example", to="<sip:alice@provider.example>")
        self.assertEqual(self.uris(made), ["sip:alice@10.0.0.5:5060"])

    def test_same_user_at_two_providers(self) -> None:
        """
        user@us without mask: the To, then the server's domain, then the From's tells which.
        """
        bind(self.locations, MASK)
        bind(
            self.locations,
            OTHER,
            aor="sip:alice@second.example",
            registrar="second.example",
            contact="sip:alice@10.0.0.6",
        )
        uri = "sip:alice@203.0.113.7"
        self.assertEqual(
            self.uris(from_world(uri=uri, to="<sip:alice@second.example>")), ["sip:alice@10.0.0.6"]
        )
        self.assertEqual(
            self.uris(from_world(uri=uri, to="<sip:+49@x>", from_="<sip:b@second.example>;tag=b")),
            ["sip:alice@10.0.0.6"],
        )
        self.peers.note(WORLD, "provider.example")
        made = from_world(uri=uri, to="<sip:+49@x>", from_="<sip:b@second.example>;tag=b")
        self.assertEqual(self.uris(made), ["sip:alice@10.0.0.5:5060"])

    def test_same_user_and_no_hint(self) -> None:
        """
        Without any hint both accounts ring (F11 of siproxd).
        """
        bind(self.locations, MASK)
        bind(
            self.locations,
            OTHER,
            aor="sip:alice@second.example",
            registrar="second.example",
            contact="sip:alice@10.0.0.6",
        )
        self.assertEqual(len(self.uris(from_world(uri="sip:alice@203.0.113.7"))), 2)

    def test_registered_here_first(self) -> None:
        """
        user@us: who registered with us comes before who registered elsewhere.
        """
        bind(self.locations, MASK)
        bind(
            self.locations,
            OTHER,
            aor="sip:alice@10.0.0.1",
            registrar="",
            contact="sip:alice@10.0.0.6",
        )
        self.assertEqual(self.uris(ticket(uri="sip:alice@10.0.0.1")), ["sip:alice@10.0.0.6"])

    def test_preference(self) -> None:
        """
        Contacts come in the order of their q; a q that makes no sense is 1 (P5 of siproxd).
        """
        for number, q in enumerate(("0.2", "0.9", "many")):
            bind(
                self.locations,
                f"{number:012}",
                aor="sip:bob@10.0.0.1",
                registrar="",
                contact=f"sip:bob@10.0.0.{number}",
                parameters=f";q={q}",
            )
        found = self.forwarded(ticket(uri="sip:bob@10.0.0.1"))
        self.assertEqual([target.q for target in found.targets], [1.0, 0.9, 0.2])

    def test_phone_to_phone(self) -> None:
        """
        A phone that calls user@us calls a phone: neither end is masked for the other.
        """
        bind(self.locations, MASK)
        found = self.forwarded(ticket(uri="sip:alice@10.0.0.1"))
        self.assertEqual((found.from_phone, found.to_phone), (True, True))

    def test_routes_of_strangers(self) -> None:
        """
        A Route beyond us of somebody outside is dropped on the way to a phone.
        """
        bind(self.locations, MASK)
        made = from_world("Route: <sip:203.0.113.7;lr>, <sip:victim;lr>", uri=AT_MASK)
        self.assertNotIn("route", self.forwarded(made).ticket.request.headers)

    def test_stranger_to_stranger(self) -> None:
        """
        Nobody outside reaches anybody outside through us.
        """
        self.assertEqual(self.status(from_world(uri="sip:carol@example.org")), 404)
        made = from_world("Route: <sip:victim;lr>", uri="sip:carol@example.org")
        self.assertEqual(self.status(made), 404)
        self.assertEqual(self.status(from_world(uri="tel:+4930")), 404)

    def test_unknown_user_of_ours(self) -> None:
        """
        A phone that calls a user whom we do not know: 404, not a loop.
        """
        self.assertEqual(self.status(ticket(uri="sip:nobody@10.0.0.1")), 404)

    def test_phone_behind_another_router(self) -> None:
        """
        A phone whose Contact is behind one more router is reached where its REGISTER came from
        (F17 of siproxd).
        """
        bind(self.locations, MASK, contact="sip:alice@192.168.7.7", source=Hop("10.0.0.5", 41000))
        (target,) = self.forwarded(from_world(uri=AT_MASK)).targets
        self.assertEqual(target.hop, Hop("10.0.0.5", 41000))
        self.assertEqual(target.uri, "sip:alice@192.168.7.7")


class OwnTests(CoreCase):
    """
    Requests for us.
    """

    def test_options(self) -> None:
        """
        OPTIONS to us: 200; another method to nobody of us: 404.
        """
        for made in (ticket, from_world):
            self.assertEqual(self.status(made(method="OPTIONS", uri="sip:203.0.113.7")), 200)
            self.assertEqual(self.status(made(method="MESSAGE", uri="sip:203.0.113.7")), 404)

    def test_registration(self) -> None:
        """
        A phone's REGISTER to us is answered with what changes.
        """
        decision = self.core.decide(register("Contact: <sip:alice@10.0.0.5>"))
        assert isinstance(decision, Reply)
        self.assertEqual((decision.status, len(decision.changed)), (200, 1))

    def test_registration_from_outside(self) -> None:
        """
        A REGISTER from outside: 403, whosever registrar is meant.
        """
        for uri in ("sip:203.0.113.7", "sip:provider.example"):
            made = register(uri=uri, source=WORLD)._replace(side=Side.OUTSIDE)
            self.assertEqual(self.status(made), 403)

    def test_registration_is_allowed(self) -> None:
        """
        register_from_outside lets phones outside register, those in hosts_allow_reg,
        which keeps others out inside as well.
        """
        networks = (ipaddress.ip_network("198.51.100.0/24"),)
        made = register("Contact: <sip:alice@198.51.100.9>", source=WORLD)
        made = made._replace(side=Side.OUTSIDE)
        self.core = self.make_core(access=Access(allow_register=networks, register_outside=True))
        self.assertEqual(self.status(made), 200)
        self.assertEqual(self.status(register()), 403)
        self.core = self.make_core(access=Access(allow_register=networks))
        self.assertEqual(self.status(made), 403)

    def test_registration_with_a_forged_address(self) -> None:
        """
        A REGISTER that arrives outside with an address of the inside is refused: it is the
        socket that tells (siproxd's fault S2: nothing told the sides apart).
        """
        made = register("Contact: <sip:alice@10.0.0.5>", source=Hop("10.0.0.5", 5060))
        self.assertEqual(self.status(made._replace(side=Side.OUTSIDE)), 403)
        self.assertEqual(self.status(made), 200)

    def test_registration_from_this_machine(self) -> None:
        """
        A program on the proxy's own machine is inside, whichever address it speaks to.
        """
        for host in ("127.0.0.1", "203.0.113.7", "10.0.0.1"):
            made = register("Contact: <sip:pbx@127.0.0.1:5080>", source=Hop(host, 5080))
            self.assertEqual(self.status(made._replace(side=Side.OUTSIDE)), 200, host)

    def test_guard(self) -> None:
        """
        Who must pass a guard hears its answer, or goes on with what the guard made of the
        request; a REGISTER does not pass there.
        """
        refusal = Reply(407, why="no credentials")
        self.core.guard = lambda made, is_phone: refusal
        self.assertIs(self.core.decide(ticket(uri="sip:carol@provider.example")), refusal)
        self.assertEqual(self.status(register("Contact: <sip:alice@10.0.0.5>")), 200)
        other = ticket(uri="sip:dave@provider.example")
        self.core.guard = lambda made, is_phone: other
        self.assertEqual(self.uris(ticket(uri="sip:carol@provider.example")), [other.request.uri])

    def test_authentication(self) -> None:
        """
        A REGISTER to us must prove who it is; one that passes through need not.
        """
        refusal = Reply(401, why="no credentials")
        self.core = self.make_core(authenticate=lambda made: refusal)
        self.assertIs(self.core.decide(register("Contact: <sip:alice@10.0.0.5>")), refusal)
        self.assertEqual(self.uris(register(uri="sip:provider.example")), ["sip:provider.example"])

    def test_denied(self) -> None:
        """
        Who is denied is dropped before anything is looked at.
        """
        self.core = self.make_core(access=Access(deny_sip=(ipaddress.ip_network("0.0.0.0/0"),)))
        decision: Decision = self.core.decide(ticket("Max-Forwards: 0"))
        self.assertIsInstance(decision, Drop)

    def test_validated_first(self) -> None:
        """
        What must not be forwarded is refused, whoever is meant.
        """
        bind(self.locations, MASK)
        self.assertEqual(self.status(from_world("Max-Forwards: 0", uri=AT_MASK)), 483)
