"""
Tests for siptwist.sip.stun, with the test vectors of RFC 5769.
"""

from __future__ import annotations

import struct
from ipaddress import ip_address

from twisted.trial.unittest import SynchronousTestCase

from siptwist.sip import stun
from siptwist.sip.hop import Hop
from siptwist.sip.stun import MalformedSTUN, Message, answer, is_stun, xor_address
from tests.sip.mutations import Mutator

TRANSACTION = bytes.fromhex("b7e7a701bc34d686fa87dfae")
# RFC 5769 sections 2.1 to 2.3.
SAMPLE_REQUEST = bytes.fromhex(
    "000100582112a442b7e7a701bc34d686fa87dfae802200105354554e20746573"
    "7420636c69656e74002400046e0001ff80290008932ff9b151263b3600060009"
    "6576746a3a68367659202020000800149aeaa70cbfd8cb56781ef2b5b2d3f249"
    "c1b571a280280004e57a3bcf"
)
SAMPLE_RESPONSE = bytes.fromhex(
    "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563"
    "746f7220002000080001a147e112a643000800142b91f599fd9e90c38c7489f9"
    "2af9ba53f06be7d780280004c07d4c96"
)
SAMPLE_RESPONSE_6 = bytes.fromhex(
    "010100482112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563"
    "746f7220002000140002a1470113a9faa5d3f179bc25f4b5bed2b9d900080014"
    "a382954e4be67bf11784c97c8292c275bfe3ed4180280004c8fb0b4c"
)
PHONE = Hop("192.0.2.1", 32853)
PHONE_6 = Hop("2001:db8:1234:5678:11:2233:4455:6677", 32853)
PING = bytes(Message(stun.REQUEST, TRANSACTION))
SOFTWARE = (0x8022, b"phone")


def request(*attributes: tuple[int, bytes]) -> bytes:
    return bytes(Message(stun.REQUEST, TRANSACTION, attributes))


def fingerprinted(*attributes: tuple[int, bytes]) -> bytes:
    data = request(*attributes, (stun.FINGERPRINT, bytes(4)))
    return data[:-4] + stun.fingerprint(data[:-8])


