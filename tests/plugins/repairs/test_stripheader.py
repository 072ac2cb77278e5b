"""
Tests of :mod:`siptwist.plugins.repairs.stripheader`.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from siptwist.plugins.repairs.stripheader import (
    NEEDED,
    StripHeader,
    StripOptions,
    check,
    rules_of,
    strip,
)
from siptwist.plugins.stages import IPreProxy, IResponse
from siptwist.sip.headers import Headers
from tests.plugins.loaded import PluginCase, make_house
from tests.services.walking import Leg, fields, sdp


def stripped(headers: Headers, *entries: str) -> list[str]:
    found = strip(headers, rules_of(entries), lambda value: "203.0.113.1" in value)
    return [line for _, _, line in found]


class StripTests(SynchronousTestCase):
    """
    What a line of ``plugin_stripheader_remove`` does to headers.
    """

    def test_whole(self) -> None:
        """
        A header goes, each line of it, however its name is written.
        """
        headers = fields(("X-Token", "1"), ("Subject", "hi"), ("x-token", "2"))
        self.assertEqual(stripped(headers, "X-TOKEN"), ["Subject: hi"])

    def test_compact(self) -> None:
        """
        A header in its short form is the same header.
        """
        self.assertEqual(stripped(fields(("k", "timer")), "Supported"), [])

    def test_one_value(self) -> None:
        """
        Of a list one value goes, the others stay in their order.
        """
        headers = fields(("Allow", "INVITE, update,BYE"))
        self.assertEqual(stripped(headers, "Allow:UPDATE"), ["Allow: INVITE, BYE"])

    def test_several_values(self) -> None:
        """
        Several lines of the option name several values; a list that loses all goes.
        """
        headers = fields(("Supported", "timer"), ("Supported", "100rel, path"))
        rules = ("Supported: timer", "supported:100REL")
        self.assertEqual(stripped(headers, *rules), ["Supported: path"])

    def test_whole_value(self) -> None:
        """
        A value is all that stands there, not a part of it.
        """
        headers = fields(("Allow", "SUBSCRIBE"), ("User-Agent", "Phone 1.0"))
        kept = ["Allow: SUBSCRIBE", "User-Agent: Phone 1.0"]
        self.assertEqual(stripped(headers, "Allow:SUB", "User-Agent:Phone"), kept)

    def test_no_list(self) -> None:
        """
        In a header that is no list, a comma is text.
        """
        headers = fields(("Date", "Sat, 13 Nov 2010 23:29:00 GMT"), ("X-Tag", "a, b"))
        self.assertEqual(len(stripped(headers, "Date:Sat", "X-Tag:a")), 2)
        rules = ("Date:sat, 13 nov 2010 23:29:00 gmt", "X-Tag:a, b")
        self.assertEqual(stripped(headers, *rules), [])

    def test_value_with_colon(self) -> None:
        """
        A value may hold a colon.
        """
        headers = fields(("Call-Info", "<http://a.example/b>"), ("Call-Info", "<sip:c@d>"))
        self.assertEqual(
            stripped(headers, "Call-Info:<http://a.example/b>"), ["Call-Info: <sip:c@d>"]
        )

    def test_without_value(self) -> None:
        """
        An empty header goes as well.
        """
        self.assertEqual(stripped(fields(("Supported", "")), "Supported"), [])

    def test_own_record_route(self) -> None:
        """
        Of the Record-Routes ours stays, or the call would go on past us.
        """
        headers = fields(("Record-Route", "<sip:198.51.100.7;lr>, <sip:203.0.113.1;lr>"))
        self.assertEqual(stripped(headers, "Record-Route"), ["Record-Route: <sip:203.0.113.1;lr>"])


class OptionTests(SynchronousTestCase):
    def test_needed(self) -> None:
        """
        What no message can do without is refused when the file is read.
        """
        for name in (*NEEDED, "v", "i", "m"):
            [(key, text)] = check(StripOptions((f"{name.title()}:x",)))
            self.assertEqual(key, "remove")
            self.assertIn("no message can do without", text)

    def test_no_name(self) -> None:
        """
        A line that does not begin with a name is refused.
        """
        for entry in (":UPDATE", "", "two words", 'X"'):
            [(_, text)] = check(StripOptions((entry,)))
            self.assertIn("name of a header", text)

    def test_good(self) -> None:
        """
        All else can be removed, also headers of structure.
        """
        names = ("Allow", "Accept-Language", "Call-Info", "Alert-Info", "Content-Disposition")
        self.assertEqual(list(check(StripOptions(names))), [])


class WalkTests(PluginCase):
    text = (
        "load_plugin = plugin_stripheader.la\n"
        "plugin_stripheader_remove = Allow:UPDATE\n"
        "plugin_stripheader_remove = X-Token\n"
        "plugin_stripheader_remove = Record-Route\n"
    )
    # As a Snom 320 writes it.
    SNOM = (
        ("X-Token", "9c1f"),
        ("Allow", "INVITE, ACK, CANCEL, BYE, REFER, OPTIONS, NOTIFY, SUBSCRIBE, PRACK, MESSAGE"),
        ("Allow", "INFO, UPDATE"),
        ("Allow-Events", "talk, hold, refer, call-info"),
        ("Supported", "timer, 100rel, replaces, from-change"),
    )

    def test_interface(self) -> None:
        """
        It keeps what it promises.
        """
        plugin = StripHeader(StripOptions(), make_house())
        verifyObject(IPreProxy, plugin)
        verifyObject(IResponse, plugin)

    def test_outgoing(self) -> None:
        """
        What a phone sends is stripped.
        """
        self.phone.invite("sip:carol@provider.example", headers=self.SNOM)
        headers = self.provider.last("INVITE").headers
        self.assertNotIn("x-token", headers)
        self.assertEqual(headers.lines("allow")[1], "INFO")
        self.assertEqual(headers.get("supported"), "timer, 100rel, replaces, from-change")

    def test_answer(self) -> None:
        """
        So is the answer.
        """
        self.phone.invite("sip:carol@provider.example")
        more = (("X-Token", "1"), ("Allow", "UPDATE"), ("Server", "x"))
        self.provider.reply(self.provider.last("INVITE"), 486, headers=more)
        headers = self.phone.answer("INVITE").headers
        self.assertNotIn("x-token", headers)
        self.assertNotIn("allow", headers)
        self.assertEqual(headers.get("server"), "x")

    def test_record_routes(self) -> None:
        """
        Without the Record-Routes of others a call still goes through us, both ways.
        """
        routes = (("Record-Route", "<sip:198.51.100.7;lr>"),)
        uri = self.registered(self.phone)
        sent = self.provider.invite(uri, to=f"<{self.phone.aor}>", headers=routes)
        came = self.phone.last("INVITE")
        self.assertEqual(came.headers.lines("record-route"), ["<sip:10.0.0.1;lr>"])
        self.phone.reply(came, 200, body=sdp("10.0.0.10"))
        answer = self.provider.answer("INVITE")
        self.assertEqual(answer.headers.lines("record-route"), ["<sip:203.0.113.1;lr>"])
        Leg(self.provider, sent, answer).send("ACK")
        Leg(self.phone, came, came).send("BYE")
        self.provider.reply(self.provider.last("BYE"), 200)
        self.assertEqual(self.phone.statuses("BYE"), [200])
        self.assert_clean(self.provider.call_id)

    def test_nothing_to_strip(self) -> None:
        """
        A message without such headers is the very same.
        """
        caller, callee = self.call_out(headers=(("Subject", "hi"),))
        caller.send("BYE")
        self.provider.reply(self.provider.last("BYE"), 200)
        self.assert_clean(caller.call_id, callee.call_id)
