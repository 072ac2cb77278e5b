"""
Descriptions that tests read and damage.
"""

from __future__ import annotations

import random

from siptwist.sip.sdp import SessionDescription

PHONE = b"\r\n".join(
    (
        b"v=0",
        b"o=alice 2890844526 2890844527 IN IP4 10.0.0.5",
        b"s=-",
        b"c=IN IP4 10.0.0.5",
        b"t=0 0",
        b"m=audio 49170 RTP/AVP 0 8 101",
        b"a=rtpmap:0 PCMU/8000",
        b"a=rtcp:49180",
        b"a=x-odd: \xff\xfe text ",
        b"m=video 51372 RTP/SAVPF 96",
        b"i=a camera",
        b"c=IN IP4 10.0.0.6",
        b"a=rtcp:53020 IN IP4 10.0.0.6",
        b"a=recvonly",
        b"m=image 0 udptl t38",
        b"",
    )
)
ICE = (
    b"v=0\no=- 1 1 IN IP4 192.168.1.2\ns=-\nt=0 0\na=ice-options:trickle\n"
    b"m=audio 9000 UDP/TLS/RTP/SAVPF 111\nc=IN IP4 192.168.1.2\na=ice-ufrag:8hhY\n"
    b"a=ice-pwd:asd88fgpdd777uzjYhagZg\na=candidate:1 1 UDP 1 192.168.1.2 9000 typ host\n"
    b"a=rtcp-mux\na=remote-candidates:1 192.168.1.2 9000\n"
    b"a=source-filter: incl IN IP4 * 192.168.1.9"
)
SIX = (
    b"v=0\r\no=- 1 1 IN IP6 2001:db8::5\r\ns=-\r\nc=IN IP6 2001:db8::5\r\nt=0 0\r\n"
    b"m=audio 6000/1 RTP/AVP 0\r\n"
)
OURS = "203.0.113.1"


def one_medium(*lines: bytes, connection: bytes = b"c=IN IP4 10.0.0.5") -> bytes:
    """
    An SDP whose only m= line, and what follows it, is ``lines``.
    """
    head = (b"v=0", b"o=- 1 1 IN IP4 10.0.0.5", b"s=-", connection, b"t=0 0")
    return b"\r\n".join((*(line for line in head if line), *lines, b""))


def rewrite(body: bytes, host: str = OURS, rtp: int = 7070, rtcp: int = 7071) -> bytes:
    """
    Rewrite every stream of ``body`` to the same endpoint.
    """
    description = SessionDescription.parse(body)
    return description.rewrite([(host, rtp, rtcp)] * len(description.media), host)


def mutate(chance: random.Random, body: bytes, pieces: list[bytes]) -> bytes:
    """
    One to four random edits: a byte, a piece of another description, a cut, a repeat.
    """
    data = bytearray(body)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(data) + 1)
        edit = chance.randrange(5)
        if edit == 0:
            data[at : at + 1] = bytes((chance.randrange(256),))
        elif edit == 1:
            data[at:at] = chance.choice(pieces)
        elif edit == 2:
            del data[at : at + chance.randint(1, 12)]
        elif edit == 3:
            data[at:at] = data[at : at + 9] * chance.randint(1, 9)
        else:
            data[at:at] = chance.choice((b"0", b"65536", b" ", b"\r\n", b"IN IP6 ::", b"%", b"/"))
    return bytes(data)