class VectorTests(SynchronousTestCase):
    """
    RFC 5769.
    """

    def test_addresses(self) -> None:
        """
        The addresses of the sample responses are ours, bit for bit.
        """
        for sample, source in ((SAMPLE_RESPONSE, PHONE), (SAMPLE_RESPONSE_6, PHONE_6)):
            attributes = dict(Message.parse(sample).attributes)
            value = attributes[stun.XOR_MAPPED_ADDRESS]
            self.assertEqual(value, xor_address(source, TRANSACTION))

    def test_fingerprints(self) -> None:
        """
        The fingerprints of all samples are right.
        """
        for sample in (SAMPLE_REQUEST, SAMPLE_RESPONSE, SAMPLE_RESPONSE_6):
            attributes = dict(Message.parse(sample).attributes)
            self.assertEqual(attributes[stun.FINGERPRINT], stun.fingerprint(sample[:-8]))

    def test_integrity(self) -> None:
        """
        The passwords of the sample messages make their message integrity.
        """
        for sample in (SAMPLE_REQUEST, SAMPLE_RESPONSE, SAMPLE_RESPONSE_6):
            told = dict(Message.parse(sample).attributes)[stun.MESSAGE_INTEGRITY]
            before = sample[: sample.index(told) - 4]
            self.assertEqual(stun.integrity(before, "VOkJxbRl1RmTxUk/WvJxBt"), told)
            self.assertNotEqual(stun.integrity(before, "VOkJxbRl1RmTxUk/WvJxBT"), told)

    def test_mapped_address(self) -> None:
        """
        The sample responses say where the request came from, of IPv4 and IPv6.
        """
        self.assertEqual(stun.mapped_address(Message.parse(SAMPLE_RESPONSE)), PHONE)
        wide = Hop("2001:db8:1234:5678:11:2233:4455:6677", 32853)
        value = stun.xor_address(wide, TRANSACTION)
        response = Message(stun.SUCCESS, TRANSACTION, ((stun.XOR_MAPPED_ADDRESS, value),))
        self.assertEqual(stun.mapped_address(response), wide)

    def test_old_address(self) -> None:
        """
        A server of RFC 3489 says it in clear, and says more; what a newer attribute
        says counts before it (RFC 8489 section 11).
        """
        clear = (stun.MAPPED_ADDRESS, bytes.fromhex("00011234c6336407"))
        more = (0x0004, bytes.fromhex("00010d96c6336401"))
        response = Message(stun.SUCCESS, TRANSACTION, (clear, more))
        self.assertEqual(stun.mapped_address(response), Hop("198.51.100.7", 0x1234))
        newer = (stun.XOR_MAPPED_ADDRESS, stun.xor_address(PHONE, TRANSACTION))
        response = Message(stun.SUCCESS, TRANSACTION, (clear, newer))
        self.assertEqual(stun.mapped_address(response), PHONE)

    def test_no_address(self) -> None:
        """
        No address, a damaged one, and one beside what must be understood are none.
        """
        good = (stun.XOR_MAPPED_ADDRESS, stun.xor_address(PHONE, TRANSACTION))
        for attributes in (
            (),
            (SOFTWARE,),
            (good, (0x0055, b"must be known")),
            *(((stun.XOR_MAPPED_ADDRESS, good[1][:length]),) for length in (0, 1, 3, 7)),
            ((stun.XOR_MAPPED_ADDRESS, b"\0\x02" + good[1][2:]),),
            ((stun.MAPPED_ADDRESS, b"\0\x03" + good[1][2:]),),
        ):
            with self.assertRaises(stun.MalformedSTUN):
                stun.mapped_address(Message(stun.SUCCESS, TRANSACTION, attributes))

    def test_fingerprint_of_response(self) -> None:
        """
        A response with a FINGERPRINT must have a right one, at its end.
        """
        good = Message.parse(SAMPLE_RESPONSE)
        self.assertTrue(stun.has_good_fingerprint(SAMPLE_RESPONSE, good))
        data = SAMPLE_RESPONSE[:-1] + bytes([SAMPLE_RESPONSE[-1] ^ 1])
        self.assertFalse(stun.has_good_fingerprint(data, Message.parse(data)))
        turned = good._replace(attributes=good.attributes[::-1])
        self.assertFalse(stun.has_good_fingerprint(bytes(turned), turned))
        bare = Message(stun.SUCCESS, TRANSACTION)
        self.assertTrue(stun.has_good_fingerprint(bytes(bare), bare))

    def test_attributes(self) -> None:
        """
        The sample request is read to its end, padding left out.
        """
        found = Message.parse(SAMPLE_REQUEST)
        self.assertEqual((found.type, found.transaction), (stun.REQUEST, TRANSACTION))
        types = [0x8022, 0x0024, 0x8029, 0x0006, 0x0008, 0x8028]
        self.assertEqual([type_ for type_, _ in found.attributes], types)
        self.assertEqual(dict(found.attributes)[0x0006], b"evtj:h6vY")

    def test_sample_request(self) -> None:
        """
        ICE's check is refused for its PRIORITY: this is no ICE agent.
        """
        found = Message.parse(answer(SAMPLE_REQUEST, PHONE))
        self.assertEqual(found.type, stun.REFUSAL)
        attributes = dict(found.attributes)
        self.assertEqual(attributes[stun.ERROR_CODE], b"\0\0\4\x14")
        self.assertEqual(attributes[stun.UNKNOWN_ATTRIBUTES], b"\0\x24")


class MessageTests(SynchronousTestCase):
    """
    Reading and writing.
    """

    def test_round_trip(self) -> None:
        """
        What is written reads the same, whatever the padding.
        """
        for length in range(9):
            message = Message(0x0101, TRANSACTION, ((0x8022, bytes(length)), (0x0020, b"abcd")))
            self.assertEqual(len(bytes(message)) % 4, 0)
            self.assertEqual(Message.parse(bytes(message)), message)

    def test_malformed(self) -> None:
        """
        A wrong length, a missing cookie, and an attribute too long are refused.
        """
        longer = PING[:2] + b"\0\4" + PING[4:]
        for data in (
            b"",
            PING[:19],
            longer,
            PING + b"\0",
            PING[:4] + b"\x21\x12\xa4\x43" + PING[8:],
            b"\x40" + PING[1:],
            longer + b"\x80\x22\0\1",
        ):
            self.assertRaises(MalformedSTUN, Message.parse, data)

    def test_told_from_sip(self) -> None:
        """
        A request line is not STUN, not even with the cookie in it.
        """
        self.assertTrue(is_stun(PING))
        self.assertFalse(is_stun(b"OPTI\x21\x12\xa4\x42 sip:a@b SIP/2.0"))
        self.assertFalse(is_stun(b"\r\n\r\n"))


