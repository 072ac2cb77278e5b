"""
CPU of one complete call through the whole of the signaling, in this process:
INVITE 180 200 ACK BYE 200 and our own 100, parsed, decided, rewritten, printed.

No SIP socket is open; the media ports are (with ``--media``).  ``--bindings`` and
``--transactions`` fill the tables first, which is not measured; ``--callers`` take
turns in calling.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from ipaddress import IPv4Interface
from typing import Any

from twisted.internet.task import Clock

from bench.plugins import PLUGINS
from bench.reference import reference
from siptwist import config
from siptwist.composition import Parts, compose
from siptwist.logs import set_level
from siptwist.net.addresses import Chosen, Interface
from siptwist.plugins.loading import configure
from siptwist.proxy.registration.location import Binding
from siptwist.proxy.registration.masks import new_mask
from siptwist.sip.hop import Hop, Side
from siptwist.tap import calm_collector

PHONE, WORLD = Hop("10.0.0.10", 5060), Hop("203.0.113.20", 5060)

INVITE = """INVITE sip:bob@203.0.113.20:5060 SIP/2.0
Via: SIP/2.0/UDP {host}:5060;branch=z9hG4bK-{n}-1;rport
Max-Forwards: 70
Route: <sip:10.0.0.1:5060;lr>
From: "Alice" <sip:{user}@example.net>;tag=a{n}
To: <sip:bob@203.0.113.20:5060>
Call-ID: {n}-call@{host}
CSeq: 1 INVITE
Contact: <sip:{user}@{host}:5060>
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
Via: SIP/2.0/UDP {host}:5060;branch=z9hG4bK-{n}-{branch};rport
Max-Forwards: 70
Route: <sip:10.0.0.1:5060;lr>
From: "Alice" <sip:{user}@example.net>;tag=a{n}
To: <sip:bob@203.0.113.20:5060>;tag=b{n}
Call-ID: {n}-call@{host}
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


def make_proxy(
    reactor: Any, directory: str, has_media: bool, has_plugins: bool = False
) -> tuple[Parts, Outbox]:
    host = "127.0.0.1"
    settings = config.parse(
        f"registration_file = {directory}/registrations.sqlite\n"
        f"rtp_proxy_enable = {int(has_media)}\nrtp_port_low = 20000\nrtp_port_high = 39999\n"
        + (PLUGINS.format(directory=directory) if has_plugins else ""),
        configure=configure,
    )
    inside = Interface("lan", IPv4Interface("10.0.0.1/24"))
    outside = Interface("wan", IPv4Interface("203.0.113.1/24"))
    service, parts = compose(settings, Chosen(inside, outside, ()), reactor)
    outbox = Outbox()
    for user in (parts.transactions, parts.signaling, parts.signaling.forwarding):
        user.sender = outbox
    parts.relaying._addresses = lambda side, *which: (host, host)
    parts.registrations.startService()
    if parts.extensions is not None:
        parts.extensions.startService()
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


def call(parts: Parts, outbox: Outbox, number: int, stopwatch: Stopwatch, caller: int = 0) -> None:
    """
    One call of a phone, message by message.
    """
    user, host = phone(caller)
    source = Hop(host, 5060)
    receive = stopwatch.around(parts.signaling.message_received)
    sdp = SDP.format(host=host, port=4000).replace("\n", "\r\n")
    text = INVITE.format(n=number, user=user, host=host, length=len(sdp), sdp="")
    receive(wire(text) + sdp.encode(), source, Side.INSIDE)
    invite = outbox.last(b"INVITE")
    receive(answer(invite, "180 Ringing", f"b{number}"), WORLD, Side.OUTSIDE)
    sdp = SDP.format(host="203.0.113.20", port=6000)
    receive(answer(invite, "200 OK", f"b{number}", sdp), WORLD, Side.OUTSIDE)
    ack = IN_DIALOG.format(method="ACK", n=number, user=user, host=host, branch=2, cseq=1)
    receive(wire(ack), source, Side.INSIDE)
    bye = IN_DIALOG.format(method="BYE", n=number, user=user, host=host, branch=3, cseq=2)
    receive(wire(bye), source, Side.INSIDE)
    receive(answer(outbox.last(b"BYE"), "200 OK", f"b{number}"), WORLD, Side.OUTSIDE)
    if not outbox.last(b"SIP/2.0 200 OK"):
        raise AssertionError("no answer to BYE")


