"""
Tests for siptwist.services.announcing.
"""

from __future__ import annotations

import io
import sys
from ipaddress import IPv4Interface
from typing import Any

from twisted.application.service import Service
from twisted.logger import LogLevel, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from siptwist.config import parse
from siptwist.errors import SIPTwistError
from siptwist.net.addresses import Chosen, Interface
from siptwist.proxy.identity import Identity
from siptwist.proxy.registration.location import Locations
from siptwist.services.announcing import AnnouncingService, ProxyService
from siptwist.sip.hop import Hop, Side

LAN = Interface("eth1", IPv4Interface("192.168.1.5/24"))
WAN = Interface("ppp0", IPv4Interface("203.0.113.5/32"))
LO = Interface("lo", IPv4Interface("127.0.0.1/8"), is_loopback=True)


class AnnouncingTests(SynchronousTestCase):
    def start(
        self, text: str = "", inbound: Interface = LAN, outbound: Interface = WAN, world: str = ""
    ) -> list[str]:
        """
        What the start says with this configuration.
        """
        events: list[Any] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        reasons = (f"if_inbound = {inbound}: as configured", f"if_outbound = {outbound}: a reason")
        identity = Identity(
            Hop(inbound.address, 5060),
            Hop(world or outbound.address, 5060),
            {Side.INSIDE: inbound.address, Side.OUTSIDE: outbound.address},
        )
        service = AnnouncingService(
            parse(text, "f.conf"),
            Chosen(inbound, outbound, reasons),
            identity,
            "/var/lib/siptwist/registrations.sqlite",
            Locations(),
        )
        service.startService()
        service.stopService()
        self.warnings = [
            formatEvent(event) for event in events if event["log_level"] is LogLevel.warn
        ]
        return [formatEvent(event) for event in events]

    def line(self, start: str, lines: list[str]) -> str:
        [found] = [line for line in lines if line.startswith(start)]
        return found

    def test_interfaces(self) -> None:
        """
        The start says which interfaces were chosen, and why.
        """
        lines = self.start()
        self.assertIn("if_inbound = eth1 (192.168.1.5): as configured", lines)
        self.assertIn("if_outbound = ppp0 (203.0.113.5): a reason", lines)

    def test_phones(self) -> None:
        """
        The start says what to enter in a phone.
        """
        self.assertIn("Phones: set the outbound proxy to 192.168.1.5:5060", self.start())

    def test_public_name(self) -> None:
        """
        Behind another router the start says what the world sees, and from where
        it has that.
        """
        lines = self.start("host_outbound = sip.example.org", world="198.51.100.7")
        line = "The outside sees 198.51.100.7:5060 (host_outbound = sip.example.org)"
        self.assertIn(line, lines)

    def test_registrations(self) -> None:
        """
        The start says where registrations are, and that nobody chose the place.
        """
        line = self.line("Registrations:", self.start())
        self.assertIn("/var/lib/siptwist/registrations.sqlite", line)
        self.assertIn("registration_file is not set", line)
        self.assertIn("0 phones", line)
        line = self.line("Registrations:", self.start("registration_file = /x"))
        self.assertNotIn("not set", line)

    def test_media(self) -> None:
        """
        The start says how many calls fit; one address for both sides fits half.
        """
        two = self.line("Media:", self.start())
        one = self.line("Media:", self.start(inbound=LAN, outbound=LAN))
        self.assertIn("7070 to 7089, enough for 10 calls", two)
        self.assertIn("7070 to 7089, enough for 5 calls", one)

    def test_no_media(self) -> None:
        """
        Without relaying the start says so in place of ports.
        """
        lines = self.start("rtp_proxy_enable = 0")
        self.assertIn("rtp_proxy_enable = 0", self.line("Media:", lines))
        self.assertIn("relaying", self.line("Off:", lines))

    def test_off(self) -> None:
        """
        The start says what is off, and which option would change that.
        """
        line = self.line("Off:", self.start())
        for option in ("manhole_port", "proxy_auth_realm"):
            self.assertIn(option, line)
        on = "proxy_auth_realm = a\nproxy_auth_passwd = b\nmanhole_port = 22\n"
        lines = self.start(on + "manhole_authorized_keys = k\n")
        for option in ("manhole_port", "proxy_auth_realm"):
            self.assertNotIn(option, self.line("Off:", lines))
        self.assertIn("Console: ssh -p 22 127.0.0.1", lines)

    def test_notes(self) -> None:
        """
        What deserves a word in the configuration is said once, with its line.
        """
        lines = self.start("sip_listen_port = 5060\n\ntcp_timeout = 5\n")
        self.assertEqual(lines.count("f.conf:3: not in effect yet: tcp_timeout"), 1)
        self.assertEqual(len(set(lines)), len(lines))

    def test_passwords(self) -> None:
        """
        The start shows no password.
        """
        lines = self.start("proxy_auth_realm = here\nproxy_auth_passwd = hunter2\n")
        self.assertNotIn("hunter2", "\n".join(lines))

    def test_loopback(self) -> None:
        """
        A proxy that no phone can reach warns of it; others do not.
        """
        self.start()
        self.assertEqual(self.warnings, [])
        self.start(inbound=LO, outbound=LO)
        self.assertIn("127.0.0.1:5060", self.warnings[0])

    def test_one_line_each(self) -> None:
        """
        Nothing in a file name can break a line of the log.
        """
        for line in self.start("tcp_timeout = 1\nload_plugin = a\n"):
            self.assertTrue(line.isprintable(), line)


class Part(Service):
    """
    Notes what is done with it; ``fails`` names the method that does not work.
    """

    def __init__(self, done: list[str], fails: str = "") -> None:
        self._done = done
        self._fails = fails

    def _do(self, what: str) -> None:
        if what == self._fails:
            raise SIPTwistError("the port is taken")
        self._done.append(what)

    def privilegedStartService(self) -> None:
        self._do("bound")

    def startService(self) -> None:
        self._do("started")

    def stopService(self) -> None:
        self._do("stopped")


class ProxyServiceTests(SynchronousTestCase):
    def start(self, fails: str) -> tuple[list[str], Exception]:
        """
        What was done with a part when another, after it, failed.
        """
        done: list[str] = []
        self.patch(sys, "stderr", io.StringIO())
        service = ProxyService()
        Part(done).setServiceParent(service)
        Part([], fails).setServiceParent(service)

        def start() -> None:
            service.privilegedStartService()
            service.startService()

        return done, self.assertRaises(SystemExit, start)

    def test_not_bound(self) -> None:
        """
        When a port is taken, what was bound before is closed, and the process
        ends with status 1 and one line that says why.
        """
        done, error = self.start("bound")
        self.assertEqual(done, ["bound", "stopped"])
        self.assertEqual(error.code, 1)
        self.assertEqual(sys.stderr.getvalue(), "the port is taken\n")

    def test_not_started(self) -> None:
        """
        When a file cannot be used, what was started before is stopped.
        """
        done, error = self.start("started")
        self.assertEqual(done, ["bound", "started", "stopped"])
        self.assertEqual(error.code, 1)

    def test_told(self) -> None:
        """
        twistd hears of the failure, so that it removes its pid file and tells
        the shell that waits.
        """
        _, error = self.start("bound")
        self.assertIsInstance(error, Exception)
        self.assertEqual(str(error), "the port is taken")
