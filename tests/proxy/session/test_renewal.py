"""
Tests for siptwist.proxy.session.renewal.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import MalformedSDP
from siptwist.media.stream import CallKey, Party
from siptwist.proxy.identity import Identity
from siptwist.proxy.session.dialogs import Dialog
from siptwist.proxy.session.renewal import (
    answer_of,
    changed_hosts,
    ends_of,
    has_moved,
    is_busy,
    readdressed,
    timer_fields,
)
from siptwist.sip.headers import Headers, make_header
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Response
from tests.services.walking import sdp

OLD, NEW = "203.0.113.1", "198.51.100.9"
KEY = CallKey("call", "tag", Side.INSIDE, Side.OUTSIDE)


def identity(outside: str, bound: str = "", wide: str = "") -> Identity:
    return Identity(
        Hop("10.0.0.1", 5060),
        Hop(outside, 5060),
        {Side.INSIDE: "10.0.0.1", Side.OUTSIDE: bound or outside},
        wide={Side.OUTSIDE: wide} if wide else {},
    )


class HostsTests(SynchronousTestCase):
    """
    What has changed.
    """

    def test_one_side(self) -> None:
        """
        Only the side that has another address is concerned.
        """
        old, new = identity(OLD), identity(NEW)
        self.assertEqual(changed_hosts(old, new, Side.OUTSIDE), {OLD: NEW})
        self.assertEqual(changed_hosts(old, new, Side.INSIDE), {})
        self.assertEqual([has_moved(old, new, side) for side in Side], [False, True])

    def test_ipv6(self) -> None:
        """
        So is that of IPv6; one that is gone is replaced by nothing.
        """
        old = identity(OLD, wide="2001:db8::1")
        new = identity(OLD, wide="2001:db8::2")
        self.assertEqual(changed_hosts(old, new, Side.OUTSIDE), {"2001:db8::1": "2001:db8::2"})
        self.assertEqual(changed_hosts(old, identity(OLD), Side.OUTSIDE), {})
        self.assertTrue(has_moved(old, identity(OLD), Side.OUTSIDE))

    def test_sockets_only(self) -> None:
        """
        Behind a router that forwards, sockets move and nobody need be told.
        """
        old, new = identity(OLD, "192.0.2.1"), identity(OLD, "192.0.2.2")
        self.assertEqual(changed_hosts(old, new, Side.OUTSIDE), {})
        self.assertTrue(has_moved(old, new, Side.OUTSIDE))


class ReaddressedTests(SynchronousTestCase):
    """
    Session descriptions of ours.
    """

    def test_everywhere(self) -> None:
        """
        The new address stands wherever the old one did, in candidates, too.
        """
        more = f"a=rtcp:7071 IN IP4 {OLD}\r\na=candidate:1 1 UDP 1 {OLD} 7070 typ host\r\n"
        body = sdp(OLD, 7070, more).encode()
        self.assertEqual(readdressed(body, {OLD: NEW}), body.replace(OLD.encode(), NEW.encode()))

    def test_longer_address(self) -> None:
        """
        An address that begins or ends like ours is another one.
        """
        others = f"a=x:{OLD}1\r\na=y:1{OLD}\r\na=z:{OLD}.2\r\n"
        found = readdressed(sdp(OLD, 7070, others).encode(), {OLD: NEW}).decode()
        self.assertTrue(found.endswith(others))
        self.assertIn(f"c=IN IP4 {NEW}\r\n", found)

    def test_media_elsewhere(self) -> None:
        """
        A call whose media go past us, or that has none, is left alone.
        """
        body = sdp("10.0.0.5").replace("o=- 5365 2353 IN IP4 10.0.0.5", f"o=- 1 1 IN IP4 {OLD}")
        self.assertEqual(readdressed(body.encode(), {OLD: NEW}), body.encode())
        none = sdp(OLD, 0).encode()
        self.assertEqual(readdressed(none, {OLD: NEW}), none)

    def test_malformed(self) -> None:
        """
        What cannot be read is not sent again.
        """
        with self.assertRaises(MalformedSDP):
            readdressed(b"v=0\r\nm=audio x\r\n", {OLD: NEW})


class DialogTests(SynchronousTestCase):
    """
    Whether a call can be renewed, and with what.
    """

    def setUp(self) -> None:
        self.dialog = Dialog(KEY, 0.0)

    def test_ends_unknown(self) -> None:
        """
        A call whose ends are not known has none.
        """
        self.dialog.is_established = True
        self.assertIsNone(ends_of(self.dialog, Party.CALLER))

    def test_busy(self) -> None:
        """
        An open offer makes it busy.
        """
        self.assertFalse(is_busy(self.dialog))
        self.dialog.offered_by = Party.CALLEE
        self.assertTrue(is_busy(self.dialog))

    def test_timer(self) -> None:
        """
        The refresher is the same one, named from the side of whom we speak for.
        """
        self.assertEqual(timer_fields(self.dialog, Party.CALLER), ())
        self.dialog.timer, self.dialog.expires_at = ("90;Refresher = UAC;x=y", Party.CALLER), 9.0
        for party, text in (
            (Party.CALLER, "90;Refresher = UAC;x=y"),
            (Party.CALLEE, "90;Refresher = uas;x=y"),
        ):
            self.assertEqual(timer_fields(self.dialog, party)[1][1], text)
        self.dialog.expires_at = None
        self.assertEqual(timer_fields(self.dialog, Party.CALLER), ())


class AnswerTests(SynchronousTestCase):
    """
    What an end answers.
    """

    def answer(self, body: bytes) -> Response:
        pairs = [("To", "<sip:b@x.example>;tag=b"), ("Content-Type", "application/sdp")]
        return Response(200, "OK", Headers([make_header(*pair) for pair in pairs]), body)

    def test_answer(self) -> None:
        """
        It is the answer of the branch that was called.
        """
        response = self.answer(sdp("203.0.113.30").encode())
        for party, branch in ((Party.CALLEE, "b"), (Party.CALLER, "")):
            found = answer_of(KEY, party, response, "203.0.113.20", OLD)
            assert found is not None
            self.assertEqual((found.is_offer, found.branch), (False, branch))
            self.assertEqual(found.streams[0].endpoint.host, "203.0.113.30")

    def test_no_answer(self) -> None:
        """
        One without a description, or that cannot be read, changes nothing.
        """
        for body in (b"", b"v=0\r\nm=audio x\r\n"):
            self.assertIsNone(answer_of(KEY, Party.CALLEE, self.answer(body), "203.0.113.20", OLD))
