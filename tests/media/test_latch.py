"""
Tests for siptwist.media.latch: who may speak, and where answers go.
"""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from siptwist.media.latch import SETTLED, SETTLED_AGAIN, Address, Described, Latch
from siptwist.media.quality import Reception
from tests.media.packets import DTLS, STUN, rtcp, rtp

SDP = ("192.168.1.5", 4000)
NAT = ("203.0.113.7", 61000)
STRANGER = ("198.51.100.66", 4000)


def described(rtp: Address | None = SDP, signaling: str = NAT[0], **more: bool) -> Described:
    beside = (rtp[0], rtp[1] + 1) if rtp else None
    return Described(rtp=rtp, rtcp=beside, signaling_host=signaling, **more)


def speak(latch: Latch, source: Address, packets: int = SETTLED, first: int = 1) -> list[bool]:
    return [latch.accept(rtp(first + n), source) for n in range(packets)]


class LearningTests(SynchronousTestCase):
    def test_starts_at_sdp(self) -> None:
        """
        Before anything is heard, media go where the SDP says.
        """
        latch = Latch(described())
        self.assertEqual((latch.destination, latch.source), (SDP, None))

    def test_sdp_address_settles(self) -> None:
        """
        Four packets from the described address settle it.
        """
        latch = Latch(described())
        speak(latch, SDP)
        self.assertEqual((latch.destination, latch.source), (SDP, SDP))

    def test_nat(self) -> None:
        """
        A phone behind NAT is answered where its media come from, from the first packet on.
        """
        latch = Latch(described())
        self.assertTrue(latch.accept(rtp(1), NAT))
        self.assertEqual((latch.destination, latch.source), (NAT, None))

    def test_nat_settles(self) -> None:
        """
        Four packets in order from the signaling host settle a phone behind NAT.
        """
        latch = Latch(described())
        speak(latch, NAT)
        self.assertEqual(latch.source, NAT)

    def test_disorder_settles_nothing(self) -> None:
        """
        The same packet again and again, or another source each time, proves nothing.
        """
        latch = Latch(described())
        for _ in range(9):
            latch.accept(rtp(7), NAT)
        for n in range(9):
            latch.accept(rtp(n, ssrc=n), NAT)
        self.assertIsNone(latch.source)

    def test_sdp_address_wins(self) -> None:
        """
        Until it is settled, the described address beats another port of its host.
        """
        latch = Latch(described())
        speak(latch, NAT, 2)
        speak(latch, SDP, 1)
        speak(latch, NAT, 9)
        self.assertEqual(latch.destination, SDP)

    def test_name_in_sdp(self) -> None:
        """
        An SDP that gives a name is served once the signaling host speaks.
        """
        latch = Latch(described(None))
        self.assertIsNone(latch.destination)
        speak(latch, NAT)
        self.assertEqual(latch.destination, NAT)

    def test_fax(self) -> None:
        """
        T.38 has no sequence we read: four packets of the expected host settle it.
        """
        latch = Latch(described(is_rtp=False))
        heard = [latch.accept(bytes([0, n, 3]), NAT) for n in range(4)]
        self.assertEqual((heard, latch.source), ([True] * 4, NAT))


