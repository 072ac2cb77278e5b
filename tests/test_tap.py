"""
``twistd siproxy``: the command line, the checks, and a start as a whole.
"""

from __future__ import annotations

import io
import os
import pwd
import sys
from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any

from twisted.application.service import IService, IServiceMaker
from twisted.internet.error import CannotListenError
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase

from siptwist import composition, logs, tap
from siptwist.config import parse
from siptwist.net import addresses
from siptwist.net.addresses import Chosen, Interface
from siptwist.services.announcing import AnnouncingService
from siptwist.services.authentication import AuthenticationService
from siptwist.services.extending.extensions import ExtensionService
from siptwist.services.keepalive import KeepaliveService
from siptwist.services.listening import ListeningService
from siptwist.services.registrations import RegistrationService, StoreClosed
from siptwist.services.relaying import RelayingService
from siptwist.services.serving.refreshing import RefreshingService
from siptwist.services.serving.renewing import Renewing
from siptwist.services.serving.repeating import Repeating
from siptwist.services.signaling import SignalingService
from siptwist.services.transactions import TransactionService
from tests.net.fakes_udp import MemoryUDPReactor

LAN = Interface("eth1", IPv4Interface("192.168.1.5/24"))
WAN = Interface("ppp0", IPv4Interface("203.0.113.5/32"))
MACHINE = [LAN, WAN, Interface("lo", IPv4Interface("127.0.0.1/8"), is_loopback=True)]


class MemoryPort:
    """
    A TCP port that listens until it is told to stop.
    """

    listens = True

    def stopListening(self) -> None:
        self.listens = False


class MemoryReactor(MemoryUDPReactor):
    """
    UDP and TCP ports without sockets.
    """

    def __init__(self) -> None:
        super().__init__()
        self.advance(1_790_000_000)
        self.tcp: dict[tuple[str, int], MemoryPort] = {}

    def listenTCP(
        self, port: int, factory: object, backlog: int = 50, interface: str = ""
    ) -> MemoryPort:
        if (interface, port) in self.taken:
            raise CannotListenError(interface, port, OSError("in use"))
        return self.tcp.setdefault((interface, port), MemoryPort())


class TapCase(SynchronousTestCase):
    """
    A machine with one interface to the phones and one to the world.
    """

    def setUp(self) -> None:
        self.patch(addresses, "interfaces", lambda: MACHINE)
        self.patch(addresses, "default_interfaces", lambda found: ("ppp0",))
        self.patch(sys, "stdout", io.StringIO())
        self.patch(sys, "stderr", io.StringIO())
        self.addCleanup(logs.set_level, "info")
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.config = self.directory / "siproxd.conf"
        self.state = self.directory / "state" / "registrations"

    def write(self, text: str) -> None:
        self.config.write_text(f"registration_file = {self.state}\n{text}")

    def options(self, *words: str) -> tap.Options:
        options = tap.Options()
        options.parseOptions(["--config", str(self.config), *words])
        return options

    def check(self, text: str) -> tuple[int, str, str]:
        """
        The status, the output and the errors of ``--check``.
        """
        self.write(text)
        error = self.assertRaises(SystemExit, self.options, "--check")
        return error.code, sys.stdout.getvalue(), sys.stderr.getvalue()


