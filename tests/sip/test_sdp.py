"""
Session descriptions are read strictly and edited without touching the rest.
"""

from __future__ import annotations

import contextlib
import random
import time

from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import MalformedSDP
from siptwist.sip.sdp import MAX_MEDIA, SessionDescription, find_sdp

PHONE = b"\r\n".join(
    (
        b"v=0",
        b"o=alice 2890844526 2890844527 IN IP4 10.0.0.5",
        b"s=-",
        b"c=IN IP4 10.0.0.5",
        b"t=0 0",
        b"m=audio 49170 RTP/AVP 0 8 101",
        b"a=rtpmap:0 PCMU/8000",
        b"a=rtcp:49180",
        b"a=x-odd: \xff\xfe text ",
        b"m=video 51372 RTP/SAVPF 96",
        b"i=a camera",
        b"c=IN IP4 10.0.0.6",
        b"a=rtcp:53020 IN IP4 10.0.0.6",
        b"a=recvonly",
        b"m=image 0 udptl t38",
        b"",
    )
)
ICE = (
    b"v=0\no=- 1 1 IN IP4 192.168.1.2\ns=-\nt=0 0\na=ice-options:trickle\n"
    b"m=audio 9000 UDP/TLS/RTP/SAVPF 111\nc=IN IP4 192.168.1.2\na=ice-ufrag:8hhY\n"
    b"a=ice-pwd:asd88fgpdd777uzjYhagZg\na=candidate:1 1 UDP 1 192.168.1.2 9000 typ host\n"
    b"a=rtcp-mux\na=remote-candidates:1 192.168.1.2 9000\n"
    b"a=source-filter: incl IN IP4 * 192.168.1.9"
)
SIX = (
    b"v=0\r\no=- 1 1 IN IP6 2001:db8::5\r\ns=-\r\nc=IN IP6 2001:db8::5\r\nt=0 0\r\n"
    b"m=audio 6000/1 RTP/AVP 0\r\n"
)
OURS = "203.0.113.1"


def one_medium(*lines: bytes, connection: bytes = b"c=IN IP4 10.0.0.5") -> bytes:
    """
    An SDP whose only m= line, and what follows it, is ``lines``.
    """
    head = (b"v=0", b"o=- 1 1 IN IP4 10.0.0.5", b"s=-", connection, b"t=0 0")
    return b"\r\n".join((*(line for line in head if line), *lines, b""))


def rewrite(body: bytes, host: str = OURS, rtp: int = 7070, rtcp: int = 7071) -> bytes:
    """
    Rewrite every stream of ``body`` to the same endpoint.
    """
    description = SessionDescription.parse(body)
    return description.rewrite([(host, rtp, rtcp)] * len(description.media), host)


