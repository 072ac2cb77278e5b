"""
Status codes and their reason phrases.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.sip.status import REASONS, reason_of


class ReasonTests(SynchronousTestCase):
    def test_known(self) -> None:
        """
        A phone shows the phrase that RFC 3261 gives a status.
        """
        self.assertEqual(reason_of(486), "Busy Here")
        self.assertEqual(reason_of(483), "Too Many Hops")

    def test_unknown(self) -> None:
        """
        A status nobody knows has a phrase too.
        """
        self.assertEqual(reason_of(599), "Unknown")

    def test_table(self) -> None:
        """
        Every status is one that a response can have, and its phrase fits in a line.
        """
        for status, reason in REASONS.items():
            self.assertIn(status, range(100, 700))
            self.assertRegex(reason, r"\A[A-Za-z/ -]+\Z")
