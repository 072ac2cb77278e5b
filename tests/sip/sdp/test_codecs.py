"""
Codecs have names that people know.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.sip.sdp import codec_name

TEXT = (
    "m=audio 4000 RTP/AVP 8 0 96 101\r\na=rtpmap:96 opus/48000/2\r\n"
    "a=rtpmap:101 telephone-event/8000\r\na=rtpmap:8 PCMA/8000\r\n"
)


class CodecTests(SynchronousTestCase):
    def test_named(self) -> None:
        """
        A payload type is what its medium says, with the clock when it is not 8000 Hz.
        """
        self.assertEqual(codec_name(TEXT, 96), "opus/48000")
        self.assertEqual(codec_name(TEXT, 101), "telephone-event")

    def test_static(self) -> None:
        """
        The usual ones need not be named (RFC 3551).
        """
        self.assertEqual(codec_name(TEXT, 0), "PCMU")
        self.assertEqual(codec_name("m=audio 4 RTP/AVP 9\r\na=rtpmap:9 G722/8000", 9), "G722")

    def test_first(self) -> None:
        """
        Before anything came it is the first one of the m= line, whatever that is.
        """
        self.assertEqual(codec_name(TEXT), "PCMA")
        self.assertEqual(codec_name("m=image 5000 udptl t38\r\n"), "t38")

    def test_unknown(self) -> None:
        """
        What nobody named has no name, and neither has what cannot be read.
        """
        self.assertEqual(codec_name(TEXT, 99), "")
        for text in ("", "m=audio 0 RTP/AVP", "m=audio 4 RTP/AVP 99\r\na=rtpmap:99\r\n", "m=x"):
            self.assertEqual(codec_name(text), "")