class ReadingTests(SynchronousTestCase):
    def test_media(self) -> None:
        """
        Each m= line says what it carries, where, and in which direction.
        """
        description = SessionDescription.parse(PHONE)
        self.assertEqual(description.origin_address, "10.0.0.5")
        self.assertEqual(description.connection, "10.0.0.5")
        audio, video, image = description.media
        self.assertEqual(
            audio,
            (
                "audio",
                49170,
                1,
                "RTP/AVP",
                ("0", "8", "101"),
                "10.0.0.5",
                (None, 49180),
                "sendrecv",
            ),
        )
        self.assertEqual((video.connection, video.rtcp), ("10.0.0.6", ("10.0.0.6", 53020)))
        self.assertEqual((image.port, image.is_rtp, video.is_rtp), (0, False, True))

    def test_rtcp_port(self) -> None:
        """
        RTCP is at the port of a=rtcp, and without one at the port after RTP's.
        """
        self.assertEqual(SessionDescription.parse(PHONE).media[0].rtcp_port, 49180)
        plain = SessionDescription.parse(one_medium(b"m=audio 5004 RTP/AVP 0"))
        self.assertEqual(plain.media[0].rtcp_port, 5005)

    def test_rtcp_mux_is_not_rtcp(self) -> None:
        """
        a=rtcp-mux and a=rtcp-fb are attributes of their own.
        """
        body = one_medium(b"m=audio 5004 RTP/AVP 0", b"a=rtcp-mux", b"a=rtcp-fb:* nack")
        self.assertIsNone(SessionDescription.parse(body).media[0].rtcp)

    def test_session_direction(self) -> None:
        """
        The direction of the session holds for media that do not say their own.
        """
        body = one_medium(
            b"a=sendonly", b"m=audio 4 RTP/AVP 0", b"m=video 6 RTP/AVP 9", b"a=recvonly"
        )
        audio, video = SessionDescription.parse(body).media
        self.assertEqual((audio.direction, video.direction), ("sendonly", "recvonly"))

    def test_held(self) -> None:
        """
        inactive, sendonly and c=0.0.0.0 put a stream on hold; a refused one is not held.
        """
        for connection, port, attribute, held in (
            (b"10.0.0.5", b"4000", b"a=sendrecv", False),
            (b"10.0.0.5", b"4000", b"a=recvonly", False),
            (b"10.0.0.5", b"4000", b"a=inactive", True),
            (b"10.0.0.5", b"4000", b"a=sendonly", True),
            (b"0.0.0.0", b"4000", b"a=sendrecv", True),
            (b"0.0.0.0", b"0", b"a=sendonly", False),
        ):
            body = one_medium(
                b"m=audio " + port + b" RTP/AVP 0", attribute, connection=b"c=IN IP4 " + connection
            )
            self.assertEqual(SessionDescription.parse(body).media[0].held, held, body)

    def test_name_as_connection(self) -> None:
        """
        A connection address may be a name.
        """
        body = one_medium(b"m=audio 4 RTP/AVP 0", connection=b"c=IN IP4 pc33.example.com")
        self.assertEqual(SessionDescription.parse(body).connection, "pc33.example.com")

    def test_multicast_suffix(self) -> None:
        """
        The TTL of a multicast address is no part of the address.
        """
        body = one_medium(b"m=audio 4/2 RTP/AVP 0", connection=b"c=IN IP4 224.2.1.1/127/3")
        medium = SessionDescription.parse(body).media[0]
        self.assertEqual((medium.connection, medium.port_count), ("224.2.1.1", 2))

    def test_refused_without_formats(self) -> None:
        """
        A phone that refuses a stream and forgets its formats is understood.
        """
        body = one_medium(b"m=video 0 RTP/AVP", connection=b"")
        self.assertEqual(SessionDescription.parse(body).media[0].formats, ())

    def test_malformed(self) -> None:
        """
        What cannot be read for certain is refused with 400.
        """
        audio = b"m=audio 4000 RTP/AVP 0"
        for body in (
            b"",
            b"o=- 1 1 IN IP4 10.0.0.5\r\n",
            b"v=1\r\n",
            one_medium(b"m=audio RTP/AVP 0"),
            one_medium(b"m=audio 65536 RTP/AVP 0"),
            one_medium(b"m=audio 99999999999999999999 RTP/AVP 0"),
            one_medium(b"m=audio -4 RTP/AVP 0"),
            one_medium(b"m=audio 4000/x RTP/AVP 0"),
            one_medium(b"m=audio 4000"),
            one_medium(b"m="),
            one_medium(audio, connection=b""),
            one_medium(audio, connection=b"c=IN IP5 10.0.0.5"),
            one_medium(audio, connection=b"c=IN IP4 10.0.0.256"),
            one_medium(audio, connection=b"c=IN IP4 10.0.5"),
            one_medium(audio, connection=b"c=IN IP6 fe80::1%eth0"),
            one_medium(audio, connection=b"c=IN IP6 1:2"),
            one_medium(audio, connection=b"c=IN IP4"),
            one_medium(audio, connection=b"c=ATM NSAP 47"),
            one_medium(audio, b"a=rtcp:99999"),
            one_medium(audio, b"a=rtcp:x"),
            one_medium(audio, b"a=rtcp:5 IN IP4 10.0.0.999"),
            one_medium(audio, b"o=- 1 1 IN IP4"),
            one_medium(audio, b"a=\0"),
            one_medium(audio, b"s=lone\rm=audio 1 RTP/AVP 0"),
            one_medium(*[audio] * (MAX_MEDIA + 1)),
        ):
            error = self.assertRaises(MalformedSDP, SessionDescription.parse, body)
            self.assertEqual(error.status, 400)


