r"""
Tests of :mod:`siptwist.plugins.dialing.regex`.
"""

from __future__ import annotations

from zope.interface.verify import verifyObject

from siptwist.plugins.dialing.regex import Regex, RegexOptions
from siptwist.plugins.stages import IDetermineTarget
from tests.plugins.dialing.dialing import DialingCase, notes, refused, snom
from tests.plugins.loaded import make_house
from tests.services.walking import sdp

TEXT = r"""
load_plugin = plugin_regex.la
plugin_regex_desc = international
plugin_regex_pattern = ^(sips?:)00
plugin_regex_replace = \1+
plugin_regex_desc = national
plugin_regex_pattern = ^(sip:)0([[:digit:]]+)@(.*)$
plugin_regex_replace = \1+49\2@\3
plugin_regex_desc = no dashes
plugin_regex_pattern = [-.]{1}([a-z])?
plugin_regex_replace = _
plugin_regex_desc = local
plugin_regex_pattern = ^tel:([0-9]+)
plugin_regex_replace = sip:\1@provider.example
"""


class RegexTests(DialingCase):
    text = TEXT

    def test_interface(self) -> None:
        """
        It keeps what it promises.
        """
        verifyObject(IDetermineTarget, Regex(RegexOptions(), make_house()))

    def test_back_reference(self) -> None:
        """
        The first rule that matches counts, and \\1 is what its group has matched.
        """
        came = self.called("sip:0041123@provider.example")
        self.assertEqual(came.uri, "sip:+41123@provider.example")
        self.assertEqual(came.headers.get("to"), "<sip:0041123@provider.example>")

    def test_classes(self) -> None:
        """
        [[:digit:]] is a class, and several groups can be put back.
        """
        came = self.called("sip:030123@provider.example;user=phone")
        self.assertEqual(came.uri, "sip:+4930123@provider.example;user=phone")

    def test_no_match(self) -> None:
        """
        What no rule matches is called as it is.
        """
        self.proxy.resolver.names["provider"] = [self.provider_hop]
        self.assertEqual(self.called("sip:carol@provider").uri, "sip:carol@provider")

    def test_tel(self) -> None:
        """
        A tel: URI can be given a host.
        """
        self.assertEqual(self.called("tel:110").uri, "sip:110@provider.example")

    def test_snom(self) -> None:
        """
        An INVITE of a real phone is sent on, by its Request-URI.
        """
        self.phone.deliver(snom("sip:0041123@provider.example;user=phone", to="sip:1@x"))
        self.assertEqual(self.provider.last("INVITE").uri, "sip:+41123@provider.example;user=phone")

    def test_in_dialog(self) -> None:
        """
        siproxd's fault F19: a re-INVITE goes where the call is.
        """
        came = self.called("sip:0041123@provider.example", to_tag="there", body=sdp("10.0.0.10"))
        self.assertEqual(came.uri, "sip:0041123@provider.example")

    def test_incoming(self) -> None:
        """
        The rules are for what phones call.
        """
        self.provider.invite("sip:0041123@203.0.113.1")
        self.assertEqual(self.provider.statuses("INVITE"), [404])

    def test_no_user(self) -> None:
        """
        siproxd's fault F19: a Request-URI and a To without a user harm nobody.
        """
        self.proxy.resolver.names["provider"] = [self.provider_hop]
        self.assertEqual(self.called("sip:provider").uri, "sip:provider")
        self.assertEqual(self.failures(), [])

    def test_very_long(self) -> None:
        """
        Nothing is searched in what nobody dials.
        """
        uri = f"sip:00{'1' * 300}@provider.example"
        self.assertEqual(self.called(uri).uri, uri)


