"""
Session descriptions are edited without touching the rest.
"""

from __future__ import annotations

import contextlib
import random
import time

from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import MalformedSDP
from siptwist.sip.sdp import Credentials, SessionDescription, find_sdp
from tests.sip.sdp.samples import ICE, OURS, PHONE, SIX, mutate, one_medium, rewrite


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
        F10 of siproxd: an IPv4 description relayed over IPv6 says IP6, and the other
        way round.
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

    def test_every_connection(self) -> None:
        """
        F7 of siproxd: with a public address of our own, every c= line of every
        medium carries that one, not only the first.
        """
        own = b"c=IN IP4 10.0.0.5"
        body = one_medium(
            b"m=audio 4 RTP/AVP 0", own, b"m=video 6 RTP/AVP 9", own, b"m=image 8 udptl t38", own
        )
        out = rewrite(body)
        self.assertEqual(out.count(b"c=IN IP4 203.0.113.1\r\n"), 4)
        self.assertNotIn(b"10.0.0.5", out)

    def test_hold_by_name(self) -> None:
        """
        A stream held by a name that cannot exist (RFC 6157) is still held after us.
        """
        body = one_medium(b"m=audio 4000 RTP/AVP 0", connection=b"c=IN IP6 hold.invalid")
        self.assertIn(b"c=IN IP6 hold.invalid\r\n", rewrite(body))

    def test_awaiting_candidates(self) -> None:
        """
        A phone that will name its candidates later is told to the other at our address.
        """
        body = one_medium(
            b"m=audio 9 RTP/AVP 0", b"a=ice-ufrag:abcd", connection=b"c=IN IP4 0.0.0.0"
        )
        self.assertIn(b"c=IN IP4 203.0.113.1\r\nt=0 0\r\nm=audio 7070 ", rewrite(body))

    def test_other_ways_removed(self) -> None:
        """
        F10 of siproxd: no other address to send to is left, however it is written.
        """
        kept = (b"m=audio 4000 RTP/AVP 0", b"a=acap:1 crypto:1 x", b"a=group:LS 1 2", b"a=mid:1")
        private = (
            b"a=altc:1 IP4 10.0.0.5 4000",
            b"a=alt:1 2 : abc def 10.0.0.5 4000",
            b"a=acap:2 candidate:1 1 UDP 1 10.0.0.5 4000 typ host",
            b"a=acap:3 rtcp:4001 IN IP4 10.0.0.5",
            b"a=ccap:1 IN IP4 10.0.0.5 4000",
            b"a=bundle-only",
        )
        out = rewrite(one_medium(b"a=group:BUNDLE 1 2", b"a=group:ANAT 1 2", *kept, *private))
        left = out.replace(b"203.0.113.1", b"10.0.0.5").replace(b"7070", b"4000")
        self.assertEqual(left, one_medium(*kept))

    def test_similar_attributes_kept(self) -> None:
        """
        Attributes that only begin like those that are removed stay.
        """
        kept = (b"a=group:FID 1 2", b"a=altitude:3", b"a=candidates:x", b"a=ccaption:de", b"a=ice2")
        body = one_medium(b"m=audio 4000 RTP/AVP 0", *kept)
        self.assertTrue(rewrite(body).endswith(b"\r\n".join((*kept, b""))))

    def test_multiplexed_rtcp(self) -> None:
        """
        Who says that RTCP comes to the port of RTP is still said to (RFC 8035).
        """
        body = one_medium(b"m=audio 4000 RTP/AVP 0", b"a=rtcp:4000 IN IP4 10.0.0.5", b"a=rtcp-mux")
        self.assertIn(b"a=rtcp:7070 IN IP4 203.0.113.1\r\na=rtcp-mux\r\n", rewrite(body))

    def test_srtp_kept(self) -> None:
        """
        Keys and fingerprints of SRTP go through as they are: it is between the parties.
        """
        keys = (
            b"a=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj",
            b"a=fingerprint:sha-256 4A:AD:B9:B1:3F:82:18:3B",
            b"a=setup:actpass",
            b"a=zrtp-hash:1.10 fe30efd0",
        )
        out = rewrite(one_medium(b"m=audio 4000 RTP/SAVP 0", *keys))
        self.assertTrue(out.endswith(b"m=audio 7070 RTP/SAVP 0\r\n" + b"\r\n".join((*keys, b""))))

    def test_one_replacement_each(self) -> None:
        """
        A caller that lost count of the streams is told, not guessed at.
        """
        description = SessionDescription.parse(PHONE)
        self.assertRaises(ValueError, description.rewrite, [], OURS)


class ICETests(SynchronousTestCase):
    """
    We as an ICE-lite agent (RFC 8839 section 5.3).
    """

    OURS = (Credentials("ourfrag1", "ourpassword12345678901"), None)

    def rewrite(self, *media: bytes, connection: bytes = b"c=IN IP4 10.0.0.5") -> list[str]:
        description = SessionDescription.parse(one_medium(*media, connection=connection))
        count = len(description.media)
        ports = [(OURS, 7070, 7071), (OURS, 7080, 7081)][:count]
        return description.rewrite(ports, OURS, self.OURS[:count]).decode().splitlines()

    def test_told(self) -> None:
        """
        The session says that we are lite; the medium gives our address and credentials.
        """
        lines = self.rewrite(b"m=audio 4000 RTP/AVP 0", b"a=candidate:1 1 UDP 1 10.0.0.5 1", b"a=x")
        self.assertEqual(
            lines[4:],
            [
                "t=0 0",
                "a=ice-lite",
                "m=audio 7070 RTP/AVP 0",
                "a=x",
                "a=ice-ufrag:ourfrag1",
                "a=ice-pwd:ourpassword12345678901",
                "a=candidate:1 1 UDP 2130706431 203.0.113.1 7070 typ host",
                "a=candidate:1 2 UDP 2130706430 203.0.113.1 7071 typ host",
            ],
        )

    def test_one_medium_of_two(self) -> None:
        """
        A medium without credentials gets no lines of ICE.
        """
        lines = self.rewrite(b"m=audio 4000 RTP/AVP 0", b"m=video 5000 RTP/AVP 9")
        self.assertEqual(sum("candidate" in line for line in lines), 2)
        self.assertEqual(lines[-1], "m=video 7080 RTP/AVP 9")

    def test_held(self) -> None:
        """
        A stream on hold by address offers no candidate: it would not match its c= line.
        """
        lines = self.rewrite(b"m=audio 4000 RTP/AVP 0", connection=b"c=IN IP4 0.0.0.0")
        self.assertEqual(lines[-1], "m=audio 7070 RTP/AVP 0")

    def test_nobody_speaks_ice(self) -> None:
        """
        Without credentials nothing is said of ICE.
        """
        description = SessionDescription.parse(one_medium(b"m=audio 4000 RTP/AVP 0"))
        out = description.rewrite([(OURS, 7070, 7071)], OURS, (None,))
        self.assertNotIn(b"ice", out)


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