class CheckTests(TapCase):
    def test_good(self) -> None:
        """
        A file that can be used is said to be, what it sets is explained, and the status
        is 0.
        """
        status, output, errors = self.check("sip_listen_port = 5061\n")
        self.assertEqual((status, errors), (0, ""))
        self.assertIn(f"{self.config}:2: sip_listen_port = 5061: port for SIP, on both", output)
        self.assertTrue(output.endswith("\nThe configuration can be used.\n"))

    def test_warnings(self) -> None:
        """
        What can be used and will be regretted is said, and the status is 0.
        """
        status, output, _ = self.check("rtp_timeout = 0\n")
        self.assertEqual(status, 0)
        self.assertIn(f"warning: {self.config}:2: rtp_timeout: 0 keeps the ports", output)

    def test_notes(self) -> None:
        """
        What has no effect yet is said, with its line.
        """
        status, output, _ = self.check("tcp_timeout = 5\nplugin_demo_string = x\n")
        self.assertEqual(status, 0)
        self.assertIn(f"{self.config}:2: not in effect yet: tcp_timeout\n", output)
        self.assertIn(f"{self.config}:3: plugin_demo_string: plugin demo is not loaded", output)

    def test_bad(self) -> None:
        """
        Every problem of a file is said at once, and the status is 1.
        """
        status, output, errors = self.check("rtp_port_lo = 7\nrtp_dscp = 64\nif_inbound\n")
        self.assertEqual((status, output), (1, ""))
        lines = errors.splitlines()
        self.assertEqual(
            [line.split(": ")[0] for line in lines], [f"{self.config}:{n}" for n in (2, 3, 4)]
        )
        self.assertIn("did you mean rtp_port_low?", lines[0])

    def test_beyond_the_file(self) -> None:
        """
        A password file and a key file that are not there are both said at once.
        """
        status, _, errors = self.check(
            "proxy_auth_realm = a\nproxy_auth_pwfile = /no/file\n"
            "manhole_port = 2222\nmanhole_authorized_keys = /no/keys\n"
        )
        self.assertEqual(status, 1)
        passwords, keys = errors.splitlines()
        self.assertIn("/no/file: proxy_auth_pwfile: cannot be read", passwords)
        self.assertIn("/no/keys: manhole_authorized_keys: cannot be read", keys)

    def test_no_interface(self) -> None:
        """
        An interface that is not there is warned of: it may come up later.
        """
        status, output, _ = self.check("if_inbound = eth7\n")
        self.assertEqual(status, 0)
        self.assertIn("warning: if_inbound = eth7: there is no such interface; there are", output)

    def test_one_password(self) -> None:
        """
        One password for all phones needs no file.
        """
        status, _, errors = self.check("proxy_auth_realm = a\nproxy_auth_passwd = b\n")
        self.assertEqual((status, errors), (0, ""))

    def test_somebody_else(self) -> None:
        """
        Whoever looks at a file that only root can start is warned, with the line.
        """
        self.patch(os, "geteuid", lambda: 4711)
        status, output, _ = self.check("user = nobody\n")
        self.assertEqual(status, 0)
        self.assertIn(f"warning: {self.config}:2: user: nobody: only root can become", output)

    def test_root(self) -> None:
        """
        Root is not.
        """
        self.patch(os, "geteuid", lambda: 0)
        self.assertNotIn("user: nobody", self.check("user = nobody\n")[1])

    def test_nothing_made(self) -> None:
        """
        A check leaves no file behind.
        """
        self.check("")
        self.assertEqual(os.listdir(self.directory), ["siproxd.conf"])


class QuestionTests(TapCase):
    """
    What is answered without a configuration, and starts nothing.
    """

    def ask(self, *words: str) -> tuple[int, str, str]:
        error = self.assertRaises(SystemExit, tap.Options().parseOptions, words)
        return error.code, sys.stdout.getvalue(), sys.stderr.getvalue()

    def test_migrate(self) -> None:
        """
        --migrate reports what there is of siproxd; its status says whether that can be used.
        """
        self.write("if_inbound = eth1\n")
        status, output, _ = self.ask("--migrate", str(self.directory))
        self.assertEqual(status, 0)
        self.assertIn(f"Configuration: {self.config}: 2 options read", output)
        self.write("no_such_option = 1\n")
        self.assertEqual(self.ask("--migrate", str(self.directory))[0], 1)

    def test_hash_password(self) -> None:
        """
        --hash-password asks for user and password, and for the realm of the configuration;
        the lines are all that goes to the output, and hold no password.
        """
        self.write("proxy_auth_realm = home\nproxy_auth_passwd = x\n")
        self.patch(sys, "stdin", io.StringIO("alice\n\n"))
        self.patch(tap.hash_password, "__defaults__", (None, lambda prompt: "a secret"))
        status, output, prompts = self.ask("--config", str(self.config), "--hash-password")
        self.assertEqual((status, prompts), (0, "User: Realm [home]: "))
        lines = output.splitlines()
        self.assertTrue(all(line.startswith("alice home ") for line in lines), lines)
        self.assertNotIn("secret", output)

    def test_hash_password_refused(self) -> None:
        """
        What the file could not hold ends with status 1 and a reason.
        """
        self.patch(sys, "stdin", io.StringIO("al ice\nhome\n"))
        self.patch(tap.hash_password, "__defaults__", (None, lambda prompt: "a secret"))
        status, output, errors = self.ask("--config", "/no/file", "--hash-password")
        self.assertEqual((status, output), (1, ""))
        self.assertIn("a user is one word", errors)


