"""
Transactions, timer by timer (RFC 3261 section 17, RFC 6026).
"""

from __future__ import annotations

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from siptwist.sip.headers import Headers
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Request
from siptwist.sip.transaction import (
    ClientTransaction,
    Event,
    Key,
    ServerTransaction,
    State,
    client_key,
    sent_key,
    server_key,
)

HOP = Hop("192.0.2.1", 5060)
START = 1000.0
LIFETIME = 32.0


def request(method: str = "INVITE", **changes: str) -> Request:
    fields = {
        "Via": "SIP/2.0/UDP h;branch=z9hG4bKx",
        "From": "<sip:a@b>;tag=1",
        "To": "<sip:c@d>",
        "Call-ID": "1@h",
        "CSeq": f"1 {method}",
    }
    fields.update({name.replace("_", "-"): value for name, value in changes.items()})
    text = "\r\n".join(f"{name}: {value}" for name, value in fields.items())
    return Request(method, "sip:c@d", Headers.parse(text))


def key(method: str = "INVITE", **changes: str) -> Key:
    return server_key(request(method, **changes))


class KeyTests(SynchronousTestCase):
    """
    Which requests are one transaction (section 17.2.3).
    """

    def test_branch(self) -> None:
        """
        Branch, sent-by and method tell requests apart; nothing else does.
        """
        self.assertEqual(key(), key(From="<sip:x@y>;tag=9", Call_ID="2", CSeq="9 INVITE"))
        for other in (
            "SIP/2.0/UDP h;branch=z9hG4bKy",
            "SIP/2.0/UDP i;branch=z9hG4bKx",
            "SIP/2.0/UDP h:5061;branch=z9hG4bKx",
        ):
            self.assertNotEqual(key(), key(Via=other))
        self.assertNotEqual(key(), key("BYE"))

    def test_spelling(self) -> None:
        """
        The case of the sent-by and other parameters make no difference.
        """
        self.assertEqual(key(), key(Via="SIP / 2.0 / udp H;rport;branch=z9hG4bKx"))

    def test_ack(self) -> None:
        """
        The ACK for a refusal belongs to its INVITE; CANCEL is a transaction of its own.
        """
        self.assertEqual(key(), key("ACK"))
        self.assertNotEqual(key(), key("CANCEL"))
        cancel = request("CANCEL")
        self.assertEqual(key(), server_key(cancel, of_invite=True))

    def test_rfc2543(self) -> None:
        """
        Without the cookie, or with nothing behind it, RFC 2543's fields tell requests apart.
        """
        for via in ("SIP/2.0/UDP h", "SIP/2.0/UDP h;branch=z9hG4bK", "SIP/2.0/UDP h;branch=1"):
            first = key(Via=via)
            self.assertEqual(first, key(Via=via, To="<sip:c@d>;tag=7"))
            self.assertEqual(first, key("ACK", Via=via, To="<sip:c@d>;tag=7"))
            for changes in (
                {"Call_ID": "2@h"},
                {"From": "<sip:a@b>;tag=2"},
                {"CSeq": "2 INVITE"},
                {"Via": f"{via};x"},
            ):
                self.assertNotEqual(first, key(**{"Via": via, **changes}), changes)


