"""
Which bodies are text.
"""

from __future__ import annotations

from functools import lru_cache

from siptwist.sip.grammar import REMEMBERED
from siptwist.sip.message import Message
from siptwist.sip.sdp.multipart import leaves, media_type

# Text, though its name does not say so (RFC 8866, 3420, 3842, 2976, 6522).
_TEXTS = frozenset(
    (
        "application/sdp",
        "application/dtmf",
        "application/dtmf-relay",
        "application/json",
        "application/simple-message-summary",
        "application/xml",
        "message/sip",
        "message/sipfrag",
    )
)
_ENDINGS = ("+xml", "+json")


def is_text(kind: str) -> bool:
    """
    Whether a media type in lower case is one of text.
    """
    return kind.startswith("text/") or kind in _TEXTS or kind.endswith(_ENDINGS)


def find_texts(message: Message) -> list[tuple[int, int]]:
    """
    Where the texts are in the body of a message: all of it, or parts of a multipart;
    nowhere when it is compressed, in base64, or holds a NUL.
    """
    headers, body = message.headers, message.body
    content_type = headers.get("content-type") or ""
    kind = _kind(content_type) if len(content_type) <= REMEMBERED else media_type(content_type)
    if not (is_text(kind) or kind.startswith("multipart/")):
        return []
    if (headers.get("content-encoding") or "identity").strip().lower() != "identity":
        return []
    return [
        (start, end)
        for part, start, end in leaves(content_type, body)
        if is_text(part) and body.find(b"\0", start, end) < 0
    ]


_kind = lru_cache(maxsize=1024)(media_type)