class OptionsTests(TapCase):
    def test_read(self) -> None:
        """
        A start reads the file and finds the interfaces.
        """
        self.write("sip_listen_port = 5061\n")
        options = self.options()
        self.assertEqual(options.settings.sip_listen_port, 5061)
        chosen = (options.chosen.inbound.name, options.chosen.outbound.name)
        self.assertEqual(chosen, ("eth1", "ppp0"))

    def test_bad(self) -> None:
        """
        A start with a bad file ends with status 1 and says why.
        """
        self.write("rtp_dscp = 64\nsip_listen_port = 0\n")
        self.assertEqual(self.assertRaises(SystemExit, self.options).code, 1)
        self.assertEqual(len(sys.stderr.getvalue().splitlines()), 2)

    def test_no_interface(self) -> None:
        """
        A start with an interface that is not there yet goes on without its address.
        """
        self.write("if_outbound = wlan0\n")
        chosen = self.options().chosen
        self.assertEqual((chosen.inbound.name, chosen.outbound.address), ("eth1", ""))
        self.assertIn("if_outbound = wlan0: there is no such interface", chosen.problems[0])

    def test_no_file(self) -> None:
        """
        A file that is not there ends the start with status 1.
        """
        self.assertEqual(self.assertRaises(SystemExit, self.options).code, 1)
        self.assertIn(f"{self.config}: cannot be read: No such file", sys.stderr.getvalue())

    def test_searched(self) -> None:
        """
        Without a file given, the first of siproxd's places is used; when all
        are empty the error names them.
        """
        self.write("sip_listen_port = 5061\n")
        self.patch(tap, "SEARCH_PATH", ("/no/file", str(self.config)))
        options = tap.Options()
        options.parseOptions([])
        self.assertEqual(options.settings.sip_listen_port, 5061)
        self.patch(tap, "SEARCH_PATH", ("/no/file",))
        error = self.assertRaises(SystemExit, tap.Options().parseOptions, [])
        self.assertEqual(error.code, 1)
        self.assertIn("/no/file", sys.stderr.getvalue())

    def test_plugin(self) -> None:
        """
        twistd uses these options and makes this service.
        """
        [maker] = [one for one in getPlugins(IServiceMaker) if one.tapname == "siproxy"]
        self.assertIs(maker.options, tap.Options)
        self.assertIs(maker.makeService, tap.makeService)


