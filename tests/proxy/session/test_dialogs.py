"""
Tests for siptwist.proxy.session.dialogs.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.media.stream import CallKey, Party
from siptwist.proxy.session.dialogs import Dialog, Dialogs
from siptwist.sip.hop import Side


def key(call_id: str = "one", tag: str = "a", caller: Side = Side.INSIDE) -> CallKey:
    callee = Side.OUTSIDE if caller is Side.INSIDE else Side.INSIDE
    return CallKey(call_id, tag, caller, callee)


class DialogsTests(SynchronousTestCase):
    """
    Calls in progress.
    """

    def setUp(self) -> None:
        self.dialogs = Dialogs(limit=3, lifetime=100.0)

    def find(self, from_tag: str, to_tag: str | None, side: Side) -> tuple[CallKey, Party] | None:
        found = self.dialogs.find("one", from_tag, to_tag, side)
        return None if found is None else (found[0].key, found[1])

    def test_both_parties(self) -> None:
        """
        Tags and sides tell who of the two sends.
        """
        self.dialogs.open(key(), 0.0)
        self.assertEqual(self.find("a", "b", Side.INSIDE), (key(), Party.CALLER))
        self.assertEqual(self.find("b", "a", Side.OUTSIDE), (key(), Party.CALLEE))

    def test_strangers(self) -> None:
        """
        Somebody with another tag, on the wrong side, or of another call is nobody.
        """
        self.dialogs.open(key(), 0.0)
        for from_tag, to_tag, side in (
            ("x", "b", Side.INSIDE),
            ("x", "y", Side.OUTSIDE),
            ("x", None, Side.OUTSIDE),
            ("a", None, Side.OUTSIDE),
            ("b", "a", Side.INSIDE),
        ):
            self.assertIsNone(self.find(from_tag, to_tag, side))
        self.assertIsNone(self.dialogs.find("two", "a", "b", Side.INSIDE))

    def test_opened_once(self) -> None:
        """
        A repeated first INVITE opens no second dialog.
        """
        first, _ = self.dialogs.open(key(), 0.0)
        second, _ = self.dialogs.open(key(), 1.0)
        self.assertIs(first, second)
        self.assertEqual(len(self.dialogs), 1)

    def test_two_passes(self) -> None:
        """
        A call that leaves and comes back in has two dialogs, told apart by the sides.
        """
        back = key(caller=Side.OUTSIDE)
        for one in (key(), back):
            self.dialogs.open(one, 0.0)
        found = [
            self.find("a", "b", Side.INSIDE),
            self.find("a", "b", Side.OUTSIDE),
            self.find("b", "a", Side.INSIDE),
            self.find("b", "a", Side.OUTSIDE),
        ]
        self.assertEqual(
            found,
            [
                (key(), Party.CALLER),
                (back, Party.CALLER),
                (back, Party.CALLEE),
                (key(), Party.CALLEE),
            ],
        )
        self.dialogs.close(back)
        self.assertEqual([dialog.key for dialog in self.dialogs], [key()])

    def test_phones_on_one_side(self) -> None:
        """
        Two phones of the inside that call each other are told apart by their tags.
        """
        direct = CallKey("one", "a", Side.INSIDE, Side.INSIDE)
        self.dialogs.open(direct, 0.0)
        self.assertEqual(self.find("a", "b", Side.INSIDE), (direct, Party.CALLER))
        self.assertEqual(self.find("b", "a", Side.INSIDE), (direct, Party.CALLEE))

    def test_closed(self) -> None:
        """
        A closed dialog is gone; to close it again does nothing.
        """
        self.dialogs.open(key(), 0.0)
        for _ in range(2):
            self.dialogs.close(key())
        self.assertEqual((len(self.dialogs), self.dialogs.by_call_id("one")), (0, []))

    def test_limit(self) -> None:
        """
        Too many calls: the one not heard of for longest is forgotten.
        """
        for number in range(3):
            self.dialogs.open(key(f"call{number}"), 0.0)
        self.dialogs.find("call0", "a", "b", Side.INSIDE)
        _, gone = self.dialogs.open(key("call3"), 1.0)
        self.assertEqual([dialog.key.call_id for dialog in gone], ["call1"])
        self.assertEqual(len(self.dialogs), 3)

    def test_lifetime(self) -> None:
        """
        A call that was silent for too long is forgotten when the next one comes.
        """
        self.dialogs.open(key("old"), 0.0)
        _, gone = self.dialogs.open(key("new"), 101.0)
        self.assertEqual([dialog.key.call_id for dialog in gone], ["old"])


class ToldTests(SynchronousTestCase):
    """
    What the parties of a call were told last.
    """

    def setUp(self) -> None:
        self.dialog = Dialog(key(), 0.0)
        self.dialog.tell(Party.CALLEE, b"first", True)
        self.dialog.is_established = True

    def test_refused(self) -> None:
        """
        An offer that is refused was not told; the one before counts again.
        """
        self.dialog.tell(Party.CALLEE, b"second", True)
        self.assertEqual(self.dialog.told, {Party.CALLEE: b"second"})
        self.dialog.refuse()
        self.dialog.refuse()
        self.assertEqual(self.dialog.told, {Party.CALLEE: b"first"})

    def test_answer(self) -> None:
        """
        An answer stays.
        """
        self.dialog.tell(Party.CALLER, b"answer", False)
        self.dialog.refuse()
        self.assertEqual(self.dialog.told[Party.CALLER], b"answer")
