"""
Tests for siptwist.net.rtp.ice.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.media.ice import Agent
from siptwist.media.latch import Address, Described
from siptwist.media.leg import Leg
from siptwist.media.stream import Endpoint, StreamOffer
from siptwist.net.rtp.ice import judge_rtcp, judge_rtp
from siptwist.net.rtp.relay import Relay
from siptwist.sip import stun
from tests.media.packets import rtcp, rtp
from tests.media.test_ice import OURS, check

PHONE, ROUTER = ("10.0.0.5", 4000), ("192.0.2.7", 61000)
STRANGER = ("198.51.100.66", 4000)


class FakePort:
    """
    A port that keeps what is written to it.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Address]] = []
        self.is_broken = False

    def write(self, packet: bytes, addr: Address) -> None:
        if self.is_broken:
            raise OSError
        self.sent.append((packet, addr))


class JudgeTests(SynchronousTestCase):
    """
    A leg whose party checks us, and sends from behind a NAT that nobody described.
    """

    def setUp(self) -> None:
        self.port, self.relay, self.leg = FakePort(), Relay(), Leg()
        self.relay.transport = self.port  # type: ignore[assignment]
        self.leg.ice = Agent(lambda: OURS)
        self.leg.offered = StreamOffer(0, "audio", Endpoint(*PHONE, 4001), has_ice=True)
        self.leg.describe("", Described(PHONE, (PHONE[0], 4001), "10.0.0.5"))
        self.judge = judge_rtp(self.relay, self.leg)

    def test_check(self) -> None:
        """
        A check is answered where it came from, on the same socket, and not relayed.
        """
        self.assertFalse(self.judge(check(), ROUTER))
        ((answer, address),) = self.port.sent
        self.assertEqual((stun.Message.parse(answer).type, address), (stun.SUCCESS, ROUTER))
        self.assertEqual(self.leg.rtp.destination, PHONE)

    def test_chosen(self) -> None:
        """
        From then on media goes to, and is heard from, the way that was chosen.
        """
        self.assertFalse(self.judge(rtp(1), ROUTER))
        self.judge(check(nominates=True), ROUTER)
        self.assertEqual(self.leg.rtp.destination, ROUTER)
        self.assertTrue(self.judge(rtp(2), ROUTER))
        self.assertIsNone(self.leg.rtp.source, "the hot loop would relay the next check")

    def test_chosen_for_rtcp(self) -> None:
        """
        RTCP has a way of its own.
        """
        judge = judge_rtcp(self.relay, self.leg)
        self.assertFalse(judge(rtcp(), ROUTER))
        judge(check(nominates=True), ROUTER)
        self.assertEqual(self.leg.rtcp.destination, ROUTER)
        self.assertEqual(self.leg.rtp.destination, PHONE)
        self.assertTrue(judge(rtcp(), ROUTER))

    def test_new_description(self) -> None:
        """
        New SDP that names the same or another address does not undo the choice.
        """
        self.judge(check(nominates=True), ROUTER)
        self.leg.describe("", Described(("10.0.0.5", 4444), None, "10.0.0.5"))
        self.assertEqual(self.leg.rtp.destination, ROUTER)

    def test_hold(self) -> None:
        """
        Who asks for nothing to be sent, by 0.0.0.0, is sent nothing.
        """
        self.judge(check(nominates=True), ROUTER)
        self.leg.describe("", Described(None, None, "10.0.0.5", mute=True))
        self.assertIsNone(self.leg.rtp.destination)

    def test_stranger(self) -> None:
        """
        A stranger's check is dropped without a word, and so is what it sends.
        """
        self.assertFalse(self.judge(check(ours=OURS._replace(password="x")), STRANGER))
        self.assertFalse(self.judge(rtp(1), STRANGER))
        self.assertEqual(self.port.sent, [])
        self.assertEqual(self.leg.rtp.strangers, 1)

    def test_network_down(self) -> None:
        """
        An answer that cannot be sent is lost, as UDP is.
        """
        self.port.is_broken = True
        self.assertFalse(self.judge(check(), ROUTER))

    def test_no_ice(self) -> None:
        """
        A party without ICE is judged as ever; its STUN is relayed.
        """
        self.leg.ice = None
        self.assertEqual(judge_rtp(self.relay, self.leg), self.leg.judge_rtp)
        self.assertEqual(judge_rtcp(self.relay, self.leg), self.leg.judge_rtcp)
