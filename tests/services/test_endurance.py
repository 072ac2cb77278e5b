"""
Thousands of calls, on real media sockets: nothing of them is left.

``make interop`` holds 1,000 calls at once, 20 times; by itself it is a small part of that.
"""

from __future__ import annotations

import gc
import os
import resource
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from siptwist.media.stream import CallKey, Endpoint, Party, StreamOffer
from siptwist.net.chance import Chance
from siptwist.net.rtp.relay import Watch
from siptwist.services import relaying
from siptwist.services.relaying import RelayingService
from siptwist.sip.hop import Side
from tests.net.fakes_udp import MemoryUDPReactor
from tests.services import walking
from tests.services.walking import Proxy

IS_LONG = os.environ.get("SIPTWIST_INTEROP") == "1"
CALLS, ROUNDS = (1000, 20) if IS_LONG else (60, 5)
#: Sockets of a call with two streams.
SOCKETS = 8

PHONE, WORLD = "127.0.0.10", "127.0.1.20"

REQUEST = """{method} sip:bob@127.0.1.20 SIP/2.0
Via: SIP/2.0/UDP 127.0.0.10;branch=z9hG4bK{branch}
Max-Forwards: 70
Route: <sip:127.0.0.1;lr>
From: <sip:alice@example.net>;tag=a
To: <sip:bob@127.0.1.20>{tag}
Call-ID: {call_id}
CSeq: {cseq} {kind}
Contact: <sip:alice@127.0.0.10>
Content-Type: application/sdp
Content-Length: {length}

{body}"""

SDP = """v=0
o=- 1 1 IN IP4 {host}
s=-
c=IN IP4 {host}
t=0 0
m=audio 4000 RTP/AVP 8
"""

_KEPT = ("via:", "record-route:", "from:", "to:", "call-id:", "cseq:")


class WatchingReactor(MemoryUDPReactor):
    """
    Time and SIP in memory; it knows who waits for packets of media.
    """

    def __init__(self) -> None:
        super().__init__()
        self.readers: list[Any] = []

    def addReader(self, reader: Any) -> None:
        self.readers.append(reader)

    def removeReader(self, reader: Any) -> None:
        if reader in self.readers:
            self.readers.remove(reader)


def descriptors() -> int:
    """
    How many files and sockets this process has open.
    """
    return len(os.listdir("/proc/self/fd"))


