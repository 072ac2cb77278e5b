"""
Packets of RTP and what shares its ports.
"""

from __future__ import annotations

import struct

#: Seen on RTP ports beside RTP (RFC 7983).
STUN = bytes.fromhex("000100002112a442") + bytes(12)
DTLS = bytes.fromhex("16fefd0000000000000000001c") + bytes(20)


def rtp(number: int, ssrc: int = 0x5EED, payload: bytes = bytes(160)) -> bytes:
    """
    One packet of G.711 (RFC 3550 section 5.1).
    """
    return (
        struct.pack("!BBHII", 0x80, 0, number & 0xFFFF, number * 160 & 0xFFFFFFFF, ssrc) + payload
    )


def rtcp(ssrc: int = 0x5EED) -> bytes:
    """
    An empty receiver report (RFC 3550 section 6.4.2).
    """
    return struct.pack("!BBHI", 0x80, 201, 1, ssrc)
