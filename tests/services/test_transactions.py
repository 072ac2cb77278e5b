"""
Tests for siptwist.services.transactions.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from siptwist.errors import SIPError
from siptwist.interfaces import IMessageSender, IUndeliverable
from siptwist.services.transactions import TransactionService
from siptwist.sip.headers import Headers, make_header
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Request, Response, make_response
from siptwist.sip.transaction import ClientTransaction, ServerTransaction

PHONE, SERVER = Hop("10.0.0.10", 5060), Hop("203.0.113.20", 5060)


@implementer(IMessageSender)
class Outbox:
    """
    Stands where the sockets are.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Hop, Side]] = []

    def send(self, data: bytes, hop: Hop, side: Side) -> None:
        self.sent.append((data, hop, side))

    @property
    def lines(self) -> list[str]:
        """
        The first word or status of each message sent.
        """
        starts = [data.decode().split(" ", 2) for data, _, _ in self.sent]
        return [start[1] if start[0] == "SIP/2.0" else start[0] for start in starts]


class User:
    """
    Remembers what the transactions tell it.
    """

    faults = False

    def __init__(self) -> None:
        self.requests: list[ServerTransaction] = []
        self.cancelled: list[ServerTransaction] = []
        self.acks: list[Request] = []
        self.responses: list[int] = []
        self.silent: list[ClientTransaction] = []
        self.slow: list[ClientTransaction] = []
        self.refusals: list[str] = []
        self.waiting: list[ServerTransaction] = []

    def request_arrived(self, transaction: ServerTransaction, request: Request) -> None:
        self.requests.append(transaction)

    def cancel_arrived(
        self, transaction: ServerTransaction, request: Request, invite: ServerTransaction
    ) -> None:
        self.cancelled.append(invite)

    def still_waiting(self, transaction: ServerTransaction, request: Request) -> None:
        self.waiting.append(transaction)

    def ack_arrived(self, request: Request, source: Hop, side: Side) -> None:
        self.acks.append(request)

    def response_arrived(self, transaction: ClientTransaction, response: Response) -> None:
        self.responses.append(response.status)

    def timed_out(self, transaction: ClientTransaction) -> None:
        self.silent.append(transaction)

    def grew_silent(self, transaction: ClientTransaction) -> None:
        self.slow.append(transaction)

    def refused(self, transaction: ClientTransaction) -> None:
        self.refusals.append(transaction.branch)
        if self.faults:
            raise ZeroDivisionError


def request(method: str = "INVITE", branch: str = "z9hG4bKone", host: str = "10.0.0.10") -> Request:
    pairs = (
        ("Via", f"SIP/2.0/UDP {host};branch={branch}"),
        ("Route", "<sip:203.0.113.20;lr>"),
        ("From", "<sip:alice@example.net>;tag=a"),
        ("To", "<sip:bob@example.net>"),
        ("Call-ID", "one"),
        ("CSeq", f"1 {method}"),
        ("Content-Length", "0"),
    )
    headers = Headers([make_header(name, value) for name, value in pairs])
    return Request(method, "sip:bob@example.net", headers)


class TransactionCase(SynchronousTestCase):
    limit = 100

    def setUp(self) -> None:
        self.clock, self.outbox, self.user = Clock(), Outbox(), User()
        self.service = TransactionService(self.clock, self.outbox, self.limit)
        self.service.user = self.user
        self.service.startService()
        self.addCleanup(self.service.stopService)

    def wait(self, seconds: float) -> None:
        self.clock.pump([0.1] * round(seconds * 10))

    def arrive(self, message: Request) -> None:
        self.service.receive_request(message, PHONE, Side.INSIDE)

    def respond(self, status: int, number: int = -1) -> bool:
        transaction = self.user.requests[number]
        return self.service.respond(transaction, make_response(request(), status, to_tag="t"))


