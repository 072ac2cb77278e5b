"""
Tests of :mod:`siptwist.plugins.repairs.payloads`.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.plugins.repairs.codecfilter import Blacklist
from siptwist.plugins.repairs.payloads import Filtered, filter_codecs
from tests.sip.mutations import Mutator

SEED, MUTATIONS = 7104, 5000
HEAD = "v=0\r\no=- 1 1 IN IP4 10.0.0.10\r\ns=-\r\nc=IN IP4 10.0.0.10\r\nt=0 0\r\n"
# As a Yealink T46 offers, with the video of a T58.
AUDIO = (
    "m=audio 11780 RTP/AVP 9 0 8 18 98 101\r\n"
    "a=rtpmap:9 G722/8000\r\n"
    "a=rtpmap:0 PCMU/8000\r\n"
    "a=rtpmap:8 PCMA/8000\r\n"
    "a=rtpmap:18 G729/8000\r\n"
    "a=fmtp:18 annexb=no\r\n"
    "a=rtpmap:98 iLBC/8000\r\n"
    "a=fmtp:98 mode=30\r\n"
    "a=rtpmap:101 telephone-event/8000\r\n"
    "a=fmtp:101 0-15\r\n"
    "a=ptime:20\r\n"
    "a=sendrecv\r\n"
)
VIDEO = (
    "m=video 11782 RTP/AVP 96 97 100 18\r\n"
    "a=rtpmap:96 VP8/90000\r\n"
    "a=rtcp-fb:96 nack pli\r\n"
    "a=rtcp-fb:* ccm fir\r\n"
    "a=rtpmap:97 rtx/90000\r\n"
    "a=fmtp:97 apt=96\r\n"
    "a=rtpmap:100 H264/90000\r\n"
    "a=fmtp:100 profile-level-id=42801F\r\n"
    "a=imageattr:100 send *\r\n"
    "a=rtpmap:18 H263-1998/90000\r\n"
)


def filtered(text: str, *entries: str) -> Filtered:
    return filter_codecs(HEAD + text, Blacklist(entries).is_unwanted)


class FilterTests(SynchronousTestCase):
    """
    What goes of a description, and what stays (F20 of siproxd).
    """

    def lines(self, text: str, *entries: str) -> list[str]:
        found = filtered(text, *entries).text
        self.assertTrue(found.startswith(HEAD))
        self.assertTrue(found.endswith("\r\n"))
        return found[len(HEAD) :].split("\r\n")[:-1]

    def test_payload_type(self) -> None:
        """
        A payload type goes out of the m= line together with its attributes, and
        nothing else changes (F20 of siproxd).
        """
        left = [line for line in AUDIO.split("\r\n")[:-1] if ":98 " not in line]
        left[0] = "m=audio 11780 RTP/AVP 9 0 8 18 101"
        self.assertEqual(self.lines(AUDIO, "ilbc"), left)

    def test_static(self) -> None:
        """
        A static payload type without rtpmap goes as well (F20 of siproxd).
        """
        text = "m=audio 4000 RTP/AVP 0 18 8 3\r\na=ptime:20\r\n"
        self.assertEqual(
            self.lines(text, "G729", "GSM"), ["m=audio 4000 RTP/AVP 0 8", "a=ptime:20"]
        )

    def test_redefined(self) -> None:
        """
        A number that an rtpmap gives another meaning has that one.
        """
        self.assertEqual(self.lines(VIDEO, "G729"), VIDEO.split("\r\n")[:-1])

    def test_each_stream(self) -> None:
        """
        A number means in each stream what its own rtpmap says.
        """
        found = self.lines(AUDIO + VIDEO, "G729")
        self.assertIn("m=audio 11780 RTP/AVP 9 0 8 98 101", found)
        self.assertIn("m=video 11782 RTP/AVP 96 97 100 18", found)
        self.assertNotIn("a=fmtp:18 annexb=no", found)
        self.assertIn("a=rtpmap:18 H263-1998/90000", found)

    def test_other_attributes(self) -> None:
        """
        An attribute that merely holds the name stays (F20 of siproxd).
        """
        text = "m=audio 4000 RTP/AVP 0 8\r\na=x-g729:yes\r\na=label:GSM\r\ni=G729\r\n"
        self.assertEqual(self.lines(text, "g729", "gsm"), text.split("\r\n")[:-1])

    def test_similar_numbers(self) -> None:
        """
        Payload type 8 is not 18, 80 or 98.
        """
        text = AUDIO.replace(" 101\r\n", " 101 80\r\n", 1) + "a=rtpmap:80 L16/8000\r\n"
        found = self.lines(text, "PCMA")
        self.assertEqual(found[0], "m=audio 11780 RTP/AVP 9 0 18 98 101 80")
        self.assertEqual(len(found), len(text.split("\r\n")) - 2)

    def test_attributes_of_a_type(self) -> None:
        """
        Feedback and image sizes of a payload type go with it; those of all stay, and
        so do repetitions of others.
        """
        found = self.lines(VIDEO, "H264")
        self.assertEqual(found[0], "m=video 11782 RTP/AVP 96 97 18")
        self.assertFalse([line for line in found if ":100" in line])
        found = self.lines(VIDEO, "VP8")
        self.assertIn("a=rtcp-fb:* ccm fir", found)
        self.assertNotIn("a=rtcp-fb:96 nack pli", found)

    def test_repetitions(self) -> None:
        """
        What repeats or packs a codec that is gone goes with it.
        """
        self.assertEqual(self.lines(VIDEO, "VP8")[0], "m=video 11782 RTP/AVP 100 18")
        red = "m=audio 4000 RTP/AVP 121 96 0\r\na=rtpmap:121 red/8000\r\na=fmtp:121 96/96\r\n"
        red += "a=rtpmap:96 speex/8000\r\n"
        self.assertEqual(self.lines(red, "speex"), ["m=audio 4000 RTP/AVP 0"])

    def test_by_number(self) -> None:
        """
        A number names a payload type, whatever it means.
        """
        self.assertEqual(self.lines(AUDIO, "98")[0], "m=audio 11780 RTP/AVP 9 0 8 18 101")

    def test_part_of_name(self) -> None:
        """
        Part of a name is enough, as for siproxd: with its clock rate, or with the number.
        """
        wide = "m=audio 4000 RTP/AVP 0 97 98\r\na=rtpmap:97 speex/16000\r\n"
        wide += "a=rtpmap:98 speex/8000\r\n"
        self.assertEqual(self.lines(wide, "SPEEX/16")[0], "m=audio 4000 RTP/AVP 0 98")
        self.assertEqual(self.lines(wide, "98 speex")[0], "m=audio 4000 RTP/AVP 0 97")
        self.assertEqual(self.lines(AUDIO, "G72")[0], "m=audio 11780 RTP/AVP 0 8 98 101")

    def test_nothing_left(self) -> None:
        """
        A stream without codec is refused by port 0 and keeps its formats, the others
        go on (F20 of siproxd; RFC 3264 section 6).
        """
        found = filtered(AUDIO + VIDEO, "VP8", "H26")
        self.assertEqual((found.refused, found.left), (1, 1))
        self.assertIn("m=video 0 RTP/AVP 96 97 100 18\r\n", found.text)
        self.assertIn(AUDIO, found.text)

    def test_only_companions_left(self) -> None:
        """
        Telephone events and comfort noise are no codec: a stream of nothing else is
        refused as well.
        """
        text = "m=audio 4000/1 RTP/SAVP 8 13 101\r\na=rtpmap:101 telephone-event/8000\r\n"
        found = filtered(text, "PCMA")
        self.assertEqual((found.refused, found.left), (1, 0))
        self.assertIn("m=audio 0/1 RTP/SAVP 8 13 101\r\n", found.text)

    def test_refused_before(self) -> None:
        """
        A stream that was refused already is not counted.
        """
        found = filtered("m=audio 0 RTP/AVP 18\r\nm=image 0 udptl t38\r\n", "G729")
        self.assertEqual((found.refused, found.left), (0, 0))

    def test_fax(self) -> None:
        """
        A fax has no payload types; it is a stream that is left.
        """
        text = "m=audio 4000 RTP/AVP 18\r\nm=image 4002 udptl t38\r\na=T38FaxVersion:0\r\n"
        found = filtered(text, "G729", "t38")
        self.assertEqual((found.refused, found.left), (1, 1))
        self.assertIn("m=image 4002 udptl t38\r\n", found.text)

    def test_line_ends(self) -> None:
        """
        Lines that end in LF alone stay so, and the last may lack its end.
        """
        text = (HEAD + AUDIO + "a=rtpmap:98 iLBC/8000").replace("\r\n", "\n")
        found = filter_codecs(text, Blacklist(["iLBC", "telephone"]).is_unwanted).text
        self.assertNotIn("\r", found)
        self.assertIn("m=audio 11780 RTP/AVP 9 0 8 18\n", found)
        self.assertTrue(found.endswith("a=sendrecv\n"))

    def test_malformed(self) -> None:
        """
        What is no m= line, or has no numbers, is left for others to refuse.
        """
        for line in (
            "m=audio RTP/AVP 18",
            "m=audio 4000 RTP/AVP",
            "m=audio x RTP/AVP 18",
            "m=",
            f"m=audio 4000 RTP/AVP {'9' * 5000}",
            "m=audio 4000 " + "RTP/" * 10000,
        ):
            self.assertEqual(filtered(f"{line}\r\n", "G729").text, f"{HEAD}{line}\r\n")
        self.assertEqual(filter_codecs("", Blacklist(["0"]).is_unwanted), Filtered("", 0, 0))

    def test_very_many(self) -> None:
        """
        More streams than anybody has are left alone: they are refused further on.
        """
        text = "m=audio 4000 RTP/AVP 18\r\n" * 65
        self.assertEqual(filtered(text, "G729").text, HEAD + text)


class MutationTests(SynchronousTestCase):
    def test_damaged(self) -> None:
        """
        Whatever is in a description, filtering ends, filtering again changes nothing
        more, and a glance has never missed what there is to filter.
        """
        blacklist = Blacklist(["G729", "VP8", "101", "speex/16"])
        mutator = Mutator(SEED, [(HEAD + AUDIO + VIDEO).encode()])
        for _ in range(MUTATIONS):
            data = mutator.mutation()
            text = data.decode("utf-8", "surrogateescape")
            once = filter_codecs(text, blacklist.is_unwanted)
            again = filter_codecs(once.text, blacklist.is_unwanted)
            self.assertEqual(again.text, once.text, text)
            self.assertTrue(once.text == text or blacklist.may_be_in(data), text)
