"""
Tests for siptwist.operation: what changes while the proxy runs, and how it ends.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from twisted.logger import formatEvent, globalLogPublisher

from siptwist import composition, logs, tap
from siptwist.net.addresses import Chosen
from siptwist.operation import Operation
from siptwist.proxy.decision import Reply
from siptwist.services.authentication import AuthenticationService
from siptwist.services.running.debugport import DebugPortService
from siptwist.services.running.notifying import NotifyingService
from siptwist.services.running.pidfile import PidFileService
from siptwist.services.running.privileges import PrivilegeService
from siptwist.services.running.signals import SignalService
from siptwist.services.storage.siproxd_copy import SiproxdCopyService
from tests.proxy.asking import ticket
from tests.test_tap import LAN, WAN, MemoryReactor, TapCase


class RunningReactor(MemoryReactor):
    """
    A reactor that runs and can be stopped.
    """

    stopped = 0

    def callWhenRunning(self, function: Any, *words: Any) -> None:
        function(*words)

    def callFromThread(self, function: Any, *words: Any) -> None:
        function(*words)

    def stop(self) -> None:
        self.stopped += 1


class OperationCase(TapCase):
    def setUp(self) -> None:
        super().setUp()
        self.reactor = RunningReactor()
        self.events: list[Any] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1):
            self.addCleanup(signal.signal, number, signal.getsignal(number))

    def make(self, text: str = "") -> Operation:
        self.write(text)
        settings = tap.read(str(self.config))
        self.service, self.parts = composition.compose(settings, Chosen(LAN, WAN, ()), self.reactor)
        return Operation(self.service, self.parts, self.reactor, lambda: tap.read(str(self.config)))

    def start(self, text: str = "") -> Operation:
        operation = self.make(text)
        operation.join(["a warning"])
        self.service.privilegedStartService()
        self.service.startService()
        self.addCleanup(self.service.stopService)
        return operation

    def reload(self, text: str) -> None:
        self.write(text)
        self.events.clear()
        signal.raise_signal(signal.SIGHUP)

    def said(self) -> str:
        return "\n".join(map(formatEvent, self.events))


class JoinTests(OperationCase):
    def types(self, text: str = "") -> list[type]:
        self.make(text).join()
        return [type(one) for one in self.service]

    def test_last(self) -> None:
        """
        Privileges go when all the others have opened their ports.
        """
        self.assertIs(self.types()[-1], PrivilegeService)

    def test_wanted(self) -> None:
        """
        What is not asked for is not there.
        """
        wanted = {DebugPortService, PidFileService, SiproxdCopyService}
        self.assertFalse(wanted & set(self.types()))
        text = "debug_port = 4000\npid_file = /x\nsiproxd_registration_file = /y\n"
        self.assertLess(wanted | {NotifyingService, SignalService}, set(self.types(text)))

    def test_warnings(self) -> None:
        """
        What the operator may want to change is said at the start.
        """
        self.start()
        self.assertIn("a warning", self.said())


class ReloadTests(OperationCase):
    def test_lists(self) -> None:
        """
        SIGHUP: other lists of who may, at once.
        """
        self.start("hosts_allow_sip = 10.0.0.0/8\n")
        self.reload("hosts_allow_sip = 192.0.2.0/24\nregister_from_outside = 1\n")
        access = self.parts.core.access
        self.assertEqual(
            [access.may_send(host) for host in ("10.0.0.1", "192.0.2.1")], [False, True]
        )
        self.assertTrue(access.register_outside)

    def test_everything_else(self) -> None:
        """
        SIGHUP: other lifetimes, limits, names, next hops, ports and grace, at once.
        """
        operation = self.start()
        self.reload(
            "default_expires = 600\nmin_expires = 30\nmax_expires = 120\n"
            "max_registrations = 7\nua_string = P\n"
            "outbound_proxy_host = proxy.example\ndrain_seconds = 5\nrtp_timeout = 60\n"
            "rtp_port_low = 8000\nrtp_port_high = 8019\nping_interval = 30\ndebug_level = -1\n"
        )
        parts = self.parts
        registrar = parts.core.registrar
        self.assertEqual((registrar.default_expires, registrar.min_expires), (600, 30))
        passages = parts.passages
        self.assertEqual((passages.default_expires, passages.max_expires), (600, 120))
        self.assertEqual(parts.registrations.locations.limit, 7)
        self.assertEqual(parts.masquerade.ua_string, "P")
        self.assertEqual(parts.core.proxies.default, "sip:proxy.example:5060")
        self.assertEqual(operation.draining.grace, 5)
        self.assertEqual(parts.settings.rtp_port_low, 8000)
        self.assertTrue(logs.is_debugged("siptwist.net"))
        self.assertNotIn("restart", self.said())

    def test_bad(self) -> None:
        """
        SIGHUP with a bad file: one error, and everything as it was.
        """
        self.start("ua_string = A\n")
        self.reload("ua_string = B\nhosts_allow_sip = 10.0.0.0/33\n")
        self.assertEqual(self.parts.masquerade.ua_string, "A")
        self.assertTrue(self.parts.core.access.is_open)
        self.assertIn("stays as it was", self.said())

    def test_file_is_gone(self) -> None:
        """
        SIGHUP without a file: the same.
        """
        self.start("ua_string = A\n")
        self.config.unlink()
        signal.raise_signal(signal.SIGHUP)
        self.assertIn("No such file", self.said())
        self.assertEqual(self.parts.masquerade.ua_string, "A")

    def test_restart(self) -> None:
        """
        SIGHUP: what needs a restart is named, and only that.
        """
        self.start()
        self.reload("sip_listen_port = 5070\nua_string = P\n")
        self.assertIn(
            "Needs a restart, and stays as it was until then: sip_listen_port", self.said()
        )
        self.assertEqual(self.parts.settings.sip_listen_port, 5060)

    def test_console(self) -> None:
        """
        The console shows what is in force now.
        """
        operation = self.make()
        self.parts.console = composition._console(self.parts, self.parts.keepalive, self.reactor)
        operation.join()
        self.write("ua_string = P\n")
        operation.reload()
        self.assertIn("P", {row.value for row in self.parts.console.config()})


class PluginTests(OperationCase):
    def plugins(self) -> list[str]:
        """
        The plugins that are loaded, and what demo says.
        """
        extensions: Any = self.parts.extensions
        return [one.maker.name for one, _ in extensions._plugins]

    def test_loaded(self) -> None:
        """
        SIGHUP: plugins come and go, and their options change, without a restart.
        """
        self.start("load_plugin = demo\nplugin_demo_string = A\n")
        self.assertEqual(self.plugins(), ["demo"])
        self.reload("load_plugin = demo\nload_plugin = logcall\nplugin_demo_string = B\n")
        self.assertEqual(self.plugins(), ["demo", "logcall"])
        self.assertIn("load_plugin, plugin_directives, plugins", self.said())
        self.assertNotIn("restart", self.said())
        self.assertEqual(self.parts.settings.plugin_directives[0].value, "B")
        self.reload("")
        self.assertEqual(self.plugins(), [])

    def test_bad(self) -> None:
        """
        SIGHUP: a plugin that is not there leaves those that are.
        """
        self.start("load_plugin = demo\n")
        self.reload("load_plugin = no_such_plugin\nua_string = P\n")
        self.assertEqual(self.plugins(), ["demo"])
        self.assertEqual(self.parts.masquerade.ua_string, "")


class PasswordTests(OperationCase):
    def setUp(self) -> None:
        super().setUp()
        self.passwords = Path(self.directory, "passwords")
        self.passwords.write_text("alice pw\n")
        self.text = f"proxy_auth_realm = home\nproxy_auth_pwfile = {self.passwords}\n"

    def users(self) -> list[str]:
        """
        Who is known, of alice and bob.
        """
        service: Any = self.parts.authentication
        find = service._authenticator._find_secret
        return [user for user in ("alice", "bob") if find(user)]

    def test_read_again(self) -> None:
        """
        SIGHUP: the file of passwords is read again, though the configuration is the same.
        """
        self.start(self.text)
        self.passwords.write_text("bob pw\n")
        self.assertEqual(self.users(), ["alice"])
        signal.raise_signal(signal.SIGHUP)
        self.assertEqual(self.users(), ["bob"])

    def test_unreadable(self) -> None:
        """
        SIGHUP: a file of passwords with a mistake leaves the users and all options as
        they were.
        """
        self.start(self.text)
        self.passwords.write_text("bob\n")
        self.reload(self.text + "ua_string = P\n")
        self.assertEqual(self.users(), ["alice"])
        self.assertEqual(self.parts.masquerade.ua_string, "")
        self.assertIn(f"{self.passwords}:1: expected", self.said())

    def test_on_and_off(self) -> None:
        """
        SIGHUP: passwords can be asked for from now on, in another realm, or not any more.
        """
        self.start()
        self.assertIsNone(self.parts.core.authenticate)
        self.reload(self.text)
        self.assertIsNotNone(self.parts.core.authenticate)
        self.reload(self.text.replace("home", "house"))
        found = [one for one in self.service if isinstance(one, AuthenticationService)]
        self.assertEqual(found, [self.parts.authentication])
        self.reload("")
        self.assertIsNone(self.parts.core.authenticate)
        self.assertIsNone(self.parts.authentication)

    def decide(self) -> Any:
        made = ticket(uri="sip:bob@192.168.1.5", from_="<sip:alice@192.168.1.5>;tag=a")
        return self.parts.core.decide(made)

    def test_calls(self) -> None:
        """
        proxy_auth_calls: a call of one of ours is asked for the password with 407, from
        the reload that says so to the one that takes it back.
        """
        self.start(self.text)
        self.assertEqual(self.decide().status, 404)
        self.reload(self.text + "proxy_auth_calls = 1\n")
        refusal = self.decide()
        assert isinstance(refusal, Reply)
        self.assertEqual(refusal.status, 407)
        self.assertEqual({name for name, _ in refusal.headers}, {"Proxy-Authenticate"})
        self.reload(self.text)
        self.assertEqual(self.decide().status, 404)


class SignalTests(OperationCase):
    def test_drain(self) -> None:
        """
        SIGTERM: without a call the process ends; new calls hear 503.
        """
        self.start()
        signal.raise_signal(signal.SIGTERM)
        self.assertEqual(self.reactor.stopped, 1)
        decision = self.parts.core.decide(ticket())
        assert isinstance(decision, Reply)
        self.assertEqual(decision.status, 503)

    def test_statistics(self) -> None:
        """
        SIGUSR1: the numbers go to the log.
        """
        self.start()
        self.events.clear()
        signal.raise_signal(signal.SIGUSR1)
        self.assertIn("Statistics: 0 registrations", self.said())

    def test_plugins(self) -> None:
        """
        SIGUSR1: plugins say what they have counted, also when others were loaded
        meanwhile.
        """
        self.start("load_plugin = stats\nplugin_stats_to_syslog = -1\n")
        signal.raise_signal(signal.SIGUSR1)
        self.assertIn("STATS: 0 active Streams, 0 active Calls", self.said())
        self.reload("load_plugin = stats\nplugin_stats_to_syslog = 0\n")
        self.events.clear()
        signal.raise_signal(signal.SIGUSR1)
        self.assertNotIn("STATS", self.said())
        self.assertIn("Statistics: up for", self.said())
