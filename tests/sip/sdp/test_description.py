"""
Session descriptions are read strictly.
"""

from __future__ import annotations

import random
import re

from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import MalformedSDP
from siptwist.sip.sdp import MAX_MEDIA, SessionDescription, description
from siptwist.sip.sdp.grammar import HEAD
from tests.sip.sdp.samples import ICE, OURS, PHONE, mutate, one_medium


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
            (audio.kind, audio.port, audio.port_count, audio.proto, audio.formats),
            ("audio", 49170, 1, "RTP/AVP", " 0 8 101"),
        )
        self.assertEqual(
            (audio.connection, audio.rtcp, audio.direction), ("10.0.0.5", (None, 49180), "sendrecv")
        )
        self.assertEqual(audio.text.splitlines()[1], "a=rtpmap:0 PCMU/8000")
        text = "".join(medium.text for medium in description.media)
        self.assertTrue(description.text.endswith("\r\n" + text))
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
        Every spelling of hold is known; a refused stream is not held.
        """
        for connection, port, attribute, held in (
            (b"10.0.0.5", b"4000", b"a=sendrecv", False),
            (b"10.0.0.5", b"4000", b"a=recvonly", True),
            (b"10.0.0.5", b"4000", b"a=inactive", True),
            (b"10.0.0.5", b"4000", b"a=sendonly", True),
            (b"0.0.0.0", b"4000", b"a=sendrecv", True),
            (b"nobody.INVALID", b"4000", b"a=sendrecv", True),
            (b"invalid.example", b"4000", b"a=sendrecv", False),
            (b"0.0.0.0", b"0", b"a=sendonly", False),
        ):
            body = one_medium(
                b"m=audio " + port + b" RTP/AVP 0", attribute, connection=b"c=IN IP4 " + connection
            )
            self.assertEqual(SessionDescription.parse(body).media[0].held, held, body)

    def test_awaiting_candidates(self) -> None:
        """
        A phone that will name its candidates later is not on hold (RFC 8840).
        """
        lines = (b"m=audio 9 RTP/AVP 0", b"a=ice-ufrag:abcd")
        for media, held in ((lines, False), (lines[:1], True), ((b"m=audio 10 RTP/AVP 0",), True)):
            body = one_medium(*media, connection=b"c=IN IP4 0.0.0.0")
            self.assertEqual(SessionDescription.parse(body).media[0].held, held, body)

    def test_ice(self) -> None:
        """
        Who gives an ICE user name, for one medium or for all, can speak ICE.
        """
        self.assertTrue(SessionDescription.parse(ICE).media[0].has_ice)
        self.assertFalse(SessionDescription.parse(PHONE).media[0].has_ice)
        body = one_medium(b"a=ice-ufrag:abcd", b"m=audio 4 RTP/AVP 0", b"m=video 6 RTP/AVP 9")
        self.assertTrue(all(one.has_ice for one in SessionDescription.parse(body).media))

    def test_spelled_otherwise(self) -> None:
        """
        What is spelled in an unusual way is read, and rewritten, like the usual.
        """
        usual = PHONE
        unusual = usual.replace(b"t=0 0", b"b=CT:64\r\nt=0 0")
        read, other = SessionDescription.parse(usual), SessionDescription.parse(unusual)
        self.assertEqual(read.media, other.media)
        self.assertEqual(read.origin_address, other.origin_address)
        ours = [(OURS, 7070, 7071)] * 3
        self.assertEqual(
            read.rewrite(ours, OURS), other.rewrite(ours, OURS).replace(b"b=CT:64\r\n", b"")
        )

    def test_usual_and_general(self) -> None:
        """
        The short way through a usual beginning reads what the long way reads.
        """
        chance = random.Random(4566)
        pieces = PHONE.splitlines(keepends=True)
        ours = [(OURS, 7070, 7071)] * (MAX_MEDIA + 1)
        outcomes = []
        bodies = [mutate(chance, PHONE, pieces) for _ in range(2000)]
        for head in (HEAD, re.compile("(?!)")):
            self.patch(description, "HEAD", head)
            told = []
            for body in bodies:
                try:
                    read = SessionDescription.parse(body)
                    told.append((read.media, read.rewrite(ours[: len(read.media)], OURS)))
                except MalformedSDP as error:
                    told.append(error.status)
            outcomes.append(told)
        self.assertEqual(*outcomes)
        short = [HEAD.match(body.decode("utf-8", "surrogateescape")) for body in bodies]
        self.assertGreater(len([one for one in short if one]), 500)

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
        self.assertEqual(SessionDescription.parse(body).media[0].formats, "")

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
