"""
siproxd's plugins, loaded and set as siproxd does it, between real programs: those that
dial, log and count.  ``test_repairs.py`` has those that change messages,
``test_blacklist.py`` the one that guards, ``test_dialing.py`` a short number and a 302 on
telephones, and ``test_deployments.py`` stun, with coturn.
"""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

from tests.interop.bed import FW, LAN_ROUTER, WAN_ROUTER
from tests.interop.case import ALICE, InteropCase
from tests.interop.load import CALLEE
from tests.interop.plugged import PluggedCase, requests, responses, several, uri_of
from tests.interop.waiting import wait_until

#: A telephone system.
PBX = "10.0.0.17"

# All of them, each with something to do.
_SIXTEEN = """\
demo string hello
logcall
shortdial akey *00
shortdial entry ob
prefix akey b
regex desc plus
regex pattern ^sip:00
regex replace sip:+
regex_body desc none
regex_body pattern s=none
regex_body replace s=-
defaulttarget target sip:alice@example.net
siptrunk name office
siptrunk account sip:alice@example.net
siptrunk numbers_regex ^493012
stripheader remove Organization
codecfilter blacklist G729
fix_bogus_via networks 192.168.0.0/16
fix_DTAG networks 198.51.100.0/24
fix_fbox_anoncall networks 10.0.0.0/24
stun server 203.0.113.1
stats to_syslog -1
blacklist dbpath {path}
"""


class SixteenTests(InteropCase):
    """
    Every plugin at once.
    """

    def test_all(self) -> None:
        """
        *01 is ob, and with the prefix bob, who talks; all sixteen are there.
        """
        path = self.bed.new_directory("blacklist") / "blacklist.sqlite"
        options: dict[str, str] = {}
        names: list[str] = []
        for line in _SIXTEEN.format(path=path).splitlines():
            name, key, value = (*line.split(" ", 2), "", "")[:3]
            names += [name] if name not in names else []
            options |= {f"plugin_{name}_{key}": value} if key else {}
        lines = several("load_plugin", *(f"plugin_{name}.la" for name in names))
        proxy = self.start_proxy(load_plugin=lines, **options)
        self.assertIn(f"Plugins: {', '.join(names)}\n", proxy.program.log())
        self.assertEqual(len(names), 16)
        bob, alice = self.start_outside(), self.start_inside("alice", ALICE)
        self.connect(alice, bob, "sip:*01@example.net")
        bob.hang_up()
        proxy.program.wait_for("Call ended: ")
        proxy.wait_ports_free()


class DialedTests(PluggedCase):
    """
    What is called when a number is dialed.
    """

    def test_shortdial(self) -> None:
        """
        *02 is the second entry; a place without an entry, and a longer number, are dialed.
        """
        self.start_proxy(
            load_plugin="plugin_shortdial.so",
            plugin_shortdial_akey="*00",
            plugin_shortdial_entry=several("plugin_shortdial_entry", "bob", f"dave@{CALLEE}"),
        )
        invites = self.dial(self.start_capture(), "*02", "*03", "*021")
        numbers = [uri_of(one).split("@")[0] for one in invites]
        self.assertEqual(numbers, ["sip:dave", "sip:*03", "sip:*021"])

    def test_prefix(self) -> None:
        """
        Every number gets the prefix, without a word to the phone.
        """
        self.start_proxy(load_plugin="prefix", plugin_prefix_akey="0049")
        wire, inside = self.start_capture(), self.start_capture(FW, "eth0")
        invites = self.dial(wire, "301234")
        self.assertEqual([uri_of(one).split("@")[0] for one in invites], ["sip:0049301234"])
        self.assertEqual(responses(inside.sip(LAN_ROUTER), 302), [])

    def test_prefix_redirect(self) -> None:
        """
        A phone that is told to call with the prefix is told once, and not again when it
        holds the call (F19 of siproxd); nor is somebody who calls from outside.
        """
        self.start_proxy(
            load_plugin="plugin_prefix.la", plugin_prefix_akey="b", plugin_prefix_redirect=1
        )
        bob, alice = self.start_outside(), self.start_inside("alice", ALICE)
        self.connect(alice, bob, "sip:ob@example.net")
        alice.hold()
        bob.program.wait_for("a=recvonly")
        self.assertEqual(len(alice.received("SIP/2.0 302")), 1)
        mark = alice.program.mark()
        bob.hang_up()
        alice.wait_over(mark)
        self.connect(bob, alice)
        self.assertEqual(bob.received("SIP/2.0 302"), [])

    def test_regex(self) -> None:
        """
        A back reference of POSIX, in the pattern and in what is put, makes 00 a plus; one
        zero stays.
        """
        self.start_proxy(
            load_plugin="plugin_regex.so",
            plugin_regex_desc="international",
            plugin_regex_pattern=r"^(sips?:)(0)\2([1-9][[:digit:]]*)@",
            plugin_regex_replace=r"\1+\3@",
        )
        invites = self.dial(self.start_capture(), "0049301234", "0301234")
        numbers = [uri_of(one).split("@")[0] for one in invites]
        self.assertEqual(numbers, ["sip:+49301234", "sip:0301234"])


