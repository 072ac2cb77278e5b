"""
Tests of :mod:`siptwist.services.extending.chains`: who is asked, and who is not any more.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from siptwist.services.extending import chains
from siptwist.services.extending.chains import Chain, Failures, Hook
from siptwist.sip.message import Request, Response
from tests.proxy.asking import request, response


def hook(name: str, *methods: str) -> Hook:
    return Hook(name, "validate", lambda: None, frozenset(methods) if methods else None)


class ChainTests(SynchronousTestCase):
    def names(self, chain: Chain, method: str) -> list[str]:
        return [one.name for one in chain.of(method)]

    def test_methods(self) -> None:
        """
        A plugin sees messages of the methods it wants, in the order of loading.
        """
        chain = Chain([hook("a", "INVITE"), hook("b"), hook("c", "INVITE", "BYE")])
        self.assertEqual(self.names(chain, "INVITE"), ["a", "b", "c"])
        self.assertEqual(self.names(chain, "BYE"), ["b", "c"])
        self.assertEqual(self.names(chain, "WHATEVER"), ["b"])

    def test_choosy(self) -> None:
        """
        Only where somebody wants some methods alone has anybody to look at them.
        """
        self.assertTrue(Chain([hook("a", "INVITE"), hook("b")]).is_choosy)
        self.assertFalse(Chain([hook("a"), hook("b")]).is_choosy)
        self.assertFalse(Chain().is_choosy)

    def test_starts(self) -> None:
        """
        A plugin sees datagrams that begin as it said; one that said nothing sees
        keep-alives and empty ones, too.
        """
        stun, sip, every = (
            Hook(name, "raw", lambda: None, starts=starts)
            for name, starts in (("stun", b"\0\1"), ("sip", b"S"), ("every", None))
        )
        chain = Chain([stun, every, sip])
        for start, hooks in (
            (b"\0", (stun, every)),
            (b"\1", (stun, every)),
            (b"S", (every, sip)),
            (b"\r", (every,)),
            (b"", (every,)),
        ):
            self.assertEqual(chain.by_start[start], hooks)

    def test_kind(self) -> None:
        """
        A plugin that wants to see responses is not shown requests.
        """
        either, one = hook("a"), Hook("b", "post_proxy", lambda: None, kind=Response)
        chain = Chain([either, one])
        self.assertEqual(chain.of_kind(Request).hooks, (either,))
        self.assertEqual(chain.of_kind(Response).hooks, (either, one))

    def test_after(self) -> None:
        """
        What one plugin has changed is for those that were loaded later.
        """
        first, second, third = (hook(name) for name in "abc")
        chain = Chain([first, second, third])
        self.assertEqual(chain.after(first).hooks, (second, third))
        self.assertEqual(chain.after(third).hooks, ())


class FailuresTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.failures = Failures(self.clock.seconds)
        self.events: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def fail_once(self, name: str = "a", message: Any = None) -> None:
        try:
            raise ZeroDivisionError
        except ZeroDivisionError:
            self.failures.note(hook(name), message)

    def logged(self) -> list[tuple[str, int]]:
        self.flushLoggedErrors(ZeroDivisionError)
        return [(event["name"], event["count"]) for event in self.events]

    def test_once_a_minute(self) -> None:
        """
        A plugin that fails all the time is logged once a minute, with how often.
        """
        for _ in range(3):
            self.fail_once()
        self.clock.advance(60)
        self.fail_once()
        self.assertEqual(self.logged(), [("a", 0), ("a", 2)])

    def test_each(self) -> None:
        """
        Two plugins that fail are both logged.
        """
        self.fail_once("a")
        self.fail_once("b")
        self.assertEqual(self.logged(), [("a", 0), ("b", 0)])

    def test_not_asked_again(self) -> None:
        """
        A plugin is not asked again about a message that it failed, whatever has
        been changed in it; but about others, and its answers, it is.
        """
        both = (hook("a"), hook("b"))
        self.fail_once("a", request())
        self.flushLoggedErrors(ZeroDivisionError)
        masked = request("X-Masked: yes", uri="sip:bob@192.0.2.1")
        self.assertEqual(self.failures.without(both, masked), both[1:])
        for other in (request(call_id="other"), request(method="BYE"), response(200)):
            self.assertEqual(self.failures.without(both, other), both)

    def test_forgotten(self) -> None:
        """
        What failed is forgotten when the message must be through.
        """
        self.fail_once("a", request())
        self.flushLoggedErrors(ZeroDivisionError)
        self.assertTrue(self.failures.failed)
        self.clock.advance(chains.MESSAGE_SECONDS)
        self.assertEqual(len(self.failures.without((hook("a"),), request())), 1)
        self.assertFalse(self.failures.failed)

    def test_bounded(self) -> None:
        """
        Strangers who make a plugin fail do not fill the memory.
        """
        for number in range(chains.FAILED_LIMIT + 10):
            self.fail_once("a", request(call_id=str(number)))
        self.flushLoggedErrors(ZeroDivisionError)
        self.assertEqual(len(self.failures.failed), chains.FAILED_LIMIT)
