"""
Tests for siptwist.services.console.console.
"""

from __future__ import annotations

import random
import sys
from dataclasses import replace
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from siptwist import logs
from siptwist.config import parse
from siptwist.errors import ConfigError
from siptwist.interfaces import IConsole
from siptwist.media.stream import CallKey, Endpoint, Party, StreamOffer
from siptwist.proxy.registration.location import Binding, Locations
from siptwist.proxy.session.dialogs import Dialogs
from siptwist.services.console.console import Console, make_manhole
from siptwist.services.relaying import RelayingService
from siptwist.sip.hop import Hop, Side
from tests.media.packets import rtp
from tests.net.fakes_udp import MemoryUDPReactor

INSIDE, OUTSIDE = "10.0.0.1", "192.0.2.1"
PHONE, FRIEND = ("10.0.0.10", 4000), ("203.0.113.10", 5000)
KEY = CallKey("call-1", "tag", Side.INSIDE, Side.OUTSIDE)
NOW = 1_790_000_000.0

BINDING = Binding(
    aor="sip:alice@example.net",
    contact="sip:alice@10.0.0.10:5060",
    source=Hop("10.0.0.10", 5060),
    side=Side.INSIDE,
    mask="f00d",
    call_id="r1",
    cseq=1,
    created_at=NOW,
    updated_at=NOW,
    expires_at=NOW + 60,
    registrar="example.net",
    user_agent="Softphone 1.0",
)


def audio(at: tuple[str, int], held: bool = False) -> tuple[StreamOffer, ...]:
    text = f"m=audio {at[1]} RTP/AVP 0 8\r\n"
    return (StreamOffer(0, "audio", Endpoint(at[0], at[1], at[1] + 1), held, text=text),)


class ConsoleCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.reactor = MemoryUDPReactor()
        self.reactor.advance(NOW)
        addresses = {Side.INSIDE: (INSIDE, INSIDE), Side.OUTSIDE: (OUTSIDE, OUTSIDE)}
        self.media = RelayingService(
            self.reactor,
            lambda side, wide, near: addresses[side],
            random.Random(1).randrange,
            7000,
            7099,
        )
        self.addCleanup(self.media.stopService)
        self.dialogs = Dialogs()
        self.locations = Locations()
        self.settings = parse(
            "proxy_auth_realm = here\nproxy_auth_passwd = secret-word\n", "f.conf"
        )
        self.console = Console(
            self.reactor, self.settings, self.media, self.dialogs, self.locations
        )
        self.addCleanup(logs.set_level, "info")

    def call(self, key: CallKey = KEY, established: bool = True) -> None:
        """
        A call with one stream.
        """
        self.dialogs.open(key, self.reactor.seconds())
        self.media.describe(key, Party.CALLER, audio(PHONE), PHONE[0], True)
        if established:
            self.media.describe(key, Party.CALLEE, audio(FRIEND), FRIEND[0], False, "b")
            self.media.confirm(key, "b")

    def hear(self, party: Party, packets: int) -> None:
        """
        RTP of a party arrives, as the relay counts it.
        """
        [call] = self.media.calls()
        flow = call.streams[0].leg(party).rtp
        flow.packets += packets
        flow.source = PHONE if party is Party.CALLER else FRIEND


class ConsoleTests(ConsoleCase):
    def test_interface(self) -> None:
        """
        It is the console that others may build on.
        """
        self.assertTrue(verifyObject(IConsole, self.console))

    def test_names(self) -> None:
        """
        All of it can be called by its name, and help names it.
        """
        names = self.console.names()
        self.assertTrue({"calls", "registrations", "stats", "config", "drop", "log"} < set(names))
        for name in names.keys() - {"help"}:
            self.assertIn(f"{name}(", repr(names["help"]()))

    def test_stats(self) -> None:
        """
        It shows how many calls there are, and each stream is counted, also that of a
        call that has but one (R11 of siproxd).
        """
        self.call()
        [counts] = self.console.stats()
        self.assertEqual(counts, (0, 1, 1, 2))
        self.assertIn("active calls", repr(self.console.stats()))

    def test_config(self) -> None:
        """
        Options show value and origin; a password is not shown.
        """
        rows = {row.key: row for row in self.console.config()}
        self.assertEqual(rows["proxy_auth_realm"].value, "here")
        self.assertEqual(rows["proxy_auth_realm"].origin, "f.conf:1")
        self.assertEqual(rows["rtp_port_low"].origin, "default")
        self.assertNotIn("secret-word", repr(self.console.config()))