class StrangerTests(SynchronousTestCase):
    def test_before_lock(self) -> None:
        """
        A stranger who sprays before the phone speaks injects nothing and receives nothing.
        """
        latch = Latch(described())
        self.assertEqual(speak(latch, STRANGER, 1000), [False] * 1000)
        self.assertEqual(latch.destination, SDP)

    def test_during_lock(self) -> None:
        """
        A stranger who sprays while the phone settles changes nothing.
        """
        latch = Latch(described())
        for n in range(SETTLED):
            self.assertFalse(latch.accept(rtp(n + 900), STRANGER))
            self.assertTrue(latch.accept(rtp(n), NAT))
            self.assertEqual(latch.destination, NAT)
        self.assertEqual(latch.source, NAT)

    def test_after_lock(self) -> None:
        """
        After the lock even another port of the same host is a stranger, until it
        shows that it continues.
        """
        latch = Latch(described())
        speak(latch, NAT)
        for source in (STRANGER, (NAT[0], NAT[1] + 2), SDP):
            self.assertEqual(speak(latch, source, 100), [False] * 100)
        self.assertEqual((latch.destination, latch.source), (NAT, NAT))

    def test_name_in_sdp(self) -> None:
        """
        A phone whose address is unknown is not found by a stranger either.
        """
        latch = Latch(described(None))
        self.assertEqual(speak(latch, STRANGER, 9), [False] * 9)
        self.assertIsNone(latch.destination)

    def test_noise_never_latches(self) -> None:
        """
        STUN, DTLS and multiplexed RTCP from another port of the expected host pass nothing.
        """
        latch = Latch(described())
        for data in (STUN, DTLS, rtcp() + bytes(20)) * 9:
            self.assertFalse(latch.accept(data, NAT))
        self.assertEqual(latch.destination, SDP)

    def test_noise_of_known_source(self) -> None:
        """
        STUN, DTLS and multiplexed RTCP pass from the described address, and settle nothing.
        """
        latch = Latch(described())
        heard = [latch.accept(data, SDP) for data in (STUN, DTLS, rtcp() + bytes(20)) * 9]
        self.assertEqual((set(heard), latch.source), ({True}, None))

    def test_random_attack(self) -> None:
        """
        Whatever strangers send whenever, they are never heard and never sent to.
        """
        chance = random.Random(2017)
        for _ in range(50):
            latch = Latch(described())
            for n in range(100):
                kind = chance.random()
                if kind < 0.1:
                    latch.describe(described((SDP[0], chance.randrange(1, 65535))))
                elif kind < 0.5:
                    latch.accept(rtp(n), chance.choice([SDP, NAT]))
                else:
                    data = chance.choice([rtp(n), rtcp(), STUN, DTLS, chance.randbytes(14)])
                    self.assertFalse(latch.accept(data, STRANGER))
                    self.assertFalse(latch.accept_rtcp(STRANGER))
                for at in (latch.destination, latch.rtcp_destination, latch.source):
                    self.assertNotEqual(at and at[0], STRANGER[0])


class NewDescriptionTests(SynchronousTestCase):
    def test_same_sdp_keeps_destination(self) -> None:
        """
        A session refresh does not interrupt a phone behind NAT.
        """
        latch = Latch(described())
        speak(latch, NAT)
        latch.describe(described())
        self.assertEqual((latch.destination, speak(latch, NAT)), (NAT, [True] * SETTLED))
        self.assertEqual(latch.source, NAT)

    def test_same_sdp_opens_learning(self) -> None:
        """
        After a session refresh a phone whose NAT gave it another port is found again.
        """
        latch = Latch(described())
        speak(latch, NAT)
        latch.describe(described())
        moved = (NAT[0], 62000)
        speak(latch, moved, SETTLED - 1)
        self.assertEqual(latch.destination, NAT)
        speak(latch, moved, 1, first=SETTLED)
        self.assertEqual(latch.destination, moved)

    def test_new_sdp_moves(self) -> None:
        """
        A re-INVITE with another address is believed at once.
        """
        latch = Latch(described())
        speak(latch, NAT)
        latch.describe(described(("203.0.113.9", 5000), signaling="203.0.113.9"))
        self.assertEqual(latch.destination, ("203.0.113.9", 5000))
        self.assertFalse(latch.accept(rtp(1), NAT))

    def test_late_packets_do_not_move_back(self) -> None:
        """
        Packets still under way from the old port are heard, but nothing is sent there.
        """
        latch = Latch(described(NAT))
        speak(latch, NAT)
        new = (NAT[0], 5000)
        latch.describe(described(new))
        self.assertEqual(speak(latch, NAT, 20), [True] * 20)
        self.assertEqual((latch.destination, latch.source), (new, None))
        speak(latch, new)
        self.assertEqual(latch.source, new)

    def test_phone_that_did_not_move(self) -> None:
        """
        A phone that describes a new port and stays at the old one is found after a second.
        """
        latch = Latch(described())
        speak(latch, NAT)
        latch.describe(described((SDP[0], 4100)))
        speak(latch, NAT, SETTLED_AGAIN)
        self.assertEqual(latch.destination, NAT)

    def test_hold_and_resume(self) -> None:
        """
        A hold with 0.0.0.0 sends nothing, hears music, and resume finds the phone where it was.
        """
        latch = Latch(described())
        speak(latch, NAT)
        latch.describe(described(None, mute=True))
        self.assertEqual((latch.destination, latch.rtcp_destination), (None, None))
        self.assertTrue(latch.accept(rtp(99), NAT))
        self.assertIsNone(latch.destination)
        latch.describe(described())
        self.assertEqual(latch.destination, NAT)


