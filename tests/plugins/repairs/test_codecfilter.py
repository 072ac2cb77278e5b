"""
Tests of :mod:`siptwist.plugins.repairs.codecfilter`.
"""

from __future__ import annotations

from time import perf_counter

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from siptwist.config import parse
from siptwist.errors import ConfigError
from siptwist.plugins.loading import configure
from siptwist.plugins.repairs.codecfilter import Blacklist, CodecFilter, CodecOptions
from siptwist.plugins.stages import IMedia, IPreProxy
from siptwist.sip.message import Message
from tests.plugins.loaded import PluginCase, make_house
from tests.services.walking import sdp

# As a Grandstream HT801 offers.
OFFER = """\
v=0
o=alice 8000 8000 IN IP4 10.0.0.10
s=SIP Call
c=IN IP4 10.0.0.10
t=0 0
m=audio 5004 RTP/AVP 18 8 97 101
a=sendrecv
a=rtpmap:18 G729/8000
a=fmtp:18 annexb=no
a=rtpmap:8 PCMA/8000
a=ptime:20
a=rtpmap:97 iLBC/8000
a=fmtp:97 mode=20
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
""".replace("\n", "\r\n")
G729_ONLY = OFFER.replace("18 8 97 101", "18 101")
FAX = "m=image 5008 udptl t38\r\na=T38FaxVersion:0\r\n"


def medium(message: Message, kind: bytes = b"audio") -> bytes:
    """
    The formats of a medium; its port left out.
    """
    [line] = [one for one in message.body.split(b"\r\n") if one.startswith(b"m=" + kind)]
    return line.partition(b" RTP/AVP ")[2]


class BlacklistTests(SynchronousTestCase):
    def refused(self, value: str) -> str:
        text = f"load_plugin = codecfilter\nplugin_codecfilter_blacklist = {value}\n"
        error = self.assertRaises(ConfigError, parse, text, configure=configure)
        return str(error.problems[0])

    def test_not_a_codec(self) -> None:
        """
        A number that is no payload type, and what is no name, are refused.
        """
        self.assertIn("not a payload type", self.refused("8000"))
        self.assertIn("not the name of a codec", self.refused("/"))
        self.assertIn("not the name of a codec", self.refused("Gé"))

    def test_glance(self) -> None:
        """
        A description is looked at closely when a name stands in it, or the number of a
        static type in an m= line.
        """
        blacklist = Blacklist(["g729", "101"])
        for text in (
            b"\na=rtpmap:99 G729/8000",
            b"\nm=audio 4 RTP/AVP 0 18\r\n",
            b"\nm=x 4 RTP/AVP 101",
        ):
            self.assertTrue(blacklist.may_be_in(text), text)
        for text in (b"\nm=audio 18 RTP/AVP 0 180 118", b"\na=fmtp:18 g72", b""):
            self.assertFalse(blacklist.may_be_in(text), text)

    def test_blanks(self) -> None:
        """
        However many blanks stand in an rtpmap.
        """
        blacklist = Blacklist(["98  ilbc"])
        self.assertTrue(blacklist.may_be_in(b"\na=rtpmap:98   iLBC/8000"))
        self.assertTrue(blacklist.is_unwanted(98, "iLBC/8000"))

    def test_nothing(self) -> None:
        """
        An empty list finds nothing.
        """
        self.assertFalse(Blacklist([]).may_be_in(OFFER.encode()))

    def test_long(self) -> None:
        """
        The largest description that a stranger can send takes no time worth speaking of.
        """
        plugin = CodecFilter(CodecOptions(("G729", "18")), make_house())
        for text in (
            "\r\nm=audio 4 " + "RTP/" * 16000,
            "\r\nm=audio 4 RTP/AVP" + " 0" * 30000,
            "\r\nm=audio 4 RTP/AVP " + "0" * 60000,
            "\r\na=rtpmap:18 G72" * 3500 + "\r\nm=audio 4 RTP/AVP 18",
            "\r\nm=audio 4 RTP/AVP 18" * 2500,
            "\r\nm=audio 4 RTP/AVP 18\r\na=fmtp:18 " + ";" * 60000,
        ):
            began = perf_counter()
            plugin._filter(text.encode())
            self.assertLess(perf_counter() - began, 0.5, text[:40])


