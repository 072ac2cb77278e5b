"""
Tests for siptwist.proxy.session.negotiation.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import MalformedSDP
from siptwist.media.stream import CallKey, Party
from siptwist.proxy.decision import Target
from siptwist.proxy.passage import Passage
from siptwist.proxy.session.anchoring import Description
from siptwist.proxy.session.dialogs import Dialogs
from siptwist.proxy.session.negotiation import Consequence, Negotiation, Outcome
from siptwist.proxy.ticket import Ticket
from siptwist.sip.hop import Side
from tests.proxy.asking import TWO_SOCKETS, WORLD, from_world, response, sdp, ticket
from tests.proxy.registering import NOW

KEY = CallKey("call@phone", "a", Side.INSIDE, Side.OUTSIDE)
TYPE = "Content-Type: application/sdp"
DIALOG = "<sip:bob@example.net>;tag=b"


class NegotiationCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.negotiation = Negotiation(Dialogs())

    def passage(self, method: str = "INVITE", **more: Any) -> Passage:
        more = {"key": KEY, "party": Party.CALLER, "in_dialog": False, "offers": True} | more
        return Passage(
            method=method,
            source_side=Side.INSIDE,
            sent_at=NOW,
            target=Target("sip:bob@example.net"),
            hop=WORLD,
            side=Side.OUTSIDE,
            from_phone=True,
            to_phone=False,
            vias=(),
            **more,
        )

    def describe(self, made: Ticket) -> Description | None:
        place = self.negotiation.place(made, Side.OUTSIDE)
        assert place is not None
        return self.negotiation.of_request(made, place, TWO_SOCKETS)

    def open(self, body: str = "") -> None:
        """
        A phone's first INVITE.
        """
        self.describe(ticket(TYPE, body=body or sdp()))

    def ends(self, passage: Passage, status: int, **more: Any) -> list[tuple[str, str]]:
        found = self.negotiation.consequences(passage, response(status, **more))
        return [(one.outcome.value, one.branch or one.reason) for one in found]


class PlaceTests(NegotiationCase):
    """
    Which call a request belongs to.
    """

    def test_first_invite(self) -> None:
        """
        A first INVITE opens a call; its sender is the caller.
        """
        self.assertEqual(self.negotiation.place(ticket(), Side.OUTSIDE), (KEY, Party.CALLER))
        self.assertEqual(len(self.negotiation.dialogs), 1)

    def test_other_requests(self) -> None:
        """
        Other requests outside of calls belong to none, and open none.
        """
        self.assertIsNone(self.negotiation.place(ticket(method="MESSAGE"), Side.OUTSIDE))
        self.assertEqual(len(self.negotiation.dialogs), 0)

    def test_inside_of_a_call(self) -> None:
        """
        Requests of either end belong to the call, and keep it from being forgotten.
        """
        self.open()
        made = ticket(method="BYE", to=DIALOG, now=NOW + 50)
        self.assertEqual(self.negotiation.place(made, Side.OUTSIDE), (KEY, Party.CALLER))
        back = from_world(method="BYE", to="<sip:alice@provider.example>;tag=a")
        self.assertEqual(self.negotiation.place(back, Side.INSIDE), (KEY, Party.CALLEE))
        (dialog,) = self.negotiation.dialogs
        self.assertEqual(dialog.seen_at, NOW)


class OfferTests(NegotiationCase):
    """
    What requests and responses describe.
    """

    def test_offer(self) -> None:
        """
        An INVITE with SDP is the caller's offer, answered by what its response describes.
        """
        made = self.describe(ticket(TYPE, body=sdp()))
        assert made is not None
        self.assertEqual((made.party, made.is_offer, made.branch), (Party.CALLER, True, ""))
        self.assertEqual((made.signaling_host, made.host), ("10.0.0.5", "203.0.113.7"))
        heard = response(200, TYPE, body=sdp("198.51.100.9"))
        answer = self.negotiation.of_response(self.passage(), heard, TWO_SOCKETS)
        assert answer is not None
        self.assertEqual((answer.party, answer.is_offer, answer.branch), (Party.CALLEE, False, "b"))
        self.assertEqual((answer.signaling_host, answer.host), ("198.51.100.9", "10.0.0.1"))

    def test_offer_in_the_response(self) -> None:
        """
        Without SDP in the request, that of the response is an offer, and the ACK's the answer.
        """
        self.negotiation.place(ticket(), Side.OUTSIDE)
        heard = response(200, TYPE, body=sdp())
        passage = self.passage(offers=False)
        offer = self.negotiation.of_response(passage, heard, TWO_SOCKETS)
        answer = self.describe(ticket(TYPE, method="ACK", to=DIALOG, body=sdp()))
        assert offer is not None and answer is not None
        self.assertEqual([offer.is_offer, answer.is_offer], [True, False])

    def test_prack(self) -> None:
        """
        A PRACK answers an offer that is open, and offers when none is.
        """
        self.negotiation.place(ticket(), Side.OUTSIDE)
        heard = response(183, TYPE, body=sdp())
        self.negotiation.of_response(self.passage(offers=False), heard, TWO_SOCKETS)
        prack = ticket(TYPE, method="PRACK", to=DIALOG, body=sdp())
        found = [self.describe(prack), self.describe(prack)]
        self.assertEqual([one and one.is_offer for one in found], [False, True])

    def test_prack_after_a_refused_offer(self) -> None:
        """
        An offer that was refused is not answered by the next PRACK, which offers.
        """
        self.open()
        answered = response(183, TYPE, body=sdp())
        self.negotiation.of_response(self.passage(), answered, TWO_SOCKETS)
        to = "<sip:alice@provider.example>;tag=a"
        self.describe(from_world(TYPE, method="UPDATE", to=to, body=sdp("198.51.100.9")))
        refused = self.passage("UPDATE", party=Party.CALLEE, in_dialog=True)
        self.negotiation.consequences(refused, response(491, method="UPDATE"))
        prack = self.describe(ticket(TYPE, method="PRACK", to=DIALOG, body=sdp()))
        assert prack is not None
        self.assertTrue(prack.is_offer)

    def test_callee_offers(self) -> None:
        """
        An UPDATE of the callee is an offer under its tag, told by our inside address.
        """
        self.open()
        to = "<sip:alice@provider.example>;tag=a"
        made = self.describe(from_world(TYPE, method="UPDATE", to=to, body=sdp("198.51.100.9")))
        assert made is not None
        self.assertEqual((made.party, made.is_offer, made.branch), (Party.CALLEE, True, "b"))
        self.assertEqual(made.host, "10.0.0.1")

    def test_no_description(self) -> None:
        """
        Requests without SDP, or of methods that carry none, describe nothing.
        """
        self.open()
        self.assertIsNone(self.describe(ticket(method="INVITE", to=DIALOG)))
        self.assertIsNone(self.describe(ticket(TYPE, method="INFO", to=DIALOG, body=sdp())))

    def test_responses_that_count(self) -> None:
        """
        Only 1xx above 100 and 2xx to an INVITE describe; only 2xx to an UPDATE.
        """
        self.open()
        for method, counting in (("INVITE", (183, 200)), ("UPDATE", (200,)), ("INFO", ())):
            for status in (100, 183, 200, 300, 488):
                heard = response(status, TYPE, method=method, body=sdp())
                found = self.negotiation.of_response(self.passage(method), heard, TWO_SOCKETS)
                self.assertEqual(found is not None, status in counting, (method, status))

    def test_malformed(self) -> None:
        """
        A description that cannot be read is an error, in requests and responses.
        """
        bad = "v=0\r\nm=audio\r\n"
        self.assertRaises(MalformedSDP, self.describe, ticket(TYPE, body=bad))
        heard = response(200, TYPE, body=bad)
        passage = self.passage()
        self.assertRaises(MalformedSDP, self.negotiation.of_response, passage, heard, TWO_SOCKETS)

    def test_disabled(self) -> None:
        """
        With rtp_proxy_enable = 0 nothing is described, not even nonsense.
        """
        self.negotiation = Negotiation(Dialogs(), False)
        self.assertIsNone(self.describe(ticket(TYPE, body="nonsense")))
        heard = response(200, TYPE, body="nonsense")
        self.assertIsNone(self.negotiation.of_response(self.passage(), heard, TWO_SOCKETS))


class ConsequenceTests(NegotiationCase):
    """
    What final responses do.
    """

    def setUp(self) -> None:
        super().setUp()
        self.open()

    def test_answered(self) -> None:
        """
        The first 2xx confirms its callee; later ones confirm nothing more.
        """
        self.assertEqual(self.ends(self.passage(), 200), [("confirm", "b")])
        self.assertEqual(self.ends(self.passage(), 200), [])
        self.assertEqual(self.ends(self.passage(), 200, to="<sip:bob@example.net>;tag=c"), [])

    def test_provisional(self) -> None:
        """
        A provisional answer does nothing.
        """
        self.assertEqual(self.ends(self.passage(), 183), [])

    def test_refused(self) -> None:
        """
        A refused first INVITE ends the call; the reason is the status.
        """
        self.assertEqual(self.ends(self.passage(), 486), [("close", "486")])
        self.assertEqual(len(self.negotiation.dialogs), 0)

    def test_one_of_two_invites(self) -> None:
        """
        A provider that rings two phones: one refusal ends nothing, the second does.
        """
        self.open()
        self.assertEqual(self.ends(self.passage(), 486), [])
        self.assertEqual(self.ends(self.passage(), 486), [("close", "486")])

    def test_refused_after_an_answer(self) -> None:
        """
        A provider that rings two phones: when one has answered, the other's 487 ends nothing.
        """
        self.open()
        self.ends(self.passage(), 200)
        self.assertEqual(self.ends(self.passage(), 487), [])
        self.assertEqual(len(self.negotiation.dialogs), 1)

    def test_unheard_of_call(self) -> None:
        """
        A refused re-INVITE of a call that began before our start leaves nothing.
        """
        self.negotiation.end(KEY, "restart")
        self.describe(ticket(TYPE, to=DIALOG, body=sdp()))
        self.assertEqual(self.ends(self.passage(in_dialog=True), 488), [("close", "488")])

    def test_refused_again(self) -> None:
        """
        A refused re-INVITE or UPDATE takes its offer back and ends nothing.
        """
        self.ends(self.passage(), 200)
        for method in ("INVITE", "UPDATE", "PRACK"):
            for status in (401, 408, 488, 491):
                found = self.ends(self.passage(method, in_dialog=True), status)
                self.assertEqual(found, [("reject", "")])
        self.assertEqual(len(self.negotiation.dialogs), 1)

    def test_whose_offer(self) -> None:
        """
        Who offered is told; to an INVITE without SDP that is the other one.
        """
        self.ends(self.passage(), 200)
        for offers, party in ((True, Party.CALLER), (False, Party.CALLEE)):
            passage = self.passage(in_dialog=True, offers=offers)
            (found,) = self.negotiation.consequences(passage, response(488))
            self.assertEqual((found.outcome, found.party), (Outcome.REJECT, party))

    def test_settled(self) -> None:
        """
        A final answer to a later offer settles it.
        """
        self.ends(self.passage(), 200)
        for method in ("INVITE", "UPDATE", "PRACK"):
            found = self.ends(self.passage(method, in_dialog=True), 200)
            self.assertEqual(found, [("settle", "")])

    def test_nothing_offered(self) -> None:
        """
        An UPDATE or a PRACK without SDP does nothing to the media, whatever its answer.
        """
        for method in ("UPDATE", "PRACK"):
            for status in (200, 481, 500):
                passage = self.passage(method, in_dialog=True, offers=False)
                self.assertEqual(self.ends(passage, status), [])

    def test_early_update_refused(self) -> None:
        """
        An UPDATE that is refused while it rings takes its offer back only.
        """
        self.assertEqual(self.ends(self.passage("UPDATE", in_dialog=True), 491), [("reject", "")])

    def test_hung_up(self) -> None:
        """
        BYE ends the call with 2xx, 481 and 408, not with a challenge or another refusal.
        """
        self.ends(self.passage(), 200)
        bye = self.passage("BYE", in_dialog=True)
        for status in (100, 401, 407, 403, 500):
            self.assertEqual(self.ends(bye, status, method="BYE"), [])
        for status in (200, 481, 408):
            self.open()
            self.assertEqual(self.ends(bye, status, method="BYE"), [("close", "BYE")])

    def test_one_of_two_callees(self) -> None:
        """
        Of two callees that answered, one hangs up: the media goes on until the other does.
        """
        other = "<sip:bob@example.net>;tag=c"
        bye = self.passage("BYE", in_dialog=True)
        for to in ("", other):
            self.ends(self.passage(), 200, to=to)
        self.assertEqual(self.ends(bye, 200, method="BYE", to=other), [])
        self.assertEqual(self.ends(bye, 200, method="BYE"), [("close", "BYE")])

    def test_both_passes(self) -> None:
        """
        A BYE that went straight ends the pass that came back in as well.
        """
        back = CallKey("call@phone", "a", Side.OUTSIDE, Side.INSIDE)
        self.negotiation.dialogs.open(back, NOW)
        found = self.negotiation.consequences(
            self.passage("BYE", in_dialog=True), response(200, method="BYE")
        )
        self.assertEqual({one.key for one in found}, {KEY, back})

    def test_other_calls(self) -> None:
        """
        Another call that happens to have the same Call-ID goes on.
        """
        self.negotiation.dialogs.open(_other(), NOW)
        self.ends(self.passage("BYE", in_dialog=True), 200, method="BYE")
        self.assertEqual([one.key for one in self.negotiation.dialogs], [_other()])

    def test_other_requests(self) -> None:
        """
        Answers to INFO, PRACK and requests outside of calls do nothing.
        """
        for method in ("INFO", "MESSAGE"):
            for status in (200, 481, 500):
                self.assertEqual(self.ends(self.passage(method), status, method=method), [])
        self.assertEqual(self.ends(self.passage(key=None, party=None), 486), [])

    def test_end(self) -> None:
        """
        An end from elsewhere, such as silence, closes the call.
        """
        found = self.negotiation.end(KEY, "silence")
        self.assertEqual(found, Consequence(Outcome.CLOSE, KEY, reason="silence"))
        self.assertEqual(len(self.negotiation.dialogs), 0)


def _other() -> CallKey:
    return CallKey("call@phone", "x", Side.INSIDE, Side.OUTSIDE)