class UserTests(TapCase):
    """
    Who may start what the file says.
    """

    def start(self, uid: int, text: str) -> tap.Options:
        self.patch(os, "geteuid", lambda: uid)
        self.write(text)
        return self.options()

    def test_somebody_else(self) -> None:
        """
        Who is neither root nor the user is told the line, and the status is 1 (siproxd's
        fault S7: it ran as whoever it was).
        """
        error = self.assertRaises(SystemExit, self.start, 4711, "user = nobody\n")
        self.assertEqual(error.code, 1)
        text = sys.stderr.getvalue()
        self.assertTrue(text.startswith(f"{self.config}:2: user: nobody: only root can "), text)
        self.assertIn("start as root, or remove the line", text)
        self.assertFalse(self.state.parent.exists())

    def test_jail(self) -> None:
        """
        So it is with chrootjail, which only root can enter; and with an unknown user.
        """
        for uid, text, told in (
            (4711, "chrootjail = /jail", "chrootjail: /jail: only root can do that"),
            (0, "user = no-such-user", "user: no-such-user: there is no such user"),
        ):
            self.assertRaises(SystemExit, self.start, uid, text)
            self.assertIn(f"{self.config}:2: {told}\n", sys.stderr.getvalue())

    def test_may(self) -> None:
        """
        Root may start it, and the user, and without the line everybody.
        """
        for uid, text in (
            (0, "user = nobody\n"),
            (pwd.getpwnam("nobody").pw_uid, "user = nobody\n"),
            (4711, ""),
        ):
            self.assertEqual(self.start(uid, text).settings.user, text[7:].strip())

    def test_own_file(self) -> None:
        """
        The file that ``make run`` uses may be started by everybody.
        """
        settings = tap.read(str(Path(__file__).parent.parent / "etc" / "siproxd.conf"))
        self.assertEqual((settings.user, settings.chrootjail), ("", ""))


class RegistrationPathTests(SynchronousTestCase):
    def path(self, text: str = "", **environment: str) -> str:
        self.patch(os, "environ", {"HOME": "/home/me", **environment})
        return composition.registration_path(parse(text))

    def test_configured(self) -> None:
        """
        The configured file is used.
        """
        path = self.path("registration_file = /x/y\n", STATE_DIRECTORY="/var/lib/z")
        self.assertEqual(path, "/x/y")

    def test_systemd(self) -> None:
        """
        systemd's state directory is used, the first of several.
        """
        path = self.path(STATE_DIRECTORY="/var/lib/z:/var/lib/w")
        self.assertEqual(path, "/var/lib/z/registrations.sqlite")

    def test_user(self) -> None:
        """
        root has a place of the system, others one in their home.
        """
        self.patch(os, "geteuid", lambda: 0)
        self.assertEqual(self.path(), "/var/lib/siptwist/registrations.sqlite")
        self.patch(os, "geteuid", lambda: 1000)
        path = self.path(XDG_STATE_HOME="/home/me/state")
        self.assertEqual(path, "/home/me/state/siptwist/registrations.sqlite")
        self.assertEqual(self.path(), "/home/me/.local/state/siptwist/registrations.sqlite")


