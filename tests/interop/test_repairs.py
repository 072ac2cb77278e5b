"""
siproxd's plugins that change what others send, between real programs.
"""

from __future__ import annotations

from tests.interop.bed import FW, LAN_ROUTER, WAN_ROUTER
from tests.interop.case import ALICE
from tests.interop.load import CALLEE, CALLER
from tests.interop.phone import Account
from tests.interop.plugged import (
    PluggedCase,
    header,
    requests,
    responses,
    several,
)
from tests.interop.waiting import wait_until
from tests.plugins.repairs.devices import UNIQ

BOX = "10.0.0.17"
#: Servers that say where they are not, and one that nobody has listed.
ELSEWHERE, UNLISTED = "198.51.100.21:5060", "203.0.113.17"


class HeaderTests(PluggedCase):
    """
    stripheader.
    """

    def test_stripheader(self) -> None:
        """
        A header goes, of another one a single value, whatever way the message travels;
        the rest stays as it was written.
        """
        self.start_proxy(
            load_plugin="plugin_stripheader.la",
            plugin_stripheader_remove=several(
                "plugin_stripheader_remove", "Remote-Party-ID", "Allow:UPDATE", "Supported: timer"
            ),
        )
        wire, inside = self.start_capture(), self.start_capture(FW, "eth0")
        (invite,) = self.dial(wire, "4711")
        (refusal,) = responses(inside.sip(LAN_ROUTER, CALLER), 603)
        for message in (invite, refusal):
            self.assertEqual(header(message, "Remote-Party-ID"), "")
        self.assertEqual(header(invite, "Allow"), "INVITE, ACK, BYE, CANCEL, OPTIONS")
        self.assertEqual(header(refusal, "Allow"), "INVITE, ACK, BYE, CANCEL")
        self.assertEqual(header(invite, "Supported"), "replaces")
        self.assertEqual(header(invite, "Organization"), "Kitchen, second floor")


class CodecTests(PluggedCase):
    """
    codecfilter.
    """

    def test_codecfilter(self) -> None:
        """
        The far end is not offered what is listed, and the call has both voices; an offer
        of nothing else, a payload type that needs no name (F20 of siproxd), hears 488.
        """
        self.start_proxy(
            load_plugin="plugin_codecfilter.la",
            plugin_codecfilter_blacklist=several("plugin_codecfilter_blacklist", "pcma", "G729"),
        )
        wire, inside = self.start_capture(), self.start_capture(FW, "eth0")
        bob = self.start_outside()
        account = Account("alice", outbound=LAN_ROUTER)
        account.line = account.line.replace("codecs=", "codecs=PCMA/8000/1,")
        alice = self.start_phone(ALICE, account)
        self.connect(alice, bob)
        offered = alice.sent("INVITE")[-1], requests(wire.sip(WAN_ROUTER), "INVITE")[-1]
        self.assertEqual([_codecs(one) for one in offered], [["8", "0", "101"], ["0", "101"]])
        self.assertIn("a=rtpmap:8 PCMA/8000", offered[0])
        self.assertNotIn("PCMA", offered[1])
        self.dial_one("4711", "-key", "codecs", "18")
        (refusal,) = responses(inside.sip(LAN_ROUTER, CALLER), 488)
        self.assertTrue(header(refusal, "Warning").startswith("305 "))
        self.assertEqual(wire.sip(WAN_ROUTER, CALLEE), [])


class BodyTests(PluggedCase):
    """
    regex_body.
    """

    def test_regex_body(self) -> None:
        """
        Each match in a text is replaced once, each rule in turn; what is no text arrives
        as it was sent.
        """
        self.start_proxy(
            load_plugin="plugin_regex_body.so",
            plugin_regex_body_desc=several("plugin_regex_body_desc", "plus", "door"),
            plugin_regex_body_pattern=several("plugin_regex_body_pattern", r"\b00", "door ([0-9])"),
            plugin_regex_body_replace=several("plugin_regex_body_replace", "+00", r"gate \1"),
        )
        text = "door 1 is 0049301, door 2 is 0049302"
        changed = "gate 1 is +0049301, gate 2 is +0049302"
        wire = self.start_capture()
        self.run_sipp(CALLEE, "take-message", calls=2)
        for kind in ("text/plain", "application/octet-stream"):
            words = ["-s", "4711", "-key", "kind", kind, "-key", "text", text]
            phone = self.run_sipp(CALLER, "message", *words, remote=CALLEE)
            self.assertEqual(phone.wait(5), 0, phone.log())
        arrived = requests(wire.sip(WAN_ROUTER, CALLEE), "MESSAGE")
        bodies = [one.partition("\r\n\r\n")[2] for one in arrived]
        self.assertEqual([one.strip() for one in bodies], [changed, text])
        lengths = [header(one, "Content-Length") for one in arrived]
        self.assertEqual(lengths, [str(len(body)) for body in bodies])


