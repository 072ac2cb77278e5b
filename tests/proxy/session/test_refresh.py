"""
Tests for siptwist.proxy.session.refresh.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.media.stream import CallKey
from siptwist.proxy.session.dialogs import Dialog, Dialogs
from siptwist.proxy.session.ends import End
from siptwist.proxy.session.refresh import Refreshes, deadline_of, parse_session_expires
from siptwist.sip.headers import make_header
from siptwist.sip.hop import Hop, Side

CALLEE = End(
    make_header("To", "<sip:b@x.example>;tag=b"),
    None,
    (),
    0,
    Side.OUTSIDE,
    Hop("203.0.113.9", 5060),
    False,
)


class ParseTests(SynchronousTestCase):
    """
    Session-Expires.
    """

    def test_seconds(self) -> None:
        """
        The seconds count, whatever the parameters.
        """
        for text, seconds in (("1800", 1800), ("90;refresher=uac", 90), ("300 ; x", 300)):
            self.assertEqual(parse_session_expires(text), seconds)

    def test_malformed(self) -> None:
        """
        What is no number of seconds is no session timer.
        """
        for text in ("", "x", "-1", "1800s", "1 800", "12345678901", "1.5", ";refresher=uac"):
            self.assertIsNone(parse_session_expires(text), text)

    def test_deadline(self) -> None:
        """
        A call is over a third of its interval later, or 32 s; nothing is shorter
        than 90 s or watched for more than a day.
        """
        for seconds, late in ((90, 120), (1800, 1832), (0, 120), (9_999_999_999, 86_432)):
            self.assertEqual(deadline_of(seconds, 1000.0), 1000.0 + late)


class RefreshesTests(SynchronousTestCase):
    """
    Calls with session timers.
    """

    def setUp(self) -> None:
        self.dialogs = Dialogs()
        self.refreshes = Refreshes(self.dialogs)
        self.dialog = self.opened("one")

    def opened(self, call_id: str, caller: Side = Side.INSIDE) -> Dialog:
        key = CallKey(call_id, "a", caller, Side.OUTSIDE)
        dialog, _ = self.dialogs.open(key, 0.0)
        dialog.is_established = True
        return dialog

    def test_not_refreshed(self) -> None:
        """
        A call whose refresh does not come is told once, after its grace.
        """
        key = self.dialog.key
        self.refreshes.note(key, "90", 0.0)
        self.assertEqual(self.refreshes.expire(119.9), [])
        self.assertEqual(self.refreshes.expire(120.0), [(key, True)])
        self.assertEqual(self.refreshes.expire(121.0), [])

    def test_refreshed(self) -> None:
        """
        Each refresh moves the end.
        """
        for now in (0.0, 45.0, 90.0):
            self.refreshes.note(self.dialog.key, "90;refresher=uas", now)
        self.assertEqual(self.refreshes.expire(209.0), [])
        self.assertEqual(self.refreshes.expire(210.0), [(self.dialog.key, True)])

    def test_shorter_interval(self) -> None:
        """
        A refresh may shorten the interval.
        """
        self.refreshes.note(self.dialog.key, "1800", 0.0)
        self.refreshes.note(self.dialog.key, "90", 10.0)
        self.assertEqual(self.refreshes.expire(130.0), [(self.dialog.key, True)])

    def test_switched_off(self) -> None:
        """
        A refresh without Session-Expires, or with one that cannot be read, ends the timer.
        """
        for text in (None, "never"):
            self.refreshes.note(self.dialog.key, "90", 0.0)
            self.refreshes.note(self.dialog.key, text, 10.0)
            self.assertEqual(self.refreshes.expire(10_000.0), [])

    def test_without_timer(self) -> None:
        """
        A call without Session-Expires costs nothing and is never ended.
        """
        self.refreshes.note(self.dialog.key, None, 0.0)
        self.assertEqual(len(self.refreshes), 0)

    def test_hung_up(self) -> None:
        """
        A call that has ended is not ended again, nor is the next one of its Call-ID.
        """
        self.refreshes.note(self.dialog.key, "90", 0.0)
        self.dialogs.close(self.dialog.key)
        self.opened("one")
        self.assertEqual(self.refreshes.expire(500.0), [])

    def test_not_answered(self) -> None:
        """
        An UPDATE while it rings starts no timer, nor does a call that we do not know.
        """
        self.dialog.is_established = False
        self.refreshes.note(self.dialog.key, "90", 0.0)
        self.refreshes.note(CallKey("two", "a", Side.INSIDE, Side.OUTSIDE), "90", 0.0)
        self.assertEqual(len(self.refreshes), 0)

    def test_several_callees(self) -> None:
        """
        A call that two have answered is watched again when one is left.
        """
        self.dialog.callees = dict.fromkeys("bc", CALLEE)
        self.refreshes.note(self.dialog.key, "90", 0.0)
        self.assertEqual(self.refreshes.expire(200.0), [])
        self.dialog.callees = {"b": CALLEE}
        self.refreshes.note(self.dialog.key, "90", 200.0)
        self.assertEqual(self.refreshes.expire(320.0), [(self.dialog.key, True)])

    def test_two_passes_at_once(self) -> None:
        """
        Both passes of a call through us end at the same moment.
        """
        keys = {self.dialog.key, self.opened("one", Side.OUTSIDE).key}
        for key in keys:
            self.refreshes.note(key, "90", 0.0)
        self.assertEqual({key for key, _ in self.refreshes.expire(120.0)}, keys)

    def test_memory(self) -> None:
        """
        A thousand refreshes of a call are not remembered.
        """
        for now in range(1000):
            self.refreshes.note(self.dialog.key, "1800", float(now))
        self.assertLess(len(self.refreshes), 70)


class LimitTests(RefreshesTests):
    """
    The same with a limit for all calls, a long one; and what it does.
    """

    def setUp(self) -> None:
        super().setUp()
        self.refreshes = Refreshes(self.dialogs, 100_000.0)

    def test_without_timer(self) -> None:
        """
        A call is over when it has lasted so long, refreshed or not.
        """
        self.refreshes.note(self.dialog.key, None, 0.0)
        self.refreshes.note(self.dialog.key, None, 50_000.0)
        self.assertEqual(self.refreshes.expire(99_999.0), [])
        self.assertEqual(self.refreshes.expire(100_000.0), [(self.dialog.key, False)])
        self.assertEqual(self.refreshes.expire(200_000.0), [])

    def test_both(self) -> None:
        """
        A call whose session timer ran out is told once.
        """
        self.refreshes.note(self.dialog.key, "90", 0.0)
        self.assertEqual(self.refreshes.expire(100_000.0), [(self.dialog.key, True)])
