"""
Log levels by namespace, and what never reaches the log.
"""

from __future__ import annotations

from ipaddress import IPv4Interface
from pathlib import Path
from typing import Any

from twisted.logger import LogLevel, eventAsText, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from siptwist import logs
from siptwist.composition import compose
from siptwist.config import parse
from siptwist.net.addresses import Chosen, Interface
from siptwist.sip.digest import Challenge, ha1, ha2, response
from tests.net.fakes_udp import MemoryUDPReactor

HOUSE = Path(__file__).parent.parent / "siptwist"
LAN = Interface("eth1", IPv4Interface("10.0.0.1/24"))
WAN = Interface("ppp0", IPv4Interface("203.0.113.5/24"))
PHONE, STRANGER = ("10.0.0.10", 5060), ("203.0.113.66", 5060)


class Speaker:
    """
    Somebody with a logger.
    """

    log = logs.logger()


class LogCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.events: list[Any] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)
        self.addCleanup(logs.set_level, "info")


class LevelTests(LogCase):
    def debugged(self, *namespaces: str) -> list[str]:
        return [name for name in namespaces if logs.is_debugged(f"siptwist.{name}")]

    def test_watched(self) -> None:
        """
        Who wants to know is told that levels were set, until he does not.
        """
        told: list[bool] = []

        def watcher() -> None:
            told.append(logs.is_debugged("siptwist.plugins"))

        logs.watch_levels(watcher)
        logs.watch_levels(watcher)
        logs.set_level("debug", "siptwist.plugins")
        logs.set_debug_level(0)
        logs.unwatch_levels(watcher)
        logs.unwatch_levels(watcher)
        logs.set_level("debug", "siptwist.plugins")
        self.assertEqual(told, [True, False])

    def test_default(self) -> None:
        """
        By default info is logged, and debug is not.
        """
        speaker = Speaker()
        speaker.log.debug("detail")
        speaker.log.info("routine")
        self.assertEqual([event["log_format"] for event in self.events], ["routine"])

    def test_owner(self) -> None:
        """
        An event says the class that it comes from.
        """
        Speaker().log.info("routine")
        self.assertEqual(self.events[0]["log_namespace"], f"{__name__}.Speaker")

    def test_debug(self) -> None:
        """
        One module can be asked for more, its classes with it, and no other.
        """
        logs.set_level("debug", "siptwist.services.relaying")
        names = ("services.relaying", "services.relaying.RelayingService", "services.signaling")
        self.assertEqual(self.debugged(*names), list(names[:2]))

    def test_similar_name(self) -> None:
        """
        A module whose name only begins alike is another.
        """
        logs.set_level("debug", "siptwist.services.relaying2")
        logs.set_level("info", "siptwist.services.relaying")
        names = ("services.relaying", "services.relaying2")
        self.assertEqual(self.debugged(*names), ["services.relaying2"])

    def test_beneath(self) -> None:
        """
        A level set above counts for what was set beneath it before.
        """
        logs.set_level("debug", "siptwist.services.relaying")
        logs.set_level("info")
        self.assertEqual(self.debugged("services.relaying", "services", "net"), [])

    def test_exception_beneath(self) -> None:
        """
        Everything but one module.
        """
        logs.set_level("debug")
        logs.set_level("warn", "siptwist.net")
        self.assertEqual(self.debugged("services", "net.udp", "net"), ["services"])

    def test_hostile(self) -> None:
        """
        Words of strangers are spelled out; the tables of others stay as they are.
        """
        words = ["a\nb"]
        Speaker().log.info("{text} {words}", text="a\r\n\x1b[2Jb\udcff", words=words)
        [event] = self.events
        self.assertEqual(event["text"], "a\\r\\n\\x1b[2Jb\\udcff")
        self.assertIs(event["words"], words)

    def test_unknown(self) -> None:
        """
        A level that is none, and namespaces of others, are refused with what there is.
        """
        for level in ("loud", "", "DEBUG", None):
            error = self.assertRaises(ValueError, logs.set_level, level)
            self.assertIn("debug, info, warn, error, critical", str(error))
        for namespace in ("twisted", "", "siptwisted", "siptwist2.x", None):
            self.assertRaises(ValueError, logs.set_level, "debug", namespace)

    def test_everything_uses_it(self) -> None:
        """
        No module has a logger that the levels do not reach.
        """
        loose = [
            path.name
            for path in HOUSE.rglob("*.py")
            if "= Logger()" in path.read_text() and path.name != "logs.py"
        ]
        self.assertEqual(loose, [])


