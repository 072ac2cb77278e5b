"""
Tests of :mod:`siptwist.proxy.session.records`.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.media.stream import CallKey, Party
from siptwist.proxy.decision import Target
from siptwist.proxy.passage import Passage
from siptwist.proxy.session.records import Records
from siptwist.proxy.ticket import Ticket
from siptwist.sip.hop import Side
from tests.proxy.asking import PHONE, WORLD, ticket

KEY = CallKey("call@phone", "a", Side.INSIDE, Side.OUTSIDE)


def passage(asked: Ticket, key: CallKey | None = KEY) -> Passage:
    return Passage(
        asked.method,
        asked.in_dialog,
        Side.INSIDE,
        asked.now,
        Target("sip:bob@example.net"),
        WORLD,
        Side.OUTSIDE,
        True,
        False,
        (),
        key=key,
        party=Party.CALLER,
    )


class RecordsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.records = Records(limit=3)
        self.invite = ticket(now=100.0)

    def begin(self, asked: Ticket | None = None, key: CallKey | None = KEY) -> Passage:
        asked = asked or self.invite
        gone = passage(asked, key)
        self.records.begin(asked, gone)
        return gone

    def test_whole_call(self) -> None:
        """
        A call that was answered: who, whom, when, how long, and why it ended.
        """
        gone = self.begin()
        self.records.answer(gone, 180, 101.0)
        self.records.answer(gone, 200, 104.0)
        self.records.answer(gone, 200, 105.0)
        call = self.records.end(KEY, "BYE", None, 134.5)
        assert call is not None
        self.assertEqual(
            (call.caller, call.callee), ("sip:alice@provider.example", "sip:bob@example.net")
        )
        self.assertEqual((call.call_id, call.source), ("call@phone", PHONE))
        self.assertEqual((call.from_phone, call.to_phone), (True, False))
        self.assertEqual((call.started_at, call.answered_at, call.ended_at), (100.0, 104.0, 134.5))
        self.assertEqual((call.duration, call.reason), (30.5, "BYE"))

    def test_refused(self) -> None:
        """
        A call that nobody answered lasted no time.
        """
        self.begin()
        call = self.records.end(KEY, "486", None, 110.0)
        assert call is not None
        self.assertEqual((call.answered_at, call.duration, call.reason), (None, 0.0, "486"))

    def test_once(self) -> None:
        """
        A call ends once, and one that is not known never.
        """
        self.begin()
        self.assertIsNotNone(self.records.end(KEY, "BYE", None, 110.0))
        self.assertIsNone(self.records.end(KEY, "BYE", None, 111.0))

    def test_challenge(self) -> None:
        """
        Being asked for a password is no end.
        """
        for status in ("401", "407"):
            self.begin()
            self.assertIsNone(self.records.end(KEY, status, None, 110.0))

    def test_what_begins_none(self) -> None:
        """
        Re-INVITEs, other methods, and what belongs to no call begin no record.
        """
        self.begin(ticket(to="<sip:bob@example.net>;tag=b"))
        self.begin(ticket(method="OPTIONS"))
        self.begin(key=None)
        self.assertEqual(len(self.records), 0)

    def test_other_answers(self) -> None:
        """
        An answer to something else, or of an unknown call, answers no call.
        """
        self.begin()
        self.records.answer(passage(ticket(method="BYE")), 200, 101.0)
        self.records.answer(passage(self.invite, None), 200, 101.0)
        self.records.answer(passage(self.invite, KEY._replace(call_id="x")), 200, 101.0)
        call = self.records.end(KEY, "CANCEL", None, 110.0)
        assert call is not None
        self.assertIsNone(call.answered_at)

    def test_bounded(self) -> None:
        """
        Calls that never end do not fill the memory: the oldest is forgotten.
        """
        keys = [KEY._replace(call_id=str(number)) for number in range(5)]
        for key in keys:
            self.begin(key=key)
        self.assertEqual(len(self.records), 3)
        self.assertIsNone(self.records.end(keys[0], "BYE", None, 110.0))
        self.assertIsNotNone(self.records.end(keys[4], "BYE", None, 110.0))
