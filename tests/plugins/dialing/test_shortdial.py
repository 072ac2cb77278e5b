"""
Tests of :mod:`siptwist.plugins.dialing.shortdial`.
"""

from __future__ import annotations

from zope.interface.verify import verifyObject

from siptwist.plugins.dialing.numbers import Extension
from siptwist.plugins.dialing.shortdial import ShortDial, ShortDialOptions
from siptwist.plugins.stages import IDetermineTarget
from tests.plugins.dialing.dialing import DialingCase, notes, refused, snom
from tests.plugins.loaded import make_house
from tests.services.walking import sdp

TEXT = """
load_plugin = plugin_shortdial.la
plugin_shortdial_akey = *00
plugin_shortdial_entry = 17474743246
plugin_shortdial_entry = 1234@other.example:5070
plugin_shortdial_entry = *12@
plugin_shortdial_entry = *01
"""


class ShortDialTests(DialingCase):
    text = TEXT

    def test_interface(self) -> None:
        """
        It keeps what it promises.
        """
        options = ShortDialOptions("*00", (Extension("1", None),))
        verifyObject(IDetermineTarget, ShortDial(options, make_house()))

    def test_number(self) -> None:
        """
        *01 calls the first entry at the same provider.
        """
        came = self.called("sip:*01@provider.example;user=phone")
        self.assertEqual(came.uri, "sip:17474743246@provider.example;user=phone")

    def test_host(self) -> None:
        """
        An entry with a host is called there, and nothing else that was said counts.
        """
        self.proxy.resolver.names["other.example"] = [self.provider_hop]
        came = self.called("sip:*02@provider.example:5062;transport=udp")
        self.assertEqual(came.uri, "sip:1234@other.example:5070")

    def test_star(self) -> None:
        """
        An entry may be a code of the provider's that looks like a short number.
        """
        self.assertEqual(self.called("sip:*03@provider.example").uri, "sip:*12@provider.example")
        came = self.called("sip:*04@provider.example", call_id="another")
        self.assertEqual(came.uri, "sip:*01@provider.example")

    def test_escaped(self) -> None:
        """
        A phone may escape the star.
        """
        came = self.called("sip:%2A01@provider.example")
        self.assertEqual(came.uri, "sip:17474743246@provider.example")

    def test_others(self) -> None:
        """
        What has another length, no entry, or is no number at all is called as it is.
        """
        for user in ("*00", "*05", "*1", "*011", "01", "*ab", "carol", "*\u0660\u0661"):
            uri = f"sip:{user}@provider.example"
            self.assertEqual(self.called(uri, call_id=user).uri, uri)

    def test_no_user(self) -> None:
        """
        A Request-URI without a user harms nobody.
        """
        self.assertEqual(self.called("sip:provider.example").uri, "sip:provider.example")
        self.assertEqual(self.failures(), [])

    def test_snom(self) -> None:
        """
        An INVITE of a real phone is sent on.
        """
        self.phone.deliver(snom("sip:*01@provider.example;user=phone"))
        came = self.provider.last("INVITE")
        self.assertEqual(came.uri, "sip:17474743246@provider.example;user=phone")

    def test_incoming(self) -> None:
        """
        Short numbers are those of phones, not of the world.
        """
        self.provider.invite("sip:*01@203.0.113.1")
        self.assertEqual(self.provider.statuses("INVITE"), [404])

    def test_in_dialog(self) -> None:
        """
        A re-INVITE goes where the call is, though it looks like a short number.
        """
        came = self.called("sip:*01@provider.example", to_tag="there", body=sdp("10.0.0.10"))
        self.assertEqual(came.uri, "sip:*01@provider.example")

    def test_whole_call(self) -> None:
        """
        The ACK and the BYE of such a call go where it went.
        """
        caller, callee = self.call_out()
        self.end(caller, callee.call_id)


class RedirectTests(DialingCase):
    text = TEXT + "plugin_shortdial_redirect = 1\n"

    def test_redirected(self) -> None:
        """
        The caller is told what to call, once.
        """
        uri = self.redirected("sip:*04@provider.example")
        self.assertEqual(uri, "sip:*01@provider.example;redirected=shortdial")
        self.assertEqual(self.called(uri, cseq=2).uri, uri)


class OptionTests(DialingCase):
    def test_key_malformed(self) -> None:
        """
        A key without a digit to follow is refused.
        """
        [problem] = refused("load_plugin = shortdial\nplugin_shortdial_akey = *")
        self.assertIn("siproxd.conf:2: plugin_shortdial_akey: '*' has no place", problem)

    def test_entry_malformed(self) -> None:
        """
        An entry that cannot be called is refused.
        """
        for value in ("sip:1@x", "@x", "1@x:y", "1@x;a", "1@a@b", "1 2"):
            [problem] = refused(f"load_plugin = shortdial\nplugin_shortdial_entry = {value}")
            self.assertIn("siproxd.conf:2: plugin_shortdial_entry: ", problem)

    def test_nothing_set(self) -> None:
        """
        Without a key or entries the operator is told that it does nothing.
        """
        [note] = notes("load_plugin = shortdial")
        self.assertIn("plugin_shortdial_akey and plugin_shortdial_entry is not set", note)


class TooManyTests(DialingCase):
    text = (
        "load_plugin = shortdial\nplugin_shortdial_akey = *0\n"
        + "plugin_shortdial_entry = 5\n" * 10
    )

    def test_out_of_reach(self) -> None:
        """
        Entries that no short number can reach are told of.
        """
        self.assertEqual(self.said("shortdial"), ["'*0' reaches the first 9 of 10 entries"])
        self.assertEqual(self.called("sip:*9@provider.example").uri, "sip:5@provider.example")
        came = self.called("sip:*10@provider.example", call_id="another")
        self.assertEqual(came.uri, "sip:*10@provider.example")