class ContinuityTests(SynchronousTestCase):
    """
    A NAT router gives the party another port in mid-call, without new SDP.
    """

    MOVED = (NAT[0], 62000)

    def setUp(self) -> None:
        self.latch = Latch(described())
        self.reception = Reception()
        self.packets = 0
        for number in range(100, 100 + SETTLED):
            self.hear(number)

    def hear(self, number: int) -> None:
        self.assertTrue(self.latch.accept(rtp(number), NAT))
        self.reception.note(rtp(number), 0.0)
        self.packets += 1

    def follow(self, data: bytes, source: Address = MOVED) -> bool:
        return self.latch.follow(data, source, self.reception, self.packets)

    def test_followed(self) -> None:
        """
        Four packets that go on with sender, number and timestamp bring the audio back.
        """
        heard = [self.follow(rtp(number)) for number in range(150, 154)]
        self.assertEqual(heard, [False, False, False, True])
        self.assertEqual((self.latch.source, self.latch.destination), (self.MOVED, self.MOVED))
        self.assertTrue(self.latch.accept(rtp(154), self.MOVED))
        self.assertFalse(self.latch.accept(rtp(155), NAT))

    def test_around_the_end_of_numbers(self) -> None:
        """
        Numbers and timestamps may begin again at 0 meanwhile.
        """
        for number in range(0x7FFFFFFF, 0x7FFFFFFF + SETTLED):
            self.reception.note(rtp(number), 0.0)
        self.assertTrue([self.follow(rtp(0x80000100 + n)) for n in range(SETTLED)][-1])

    def refuse(self, packets: list[bytes], source: Address = MOVED) -> None:
        self.assertEqual([self.follow(one, source) for one in packets], [False] * len(packets))
        self.assertEqual(self.latch.source, NAT)

    def test_other_sender(self) -> None:
        """
        Another sender behind the same address is a stranger for ever.
        """
        self.refuse([rtp(number, ssrc=0xBAD) for number in range(104, 204)])

    def test_other_host(self) -> None:
        """
        An eavesdropper elsewhere who knows sender and numbers is a stranger all the same.
        """
        self.refuse([rtp(number) for number in range(104, 204)], STRANGER)

    def test_replayed(self) -> None:
        """
        What was heard already, or numbers far away, prove nothing.
        """
        self.refuse([rtp(number) for number in range(104)])
        self.refuse([rtp(number) for number in range(20000, 20100)])

    def test_timestamps_elsewhere(self) -> None:
        """
        Numbers that go on with timestamps that do not prove nothing.
        """
        forged = [rtp(n)[:4] + b"\xf0\0\0\0" + rtp(n)[8:] for n in range(104, 204)]
        self.refuse(forged)

    def test_party_still_speaks(self) -> None:
        """
        As long as the party speaks where it was, nobody takes its place.
        """
        for number in range(104, 204):
            self.refuse([rtp(number)])
            self.hear(number)

    def test_disturbed(self) -> None:
        """
        Noise from the same host in between does not keep the party from being found.
        """
        for number in range(150, 150 + SETTLED):
            found = self.follow(rtp(number))
            self.follow(rtp(number, ssrc=0xBAD), (SDP[0], 9))
            self.follow(rtp(number, ssrc=0xBAD), (NAT[0], 9))
            self.follow(b"\x80", (NAT[0], 9))
        self.assertTrue(found)

    def test_unsettled(self) -> None:
        """
        While nothing is settled there is nothing to continue.
        """
        self.latch.describe(described())
        self.assertFalse(self.follow(rtp(150)))

    def test_fax(self) -> None:
        """
        Fax shows no continuity; its source stays until there is new SDP.
        """
        self.latch = Latch(described(is_rtp=False))
        speak(self.latch, NAT)
        self.refuse([rtp(number) for number in range(150, 160)])


