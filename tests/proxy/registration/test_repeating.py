"""
Tests for siptwist.proxy.registration.repeating: a REGISTER once more, at another address.
"""

from __future__ import annotations

from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import SIPError
from siptwist.proxy.decision import Forward, Target
from siptwist.proxy.identity import Identity
from siptwist.proxy.masquerade import Masquerade
from siptwist.proxy.passage import Passage, Passages
from siptwist.proxy.registration.location import Binding, Locations
from siptwist.proxy.registration.repeating import (
    REPEAT_LENGTH,
    as_repeat,
    is_known_there,
    may_repeat,
    repeated,
)
from siptwist.proxy.registration.visitors import Visitors
from siptwist.proxy.routing import OutboundProxies, outward
from siptwist.proxy.ticket import Ticket
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Request, parse
from tests.proxy.registering import IDENTITY, KEY, NOW, PHONE, apply, make_binding, response
from tests.proxy.registering import register as make_register

REGISTRAR = Hop("203.0.113.20", 5060)
MOVED = Identity(IDENTITY.inside, Hop("203.0.113.99", 5060), IDENTITY.bound)
SECRET = "2fd4e1c67a2d28fced849ee1bb76e7391b93eb12"
AUTHORIZATION = f'Authorization: Digest username="alice", nonce="4f", response="{SECRET}"'
CONTACT = "Contact: <sip:alice@10.0.0.5:5060>"


class RepeatingCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.locations = Locations()
        self.passages = Passages(
            self.locations, Masquerade(self.locations, Visitors(), KEY), KEY, 3600
        )

    def prepare(self, forward: Forward, identity: Identity) -> tuple[Request, Passage]:
        (target,) = forward.targets
        return self.passages.prepare(forward, target, REGISTRAR, Side.OUTSIDE, "z9hG4bK1", identity)

    def register(self, *lines: str, granted: int = 3600) -> list[Binding]:
        """
        A phone registers, and its registrar accepts it; the bindings, by their Contacts.
        """
        ticket = make_register(
            *lines, uri="sip:provider.example", to="<sip:alice@provider.example>", cseq=7
        )
        forward = _outward(ticket)
        _, passage = self.prepare(forward, IDENTITY)
        answer = response(ticket, 200, f"Expires: {granted}")
        found = self.passages.complete(passage, answer, IDENTITY, NOW)
        assert found is not None
        apply(self.locations, found.changed, found.removed)
        return list(found.changed)

    def one(self, *lines: str) -> Binding:
        (binding,) = self.register(*lines)
        return binding

    def repeat(
        self, binding: Binding, identity: Identity = MOVED
    ) -> tuple[Request, Passage, Ticket]:
        """
        The REGISTER once more, as it leaves; and as its phone would have sent it.
        """
        forward = repeated(binding, OutboundProxies(), "ours@us", "tag", NOW + 60)
        request, passage = as_repeat(*self.prepare(forward, identity), binding)
        return request, passage, forward.ticket


def _outward(ticket: Ticket) -> Forward:
    ticket, next_hop = outward(ticket, OutboundProxies())
    return Forward(ticket, (Target(ticket.request.uri, next_hop=next_hop),), True, False)


class KeepingTests(RepeatingCase):
    """
    What is kept of an accepted REGISTER.
    """

    def test_secret(self) -> None:
        """
        What is kept shows nothing of itself, alone or with its binding.
        """
        binding = self.one(CONTACT, AUTHORIZATION)
        assert binding.repeat is not None
        self.assertIn(SECRET.encode(), binding.repeat.fields)
        for shown in (repr(binding), str(binding.repeat), repr(binding.repeat)):
            self.assertNotIn(SECRET, shown)

    def test_bounded(self) -> None:
        """
        Of a REGISTER that is too long nothing is kept: its phone must come itself.
        """
        self.assertIsNone(self.one(CONTACT, f"X-Long: {'x' * REPEAT_LENGTH}").repeat)
        long = self.one(CONTACT, f"X-Long: {'x' * (REPEAT_LENGTH - 300)}")
        self.assertIsNotNone(long.repeat)

    def test_one_message_only(self) -> None:
        """
        Nothing is kept that belongs to one message, nor a body.
        """
        binding = self.one(CONTACT, "Timestamp: 1", "Date: Sat, 13 Nov 2010 23:29:00 GMT")
        assert binding.repeat is not None
        names = [line.partition(b":")[0] for line in binding.repeat.fields.split(b"\r\n")]
        self.assertEqual(names, [b"To", b"From"])

    def test_each_contact(self) -> None:
        """
        Of several Contacts each binding keeps its own.
        """
        found = self.register(f"{CONTACT};q=0.1, <sip:alice@10.0.0.5:5070>")
        kept = [one.repeat.contact for one in found if one.repeat is not None]
        self.assertEqual(kept, ["<sip:alice@10.0.0.5:5060>;q=0.1", "<sip:alice@10.0.0.5:5070>"])

    def test_strict_router(self) -> None:
        """
        A REGISTER by way of a strict router is not repeated, one by a loose one is.
        """
        strict = self.one(CONTACT, "Route: <sip:203.0.113.30>")
        self.assertIsNone(strict.repeat)
        loose = self.one(CONTACT, "Route: <sip:203.0.113.30;lr>")
        forward = repeated(loose, OutboundProxies(), "ours@us", "tag", NOW)
        self.assertEqual(forward.targets[0].next_hop, "sip:203.0.113.30;lr")
        self.assertEqual(forward.ticket.request.headers.lines("route"), ["<sip:203.0.113.30;lr>"])

    def test_until(self) -> None:
        """
        It may be repeated until its phone had to come, and while the binding is there.
        """
        binding = self.one(CONTACT)
        self.assertEqual(
            [may_repeat(binding, NOW + at) for at in (0, 3599, 3600)], [True, True, False]
        )
        longer = replace(binding, expires_at=NOW + 9000)
        self.assertFalse(may_repeat(longer, NOW + 3600))
        self.assertFalse(may_repeat(replace(binding, expires_at=NOW), NOW))

    def test_nothing_kept(self) -> None:
        """
        A binding of which nothing is kept, as after a restart, is left to its phone.
        """
        binding = make_binding()
        self.assertFalse(may_repeat(binding, NOW))
        self.assertFalse(is_known_there(binding, IDENTITY))
        self.assertRaises(SIPError, repeated, binding, OutboundProxies(), "ours@us", "tag", NOW)