class AnswerTests(SynchronousTestCase):
    """
    What a phone hears.
    """

    def test_ping(self) -> None:
        """
        A phone hears the address that we see, under its own transaction id.
        """
        for source in (PHONE, PHONE_6):
            expected = ((stun.XOR_MAPPED_ADDRESS, xor_address(source, TRANSACTION)),)
            self.assertEqual(
                Message.parse(answer(PING, source)), Message(stun.SUCCESS, TRANSACTION, expected)
            )

    def test_not_answered(self) -> None:
        """
        Indications, answers, other methods, and what is cut short hear nothing.
        """
        for type_ in (0x0011, 0x0101, 0x0111, 0x0003, 0x0000, 0x3FFF):
            self.assertEqual(answer(bytes(Message(type_, TRANSACTION)), PHONE), b"")
        for data in (b"", PING[:-1], PING + b"\0\0\0\0", b"\0\1"):
            self.assertEqual(answer(data, PHONE), b"")

    def test_too_long(self) -> None:
        """
        A request longer than a path surely carries hears nothing.
        """
        self.assertTrue(answer(request((0x8022, bytes(1280 - 24))), PHONE))
        self.assertEqual(answer(request((0x8022, bytes(1280 - 20))), PHONE), b"")

    def test_malformed_attribute(self) -> None:
        """
        An attribute longer than the request is answered 400.
        """
        data = PING[:2] + b"\0\4" + PING[4:] + b"\x80\x22\0\1"
        found = Message.parse(answer(data, PHONE))
        self.assertEqual(
            found, Message(stun.REFUSAL, TRANSACTION, ((stun.ERROR_CODE, b"\0\0\4\0"),))
        )

    def test_unknown_attribute(self) -> None:
        """
        CHANGE-REQUEST, which would have us answer from elsewhere, is answered 420
        and named once.
        """
        found = Message.parse(answer(request((0x0003, bytes(4)), (0x0003, bytes(4))), PHONE))
        self.assertEqual(
            found.attributes,
            ((stun.ERROR_CODE, b"\0\0\4\x14"), (stun.UNKNOWN_ATTRIBUTES, b"\0\3")),
        )

    def test_attributes_passed_over(self) -> None:
        """
        SOFTWARE, a user name and what may be passed over change nothing.
        """
        data = request(SOFTWARE, (0x0006, b"alice"), (0xFFFF, b"?"))
        self.assertEqual(answer(data, PHONE), answer(PING, PHONE))

    def test_fingerprint(self) -> None:
        """
        A request with a FINGERPRINT is answered with one; a wrong one hears nothing.
        """
        data = fingerprinted(SOFTWARE)
        told = answer(data, PHONE)
        self.assertEqual(told[-4:], stun.fingerprint(told[:-8]))
        self.assertEqual(Message.parse(told).type, stun.SUCCESS)
        self.assertEqual(answer(data[:-1] + bytes([data[-1] ^ 1]), PHONE), b"")

    def test_fingerprint_not_last(self) -> None:
        """
        A FINGERPRINT before another attribute is answered 400.
        """
        data = request((stun.FINGERPRINT, bytes(4)), SOFTWARE)
        self.assertEqual(
            dict(Message.parse(answer(data, PHONE)).attributes)[stun.ERROR_CODE], b"\0\0\4\0"
        )

    def test_small(self) -> None:
        """
        No answer is much larger than its request: we amplify for nobody.
        """
        self.assertEqual(len(answer(PING, PHONE)), 32)
        unknown = [(type_, b"") for type_ in range(0x100, 0x200)]
        for data in (request(SOFTWARE), fingerprinted(), request((3, b"")), request(*unknown)):
            self.assertLessEqual(len(answer(data, PHONE)), 1.5 * len(data))

    def test_mutations(self) -> None:
        """
        5,000 damaged pings: an answer under the same id and of bounded size, or none.
        """
        corpus = (PING, SAMPLE_REQUEST, fingerprinted(SOFTWARE), request((3, bytes(4))))
        mutator = Mutator(5769, corpus)
        answered = 0
        for number in range(5000):
            data = mutator.mutation()
            if number % 2:
                data = data[: len(data) & ~3]
                data = data[:2] + struct.pack(">H", max(len(data) - 20, 0) & 0xFFFF) + data[4:]
            told = answer(data, PHONE)
            if told:
                answered += 1
                self.assertEqual(Message.parse(told).transaction, data[8:20])
                self.assertLessEqual(len(told), len(data) + 16)
        self.assertGreater(answered, 500)

    def test_mutations_of_responses(self) -> None:
        """
        Whatever a damaged response says, it is an address or an error of STUN.
        """
        mutator = Mutator(8489, (SAMPLE_RESPONSE,))
        read = 0
        for _ in range(5000):
            data = mutator.mutation()
            try:
                message = Message.parse(data)
                stun.has_good_fingerprint(data, message)
                self.assertTrue(ip_address(stun.mapped_address(message).host))
            except stun.MalformedSTUN:
                continue
            read += 1
        self.assertGreater(read, 100)
