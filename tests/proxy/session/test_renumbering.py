"""
Tests for siptwist.proxy.session.renumbering.
"""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from siptwist.media.stream import CallKey, Party
from siptwist.proxy.decision import Target
from siptwist.proxy.passage import Passage
from siptwist.proxy.session.renumbering import Renumbering, raised, with_version
from siptwist.sip.headers import Headers, make_header
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Request, Response

KEY = CallKey("call", "tag", Side.INSIDE, Side.OUTSIDE)
SDP = b"v=0\r\no=- 5 99 IN IP4 10.0.0.1\r\ns=-\r\n"
HOP = Hop("203.0.113.9", 5060)


def request(method: str, number: int, *more: tuple[str, str], body: bytes = b"") -> Request:
    pairs = [("CSeq", f"{number} {method}"), ("Content-Length", str(len(body))), *more]
    if body:
        pairs.append(("Content-Type", "application/sdp"))
    return Request(method, "sip:x", Headers([make_header(*pair) for pair in pairs]), body)


def passage(party: Party = Party.CALLER, key: CallKey | None = KEY) -> Passage:
    side = Side.INSIDE
    target = Target("sip:x")
    return Passage(
        "INFO", True, side, 0.0, target, HOP, side, True, False, (), key=key, party=party
    )


class NumberTests(SynchronousTestCase):
    """
    Numbers of requests.
    """

    def setUp(self) -> None:
        self.numbers = Renumbering()

    def sent(self, method: str, number: int, *more: tuple[str, str]) -> Request:
        return self.numbers.send(request(method, number, *more), passage())[0]

    def cseq(self, method: str, number: int) -> int:
        return self.sent(method, number).headers.cseq.number

    def test_none(self) -> None:
        """
        Where we said nothing, requests and answers go on as they are.
        """
        self.assertFalse(self.numbers.used)
        one, way = request("INFO", 3, body=SDP), passage()
        self.assertIs(self.numbers.send(one, way)[0], one)
        self.numbers.use(KEY, Party.CALLEE, 1)
        self.assertIs(self.numbers.send(one, way)[0], one)
        self.assertIs(self.numbers.send(one, passage(key=None))[0], one)

    def test_later_requests(self) -> None:
        """
        Later requests count on from ours; earlier ones, as an ACK that is on its way,
        are left alone.
        """
        self.assertEqual(self.numbers.use(KEY, Party.CALLER, 5), 6)
        self.assertEqual([self.cseq("ACK", n) for n in (4, 5)], [4, 5])
        self.assertEqual([self.cseq("INFO", n) for n in (6, 7)], [7, 8])
        self.assertEqual(self.numbers.use(KEY, Party.CALLER, 7), 9)
        self.assertEqual(self.numbers.use(KEY, Party.CALLER, 7), 10)
        self.assertEqual([self.cseq("INFO", n) for n in (5, 6, 7, 8)], [5, 7, 8, 11])
        self.assertEqual(self.numbers.next_number(KEY, Party.CALLER, 8), 12)

    def test_never_twice(self) -> None:
        """
        No number is used twice, and they only grow, whoever speaks when.
        """
        chance = random.Random(4)
        for _ in range(50):
            numbers, last, seen = Renumbering(), 0, [0]
            for _ in range(40):
                if chance.random() < 0.4:
                    seen.append(numbers.use(KEY, Party.CALLER, last))
                else:
                    last += 1
                    seen.append(
                        numbers.send(request("INFO", last), passage())[0].headers.cseq.number
                    )
            self.assertEqual(seen, list(range(len(seen))))

    def test_answer(self) -> None:
        """
        The answer says the number that was asked with.
        """
        self.numbers.use(KEY, Party.CALLER, 5)
        way = self.numbers.send(request("INFO", 6), passage())[1]
        self.assertEqual(way.cseq, make_header("CSeq", "6 INFO"))
        self.assertIsNone(self.numbers.send(request("ACK", 5), passage())[1].cseq)

    def test_rack(self) -> None:
        """
        PRACK names the number that its INVITE went out with (RFC 3262).
        """
        self.numbers.use(KEY, Party.CALLER, 5)
        sent = self.sent("PRACK", 7, ("RAck", "77 6 INVITE"))
        self.assertEqual(sent.headers.get("rack"), "77 7 INVITE")
        for text in ("77 6", "x 6 INVITE", "77 INVITE 6"):
            self.assertEqual(self.sent("PRACK", 7, ("RAck", text)).headers.get("rack"), text)

    def test_forgotten(self) -> None:
        """
        A call that is over is forgotten.
        """
        for party in Party:
            self.numbers.use(KEY, party, 5)
        self.numbers.forget(KEY._replace(call_id="other"))
        self.assertTrue(self.numbers.used)
        self.numbers.forget(KEY)
        self.assertFalse(self.numbers.used)


class VersionTests(SynchronousTestCase):
    """
    Versions of session descriptions.
    """

    def test_raised(self) -> None:
        """
        Requests and answers of whom we spoke for have higher versions.
        """
        numbers = Renumbering()
        numbers.use(KEY, Party.CALLER, 5)
        numbers.use(KEY, Party.CALLER, 5)
        sent, _ = numbers.send(request("INVITE", 6, body=SDP), passage())
        self.assertIn(b"o=- 5 101 IN", sent.body)
        self.assertEqual(sent.headers.get("content-length"), str(len(sent.body)))
        said = request("INVITE", 1, body=SDP)
        answer = Response(200, "OK", said.headers, said.body)
        self.assertIn(b"o=- 5 101 IN", numbers.answer(answer, passage(Party.CALLEE)).body)
        self.assertIs(numbers.answer(answer, passage(Party.CALLER)), answer)

    def test_first_line(self) -> None:
        """
        Only the o= line of a description counts, wherever it stands in the body.
        """
        self.assertEqual(
            raised(b"--x\r\n\r\n" + SDP, 1), b"--x\r\n\r\n" + SDP.replace(b"99", b"100")
        )
        for body in (b"", b"o=- x 1 IN\r\n", b"a=o=- 1 1 IN", b"o=- 1 -1 IN IP4 x"):
            self.assertEqual(raised(body, 1), body)

    def test_other_bodies(self) -> None:
        """
        What is no session description stays.
        """
        other = request("INFO", 1, ("Content-Type", "text/plain"), body=SDP)
        self.assertIs(with_version(other, 3), other)
