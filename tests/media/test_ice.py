"""
Tests for siptwist.media.ice.
"""

from __future__ import annotations

import random
import struct

from twisted.trial.unittest import SynchronousTestCase

from siptwist.media.ice import ICE_CONTROLLED, PRIORITY, USE_CANDIDATE, Agent, make_credentials
from siptwist.sip import stun
from siptwist.sip.hop import Hop
from siptwist.sip.sdp import Credentials
from tests.sip.mutations import Mutator

OURS = Credentials("ourfrag1", "ourpassword1234567890123")
PHONE, ROUTER = ("10.0.0.5", 4000), ("192.0.2.7", 61000)
TRANSACTION = b"abcdefghijkl"
CONTROLLING = 0x802A


def check(
    *attributes: tuple[int, bytes],
    ours: Credentials = OURS,
    ufrag: str = "theirs",
    priority: int = 1000,
    nominates: bool = False,
    type_: int = stun.REQUEST,
) -> bytes:
    """
    A connectivity check (RFC 8445 section 7.2.2) as a full agent makes it.
    """
    first = (
        (stun.USERNAME, f"{ours.ufrag}:{ufrag}".encode()),
        (PRIORITY, struct.pack(">I", priority)),
        (CONTROLLING, bytes(8)),
        *(((USE_CANDIDATE, b""),) if nominates else ()),
        *attributes,
    )
    message = stun.Message(type_, TRANSACTION, first)
    proof = (stun.MESSAGE_INTEGRITY, stun.integrity(bytes(message), ours.password))
    return stun.with_fingerprint(message._replace(attributes=(*first, proof)))


class CredentialsTests(SynchronousTestCase):
    def test_length(self) -> None:
        """
        Name and password have as many random bits as RFC 8445 section 5.3 wants.
        """
        made = make_credentials(random.Random(1).randrange)
        self.assertRegex(made.ufrag, r"\A[A-Za-z0-9+/]{8}\Z")
        self.assertRegex(made.password, r"\A[A-Za-z0-9+/]{24}\Z")
        self.assertNotEqual(made, make_credentials(random.Random(2).randrange))


