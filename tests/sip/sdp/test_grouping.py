"""
Of one medium at several addresses one is enough.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.sip.sdp import SessionDescription, surplus
from tests.sip.sdp.samples import one_medium

FIRST = (b"m=audio 4000 RTP/AVP 0", b"c=IN IP6 2001:db8::5", b"a=mid:1")
SECOND = (b"m=audio 5000 RTP/AVP 0", b"c=IN IP4 10.0.0.5", b"a=mid:2")
VIDEO = (b"m=video 6000 RTP/AVP 99", b"a=mid:3")


class SurplusTests(SynchronousTestCase):
    def surplus(self, *lines: bytes, near: str = "10.0.0.5") -> set[int]:
        return set(surplus(SessionDescription.parse(one_medium(*lines)), near))

    def test_alternatives(self) -> None:
        """
        Of the streams of an ANAT group the one of the family that we talk in stays.
        """
        lines = (b"a=group:ANAT 1 2", *FIRST, *SECOND, *VIDEO)
        self.assertEqual(self.surplus(*lines), {0})
        self.assertEqual(self.surplus(*lines, near="2001:db8::9"), {1})

    def test_one_family(self) -> None:
        """
        When none is of that family, the one that its party likes best stays.
        """
        lines = (b"a=group:ANAT 2 3", *FIRST, *SECOND, *VIDEO)
        self.assertEqual(self.surplus(*lines, near="2001:db8::9"), {2})

    def test_other_groups(self) -> None:
        """
        Streams that are synchronized, or one after the other, are all needed.
        """
        for line in (b"a=group:LS 1 2", b"a=group:FID 1 2", b"a=x:ANAT"):
            self.assertEqual(self.surplus(line, *FIRST, *SECOND), set())

    def test_malformed(self) -> None:
        """
        Tags that no stream has, or a refused one, take nothing away.
        """
        for line in (b"a=group:ANAT", b"a=group:ANAT 7 8", b"a=group:ANAT 1 9"):
            self.assertEqual(self.surplus(line, *FIRST, *SECOND), set())
        refused = FIRST[0].replace(b"4000", b"0"), *FIRST[1:]
        self.assertEqual(self.surplus(b"a=group:ANAT 1 2", *refused, *SECOND), set())
