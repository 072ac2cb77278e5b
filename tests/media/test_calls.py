"""
Tests for siptwist.media.calls.
"""

from __future__ import annotations

from itertools import count

from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import SIPError
from siptwist.media.calls import (
    EARLY_SECONDS,
    MAX_STREAMS,
    Description,
    MediaCall,
)
from siptwist.media.calltable import CallTable
from siptwist.media.leg import MediaStream
from siptwist.media.stream import CallKey, Endpoint, Party, StreamOffer
from siptwist.sip.hop import Side
from tests.media.packets import DTLS, rtp

#: rtp_timeout and hold_timeout.
TIMEOUTS = (30.0, 7200.0)
KEY = CallKey("call", "tag", Side.INSIDE, Side.OUTSIDE)
PHONE = ("10.0.0.10", 4000)
FRIEND = ("203.0.113.10", 5000)


def line(index: int, host: str, port: int, held: bool = False) -> StreamOffer:
    return StreamOffer(index, "audio", Endpoint(host, port, port + 1 if port else 0), held)


def caller(*ports: int, held: bool = False, host: str = PHONE[0]) -> Description:
    lines = tuple(line(n, host, port, held) for n, port in enumerate(ports))
    return Description(Party.CALLER, lines, PHONE[0])


def callee(*ports: int, branch: str = "b", held: bool = False) -> Description:
    lines = tuple(line(n, FRIEND[0], port, held) for n, port in enumerate(ports))
    return Description(Party.CALLEE, lines, FRIEND[0], branch)


class CallCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.table = CallTable()
        self.call = self.table.new(KEY, 0.0)
        self.table.add(self.call)
        self.numbers = count(7000, 2)

    def opened(self, call: MediaCall, streams: tuple[StreamOffer, ...]) -> list[MediaStream]:
        return [
            MediaStream(
                one.index,
                one.kind,
                ("10.0.0.1", next(self.numbers)),
                ("192.0.2.1", next(self.numbers)),
            )
            for one in call.wanting(streams)
        ]

    def offer(self, description: Description, now: float = 0.0) -> list[MediaStream]:
        opened = self.opened(self.call, description.streams)
        return self.call.offer(description, opened, now)

    def establish(self, ports: int = 1, now: float = 0.0) -> None:
        self.offer(caller(*range(4000, 4000 + 2 * ports, 2)), now)
        self.call.answer(callee(*range(5000, 5000 + 2 * ports, 2)), now)
        self.call.confirm("b", now)

    def destinations(self) -> list[object]:
        return [
            (one.caller.rtp.destination, one.callee.rtp.destination)
            for one in self.call.streams.values()
        ]


class FirstOfferTests(CallCase):
    def test_takes_effect_at_once(self) -> None:
        """
        Early media reach the caller before anybody has answered.
        """
        self.offer(caller(4000))
        self.assertEqual(self.destinations(), [(PHONE, None)])

    def test_told(self) -> None:
        """
        Each party is told the port that faces it, with RTCP one above.
        """
        self.offer(caller(4000))
        (stream,) = self.call.streams.values()
        (told,) = self.call.tell(Party.CALLEE, (line(0, "10.0.0.10", 4000),), "203.0.113.1")
        port = stream.callee_port
        self.assertEqual(told, Endpoint("203.0.113.1", port, port + 1))

    def test_refused_stream(self) -> None:
        """
        A stream that was offered with port 0 takes no ports and is told as refused.
        """
        self.offer(caller(4000, 0))
        (told,) = self.call.tell(Party.CALLEE, (line(1, "10.0.0.10", 0),), "203.0.113.1")
        self.assertEqual((list(self.call.streams), told), ([0], Endpoint("203.0.113.1", 0, 0)))

    def test_repeated(self) -> None:
        """
        A repeated offer wants no more ports.
        """
        self.offer(caller(4000))
        self.assertEqual(self.call.wanting(caller(4000).streams), [])

    def test_too_many_streams(self) -> None:
        """
        An offer of more than 64 streams is refused with 488.
        """
        many = caller(*[4000] * (MAX_STREAMS + 1)).streams
        error = self.assertRaises(SIPError, self.call.wanting, many)
        self.assertEqual(error.status, 488)

    def test_delayed(self) -> None:
        """
        When the callee offers and the caller answers, both are found.
        """
        self.offer(callee(5000))
        self.call.confirm("b", 0.0)
        self.call.answer(caller(4000), 0.0)
        self.assertEqual(self.destinations(), [(PHONE, FRIEND)])

    def test_impossible_ports(self) -> None:
        """
        Port numbers beyond 65535 are sent to nowhere.
        """
        self.offer(caller(70000))
        self.assertEqual(self.destinations(), [(None, None)])

    def test_loopback(self) -> None:
        """
        An SDP that names our own loopback makes us send nothing there.
        """
        self.offer(caller(4000, host="127.0.0.1"))
        self.assertEqual(self.destinations(), [(None, None)])

    def test_loopback_of_pbx(self) -> None:
        """
        A PBX on our own machine may name it.
        """
        told = caller(4000, host="127.0.0.1")
        self.offer(told._replace(signaling_host="10.0.0.1"))
        self.assertEqual(self.destinations(), [(("127.0.0.1", 4000), None)])