class DebugLevelTests(LevelTests):
    NAMES = (
        "services.signaling",
        "services.registrations",
        "services.serving.forwarding",
        "net.resolver",
        "net.udp",
        "services.relaying",
        "services.authentication",
        "plugins.x",
    )

    def chosen(self, mask: int) -> list[str]:
        logs.set_debug_level(mask)
        return self.debugged(*self.NAMES)

    def test_bits(self) -> None:
        """
        siproxd's debug_level asks for the parts that its bits name.
        """
        for mask, names in (
            (0, []),
            (0x4, ["services.signaling"]),
            (0x8, ["services.registrations"]),
            (0x20, ["services.serving.forwarding"]),
            (0x40, ["net.resolver"]),
            (0x80, ["net.resolver", "net.udp"]),
            (0x200, ["services.relaying"]),
            (0x400, ["services.signaling"]),
            (0x800, ["services.authentication"]),
            (0x1000, ["plugins.x"]),
            (0x808, ["services.registrations", "services.authentication"]),
        ):
            self.assertEqual(self.chosen(mask), names, hex(mask))

    def test_all(self) -> None:
        """
        -1 asks for everything.
        """
        self.assertEqual(self.chosen(-1), list(self.NAMES))

    def test_none(self) -> None:
        """
        Bits that name nothing of ours change nothing.
        """
        self.assertEqual(self.chosen(0x40000000), [])


class ShownTests(SynchronousTestCase):
    def test_readable(self) -> None:
        """
        Text that can be printed is shown as it is, in any script.
        """
        for text in ("", "a84b4c76@10.0.0.5", "Jürgen \u4e2d"):
            self.assertEqual(logs.shown(text), text)

    def test_escapes(self) -> None:
        """
        Terminal sequences, line ends, and text that runs backwards are spelled out.
        """
        for text in (
            "\x1b[2J",
            "\x9b2J",
            "a\r\nb",
            "\x07",
            "\u202etxt",
            "\u2028",
            "\udcff",
            "\x00",
        ):
            self.assertTrue(logs.shown(text).isprintable(), ascii(text))

    def test_reversible(self) -> None:
        """
        What is shown can be typed between quotes, and is the same text again.
        """
        text = "\x1b\\x1b\udcff\u202e\\"
        self.assertEqual(eval(f'"{logs.shown(text)}"'), text)


REGISTER = """\
{method} {uri} SIP/2.0
Via: SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bK{branch};rport
Max-Forwards: 70
From: <sip:alice@10.0.0.1>;tag=1
To: <sip:alice@10.0.0.1>
Call-ID: {call_id}
CSeq: {cseq} {method}
Contact: <sip:alice@10.0.0.10>
{more}Content-Length: 0

"""


