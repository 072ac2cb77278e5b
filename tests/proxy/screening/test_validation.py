"""
Tests for siptwist.proxy.screening.validation.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from siptwist.proxy.screening.validation import (
    max_forwards_of,
    one_hop_less,
    timestamp_of,
    validate,
)
from tests.proxy.asking import ticket


class ValidationTests(SynchronousTestCase):
    """
    Checks before a request is forwarded (RFC 3261 section 16.3).
    """

    def status(self, *lines: str, **more: Any) -> int | None:
        reply = validate(ticket(*lines, **more))
        return None if reply is None else reply.status

    def test_good(self) -> None:
        """
        SIP and tel URIs with hops left may go on.
        """
        for uri in ("sip:bob@example.net", "tel:+4930"):
            self.assertIsNone(self.status("Max-Forwards: 1", uri=uri))

    def test_scheme(self) -> None:
        """
        Schemes that we do not know: 416; a SIP URI that cannot be read: 400.
        """
        self.assertEqual(self.status(uri="http://example.net/"), 416)
        self.assertEqual(self.status(uri="sip:bob@[::"), 400)

    def test_secure(self) -> None:
        """
        sips: asks for TLS on the whole way: 416, and never sent in the clear.
        """
        self.assertEqual(self.status(uri="sips:bob@example.net"), 416)

    def test_timestamp(self) -> None:
        """
        A 100 repeats the Timestamp of its request (RFC 3261 section 8.2.6.1).
        """
        self.assertEqual(timestamp_of(ticket("Timestamp: 54")), (("Timestamp", "54"),))
        self.assertEqual(timestamp_of(ticket()), ())

    def test_headers_in_the_uri(self) -> None:
        """
        Headers in a Request-URI: 400 (RFC 3261 section 19.1.1).
        """
        self.assertEqual(self.status(uri="sip:bob@example.net?Subject=x"), 400)

    def test_hops(self) -> None:
        """
        Max-Forwards 0: 483, but 200 for OPTIONS; no number up to 255: 400.
        """
        self.assertEqual(self.status("Max-Forwards: 0"), 483)
        self.assertEqual(self.status("Max-Forwards: 0", method="OPTIONS"), 200)
        for text in ("256", "-1", "x", "1 2", ""):
            self.assertEqual(self.status(f"Max-Forwards: {text}"), 400, text)

    def test_one_hop_less(self) -> None:
        """
        One is taken off; without Max-Forwards, off 70.
        """
        self.assertEqual(one_hop_less(ticket("Max-Forwards: 255"))[0][2], "Max-Forwards: 254")
        self.assertEqual(one_hop_less(ticket())[0][1], "69")
        self.assertEqual(max_forwards_of(ticket()), 70)

    def test_required_extensions(self) -> None:
        """
        Proxy-Require: 420 that names each extension, but never for ACK and CANCEL.
        """
        reply = validate(ticket("Proxy-Require: foo, BAR"))
        assert reply is not None
        self.assertEqual((reply.status, reply.headers), (420, (("Unsupported", "foo, bar"),)))
        for method in ("ACK", "CANCEL"):
            self.assertIsNone(self.status("Proxy-Require: foo", method=method))

    def test_required_of_the_callee(self) -> None:
        """
        Require is the callee's business, not ours.
        """
        self.assertIsNone(self.status("Require: 100rel"))