class MakingTests(RepeatingCase):
    """
    The REGISTER that is sent.
    """

    def test_as_the_phone_sent_it(self) -> None:
        """
        It is the phone's, but for Call-ID, number, tag and way.
        """
        lines = ("Expires: 600", AUTHORIZATION, "Supported: path", "X-More: \udcff")
        binding = self.one(CONTACT, *lines)
        request, _, ticket = self.repeat(binding)
        self.assertEqual(bytes(parse(bytes(request))), bytes(request))
        text = bytes(request).decode("utf-8", "surrogateescape").split("\r\n")
        self.assertEqual(text[0], "REGISTER sip:provider.example SIP/2.0")
        self.assertLessEqual({*lines, "To: <sip:alice@provider.example>"}, set(text))
        self.assertIn("From: <sip:alice@provider.example>;tag=tag", text)
        self.assertIn("Call-ID: ours@us", text)
        self.assertIn("CSeq: 1 REGISTER", text)
        self.assertEqual((ticket.source, ticket.side), (PHONE, Side.INSIDE))

    def test_from(self) -> None:
        """
        Of the From only the tag changes.
        """
        binding = self.one(CONTACT)
        assert binding.repeat is not None
        fields = b'To: <sip:a@b.example>\r\nFrom: "A, B" <sip:a@b.example>;x=1;tag=old;y'
        other = replace(binding, repeat=replace(binding.repeat, fields=fields))
        forward = repeated(other, OutboundProxies(), "ours@us", "new", NOW)
        self.assertEqual(
            forward.ticket.request.headers.get("from"), '"A, B" <sip:a@b.example>;x=1;tag=new;y'
        )

    def test_contacts(self) -> None:
        """
        The new Contact comes first, with all that the phone asked for; the old one goes.
        """
        binding = self.one(f"{CONTACT};expires=600;q=0.3")
        request, _, _ = self.repeat(binding)
        mask = binding.mask
        self.assertEqual(
            request.headers.lines("contact"),
            [
                f"<sip:alice@203.0.113.99;line={mask}>;expires=600;q=0.3",
                f"<sip:alice@203.0.113.7;line={mask}>;expires=0",
            ],
        )

    def test_same_address(self) -> None:
        """
        At an address that the registrar knows there is no old Contact.
        """
        request, _, _ = self.repeat(self.one(CONTACT), IDENTITY)
        self.assertEqual(len(request.headers.lines("contact")), 1)

    def test_flow(self) -> None:
        """
        Nor is one named with a flow of RFC 5626, which takes the place of the old one.
        """
        binding = self.one(f'{CONTACT};+sip.instance="<urn:uuid:1>";reg-id=1')
        request, _, _ = self.repeat(binding)
        (contact,) = request.headers.lines("contact")
        self.assertIn("203.0.113.99", contact)

    def test_attempt(self) -> None:
        """
        What it asks for counts as the phone's own request did, so that the next of the
        phone's is in order.
        """
        binding = self.one(CONTACT)
        _, passage, ticket = self.repeat(binding)
        attempt = passage.attempt
        assert attempt is not None
        self.assertEqual((attempt.call_id, attempt.cseq), ("one@phone", 7))
        found = self.passages.complete(passage, response(ticket, 200, "Expires: 90"), MOVED, NOW)
        assert found is not None
        (after,) = found.changed
        self.assertEqual(after, replace(binding, expires_at=NOW + 90))
        assert after.repeat is not None
        self.assertEqual(after.repeat.until, NOW + 3600)
        self.assertTrue(is_known_there(after, MOVED))
        self.assertFalse(is_known_there(binding, MOVED))

    def test_refused(self) -> None:
        """
        A refusal changes nothing.
        """
        _, passage, ticket = self.repeat(self.one(CONTACT))
        for status in (302, 401, 403, 423, 500):
            found = self.passages.complete(passage, response(ticket, status), MOVED, NOW)
            assert found is not None
            self.assertEqual((found.changed, found.removed), ((), ()))

    def test_nowhere(self) -> None:
        """
        What leads nowhere is not sent.
        """
        binding = self.one(CONTACT)
        assert binding.repeat is not None
        other = replace(binding, repeat=replace(binding.repeat, uri="tel:+15551234"))
        self.assertRaises(SIPError, repeated, other, OutboundProxies(), "ours@us", "tag", NOW)

    def test_outbound_proxy(self) -> None:
        """
        The outbound proxy is the one that is configured now.
        """
        proxies = OutboundProxies("sip:203.0.113.40:5060")
        forward = repeated(self.one(CONTACT), proxies, "ours@us", "tag", NOW)
        self.assertEqual(forward.targets[0].next_hop, "sip:203.0.113.40:5060")