def phone(number: int) -> tuple[str, str]:
    """
    User and address of a phone.
    """
    if not number:
        return "alice", PHONE.host
    return f"user{number}", f"10.{1 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


def bind(parts: Parts, count: int, now: float) -> None:
    """
    Registered phones of a provider, each at an address of its own.
    """
    for number in range(count):
        user, host = phone(number)
        contact, aor = f"sip:{user}@{host}:5060", f"sip:{user}@example.net"
        parts.registrations.locations.put(
            Binding(
                aor=aor,
                contact=contact,
                source=Hop(host, 5060),
                side=Side.INSIDE,
                mask=new_mask(b"bench", aor, contact),
                call_id=f"{number}-registration@{host}",
                cseq=2,
                created_at=now,
                updated_at=now,
                expires_at=now + 3600 + number % 600,
                registrar="example.net",
                parameters=f';+sip.instance="<urn:uuid:{number:032x}>"',
                user_agent="bench",
            )
        )


def begin(parts: Parts, outbox: Outbox, count: int) -> None:
    """
    Live transactions, two for each call: every other call rings, nobody answers
    the rest at all.
    """
    receive = parts.signaling.message_received
    for number in range(count // 2):
        text = INVITE.format(n=f"live{number}", user="alice", host=PHONE.host, length=0, sdp="")
        receive(wire(text), PHONE, Side.INSIDE)
        if number % 2:
            receive(answer(outbox.last(b"INVITE"), "180 Ringing", "b"), WORLD, Side.OUTSIDE)
        outbox.sent.clear()


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


def steps(
    calls: int,
    has_media: bool,
    bindings: int = 0,
    transactions: int = 0,
    callers: int = 1,
    has_plugins: bool = False,
) -> Iterator[float]:
    """
    CPU seconds of each hundred calls; first 0.0, when the tables are filled.
    """
    random.seed(1)
    clock = Clock()
    clock.advance(1_700_000_000)
    calm_collector()
    # The callers are spread over all who are registered.
    stride = max(1, bindings // callers)
    with tempfile.TemporaryDirectory() as directory:
        reactor = _Timed(clock) if has_media else clock
        parts, outbox = make_proxy(reactor, directory, has_media, has_plugins)
        bind(parts, bindings, clock.seconds())
        begin(parts, outbox, transactions)
        yield 0.0
        for start in range(0, calls, 100):
            stopwatch = Stopwatch()
            for number in range(start, min(start + 100, calls)):
                call(parts, outbox, number, stopwatch, number % callers * stride)
                outbox.sent.clear()
                # Calls come at 300 a second; what is finished is forgotten in between.
                stopwatch.around(clock.advance)(1 / 300)
            yield stopwatch.spent
        parts.registrations.stopService()
        if parts.extensions is not None:
            parts.extensions.stopService()


def quiet_tenth(spent: list[float]) -> float:
    """
    Milliseconds of a call in that tenth of the hundreds in which the machine had the
    least else to do.
    """
    quickest = sorted(spent)[: max(1, len(spent) // 10)]
    return round(sum(quickest) * 1000 / (100 * len(quickest)), 4)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=3000)
    parser.add_argument("--media", action="store_true")
    parser.add_argument("--bindings", type=int, default=0, help="phones registered before")
    parser.add_argument("--transactions", type=int, default=0, help="live ones, begun before")
    parser.add_argument("--callers", type=int, default=1, help="phones that call in turn")
    parser.add_argument("--plugins", action="store_true", help="with all of ours loaded")
    parser.add_argument("--lines", action="store_true", help="with what plugins log")
    parser.add_argument(
        "--paced", action="store_true", help="wait for a line of input before each hundred calls"
    )
    options = parser.parse_args()
    if not options.lines:
        set_level("warn", "siptwist.plugins")
    spent = []
    for seconds in steps(
        options.calls,
        options.media,
        options.bindings,
        options.transactions,
        options.callers,
        options.plugins,
    ):
        spent.append(seconds)
        if options.paced:
            print(seconds, flush=True)
            sys.stdin.readline()
    figures = {
        "calls": options.calls,
        "callers": options.callers,
        "media": options.media,
        "plugins": options.plugins,
        "bindings": options.bindings,
        "transactions": options.transactions,
        "cpu_ms_per_call": round(sum(spent) * 1000 / options.calls, 4),
        "cpu_ms_in_quiet_tenth": quiet_tenth(spent[1:]),
        "reference_us": reference(),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
