"""
Which bodies are text.
"""

from __future__ import annotations

from functools import lru_cache

from siptwist.sip.grammar import REMEMBERED
from siptwist.sip.message import Message
from siptwist.sip.sdp import is_whole
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
    if is_whole(headers):
        return [] if 0 in body else [(0, len(body))]
    content_type = headers.get("content-type") or ""
    kind = _kind(content_type) if len(content_type) <= REMEMBERED else _judge(content_type)
    if kind is None or not _is_plain(headers.get("content-encoding")):
        return []
    if kind == _WHOLE:
        return [] if 0 in body else [(0, len(body))]
    return [
        (start, end)
        for part, start, end in leaves(content_type, body)
        if is_text(part) and body.find(b"\0", start, end) < 0
    ]


def _is_plain(encoding: str | None) -> bool:
    return encoding is None or encoding.strip().lower() in ("", "identity")


def _judge(content_type: str) -> str | None:
    """
    Whether a body is text as a whole, or may hold some; ``None`` for neither.
    """
    kind = media_type(content_type)
    if is_text(kind):
        return _WHOLE
    return _PARTS if kind.startswith("multipart/") else None


_WHOLE, _PARTS = "whole", "parts"
_kind = lru_cache(maxsize=1024)(_judge)
