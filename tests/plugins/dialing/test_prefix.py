"""
Tests of :mod:`siptwist.plugins.dialing.prefix`.
"""

from __future__ import annotations

from zope.interface.verify import verifyObject

from siptwist.plugins.dialing.prefix import Prefix, PrefixOptions
from siptwist.plugins.stages import IDetermineTarget
from tests.plugins.dialing.dialing import DialingCase, notes, refused, snom
from tests.plugins.loaded import make_house
from tests.services.walking import Leg, sdp

LOAD = "load_plugin = plugin_prefix.la\n"


class PrefixTests(DialingCase):
    text = LOAD + "plugin_prefix_akey = 0\n"

    def test_interface(self) -> None:
        """
        It keeps what it promises.
        """
        verifyObject(IDetermineTarget, Prefix(PrefixOptions("0"), make_house()))

    def test_number(self) -> None:
        """
        A number is called with the prefix; To stays what the caller wrote.
        """
        came = self.called("sip:301234567@provider.example")
        self.assertEqual(came.uri, "sip:0301234567@provider.example")
        self.assertEqual(came.headers.get("to"), "<sip:301234567@provider.example>")

    def test_request_uri_counts(self) -> None:
        """
        siproxd's fault F19: the number is that of the Request-URI, whatever the To says.
        """
        came = self.called("sip:1@provider.example", to="<sip:2@provider.example>")
        self.assertEqual(came.uri, "sip:01@provider.example")

    def test_snom(self) -> None:
        """
        An INVITE of a real phone goes on with the prefix, its parameters kept.
        """
        self.phone.deliver(snom("sip:110@provider.example;user=phone"))
        came = self.provider.last("INVITE")
        self.assertEqual(came.uri, "sip:0110@provider.example;user=phone")
        self.assertEqual(came.headers.get("p-key-flags"), 'keys="3"')
        self.assertEqual(self.failures(), [])

    def test_in_dialog(self) -> None:
        """
        siproxd's fault F19: a re-INVITE of a call goes where the call is, and a BYE as well.
        """
        sent = self.phone.invite("sip:carol@provider.example")
        came = self.provider.last("INVITE")
        self.provider.reply(came, 200, body=sdp("203.0.113.30", 6000))
        caller = Leg(self.phone, sent, self.phone.answer("INVITE"))
        caller.send("ACK")
        caller.send("INVITE", body=sdp("10.0.0.10", 4000))
        again = self.provider.last("INVITE")
        self.assertEqual(again.uri, caller.target)
        self.provider.reply(again, 200, body=sdp("203.0.113.30", 6000))
        caller.send("ACK")
        self.end(caller)

    def test_replaces(self) -> None:
        """
        A call that takes over a dialog goes where the dialog is.
        """
        came = self.called(
            "sip:carol@provider.example", headers=[("Replaces", "a@b;to-tag=1;from-tag=2")]
        )
        self.assertEqual(came.uri, "sip:carol@provider.example")

    def test_line_of_others(self) -> None:
        """
        A parameter of the same name at another host says nothing.
        """
        came = self.called("sip:1@provider.example;line=abc")
        self.assertEqual(came.uri, "sip:01@provider.example;line=abc")

    def test_no_user(self) -> None:
        """
        siproxd's fault F19: a Request-URI or a To without a user harms nobody.
        """
        self.assertEqual(self.called("sip:provider.example").uri, "sip:provider.example")
        came = self.called("sip:1@provider.example", to="<sip:provider.example>", call_id="another")
        self.assertEqual(came.uri, "sip:01@provider.example")
        self.assertEqual(self.failures(), [])

    def test_other_uris(self) -> None:
        """
        A tel: URI and a Request-URI that cannot be read are left alone.
        """
        self.phone.invite("tel:+4930123456")
        self.assertEqual(self.phone.statuses("INVITE"), [416])
        self.phone.invite("sip:1@:x", to="<sip:1@x>", call_id="another")
        self.assertEqual(self.phone.statuses("INVITE"), [416, 400])
        self.assertEqual(self.failures(), [])

    def test_incoming(self) -> None:
        """
        Who is called from outside keeps his number.
        """
        uri = self.registered(self.phone)
        self.provider.invite(uri, to=f"<{self.phone.aor}>")
        self.assertEqual(self.phone.last("INVITE").uri, "sip:alice@10.0.0.10:5060")

    def test_other_methods(self) -> None:
        """
        Only calls get the prefix.
        """
        self.phone.send("SUBSCRIBE", "sip:1@provider.example", headers=[("Event", "dialog")])
        self.assertEqual(self.provider.last("SUBSCRIBE").uri, "sip:1@provider.example")

    def test_cancel(self) -> None:
        """
        A call that is given up is given up where it went.
        """
        sent = self.phone.invite("sip:1@provider.example")
        self.provider.reply(self.provider.last("INVITE"), 180)
        self.phone.cancel(sent)
        self.assertEqual(self.provider.last("CANCEL").uri, "sip:01@provider.example")

    def test_challenged(self) -> None:
        """
        A caller who repeats the call with his password gets one prefix, not two.
        """
        self.phone.invite("sip:1@provider.example")
        self.provider.reply(self.provider.last("INVITE"), 407)
        came = self.called("sip:1@provider.example", cseq=2)
        self.assertEqual(came.uri, "sip:01@provider.example")

    def test_whole_call(self) -> None:
        """
        A call with a prefix leaves nothing behind.
        """
        caller, callee = self.call_out()
        self.end(caller, callee.call_id)


class RedirectTests(DialingCase):
    text = LOAD + "plugin_prefix_akey = 0\nplugin_prefix_redirect = 1\n"

    def test_redirected(self) -> None:
        """
        The caller is told to call with the prefix; when he does, the call goes on.
        """
        uri = self.redirected("sip:1@provider.example;user=phone")
        self.assertEqual(uri, "sip:01@provider.example;user=phone;redirected=prefix")
        self.assertEqual(self.provider.requests("INVITE"), [])
        self.assertEqual(self.called(uri, cseq=2).uri, uri)

    def test_mask(self) -> None:
        """
        A phone that is called by its mask is no number.
        """
        uri = self.registered(self.other)
        self.phone.invite(uri)
        self.assertEqual(self.other.last("INVITE").uri, "sip:bob@10.0.0.11:5060")

    def test_mark_of_others(self) -> None:
        """
        Who was sent here by another plugin is sent on once, by each once.
        """
        uri = self.redirected("sip:1@provider.example;redirected=regex")
        self.assertEqual(uri, "sip:01@provider.example;redirected=regex+prefix")
        self.assertEqual(self.called(uri, cseq=2).uri, uri)


class OptionTests(DialingCase):
    def test_nothing_set(self) -> None:
        """
        Without a prefix the operator is told that it does nothing.
        """
        [note] = notes(LOAD)
        self.assertIn("plugin_prefix_akey is not set", note)

    def test_prefix_malformed(self) -> None:
        """
        A prefix that cannot be dialed is refused.
        """
        for value in ("0 1", "a@b", "<0>", "0:1", "%4"):
            [problem] = refused(f"{LOAD}plugin_prefix_akey = {value}\n")
            self.assertIn("siproxd.conf:2: plugin_prefix_akey: ", problem)