class SecretTests(LogCase):
    """
    A whole proxy that logs everything, and phones with passwords.
    """

    def setUp(self) -> None:
        super().setUp()
        self.reactor = MemoryUDPReactor()
        self.reactor.advance(1_790_000_000)
        settings = parse(
            f"registration_file = {self.mktemp()}\nproxy_auth_realm = here\n"
            "proxy_auth_passwd = hunter2\ndebug_level = -1\n"
        )
        service, _ = compose(settings, Chosen(LAN, WAN, ()), self.reactor)
        logs.set_debug_level(settings.debug_level)
        service.privilegedStartService()
        service.startService()
        self.addCleanup(service.stopService)
        self.inside = self.reactor.ports["10.0.0.1", 5060]
        self.count = 0

    def send(
        self,
        more: str = "",
        uri: str = "sip:10.0.0.1",
        method: str = "REGISTER",
        call_id: str = "r",
    ) -> str:
        """
        Send a request of the phone; returns the answer.
        """
        self.count += 1
        text = REGISTER.format(
            method=method, uri=uri, branch=self.count, call_id=call_id, cseq=self.count, more=more
        )
        self.inside.deliver(text.replace("\n", "\r\n").encode("utf-8", "surrogateescape"), PHONE)
        self.reactor.pump([0.01] * 5)
        return self.inside.sent[-1][0].decode("utf-8", "replace") if self.inside.sent else ""

    def credentials(self, challenged: str, password: str) -> tuple[str, str]:
        """
        The Authorization of a phone, and the proof in it.
        """
        line = next(x for x in challenged.split("\r\n") if x.startswith("WWW-Authenticate"))
        challenge = Challenge.parse(line.partition(": ")[2])
        proof = response(
            challenge.algorithm,
            ha1(challenge.algorithm, "alice", "here", password),
            challenge.nonce,
            ha2(challenge.algorithm, "REGISTER", "sip:10.0.0.1"),
        )
        return (
            f'Digest username="alice", realm="here", nonce="{challenge.nonce}", '
            f'uri="sip:10.0.0.1", response="{proof}", algorithm={challenge.algorithm}'
        ), proof

    def logged(self) -> str:
        """
        Every word of every event, shown or not.
        """
        lines = [eventAsText(event, includeTraceback=True) for event in self.events]
        lines += [
            f"{key}={value!r}"
            for event in self.events
            for key, value in event.items()
            if key not in ("log_source", "log_logger")
        ]
        return "\n".join(lines)

    def test_register(self) -> None:
        """
        A REGISTER with credentials, good or bad, leaves none of them in the log.
        """
        secrets = ["hunter2", "wrong-word", "Digest username"]
        for password in ("wrong-word", "hunter2"):
            line, proof = self.credentials(self.send(), password)
            answer = self.send(f"Authorization: {line}\n")
            secrets.append(proof)
        self.assertTrue(answer.startswith("SIP/2.0 200 "), answer)
        self.assertTrue(any(e["log_level"] is LogLevel.info for e in self.events))
        self.assertEqual([word for word in secrets if word in self.logged()], [])

    def test_malformed(self) -> None:
        """
        What cannot be read is complained about without the secrets in it.
        """
        for more in (
            'Authorization: Digest username="alice", response="hunter2\n',
            "Authorization: Basic hunter2\n",
            "Authorization hunter2\n",
            'Proxy-Authorization: Digest response="hunter2"\nVia: hunter2\n',
        ):
            self.send(more)
            self.reactor.advance(2)
        self.assertGreater(len(self.events), 3)
        self.assertNotIn("hunter2", self.logged())

    def test_passed_on(self) -> None:
        """
        Credentials for a provider pass through and leave nothing in the log.
        """
        line = 'Authorization: Digest username="alice", realm="p", response="hunter2"\n'
        self.send(line, "sip:203.0.113.99")
        outside = self.reactor.ports["203.0.113.5", 5060]
        self.assertIn(b"hunter2", outside.sent[-1][0])
        self.assertNotIn("hunter2", self.logged())

    def test_one_line(self) -> None:
        """
        Nothing that a stranger sends breaks a line of the log, or the terminal
        that shows it.
        """
        for call_id in ("a\x1b[2Jb", "a\x9b2J", "a\udcff", "a\u2028b", "a\x00b", "\u202eb"):
            self.send(call_id=call_id)
            self.send(uri=f"sip:{call_id}@10.0.0.1", call_id="b", method="OPTIONS")
            self.send(f"Subject: {call_id}\n", f"sip:x@[{call_id}", method="\x1bX")
            self.reactor.advance(2)
        self.assertGreater(len(self.events), 6)
        for event in self.events:
            text = eventAsText(event, includeTimestamp=False, includeSystem=False)
            self.assertTrue(text.isprintable(), ascii(text))