class EnduranceCase(SynchronousTestCase):
    """
    Time and SIP are in memory, the sockets of media are real.

    :ivar calls: as many at once as the system has descriptors for.
    """

    if not os.path.isdir("/proc/self/fd"):
        skip = "this system does not tell how many descriptors are open"

    def setUp(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = CALLS * SOCKETS + 200
        limit = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, limit), hard))
        self.addCleanup(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        gc.collect()  # Descriptors of tests before this one.
        self.patch(walking, "MemoryUDPReactor", WatchingReactor)
        self.patch(relaying, "binder", Watch)
        self.calls = min(CALLS, (max(soft, limit) - 200) // SOCKETS)


class RelayTests(EnduranceCase):
    """
    The media alone.
    """

    def test_nothing_is_left(self) -> None:
        """
        Sockets, timers and tables are as before the first call, and every port is free.
        """
        reactor = WatchingReactor()
        hosts = {Side.INSIDE: "127.0.0.1", Side.OUTSIDE: "127.0.1.1"}
        service = RelayingService(
            reactor, lambda side, wide, near: (hosts[side],) * 2, Chance().below, 20000, 39999
        )
        service.startService()
        self.addCleanup(service.stopService)
        self.hold(service, 1)
        base = descriptors(), len(reactor.getDelayedCalls()), len(reactor.readers)
        for _ in range(ROUNDS):
            self.assertEqual(self.hold(service, self.calls), 4 * self.calls)
            reactor.advance(10)
        now = descriptors(), len(reactor.getDelayedCalls()), len(reactor.readers)
        self.assertEqual(now, base)
        left = (len(service._table), len(service._table.ours), len(service._relays))
        self.assertEqual(left, (0, 0, 0))
        pools = service._pools.values()
        # Some ports may belong to other programs.
        free = [len(pool) + len(pool._taken) for pool in pools]
        self.assertEqual(free, [pool.size for pool in pools])

    def hold(self, service: RelayingService, calls: int) -> int:
        """
        Begin and end so many calls; how many sockets they had.
        """
        before = descriptors()
        keys = [CallKey(str(n), "t", Side.INSIDE, Side.OUTSIDE) for n in range(calls)]
        for key in keys:
            for party, host in ((Party.CALLER, PHONE), (Party.CALLEE, WORLD)):
                lines = (StreamOffer(0, "audio", Endpoint(host, 4000, 4001)),)
                service.describe(key, party, lines, host, party is Party.CALLER, "b")
            service.confirm(key, "b")
        most = descriptors() - before
        for key in keys:
            service.close(key, "BYE")
        return most


class ProxyTests(EnduranceCase):
    """
    Whole calls, which end in every way that there is.
    """

    def setUp(self) -> None:
        super().setUp()
        text = "rtp_port_low = 20000\nrtp_port_high = 39999\nrtp_timeout = 20\n"
        self.proxy = Proxy("127.0.0.1/24", "127.0.1.1/24", text)
        self.addCleanup(self.proxy.stop)
        self.inside, self.outside = (self.proxy.socket(side) for side in Side)
        self.number = 0

    def test_nothing_is_left(self) -> None:
        """
        Sockets, timers and tables are as before the first call.
        """
        self.hold(5)
        base = self.state()
        for _ in range(ROUNDS):
            self.hold(self.calls)
        self.assertEqual(self.state(), base)

    def state(self) -> dict[str, int]:
        """
        How much there is of everything that calls take.
        """
        gc.collect()
        parts, reactor = self.proxy.parts, self.proxy.reactor
        table = parts.relaying._table
        relays, dialogs = parts.relaying._relays, self.proxy.dialogs
        return {
            "descriptors": descriptors(),
            "delayed calls": len(reactor.getDelayedCalls()),
            "media": len(table) + len(table.ours) + len(relays),
            "calls": len(dialogs) + len(parts.transactions),
            "contexts": sum(type(one).__name__ == "Context" for one in gc.get_objects()),
        }

    def hold(self, calls: int) -> None:
        """
        Have so many calls at once, and all of them over.
        """
        before = descriptors()
        ends = (self.hang_up, self.give_up, self.refuse, self.renew, self.fall_silent)
        numbers = range(self.number, self.number + calls)
        self.number += calls
        invites = {n: self.invite(n) for n in numbers}
        self.assertEqual(descriptors() - before, 4 * calls)
        for n, invite in invites.items():
            ends[n % len(ends)](n, invite)
            self.inside.sent.clear()
            self.outside.sent.clear()
        for _ in range(160):
            self.proxy.reactor.advance(0.5)
            self.inside.sent.clear()
            self.outside.sent.clear()

    # What the phone and the world say

    def say(self, method: str, n: int, cseq: int, branch: str, more: str = "") -> None:
        body = (SDP.format(host=PHONE) + more) if method == "INVITE" else ""
        text = REQUEST.format(
            method=method,
            kind=method,
            branch=f"{n}{branch}",
            tag=";tag=b" if cseq > 1 else "",
            call_id=f"{n}@phone",
            cseq=cseq,
            length=len(body) + body.count("\n"),
            body=body,
        )
        self.inside.deliver(text.replace("\n", "\r\n").encode(), (PHONE, 5060))

    def heard(self) -> bytes:
        data: bytes = self.outside.sent[-1][0]
        return data

    def answer(self, request: bytes, status: int, more: str | None = None) -> None:
        """
        The world answers; with SDP, if there is ``more`` of it than none.
        """
        body = "" if more is None else (SDP.format(host=WORLD) + more).replace("\n", "\r\n")
        head = request.decode().partition("\r\n\r\n")[0].split("\r\n")[1:]
        kept = [line for line in head if line.lower().startswith(_KEPT)]
        lines = [
            line if ";tag=b" in line or line[:3] != "To:" else f"{line};tag=b" for line in kept
        ]
        lines += ["Contact: <sip:bob@127.0.1.20>", "Content-Type: application/sdp"]
        text = "\r\n".join((f"SIP/2.0 {status} Told", *lines, f"Content-Length: {len(body)}"))
        self.outside.deliver(f"{text}\r\n\r\n{body}".encode(), (WORLD, 5060))

    def invite(self, n: int) -> bytes:
        self.say("INVITE", n, 1, "i")
        invite = self.heard()
        self.answer(invite, 180)
        return invite

    def accept(self, n: int, invite: bytes) -> None:
        self.answer(invite, 200, "")
        self.say("ACK", n, 2, "k")

    # The ways in which it ends

    def hang_up(self, n: int, invite: bytes) -> None:
        self.accept(n, invite)
        self.say("BYE", n, 9, "b")
        self.answer(self.heard(), 200)

    def give_up(self, n: int, invite: bytes) -> None:
        self.say("CANCEL", n, 1, "i")
        self.answer(self.heard(), 200)
        self.answer(invite, 487)
        self.say("ACK", n, 1, "i")

    def refuse(self, n: int, invite: bytes) -> None:
        self.answer(invite, 486)
        self.say("ACK", n, 1, "i")

    def renew(self, n: int, invite: bytes) -> None:
        """
        One re-INVITE is refused, another one adds a stream.
        """
        self.accept(n, invite)
        video = "m=video 4002 RTP/AVP 99\n"
        for cseq, status in ((3, 488), (4, 200)):
            self.say("INVITE", n, cseq, f"r{cseq}", video)
            self.answer(self.heard(), status, video if status == 200 else None)
            self.say("ACK", n, cseq, f"r{cseq}" if status != 200 else "k4")
        self.say("BYE", n, 9, "b")
        self.answer(self.heard(), 200)

    def fall_silent(self, n: int, invite: bytes) -> None:
        """
        Both vanish.
        """
        self.accept(n, invite)
