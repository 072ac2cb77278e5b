"""
Tests of :mod:`siptwist.plugins.dialing.defaulttarget`.
"""

from __future__ import annotations

from zope.interface.verify import verifyObject

from siptwist.plugins.dialing.defaulttarget import DefaultTarget, DefaultTargetOptions
from siptwist.plugins.stages import IUnknownParty
from tests.plugins.dialing.dialing import DialingCase, notes, refused
from tests.plugins.loaded import make_house
from tests.services.walking import Leg, sdp

LOAD = "load_plugin = plugin_defaulttarget.la\n"
TARGET = LOAD + "plugin_defaulttarget_target = sip:alice@provider.example\n"

# In the manner of a provider's Asterisk that calls a number block.
_ASTERISK = """\
INVITE sip:+493012345@203.0.113.1:5060 SIP/2.0
Via: SIP/2.0/UDP 203.0.113.20:5060;branch=z9hG4bK6f1f2d3a;rport
Max-Forwards: 70
From: "030555" <sip:030555@203.0.113.20>;tag=as2b1f6f43
To: <sip:+493012345@203.0.113.1:5060>
Contact: <sip:030555@203.0.113.20:5060>
Call-ID: 1f5b3c7d2ab1c6e5096d1f7e55ffbb0a@203.0.113.20:5060
CSeq: 102 INVITE
User-Agent: Asterisk PBX 16.28.0
Date: Sun, 22 Nov 2026 20:00:00 GMT
Allow: INVITE, ACK, CANCEL, OPTIONS, BYE, REFER, SUBSCRIBE, NOTIFY, INFO, PUBLISH, MESSAGE
Supported: replaces, timer
Content-Length: 0

""".replace("\n", "\r\n").encode()


class DefaultTargetTests(DialingCase):
    text = TARGET + "plugin_defaulttarget_log = 1\n"

    def test_interface(self) -> None:
        """
        It keeps what it promises.
        """
        options = DefaultTargetOptions("sip:alice@provider.example")
        verifyObject(IUnknownParty, DefaultTarget(options, make_house()))

    def test_unknown(self) -> None:
        """
        A call for nobody known rings the phone, and the log says so.
        """
        self.registered(self.phone)
        self.provider.deliver(_ASTERISK)
        came = self.phone.last("INVITE")
        self.assertEqual(came.uri, "sip:alice@10.0.0.10:5060")
        self.assertEqual(came.headers.get("to"), "<sip:+493012345@203.0.113.1:5060>")
        self.assertEqual(
            self.said("defaulttarget"),
            [
                "From 203.0.113.20:5060: sip:030555@203.0.113.20 -> "
                "sip:+493012345@203.0.113.1:5060 goes to sip:alice@provider.example "
                "[1f5b3c7d2ab1c6e5096d1f7e55ffbb0a@203.0.113.20:5060]"
            ],
        )

    def test_whole_call(self) -> None:
        """
        Such a call is answered and ended as any other.
        """
        self.registered(self.phone)
        sent = self.provider.invite("sip:nobody@203.0.113.1")
        self.phone.reply(self.phone.last("INVITE"), 200, body=sdp("10.0.0.10"))
        caller = Leg(self.provider, sent, self.provider.answer("INVITE"))
        caller.send("ACK")
        self.assertEqual(len(self.phone.requests("ACK")), 1)
        caller.send("BYE")
        self.phone.reply(self.phone.last("BYE"), 200)
        self.assertEqual(self.provider.statuses("BYE"), [200])
        self.assert_clean(caller.call_id)

    def test_known(self) -> None:
        """
        Who is known is called himself.
        """
        self.registered(self.phone)
        uri = self.registered(self.other)
        self.provider.invite(uri)
        self.assertEqual(self.phone.requests("INVITE"), [])
        self.assertEqual(len(self.other.requests("INVITE")), 1)

    def test_not_registered(self) -> None:
        """
        While the target is not registered here the caller is told where it may be.
        """
        self.provider.invite("sip:nobody@203.0.113.1")
        response = self.provider.answer("INVITE")
        self.assertEqual(response.status, 302)
        self.assertEqual(response.headers.get("contact"), "<sip:alice@provider.example>")

    def test_phone(self) -> None:
        """
        A phone that dials wrong is told so.
        """
        self.registered(self.phone)
        self.phone.invite("sip:nobody@10.0.0.1")
        self.assertEqual(self.phone.statuses("INVITE"), [404])

    def test_unregistered_inside(self) -> None:
        """
        Who is inside and nobody we know is served like the world.
        """
        self.registered(self.phone)
        self.other.invite("sip:nobody@10.0.0.1")
        self.assertEqual(len(self.phone.requests("INVITE")), 1)

    def test_in_dialog(self) -> None:
        """
        A re-INVITE of a call that is not there goes nowhere.
        """
        self.registered(self.phone)
        self.provider.invite("sip:nobody@203.0.113.1", to_tag="there")
        self.assertEqual(self.phone.requests("INVITE"), [])

    def test_other_methods(self) -> None:
        """
        Only calls are taken.
        """
        self.registered(self.phone)
        self.provider.send("OPTIONS", "sip:nobody@203.0.113.1")
        self.assertEqual(self.provider.statuses("OPTIONS"), [404])


class ElsewhereTests(DialingCase):
    text = LOAD + "plugin_defaulttarget_target = sip:desk@other.example:5070;user=phone\n"

    def test_redirected(self) -> None:
        """
        A target that is not here is for the caller to call.
        """
        sent = self.provider.invite("sip:nobody@203.0.113.1")
        response = self.provider.answer("INVITE")
        self.assertEqual(response.status, 302)
        contact = response.headers.get("contact")
        self.assertEqual(contact, "<sip:desk@other.example:5070;user=phone>")
        self.provider.acknowledge(sent, response)
        self.assertEqual(self.said("defaulttarget"), [])
        self.assert_clean()


class RedirectTests(DialingCase):
    text = TARGET + "plugin_defaulttarget_redirect = 1\n"

    def test_redirected(self) -> None:
        """
        By option the caller is told, though the target is here.
        """
        self.registered(self.phone)
        self.provider.invite("sip:nobody@203.0.113.1")
        self.assertEqual(self.provider.statuses("INVITE"), [302])
        self.assertEqual(self.phone.requests("INVITE"), [])


class OwnTests(DialingCase):
    text = LOAD + "plugin_defaulttarget_target = sip:desk@203.0.113.1\n"

    def test_nobody_there(self) -> None:
        """
        A target at our own address that is not there is no reason to call us again.
        """
        self.provider.invite("sip:nobody@203.0.113.1")
        self.assertEqual(self.provider.statuses("INVITE"), [404])


class OptionTests(DialingCase):
    def test_nothing_set(self) -> None:
        """
        Without a target the operator is told that it does nothing.
        """
        [note] = notes(LOAD)
        self.assertIn("plugin_defaulttarget_target is not set", note)

    def test_target_malformed(self) -> None:
        """
        A target that cannot be called is refused.
        """
        for value in ("alice", "sip:provider.example", "sips:a@b", "sip:a@b?x=y", "tel:1"):
            [problem] = refused(f"{LOAD}plugin_defaulttarget_target = {value}\n")
            self.assertIn("siproxd.conf:2: plugin_defaulttarget_target: ", problem)