class RewritingTests(SynchronousTestCase):
    def test_only_addresses_change(self) -> None:
        """
        Addresses and ports become ours; every other byte goes out as it came in.
        """
        description = SessionDescription.parse(PHONE)
        endpoints = [(OURS, 7070, 7071), (OURS, 7080, 7081), (OURS, 7090, 7091)]
        expected = (
            PHONE.replace(b"10.0.0.5", b"203.0.113.1")
            .replace(b"10.0.0.6", b"203.0.113.1")
            .replace(b"49170", b"7070")
            .replace(b"49180", b"7071")
            .replace(b"51372", b"7080")
            .replace(b"53020", b"7081")
        )
        self.assertEqual(description.rewrite(endpoints, OURS), expected)

    def test_same_addresses(self) -> None:
        """
        Rewriting a description to its own addresses changes nothing.
        """
        for body, host, rtp in ((SIX, "2001:db8::5", 6000), (SIX.rstrip(), "2001:db8::5", 6000)):
            self.assertEqual(rewrite(body, host, rtp, rtp + 1), body)

    def test_family_changes(self) -> None:
        """
        An IPv4 description relayed over IPv6 says IP6, and the other way round.
        """
        body = one_medium(b"m=audio 4000 RTP/AVP 0", b"a=rtcp:4009 IN IP4 10.0.0.5")
        out = rewrite(body, "2001:db8::1")
        self.assertEqual(out.count(b"IN IP6 2001:db8::1"), 3)
        self.assertEqual(rewrite(SIX).count(b"IN IP4 203.0.113.1"), 2)

    def test_port_count(self) -> None:
        """
        We relay one pair of ports and never promise more.
        """
        body = one_medium(b"m=audio 4000/2 RTP/AVP 0", b"m=audio 4000/1 RTP/AVP 0")
        out = rewrite(body)
        self.assertIn(b"m=audio 7070 RTP/AVP 0\r\nm=audio 7070/1 RTP/AVP 0\r\n", out)

    def test_hold_by_address(self) -> None:
        """
        A stream held by c=0.0.0.0 (RFC 2543) is still held after us.
        """
        body = one_medium(b"m=audio 4000 RTP/AVP 0", connection=b"c=IN IP4 0.0.0.0")
        out = rewrite(body)
        self.assertIn(b"c=IN IP4 0.0.0.0\r\n", out)
        self.assertTrue(SessionDescription.parse(out).media[0].held)

    def test_refused_stays_refused(self) -> None:
        """
        A stream with port 0 keeps it, and its a=rtcp with an address goes.
        """
        body = one_medium(b"m=video 0 RTP/AVP 31", b"a=rtcp:5 IN IP4 10.0.0.5", b"a=x")
        self.assertIn(b"m=video 0 RTP/AVP 31\r\na=x\r\n", rewrite(body))

    def test_refused_by_us(self) -> None:
        """
        A stream for which no ports were granted goes out with port 0.
        """
        self.assertIn(
            b"m=audio 0 RTP/AVP 0\r\n", rewrite(one_medium(b"m=audio 4 RTP/AVP 0"), OURS, 0, 0)
        )

    def test_rtcp_elsewhere(self) -> None:
        """
        When our RTCP port is not the next one, a=rtcp tells it, at the end of its medium.
        """
        body = one_medium(b"m=audio 4000 RTP/AVP 0", b"a=x", b"m=video 5 RTP/AVP 31")
        out = rewrite(body, rtcp=7099)
        self.assertTrue(
            out.endswith(
                b"m=audio 7070 RTP/AVP 0\r\na=x\r\na=rtcp:7099\r\n"
                b"m=video 7070 RTP/AVP 31\r\na=rtcp:7099\r\n"
            ),
            out,
        )
        self.assertTrue(rewrite(body.rstrip(), rtcp=7099).endswith(b"31\r\na=rtcp:7099\r\n"))

    def test_media_on_different_hosts(self) -> None:
        """
        A medium whose host differs from the session's gets a c= line after i=.
        """
        body = one_medium(b"m=audio 4 RTP/AVP 0", b"m=video 6 RTP/AVP 9", b"i=x", b"a=y")
        description = SessionDescription.parse(body)
        out = description.rewrite([(OURS, 7070, 7071), ("203.0.113.2", 7080, 7081)], OURS)
        self.assertIn(b"m=video 7080 RTP/AVP 9\r\ni=x\r\nc=IN IP4 203.0.113.2\r\na=y\r\n", out)
        self.assertEqual(SessionDescription.parse(out).media[0].connection, OURS)

    def test_ice_removed(self) -> None:
        """
        Candidates and what belongs to them go: media must not find a way past us.
        """
        self.assertEqual(
            rewrite(ICE),
            b"v=0\no=- 1 1 IN IP4 203.0.113.1\ns=-\nt=0 0\n"
            b"m=audio 7070 UDP/TLS/RTP/SAVPF 111\nc=IN IP4 203.0.113.1\na=rtcp-mux\n",
        )

    def test_one_replacement_each(self) -> None:
        """
        A caller that lost count of the streams is told, not guessed at.
        """
        description = SessionDescription.parse(PHONE)
        self.assertRaises(ValueError, description.rewrite, [], OURS)


MULTIPART = (
    b"preamble\r\n--unique-boundary-1\r\nContent-Type: text/plain\r\n\r\nhi\r\n"
    b"--unique-boundary-1\r\nContent-ID: <a@b>\r\ncontent-type :\r\n application/SDP; x=y\r\n\r\n"
    + SIX
    + b"\r\n--unique-boundary-1--\r\nepilogue"
)