class ServerTests(TransactionCase):
    """
    Requests that came to us (RFC 3261 section 17.2).
    """

    def test_interface(self) -> None:
        """
        The outbox stands in for the sockets.
        """
        verifyObject(IMessageSender, self.outbox)

    def test_repeated_request(self) -> None:
        """
        A repeated request is handed up once, and hears what was answered last.
        """
        self.arrive(request())
        self.arrive(request())
        self.assertEqual((len(self.user.requests), self.outbox.lines), (1, []))
        self.respond(180)
        self.arrive(request())
        self.assertEqual(self.outbox.lines, ["180", "180"])

    def test_same_branch_of_another_host(self) -> None:
        """
        Two clients that chose the same branch are told apart by their sent-by.
        """
        self.arrive(request())
        self.arrive(request(host="10.0.0.11"))
        self.assertEqual(len(self.user.requests), 2)

    def test_refusal_until_acknowledged(self) -> None:
        """
        A refusal of an INVITE is repeated until its ACK comes, which goes no further.
        """
        self.arrive(request())
        self.respond(486)
        self.wait(2)
        self.assertEqual(self.outbox.lines, ["486"] * 3)
        self.arrive(request("ACK"))
        self.arrive(request("ACK"))
        self.wait(40)
        self.assertEqual(self.outbox.lines, ["486"] * 3)
        self.assertEqual((self.user.acks, len(self.service)), ([], 0))

    def test_refusal_is_given_up(self) -> None:
        """
        A refusal that is never acknowledged is given up after 32 seconds.
        """
        self.arrive(request())
        self.respond(486)
        self.wait(17)
        self.assertEqual(len(self.outbox.lines), 7)
        self.wait(16)
        self.assertEqual(len(self.service), 0)

    def test_answered_call(self) -> None:
        """
        After a 200 the ACK is handed up, and a repeated INVITE is swallowed (RFC 6026).
        """
        self.arrive(request())
        self.respond(200)
        self.arrive(request())
        self.arrive(request("ACK"))
        self.assertEqual((self.outbox.lines, len(self.user.acks)), (["200"], 1))
        self.assertEqual(len(self.user.requests), 1)
        self.wait(33)
        self.assertEqual(len(self.service), 0)

    def test_second_answer(self) -> None:
        """
        Another 2xx passes after a first, nothing else does.
        """
        self.arrive(request())
        self.assertEqual(
            [self.respond(s) for s in (200, 200, 486, 180)], [True, True, False, False]
        )

    def test_answer_of_another_method(self) -> None:
        """
        A MESSAGE is answered once; the answer is kept for 32 seconds.
        """
        self.arrive(request("MESSAGE"))
        self.assertEqual([self.respond(200), self.respond(486)], [True, False])
        self.wait(31)
        self.arrive(request("MESSAGE"))
        self.assertEqual(self.outbox.lines, ["200", "200"])
        self.wait(2)
        self.assertEqual(len(self.service), 0)

    def test_cancel(self) -> None:
        """
        A CANCEL finds its INVITE by the branch; without one it is an ordinary request.
        """
        self.arrive(request())
        self.arrive(request("CANCEL"))
        self.assertEqual(self.user.cancelled, self.user.requests)
        self.arrive(request("CANCEL", "z9hG4bKother"))
        self.assertEqual(len(self.user.requests), 2)

    def test_old_phones(self) -> None:
        """
        A branch of RFC 2543 is told apart by Call-ID, From tag, CSeq and Via.
        """
        self.arrive(request(branch="1"))
        self.arrive(request(branch="1"))
        self.assertEqual(len(self.user.requests), 1)

    def test_forgotten(self) -> None:
        """
        A request that is dropped leaves nothing behind.
        """
        self.arrive(request())
        self.service.forget(self.user.requests[0])
        self.assertEqual(len(self.service), 0)


class LimitTests(TransactionCase):
    """
    Too many requests at once.
    """

    limit = 2

    def test_limit(self) -> None:
        """
        Above the limit a new request is refused with 503, known ones are served.
        """
        for number in range(2):
            self.arrive(request(branch=f"z9hG4bK{number}"))
        error = self.assertRaises(SIPError, self.arrive, request(branch="z9hG4bK2"))
        self.assertEqual(error.status, 503)
        self.arrive(request(branch="z9hG4bK0"))
        self.assertEqual(len(self.service), 2)