class AnswerTests(CallCase):
    def test_both_found(self) -> None:
        """
        After offer and answer both parties are sent to.
        """
        self.establish()
        self.assertEqual(self.destinations(), [(PHONE, FRIEND)])

    def test_refused_stream_is_freed(self) -> None:
        """
        When the final answer refuses a stream, its ports are free.
        """
        self.offer(caller(4000, 4002))
        self.call.answer(callee(5000, 0), 0.0)
        freed = self.call.confirm("b", 0.0)
        self.assertEqual(([one.index for one in freed], list(self.call.streams)), ([1], [0]))

    def test_early_refusal_is_not_final(self) -> None:
        """
        A stream that one ringing phone refuses stays for the others.
        """
        self.offer(caller(4000, 4002))
        freed = self.call.answer(callee(5000, 0, branch="a"), 0.0)
        self.call.answer(callee(5000, 5002, branch="b"), 0.0)
        freed += self.call.confirm("b", 0.0)
        self.assertEqual((freed, list(self.call.streams)), ([], [0, 1]))

    def test_repeated(self) -> None:
        """
        A repeated answer changes nothing.
        """
        self.establish()
        before = dict(self.call.streams)
        self.assertEqual(self.call.answer(callee(5000), 1.0), [])
        self.assertEqual((self.call.streams, self.destinations()), (before, [(PHONE, FRIEND)]))

    def test_repeated_answer_keeps_what_is_known(self) -> None:
        """
        A 200 that says what the 183 said does not open learning again: nobody
        gets between the parties at that moment.
        """
        self.offer(caller(4000))
        leg = self.call.streams[0].callee
        self.call.answer(callee(5000), 1.0)
        for number in range(4):
            leg.judge_rtp(rtp(number), FRIEND)
        self.assertEqual((self.call.answer(callee(5000), 2.0), leg.rtp.source), ([], FRIEND))
        self.call.answer(callee(5002), 3.0)
        self.assertIsNone(leg.rtp.source)

    def test_repeated_after_another(self) -> None:
        """
        A ringing phone that says again what it said is spoken to again, when
        another one has spoken in between.
        """
        self.offer(caller(4000))
        for port, branch in ((5000, "a"), (5002, "b"), (5000, "a")):
            self.call.answer(callee(port, branch=branch), 1.0)
            self.assertEqual(self.destinations(), [(PHONE, (FRIEND[0], port))])

    def test_more_lines_than_offered(self) -> None:
        """
        A line that nobody offered is told as refused.
        """
        self.offer(caller(4000))
        self.call.answer(callee(5000, 5002), 0.0)
        (told,) = self.call.tell(Party.CALLER, (line(1, FRIEND[0], 5002),), "10.0.0.1")
        self.assertEqual(told, Endpoint("10.0.0.1", 0, 0))


class HandshakeTests(CallCase):
    def test_behind_nat(self) -> None:
        """
        A phone behind NAT that offers DTLS-SRTP is answered where its handshake comes
        from; one that offers plain RTP and sends DTLS is not.
        """
        for proto, expected in (("UDP/TLS/RTP/SAVPF", (PHONE[0], 61000)), ("RTP/SAVP", PHONE)):
            call = self.table.new(KEY._replace(call_id=proto), 0.0)
            streams = (line(0, *PHONE)._replace(proto=proto),)
            description = Description(Party.CALLER, streams, PHONE[0])
            call.offer(description, self.opened(call, streams), 0.0)
            leg = call.streams[0].caller
            leg.judge_rtp(DTLS, (PHONE[0], 61000))
            self.assertEqual(leg.rtp.destination, expected)


