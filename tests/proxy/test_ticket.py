"""
Tests for siptwist.proxy.ticket.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.sip.hop import Side
from tests.proxy.asking import PHONE, ticket


class TicketTests(SynchronousTestCase):
    """
    What everybody asks of a request.
    """

    def test_read_once(self) -> None:
        """
        Via, From, To, CSeq, Call-ID and Request-URI are read when the request arrives.
        """
        made = ticket(uri="sip:bob@example.net:5070")
        self.assertEqual((made.via.branch, made.cseq.number), ("z9hG4bKabc", 1))
        self.assertEqual(
            (made.from_.aor, made.to.aor), ("sip:alice@provider.example", "sip:bob@example.net")
        )
        self.assertEqual((made.call_id, made.method), ("call@phone", "INVITE"))
        self.assertEqual((made.source, made.side), (PHONE, Side.INSIDE))
        assert made.uri is not None
        self.assertEqual(made.uri.port, 5070)

    def test_other_schemes(self) -> None:
        """
        A Request-URI that is no SIP URI, or a broken one, has none.
        """
        for uri in ("tel:+4930", "mailto:a@b", "sip:@", "sip:a@b:99999"):
            self.assertIsNone(ticket(uri=uri).uri, uri)

    def test_in_dialog(self) -> None:
        """
        A tag in the To tells that a request is inside a dialog.
        """
        self.assertFalse(ticket().in_dialog)
        self.assertTrue(ticket(to="<sip:bob@example.net>;tag=b").in_dialog)

    def test_other_request(self) -> None:
        """
        Another Request-URI is read anew, all else stays.
        """
        made = ticket()
        moved = made.with_request(made.request._replace(uri="sip:carol@example.org"))
        assert moved.uri is not None
        self.assertEqual(moved.uri.user, "carol")
        self.assertEqual(moved._replace(request=made.request, uri=made.uri), made)

    def test_slim(self) -> None:
        """
        A ticket that is kept for long lets headers and body go.
        """
        slim = ticket(body="much").slim()
        self.assertEqual((len(slim.request.headers), slim.request.body), (0, b""))
        self.assertEqual((slim.method, slim.call_id), ("INVITE", "call@phone"))