class ClientTests(TransactionCase):
    """
    Requests that we sent (RFC 3261 section 17.1).
    """

    def begin(self, method: str = "INVITE") -> Request:
        sent = request(method)
        self.service.send(sent, "z9hG4bKone", SERVER, Side.OUTSIDE, "user")
        return sent

    def hear(self, sent: Request, status: int, tag: str = "t") -> bool:
        return self.service.receive_response(make_response(sent, status, to_tag=tag))

    def test_invite_is_repeated(self) -> None:
        """
        An INVITE goes out again at 0.5, 1.5, 3.5 ... seconds; after 32 it is given up.
        """
        self.begin()
        self.wait(17)
        self.assertEqual(self.outbox.lines, ["INVITE"] * 6)
        self.wait(16)
        self.assertEqual(len(self.user.silent), 1)
        self.assertEqual(len(self.service), 0)

    def test_other_methods_are_repeated(self) -> None:
        """
        Other requests go out again at most every four seconds; after 32 they are given up.
        """
        self.begin("MESSAGE")
        self.wait(17)
        self.assertEqual(self.outbox.lines, ["MESSAGE"] * 7)
        self.wait(16)
        self.assertEqual(len(self.user.silent), 1)

    def test_ringing_ends_repetition(self) -> None:
        """
        After a provisional answer an INVITE is not repeated.
        """
        sent = self.begin()
        self.hear(sent, 100)
        self.wait(60)
        self.assertEqual(self.outbox.lines, ["INVITE"])

    def test_trying_slows_repetition(self) -> None:
        """
        After a provisional answer a MESSAGE is repeated every four seconds.
        """
        sent = self.begin("MESSAGE")
        self.hear(sent, 100)
        self.wait(9)
        self.assertEqual(self.outbox.lines, ["MESSAGE"] * 4)

    def test_refusal(self) -> None:
        """
        A refusal is handed up once, and acknowledged each time it comes.
        """
        sent = self.begin()
        for _ in range(2):
            self.hear(sent, 486)
        self.assertEqual(self.user.responses, [486])
        self.assertEqual(self.outbox.lines, ["INVITE", "ACK", "ACK"])
        self.wait(33)
        self.assertEqual(len(self.service), 0)

    def test_acknowledgement(self) -> None:
        """
        Our ACK has the INVITE's Via, Route and CSeq number, and the answer's To.
        """
        sent = self.begin()
        self.hear(sent, 486, "busy")
        data, hop, side = self.outbox.sent[-1]
        text = data.decode()
        self.assertIn("CSeq: 1 ACK\r\n", text)
        self.assertIn("To: <sip:bob@example.net>;tag=busy\r\n", text)
        for name in ("Via", "Route", "From", "Call-ID"):
            self.assertIn(f"{name}: {sent.headers.get(name.lower())}\r\n", text)
        self.assertEqual((hop, side), (SERVER, Side.OUTSIDE))

    def test_answers(self) -> None:
        """
        Every 2xx to an INVITE is handed up, of whichever callee, and we acknowledge none.
        """
        sent = self.begin()
        for tag in ("one", "one", "two"):
            self.assertTrue(self.hear(sent, 200, tag))
        self.assertEqual(self.user.responses, [200, 200, 200])
        self.assertEqual(self.outbox.lines, ["INVITE"])
        self.wait(33)
        self.assertFalse(self.hear(sent, 200, "late"))

    def test_answer_of_another_method(self) -> None:
        """
        The answer to a MESSAGE is handed up once.
        """
        sent = self.begin("MESSAGE")
        for _ in range(2):
            self.hear(sent, 200)
        self.assertEqual(self.user.responses, [200])
        self.wait(6)
        self.assertEqual(len(self.service), 0)

    def test_unknown_response(self) -> None:
        """
        A response to nothing of ours belongs to nobody (P6 of siproxd).
        """
        self.assertFalse(self.hear(request(), 200))

    def test_response_to_another_method(self) -> None:
        """
        A response whose CSeq names another method is not the INVITE's.
        """
        self.begin()
        self.assertFalse(self.hear(request("CANCEL"), 200))

    def test_cancel_at_once(self) -> None:
        """
        A ringing INVITE is cancelled once, however often it is asked for.
        """
        sent = self.begin()
        self.hear(sent, 180)
        for _ in range(2):
            self.service.cancel("z9hG4bKone")
        self.assertEqual(self.outbox.lines, ["INVITE", "CANCEL"])

    def test_cancel_waits(self) -> None:
        """
        Before a provisional answer nothing is cancelled; with it, at once.
        """
        sent = self.begin()
        self.service.cancel("z9hG4bKone")
        self.assertEqual(self.outbox.lines, ["INVITE"])
        self.hear(sent, 100)
        self.assertEqual(self.outbox.lines, ["INVITE", "CANCEL"])

    def test_cancel_too_late(self) -> None:
        """
        A final answer that comes first makes the CANCEL needless.
        """
        sent = self.begin()
        self.service.cancel("z9hG4bKone")
        self.hear(sent, 486)
        self.service.cancel("z9hG4bKone")
        self.service.cancel("z9hG4bKnone")
        self.assertEqual(self.outbox.lines, ["INVITE", "ACK"])

    def test_lost_cancel(self) -> None:
        """
        A CANCEL that nobody answers is repeated; its silence is nobody's business.
        """
        sent = self.begin()
        self.hear(sent, 180)
        self.service.cancel("z9hG4bKone")
        self.wait(17)
        self.assertEqual(self.outbox.lines.count("CANCEL"), 7)
        self.wait(16)
        self.assertEqual([one.method for one in self.user.silent], ["INVITE"])
        self.assertEqual(len(self.service), 0)

    def test_ringing_for_ever(self) -> None:
        """
        Timer C ends what rings longer than 185 seconds.
        """
        sent = self.begin()
        self.hear(sent, 180)
        self.wait(184)
        self.assertEqual(self.outbox.lines, ["INVITE"])
        self.wait(1.3)
        self.assertEqual(self.outbox.lines, ["INVITE", "CANCEL"])

    def test_user_breaks(self) -> None:
        """
        A timer whose user breaks does not stop the others.
        """

        def broken(transaction: ClientTransaction) -> None:
            raise ZeroDivisionError

        self.user.timed_out = broken  # type: ignore[method-assign]
        for branch in ("z9hG4bKone", "z9hG4bKtwo"):
            self.service.send(request(branch=branch), branch, SERVER, Side.OUTSIDE, None)
        self.wait(33)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)
        self.assertEqual(len(self.service), 0)


