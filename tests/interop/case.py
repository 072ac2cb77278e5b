"""
What every test with real peers starts from.
"""

from __future__ import annotations

import atexit
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.interop.bed import FW, LAN_ROUTER, WAN_ROUTER, Bed
from tests.interop.capture import Capture
from tests.interop.load import start_sipp
from tests.interop.phone import Account, Phone
from tests.interop.program import Program
from tests.interop.provider import DOMAINS, Names, Provider
from tests.interop.proxy import Proxy
from tests.interop.readiness import reason_to_skip

ALICE, BOB, CAROL = "10.0.0.11", "203.0.113.13", "10.0.0.12"
STRANGER = "203.0.113.16"
TONES = {"alice": 440, "bob": 1000, "carol": 1700}
PROVIDER = DOMAINS["example.net"]


class World:
    """
    The bed with its name server and providers, made once for all tests.
    """

    def __init__(self) -> None:
        # trial runs in its own directory, so the logs of the last run end up there.
        self.bed = Bed(keep=Path("interop").resolve())
        atexit.register(self.bed.remove)
        self.names = Names(self.bed)
        self.providers = {domain: Provider(self.bed, domain) for domain in DOMAINS}


@functools.cache
def world() -> World:
    """
    The world that all tests of this process share.
    """
    return World()


class InteropCase(SynchronousTestCase):
    """
    One scenario between real programs.
    """

    def setUp(self) -> None:
        reason = reason_to_skip()
        if reason:
            raise SkipTest(reason)
        self.bed = world().bed
        self.provider = world().providers["example.net"]
        for provider in world().providers.values():
            provider.forget()
        self._logs: list[Program] = []
        name = self._testMethodName
        setattr(self, name, self._watch(getattr(self, name)))

    def _watch(self, method: Callable[[], None]) -> Callable[[], None]:
        """
        ``method``, which shows the end of the logs of what it started when it fails.
        """

        def watched() -> None:
            try:
                method()
            except AssertionError:
                for program in self._logs:
                    print(f"\n--- {program.name} ---\n{program.log()[-3000:]}")
                raise

        return watched

    def start_proxy(self, **options: Any) -> Proxy:
        """
        Start siptwist, on the router unless told otherwise (see :class:`Proxy`); it is
        stopped, and its log checked, after the test.
        """
        proxy = Proxy(self.bed, **options)
        self._logs.append(proxy.program)
        self.addCleanup(proxy.stop)
        return proxy

    def plug_in_phone(self, address: str, *accounts: Account) -> Phone:
        """
        Start a telephone; it may or may not come to be registered.
        """
        phone = Phone(self.bed, address, TONES[accounts[0].user], *accounts)
        self._logs.append(phone.program)
        self.addCleanup(phone.stop)
        return phone

    def start_phone(self, address: str, *accounts: Account) -> Phone:
        """
        Start a telephone and wait until it is registered.
        """
        phone = self.plug_in_phone(address, *accounts)
        phone.wait_registered()
        return phone

    def start_inside(self, user: str, address: str, answer: str = "auto") -> Phone:
        """
        A phone behind siptwist with an account at the provider.
        """
        return self.start_phone(address, Account(user, outbound=LAN_ROUTER, answer=answer))

    def start_outside(self, user: str = "bob", address: str = BOB, answer: str = "auto") -> Phone:
        """
        A phone at the provider.
        """
        return self.start_phone(address, Account(user, answer=answer))

    def start_capture(self, host: str = FW, interface: str = "ppp0") -> Capture:
        """
        Watch an interface until the end of the test.
        """
        capture = Capture(self.bed, host, interface)
        self.addCleanup(capture.stop)
        return capture

    def run_sipp(self, host: str, scenario: str, *words: str, **more: Any) -> Program:
        """
        Start a SIPp that is ended after the test.
        """
        program = start_sipp(self.bed, host, scenario, more.pop("remote", ""), *words, **more)
        self._logs.append(program)
        self.addCleanup(program.stop)
        return program

    def assert_talk(self, one: Phone, other: Phone) -> None:
        """
        Both are in a call with each other and hear each other's voice.
        """
        before = one.hears(other.tone), other.hears(one.tone)
        one.wait_hears(other, since=before[0])
        other.wait_hears(one, since=before[1])

    def connect(self, caller: Phone, callee: Phone, uri: str = "") -> None:
        """
        A calls B, who answers by itself; both hear each other.
        """
        caller_mark, callee_mark = caller.program.mark(), callee.program.mark()
        caller.dial(uri or f"sip:{callee.accounts[0].aor}")
        caller.wait_established(caller_mark)
        callee.wait_established(callee_mark)
        self.assert_talk(caller, callee)

    def assert_nothing_leaks(self, capture: Capture) -> None:
        """
        Nothing that we sent to the outside names a private address.
        """
        sent = capture.sip(WAN_ROUTER)
        self.assertTrue(sent, "nothing was captured")
        self.assertEqual(capture.leaks(), [])
