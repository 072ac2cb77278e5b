"""
Tests for siptwist.proxy.masquerade.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import MalformedMessage
from siptwist.proxy.masquerade import (
    Masquerade,
    Phone,
    own_record_route,
    own_via,
    swapped_record_routes,
)
from siptwist.proxy.registration.location import Locations
from siptwist.proxy.registration.visitors import Visitors
from siptwist.sip.headers import Header
from siptwist.sip.hop import Hop, Side
from tests.proxy.asking import PHONE, TWO_SOCKETS, bind, request, response
from tests.proxy.registering import KEY, NOW

AOR = "sip:alice@provider.example"
IN, OUT = "<sip:10.0.0.1;lr>", "<sip:203.0.113.7;lr>"


class OutgoingTests(SynchronousTestCase):
    """
    What a phone says about where it is.
    """

    def setUp(self) -> None:
        self.locations, self.visitors = Locations(), Visitors()
        self.masquerade = Masquerade(self.locations, self.visitors, KEY)

    def masked(self, contact: str, phone: Phone | None = None, **more: Any) -> str | None:
        """
        The Contact that goes out; ``None`` when it stays.
        """
        changes: dict[str, tuple[Header, ...]] = {}
        headers = request(f"Contact: {contact}").headers
        phone = phone or Phone(AOR, PHONE, Side.INSIDE)
        self.masquerade.outgoing(changes, headers, phone, TWO_SOCKETS, NOW, **more)
        found = changes.get("contact")
        return None if found is None else ", ".join(value for _, value, _ in found)

    def test_registered_phone(self) -> None:
        """
        A registered phone's Contact goes out under the mask of its binding, parameters kept.
        """
        bind(self.locations, "0123456789ab")
        self.assertEqual(
            self.masked('"A" <sip:alice@10.0.0.5:5060>;+sip.instance="x"'),
            '"A" <sip:alice@203.0.113.7;line=0123456789ab>;+sip.instance="x"',
        )
        self.assertEqual(len(self.visitors), 0)

    def test_equal_contact(self) -> None:
        """
        A Contact that only looks different is the same phone (RFC 3261 section 19.1.4; P9 of
        siproxd).
        """
        bind(self.locations, "0123456789ab", contact="sip:alice@10.0.0.5:5060;transport=udp")
        made = self.masked("<SIP:alice@10.0.0.5:5060;transport=UDP>")
        self.assertEqual(made, "<sip:alice@203.0.113.7;line=0123456789ab>")

    def test_account_decides(self) -> None:
        """
        A phone with one Contact under two accounts: the From's account decides the mask.
        """
        bind(self.locations, "aaaaaaaaaaaa", aor=AOR)
        bind(self.locations, "bbbbbbbbbbbb", aor="sip:alice@second.example")
        phone = Phone("sip:alice@second.example", PHONE, Side.INSIDE)
        self.assertIn("line=bbbbbbbbbbbb", self.masked("<sip:alice@10.0.0.5:5060>", phone) or "")

    def test_mask_that_was_called(self) -> None:
        """
        A phone that was called at a mask answers under that mask.
        """
        bind(self.locations, "aaaaaaaaaaaa", aor=AOR)
        bind(self.locations, "bbbbbbbbbbbb", aor="sip:alice@second.example")
        phone = Phone("sip:unknown@number", PHONE, Side.INSIDE, "bbbbbbbbbbbb")
        self.assertIn("line=bbbbbbbbbbbb", self.masked("<sip:alice@10.0.0.5:5060>", phone) or "")

    def test_other_account_at_the_same_address(self) -> None:
        """
        A registered phone that calls under another name goes out under its binding.
        """
        bind(self.locations, "0123456789ab")
        phone = Phone("sip:anonymous@anonymous.invalid", PHONE, Side.INSIDE)
        self.assertIn("line=0123456789ab", self.masked("<sip:alice@10.0.0.5:5060>", phone) or "")

    def test_visitor(self) -> None:
        """
        A phone that is not registered gets a mask of its own, always the same.
        """
        made = self.masked("<sip:alice@10.0.0.5:5060>")
        self.assertEqual(made, self.masked("<sip:alice@10.0.0.5:5060>"))
        mask = (made or "").partition("line=")[2].rstrip(">")
        visitor = self.visitors.by_mask(mask)
        assert visitor is not None
        self.assertEqual((visitor.contact, visitor.hop), ("sip:alice@10.0.0.5:5060", PHONE))

    def test_no_user_part(self) -> None:
        """
        A Contact without user part goes out under the account's.
        """
        self.assertTrue((self.masked("<sip:10.0.0.5>") or "").startswith("<sip:alice@203.0.113.7;"))

    def test_others_stay(self) -> None:
        """
        Contacts that are no SIP URIs, and ``*``, stay.
        """
        for contact in ("<tel:+4930>", "*", "<mailto:a@b>"):
            self.assertIsNone(self.masked(contact))

    def test_redirection(self) -> None:
        """
        Of a redirection only those Contacts are masked that point to our premises.
        """
        made = self.masked("<sip:bob@10.0.0.6>, <sip:bob@elsewhere.example>", only_local=True) or ""
        self.assertNotIn("10.0.0.6", made)
        self.assertTrue(made.endswith(", <sip:bob@elsewhere.example>"))
        self.assertIsNone(self.masked("<sip:bob@elsewhere.example>", only_local=True))

    def test_malformed(self) -> None:
        """
        A Contact that cannot be read, or is endless, is refused.
        """
        for contact in ("<sip:[>", "<sip:a@b", f"<sip:{'a' * 3000}@b>"):
            self.assertRaises(MalformedMessage, self.masked, contact)

    def test_user_agent(self) -> None:
        """
        User-Agent is replaced when ua_string is set, and only then.
        """
        for text in ("", "Hidden"):
            changes: dict[str, tuple[Header, ...]] = {}
            masquerade = Masquerade(self.locations, self.visitors, KEY, text)
            headers = request("User-Agent: Phone/1").headers
            phone = Phone(AOR, PHONE, Side.INSIDE)
            masquerade.outgoing(changes, headers, phone, TWO_SOCKETS, NOW)
            self.assertEqual("user-agent" in changes, bool(text))


class RecordRouteTests(SynchronousTestCase):
    """
    Our Record-Route in a response (RFC 3261 section 16.7 step 8).
    """

    def swapped(
        self, *routes: str, below: int = 0, hidden: tuple[str, ...] = (), hides: bool = False
    ) -> list[str]:
        headers = response(200, *(f"Record-Route: {route}" for route in routes)).headers
        kept = [("record-route", route, f"Record-Route: {route}") for route in hidden]
        made = swapped_record_routes(headers, TWO_SOCKETS, Side.INSIDE, below, kept, hides)
        return [value for _, value, _ in made]

    def test_ours(self) -> None:
        """
        The Record-Route for the one side becomes that for the other.
        """
        self.assertEqual(self.swapped(OUT), [IN])

    def test_hidden_return(self) -> None:
        """
        What was hidden from the outside comes back below ours.
        """
        self.assertEqual(self.swapped(OUT, hidden=("<sip:a;lr>",)), [IN, "<sip:a;lr>"])

    def test_those_above_and_below(self) -> None:
        """
        Those of other proxies stay, whether before or behind us.
        """
        self.assertEqual(
            self.swapped("<sip:x;lr>", OUT, "<sip:y;lr>", below=1), ["<sip:x;lr>", IN, "<sip:y;lr>"]
        )

    def test_those_of_the_house(self) -> None:
        """
        The outside is not told of proxies between us and the phone that it called.
        """
        for routes in (("<sip:x;lr>", OUT, "<sip:y;lr>"), (f"<sip:x;lr>, {OUT},<sip:y;lr>",)):
            self.assertEqual(self.swapped(*routes, below=1, hides=True), [IN, "<sip:y;lr>"])

    def test_each_pass_its_own(self) -> None:
        """
        A call that went through us twice: each pass changes its own Record-Route only.
        """
        self.assertEqual(self.swapped(OUT, "<sip:p;lr>", OUT, below=0), [OUT, "<sip:p;lr>", IN])
        self.assertEqual(self.swapped(OUT, "<sip:p;lr>", OUT, below=2), [IN, "<sip:p;lr>", OUT])

    def test_one_line(self) -> None:
        """
        Several values in one line are told apart.
        """
        self.assertEqual(
            self.swapped(f"<sip:x;lr>, {OUT},<sip:y;lr>", below=1), ["<sip:x;lr>", IN, "<sip:y;lr>"]
        )

    def test_written_otherwise(self) -> None:
        """
        Ours is known although a callee wrote it with its port or a new parameter.
        """
        self.assertEqual(self.swapped("<sip:203.0.113.7:5060;lr=on>"), [IN])

    def test_lost(self) -> None:
        """
        A callee that lost our Record-Route, or wrote nonsense, gets nothing mended.
        """
        self.assertEqual(self.swapped("<sip:x;lr>"), ["<sip:x;lr>"])
        self.assertEqual(self.swapped("<sip:[;lr>"), ["<sip:[;lr>"])
        self.assertEqual(self.swapped("<sip:x;lr>", below=3), ["<sip:x;lr>"])

    def test_own_headers(self) -> None:
        """
        Our Via and Record-Route name the side they are for.
        """
        self.assertEqual(
            own_via(TWO_SOCKETS, Side.OUTSIDE, "z9hG4bKx")[2],
            "Via: SIP/2.0/UDP 203.0.113.7:5060;branch=z9hG4bKx;rport",
        )
        self.assertEqual(own_record_route(TWO_SOCKETS, Side.INSIDE)[2], f"Record-Route: {IN}")


class MovedTests(SynchronousTestCase):
    """
    A phone behind one more router.
    """

    def test_contact_of_another_address(self) -> None:
        """
        A phone whose Contact names an address that it does not send from is masked all the same.
        """
        locations = Locations()
        masquerade = Masquerade(locations, Visitors(), KEY)
        bind(locations, "0123456789ab", contact="sip:alice@192.168.7.7", source=Hop("10.0.0.5", 9))
        changes: dict[str, tuple[Header, ...]] = {}
        headers = request("Contact: <sip:alice@192.168.7.7>").headers
        phone = Phone(AOR, Hop("10.0.0.5", 9), Side.INSIDE)
        masquerade.outgoing(changes, headers, phone, TWO_SOCKETS, NOW)
        self.assertIn("line=0123456789ab", changes["contact"][0][1])