class DropTests(TransactionCase):
    def test_dropped(self) -> None:
        """
        A request that nobody wants to have answered any more is not sent again, and its
        answer is a stray.
        """
        asker = User()
        transaction = self.service.send(
            request("OPTIONS"), "z9hG4bKone", SERVER, Side.OUTSIDE, "x", asker=asker
        )
        self.service.drop(transaction)
        self.wait(40)
        self.assertEqual(self.outbox.lines, ["OPTIONS"])
        self.assertEqual((asker.silent, asker.responses, len(self.service)), ([], [], 0))


class PatienceTests(TransactionCase):
    """
    A next hop that has said nothing for a while.
    """

    def begin(self, patience: float) -> ClientTransaction:
        return self.service.send(
            request(branch="z9hG4bKours"),
            "z9hG4bKours",
            SERVER,
            Side.OUTSIDE,
            "somebody",
            patience=patience,
        )

    def test_silence(self) -> None:
        """
        The user is told once, when the time is over; repetitions go on.
        """
        transaction = self.begin(2.0)
        self.wait(1.9)
        self.assertEqual(self.user.slow, [])
        self.wait(10)
        self.assertEqual(self.user.slow, [transaction])
        self.assertEqual(len(self.outbox.sent), 5)

    def test_sign_of_life(self) -> None:
        """
        Who has said 100 is not silent.
        """
        self.begin(2.0)
        self.service.receive_response(make_response(request(branch="z9hG4bKours"), 100))
        self.wait(10)
        self.assertEqual(self.user.slow, [])

    def test_not_asked_for(self) -> None:
        """
        Without patience, only timer B counts.
        """
        self.begin(0.0)
        self.wait(33)
        self.assertEqual((self.user.slow, len(self.user.silent)), ([], 1))


