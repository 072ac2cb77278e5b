"""
How fast this machine is at the moment: other figures can be compared by it.
"""

from __future__ import annotations

import time

_MESSAGE = (
    b"INVITE sip:bob@203.0.113.20:5060 SIP/2.0\r\n"
    b"Via: SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bK-1-1;rport\r\n"
    b"Max-Forwards: 70\r\n"
    b"Route: <sip:10.0.0.1:5060;lr>\r\n"
    b'From: "Alice" <sip:alice@example.net>;tag=a1\r\n'
    b"To: <sip:bob@203.0.113.20:5060>\r\n"
    b"Call-ID: 1-call@10.0.0.10\r\n"
    b"CSeq: 1 INVITE\r\n"
    b"Contact: <sip:alice@10.0.0.10:5060>\r\n"
    b"Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, REFER\r\n"
    b"Supported: replaces, timer\r\n"
    b"User-Agent: bench\r\n"
    b"Content-Type: application/sdp\r\n"
    b"Content-Length: 0\r\n\r\n"
)


def reference() -> float:
    """
    Microseconds that plain Python needs to split a typical INVITE.
    """
    best = float("inf")
    for _ in range(7):
        started = time.process_time()
        for _ in range(5000):
            lines = _MESSAGE.partition(b"\r\n\r\n")[0].decode().split("\r\n")
            [(name.lower(), value.strip()) for name, _, value in (x.partition(":") for x in lines)]
        best = min(best, (time.process_time() - started) / 5000)
    return round(best * 1e6, 2)
