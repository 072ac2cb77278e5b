"""
Where the session description of a message is.
"""

from __future__ import annotations

from siptwist.sip.sdp.multipart import find_part


def find_sdp(content_type: str, body: bytes) -> tuple[int, int] | None:
    """
    Where the session description lies in a body, multipart or not (RFC 5621).

    :returns: ``(start, end)``, or None when the body holds none.
    """
    if content_type == "application/sdp":
        return 0, len(body)
    return find_part(content_type, body, "application/sdp")