class StartTests(TapCase):
    KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea op\n"

    def setUp(self) -> None:
        super().setUp()
        self.reactor = MemoryReactor()

    def compose(self, text: str = "") -> tuple[Any, composition.Parts]:
        self.write(text)
        settings = tap.read(str(self.config))
        service, parts = composition.compose(settings, Chosen(LAN, WAN, ()), self.reactor)
        self.addCleanup(service.stopService)
        return service, parts

    def start(self, text: str = "") -> tuple[Any, composition.Parts]:
        service, parts = self.compose(text)
        service.privilegedStartService()
        service.startService()
        return service, parts

    def with_console(self) -> str:
        keys = self.directory / "keys"
        keys.write_text(self.KEY)
        keys.chmod(0o600)
        return f"manhole_port = 2222\nmanhole_authorized_keys = {keys}\n"

    def test_services(self) -> None:
        """
        A proxy is made of these services, and the announcement comes last.
        """
        service, _ = self.compose()
        self.assertTrue(IService.providedBy(service))
        self.assertEqual(
            [type(one) for one in service],
            [
                ExtensionService,
                RegistrationService,
                RelayingService,
                RefreshingService,
                Renewing,
                Repeating,
                TransactionService,
                SignalingService,
                ListeningService,
                KeepaliveService,
                AnnouncingService,
            ],
        )

    def test_options(self) -> None:
        """
        Passwords and the console bring their services.
        """
        text = "proxy_auth_realm = a\nproxy_auth_passwd = b\n" + self.with_console()
        service, _ = self.compose(text)
        names = {one.name for one in service}
        self.assertTrue({"manhole", "authentication"} < names)
        self.assertTrue(any(isinstance(one, AuthenticationService) for one in service))

    def test_off(self) -> None:
        """
        Nothing listens on TCP unless the console is asked for.
        """
        self.start()
        self.assertEqual(self.reactor.tcp, {})
        self.assertNotIn("manhole", {one.name for one in self.compose()[0]})

    def test_started(self) -> None:
        """
        A started proxy listens on both sides, and has its database; a stopped
        one gives all of it back.
        """
        service, parts = self.start(self.with_console())
        sip = {("192.168.1.5", 5060), ("203.0.113.5", 5060)}
        self.assertEqual(set(self.reactor.ports), sip)
        self.assertEqual(list(self.reactor.tcp), [("127.0.0.1", 2222)])
        self.assertEqual(parts.registrations.load(), [])
        self.successResultOf(service.stopService())
        self.assertEqual(self.reactor.ports, {})
        self.assertFalse(self.reactor.tcp["127.0.0.1", 2222].listens)
        calls = map(str, self.reactor.getDelayedCalls())
        # twisted.names looks at /etc/resolv.conf for as long as it lives.
        self.assertEqual([call for call in calls if "maybeParseConfig" not in call], [])

    def test_sip_port_taken(self) -> None:
        """
        When a SIP port is taken nothing is half started: no port, no database.
        """
        for address in ("192.168.1.5", "203.0.113.5"):
            self.reactor.taken = {(address, 5060)}
            service, _ = self.compose(self.with_console())
            error = self.assertRaises(SystemExit, service.privilegedStartService)
            self.assertEqual((error.code, self.reactor.ports, self.reactor.tcp), (1, {}, {}))
            self.assertIn(f"cannot bind {address}:5060 (UDP)", sys.stderr.getvalue())
            self.assertFalse(self.state.exists())

    def test_console_port_taken(self) -> None:
        """
        When the port of the console is taken the SIP ports are closed again.
        """
        self.reactor.taken = {("127.0.0.1", 2222)}
        service, _ = self.compose(self.with_console())
        error = self.assertRaises(SystemExit, service.privilegedStartService)
        self.assertEqual((error.code, self.reactor.ports), (1, {}))

    def test_registration_file_unusable(self) -> None:
        """
        When the registration file cannot be used all ports are closed again.
        """
        self.state.parent.mkdir()
        self.state.write_text("neither of ours nor of siproxd\n")
        service, _ = self.compose(self.with_console())
        service.privilegedStartService()
        error = self.assertRaises(SystemExit, service.startService)
        self.assertEqual((error.code, self.reactor.ports), (1, {}))
        self.assertFalse(self.reactor.tcp["127.0.0.1", 2222].listens)
        self.assertIn(f"registration_file {self.state}", sys.stderr.getvalue())

    def test_host_key_unwritable(self) -> None:
        """
        When a later part fails the database that was opened is closed again.
        """
        text = self.with_console() + "manhole_host_key = /proc/siptwist/key\n"
        service, parts = self.compose(text)
        service.privilegedStartService()
        self.assertRaises(SystemExit, service.startService)
        self.assertTrue(self.state.exists())
        self.assertRaises(StoreClosed, parts.registrations.load)
        self.assertEqual(self.reactor.ports, {})

    def test_public_name(self) -> None:
        """
        A public name that has no address yet does not keep the proxy from
        starting: the line may not be up.
        """
        _, parts = self.compose("host_outbound = no.such.name.invalid\n")
        self.assertEqual(parts.core.identity.outside.host, WAN.address)
        self.assertIn("no.such.name.invalid", parts.core.identity.names)
