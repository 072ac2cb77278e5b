"""
Session descriptions are found in bodies of several parts, too.
"""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import EncodedSDP
from siptwist.sip.headers import Headers
from siptwist.sip.sdp import find_sdp, is_whole
from tests.sip.sdp.samples import SIX, mutate

MULTIPART = (
    b"preamble\r\n--unique-boundary-1\r\nContent-Type: text/plain\r\n\r\nhi\r\n"
    b"--unique-boundary-1\r\nContent-ID: <a@b>\r\ncontent-type :\r\n application/SDP; x=y\r\n\r\n"
    + SIX
    + b"\r\n--unique-boundary-1--\r\nepilogue"
)


class FindingTests(SynchronousTestCase):
    def find(self, content_type: str, body: bytes) -> bytes | None:
        found = find_sdp(content_type, body)
        return None if found is None else body[found[0] : found[1]]

    def test_usual_body(self) -> None:
        """
        A description and nothing else is known at a glance; whatever is written in
        another way is looked at closely.
        """
        for text, expected in (
            ("Content-Type: application/sdp", True),
            ("c: application/sdp", True),
            ("Content-Type: Application/SDP", False),
            ("Content-Type: application/sdp;charset=utf-8", False),
            ("Content-Type: multipart/mixed;boundary=a", False),
            ("Content-Type: application/sdp\r\nContent-Encoding: gzip", False),
            ("Subject: application/sdp", False),
        ):
            self.assertEqual(is_whole(Headers.parse(text)), expected, text)

    def test_whole_body(self) -> None:
        """
        A body of type application/sdp is found as a whole.
        """
        self.assertEqual(self.find("Application/SDP ; charset=x", SIX), SIX)

    def test_other_body(self) -> None:
        """
        A body of another type holds no session description.
        """
        for content_type in ("text/plain", "", "application/sdpfrag", "garbage", "multipart/mixed"):
            self.assertIsNone(self.find(content_type, SIX))

    def test_part(self) -> None:
        """
        The session description is found between the boundaries of a multipart body.
        """
        for content_type in (
            "multipart/mixed;boundary=unique-boundary-1",
            'multipart/alternative; a=b; Boundary = "unique-boundary-1"',
        ):
            self.assertEqual(self.find(content_type, MULTIPART), SIX)

    def test_nested(self) -> None:
        """
        A multipart body within a multipart body is looked into.
        """
        body = (
            b"--outer\nContent-Type: multipart/mixed;\n boundary=unique-boundary-1\n\n"
            + MULTIPART
            + b"\n--outer--"
        )
        self.assertEqual(self.find("multipart/related;boundary=outer", body), SIX)

    def test_longer_boundary(self) -> None:
        """
        A line that only begins like the boundary does not end a part.
        """
        body = b"--a\r\nContent-Type: application/sdp\r\n\r\n" + SIX + b"--ab\r\nx\r\n--a--"
        self.assertEqual(self.find("multipart/mixed;boundary=a", body), SIX + b"--ab\r\nx")

    def test_encoded_part(self) -> None:
        """
        A part in base64, or compressed, cannot be edited and is refused with 415.
        """
        for line in (
            b"Content-Transfer-Encoding: base64",
            b"content-encoding : gzip",
            b"Content-Transfer-Encoding: Quoted-Printable",
        ):
            body = b"--a\r\nContent-Type: application/SDP\r\n" + line + b"\r\n\r\ndj0w\r\n--a--"
            error = self.assertRaises(EncodedSDP, self.find, "multipart/mixed;boundary=a", body)
            self.assertEqual(error.status, 415)

    def test_encoded_body(self) -> None:
        """
        A compressed body is refused with 415, unless it is of another type.
        """
        for kind in ("application/sdp", "multipart/mixed;boundary=a"):
            self.assertRaises(EncodedSDP, find_sdp, kind, b"...", "gzip")
        self.assertIsNone(find_sdp("text/plain", b"...", "gzip"))
        self.assertEqual(find_sdp("application/sdp", SIX, "Identity"), (0, len(SIX)))

    def test_encoded_picture(self) -> None:
        """
        Another part in base64 does not matter.
        """
        body = (
            b"--a\r\nContent-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n\r\nAA==\r\n"
            b"--a\r\nContent-Type: application/sdp\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
            + SIX
            + b"\r\n--a--"
        )
        self.assertEqual(self.find("multipart/mixed;boundary=a", body), SIX)

    def test_no_end(self) -> None:
        """
        A multipart body without its last boundary holds nothing we could trust.
        """
        body = b"--a\r\nContent-Type: application/sdp\r\n\r\nv=0"
        self.assertIsNone(self.find("multipart/mixed;boundary=a", body))

    def test_multipart_mutations(self) -> None:
        """
        However a multipart body is damaged, what is found lies within it.
        """
        chance = random.Random(2046)
        pieces = MULTIPART.splitlines(keepends=True)
        for _ in range(2000):
            body = mutate(chance, MULTIPART, pieces)
            found = find_sdp("multipart/mixed;boundary=unique-boundary-1", body)
            if found is not None:
                self.assertTrue(0 <= found[0] <= found[1] <= len(body), body)
