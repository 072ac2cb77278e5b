"""
Tests of :mod:`siptwist.plugins.repairs.texts`.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.plugins.repairs.texts import find_texts
from siptwist.sip.message import Request
from tests.services.walking import fields

TEXTS = (
    "text/plain",
    "Text/HTML; charset=utf-8",
    "application/sdp",
    "application/dtmf-relay",
    "application/pidf+xml",
    "application/simple-message-summary",
    "message/sipfrag;version=2.0",
)
OTHERS = (
    "image/png",
    "application/octet-stream",
    "application/isup",
    "",
    "text",
    "sdp/application",
)
PARTS = b"""\
--b\r
Content-Type: text/plain\r
\r
one\r
--b\r
Content-Type: image/png\r
\r
two\r
--b\r
Content-Type: text/plain\r
Content-Transfer-Encoding: base64\r
\r
dGhyZWU=\r
--b\r
Content-Type: multipart/alternative; boundary=c\r
\r
--c\r
Content-Type: application/sdp\r
\r
four\r
--c--\r
--b--\r
"""


def texts(kind: str, body: bytes, *more: tuple[str, str]) -> list[bytes]:
    headers = [("Content-Type", kind)] if kind else []
    message = Request("MESSAGE", "sip:a@b.example", fields(*headers, *more), body)
    return [body[start:end] for start, end in find_texts(message)]


class TextsTests(SynchronousTestCase):
    def test_texts(self) -> None:
        """
        Text is what its type says, in any case and with parameters.
        """
        for kind in TEXTS:
            self.assertEqual(texts(kind, b"hello"), [b"hello"], kind)

    def test_others(self) -> None:
        """
        All else is none, also what says nothing of itself.
        """
        for kind in OTHERS:
            self.assertEqual(texts(kind, b"hello"), [], kind)

    def test_encoded(self) -> None:
        """
        A compressed text is none.
        """
        self.assertEqual(texts("text/plain", b"x", ("Content-Encoding", "gzip")), [])
        self.assertEqual(texts("text/plain", b"x", ("Content-Encoding", "Identity")), [b"x"])

    def test_nul(self) -> None:
        """
        What holds a NUL is no text, whatever it says.
        """
        self.assertEqual(texts("text/plain", b"he\0llo"), [])

    def test_multipart(self) -> None:
        """
        Of a multipart body the texts in it count, those in a multipart within, too; but
        none in base64.
        """
        self.assertEqual(texts("multipart/mixed; boundary=b", PARTS), [b"one", b"four"])

    def test_malformed_multipart(self) -> None:
        """
        A multipart body without boundary, or cut off, has the texts that can be found.
        """
        self.assertEqual(texts("multipart/mixed", PARTS), [])
        self.assertEqual(texts("multipart/mixed; boundary=x", PARTS), [])
        self.assertEqual(texts("multipart/mixed; boundary=b", PARTS[:30]), [])
        self.assertEqual(texts("multipart/mixed; boundary=b", b""), [])
