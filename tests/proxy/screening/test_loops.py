"""
Tests for siptwist.proxy.screening.loops.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from siptwist.proxy.decision import Reply
from siptwist.proxy.screening.loops import Loops, branch_ending
from siptwist.proxy.ticket import Ticket
from siptwist.sip.headers import keep_header
from siptwist.sip.hop import Side
from tests.proxy.asking import PHONE, WORLD, ticket
from tests.proxy.test_core import CoreCase

KEY = b"nobody else has it"


class MarkTests(SynchronousTestCase):
    """
    What tells requests apart, and what does not.
    """

    def setUp(self) -> None:
        self.loops = Loops(KEY)
        self.mark = self.loops.mark(ticket())

    def test_same(self) -> None:
        """
        Vias, hops and bodies change on every round; the mark stays.
        """
        again = ticket(
            "Via: SIP/2.0/UDP 203.0.113.20;branch=z9hG4bKx",
            "Max-Forwards: 12",
            "Subject: again",
            via="SIP/2.0/UDP 10.0.0.6;branch=z9hG4bKother",
        )
        self.assertEqual(self.loops.mark(again), self.mark)

    def test_other(self) -> None:
        """
        Whatever may send a request another way makes another mark.
        """
        others: list[tuple[tuple[str, ...], dict[str, Any]]] = [
            ((), {"uri": "sip:bob@example.org"}),
            ((), {"to": "<sip:bob@example.net>;tag=t"}),
            ((), {"from_": "<sip:alice@provider.example>;tag=other"}),
            ((), {"call_id": "other@phone"}),
            ((), {"source": WORLD, "side": Side.OUTSIDE}),
            (("Route: <sip:203.0.113.20;lr>",), {}),
            (("Proxy-Require: gruu",), {}),
            (('Proxy-Authorization: Digest realm="x"',), {}),
        ]
        marks = {self.loops.mark(ticket(*lines, **more)) for lines, more in others}
        self.assertEqual(len(marks | {self.mark}), len(others) + 1)

    def test_number(self) -> None:
        """
        The same request with credentials has another CSeq and another mark.
        """
        one = ticket()
        other = one._replace(cseq=one.cseq.__class__(2, "INVITE"))
        self.assertNotEqual(self.loops.mark(other), self.mark)

    def test_keyed(self) -> None:
        """
        Another proxy makes another mark of the same request.
        """
        self.assertNotEqual(Loops(b"another").mark(ticket()), self.mark)


class LoopedTests(CoreCase):
    """
    RFC 3261 section 16.3 step 4: 482 for what comes back as it was.
    """

    def come_back(self, first: Ticket, again: Ticket, join: bool = False) -> Ticket:
        """
        ``again`` with the Vias of its way below its own: a server's, then ours.
        """
        branch = f"z9hG4bK0123456789abcdef{branch_ending(self.core.loops.mark(first))}"
        lines = [
            "SIP/2.0/UDP 203.0.113.20;branch=z9hG4bKserver",
            f"SIP/2.0/UDP 203.0.113.7;branch={branch};rport=5060;received=203.0.113.7",
        ]
        if join:
            own = again.vias[0]
            return again._replace(vias=(keep_header("Via", ", ".join([own[1], *lines])),))
        return again._replace(vias=(*again.vias, *[keep_header("Via", line) for line in lines]))

    def asked(self, made: Ticket) -> int:
        """
        The status that it is answered with, 0 when it is forwarded.
        """
        decision = self.core.decide(made)
        return decision.status if isinstance(decision, Reply) else 0

    def test_loop(self) -> None:
        """
        A request that comes back as it was is answered 482, however Vias are written.
        """
        for join in (False, True):
            looped = self.come_back(ticket(), ticket(source=PHONE), join)
            self.assertEqual(self.asked(looped), 482)

    def test_spiral(self) -> None:
        """
        It comes back for somebody else: no loop.
        """
        spiral = self.come_back(ticket(), ticket(uri="sip:carol@example.net"))
        self.assertEqual(self.asked(spiral), 0)

    def test_first_time(self) -> None:
        """
        A request that was never here has no Via of ours, whatever else it has.
        """
        self.assertEqual(self.asked(ticket()), 0)
        stranger = ticket()._replace(call_id="another@phone")
        self.assertEqual(self.asked(self.come_back(stranger, ticket())), 0)
