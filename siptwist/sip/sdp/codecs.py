"""
The names of codecs (RFC 8866 section 6.6, RFC 3551 section 6).
"""

from __future__ import annotations

import re

_STATIC = {
    0: "PCMU",
    3: "GSM",
    4: "G723",
    8: "PCMA",
    9: "G722",
    13: "CN",
    15: "G728",
    18: "G729",
    26: "JPEG",
    31: "H261",
    34: "H263",
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
        return _STATIC.get(payload_type, "")
    return found[1] if found[2] in (None, "8000") else f"{found[1]}/{found[2]}"