class FindingTests(SynchronousTestCase):
    def find(self, content_type: str, body: bytes) -> bytes | None:
        found = find_sdp(content_type, body)
        return None if found is None else body[found[0] : found[1]]

    def test_whole_body(self) -> None:
        """
        A body of type application/sdp is found as a whole.
        """
        self.assertEqual(self.find("Application/SDP ; charset=x", SIX), SIX)

    def test_other_body(self) -> None:
        """
        A body of another type holds no session description.
        """
        for content_type in ("text/plain", "", "application/sdpfrag", "garbage", "multipart/mixed"):
            self.assertIsNone(self.find(content_type, SIX))

    def test_part(self) -> None:
        """
        The session description is found between the boundaries of a multipart body.
        """
        for content_type in (
            "multipart/mixed;boundary=unique-boundary-1",
            'multipart/alternative; a=b; Boundary = "unique-boundary-1"',
        ):
            self.assertEqual(self.find(content_type, MULTIPART), SIX)

    def test_nested(self) -> None:
        """
        A multipart body within a multipart body is looked into.
        """
        body = (
            b"--outer\nContent-Type: multipart/mixed;\n boundary=unique-boundary-1\n\n"
            + MULTIPART
            + b"\n--outer--"
        )
        self.assertEqual(self.find("multipart/related;boundary=outer", body), SIX)

    def test_longer_boundary(self) -> None:
        """
        A line that only begins like the boundary does not end a part.
        """
        body = b"--a\r\nContent-Type: application/sdp\r\n\r\n" + SIX + b"--ab\r\nx\r\n--a--"
        self.assertEqual(self.find("multipart/mixed;boundary=a", body), SIX + b"--ab\r\nx")

    def test_encoded_part(self) -> None:
        """
        A part in base64 cannot be edited and is not found.
        """
        body = (
            b"--a\r\nContent-Type: application/sdp\r\nContent-Transfer-Encoding: base64\r\n\r\n"
            b"dj0w\r\n--a--"
        )
        self.assertIsNone(self.find("multipart/mixed;boundary=a", body))

    def test_no_end(self) -> None:
        """
        A multipart body without its last boundary holds nothing we could trust.
        """
        body = b"--a\r\nContent-Type: application/sdp\r\n\r\nv=0"
        self.assertIsNone(self.find("multipart/mixed;boundary=a", body))


class HostileTests(SynchronousTestCase):
    def test_mutations(self) -> None:
        """
        However a description is damaged, it is refused or goes out with our addresses.
        """
        chance = random.Random(8866)
        pieces = [line for body in (PHONE, ICE, SIX) for line in body.splitlines(keepends=True)]
        for _ in range(5000):
            body = mutate(chance, chance.choice((PHONE, ICE, SIX)), pieces)
            try:
                description = SessionDescription.parse(body)
            except MalformedSDP:
                continue
            out = description.rewrite([(OURS, 7070, 7077)] * len(description.media), OURS)
            for medium in SessionDescription.parse(out).media:
                self.assertIn(medium.connection, (OURS, "0.0.0.0", "::", None), body)
                self.assertIn(medium.port, (0, 7070), body)

    def test_multipart_mutations(self) -> None:
        """
        However a multipart body is damaged, what is found lies within it.
        """
        chance = random.Random(2046)
        pieces = MULTIPART.splitlines(keepends=True)
        for _ in range(2000):
            body = mutate(chance, MULTIPART, pieces)
            found = find_sdp("multipart/mixed;boundary=unique-boundary-1", body)
            if found is not None:
                self.assertTrue(0 <= found[0] <= found[1] <= len(body), body)

    def test_linear_time(self) -> None:
        """
        A description of 64 KB takes no longer than its length explains.
        """
        for filler in (
            b" ",
            b"a=rtcp:1 ",
            b"\n",
            b"\nc=IN IP4 1.2.3.4",
            b"\no=IN IP4 ",
            b"\nm=a 0 b ",
        ):
            body = b"v=0\no=" + filler * (65536 // len(filler))
            started = time.perf_counter()
            with contextlib.suppress(MalformedSDP):
                rewrite(body)
            find_sdp("multipart/mixed;boundary=a", body.replace(b"=", b"\n--a\n"))
            self.assertLess(time.perf_counter() - started, 0.5, filler)


def mutate(chance: random.Random, body: bytes, pieces: list[bytes]) -> bytes:
    """
    One to four random edits: a byte, a piece of another description, a cut, a repeat.
    """
    data = bytearray(body)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        edit = chance.randrange(5)
        if edit == 0:
            data[at : at + 1] = bytes((chance.randrange(256),))
        elif edit == 1:
            data[at:at] = chance.choice(pieces)
        elif edit == 2:
            del data[at : at + chance.randint(1, 12)]
        elif edit == 3:
            data[at:at] = data[at : at + 9] * chance.randint(1, 9)
        else:
            data[at:at] = chance.choice((b"0", b"65536", b" ", b"\r\n", b"IN IP6 ::", b"%", b"/"))
    return bytes(data)
