"""
Tests for siptwist.proxy.session.ends.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import MalformedHeader
from siptwist.proxy.session.ends import End, in_dialog_request
from siptwist.sip.headers import make_header
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import parse

US = "<sip:203.0.113.1;lr>"
SENDER = make_header("To", "<sip:b@x.example>;tag=b")
VIA = make_header("Via", "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK1")


def end(contact: str = "<sip:a@10.0.0.10>;x=y", *recorded: str, below: int = -1) -> End:
    return End(
        make_header("From", '"A" <sip:a@x.example>;tag=a'),
        make_header("Contact", contact) if contact else None,
        tuple(make_header("Record-Route", route) for route in recorded),
        below,
        Side.INSIDE,
        Hop("10.0.0.10", 5060),
        True,
    )


class EndTests(SynchronousTestCase):
    """
    Where requests to an end of a call go.
    """

    def test_caller(self) -> None:
        """
        The caller is reached by all that recorded themselves, nearest first.
        """
        self.assertEqual(end("", "<sip:1;lr>, <sip:2;lr>", "<sip:3;lr>").routes[0], "<sip:1;lr>")
        self.assertEqual(len(end("", "<sip:1;lr>, <sip:2;lr>", "<sip:3;lr>").routes), 3)

    def test_callee(self) -> None:
        """
        The callee is reached by those above us, which stand in the other order.
        """
        routes = ("<sip:far;lr>", f"<sip:near;lr>, {US}", "<sip:below;lr>")
        self.assertEqual(end("", *routes, below=1).routes, ["<sip:near;lr>", "<sip:far;lr>"])

    def test_nobody_recorded(self) -> None:
        """
        An answer that lost all Record-Routes has none to go by.
        """
        self.assertEqual((end("", below=0).routes, end("", below=3).routes), ([], []))

    def test_target(self) -> None:
        """
        The Contact's URI is the target.
        """
        self.assertEqual(end().target, "sip:a@10.0.0.10")

    def test_malformed(self) -> None:
        """
        Without a Contact that can be read there is no way to an end.
        """
        for contact in ("", "<sip:a", "<>"):
            with self.assertRaises(MalformedHeader):
                in_dialog_request("BYE", 2, end(contact), SENDER, "c", VIA)


class RequestTests(SynchronousTestCase):
    """
    Requests of ours.
    """

    def test_request(self) -> None:
        """
        They can be read, and are what the other end would send.
        """
        more = (make_header("Reason", "x"),)
        made = in_dialog_request("INFO", 7, end("<sip:a@h>", "<sip:1;lr>"), SENDER, "c", VIA, more)
        self.assertEqual(parse(bytes(made)), made)
        headers = made.headers
        self.assertEqual(
            [headers.get(key) for key in ("from", "to", "call-id", "cseq", "route", "reason")],
            [
                "<sip:b@x.example>;tag=b",
                '"A" <sip:a@x.example>;tag=a',
                "c",
                "7 INFO",
                "<sip:1;lr>",
                "x",
            ],
        )

    def test_body(self) -> None:
        """
        A body is counted.
        """
        made = in_dialog_request("INVITE", 1, end(), SENDER, "c", VIA, (), b"v=0\r\n")
        self.assertEqual(made.headers.get("content-length"), "5")