class SentKeyTests(SynchronousTestCase):
    """
    What the beginning of a request says about its transaction.
    """

    def sent(self, method: str = "INVITE", more: str = "") -> bytes:
        via = f"{more}Via: SIP/2.0/UDP 203.0.113.1:5060;branch=z9hG4bKx;rport\r\nFrom: <sip:a@b>"
        return f"{method} sip:bob@example.net SIP/2.0\r\n{via}".encode()

    def test_branch(self) -> None:
        """
        The branch of the first Via names it; only a CANCEL needs its method.
        """
        for method in ("INVITE", "BYE", "CANCEL"):
            self.assertEqual(sent_key(self.sent(method)), client_key("z9hG4bKx", method))
        self.assertEqual(sent_key(self.sent(more="Call-ID: 1\r\nTo: <sip:c@d>\r\n")), "z9hG4bKx")

    def test_cut_off(self) -> None:
        """
        A beginning that ends before the end of the branch says nothing.
        """
        data = self.sent()
        whole = data.index(b";rport")
        for end in range(whole + 1):
            self.assertEqual(sent_key(data[:end]), "", data[:end])
        self.assertEqual(sent_key(data[: whole + 1]), "z9hG4bKx")

    def test_no_request(self) -> None:
        """
        Responses, pings and noise say nothing.
        """
        via = b"Via: SIP/2.0/UDP h;branch=z9hG4bKx\r\n"
        for data in (
            b"",
            b"\r\n\r\n",
            b"SIP/2.0 200 OK\r\n" + via,
            via,
            b"\xff" * 500,
            b"A" * 2048,
        ):
            self.assertEqual(sent_key(data), "")

    def test_mutations(self) -> None:
        """
        Nothing that an ICMP error may quote raises, or says a branch with a blank.
        """
        chance = Random(3261)
        for _ in range(5000):
            data = bytearray(self.sent(more="Call-ID: 1\r\n"))
            for _ in range(chance.randrange(1, 6)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            found = sent_key(bytes(data[: chance.randrange(len(data))]))
            self.assertNotIn(" ", found.removesuffix(" CANCEL"))


class ServerCase(SynchronousTestCase):
    method = "INVITE"

    def setUp(self) -> None:
        self.now = START
        self.server = ServerTransaction("k", self.method, HOP, Side.INSIDE, START)

    def respond(self, status: int, data: bytes = b"answer") -> bool:
        return self.server.respond(status, data, self.now)

    def run_timers(self, until: float) -> list[tuple[float, Event]]:
        """
        What the timers ask, in seconds from the start, up to ``until``.
        """
        events = []
        while self.server.due and self.server.due <= START + until:
            self.now = self.server.due
            event = self.server.tick(self.now)
            if event is not None:
                events.append((self.now - START, event))
        return events


class InviteServerTests(ServerCase):
    def test_provisional(self) -> None:
        """
        A provisional response is kept for retransmissions, and no timer runs.
        """
        self.assertTrue(self.respond(100, b"trying"))
        self.assertTrue(self.respond(180, b"ringing"))
        self.assertEqual((self.server.state, self.server.last), (State.PROCEEDING, b"ringing"))
        self.assertEqual((self.server.due, self.server.is_final), (0, False))

    def test_timer_g_and_h(self) -> None:
        """
        A refusal is sent again after 0.5, 1, 2, 4, 4 ... seconds, until timer H gives up.
        """
        self.respond(486)
        times = [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
        expected = [(time, Event.RESEND) for time in times] + [(LIFETIME, Event.ENDED)]
        self.assertEqual(self.run_timers(100), expected)
        self.assertEqual((self.server.state, self.server.due), (State.TERMINATED, 0))

    def test_timer_h_counts_from_the_refusal(self) -> None:
        """
        However long it rang, a refusal is repeated for 32 seconds.
        """
        self.respond(180)
        self.now = START + 60
        self.respond(487)
        events = self.run_timers(200)
        self.assertEqual(events[0], (60.5, Event.RESEND))
        self.assertEqual(events[-1], (60 + LIFETIME, Event.ENDED))

    def test_timer_i(self) -> None:
        """
        The ACK ends the repetitions; 5 seconds later the transaction ends.
        """
        self.respond(486)
        self.run_timers(0.5)
        self.now = START + 0.75
        self.assertTrue(self.server.acknowledge(self.now))
        self.assertEqual((self.server.state, self.server.last), (State.CONFIRMED, b""))
        self.assertTrue(self.server.acknowledge(self.now + 1))
        self.assertEqual(self.run_timers(100)[-1], (0.75 + 5, Event.ENDED))

    def test_timer_l(self) -> None:
        """
        A 2xx is not repeated by us; for 32 seconds, retransmissions are absorbed and
        further 2xx pass (RFC 6026).
        """
        self.respond(200)
        self.assertEqual((self.server.state, self.server.last), (State.ACCEPTED, b""))
        self.now += 1
        self.assertTrue(self.respond(200))
        self.assertFalse(self.respond(486))
        self.assertFalse(self.respond(180))
        self.assertEqual(self.run_timers(100), [(LIFETIME, Event.ENDED)])

    def test_ack_for_2xx(self) -> None:
        """
        The ACK for a 2xx, or one that comes too early, is not this transaction's.
        """
        self.assertFalse(self.server.acknowledge(self.now))
        self.respond(200)
        self.assertFalse(self.server.acknowledge(self.now))

    def test_one_refusal(self) -> None:
        """
        After a refusal nothing else is sent.
        """
        self.respond(486)
        for status in (180, 200, 487):
            self.assertFalse(self.respond(status))
        self.assertEqual((self.server.status, self.server.last), (486, b"answer"))


class OtherServerTests(ServerCase):
    method = "BYE"

    def test_timer_j(self) -> None:
        """
        A final response is kept for 32 seconds to answer retransmissions, never sent
        unasked.
        """
        self.assertTrue(self.respond(200, b"done"))
        self.assertEqual((self.server.state, self.server.last), (State.COMPLETED, b"done"))
        self.assertFalse(self.respond(200, b"other"))
        self.assertEqual(self.run_timers(100), [(LIFETIME, Event.ENDED)])

    def test_refusal(self) -> None:
        """
        A refusal is not repeated either, and no ACK is its.
        """
        self.respond(481)
        self.assertEqual(self.run_timers(100), [(LIFETIME, Event.ENDED)])


class ClientCase(SynchronousTestCase):
    method = "INVITE"

    def setUp(self) -> None:
        self.now = START
        self.client = ClientTransaction("b", request(self.method), HOP, Side.OUTSIDE, START)

    def receive(self, status: int, after: float | None = None) -> bool:
        if after is not None:
            self.now = START + after
        return self.client.receive(status, self.now)

    def run_timers(self, until: float) -> list[tuple[float, Event]]:
        events = []
        while self.client.due and self.client.due <= START + until:
            self.now = self.client.due
            event = self.client.tick(self.now)
            if event is not None:
                events.append((self.now - START, event))
            if event is Event.RINGING_TOO_LONG:
                self.client.cancel(self.now)
        return events


class InviteClientTests(ClientCase):
    def test_timer_a_and_b(self) -> None:
        """
        An INVITE is sent again after 0.5, 1, 2, 4, 8, 16 seconds, and given up after 32.
        """
        times = [0.5, 1.5, 3.5, 7.5, 15.5, 31.5]
        expected = [(time, Event.RESEND) for time in times] + [(LIFETIME, Event.TIMEOUT)]
        self.assertEqual(self.run_timers(100), expected)
        self.assertEqual((self.client.state, self.client.due), (State.TERMINATED, 0))

    def test_provisional_ends_repetition(self) -> None:
        """
        After any provisional response the INVITE is not sent again.
        """
        self.run_timers(1)
        self.assertTrue(self.receive(100, 1.2))
        self.assertEqual(self.run_timers(150), [])

    def test_timer_c(self) -> None:
        """
        What rings for 185 seconds is cancelled; without an answer to that it is given up
        32 seconds later.
        """
        self.receive(180, 1)
        events = self.run_timers(500)
        self.assertEqual(events, [(186, Event.RINGING_TOO_LONG), (186 + LIFETIME, Event.TIMEOUT)])

    def test_timer_c_begins_again(self) -> None:
        """
        Each 101 to 199 begins timer C again, a 100 does not (section 16.7 step 2).
        """
        self.receive(180, 1)
        self.run_timers(100)
        self.receive(183, 100)
        self.run_timers(200)
        self.receive(100, 200)
        self.assertEqual(self.run_timers(300), [(285, Event.RINGING_TOO_LONG)])

    def test_timer_d(self) -> None:
        """
        After a refusal, repetitions are absorbed for 32 seconds.
        """
        self.assertTrue(self.receive(486, 3))
        self.assertFalse(self.receive(486, 4))
        self.assertFalse(self.receive(180, 5))
        self.assertFalse(self.receive(200, 5))
        self.assertEqual(self.client.status, 486)
        self.assertEqual(self.run_timers(100), [(3 + LIFETIME, Event.ENDED)])

    def test_timer_m(self) -> None:
        """
        After a 2xx, further 2xx pass for 32 seconds, and nothing else (RFC 6026).
        """
        self.assertTrue(self.receive(200, 3))
        self.assertTrue(self.receive(200, 4))
        self.assertFalse(self.receive(180, 4))
        self.assertFalse(self.receive(486, 4))
        self.assertEqual(self.run_timers(100), [(3 + LIFETIME, Event.ENDED)])

    def test_too_late(self) -> None:
        """
        When it is over, nothing is taken any more.
        """
        self.run_timers(100)
        self.assertFalse(self.receive(200, 101))

    def test_key(self) -> None:
        """
        A response finds its transaction by branch and method (section 17.1.3).
        """
        self.assertEqual(self.client.key, client_key("b", "INVITE"))

    def test_cancel_after_provisional(self) -> None:
        """
        A ringing INVITE is cancelled at once, and only once; 32 seconds later it is over.
        """
        self.receive(180, 1)
        self.now = START + 10
        self.assertTrue(self.client.cancel(self.now))
        self.assertFalse(self.client.cancel(self.now))
        self.assertEqual(self.run_timers(100), [(10 + LIFETIME, Event.TIMEOUT)])

    def test_cancel_before_provisional(self) -> None:
        """
        Before a provisional response no CANCEL may go out: the wish is remembered, and
        the INVITE is repeated meanwhile (section 9.1).
        """
        self.assertFalse(self.client.cancel(self.now))
        self.assertTrue(self.client.cancelled)
        self.assertEqual(self.run_timers(0.5), [(0.5, Event.RESEND)])
        self.receive(100, 1)
        self.assertEqual(self.run_timers(100), [(1 + LIFETIME, Event.TIMEOUT)])

    def test_rings_on_after_cancel(self) -> None:
        """
        Whoever goes on ringing after a CANCEL is not waited for longer.
        """
        self.receive(180, 1)
        self.client.cancel(START + 10)
        for after in range(12, 42, 4):
            self.run_timers(after)
            self.assertTrue(self.receive(180, after))
        self.assertEqual(self.run_timers(200), [(10 + LIFETIME, Event.TIMEOUT)])

    def test_cancel_after_answer(self) -> None:
        """
        An INVITE that was answered cannot be cancelled.
        """
        self.receive(200, 1)
        self.assertFalse(self.client.cancel(self.now))
        self.assertEqual(self.run_timers(100), [(1 + LIFETIME, Event.ENDED)])

    def test_answer_after_cancel(self) -> None:
        """
        A 2xx that crosses the CANCEL is passed on.
        """
        self.receive(180, 1)
        self.client.cancel(START + 2)
        self.assertTrue(self.receive(200, 3))


class OtherClientTests(ClientCase):
    method = "OPTIONS"

    def test_timer_e_and_f(self) -> None:
        """
        Other requests are sent again after 0.5, 1, 2, 4, 4 ... seconds, until timer F.
        """
        times = [0.5, 1.5, 3.5, 7.5, 11.5, 15.5, 19.5, 23.5, 27.5, 31.5]
        expected = [(time, Event.RESEND) for time in times] + [(LIFETIME, Event.TIMEOUT)]
        self.assertEqual(self.run_timers(100), expected)

    def test_proceeding(self) -> None:
        """
        After a provisional response they are repeated every 4 seconds, still until timer F.
        """
        self.receive(100, 0.2)
        times = [0.5, 4.5, 8.5, 12.5, 16.5, 20.5, 24.5, 28.5]
        expected = [(time, Event.RESEND) for time in times] + [(LIFETIME, Event.TIMEOUT)]
        self.assertEqual(self.run_timers(100), expected)

    def test_timer_k(self) -> None:
        """
        After a final response, repetitions are absorbed for 5 seconds.
        """
        self.assertTrue(self.receive(200, 1))
        self.assertFalse(self.receive(200, 2))
        self.assertFalse(self.receive(100, 2))
        self.assertEqual(self.run_timers(100), [(1 + 5, Event.ENDED)])

    def test_due_never_earlier(self) -> None:
        """
        However late the answer comes, the next deadline is not before the one promised.
        """
        for after in (0.4, 7.0, 28.0):
            self.setUp()
            self.run_timers(after)
            promised = self.client.due
            self.receive(200, after)
            self.assertGreaterEqual(self.client.due, promised)
