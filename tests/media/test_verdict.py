"""
Tests for siptwist.media.verdict.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.media.calls import Description, MediaCall
from siptwist.media.leg import MediaStream
from siptwist.media.ownports import OurPorts
from siptwist.media.stream import CallKey, Endpoint, Party, StreamOffer
from siptwist.media.verdict import record, report, verdict
from siptwist.sip.hop import Side
from tests.media.packets import rtp

PHONE, FRIEND = ("10.0.0.14", 6000), ("203.0.113.10", 5000)
KEY = CallKey("call-1", "tag", Side.INSIDE, Side.OUTSIDE)
TEXT = "m=audio 6000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"


def offers(at: tuple[str, int], count: int = 1, held: bool = False) -> tuple[StreamOffer, ...]:
    where = Endpoint(*at, at[1] + 1)
    return tuple(
        StreamOffer(index, kind, where, held, text=TEXT)
        for index, kind in enumerate(("audio", "video")[:count])
    )


class VerdictCase(SynchronousTestCase):
    """
    A call that has gone on for a minute.
    """

    key = KEY

    def setUp(self) -> None:
        self.begin()

    def begin(self, count: int = 1, held: bool = False, confirmed: bool = True) -> None:
        self.call = call = MediaCall(self.key, 0.0, OurPorts())
        opened = [
            MediaStream(index, ("audio", "video")[index], ("10.0.0.1", 7072), ("192.0.2.1", 7080))
            for index in range(count)
        ]
        call.offer(Description(Party.CALLER, offers(PHONE, count, held), PHONE[0]), opened, 0.0)
        if confirmed:
            answer = Description(Party.CALLEE, offers(FRIEND, count), FRIEND[0], "b")
            call.answer(answer, 1.0)
            call.confirm("b", 1.0)

    def hear(self, party: Party, until: float = 60.0, one_of: int = 1, index: int = 0) -> None:
        """
        50 packets of PCMA, the last one at ``until``; others were lost on the way.
        """
        leg = self.call.streams[index].leg(party)
        source = PHONE if party is Party.CALLER else FRIEND
        for number in range(0, 50 * one_of, one_of):
            data = rtp(number)
            data = data[:1] + b"\x08" + data[2:]
            self.assertTrue(leg.judge_rtp(data, source))
            leg.rtp.packets += 1
            leg.rtp.note(data, until - one_of + number / 50)

    def verdict(self, now: float = 60.0) -> str:
        return verdict(self.call, now)


class VerdictTests(VerdictCase):
    """
    What is wrong, in words.
    """

    def test_well(self) -> None:
        """
        Both are heard: nothing is wrong.
        """
        self.hear(Party.CALLER)
        self.hear(Party.CALLEE)
        self.assertEqual(self.verdict(), "both sides are heard")

    def test_one_way(self) -> None:
        """
        A phone that never sends is named, with the port it should send to and what it said.
        """
        self.hear(Party.CALLEE)
        self.assertEqual(
            self.verdict(),
            "no packets from the phone: 10.0.0.14 never sent to 7072; its SDP said 10.0.0.14:6000",
        )

    def test_other_way(self) -> None:
        """
        So is the far side.
        """
        self.hear(Party.CALLER)
        self.assertEqual(
            self.verdict(),
            "no packets from the far side: 203.0.113.10 never sent to 7080; "
            "its SDP said 203.0.113.10:5000",
        )

    def test_from_elsewhere(self) -> None:
        """
        Packets that were dropped because of where they came from are a hint.
        """
        self.hear(Party.CALLEE)
        for number in range(7):
            self.call.streams[0].caller.judge_rtp(rtp(number), ("198.51.100.6", 4))
        self.assertIn(", and 7 packets that came from elsewhere were dropped", self.verdict())

    def test_no_address(self) -> None:
        """
        A party whose SDP names nothing that can be sent to is said to.
        """
        offer = offers(("phone.example", 6000))
        self.call.offer(Description(Party.CALLER, offer, PHONE[0]), [], 2.0)
        self.call.answer(Description(Party.CALLEE, offers(FRIEND), FRIEND[0], "b"), 2.0)
        self.hear(Party.CALLEE)
        self.assertIn("nothing came to 7072; its SDP names no address to send to", self.verdict())

    def test_stopped(self) -> None:
        """
        Who was heard and is no more is said to, with the seconds.
        """
        self.hear(Party.CALLER, until=25)
        self.hear(Party.CALLEE)
        self.assertEqual(self.verdict(), "nothing from the phone for 35 s")

    def test_lossy(self) -> None:
        """
        Sound that many packets are missing from is called poor.
        """
        self.hear(Party.CALLER)
        self.hear(Party.CALLEE, one_of=2)
        text = self.verdict()
        self.assertIn("poor sound from the far side: 49 lost (49.5 %), jitter ", text)
        self.assertIn(", MOS ", text)

    def test_not_rtp(self) -> None:
        """
        Packets that are no RTP are no sound.
        """
        self.hear(Party.CALLEE)
        self.call.streams[0].caller.rtp.packets = 3
        self.assertEqual(self.verdict(), "no RTP from the phone: 3 packets were something else")

    def test_refused_by_the_network(self) -> None:
        """
        Packets that could not be sent to a party are told.
        """
        self.hear(Party.CALLER)
        self.hear(Party.CALLEE)
        self.call.streams[0].caller.rtp.unsent = 9
        self.assertEqual(self.verdict(), "9 packets could not be sent to the phone")

    def test_hold(self) -> None:
        """
        On hold nobody need send.
        """
        self.begin(held=True)
        self.assertEqual(self.verdict(), "on hold")

    def test_several_streams(self) -> None:
        """
        With sound and picture, it says which of them is meant.
        """
        self.begin(count=2)
        for index in (0, 1):
            self.hear(Party.CALLEE, index=index)
        self.hear(Party.CALLER)
        self.assertTrue(self.verdict().startswith("video: no packets from the phone: "))
        self.assertNotIn("audio", self.verdict())

    def test_not_yet(self) -> None:
        """
        A call that rings, has just begun, or has no media is none to complain of.
        """
        self.assertEqual(self.verdict(now=2.0), "just begun")
        self.begin(confirmed=False)
        self.assertEqual(self.verdict(), "not answered yet")
        self.begin()
        self.call.shortcuts.add(Party.CALLER)
        self.assertEqual(self.verdict(), "media goes past us, directly")
        self.begin()
        self.call.close()
        self.assertEqual(self.verdict(), "no stream is left")


class SameSideTests(VerdictCase):
    """
    A call within the house.
    """

    key = CallKey("call-1", "tag", Side.INSIDE, Side.INSIDE)

    def test_names(self) -> None:
        """
        Of two phones inside it says who called.
        """
        self.hear(Party.CALLER)
        self.assertTrue(self.verdict().startswith("no packets from the callee: 203.0.113.10 never"))


class ReportTests(VerdictCase):
    def test_report(self) -> None:
        """
        One direction: codec, addresses, our port, and the numbers.
        """
        self.hear(Party.CALLER)
        told = report(self.call.streams[0], Party.CALLER)
        self.assertEqual((told.kind, told.codec, told.port), ("audio", "PCMA", 7072))
        self.assertEqual((told.described, told.source), (PHONE, PHONE))
        self.assertEqual((told.quality.packets, told.quality.lost), (50, 0))

    def test_codec_of_the_receiver(self) -> None:
        """
        A payload type is what the party that receives it calls so (RFC 3264).
        """
        leg = self.call.streams[0].callee
        leg.offered = offers(FRIEND)[0]._replace(text="m=audio 1 RTP/AVP 8\r\na=rtpmap:8 odd/8000")
        self.hear(Party.CALLER)
        self.assertEqual(report(self.call.streams[0], Party.CALLER).codec, "odd")


class RecordTests(VerdictCase):
    """
    What is kept of a call that is over.
    """

    def test_record(self) -> None:
        """
        Times, why it ended, a report for each direction, and the verdict.
        """
        self.hear(Party.CALLER, until=20)
        self.hear(Party.CALLEE)
        self.call.close()
        kept = record(self.call, "BYE", 60.0)
        self.assertEqual((kept.reason, kept.started_at, kept.ended_at), ("BYE", 0.0, 60.0))
        self.assertEqual([one.party for one in kept.reports], list(Party))
        self.assertEqual(kept.verdict, "both sides are heard", "silence at the end is usual")
        self.assertTrue(
            str(kept).startswith("audio of the phone: 50 packets of PCMA, 0 lost (0.0 %), jitter 0")
        )
        self.assertTrue(str(kept).endswith("; both sides are heard"))

    def test_stream_that_went(self) -> None:
        """
        A stream that was given up in mid-call is in it, too.
        """
        self.begin(count=2)
        for party in Party:
            for index in (0, 1):
                self.hear(party, index=index)
        self.call.offer(Description(Party.CALLER, offers(PHONE), PHONE[0]), [], 30.0)
        self.call.close()
        self.assertEqual(
            {one.kind for one in record(self.call, "BYE", 60.0).reports}, {"audio", "video"}
        )

    def test_without_media(self) -> None:
        """
        Calls too short to tell, or that nobody answered, or whose media went past us.
        """
        self.call.close()
        self.assertEqual(str(record(self.call, "BYE", 2.0)), "too short to tell")
        self.begin(confirmed=False)
        self.call.close()
        self.assertEqual(str(record(self.call, "486", 60.0)), "never answered")
        self.begin()
        self.call.shortcuts.add(Party.CALLER)
        self.call.close()
        self.assertEqual(str(record(self.call, "BYE", 60.0)), "media went past us, directly")