class CallsTests(ConsoleCase):
    def test_none(self) -> None:
        """
        Without calls it says so.
        """
        self.assertEqual(repr(self.console.calls()), "There are no calls.")

    def test_addresses(self) -> None:
        """
        Each party shows where it said it is, and where it was heard.
        """
        self.call()
        self.hear(Party.CALLER, 5)
        caller, callee = self.console.calls()
        self.assertEqual((caller.side, callee.side), ("inside", "outside"))
        self.assertEqual((caller.described, caller.latched), ("10.0.0.10:4000",) * 2)
        self.assertEqual((callee.described, callee.latched), ("203.0.113.10:5000", ""))

    def test_packets(self) -> None:
        """
        Packets are counted for each direction, with the seconds since the last.
        """
        self.call()
        self.hear(Party.CALLER, 5)
        self.console.calls()
        self.reactor.advance(7)
        self.hear(Party.CALLEE, 3)
        caller, callee = self.console.calls()
        self.assertEqual((caller.packets, caller.silent), (5, 7))
        self.assertEqual((callee.packets, callee.silent), (3, 0))
        self.assertEqual(caller.age, 7)

    def test_verdict(self) -> None:
        """
        Below each call it says what is wrong with its sound.
        """
        self.call()
        self.reactor.advance(9)
        self.hear(Party.CALLEE, 3)
        caller, callee = self.console.calls()
        self.assertIn("no packets from the phone: 10.0.0.10 never sent to ", caller.verdict)
        self.assertEqual(caller.verdict, callee.verdict)
        self.assertEqual(repr(self.console.calls()).count("its SDP said 10.0.0.10:4000"), 1)

    def test_quality(self) -> None:
        """
        Codec, loss, jitter and a score of each direction are shown once RTP came.
        """
        self.call()
        [call] = self.media.calls()
        leg = call.streams[0].caller
        for number in (0, 1, 3):
            leg.rtp.packets += 1
            leg.rtp.note(rtp(number), NOW + number / 50)
        caller, callee = self.console.calls()
        self.assertEqual((caller.codec, caller.lost, caller.jitter), ("PCMU", 1, 0))
        self.assertTrue(1.0 < (caller.mos or 0) < 4.4)
        self.assertEqual((callee.lost, callee.jitter, callee.mos), (None, None, None))

    def test_never_heard(self) -> None:
        """
        Who was never heard has no such seconds: one-way sound is seen at once.
        """
        self.call()
        self.assertEqual([row.silent for row in self.console.calls()], [None, None])

    def test_states(self) -> None:
        """
        A call rings, is up, and is held.
        """
        self.call(established=False)
        states = [self.console.calls()[0].state]
        self.media.describe(KEY, Party.CALLEE, audio(FRIEND), FRIEND[0], False, "b")
        self.media.confirm(KEY, "b")
        states.append(self.console.calls()[0].state)
        self.media.describe(KEY, Party.CALLER, audio(PHONE, held=True), PHONE[0], True)
        self.media.describe(KEY, Party.CALLEE, audio(FRIEND), FRIEND[0], False, "b")
        states.append(self.console.calls()[0].state)
        self.assertEqual(states, ["ringing", "up", "held"])
        self.assertEqual([row.held for row in self.console.calls()], [True, False])

    def test_without_media(self) -> None:
        """
        A call whose media we do not carry is shown, too.
        """
        self.dialogs.open(KEY, self.reactor.seconds())
        [row] = self.console.calls()
        self.assertEqual((row.call_id, row.state), ("call-1", "ringing"))
        self.assertEqual((row.stream, row.side), ("no media", "inside to outside"))

    def test_holding(self) -> None:
        """
        Of many calls, those with a text in their rows can be asked for.
        """
        self.call()
        self.call(KEY._replace(call_id="call-2"))
        self.assertEqual({row.call_id for row in self.console.calls("call-2")}, {"call-2"})

    def test_hostile(self) -> None:
        """
        A Call-ID with terminal sequences is harmless on the screen.
        """
        self.call(KEY._replace(call_id="\x1b[2J"))
        self.assertIn("\\x1b[2J", repr(self.console.calls()))
        self.assertNotIn("\x1b", repr(self.console.calls()))