class AgentTests(SynchronousTestCase):
    """
    What a full agent that checks us gets.
    """

    def setUp(self) -> None:
        self.agent = Agent(lambda: OURS)

    def status(self, data: bytes) -> bytes:
        """
        The value of ERROR-CODE in the answer.
        """
        answer = stun.Message.parse(self.agent.answer(data, PHONE))
        return dict(answer.attributes).get(stun.ERROR_CODE, b"")

    def test_answer(self) -> None:
        """
        A check is answered with the address it came from, signed by our password.
        """
        data = self.agent.answer(check(), PHONE)
        found = stun.Message.parse(data)
        mapped, proof, mark = found.attributes
        self.assertEqual((found.type, found.transaction), (stun.SUCCESS, TRANSACTION))
        expected = stun.xor_address(Hop(*PHONE), TRANSACTION)
        self.assertEqual(mapped, (stun.XOR_MAPPED_ADDRESS, expected))
        self.assertEqual(proof[1], stun.integrity(data[:-32], OURS.password))
        self.assertEqual(mark, (stun.FINGERPRINT, stun.fingerprint(data[:-8])))

    def test_strangers(self) -> None:
        """
        Who has not read our SDP gets no answer, and is not sent anything.
        """
        for ours in (OURS._replace(ufrag="x"), OURS._replace(password="x" * 24)):
            self.assertEqual(self.agent.answer(check(ours=ours, nominates=True), ROUTER), b"")
        bare = bytes(stun.Message(stun.REQUEST, TRANSACTION, ((USE_CANDIDATE, b""),)))
        self.assertEqual(self.agent.answer(bare, ROUTER), b"")
        self.assertIsNone(self.agent.rtp)

    def test_not_a_request(self) -> None:
        """
        Responses and indications are not answered.
        """
        for type_ in (stun.SUCCESS, 0x0011):
            self.assertEqual(self.agent.answer(check(type_=type_), PHONE), b"")

    def test_nomination(self) -> None:
        """
        Media goes where the check with USE-CANDIDATE came from, RTCP by its own.
        """
        self.agent.answer(check(), ROUTER)
        self.assertIsNone(self.agent.rtp)
        self.agent.answer(check(nominates=True), ROUTER)
        self.assertEqual((self.agent.rtp, self.agent.rtcp), (ROUTER, None))
        self.agent.answer(check(nominates=True), PHONE, is_rtcp=True)
        self.assertEqual((self.agent.rtp, self.agent.rtcp), (ROUTER, PHONE))

    def test_added_behind(self) -> None:
        """
        What somebody adds behind the signature counts for nothing.
        """
        message = stun.Message.parse(check())
        longer = message._replace(attributes=(*message.attributes[:-1], (USE_CANDIDATE, b"")))
        self.assertTrue(self.agent.answer(bytes(longer), ROUTER))
        self.assertIsNone(self.agent.rtp)

    def test_aggressive(self) -> None:
        """
        Of an agent that nominates every way, the way with the highest priority counts.
        """
        self.agent.answer(check(nominates=True, priority=9), PHONE)
        self.agent.answer(check(nominates=True, priority=5), ROUTER)
        self.assertEqual(self.agent.rtp, PHONE)
        self.agent.answer(check(nominates=True, priority=9), ROUTER)
        self.assertEqual(self.agent.rtp, ROUTER)

    def test_restart(self) -> None:
        """
        A party that begins anew, with another name, chooses anew.
        """
        self.agent.answer(check(nominates=True, priority=9), PHONE)
        self.agent.answer(check(nominates=True, priority=5, ufrag="again"), ROUTER)
        self.assertEqual(self.agent.rtp, ROUTER)

    def test_new_credentials(self) -> None:
        """
        A party that begins anew is told new credentials; those of before, from when it
        talked without a break, are still good, but not those before them.
        """
        made = [OURS._replace(ufrag=f"ourfrag{number}") for number in range(3)]
        agent = Agent(iter(made).__next__)
        for number, ufrag in enumerate(("first", "first", "second", "", "second")):
            agent.follow(f"m=audio 4 RTP/AVP 0\r\na=ice-ufrag:{ufrag}\r\n" if ufrag else "m=")
            self.assertEqual(agent.credentials, made[number >= 2])
        agent.follow("m=audio 4 RTP/AVP 0\na=ice-ufrag:third")
        answered = [bool(agent.answer(check(ours=one), PHONE)) for one in made]
        self.assertEqual(answered, [False, True, True])

    def test_branches(self) -> None:
        """
        Phones that ring together have names of their own; all check with what all were told.
        """
        made = iter([OURS, OURS._replace(ufrag="other")])
        agent = Agent(made.__next__)
        for ufrag in ("one", "two", "three"):
            agent.follow(f"m=audio 4 RTP/AVP 0\na=ice-ufrag:{ufrag}", is_new=True)
        self.assertEqual(agent.credentials, OURS)

    def test_role_conflict(self) -> None:
        """
        Who wants to be controlled is told that we are: 487.
        """
        self.assertEqual(self.status(check((ICE_CONTROLLED, bytes(8)))), b"\0\0\4\x57")

    def test_unknown_attribute(self) -> None:
        """
        What we must understand and do not is refused: 420.
        """
        self.assertEqual(self.status(check((0x0003, bytes(4)))), b"\0\0\4\x14")

    def test_mutations(self) -> None:
        """
        A damaged check is not answered, unless the damage is not in what it proves.
        """
        samples = (check(nominates=True), check(nominates=True, ufrag="x" * 9))
        proven = {sample[4 : sample.index(b"\0\x08\0\x14")] for sample in samples}
        mutator = Mutator(8445, samples)
        for _ in range(5000):
            data = mutator.mutation()
            if self.agent.answer(data, ROUTER):
                self.assertIn(data[4 : data.index(b"\0\x08\0\x14")], proven)
        for at in range(len(samples[0]) - 8):
            other = samples[0][:at] + bytes((samples[0][at] ^ 1,)) + samples[0][at + 1 :]
            self.assertEqual(Agent(lambda: OURS).answer(other, ROUTER), b"", at)