class UnansweredTests(TransactionCase):
    """
    What is never answered, or cannot be sent.
    """

    def test_abandoned(self) -> None:
        """
        A request that is not answered at all is absorbed until its client gives up.
        """
        self.arrive(request("MESSAGE"))
        self.service.abandon(self.user.requests[0])
        self.wait(31)
        self.arrive(request("MESSAGE"))
        self.assertEqual((len(self.user.requests), self.outbox.sent), (1, []))
        self.wait(2)
        self.assertEqual(len(self.service), 0)

    def test_waits_long(self) -> None:
        """
        Who repeats a request for the third time, 3.5 s after the first, shall hear 100
        (RFC 4320 section 4.1); before that nobody is told, nor for an INVITE.
        """
        for method, told in (("MESSAGE", 1), ("INVITE", 0)):
            self.user.waiting.clear()
            for pause in (0, 0.5, 1, 2):
                self.assertEqual(self.user.waiting, [])
                self.wait(pause)
                self.arrive(request(method, f"z9hG4bK{method}"))
            self.assertEqual(len(self.user.waiting), told, method)

    def test_abandoned_hears_nothing(self) -> None:
        """
        Who is never answered hears no 100 either.
        """
        self.arrive(request("MESSAGE"))
        self.service.abandon(self.user.requests[0])
        self.wait(4)
        self.arrive(request("MESSAGE"))
        self.assertEqual(self.user.waiting, [])

    def test_answered_before(self) -> None:
        """
        What has been answered stays answered.
        """
        self.arrive(request("MESSAGE"))
        self.respond(200)
        self.service.abandon(self.user.requests[0])
        self.arrive(request("MESSAGE"))
        self.assertEqual(self.outbox.lines, ["200", "200"])

    def test_too_large(self) -> None:
        """
        A request that no datagram can hold is refused with 513, nothing is kept.
        """
        large = request()._replace(body=b"x" * 65_500)
        error = self.assertRaises(
            SIPError, self.service.send, large, "z9hG4bKo", SERVER, Side.OUTSIDE, None
        )
        self.assertEqual((error.status, len(self.service)), (513, 0))


class LifetimeTests(TransactionCase):
    """
    The service as a whole.
    """

    def test_no_timer_when_idle(self) -> None:
        """
        A proxy without transactions wakes up for none.
        """
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.arrive(request("MESSAGE"))
        self.respond(200)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.wait(40)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stop(self) -> None:
        """
        A stop forgets everything and takes its timer back.
        """
        self.arrive(request())
        self.respond(486)
        self.service.stopService()
        self.assertEqual((len(self.service), self.clock.getDelayedCalls()), (0, []))


