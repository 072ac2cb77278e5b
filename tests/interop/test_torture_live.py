"""
Torture messages and damaged messages through the sockets of a running proxy.
"""

from __future__ import annotations

import contextlib
import re
import socket
import time
from collections.abc import Iterator
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.captures import CAPTURES
from tests.interop.bed import FW, LAN_ROUTER, RESOLVER, WAN_ROUTER, Bed
from tests.interop.proxy import Proxy
from tests.interop.readiness import reason_to_skip
from tests.interop.waiting import wait_until
from tests.sip.mutations import Mutator
from tests.torture import AT_PROXY, DROP, FORWARD, Outcome, changes, messages, parts

PHONE, WORLD = "10.0.0.10", "203.0.113.20"
# The whole of a bar: 20,000 datagrams, twice the same.
DAMAGED = 20_000
_ANSWER = re.compile(rb"SIP/2\.0 (\d\d\d) ")


class Post:
    """
    A socket that remembers what came, repetitions once.
    """

    def __init__(self, opened: socket.socket) -> None:
        self.socket = opened
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        self.socket.setblocking(False)
        self.came: dict[bytes, None] = {}

    def drain(self) -> None:
        """
        Take everything that has come.
        """
        with contextlib.suppress(BlockingIOError):
            while True:
                self.came[self.socket.recv(65535)] = None

    def look(self, mark: bytes) -> list[bytes]:
        """
        What has come so far with this mark, in order.
        """
        self.drain()
        return [data for data in self.came if mark_of(data) == mark]

    def forget(self) -> None:
        self.drain()
        self.came.clear()


def mark_of(data: bytes) -> bytes:
    """
    What is in every answer to a message: its Call-ID, or its branch without one.
    """
    for name, line in parts(data)[1]:
        if name in ("call-id", "i"):
            return line.partition(b":")[2].strip()
    branch = re.search(rb"branch=([^;\s]+)", data)
    return branch[1] if branch else b"nothing to know it by"


def groups() -> Iterator[dict[str, bytes]]:
    """
    The messages in groups in which no two are the same transaction or call: the RFCs
    reuse branches and Call-IDs, and a proxy takes these for retransmissions.
    """
    left = messages()
    while left:
        group: dict[str, bytes] = {}
        seen: set[bytes] = set()
        for name, data in list(left.items()):
            via = next((line for key, line in parts(data)[1] if key == "via"), b"")
            marks = {mark_of(data), via.partition(b":")[2].strip()}
            if not marks & seen:
                seen |= marks
                group[name] = left.pop(name)
        yield group


class LiveCase(SynchronousTestCase):
    """
    A bed with one name server, which says that every name is 203.0.113.20.
    """

    def setUp(self) -> None:
        reason = reason_to_skip()
        if reason:
            raise SkipTest(reason)
        self.bed = Bed()
        self.addCleanup(self.bed.remove)
        words = (
            "dnsmasq --keep-in-foreground --user=root --log-facility=- --pid-file= "
            f"--conf-file=/dev/null --bind-interfaces --listen-address={RESOLVER} "
            f"--no-resolv --no-hosts --address=/#/{WORLD}"
        )
        self.bed.start(RESOLVER, "dnsmasq", *words.split()).wait_for("started")
        self.phone = Post(self.bed.open_socket(PHONE, 5060))
        self.worlds = [
            Post(self.bed.open_socket(WORLD, 5060)),
            # The Route of mpart01 names this one.
            Post(self.bed.open_socket(FW, 5080, "127.0.0.1")),
        ]
        for post in (self.phone, *self.worlds):
            self.addCleanup(post.socket.close)

    def start_proxy(self, **options: str | int) -> Proxy:
        """
        A proxy that sends what has no Route to one place, whatever it is for: most names
        of the messages are IPv6 addresses or do not exist.
        """
        proxy = Proxy(self.bed, outbound_proxy_host=WORLD, **options)
        self.addCleanup(proxy.stop)
        return proxy

    def send(self, data: bytes) -> None:
        self.phone.socket.sendto(data, (LAN_ROUTER, 5060))


class TortureTests(LiveCase):
    def test_torture(self) -> None:
        """
        B1: each of the 49 + 12 messages has its outcome, what is forwarded is unchanged
        outside of what a proxy owns, and OPTIONS is answered after each.
        """
        count = 0
        for group in groups():
            proxy = self.start_proxy(rtp_proxy_enable=0)
            for post in (self.phone, *self.worlds):
                post.forget()
            for name, data in group.items():
                self.check(proxy, name, data, AT_PROXY[name])
                count += 1
            proxy.stop()
        self.assertEqual(count, 62)

    def check(self, proxy: Proxy, name: str, given: bytes, outcome: Outcome) -> None:
        mark = mark_of(given)
        self.send(given)
        self.assertTrue(proxy.answers(2), f"no answer to OPTIONS after {name}")

        def statuses() -> list[int]:
            found = [_ANSWER.match(data) for data in self.phone.look(mark)]
            return [int(match[1]) for match in found if match and match[1] != b"100"]

        def forwarded() -> list[bytes]:
            return [data for post in self.worlds for data in post.look(mark)]

        if outcome == FORWARD:
            wait_until(forwarded, f"{name} to be forwarded", 5)
            more = ("request-uri",) if name == "mpart01" else ()
            self.assertEqual(changes(given, forwarded()[0], *more), [], name)
            self.assertEqual((len(forwarded()), statuses()), (1, []), name)
            return
        if outcome != DROP:
            wait_until(statuses, f"an answer to {name}", 5)
            self.assertIn(statuses()[0], outcome, name)
        self.assertEqual((len(statuses()), forwarded()), (int(outcome != DROP), []), name)


class DamageTests(LiveCase):
    def test_damaged_messages(self) -> None:
        """
        B3: 20,000 damaged datagrams, twice the same, leave no failure in the log and no
        memory behind, and a call's first message is still forwarded.
        """
        proxy = self.start_proxy()
        first = self.round(proxy)
        second = self.round(proxy)
        self.assertLess(second - first, 10 * 1024, "KiB")
        self.assertEqual(proxy.complaints(), [])
        self.send(CAPTURES[0].replace(b"0b1d6f6b4a9e5e1c", b"the-last-call"))
        wait_until(lambda: self.worlds[0].look(b"the-last-call"), "the call to be forwarded", 5)

    def round(self, proxy: Proxy) -> int:
        """
        The memory in KiB that the proxy holds after all of them, and its timers.
        """
        mutator = Mutator(4475, [*messages().values(), *CAPTURES])
        outside = self.worlds[0].socket
        for number in range(DAMAGED):
            data = mutator.mutation()[:65_000]
            if number % 4:
                self.send(data)
            else:
                outside.sendto(data, (WAN_ROUTER, 5060))
            if number % 40 == 0:
                # Not faster than it reads: what the kernel drops is not tested.
                wait_until(lambda: proxy.answers(2), "OPTIONS to be answered", 10, 0.01)
                for post in (self.phone, *self.worlds):
                    post.forget()
        # Timers B and J of the last of them.
        time.sleep(66)
        return proxy.rss_kib()
