"""
Where the session description of a message is.
"""

from __future__ import annotations

from siptwist.errors import EncodedSDP
from siptwist.sip.headers import Headers
from siptwist.sip.sdp.multipart import find_part, media_type

_SDP = "application/sdp"


def is_whole(headers: Headers) -> bool:
    """
    Whether a body is a session description and nothing else, as nearly all are.
    """
    field = headers.first.get("content-type")
    return (
        field is not None
        and field[1] == "application/sdp"
        and "content-encoding" not in headers.first
    )


def find_sdp(content_type: str, body: bytes, encoding: str = "") -> tuple[int, int] | None:
    """
    Where the session description lies in a body, multipart or not (RFC 5621).

    :param encoding: the value of the message's Content-Encoding.
    :returns: ``(start, end)``, or None when the body holds none.
    :raises EncodedSDP: when it is compressed, or in base64.
    """
    if encoding and encoding.strip().lower() != "identity":
        kind = media_type(content_type)
        if kind == _SDP or kind.startswith("multipart/"):
            raise EncodedSDP(f"{_SDP} is encoded")
        return None
    if content_type == _SDP:
        return 0, len(body)
    return find_part(content_type, body, _SDP)
