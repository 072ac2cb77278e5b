"""
Session descriptions that are no offer and no answer, across the whole proxy.
"""

from __future__ import annotations

from tests.services.walking import Leg, WalkingCase, sdp

BOB = "sip:bob@provider.example"


class HidingTests(WalkingCase):
    """
    F9 of siproxd: what a phone describes is rewritten wherever it stands.
    """

    fakes_media = True

    def assert_hidden(self, body: bytes) -> None:
        self.assertIn(b"c=IN IP4 203.0.113.1\r\n", body)
        self.assertNotIn(b"10.0.0.10", body)

    def test_other_requests(self) -> None:
        """
        INFO, MESSAGE and NOTIFY of a phone carry our address in their SDP.
        """
        for method in ("INFO", "MESSAGE", "NOTIFY"):
            self.phone.send(method, BOB, body=sdp("10.0.0.10"))
            self.assert_hidden(self.provider.last(method).body)
        self.assertEqual(self.media.described, [])

    def test_unknown_call(self) -> None:
        """
        A request of a call that we know nothing of, from before a restart, too.
        """
        for method in ("UPDATE", "PRACK", "ACK"):
            self.phone.send(method, BOB, to_tag="old", body=sdp("10.0.0.10"))
            self.assert_hidden(self.provider.last(method).body)

    def test_capabilities(self) -> None:
        """
        So does the answer of a phone to OPTIONS.
        """
        caller, _ = self.call_in()
        caller.send("OPTIONS")
        self.phone.reply(self.phone.last("OPTIONS"), 200, body=sdp("10.0.0.10"))
        self.assert_hidden(self.provider.answer("OPTIONS").body)
        self.assertEqual(len(self.media.described), 2)

    def test_refusals(self) -> None:
        """
        So does the refusal of a re-INVITE, 3xx to 6xx.
        """
        caller, _ = self.call_in()
        for status in (302, 488, 606):
            caller.send("INVITE", body=sdp("203.0.113.30"))
            self.phone.reply(self.phone.last("INVITE"), status, body=sdp("10.0.0.10"))
            told = self.provider.answer("INVITE")
            self.assertEqual(told.status, status)
            self.assert_hidden(told.body)

    def test_answer_to_prack(self) -> None:
        """
        The 200 to a PRACK that offers is an answer, and anchored as one.
        """
        sent = self.phone.invite(BOB)
        self.provider.reply(
            self.provider.last("INVITE"),
            183,
            body=sdp("203.0.113.30"),
            headers=(("RSeq", "1"), ("Require", "100rel")),
        )
        ringing = Leg(self.phone, sent, self.phone.answer("INVITE"))
        ringing.send("PRACK", body=sdp("10.0.0.10", 4444), headers=(("RAck", "1 1 INVITE"),))
        self.provider.reply(self.provider.last("PRACK"), 200, body=sdp("203.0.113.30", 6666))
        answer = self.phone.answer("PRACK").body
        self.assertIn(b"c=IN IP4 10.0.0.1\r\n", answer)
        self.assertNotIn(b"m=audio 6666 ", answer)

    def test_from_outside(self) -> None:
        """
        What the outside describes goes in as it came.
        """
        caller, _ = self.call_in()
        caller.send("INFO", body=sdp("203.0.113.30"))
        self.assertEqual(self.phone.last("INFO").body.decode(), sdp("203.0.113.30"))

    def test_encoded(self) -> None:
        """
        An INVITE whose SDP we cannot rewrite is refused with 415, and goes nowhere.
        """
        body = (
            "--a\r\nContent-Type: application/sdp\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            "dj0w\r\n--a--\r\n"
        )
        self.phone.invite(BOB, body=body, type="multipart/mixed;boundary=a")
        self.assertEqual(self.phone.statuses("INVITE"), [415])
        self.assertEqual(self.provider.requests("INVITE"), [])