class HandshakeTests(SynchronousTestCase):
    """
    DTLS-SRTP behind NAT: RTP begins only when the handshake got through.
    """

    def setUp(self) -> None:
        self.latch = Latch(described(is_dtls=True))

    def test_answered(self) -> None:
        """
        The answer to a ClientHello goes where it came from, and settles nothing.
        """
        self.assertTrue(self.latch.accept(DTLS, NAT))
        self.assertEqual((self.latch.destination, self.latch.source), (NAT, None))
        speak(self.latch, NAT)
        self.assertEqual(self.latch.source, NAT)

    def test_stranger(self) -> None:
        """
        A stranger's ClientHello is not answered (ES2023-01: the race for the handshake).
        """
        self.assertFalse(self.latch.accept(DTLS, STRANGER))
        self.assertEqual(self.latch.destination, SDP)

    def test_only_handshakes(self) -> None:
        """
        STUN and RTCP from another port are no handshake.
        """
        self.assertFalse(self.latch.accept(STUN, NAT))
        self.assertFalse(self.latch.accept(rtcp() + bytes(20), NAT))
        self.assertEqual(self.latch.destination, SDP)

    def test_described_address_wins(self) -> None:
        """
        A handshake from the described address is outrun by no other port of its host.
        """
        self.latch.accept(DTLS, SDP)
        self.latch.accept(DTLS, NAT)
        self.assertEqual(self.latch.destination, SDP)

    def test_after_rtp(self) -> None:
        """
        Once RTP comes, a handshake from elsewhere moves nothing.
        """
        speak(self.latch, NAT, 1)
        self.assertFalse(self.latch.accept(DTLS, (NAT[0], 9)))
        self.assertEqual(self.latch.destination, NAT)

    def test_name_in_sdp(self) -> None:
        """
        A party whose SDP gives a name is answered as well.
        """
        latch = Latch(described(None, is_dtls=True))
        self.assertTrue(latch.accept(DTLS, NAT))
        self.assertEqual(latch.destination, NAT)


class CopyTests(SynchronousTestCase):
    def test_apart(self) -> None:
        """
        A copy knows what was learned, and does not learn with the original.
        """
        latch = Latch(described())
        speak(latch, NAT)
        copy = latch.copy()
        latch.describe(described(STRANGER, signaling=STRANGER[0]))
        self.assertEqual((copy.source, copy.destination, copy.described), (NAT, NAT, described()))


class RTCPTests(SynchronousTestCase):
    def test_described(self) -> None:
        """
        RTCP goes to the described port while RTP does.
        """
        latch = Latch(described()._replace(rtcp=(SDP[0], 4077)))
        self.assertEqual(latch.rtcp_destination, (SDP[0], 4077))

    def test_follows_rtp(self) -> None:
        """
        Behind NAT, RTCP goes beside where RTP was heard.
        """
        latch = Latch(described())
        speak(latch, NAT)
        self.assertEqual(latch.rtcp_destination, (NAT[0], NAT[1] + 1))

    def test_accepted_from_rtp_host(self) -> None:
        """
        RTCP is heard from the host of RTP, whatever the port, and from the described address.
        """
        latch = Latch(described())
        speak(latch, NAT)
        sources = [(NAT[0], 9), (SDP[0], SDP[1] + 1), STRANGER, (SDP[0], 9)]
        self.assertEqual([latch.accept_rtcp(one) for one in sources], [True, True, False, False])

    def test_teaches_nothing(self) -> None:
        """
        RTCP never moves the latch, however often and however short it comes.
        """
        latch = Latch(described())
        for _ in range(9):
            latch.accept_rtcp((SDP[0], 9))
        self.assertEqual((latch.destination, latch.source), (SDP, None))
