"""
The names of codecs (RFC 8866 section 6.6, RFC 3551 section 6).
"""

from __future__ import annotations

import re

# Payload types that need no rtpmap (RFC 3551 section 6).
STATIC = {
    0: "PCMU/8000",
    3: "GSM/8000",
    4: "G723/8000",
    5: "DVI4/8000",
    6: "DVI4/16000",
    7: "LPC/8000",
    8: "PCMA/8000",
    9: "G722/8000",
    10: "L16/44100/2",
    11: "L16/44100",
    12: "QCELP/8000",
    13: "CN/8000",
    14: "MPA/90000",
    15: "G728/8000",
    16: "DVI4/11025",
    17: "DVI4/22050",
    18: "G729/8000",
    25: "CelB/90000",
    26: "JPEG/90000",
    28: "nv/90000",
    31: "H261/90000",
    32: "MPV/90000",
    33: "MP2T/90000",
    34: "H263/90000",
}
_FORMATS = re.compile(r"m=[!-~]+ +[0-9/]+ +[!-~]+ +([!-~]+)")
# a=rtpmap:<payload type> <encoding name>/<clock rate>[/<encoding parameters>]
_RTPMAP = r"\na=rtpmap:{}[ ]+([^\s/]{{1,40}})(?:/([0-9]{{1,6}}))?"


def codec_name(text: str, payload_type: int | None = None) -> str:
    """
    What a medium calls a payload type, ``"PCMA"`` or ``"opus/48000"``; empty when it
    does not name it.

    :param text: its lines, from the m= line on.
    :param payload_type: ``None`` is the first format of its m= line.
    """
    if payload_type is None:
        found = _FORMATS.match(text)
        if found is None:
            return ""
        if not re.fullmatch("[0-9]{1,3}", found[1]):
            return found[1]
        payload_type = int(found[1])
    found = re.search(_RTPMAP.format(payload_type), text)
    if found is None:
        return STATIC.get(payload_type, "").partition("/")[0]
    return found[1] if found[2] in (None, "8000") else f"{found[1]}/{found[2]}"