class RegistrationsTests(ConsoleCase):
    def test_row(self) -> None:
        """
        A phone shows its account, its place, its registrar and the seconds left.
        """
        self.locations.put(BINDING)
        self.reactor.advance(20)
        [row] = self.console.registrations()
        self.assertEqual((row.aor, row.contact), (BINDING.aor, BINDING.contact))
        self.assertEqual((row.source, row.registrar), ("10.0.0.10:5060", "example.net"))
        self.assertEqual((row.remaining, row.mask), (40, "f00d"))
        self.assertEqual(row.user_agent, "Softphone 1.0")

    def test_silent(self) -> None:
        """
        A phone that does not answer our pings is marked, others are not.
        """
        for mask in ("f00d", "beef"):
            self.locations.put(replace(BINDING, mask=mask))
        console = Console(
            self.reactor, self.settings, self.media, self.dialogs, self.locations, "beef".__eq__
        )
        silent = {row.mask: row.silent for row in console.registrations()}
        self.assertEqual(silent, {"f00d": False, "beef": True})
        self.locations.remove("f00d")
        self.assertRegex(repr(console.registrations()), r"silent.*\n.* yes .*beef")

    def test_ours(self) -> None:
        """
        A phone that registered with us has us as registrar.
        """
        self.locations.put(replace(BINDING, registrar=""))
        self.assertEqual(self.console.registrations()[0].registrar, "here")

    def test_lapsed(self) -> None:
        """
        A registration that has lapsed is not shown.
        """
        self.locations.put(BINDING)
        self.reactor.advance(60)
        self.assertEqual(repr(self.console.registrations()), "No phone is registered.")

    def test_hostile(self) -> None:
        """
        A User-Agent with terminal sequences is harmless on the screen.
        """
        self.locations.put(replace(BINDING, user_agent="\x1b]0;owned\x07"))
        self.assertNotIn("\x1b", repr(self.console.registrations()))


class DropTests(ConsoleCase):
    def test_every_pass(self) -> None:
        """
        A call that came back in is dropped as a whole; others go on.
        """
        self.call()
        self.call(CallKey("call-1", "tag", Side.OUTSIDE, Side.INSIDE))
        self.call(KEY._replace(call_id="call-2"))
        said = self.console.drop("call-1")
        self.assertEqual(
            said, "call-1: media of 2 passes closed, 2 passes forgotten, 0 ends hear BYE"
        )
        self.assertEqual({row.call_id for row in self.console.calls()}, {"call-2"})
        self.assertEqual([len(self.dialogs.by_call_id(f"call-{n}")) for n in (1, 2)], [0, 1])

    def test_ports(self) -> None:
        """
        The ports of a dropped call are closed.
        """
        self.call()
        before = len(self.reactor.ports)
        self.console.drop("call-1")
        self.assertEqual((before, len(self.reactor.ports)), (4, 0))

    def test_unknown(self) -> None:
        """
        To drop a call that is not there does nothing, and says so.
        """
        self.call()
        for name in ("call-9", "", None):
            self.assertTrue(self.console.drop(name).startswith("0 calls"))
        self.assertEqual(len(self.console.calls()), 2)


class LogTests(ConsoleCase):
    def test_level(self) -> None:
        """
        The level changes at once, and the answer repeats it.
        """
        said = self.console.log("debug", "siptwist.services.relaying")
        self.assertEqual(said, "siptwist.services.relaying: debug from now on")
        self.assertTrue(logs.is_debugged("siptwist.services.relaying.RelayingService"))
        self.assertFalse(logs.is_debugged("siptwist.services.signaling"))

    def test_default(self) -> None:
        """
        Without words it sets the default again, everywhere.
        """
        self.console.log("debug", "siptwist.services.relaying")
        self.assertEqual(self.console.log(), "siptwist: info from now on")
        self.assertFalse(logs.is_debugged("siptwist.services.relaying"))

    def test_wrong(self) -> None:
        """
        A level or a category that there is not gets an answer, not a traceback.
        """
        self.assertIn("there is no level 'loud'", self.console.log("loud"))
        self.assertIn("'twisted' is not siptwist", self.console.log("debug", "twisted"))
        self.assertIn("5 is not siptwist", self.console.log("debug", 5))
        self.assertIn("nothing of that name", self.console.log("debug", "siptwist.porxy.x"))


class MakeManholeTests(ConsoleCase):
    def test_not_installed(self) -> None:
        """
        Without twisted.conch the start says what to install, and in which line
        the console was asked for.
        """
        settings = parse("manhole_port = 2222\nmanhole_authorized_keys = keys\n", "f.conf")
        missing = mock.patch.dict(sys.modules, {"siptwist.services.console.manhole": None})
        missing.start()
        self.addCleanup(missing.stop)
        error = self.assertRaises(ConfigError, make_manhole, self.reactor, settings, {}, "")
        self.assertIn("f.conf:1: manhole_port: needs siptwist[manhole]", str(error))
