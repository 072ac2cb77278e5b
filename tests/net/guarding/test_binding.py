"""
Tests of :mod:`siptwist.net.guarding.binding`, with a response of RFC 5769.
"""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from siptwist.net.guarding.binding import BindingClient, NoBinding
from siptwist.sip import stun
from siptwist.sip.hop import Hop

SERVER = Hop("198.51.100.1", 3478)
TRANSACTION = bytes.fromhex("b7e7a701bc34d686fa87dfae")
# RFC 5769 section 2.2.
RESPONSE = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563746f7220"
    "002000080001a147e112a643000800142b91f599fd9e90c38c7489f92af9ba53f06be7d7"
    "80280004c07d4c96"
)
FOUND = Hop("192.0.2.1", 32853)


def response(host: str, port: int = 5060, transaction: bytes = TRANSACTION) -> bytes:
    value = stun.xor_address(Hop(host, port), transaction)
    return bytes(stun.Message(stun.SUCCESS, transaction, ((stun.XOR_MAPPED_ADDRESS, value),)))


class BindingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.sent: list[tuple[float, bytes, Hop]] = []
        self.client = BindingClient(self.clock, self.send, lambda length: TRANSACTION[:length])

    def send(self, data: bytes, server: Hop) -> None:
        self.sent.append((self.clock.seconds(), data, server))

    def test_answer(self) -> None:
        """
        A right answer tells our address, and nothing is asked again.
        """
        asked = self.client.ask(SERVER)
        [(_, data, server)] = self.sent
        self.assertEqual(server, SERVER)
        self.assertEqual(stun.Message.parse(data), stun.Message(stun.REQUEST, TRANSACTION))
        self.assertTrue(self.client.take(RESPONSE, SERVER))
        self.assertEqual(self.successResultOf(asked), FOUND)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertFalse(self.client.take(RESPONSE, SERVER))

    def test_repeats(self) -> None:
        """
        A request is sent 7 times in 31.5 seconds and given up after 39.5 (RFC 8489
        section 6.2.1).
        """
        asked = self.client.ask(SERVER)
        self.clock.pump([0.5] * 78)
        self.assertEqual([at for at, _, _ in self.sent], [0, 0.5, 1.5, 3.5, 7.5, 15.5, 31.5])
        self.assertNoResult(asked)
        self.clock.advance(0.5)
        self.failureResultOf(asked, NoBinding)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_random(self) -> None:
        """
        No two questions have one transaction id, and nobody could compute it (S10 of
        siproxd).
        """
        client = BindingClient(self.clock, self.send)
        for _ in range(50):
            client.ask(SERVER)
        self.assertEqual(len({data[8:20] for _, data, _ in self.sent}), 50)
        client.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_another_transaction(self) -> None:
        """
        An answer to something that we did not ask is not ours (S10 of siproxd).
        """
        asked = self.client.ask(SERVER)
        self.assertFalse(self.client.take(response("6.6.6.6", transaction=bytes(12)), SERVER))
        self.assertNoResult(asked)
        self.client.stop()

    def test_another_source(self) -> None:
        """
        An answer from another address, or another port of it, is not believed (S10 of
        siproxd).
        """
        asked = self.client.ask(SERVER)
        for source in (Hop("198.51.100.2", 3478), Hop("198.51.100.1", 3479)):
            self.assertFalse(self.client.take(response("6.6.6.6"), source))
        self.assertNoResult(asked)
        self.client.stop()

    def test_damaged(self) -> None:
        """
        An answer that is damaged is as good as lost: the next one counts.
        """
        asked = self.client.ask(SERVER)
        for data in (RESPONSE[:-1] + b"\0", RESPONSE[:40], RESPONSE + bytes(4)):
            self.assertTrue(self.client.take(data, SERVER))
        self.assertNoResult(asked)
        self.client.take(RESPONSE, SERVER)
        self.assertEqual(self.successResultOf(asked), FOUND)

    def test_refused(self) -> None:
        """
        A server that refuses is not asked again; its status is told.
        """
        asked = self.client.ask(SERVER)
        self.client.take(bytes(stun.refuse(TRANSACTION, 420)), SERVER)
        self.assertIn("420", str(self.failureResultOf(asked, NoBinding).value))

    def test_nobody(self) -> None:
        """
        An address that nobody can have, or of another kind than ours, is not taken.
        """
        for host in ("0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255", "2001:db8::1"):
            asked = self.client.ask(SERVER)
            self.client.take(response(host), SERVER)
            self.assertIn(host, str(self.failureResultOf(asked, NoBinding).value))

    def test_without_address(self) -> None:
        """
        An answer that tells no address is none.
        """
        asked = self.client.ask(SERVER)
        self.client.take(bytes(stun.Message(stun.SUCCESS, TRANSACTION)), SERVER)
        self.failureResultOf(asked, NoBinding)

    def test_question(self) -> None:
        """
        A request of a server that we ask is no answer.
        """
        asked = self.client.ask(SERVER)
        self.client.take(bytes(stun.Message(stun.REQUEST, TRANSACTION)), SERVER)
        self.assertNoResult(asked)
        self.assertFalse(self.client.take(b"SIP/2.0 200 OK\r\n", SERVER))
        self.client.stop()

    def test_cancelled(self) -> None:
        """
        Who does not want to know any more is not told.
        """
        asked = self.client.ask(SERVER)
        asked.cancel()
        self.failureResultOf(asked, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertFalse(self.client.take(RESPONSE, SERVER))