class UnreachableTests(TransactionCase):
    """
    Next hops that the network cannot reach (RFC 3261 sections 17.1.4 and 18.4).
    """

    def send(
        self, branch: str, method: str = "INVITE", hop: Hop = SERVER, asker: User | None = None
    ) -> bytes:
        sent = request(method, branch, "203.0.113.1")
        self.service.send(sent, branch, hop, Side.OUTSIDE, "user", asker=asker)
        return bytes(sent)

    def answer(self, branch: str, status: int, method: str = "INVITE") -> None:
        asked = request(method, branch, "203.0.113.1")
        self.service.receive_response(make_response(asked, status, to_tag="t"))

    def tell(self, data: bytes, hop: Hop = SERVER) -> list[str]:
        """
        What the user has been told since, a tenth of a second later.
        """
        verifyObject(IUndeliverable, self.service)
        self.user.refusals.clear()
        self.service.undeliverable(data, hop)
        self.assertEqual(self.user.refusals, [])
        self.wait(0.2)
        return sorted(self.user.refusals)

    def test_refused(self) -> None:
        """
        All that have heard nothing from the hop give it up, and nothing is left of them.
        """
        data = self.send("z9hG4bKone")
        self.send("z9hG4bKtwo", "BYE")
        self.send("z9hG4bKelse", hop=PHONE)
        self.assertEqual(self.tell(data[:400]), ["z9hG4bKone", "z9hG4bKtwo"])
        self.assertEqual(len(self.service), 1)
        sent = len(self.outbox.sent)
        self.answer("z9hG4bKone", 200)
        self.assertEqual((self.user.responses, len(self.outbox.sent)), ([], sent))

    def test_made_up(self) -> None:
        """
        Errors about what was not sent, or not there, or is answered, are made up.
        """
        data = self.send("z9hG4bKone")
        for wrong, hop in (
            (data.replace(b"z9hG4bKone", b"z9hG4bKtwo"), SERVER),
            (data, PHONE),
            (data, Hop(SERVER.host, 5061)),
            (data[:60], SERVER),
            (b"", SERVER),
        ):
            self.assertEqual(self.tell(wrong, hop), [], (wrong, hop))
        self.answer("z9hG4bKone", 486)
        self.assertEqual(self.tell(data), [])

    def test_ringing(self) -> None:
        """
        Who has said 100 or 180 is there: an error that is late ends no call.
        """
        for status in (100, 180):
            data = self.send("z9hG4bKone")
            self.answer("z9hG4bKone", status)
            self.assertEqual(self.tell(data), [])

    def test_trying(self) -> None:
        """
        A server that said 100 to a request that it then refuses has died.
        """
        data = self.send("z9hG4bKone", "BYE")
        self.send("z9hG4bKtwo", "BYE")
        for branch in ("z9hG4bKone", "z9hG4bKtwo"):
            self.answer(branch, 100, "BYE")
        self.assertEqual(self.tell(data), ["z9hG4bKone"])

    def test_cancel(self) -> None:
        """
        A callee that refuses the CANCEL rings no more: the call is over at once.
        """
        self.send("z9hG4bKone")
        self.answer("z9hG4bKone", 180)
        self.service.cancel("z9hG4bKone")
        cancel = self.outbox.sent[-1][0]
        self.assertTrue(cancel.startswith(b"CANCEL "))
        self.assertEqual(self.tell(cancel), ["z9hG4bKone"])
        self.assertEqual(len(self.service), 0)

    def test_asker(self) -> None:
        """
        Who asked for the answer is told, not the core.
        """
        asker = User()
        self.assertEqual(self.tell(self.send("z9hG4bKone", "OPTIONS", asker=asker)), [])
        self.assertEqual(asker.refusals, ["z9hG4bKone"])

    def test_fault(self) -> None:
        """
        A fault in one request does not keep the others waiting.
        """
        self.user.faults = True
        data = self.send("z9hG4bKone")
        self.send("z9hG4bKtwo")
        self.assertEqual(len(self.tell(data)), 2)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 2)

    def test_flood(self) -> None:
        """
        However many errors come, a hop is looked after once in a tenth of a second, and
        made up ones are not remembered.
        """
        data = self.send("z9hG4bKone")
        for number in range(2000):
            made_up = data.replace(b"z9hG4bKone", b"z9hG4bK%d" % number)
            self.service.undeliverable(made_up, Hop(f"192.0.2.{number % 250}", number + 1))
        self.assertEqual(self.service._unreachable, {})
        for _ in range(2000):
            self.service.undeliverable(data, SERVER)
        self.assertEqual(self.tell(data), ["z9hG4bKone"])
