"""
Tests of :mod:`siptwist.plugins.repairs.fix_DTAG`.
"""

from __future__ import annotations

from ipaddress import ip_network

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from siptwist.plugins.repairs import fix_DTAG
from siptwist.plugins.repairs.fix_DTAG import FixDTAG
from siptwist.plugins.repairs.networks import NetworkOptions
from siptwist.plugins.stages import IPostProxy, IRaw
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Request, parse
from tests.plugins.loaded import PluginCase, make_house
from tests.plugins.repairs.devices import DTAG_BRANCH, DTAG_RESPONSE
from tests.proxy.asking import request

HERE, THERE = "203.0.113.20", "198.51.100.9"
BOGUS = f"203.0.113.21:5060;branch={DTAG_BRANCH}"


class AnsweredCase(PluginCase):
    def answer(self, asked: Request, status: int = 180, via: str = BOGUS, **more: str) -> None:
        fields = {name: asked.headers.get(name) or "" for name in ("call-id", "cseq", "from")}
        values = {
            "status": status,
            "reason": "Whatever",
            "via": via,
            "from_": fields["from"],
            "call_id": fields["call-id"],
            "cseq": fields["cseq"],
            **more,
        }
        self.provider.deliver(DTAG_RESPONSE.format(**values).replace("\n", "\r\n").encode())


class FixDTAGTests(AnsweredCase):
    text = (
        "load_plugin = plugin_fix_DTAG.la\n"
        "plugin_fix_DTAG_networks = 203.0.113.0/28, 203.0.113.16/28\n"
    )

    def test_interface(self) -> None:
        """
        It keeps what it promises.
        """
        plugin = FixDTAG(NetworkOptions(), make_house())
        verifyObject(IRaw, plugin)
        verifyObject(IPostProxy, plugin)

    def test_repaired(self) -> None:
        """
        A response with a Via of theirs reaches the phone that asked.
        """
        self.phone.invite("sip:carol@provider.example")
        self.answer(self.provider.last("INVITE"))
        self.assertEqual(self.phone.statuses("INVITE"), [180])
        self.assertNotIn("203.0.113.21", str(self.phone.answer("INVITE").headers.lines("via")))

    def test_call(self) -> None:
        """
        A call all of whose responses are so is refused, acknowledged and forgotten.
        """
        sent = self.phone.invite("sip:carol@provider.example")
        self.answer(self.provider.last("INVITE"), 183)
        self.answer(self.provider.last("INVITE"), 486)
        self.assertEqual(len(self.provider.requests("ACK")), 1)
        self.phone.acknowledge(sent, self.phone.answer("INVITE"))
        self.assertEqual(self.phone.statuses("INVITE"), [183, 486])
        self.assert_clean(self.phone.call_id)

    def test_cancel(self) -> None:
        """
        So are the answers to a CANCEL.
        """
        invite = self.phone.invite("sip:carol@provider.example")
        came = self.provider.last("INVITE")
        self.answer(came)
        self.phone.cancel(invite)
        cancel = self.provider.last("CANCEL")
        self.answer(cancel, 200)
        self.proxy.wait(3)
        self.assertEqual(len(self.provider.requests("CANCEL")), 1)
        self.answer(came, 487)
        self.assertEqual(self.phone.statuses("INVITE"), [180, 487])

    def test_other_source(self) -> None:
        """
        Whoever is not in the networks cannot answer so.
        """
        self.phone.invite("sip:carol@provider.example")
        came = self.provider.last("INVITE")
        self.provider.host = THERE
        self.answer(came)
        self.assertEqual(self.phone.statuses("INVITE"), [])

    def test_other_via(self) -> None:
        """
        A Via of another network is not repaired.
        """
        self.phone.invite("sip:carol@provider.example")
        self.answer(self.provider.last("INVITE"), via=f"{THERE};branch=z9hG4bKq")
        self.assertEqual(self.phone.statuses("INVITE"), [])

    def test_other_call(self) -> None:
        """
        Nor is a response to what was never asked there.
        """
        self.phone.invite("sip:carol@provider.example")
        came = self.provider.last("INVITE")
        self.answer(came, call_id="another@phone")
        self.answer(came, cseq="2 INVITE")
        self.answer(came, cseq="1 BYE")
        self.assertEqual(self.phone.statuses("INVITE"), [])

    def test_good(self) -> None:
        """
        A response with our Via is not touched.
        """
        self.phone.invite("sip:carol@provider.example")
        self.provider.reply(self.provider.last("INVITE"), 180)
        self.assertEqual(self.phone.statuses("INVITE"), [180])


class WithoutTests(AnsweredCase):
    def test_without(self) -> None:
        """
        Without the plugin such a response is nobody's.
        """
        self.phone.invite("sip:carol@provider.example")
        self.answer(self.provider.last("INVITE"))
        self.assertEqual(self.phone.statuses("INVITE"), [])


class MemoryTests(SynchronousTestCase):
    def setUp(self) -> None:
        listed = (ip_network("203.0.113.16/28"),)
        self.plugin = FixDTAG(NetworkOptions(listed), make_house())
        self.hop = Hop(HERE, 5060)

    def send(self, call_id: str) -> None:
        via = "SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bKours;rport"
        self.plugin.post_proxy(request(via=via, call_id=call_id), self.hop, Side.OUTSIDE)

    def hear(self, call_id: str, via: str = BOGUS) -> bytes | None:
        values = {"status": 180, "reason": "Ringing", "from_": "<sip:a@b.example>;tag=a"}
        text = DTAG_RESPONSE.format(via=via, call_id=call_id, cseq="1 INVITE", **values)
        return self.plugin.raw(text.replace("\n", "\r\n").encode(), self.hop, Side.OUTSIDE)

    def test_others_below(self) -> None:
        """
        Vias below the topmost stay, in the same line or their own.
        """
        self.send("a")
        data = self.hear("a", f"{BOGUS}, SIP/2.0/UDP 10.0.0.1;branch=x\nVia: SIP/2.0/UDP 10.0.0.2")
        assert data is not None
        self.assertEqual(
            parse(data).headers.lines("via"),
            [
                "SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bKours;rport",
                "SIP/2.0/UDP 10.0.0.1;branch=x",
                "SIP/2.0/UDP 10.0.0.2",
            ],
        )

    def test_oldest_forgotten(self) -> None:
        """
        Only so many requests are remembered.
        """
        self.patch(fix_DTAG, "REMEMBERED", 2)
        for call_id in ("a", "b", "c"):
            self.send(call_id)
        self.assertIsNone(self.hear("a"))
        self.assertIsNotNone(self.hear("b"))

    def test_elsewhere(self) -> None:
        """
        What goes to other networks is not remembered.
        """
        self.plugin.post_proxy(request(), Hop(THERE, 5060), Side.OUTSIDE)
        self.assertEqual(len(self.plugin._sent), 0)

    def test_malformed(self) -> None:
        """
        What cannot be read goes on as it came.
        """
        self.send("a")
        for data in (b"SIP/2.0 180", b"SIP/2.0 180 Ringing\r\nVia: x\r\n\r\n", b"", b"\r\n\r\n"):
            self.assertIsNone(self.plugin.raw(data, self.hop, Side.OUTSIDE))
        self.assertIsNone(self.hear("a", "203.0.113.21:99999;branch=z9hG4bKq"))
