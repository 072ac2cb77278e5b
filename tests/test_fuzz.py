"""
Damaged messages, the same ones each time: the parser refuses or reads them, and
the proxy serves on.

``make fuzz`` tries 200,000 and watches the clock; ``make test`` a part of them.
"""

from __future__ import annotations

import contextlib
import os
import time
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import MalformedMessage
from siptwist.sip import fields, grammar, headers, uri
from siptwist.sip.fields import CSeq, NameAddr, Via
from siptwist.sip.hop import Side
from siptwist.sip.message import MAX_HEADERS, MAX_VIAS, Message, Response, parse
from siptwist.sip.uri import SIPURI
from tests.captures import ANSWERS, CAPTURES, VALUES, answer_to
from tests.services.walking import Proxy
from tests.sip.mutations import HUGE, Mutator
from tests.test_torture import EveryName
from tests.torture import messages

# How many mutations of each kind; "make fuzz" asks for more of them, and is patient.
PARSED = int(os.environ.get("SIPTWIST_MUTATIONS", "24000"))
WALKED = PARSED // 20
IS_TIMED = "SIPTWIST_MUTATIONS" in os.environ
LONGEST_PARSE = 0.020


def corpus() -> list[bytes]:
    return [*messages().values(), *CAPTURES]


class ParserTests(SynchronousTestCase):
    """
    Bytes in: a message or MalformedMessage out.
    """

    def check(self, message: Message) -> None:
        """
        What was read is within the limits, and writes what it was read from.
        """
        written = bytes(message)
        again = parse(written)
        self.assertEqual(again, message)
        self.assertLess(len(message.headers), MAX_HEADERS + 1)
        self.assertLess(len(message.headers.values("via")), MAX_VIAS + 1)
        for key, value, line in message.headers:
            self.assertTrue(grammar.is_token(key), key)
            self.assertNotIn("\n", value)
            self.assertIn(":", line)

    def test_mutations(self) -> None:
        """
        However a message is damaged, it is read or refused, never anything else.
        """
        mutator = Mutator(3261, corpus())
        read, longest = 0, (0.0, b"")
        for _ in range(PARSED):
            data = mutator.mutation()
            started = time.perf_counter()
            try:
                message = parse(data)
            except MalformedMessage as error:
                self.assertTrue(error.reason)
                continue
            finally:
                longest = max(longest, (time.perf_counter() - started, data[:200]))
            read += 1
            if read % 8 == 0:
                self.check(message)
        # Enough of them must get through to reach what lies behind the first checks.
        self.assertGreater(read, PARSED / 8)
        if IS_TIMED:
            self.assertLess(longest[0], LONGEST_PARSE, longest[1])

    def test_values(self) -> None:
        """
        URIs, addresses, Vias and CSeqs that are damaged are read or refused, and what was
        read survives being written.
        """
        parsers: tuple[Callable[[str], Any], ...] = (
            SIPURI.parse,
            NameAddr.parse,
            Via.parse,
            CSeq.parse,
        )
        mutator = Mutator(19, VALUES)
        read = 0
        for _ in range(PARSED // 8):
            text = mutator.mutation().decode("utf-8", "surrogateescape")
            for parser in parsers:
                try:
                    value = parser(text)
                except MalformedMessage:
                    continue
                read += 1
                self.assertEqual(parser(str(value)), value, text)
            grammar.split_commas(text)
            grammar.parse_parameters(text)
        self.assertGreater(read, PARSED / 100)


class GrowthTests(SynchronousTestCase):
    """
    What a stranger sends costs no more than its length explains.
    """

    def hostile(self, size: int) -> Iterator[tuple[str, bytes]]:
        """
        A message made long in one place by one filler, for many of both.
        """
        places = (
            b"OPTIONS sip:%s SIP/2.0\r\nv: SIP/2.0/UDP h;branch=z9hG4bKx\r\nf: <sip:a@b>;tag=c",
            b"OPTIONS sip:h SIP/2.0\r\nv: SIP/2.0/UDP h%s\r\nf: <sip:a@b>;tag=c",
            b"OPTIONS sip:h SIP/2.0\r\nv: SIP/2.0/UDP h;branch=x%s\r\nf: <sip:a@b>;tag=c",
            b"OPTIONS sip:h SIP/2.0\r\nv: SIP/2.0/UDP h\r\nf: %s<sip:a@b>;tag=c",
            b'OPTIONS sip:h SIP/2.0\r\nv: SIP/2.0/UDP h\r\nf: "%s" <sip:a@b>;tag=c',
            b"OPTIONS sip:h SIP/2.0\r\nv: SIP/2.0/UDP h\r\nf: <sip:a%s@b>;tag=c",
            b"OPTIONS sip:h SIP/2.0\r\nv: SIP/2.0/UDP h\r\nf: <sip:a@b>;tag=c%s",
            b"OPTIONS sip:h SIP/2.0\r\nv: SIP/2.0/UDP h\r\nf: <sip:a@b>\r\nX:%s\r\n y",
            b"OPTIONS sip:h SIP/2.0\r\nv: SIP/2.0/UDP h\r\nf: <sip:a@b>\r\nX%s",
        )
        rest = b"\r\nt: <sip:a@b>\r\ni: x\r\nCSeq: 1 OPTIONS\r\n\r\n"
        fillers = (
            *(b"a", b" ", b"\t", b";", b";a", b";a=b", b'"', b"\\", b"<", b"<>", b",", b"%"),
            *(b":", b"@", b"=", b"[", b"\r\n ", b'";"', b"a,", b'<">', b"a=", b'a="', b"%41"),
        )
        for place in places:
            for filler in fillers:
                run = filler * (size // len(filler))
                yield f"{filler!r} in {place!r}", place.replace(b"%s", run) + rest

    def cost(self, data: bytes) -> float:
        """
        Seconds to read a message, the best of three.
        """
        best = 1.0
        for _ in range(3):
            started = time.perf_counter()
            try:
                message = parse(data)
                message.headers.values("x")
            except MalformedMessage:
                pass
            best = min(best, time.perf_counter() - started)
        return best

    def test_linear(self) -> None:
        """
        64 KB cost at most twelve times what 8 KB cost, wherever they are in a message.
        """
        if not IS_TIMED:
            # Quadratic work would take minutes here; linear work takes none to speak of.
            for _, data in self.hostile(HUGE):
                try:
                    parse(data)
                except MalformedMessage:
                    continue
            return
        for (what, small), (_, large) in zip(
            self.hostile(HUGE // 8), self.hostile(HUGE), strict=True
        ):
            # What is over in a millisecond is quick enough for any ratio.
            allowed = max(self.cost(small) * 8 * 1.5, 0.001)
            self.assertLess(self.cost(large), allowed, what)

    def test_caches(self) -> None:
        """
        However a stranger fills what we remember of values, it stays under 24 MB.
        """
        caches = (grammar._parameters, uri._split_parameters, uri._parse)
        caches += (fields._name_addr,)
        for cache in caches:
            cache.cache_clear()
        letters = "abcdefghi"
        many = "".join(f";{one}{other}" for one in letters for other in letters)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for number in range(max(cache.cache_parameters()["maxsize"] or 0 for cache in caches)):
            # As many parameters as fit, and text of four bytes a character.
            for value in (f";{number}", f"sip:h;{number}", f"SIP/2.0/UDP h;{number}"):
                full = value + many[: (grammar.REMEMBERED - len(value)) // 3 * 3]
                for parser in (grammar.parse_parameters, SIPURI.parse, Via.parse):
                    with contextlib.suppress(MalformedMessage):
                        found = parser(full)
                        if isinstance(found, SIPURI):
                            found.parameter("x")
            name = chr(0x1F600) * (grammar.REMEMBERED - 20)
            NameAddr.parse(f"{name} <sip:{number}@h>")
        self.assertLess(tracemalloc.get_traced_memory()[0], 24_000_000)
        self.assertEqual(fields._name_addr.cache_info().currsize, 1024)

    def test_long_values_are_not_remembered(self) -> None:
        """
        A long value is read each time: nobody fills our memory with his inventions.
        """
        caches = (grammar._parameters, uri._split_parameters, uri._parse, fields._name_addr)
        before = [cache.cache_info().currsize for cache in caches]
        for number in range(50):
            text = f"sip:u{number}@h;{'a' * 500}={number};b"
            self.assertEqual(SIPURI.parse(text).parameter("b"), "")
            value = NameAddr.parse(f"<{text}>;{'c' * 500}={number};d")
            self.assertEqual((value.parameter("d"), value.uri.user), ("", f"u{number}"))
        self.assertEqual([cache.cache_info().currsize for cache in caches], before)

    def test_invented_names(self) -> None:
        """
        Header names that strangers invent are not remembered without bound.
        """
        for number in range(3000):
            headers.key_of(f"X-{number}")
        self.assertLessEqual(len(headers._KEYS), headers._KEYS_LIMIT)
        self.assertLessEqual(len(headers._LINES), headers._LINES_LIMIT)
        self.assertEqual(headers.key_of("V "), "via")


class ProxyTests(SynchronousTestCase):
    """
    Damaged messages from both sides at the whole proxy.
    """

    def setUp(self) -> None:
        self.failures: list[str] = []
        globalLogPublisher.addObserver(self.observe)
        self.addCleanup(globalLogPublisher.removeObserver, self.observe)

    def observe(self, event: dict[str, Any]) -> None:
        if event.get("log_failure") is not None:
            self.failures.append(event["log_failure"].getTraceback())

    def walk(self, seed: int, *ours: str) -> None:
        proxy = Proxy()
        self.addCleanup(proxy.stop)
        proxy.forwarding.resolver = EveryName(*ours)
        requests, answers = Mutator(seed, corpus()), Mutator(seed + 1, ANSWERS)
        inside, outside = proxy.socket(Side.INSIDE), proxy.socket(Side.OUTSIDE)
        for number in range(WALKED):
            if number % 3:
                inside.deliver(requests.mutation(), ("10.0.0.10", 5060))
            else:
                outside.deliver(requests.mutation(), ("203.0.113.20", 5060))
            for socket in (inside, outside):
                for data, address in socket.sent:
                    if not data.startswith(b"SIP/2.0"):
                        answer = answer_to(data, number)
                        socket.deliver(answers.damage(answer) if number % 5 else answer, address)
                socket.sent.clear()
            if self.failures:
                break
            if number % 40 == 0:
                proxy.wait(1, 0.5)
        self.assertEqual(self.failures, [])
        self.assert_forgets(proxy)

    def assert_forgets(self, proxy: Proxy) -> None:
        """
        When all timers have run, only calls that were answered are left.
        """
        proxy.wait(400, 1)
        self.assertEqual(self.failures, [])
        self.assertEqual(len(proxy.parts.transactions), 0)
        pending = [dialog for dialog in proxy.dialogs if not dialog.is_established]
        self.assertEqual(pending, [])

    def test_as_proxy(self) -> None:
        """
        Damaged requests and damaged answers cause no failure of ours, and leave nothing.
        """
        self.walk(16)

    def test_as_registrar(self) -> None:
        """
        The same where many of them are for us.
        """
        self.walk(10, "example.com", "example.net", "example.org")


class AnswerTests(SynchronousTestCase):
    """
    The captures themselves are sound.
    """

    def test_captures(self) -> None:
        """
        Every message and value that is written down is good before it is damaged.
        """
        for data in (*CAPTURES, *ANSWERS):
            self.assertEqual(bytes(parse(data)), data)
        for number in range(8):
            self.assertIsInstance(parse(answer_to(CAPTURES[0], number)), Response)