class NonsenseTests(DialingCase):
    text = r"""
load_plugin = regex
plugin_regex_desc = half
plugin_regex_pattern = ^sip:(1)?2.*
plugin_regex_replace = sip:\1@provider.example
plugin_regex_desc = no URI
plugin_regex_pattern = ^sip:3.*
plugin_regex_replace = 3 at home
plugin_regex_desc = secure
plugin_regex_pattern = ^sip:4
plugin_regex_replace = sips:4
plugin_regex_desc = nobody
plugin_regex_pattern = ^sip:5.*@
plugin_regex_replace = sip:
"""

    def test_left_alone(self) -> None:
        """
        What a rule makes nothing of that can be called is called as it was, and the log
        says so.
        """
        for user in ("2", "3", "4", "5"):
            uri = f"sip:{user}@provider.example"
            self.assertEqual(self.called(uri, call_id=user).uri, uri)
        told = self.said("regex")
        self.assertEqual(
            [line.partition(" does not fit ")[0] for line in told],
            ["Rule 'half'", "Rule 'no URI'", "Rule 'secure'", "Rule 'nobody'"],
        )
        self.assertIn("group 1 matched nothing [2]", told[0])

    def test_group(self) -> None:
        """
        The rule fits those that it was made for.
        """
        self.assertEqual(self.called("sip:12@provider.example").uri, "sip:1@provider.example")


class AllTests(DialingCase):
    text = (
        "load_plugin = regex\nplugin_regex_desc = x\nplugin_regex_pattern = [-()]+\n"
        "plugin_regex_replace = .\n"
    )

    def test_all(self) -> None:
        """
        Without a group every match is replaced.
        """
        came = self.called("sip:(030)12-34@provider.example")
        self.assertEqual(came.uri, "sip:.030.12.34@provider.example")


class RedirectTests(DialingCase):
    text = TEXT + "plugin_regex_redirect = 1\n"

    def test_redirected(self) -> None:
        """
        The caller is told what to call, once.
        """
        uri = self.redirected("sip:00041@provider.example")
        self.assertEqual(uri, "sip:+041@provider.example;redirected=regex")
        self.assertEqual(self.called(uri, cseq=2).uri, uri)


class ChainTests(DialingCase):
    text = TEXT + "load_plugin = prefix\nplugin_prefix_akey = 0\n"

    def test_chain(self) -> None:
        """
        A plugin goes on from where the one before has sent a call.
        """
        came = self.called("sip:0041123@provider.example")
        self.assertEqual(came.uri, "sip:0+41123@provider.example")


class RedirectedChainTests(DialingCase):
    text = TEXT + (
        "load_plugin = prefix\nplugin_prefix_akey = 00\n"
        "plugin_regex_redirect = 1\nplugin_prefix_redirect = 1\n"
    )

    def test_chain(self) -> None:
        """
        A caller is told by each plugin once, though the next undoes what one has done.
        """
        uri = self.redirected("sip:0041@provider.example")
        self.assertEqual(uri, "sip:+41@provider.example;redirected=regex")
        uri = self.redirected(uri, cseq=2)
        self.assertEqual(uri, "sip:00+41@provider.example;redirected=regex+prefix")
        self.assertEqual(self.called(uri, cseq=3).uri, uri)


class OptionTests(DialingCase):
    def test_uneven(self) -> None:
        """
        A rule that lacks a line is refused.
        """
        [problem] = refused("load_plugin = regex\nplugin_regex_pattern = a")
        self.assertIn("0 of desc, 1 of pattern, 0 of replace", problem)

    def test_pattern_malformed(self) -> None:
        """
        An expression that is none, or that a search takes for ever with, is refused.
        """
        for value in ("(a", "(a+)+", "[[:number:]]"):
            [problem] = refused(f"load_plugin = regex\nplugin_regex_pattern = {value}")
            self.assertIn("siproxd.conf:2: plugin_regex_pattern: ", problem)

    def test_group_missing(self) -> None:
        """
        A reference to a group that the expression does not have is refused.
        """
        [problem] = refused(
            "load_plugin = regex\nplugin_regex_desc = x\nplugin_regex_pattern = (a)\n"
            "plugin_regex_replace = \\2\n"
        )
        self.assertIn("siproxd.conf:4: plugin_regex_replace: ", problem)

    def test_nothing_set(self) -> None:
        """
        Without rules the operator is told that it does nothing.
        """
        [note] = notes("load_plugin = regex")
        self.assertIn("plugin_regex_pattern is not set", note)