class ReofferTests(CallCase):
    """
    RFC 3261 section 14.1, F1 of siproxd.
    """

    def test_pending(self) -> None:
        """
        A re-INVITE changes nothing until it is answered.
        """
        self.establish()
        self.offer(caller(4400))
        self.assertEqual(self.destinations(), [(PHONE, FRIEND)])

    def test_answered(self) -> None:
        """
        An answered re-INVITE moves both parties; ports of ours stay.
        """
        self.establish()
        before = dict(self.call.streams)
        self.offer(caller(4400))
        self.call.answer(callee(5500), 1.0)
        self.assertEqual(self.destinations(), [((PHONE[0], 4400), (FRIEND[0], 5500))])
        self.assertEqual(self.call.streams, before)

    def test_rejected(self) -> None:
        """
        A rejected re-INVITE leaves the call as it was and gives new ports back.
        """
        self.establish()
        before = dict(self.call.streams)
        self.offer(caller(4400, 4402))
        freed = self.call.reject(Party.CALLER)
        self.assertEqual([one.index for one in freed], [1])
        self.assertEqual((self.call.streams, self.destinations()), (before, [(PHONE, FRIEND)]))

    def test_rejected_hold(self) -> None:
        """
        A hold that the other refused is no hold.
        """
        self.establish()
        self.offer(caller(4000, held=True))
        self.call.reject(Party.CALLER)
        self.call.answer(callee(5000), 1.0)
        self.assertFalse(self.call.held)

    def test_callee_offers(self) -> None:
        """
        The callee can move too, whatever its branch is called in that request.
        """
        self.establish()
        self.offer(callee(5500, branch=""))
        self.call.answer(caller(4000), 1.0)
        self.assertEqual(self.destinations(), [(PHONE, (FRIEND[0], 5500))])

    def test_answered_by_any_name(self) -> None:
        """
        Only the callee that was confirmed can answer a re-INVITE, whatever its branch is called.
        """
        self.establish()
        self.offer(caller(4400))
        self.call.answer(callee(5500, branch="another"), 1.0)
        self.assertEqual(self.destinations(), [((PHONE[0], 4400), (FRIEND[0], 5500))])

    def test_fork_too_late(self) -> None:
        """
        A second callee that answers late is not heard on streams added since, either.
        """
        self.establish()
        self.offer(caller(4000, 4002))
        self.call.answer(callee(5000, 5002), 1.0)
        self.call.answer(callee(5800, 5802, branch="late"), 1.0)
        self.assertEqual(self.destinations()[1], ((PHONE[0], 4002), (FRIEND[0], 5002)))

    def test_stream_added(self) -> None:
        """
        A stream added by a re-INVITE is told at once and relayed when answered.
        """
        self.establish()
        self.offer(caller(4000, 4002))
        (told,) = self.call.tell(Party.CALLEE, (line(1, PHONE[0], 4002),), "192.0.2.1")
        self.assertNotEqual(told.rtp_port, 0)
        self.call.answer(callee(5000, 5002), 1.0)
        self.assertEqual(self.destinations()[1], ((PHONE[0], 4002), (FRIEND[0], 5002)))

    def test_stream_removed(self) -> None:
        """
        A stream ended by a re-INVITE gives its ports back when that is answered.
        """
        self.establish(2)
        self.assertEqual(self.offer(caller(4000, 0)), [])
        self.assertEqual(self.call.answer(callee(5000, 0), 1.0), [])
        (told,) = self.call.tell(Party.CALLER, (line(1, FRIEND[0], 0),), "10.0.0.1")
        self.assertEqual(told.rtp_port, 0)
        self.assertEqual([one.index for one in self.call.settle()], [1])
        self.assertEqual(list(self.call.streams), [0])

    def test_stream_reopened(self) -> None:
        """
        A stream that was ended comes back with new ports when it is offered again.
        """
        self.establish(2)
        ended = self.call.stream(1)
        for ports, answered in (((4000, 0), (5000, 0)), ((4000, 4002), (5000, 5002))):
            self.offer(caller(*ports))
            self.call.answer(callee(*answered), 1.0)
            self.call.settle()
        self.assertEqual(self.destinations()[1], ((PHONE[0], 4002), (FRIEND[0], 5002)))
        self.assertIsNot(self.call.stream(1), ended)

    def test_fax_and_back(self) -> None:
        """
        Audio becomes T.38 and audio again on the same ports; the stream says what it is.
        """
        self.establish()
        stream, kinds = self.call.streams[0], []
        for kind, proto in (("image", "udptl"), ("audio", "RTP/AVP")):
            for made in (caller(4000), callee(5000)):
                lines = tuple([one._replace(kind=kind, proto=proto) for one in made.streams])
                described = made._replace(streams=lines)
                if made.party is Party.CALLER:
                    self.offer(described)
                else:
                    self.call.answer(described, 1.0)
            self.call.settle()
            kinds.append(stream.kind)
            heard = stream.caller.judge_rtp(b"\0\1fax", PHONE)
            self.assertEqual(heard, kind == "image")
        self.assertEqual((kinds, self.call.streams), (["image", "audio"], {0: stream}))

    def test_over_tcp(self) -> None:
        """
        A stream over TCP is told as refused: nobody would relay it.
        """
        chat = line(1, PHONE[0], 9)._replace(kind="message", proto="TCP/MSRP")
        made = caller(4000)
        self.offer(made._replace(streams=(*made.streams, chat)))
        (told,) = self.call.tell(Party.CALLEE, (chat,), "192.0.2.1")
        self.assertEqual((list(self.call.streams), told.rtp_port), ([0], 0))

    def test_replaced(self) -> None:
        """
        An offer in place of a pending one gives back what only that one wanted.
        """
        self.establish()
        self.offer(caller(4000, 4002))
        freed = self.offer(caller(4400))
        self.assertEqual(([one.index for one in freed], self.call.reject(Party.CALLER)), ([1], []))

    def test_glare(self) -> None:
        """
        Both offer at once, and one offer is refused (491): the other still takes effect.
        """
        self.establish()
        self.offer(caller(4400, 4402))
        self.assertEqual(self.offer(callee(5800)), [])
        self.assertEqual(self.call.reject(Party.CALLEE), [])
        self.call.answer(callee(5500, 5502), 1.0)
        self.assertEqual(
            self.destinations(),
            [((PHONE[0], 4400), (FRIEND[0], 5500)), ((PHONE[0], 4402), (FRIEND[0], 5502))],
        )

    def test_glare_both_refused(self) -> None:
        """
        Both offer at once and are refused: the call is as it was.
        """
        self.establish()
        self.offer(caller(4400, 4402))
        self.offer(callee(5800))
        freed = self.call.reject(Party.CALLER) + self.call.reject(Party.CALLEE)
        self.assertEqual(
            ([one.index for one in freed], self.destinations()), ([1], [(PHONE, FRIEND)])
        )

    def test_rejected_after_an_early_answer(self) -> None:
        """
        A re-INVITE that is answered in a 183 and then refused leaves the call as it
        was: addresses, hold, kind, streams that it added, and those that it ended.
        """
        self.establish(2)
        before = dict(self.call.streams)
        held = tuple(
            one._replace(held=True, kind="image", proto="udptl")
            for one in caller(4400, 0, 4402).streams
        )
        self.offer(caller()._replace(streams=held))
        self.assertEqual(self.call.answer(callee(5500, 0, 5502), 1.0), [])
        self.assertEqual(self.call.streams[0].callee.rtp.destination, (FRIEND[0], 5500))
        freed = self.call.reject(Party.CALLER)
        self.assertEqual(([one.index for one in freed], self.call.streams), ([2], before))
        self.assertEqual(self.destinations()[0], (PHONE, FRIEND))
        self.assertEqual((self.call.held, self.call.streams[0].kind), (False, "audio"))
        self.assertEqual(self.call.settle(), [])

    def test_refusal_after_it_was_settled(self) -> None:
        """
        What a final answer settled is not taken back by a later refusal.
        """
        self.establish()
        for ends in (self.call.settle, lambda: self.call.confirm("b", 1.0)):
            self.offer(caller(4400))
            self.call.answer(callee(5500), 1.0)
            ends()
            self.call.reject(Party.CALLER)
            self.assertEqual(self.destinations(), [((PHONE[0], 4400), (FRIEND[0], 5500))])

    def test_repeated(self) -> None:
        """
        A repeated re-INVITE keeps the ports that it was told.
        """
        self.establish()
        self.offer(caller(4000, 4002))
        told = self.call.stream(1)
        self.assertEqual((self.offer(caller(4000, 4002)), self.call.stream(1)), ([], told))