class BogusViaTests(PluggedCase):
    """
    fix_bogus_via.
    """

    def test_fix_bogus_via(self) -> None:
        """
        A caller whose Via has an address of its LAN, and another port, is told where it
        really is; one whose Via is not listed is answered there as well, and not told.
        """
        self.start_proxy(
            load_plugin="plugin_fix_bogus_via.la",
            plugin_fix_bogus_via_networks="192.168.0.0/16, 10.0.0.0/8",
        )
        self.start_inside("alice", ALICE)
        (target,) = self.provider.bindings("alice")
        wire = self.start_capture()
        seen = []
        for via in ("192.168.178.1:5061", "172.16.0.1:5062"):
            caller = self.visit(target, via)
            self.assertEqual(caller.wait(8), 0, caller.log())
            (answer,) = responses(wire.sip(WAN_ROUTER, CALLEE), 200)[-1:]
            seen.append(header(answer, "Via").partition(";branch=")[::2])
        (listed, repaired), (unlisted, kept) = seen
        self.assertEqual(listed, "SIP/2.0/UDP 192.168.178.1:5061")
        self.assertTrue(repaired.endswith(f";rport=5060;received={CALLEE}"), repaired)
        self.assertEqual(unlisted, "SIP/2.0/UDP 172.16.0.1:5062")
        self.assertNotIn("rport", kept)


class DTAGTests(PluggedCase):
    """
    fix_DTAG.
    """

    def test_fix_DTAG(self) -> None:
        """
        A phone hears 183 and 486 of a server that wrote its own Via in the place of ours;
        from a server that is not listed, nothing.
        """
        proxy = self.start_proxy(
            load_plugin="plugin_fix_DTAG.la",
            plugin_fix_DTAG_networks=f"{CALLEE}/32,198.51.100.0/24",
        )
        wire, inside = self.start_capture(), self.start_capture(FW, "eth0")
        words = ["-s", "4711", "-key", "via", ELSEWHERE]
        server = self.run_sipp(CALLEE, "own-via", *words)
        self.dial_one("4711", "-key", "codecs", "8")
        self.assertEqual(server.wait(3), 0, server.log())
        self.assertEqual(len(responses(inside.sip(LAN_ROUTER, CALLER), 183)), 1)
        self.run_sipp(UNLISTED, "own-via", *words)
        self.run_sipp(CALLER, "dial", "-s", "4711", "-key", "codecs", "8", remote=UNLISTED)
        wait_until(lambda: responses(wire.sip(UNLISTED), 486), "its 486")
        # What has arrived before this has been looked at.
        self.assertTrue(proxy.answers(2))
        for status in (183, 486):
            self.assertEqual(len(responses(inside.sip(LAN_ROUTER, CALLER), status)), 1)


class FboxTests(PluggedCase):
    """
    fix_fbox_anoncall.
    """

    def test_fix_fbox_anoncall(self) -> None:
        """
        A FRITZ!Box takes an anonymous call as anonymous: the caller is told where its
        account is, and his ACK and BYE arrive there.
        """
        self.start_proxy(
            load_plugin="plugin_fix_fbox_anoncall.la",
            plugin_fix_fbox_anoncall_networks="10.0.0.16/28",
        )
        self.register_box(BOX, "alice")
        (target,) = self.provider.bindings("alice")
        wire, inside = self.start_capture(), self.start_capture(FW, "eth0")
        anonymous = f"sip:anonymous@{BOX};uniq={UNIQ}"
        box = self.run_sipp(BOX, "box-answer", "-key", "contact", anonymous)
        caller = self.visit(target)
        self.assertEqual((caller.wait(8), box.wait(3)), (0, 0), caller.log())
        (ringing,) = responses(wire.sip(WAN_ROUTER, CALLEE), 180)
        self.assertEqual(header(ringing, "Contact"), f"<{target}>")
        for method in ("ACK", "BYE"):
            (arrived,) = requests(inside.sip(LAN_ROUTER, BOX), method)
            self.assertTrue(arrived.startswith(f"{method} sip:alice@{BOX};uniq={UNIQ} "), arrived)


def _codecs(invite: str) -> list[str]:
    """
    The payload types of its audio.
    """
    return invite.split("\nm=audio ")[1].splitlines()[0].split()[2:]
