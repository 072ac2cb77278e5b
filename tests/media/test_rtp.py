"""
Tests for siptwist.media.rtp.
"""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from siptwist.media.rtp import is_dtls, is_rtcp, is_rtp, rises, sequence, ssrc, timestamp
from tests.media.packets import DTLS, STUN, rtcp, rtp


class HeaderTests(SynchronousTestCase):
    def test_rtp(self) -> None:
        """
        A packet of a call is RTP and not RTCP.
        """
        self.assertEqual((is_rtp(rtp(1)), is_rtcp(rtp(1))), (True, False))

    def test_rtcp(self) -> None:
        """
        A receiver report is RTCP, on the RTP port as well (RFC 5761).
        """
        self.assertEqual((is_rtp(rtcp() + bytes(8)), is_rtcp(rtcp())), (False, True))

    def test_too_short(self) -> None:
        """
        Eleven octets are no RTP, seven no RTCP.
        """
        self.assertEqual((is_rtp(rtp(1)[:11]), is_rtcp(rtcp()[:7])), (False, False))

    def test_other_version(self) -> None:
        """
        STUN and DTLS are neither.
        """
        kinds = [(is_rtp(data), is_rtcp(data)) for data in (STUN, DTLS)]
        self.assertEqual(kinds, [(False, False), (False, False)])

    def test_fields(self) -> None:
        """
        Sequence number, timestamp and source are read from their places.
        """
        packet = rtp(0xABCD, ssrc=0x01020304)
        self.assertEqual((sequence(packet), ssrc(packet)), (0xABCD, 0x01020304))
        self.assertEqual(timestamp(packet), 0xABCD * 160)

    def test_handshake(self) -> None:
        """
        DTLS is told by its first octet (RFC 7983), when its header is whole.
        """
        kinds = [is_dtls(data) for data in (DTLS, DTLS[:12], STUN, rtp(1), rtcp() + bytes(9))]
        self.assertEqual(kinds, [True, False, False, False, False])

    def test_sequence_rises(self) -> None:
        """
        The number after 65535 is 0; lost packets are allowed for, repeated ones are not.
        """
        pairs = [(1, 2), (65535, 0), (10, 90), (5, 5), (5, 4), (0, 65535)]
        self.assertEqual([rises(*pair) for pair in pairs], [True] * 3 + [False] * 3)

    def test_noise(self) -> None:
        """
        Whatever arrives is classified without an error, and never as both.
        """
        chance = random.Random(3550)
        for _ in range(5000):
            data = chance.randbytes(chance.randrange(24))
            self.assertFalse(is_rtp(data) and is_rtcp(data))
