"""
Tests for siptwist.media.leg.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.media.latch import SETTLED, Address, Described
from siptwist.media.leg import MAX_BRANCHES, Leg, MediaStream
from siptwist.media.stream import Party
from tests.media.packets import rtcp, rtp

ONE = ("203.0.113.10", 4000)
TWO = ("203.0.113.20", 5000)
STRANGER = ("198.51.100.66", 4000)


def described(at: Address, is_rtp: bool = True) -> Described:
    return Described(at, (at[0], at[1] + 1), at[0], is_rtp)


def speak(leg: Leg, source: Address, packets: int = SETTLED) -> list[bool]:
    return [leg.judge_rtp(rtp(n), source) for n in range(packets)]


class LegTests(SynchronousTestCase):
    def test_undescribed(self) -> None:
        """
        Before a party described itself, nobody is heard on its port.
        """
        leg = Leg()
        self.assertEqual((speak(leg, ONE), leg.rtp.strangers), ([False] * SETTLED, SETTLED))

    def test_settled_source(self) -> None:
        """
        A settled source is told to whoever moves the packets.
        """
        leg = Leg()
        leg.describe("", described(ONE))
        speak(leg, ONE)
        self.assertEqual((leg.rtp.source, leg.rtp.destination), (ONE, ONE))

    def test_strangers_are_counted(self) -> None:
        """
        Packets from elsewhere are dropped and counted, RTP and RTCP alike.
        """
        leg = Leg()
        leg.describe("", described(ONE))
        speak(leg, STRANGER, 3)
        leg.judge_rtcp(rtcp(), STRANGER)
        self.assertEqual((leg.rtp.strangers, leg.rtcp.strangers), (3, 1))

    def test_short_packets_are_counted(self) -> None:
        """
        Packets too short to be media are dropped and counted, and move nothing.
        """
        leg = Leg()
        leg.describe("", described(ONE))
        self.assertFalse(leg.judge_rtp(b"\x80\0\0\0", ONE))
        self.assertFalse(leg.judge_rtcp(b"\x80\xc9\0\0", ONE))
        self.assertEqual((leg.rtp.short, leg.rtcp.short, leg.rtp.source), (1, 1, None))

    def test_short_fax(self) -> None:
        """
        Fax packets may be short.
        """
        leg = Leg()
        leg.describe("", described(ONE, is_rtp=False))
        self.assertTrue(leg.judge_rtp(b"\0\1\2\3", ONE))

    def test_short_multiplexed_rtcp(self) -> None:
        """
        An empty receiver report passes on the RTP port although it is short.
        """
        leg = Leg()
        leg.describe("", described(ONE))
        self.assertTrue(leg.judge_rtp(rtcp(), ONE))

    def test_moved(self) -> None:
        """
        A party that goes on from another port is served there, and its RTCP beside it.
        """
        leg, moved = Leg(), (ONE[0], 4321)
        leg.describe("", described(ONE))
        for number in range(SETTLED):
            leg.judge_rtp(rtp(number), ONE)
            leg.rtp.note(rtp(number), 0.0)
        heard = [leg.judge_rtp(rtp(100 + number), moved) for number in range(SETTLED)]
        self.assertEqual(heard, [False] * (SETTLED - 1) + [True])
        self.assertEqual((leg.rtp.source, leg.rtp.destination), (moved, moved))
        self.assertEqual(leg.rtcp.destination, (moved[0], moved[1] + 1))

    def test_quality(self) -> None:
        """
        RTP is measured; fax is only seen to be alive, RTCP not looked at.
        """
        leg = Leg()
        leg.describe("", described(ONE))
        for number in (1, 2, 4):
            leg.rtp.note(rtp(number), number / 50)
        self.assertEqual((leg.rtp.quality().lost, leg.rtp.quality().last_at), (1, 0.08))
        leg.describe("", described(ONE, is_rtp=False))
        leg.rtp.note(rtp(9), 1.0)
        leg.rtcp.note(rtcp(), 2.0)
        self.assertEqual((leg.rtp.quality().lost, leg.rtp.quality().last_at), (1, 1.0))
        self.assertIsNone(leg.rtcp.quality().last_at)


class ForkTests(SynchronousTestCase):
    """
    F15 of siproxd: several callees ring, each with a To tag of its own.
    """

    def setUp(self) -> None:
        self.leg = Leg()
        self.leg.describe("a", described(ONE))
        self.leg.describe("b", described(TWO))

    def test_later_takes_over(self) -> None:
        """
        The caller hears one branch: the later one, once it speaks, and no mix of both.
        """
        self.assertEqual(speak(self.leg, ONE, 2), [True] * 2)
        self.assertEqual(speak(self.leg, TWO, 1), [True])
        self.assertEqual(speak(self.leg, ONE, 2), [False] * 2)
        self.assertEqual(speak(self.leg, TWO), [True] * SETTLED)

    def test_earlier_is_no_stranger(self) -> None:
        """
        A branch that speaks no more is not counted among strangers; a stranger is.
        """
        speak(self.leg, TWO)
        speak(self.leg, ONE)
        self.assertFalse(self.leg.judge_rtcp(rtcp(), ONE))
        self.assertEqual((self.leg.rtp.strangers, self.leg.rtcp.strangers), (0, 0))
        self.assertEqual((speak(self.leg, STRANGER, 1), self.leg.rtp.strangers), ([False], 1))

    def test_earlier_speaks_again(self) -> None:
        """
        The earlier branch is heard again when the later one refuses the stream, alone too.
        """
        self.leg.describe("c", described(STRANGER))
        for branch in (TWO, STRANGER):
            speak(self.leg, branch)
        self.leg.refuse("c")
        self.assertEqual((speak(self.leg, ONE, 1), self.leg.rtp.source), ([True], None))
        self.assertEqual((speak(self.leg, TWO, 1), speak(self.leg, ONE, 1)), ([True], [False]))

    def test_said_again(self) -> None:
        """
        A branch that describes itself once more takes over once more, when it speaks.
        """
        speak(self.leg, TWO)
        self.leg.describe("a", described(ONE))
        self.assertEqual(speak(self.leg, TWO, 1) + speak(self.leg, ONE, 1), [True, True])
        self.assertEqual(speak(self.leg, TWO, 1), [False])

    def test_last_is_spoken_to(self) -> None:
        """
        The caller's early media go to the branch described last.
        """
        speak(self.leg, ONE)
        self.assertEqual(self.leg.rtp.destination, TWO)

    def test_same_host(self) -> None:
        """
        Two branches at one media server keep their ports apart.
        """
        leg = Leg()
        other = (ONE[0], 4100)
        leg.describe("a", described(ONE))
        leg.describe("b", described(other))
        speak(leg, ONE)
        self.assertEqual(leg.rtp.destination, other)
        leg.confirm("a")
        self.assertEqual((leg.rtp.destination, leg.rtp.source), (ONE, ONE))

    def test_confirmed(self) -> None:
        """
        Once a branch answered, only that one is heard and spoken to.
        """
        self.leg.confirm("a")
        self.assertEqual((self.leg.rtp.destination, speak(self.leg, TWO, 1)), (ONE, [False]))
        self.assertEqual(self.leg.addresses(), {ONE, (ONE[0], ONE[1] + 1)})

    def test_confirmed_again(self) -> None:
        """
        When two branches answer, the later one is heard only when it is confirmed as well.
        """
        self.leg.confirm("a")
        self.leg.describe("b", described(TWO))
        self.assertEqual((self.leg.rtp.destination, speak(self.leg, TWO, 1)), (ONE, [False]))
        self.leg.confirm("b")
        self.assertEqual(self.leg.rtp.destination, TWO)

    def test_unknown_confirmed(self) -> None:
        """
        An answer from a branch that never described itself silences nobody.
        """
        self.assertTrue(self.leg.confirm("c"))
        self.assertEqual(speak(self.leg, ONE, 1) + speak(self.leg, TWO, 1), [True, True])
        self.assertEqual(self.leg.rtp.destination, TWO)

    def test_refused(self) -> None:
        """
        A branch that refused the stream ends it when it is the one that answered.
        """
        self.leg.refuse("b")
        self.assertEqual(self.leg.rtp.destination, ONE)
        self.assertEqual((self.leg.confirm("b"), self.leg.confirm("a")), (False, True))

    def test_bounded(self) -> None:
        """
        Endless forks cost bounded memory, and the branch that answered stays.
        """
        self.leg.confirm("a")
        for n in range(100):
            self.leg.describe(f"fork{n}", described(TWO))
            self.leg.refuse(f"none{n}")
        self.assertLessEqual(len(self.leg.addresses()), MAX_BRANCHES * 2)
        self.assertEqual(self.leg.rtp.destination, ONE)


class SavedTests(SynchronousTestCase):
    """
    A description that took effect, and was refused after that.
    """

    def setUp(self) -> None:
        self.leg = Leg()
        self.leg.describe("a", described(ONE))
        self.leg.confirm("a")
        speak(self.leg, ONE)
        self.saved = self.leg.save()

    def test_restored(self) -> None:
        """
        A refused move leaves the party where it was, settled as before.
        """
        self.leg.describe("a", described(TWO), held=True)
        speak(self.leg, TWO)
        self.leg.restore(self.saved)
        self.assertEqual((self.leg.rtp.source, self.leg.rtp.destination), (ONE, ONE))
        self.assertEqual((self.leg.held, speak(self.leg, TWO, 1)), (False, [False]))
        self.assertEqual(self.leg.described, ONE)

    def test_branches(self) -> None:
        """
        A refused change of branches is taken back as well.
        """
        self.leg.refuse("b")
        self.leg.describe("b", described(TWO))
        self.leg.confirm("b")
        self.leg.refuse("a")
        self.leg.restore(self.saved)
        self.assertEqual((self.leg.rtp.destination, self.leg.confirm("a")), (ONE, True))

    def test_counters(self) -> None:
        """
        Packets that were counted in between stay counted.
        """
        speak(self.leg, STRANGER, 3)
        self.leg.restore(self.saved)
        self.assertEqual(self.leg.rtp.strangers, 3)


class MediaStreamTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.stream = MediaStream(0, "audio", ("10.0.0.1", 7070), ("203.0.113.1", 7080))

    def test_ports(self) -> None:
        """
        Each party has a port of its own.
        """
        self.assertEqual([self.stream.port(one) for one in Party], [7070, 7080])

    def test_held(self) -> None:
        """
        A stream is on hold when either party wants no media.
        """
        self.stream.callee.describe("", described(ONE), held=True)
        self.assertTrue(self.stream.held)
        self.stream.callee.describe("", described(ONE))
        self.assertFalse(self.stream.held)

    def test_strangers(self) -> None:
        """
        Strangers on all four ports are one sum.
        """
        for leg in (self.stream.caller, self.stream.callee):
            leg.judge_rtp(rtp(1), STRANGER)
            leg.judge_rtcp(rtcp(), STRANGER)
        self.assertEqual(self.stream.strangers, 4)