class VisitorTests(PluggedCase):
    """
    Who is called by somebody outside when the number is nobody's.
    """

    def test_defaulttarget(self) -> None:
        """
        A call for nobody rings the target, and is logged; what is not a call is refused.
        """
        proxy = self.start_proxy(
            load_plugin="plugin_defaulttarget.la",
            plugin_defaulttarget_target="sip:alice@example.net",
            plugin_defaulttarget_log=1,
        )
        alice = self.start_inside("alice", ALICE)
        visitor = self.visit(f"sip:4711@{WAN_ROUTER}")
        self.assertEqual(visitor.wait(8), 0, visitor.log())
        self.assertEqual(len(alice.received("BYE")), 1)
        self.assertIn("goes to sip:alice@example.net", proxy.program.log())
        words = ["-rsa", f"{WAN_ROUTER}:5060", "-s", "4711", "-key", "kind", "text/plain"]
        wire = self.start_capture()
        self.run_sipp(CALLEE, "message", *words, "-key", "text", "x", remote=WAN_ROUTER)
        wait_until(lambda: responses(wire.sip(WAN_ROUTER, CALLEE), 404), "404")
        self.assertEqual(alice.received("MESSAGE"), [])

    def test_siptrunk(self) -> None:
        """
        A call for a number of the block rings the telephone system, which reads the
        number that was dialed; the next block is nobody's.
        """
        self.start_proxy(
            load_plugin="siptrunk",
            plugin_siptrunk_name="office",
            plugin_siptrunk_account="sip:carol@example.net",
            plugin_siptrunk_numbers_regex=r"^(\+49|0)30123[0-9]{2}$",
        )
        self.register_box(PBX, "carol")
        inside = self.start_capture(FW, "eth0")
        pbx = self.run_sipp(PBX, "box-answer", "-key", "contact", f"sip:carol@{PBX}")
        visitor = self.visit(f"sip:+493012345@{WAN_ROUTER}")
        self.assertEqual((visitor.wait(8), pbx.wait(3)), (0, 0), visitor.log())
        stranger = self.visit(f"sip:+493012445@{WAN_ROUTER}")
        self.assertEqual(stranger.wait(8), 0, stranger.log())
        invites = requests(inside.sip(LAN_ROUTER, PBX), "INVITE")
        self.assertEqual([uri_of(one) for one in invites], [f"sip:+493012345@{WAN_ROUTER}"])


class WatchedTests(InteropCase):
    """
    What is told about a call of two telephones.
    """

    def test_logged(self) -> None:
        """
        demo names its stages, logcall the parties and what came of it; REGISTER is no
        call.
        """
        proxy = self.start_proxy(
            load_plugin=several("load_plugin", "plugin_demo.la", "logcall"),
            plugin_demo_string="here I am",
        )
        bob, alice = self.start_outside(), self.start_inside("alice", ALICE)
        self.connect(alice, bob)
        alice.hang_up()
        proxy.program.wait_for("Call ended: ")
        log = proxy.program.log()
        parties = r"sip:alice@example.net -> sip:bob@example.net\S*"
        for line in (
            r"determine_target: INVITE 'here I am' \[\w+",
            r"pre_proxy: BYE 'here I am' \[\w+",
            rf"Outgoing call: {parties} \[Req: sip:bob@example.net\S*\] \[IP: {ALICE}:5060\]",
            rf"Call is ended: {parties} ",
            rf"Call ended: {parties}, [1-9]\d* s \[",
        ):
            self.assertRegex(log, line)
        self.assertNotRegex(log, r"logcall#info\] .*REGISTER")

    def test_stats(self) -> None:
        """
        SIGUSR1 writes the call that is up into the file and the log; told so by SIGHUP,
        so does every second; then the call is over, and the file says so.
        """
        file = self.bed.new_directory("stats") / "stats"
        proxy = self.start_proxy(
            load_plugin="plugin_stats.la",
            plugin_stats_to_syslog=-1,
            plugin_stats_to_file=-1,
            plugin_stats_filename=str(file),
        )
        bob, alice = self.start_outside(), self.start_inside("alice", ALICE)
        self.connect(alice, bob)
        self.assertFalse(file.exists())
        os.kill(proxy.program.pid, signal.SIGUSR1)
        proxy.program.wait_for("STATS: 2 active Streams, 1 active Calls, 1 active Clients, 1 reg")
        self.assert_counted(file, 1)
        text = proxy.config.read_text()
        proxy.config.write_text(text.replace("to_file = -1", "to_file = 1"))
        os.kill(proxy.program.pid, signal.SIGHUP)
        file.unlink()
        wait_until(file.exists, "the file, a second later", 4)
        self.assert_counted(file, 1)
        alice.hang_up()
        bob.wait_over()
        wait_until(lambda: "Data;" not in file.read_text(), "the file without the call", 4)
        self.assert_counted(file, 0)

    def assert_counted(self, file: Path, calls: int) -> None:
        """
        The file holds so many calls of alice, and rows of each of them.
        """
        wait_until(file.exists, "the file")
        text = file.read_text()
        self.assertRegex(text, rf"active Calls: +{calls}\n")
        self.assertRegex(text, r"registered Clients: +1\n")
        rows = re.findall(r"^Data;(\S+?);\S+?;(\S+?);(\S+?);(\S+?);", text, re.M)
        sides = [(ALICE, "Outgoing", "Incoming", WAN_ROUTER)]
        sides += [(ALICE, "Outgoing", "Outgoing", LAN_ROUTER)]
        self.assertEqual(sorted(rows), sides * calls)
