"""
Tests of :mod:`siptwist.plugins.repairs.fix_bogus_via`.
"""

from __future__ import annotations

from zope.interface.verify import verifyObject

from siptwist.plugins.repairs.fix_bogus_via import FixBogusVia
from siptwist.plugins.repairs.networks import NetworkOptions
from siptwist.plugins.stages import IPreProxy
from siptwist.sip.message import Request, parse
from tests.plugins.loaded import PluginCase, make_house
from tests.plugins.repairs.devices import BOX_CALL
from tests.services.walking import sdp

CALL_ID = "5694A3F5A5BEB07F@192.168.178.1"
BRANCH = "z9hG4bK4207DC1195070DC1"


class CallInCase(PluginCase):
    def call(self, via: str) -> Request:
        """
        The phone is called by somebody who says to be at ``via``.
        """
        uri = self.registered(self.phone)
        body = sdp("203.0.113.30", 6000)
        text = BOX_CALL.format(uri=uri, via=via, length=len(body))
        self.provider.deliver(text.replace("\n", "\r\n").encode() + body.encode())
        return self.phone.last("INVITE")

    def answered(self, request: Request) -> str:
        self.phone.reply(request, 180)
        return self.provider.answer("INVITE").headers.lines("via")[0]


class FixBogusViaTests(CallInCase):
    text = (
        "load_plugin = plugin_fix_bogus_via.la\n"
        "plugin_fix_bogus_via_networks = 192.168.0.0/16, 172.16.0.0/12\n"
    )

    def test_interface(self) -> None:
        """
        It keeps what it promises.
        """
        verifyObject(IPreProxy, FixBogusVia(NetworkOptions(), make_house()))

    def test_repaired(self) -> None:
        """
        The Via of a listed network says where the request really came from, and keeps
        what its sender wrote: he must know it again.
        """
        via = f"SIP/2.0/UDP 192.168.178.1:5061;branch={BRANCH}"
        request = self.call("192.168.178.1:5061")
        repaired = f"{via};rport=5060;received=203.0.113.20"
        self.assertEqual(request.headers.lines("via")[1], repaired)
        self.assertEqual(self.answered(request), repaired)

    def test_other_networks(self) -> None:
        """
        A Via of another network is left to what we do without the plugin: no port.
        """
        request = self.call("10.99.0.4:5061")
        self.assertNotIn("rport", self.answered(request))

    def test_name(self) -> None:
        """
        A Via with a name is not looked up.
        """
        request = self.call("gw.invalid")
        self.assertNotIn("rport", self.answered(request))

    def test_forged_parameters(self) -> None:
        """
        What a sender himself says of received and rport does not count.
        """
        request = self.call("192.168.178.1;received=198.51.100.1;rport=9")
        via = self.answered(request)
        self.assertNotIn("198.51.100.1", via)
        self.assertTrue(via.endswith(";rport=5060;received=203.0.113.20"), via)

    def test_malformed(self) -> None:
        """
        A Via that cannot be read is refused as without the plugin.
        """
        uri = self.registered(self.phone)
        text = BOX_CALL.format(uri=uri, via="192.168.178.1:x", length=0)
        self.provider.deliver(text.replace("\n", "\r\n").encode())
        self.assertEqual(self.phone.requests("INVITE"), [])
        self.assertIn(b"SIP/2.0 400", self.provider.datagrams[-1])

    def test_phones(self) -> None:
        """
        What phones write of themselves is not touched.
        """
        message = self.phone.invite("sip:carol@provider.example")
        self.provider.reply(self.provider.last("INVITE"), 180)
        [via] = self.phone.answer("INVITE").headers.lines("via")
        self.assertIn(message.headers.via.branch, via)
        self.assertNotIn("192.168.", via)

    def test_call(self) -> None:
        """
        A whole call of such a box leaves nothing behind.
        """
        request = self.call("192.168.178.1")
        self.phone.reply(request, 486)
        response = self.provider.answer("INVITE")
        first = parse(bytes(request))
        assert isinstance(first, Request)
        self.provider.acknowledge(
            first._replace(headers=first.headers.replaced({"via": response.headers.fields("via")})),
            response,
        )
        self.assert_clean(CALL_ID)


class TrueViaTests(CallInCase):
    text = "load_plugin = plugin_fix_bogus_via.la\nplugin_fix_bogus_via_networks = 203.0.113.0/24\n"

    def test_true(self) -> None:
        """
        A Via that says the truth stays, though it is listed.
        """
        request = self.call("203.0.113.20:5060")
        self.assertEqual(
            self.answered(request),
            f"SIP/2.0/UDP 203.0.113.20:5060;branch={BRANCH}",
        )
