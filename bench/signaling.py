"""
CPU of one complete call through the whole of the signaling, in this process:
INVITE 180 200 ACK BYE 200 and our own 100, parsed, decided, rewritten, printed.

No SIP socket is open; the media ports are (with ``--media``).
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Callable
from ipaddress import IPv4Interface
from typing import Any

from twisted.internet.task import Clock

from siptwist import config
from siptwist.composition import Parts, compose
from siptwist.net.addresses import Chosen, Interface
from siptwist.sip.hop import Hop, Side
from siptwist.tap import calm_collector

PHONE, WORLD = Hop("10.0.0.10", 5060), Hop("203.0.113.20", 5060)

INVITE = """INVITE sip:bob@203.0.113.20:5060 SIP/2.0
Via: SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bK-{n}-1;rport
Max-Forwards: 70
Route: <sip:10.0.0.1:5060;lr>
From: "Alice" <sip:alice@example.net>;tag=a{n}
To: <sip:bob@203.0.113.20:5060>
Call-ID: {n}-call@10.0.0.10
CSeq: 1 INVITE
Contact: <sip:alice@10.0.0.10:5060>
Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, REFER
Supported: replaces, timer
User-Agent: bench
Content-Type: application/sdp
Content-Length: {length}

{sdp}"""

SDP = """v=0
o=- 53655765 2353687637 IN IP4 {host}
s=-
c=IN IP4 {host}
t=0 0
m=audio {port} RTP/AVP 8 0 101
a=rtpmap:8 PCMA/8000
a=rtpmap:0 PCMU/8000
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-15
a=ptime:20
a=sendrecv
"""

IN_DIALOG = """{method} sip:bob@203.0.113.20:5060 SIP/2.0
Via: SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bK-{n}-{branch};rport
Max-Forwards: 70
Route: <sip:10.0.0.1:5060;lr>
From: "Alice" <sip:alice@example.net>;tag=a{n}
To: <sip:bob@203.0.113.20:5060>;tag=b{n}
Call-ID: {n}-call@10.0.0.10
CSeq: {cseq} {method}
User-Agent: bench
Content-Length: 0

"""


def wire(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


def answer(request: bytes, status: str, tag: str, sdp: str = "") -> bytes:
    """
    What a user agent answers to a request as it received it.
    """
    kept = []
    for line in request.decode().split("\r\n\r\n")[0].split("\r\n")[1:]:
        name = line.partition(":")[0]
        if name in ("Via", "Record-Route", "From", "Call-ID", "CSeq"):
            kept.append(line)
        elif name == "To":
            kept.append(line if "tag=" in line else f"{line};tag={tag}")
    body = sdp.replace("\n", "\r\n")
    kept.append("Contact: <sip:bob@203.0.113.20:5060>")
    if body:
        kept.append("Content-Type: application/sdp")
    kept.append(f"Content-Length: {len(body)}")
    return (f"SIP/2.0 {status}\r\n" + "\r\n".join(kept) + "\r\n\r\n" + body).encode()


class Outbox:
    """
    Stands where the sockets are; keeps what was sent.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Hop, Side]] = []

    def send(self, data: bytes, hop: Hop, side: Side) -> None:
        self.sent.append((data, hop, side))

    def last(self, start: bytes) -> bytes:
        for data, _, _ in reversed(self.sent):
            if data.startswith(start):
                return data
        raise AssertionError(f"nothing sent that starts with {start!r}")


def make_proxy(reactor: Any, directory: str, has_media: bool) -> tuple[Parts, Outbox]:
    host = "127.0.0.1"
    settings = config.parse(
        f"registration_file = {directory}/registrations.sqlite\n"
        f"rtp_proxy_enable = {int(has_media)}\nrtp_port_low = 20000\nrtp_port_high = 39999\n"
    )
    inside = Interface("lan", IPv4Interface("10.0.0.1/24"))
    outside = Interface("wan", IPv4Interface("203.0.113.1/24"))
    service, parts = compose(settings, Chosen(inside, outside, ()), reactor)
    outbox = Outbox()
    for user in (parts.transactions, parts.signaling, parts.signaling.forwarding):
        user.sender = outbox
    parts.relaying._addresses = lambda side, wide: (host, host)
    parts.registrations.startService()
    del service
    return parts, outbox


class Stopwatch:
    """
    CPU seconds spent inside what it is put around.
    """

    def __init__(self) -> None:
        self.spent = 0.0

    def around(self, function: Callable[..., None]) -> Callable[..., None]:
        def timed(*arguments: Any) -> None:
            before = time.process_time()
            function(*arguments)
            self.spent += time.process_time() - before

        return timed


def call(parts: Parts, outbox: Outbox, number: int, stopwatch: Stopwatch) -> None:
    """
    One call, message by message.
    """
    receive = stopwatch.around(parts.signaling.message_received)
    sdp = SDP.format(host="10.0.0.10", port=4000).replace("\n", "\r\n")
    text = INVITE.format(n=number, length=len(sdp), sdp="")
    receive(wire(text) + sdp.encode(), PHONE, Side.INSIDE)
    invite = outbox.last(b"INVITE")
    receive(answer(invite, "180 Ringing", f"b{number}"), WORLD, Side.OUTSIDE)
    sdp = SDP.format(host="203.0.113.20", port=6000)
    receive(answer(invite, "200 OK", f"b{number}", sdp), WORLD, Side.OUTSIDE)
    ack = IN_DIALOG.format(method="ACK", n=number, branch=2, cseq=1)
    receive(wire(ack), PHONE, Side.INSIDE)
    bye = IN_DIALOG.format(method="BYE", n=number, branch=3, cseq=2)
    receive(wire(bye), PHONE, Side.INSIDE)
    receive(answer(outbox.last(b"BYE"), "200 OK", f"b{number}"), WORLD, Side.OUTSIDE)
    if not outbox.last(b"SIP/2.0 200 OK"):
        raise AssertionError("no answer to BYE")


class _Timed:
    """
    The reactor's sockets, and a clock of our own.
    """

    def __init__(self, clock: Clock) -> None:
        from twisted.internet import reactor

        self._reactor = reactor
        self.seconds, self.callLater = clock.seconds, clock.callLater

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)


def run(calls: int, has_media: bool) -> dict[str, float]:
    random.seed(1)
    clock = Clock()
    clock.advance(1_700_000_000)
    calm_collector()
    with tempfile.TemporaryDirectory() as directory:
        parts, outbox = make_proxy(_Timed(clock) if has_media else clock, directory, has_media)
        stopwatch = Stopwatch()
        for number in range(calls):
            call(parts, outbox, number, stopwatch)
            outbox.sent.clear()
            # Calls come at 300 a second; what is finished is forgotten in between.
            stopwatch.around(clock.advance)(1 / 300)
        parts.registrations.stopService()
    return {
        "calls": calls,
        "media": has_media,
        "cpu_ms_per_call": round(stopwatch.spent * 1000 / calls, 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("--media", action="store_true")
    options = parser.parse_args()
    print(json.dumps(run(options.calls, options.media)))


if __name__ == "__main__":
    main()
