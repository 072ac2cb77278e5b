"""
Session descriptions (RFC 8866): found in a body, read, and rewritten.
"""

from siptwist.sip.sdp.codecs import STATIC, codec_name
from siptwist.sip.sdp.description import MAX_MEDIA, MediaDescription, SessionDescription
from siptwist.sip.sdp.finding import find_sdp, is_whole
from siptwist.sip.sdp.grammar import NOWHERE, is_null
from siptwist.sip.sdp.grouping import surplus
from siptwist.sip.sdp.rewriting import Credentials

__all__ = [
    "MAX_MEDIA",
    "NOWHERE",
    "STATIC",
    "Credentials",
    "MediaDescription",
    "SessionDescription",
    "codec_name",
    "find_sdp",
    "is_null",
    "is_whole",
    "surplus",
]