class CodecFilterTests(PluginCase):
    """
    Offers and answers on their way (F20 of siproxd).
    """

    text = (
        "load_plugin = plugin_codecfilter.la\n"
        "plugin_codecfilter_blacklist = G729\n"
        "plugin_codecfilter_blacklist = ilbc\n"
    )

    def test_interface(self) -> None:
        """
        It keeps what it promises.
        """
        plugin = CodecFilter(CodecOptions(), make_house())
        verifyObject(IPreProxy, plugin)
        verifyObject(IMedia, plugin)

    def test_outgoing(self) -> None:
        """
        Of what a phone offers the provider sees what is left: neither in the m= line
        nor in attributes is a trace of the rest (F20 of siproxd).
        """
        self.phone.invite("sip:carol@provider.example", body=OFFER)
        came = self.provider.last("INVITE")
        self.assertEqual(medium(came), b"8 101")
        for trace in (b"G729", b"iLBC", b"fmtp:18", b"fmtp:97"):
            self.assertNotIn(trace, came.body)
        self.assertIn(b"a=fmtp:101 0-15\r\n", came.body)
        self.assertEqual(came.headers.get("content-length"), str(len(came.body)))
        self.assertIn(b"c=IN IP4 203.0.113.1\r\n", came.body)

    def test_incoming(self) -> None:
        """
        So does the phone of what the provider offers, and the answer is filtered, too.
        """
        uri = self.registered(self.phone)
        self.provider.invite(uri, to=f"<{self.phone.aor}>", body=OFFER)
        came = self.phone.last("INVITE")
        self.assertEqual(medium(came), b"8 101")
        self.phone.reply(came, 200, body=OFFER)
        self.assertEqual(medium(self.provider.answer("INVITE")), b"8 101")

    def test_type_in_other_letters(self) -> None:
        """
        The Content-Type may be written in any case, and have parameters.
        """
        self.phone.invite(
            "sip:carol@provider.example", body=OFFER, type="Application/SDP; charset=utf-8"
        )
        self.assertEqual(medium(self.provider.last("INVITE")), b"8 101")

    def test_multipart(self) -> None:
        """
        The description in a multipart body is filtered, what stands beside it is not.
        """
        parts = (
            "--b\r\nContent-Type: text/plain\r\n\r\na=rtpmap:18 G729/8000\r\n"
            f"--b\r\nContent-Type: application/sdp\r\n\r\n{OFFER}\r\n--b--\r\n"
        )
        self.phone.invite(
            "sip:carol@provider.example", body=parts, type="multipart/mixed;boundary=b"
        )
        body = self.provider.last("INVITE").body
        self.assertEqual(body.count(b"G729"), 1)
        self.assertIn(b"RTP/AVP 8 101\r\n", body)

    def test_nothing_left(self) -> None:
        """
        An offer of nothing else is refused with 488 and a reason, and goes nowhere
        (F20 of siproxd).
        """
        sent = self.phone.invite("sip:carol@provider.example", body=G729_ONLY)
        self.assertEqual(self.phone.statuses("INVITE"), [488])
        self.assertIn("305", self.phone.answer("INVITE").headers.get("warning") or "")
        self.assertEqual(self.provider.requests("INVITE"), [])
        self.phone.acknowledge(sent, self.phone.answer("INVITE"))
        self.assert_clean(self.phone.call_id)

    def test_nothing_left_in_call(self) -> None:
        """
        When it is refused in a call, the call goes on as it was (RFC 3261 section 14.1).
        """
        caller, _ = self.call_out(body=OFFER)
        ports = self.proxy.rtp_ports
        caller.send("INVITE", body=G729_ONLY)
        self.assertEqual(self.phone.statuses("INVITE")[-1], 488)
        self.assertEqual(len(self.provider.requests("INVITE")), 1)
        self.assertEqual(self.proxy.rtp_ports, ports)
        caller.send("BYE")
        self.provider.reply(self.provider.last("BYE"), 200)
        self.assertEqual(self.phone.statuses("BYE"), [200])
        self.assertEqual(self.failures(), [])

    def test_one_of_two_streams(self) -> None:
        """
        When another stream is left, the offer goes on, and the one without codec is
        refused in it (F20 of siproxd).
        """
        self.phone.invite("sip:carol@provider.example", body=G729_ONLY + FAX)
        body = self.provider.last("INVITE").body
        self.assertIn(b"m=audio 0 RTP/AVP 18 101\r\n", body)
        self.assertRegex(body, rb"m=image 70\d\d udptl t38\r\n")
        self.assertIn("No codec is left of 1 streams", "".join(self.said("codecfilter")))

    def test_answer_of_nothing_else(self) -> None:
        """
        An answer cannot be refused: its stream is.
        """
        self.phone.invite("sip:carol@provider.example", body=OFFER)
        answer = G729_ONLY.replace("10.0.0.10", "203.0.113.30")
        self.provider.reply(self.provider.last("INVITE"), 200, body=answer)
        self.assertIn(b"m=audio 0 RTP/AVP 18 101\r\n", self.phone.answer("INVITE").body)

    def test_untouched(self) -> None:
        """
        A call without such codecs is what it is without the plugin.
        """
        caller, callee = self.call_out()
        self.assertEqual(medium(self.provider.last("INVITE")), b"8 101")
        self.assertIn(b"a=x-unknown:kept", self.provider.last("INVITE").body)
        caller.send("BYE")
        self.provider.reply(self.provider.last("BYE"), 200)
        self.assert_clean(caller.call_id, callee.call_id)

    def test_malformed(self) -> None:
        """
        A description that cannot be read is refused as without the plugin.
        """
        broken = OFFER.replace("m=audio 5004", "m=audio 99999")
        self.phone.invite("sip:carol@provider.example", body=broken)
        self.assertEqual(self.phone.statuses("INVITE"), [400])
        zipped = (("Content-Encoding", "gzip"),)
        self.phone.invite(
            "sip:carol@provider.example", body=sdp("10.0.0.10"), headers=zipped, cseq=2
        )
        self.assertEqual(self.phone.statuses("INVITE"), [400, 415])
        self.assertEqual(self.failures(), [])
