"""
Tests for siptwist.services.complaints.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.services.complaints import SOURCES, Complaints


class ComplaintsTests(SynchronousTestCase):
    """
    What is logged of what is wrong.
    """

    def setUp(self) -> None:
        self.complaints = Complaints()

    def test_once_a_second(self) -> None:
        """
        A source is logged at most once a second, whatever the kind of its mistakes.
        """
        logged = [
            self.complaints.note(kind, "192.0.2.1", now)
            for kind, now in (("a", 10.0), ("b", 10.5), ("a", 10.99), ("a", 11.0), ("a", 11.5))
        ]
        self.assertEqual(logged, [True, False, False, True, False])

    def test_sources_do_not_silence_each_other(self) -> None:
        """
        A flood from one source does not hide another.
        """
        self.assertTrue(self.complaints.note("a", "192.0.2.1", 10.0))
        self.assertTrue(self.complaints.note("a", "192.0.2.2", 10.0))

    def test_counted_in_full(self) -> None:
        """
        Each kind is counted in full, logged or not.
        """
        for _ in range(5):
            self.complaints.note("a", "192.0.2.1", 10.0)
        self.complaints.note("b", "192.0.2.1", 10.0)
        self.assertEqual(dict(self.complaints.counts), {"a": 5, "b": 1})

    def test_memory_is_bounded(self) -> None:
        """
        A flood from forged sources fills no table; the latest are remembered.
        """
        for number in range(SOURCES + 100):
            self.complaints.note("a", f"source-{number}", 10.0)
        self.assertEqual(len(self.complaints._logged_at), SOURCES)
        self.assertFalse(self.complaints.note("a", f"source-{SOURCES + 99}", 10.0))
        self.assertTrue(self.complaints.note("a", "source-0", 10.0))