class SilenceTests(CallCase):
    def hear(self) -> None:
        flow = self.call.streams[0].caller.rtp
        flow.packets += 1
        flow.octets += len(rtp(1))

    def test_silent(self) -> None:
        """
        An answered call without media is silent after the timeout, not before.
        """
        self.establish()
        asked = [self.call.is_silent(now, *TIMEOUTS) for now in (29.0, 30.0)]
        self.assertEqual(asked, [False, True])

    def test_one_direction_is_enough(self) -> None:
        """
        Media of one party keep the call.
        """
        self.establish()
        self.hear()
        asked = [self.call.is_silent(now, *TIMEOUTS) for now in (29.0, 58.0, 59.0)]
        self.assertEqual((asked, self.call.last_media_at), ([False, False, True], 29.0))

    def test_never(self) -> None:
        """
        With rtp_timeout 0 no call is silent.
        """
        self.establish()
        self.assertFalse(self.call.is_silent(1e9, 0.0, 7200.0))

    def test_hold(self) -> None:
        """
        A call on hold is not silent, up to half a day.
        """
        self.establish()
        self.offer(caller(4000, held=True))
        self.call.answer(callee(5000), 1.0)
        asked = [self.call.is_silent(now, *TIMEOUTS) for now in (3600.0, 7201.0)]
        self.assertEqual(asked, [False, True])

    def test_hold_for_ever(self) -> None:
        """
        With hold_timeout 0 a call on hold is kept.
        """
        self.establish()
        self.offer(caller(4000, held=True))
        self.call.answer(callee(5000), 1.0)
        self.assertFalse(self.call.is_silent(1e9, 30.0, 0.0))

    def test_one_stream_on_hold(self) -> None:
        """
        A call that has one stream on hold and one silent is silent.
        """
        self.establish(2)
        both = caller(4000, 4002).streams
        self.offer(caller()._replace(streams=(both[0]._replace(held=True), both[1])))
        self.call.answer(callee(5000, 5002), 1.0)
        asked = [self.call.is_silent(now, *TIMEOUTS) for now in (30.0, 31.0)]
        self.assertEqual((self.call.held, asked), (True, [False, True]))

    def test_resume(self) -> None:
        """
        After hold the timeout starts again.
        """
        self.establish()
        for held, now in ((True, 1.0), (False, 1000.0)):
            self.offer(caller(4000, held=held), now)
            self.call.answer(callee(5000), now)
        asked = [self.call.is_silent(now, *TIMEOUTS) for now in (1029.0, 1030.0)]
        self.assertEqual(asked, [False, True])

    def test_answer_restarts(self) -> None:
        """
        An answer starts the timeout again, when it took its time as well.
        """
        self.establish()
        self.offer(caller(4000), 1.0)
        self.call.answer(callee(5000), 20.0)
        asked = [self.call.is_silent(now, *TIMEOUTS) for now in (49.0, 50.0)]
        self.assertEqual(asked, [False, True])

    def test_ringing(self) -> None:
        """
        A call that rings is not silent before its signaling has given up.
        """
        self.offer(caller(4000))
        asked = [self.call.is_silent(now, *TIMEOUTS) for now in (31.0, EARLY_SECONDS)]
        self.assertEqual(asked, [False, True])

    def test_no_streams_left(self) -> None:
        """
        A call whose streams all ended is forgotten, whatever rtp_timeout says.
        """
        self.establish()
        self.offer(caller(0))
        self.call.answer(callee(0), 1.0)
        self.call.settle()
        self.assertTrue(self.call.is_silent(EARLY_SECONDS + 1, 0.0, 7200.0))

    def test_counts_survive_a_stream(self) -> None:
        """
        What an ended stream carried still counts for the call.
        """
        self.establish()
        self.hear()
        self.call.streams[0].caller.judge_rtp(rtp(1), ("198.51.100.66", 1))
        self.call.close()
        counted = (self.call.packets(Party.CALLER), self.call.octets(Party.CALLER))
        self.assertEqual((counted, self.call.strangers), ((1, 172), 1))
