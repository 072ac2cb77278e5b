"""
Tests for siptwist.proxy.passage.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import SIPError
from siptwist.proxy.decision import Forward, Target
from siptwist.proxy.masquerade import RECORD_ROUTED, Masquerade
from siptwist.proxy.passage import Passage, Passages
from siptwist.proxy.registration.location import Locations
from siptwist.proxy.registration.visitors import Visitors
from siptwist.proxy.ticket import Ticket
from siptwist.sip.hop import Side
from siptwist.sip.message import Request
from tests.proxy.asking import PHONE, TWO_SOCKETS, WORLD, bind, from_world, response, ticket
from tests.proxy.registering import KEY, NOW, register

IN, OUT = "<sip:10.0.0.1;lr>", "<sip:203.0.113.7;lr>"
OURS = "SIP/2.0/UDP 203.0.113.7:5060;branch=z9hG4bKours;rport"


class PassageCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.locations = Locations()
        masquerade = Masquerade(self.locations, Visitors(), KEY)
        self.passages = Passages(self.locations, masquerade, KEY, 600)

    def out(self, made: Ticket) -> tuple[Request, Passage]:
        """
        From a phone to the world.
        """
        target = Target("sip:bob@there.example")
        forward = Forward(made, (target,), True, False)
        return self.passages.prepare(
            forward, target, WORLD, Side.OUTSIDE, "z9hG4bKours", TWO_SOCKETS
        )

    def inward(self, made: Ticket, mask: str = "") -> tuple[Request, Passage]:
        """
        From the world to a phone.
        """
        target = Target("sip:alice@10.0.0.5:5060", Side.INSIDE, PHONE, mask=mask)
        forward = Forward(made, (target,), False, True)
        return self.passages.prepare(
            forward, target, PHONE, Side.INSIDE, "z9hG4bKours", TWO_SOCKETS
        )


class PrepareTests(PassageCase):
    """
    A request as its target receives it.
    """

    def test_out(self) -> None:
        """
        Outside sees one Via and one Record-Route, both ours, and a masked Contact.
        """
        made = ticket(
            "Via: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKx",
            "Record-Route: <sip:10.0.0.9;lr>",
            "Contact: <sip:alice@10.0.0.5>",
        )
        sent, _ = self.out(made)
        self.assertEqual(sent.uri, "sip:bob@there.example")
        self.assertEqual(sent.headers.values("via"), [OURS])
        self.assertEqual(sent.headers.values("record-route"), [OUT])
        self.assertNotIn("10.0.0.", sent.headers.get("contact") or "")

    def test_inward(self) -> None:
        """
        The phone sees the Vias and Record-Routes of the world below ours, and its Contact.
        """
        sent, _ = self.inward(
            from_world("Record-Route: <sip:p;lr>", "Contact: <sip:bob@198.51.100.9>")
        )
        self.assertEqual(len(sent.headers.values("via")), 2)
        self.assertIn("10.0.0.1:5060", sent.headers.values("via")[0])
        self.assertEqual(sent.headers.values("record-route"), [IN, "<sip:p;lr>"])
        self.assertEqual(sent.headers.get("contact"), "<sip:bob@198.51.100.9>")

    def test_record_routed_methods(self) -> None:
        """
        Only requests that make or refresh a dialog are recorded.
        """
        for method in (*RECORD_ROUTED, "ACK", "BYE", "MESSAGE", "INFO", "FOO"):
            sent, _ = self.out(ticket(method=method))
            self.assertEqual("record-route" in sent.headers, method in RECORD_ROUTED, method)

    def test_registration(self) -> None:
        """
        A REGISTER goes out masked, with what it attempts remembered.
        """
        sent, passage = self.out(
            register("Contact: <sip:alice@10.0.0.5>", uri="sip:provider.example")
        )
        self.assertIn("sip:alice@203.0.113.7;line=", sent.headers.get("contact") or "")
        self.assertEqual(sent.headers.get("expires"), "600")
        assert passage.attempt is not None
        self.assertEqual(passage.attempt.registrar, "provider.example")

    def test_malformed_contact(self) -> None:
        """
        A Contact that cannot be read is refused before anything goes out.
        """
        error = self.assertRaises(SIPError, self.out, ticket("Contact: <sip:[>"))
        self.assertEqual(error.status, 400)


class AnswerTests(PassageCase):
    """
    A response on its way back.
    """

    def test_to_the_phone(self) -> None:
        """
        The phone gets its Vias back, and our inside Record-Route; Contact stays.
        """
        deeper = "SIP/2.0/UDP 10.0.0.9;branch=z9hG4bKx"
        _, passage = self.out(ticket(f"Via: {deeper}", "Record-Route: <sip:10.0.0.9;lr>"))
        heard = response(200, f"Record-Route: {OUT}", "Contact: <sip:bob@198.51.100.9>")
        told = self.passages.answer(passage, heard, TWO_SOCKETS)
        self.assertIn("received=10.0.0.5", told.headers.values("via")[0])
        self.assertEqual(told.headers.values("via")[1:], [deeper])
        self.assertEqual(told.headers.values("record-route"), [IN, "<sip:10.0.0.9;lr>"])
        self.assertEqual(told.headers.get("contact"), "<sip:bob@198.51.100.9>")

    def test_to_the_world(self) -> None:
        """
        The world gets its Via back, our outside Record-Route, and the phone's mask.
        """
        bind(self.locations, "0123456789ab")
        _, passage = self.inward(from_world("Record-Route: <sip:p;lr>"), "0123456789ab")
        heard = response(
            200, f"Record-Route: {IN}, <sip:p;lr>", "Contact: <sip:alice@10.0.0.5:5060>"
        )
        told = self.passages.answer(passage, heard, TWO_SOCKETS)
        self.assertEqual(told.headers.values("via"), ["SIP/2.0/UDP 198.51.100.9;branch=z9hG4bKw"])
        self.assertEqual(told.headers.values("record-route"), [OUT, "<sip:p;lr>"])
        self.assertEqual(told.headers.get("contact"), "<sip:alice@203.0.113.7;line=0123456789ab>")

    def test_without_record_route(self) -> None:
        """
        A response without Record-Route gets none.
        """
        _, passage = self.out(ticket())
        told = self.passages.answer(passage, response(486), TWO_SOCKETS)
        self.assertNotIn("record-route", told.headers)

    def test_body_and_reason_stay(self) -> None:
        """
        Status, reason, unknown headers and body stay.
        """
        _, passage = self.out(ticket())
        heard = response(299, "X-Odd: 1", body="text")
        told = self.passages.answer(passage, heard, TWO_SOCKETS)
        self.assertEqual((told.status, told.reason, told.body), (299, "Whatever", b"text"))
        self.assertEqual(told.headers.get("x-odd"), "1")


class CompleteTests(PassageCase):
    """
    The registrar's answer.
    """

    def test_granted(self) -> None:
        """
        A 2xx makes the binding, a refusal none, a provisional answer says nothing.
        """
        made = register("Contact: <sip:alice@10.0.0.5>", uri="sip:provider.example")
        sent, passage = self.out(made)
        contact = f"Contact: {sent.headers.get('contact')};expires=60"
        for status, count in ((200, 1), (403, 0)):
            heard = response(status, contact, method="REGISTER")
            found = self.passages.complete(passage, heard, TWO_SOCKETS, NOW)
            assert found is not None
            self.assertEqual(len(found.changed), count)
        trying = response(100, method="REGISTER")
        self.assertIsNone(self.passages.complete(passage, trying, TWO_SOCKETS, NOW))

    def test_other_requests(self) -> None:
        """
        Answers to other requests bind nobody.
        """
        _, passage = self.out(ticket())
        self.assertIsNone(self.passages.complete(passage, response(200), TWO_SOCKETS, NOW))
