"""
Tests of :mod:`siptwist.plugins.dialing.siptrunk`.
"""

from __future__ import annotations

from zope.interface.verify import verifyObject

from siptwist.plugins.dialing.siptrunk import SIPTrunk, SIPTrunkOptions
from siptwist.plugins.stages import IUnknownParty
from tests.plugins.dialing.dialing import DialingCase, notes, refused
from tests.plugins.loaded import make_house
from tests.services.walking import Leg, sdp

TEXT = """
load_plugin = plugin_siptrunk.la
plugin_siptrunk_name = office
plugin_siptrunk_account = sip:alice@provider.example
plugin_siptrunk_numbers_regex = ^(\\+4930|030)12345[0-9]{2}$
plugin_siptrunk_name = spare
plugin_siptrunk_account = sip:bob@provider.example
plugin_siptrunk_numbers_regex = ^\\+493012345
"""
DIALED = "sip:+49301234567@203.0.113.1"

# In the manner of a provider that has the number in the To alone.
_TRUNK = """\
INVITE sip:trunk4711@203.0.113.1:5060;transport=udp SIP/2.0
Via: SIP/2.0/UDP 203.0.113.20:5060;branch=z9hG4bKb7e1.5f1e92d6.0
Via: SIP/2.0/UDP 198.51.100.9:5060;received=198.51.100.9;branch=z9hG4bKSbc7f1
Record-Route: <sip:203.0.113.20;lr;ftag=SD7e1f>
From: <sip:+4940555@provider.example;user=phone>;tag=SD7e1f
To: <sip:+49301234567@provider.example;user=phone>
Call-ID: SD3j2f101-5c1f@198.51.100.9
CSeq: 1 INVITE
Contact: <sip:+4940555@198.51.100.9:5060;transport=udp>
Max-Forwards: 66
P-Asserted-Identity: <sip:+4940555@provider.example;user=phone>
P-Called-Party-ID: <sip:+49301234567@provider.example;user=phone>
Content-Length: 0

""".replace("\n", "\r\n").encode()


class SIPTrunkTests(DialingCase):
    text = TEXT

    def test_interface(self) -> None:
        """
        It keeps what it promises.
        """
        verifyObject(IUnknownParty, SIPTrunk(SIPTrunkOptions(), make_house()))

    def test_number(self) -> None:
        """
        The telephone system that has a number is called, and sees the number.
        """
        self.registered(self.phone)
        self.provider.invite(DIALED)
        self.assertEqual(self.phone.last("INVITE").uri, DIALED)

    def test_number_in_to(self) -> None:
        """
        A number that stands in the To is as good.
        """
        self.registered(self.phone)
        self.provider.deliver(_TRUNK)
        came = self.phone.last("INVITE")
        self.assertEqual(came.uri, "sip:trunk4711@203.0.113.1:5060;transport=udp")
        to = came.headers.get("to")
        self.assertEqual(to, "<sip:+49301234567@provider.example;user=phone>")

    def test_whole_call(self) -> None:
        """
        Such a call is answered, changed and ended as any other.
        """
        self.registered(self.phone)
        sent = self.provider.invite(DIALED)
        came = self.phone.last("INVITE")
        self.phone.reply(came, 180)
        self.phone.reply(came, 200, body=sdp("10.0.0.10"))
        caller = Leg(self.provider, sent, self.provider.answer("INVITE"))
        callee = Leg(self.phone, came, came)
        caller.send("ACK")
        self.assertEqual(self.phone.last("ACK").uri, "sip:alice@10.0.0.10:5060")
        caller.send("INVITE", body=sdp("203.0.113.20", 6000))
        again = self.phone.last("INVITE")
        self.assertEqual(again.uri, "sip:alice@10.0.0.10:5060")
        self.phone.reply(again, 200, body=sdp("10.0.0.10"))
        caller.send("ACK")
        callee.send("BYE")
        self.provider.reply(self.provider.last("BYE"), 200)
        self.assertEqual(self.phone.statuses("BYE"), [200])
        self.assert_clean(caller.call_id)

    def test_cancel(self) -> None:
        """
        A call that is given up is given up at the telephone system.
        """
        self.registered(self.phone)
        sent = self.provider.invite(DIALED)
        self.phone.reply(self.phone.last("INVITE"), 180)
        self.provider.cancel(sent)
        self.assertEqual(self.phone.last("CANCEL").uri, DIALED)

    def test_other_methods(self) -> None:
        """
        Whatever is asked of a number is asked of the telephone system.
        """
        self.registered(self.phone)
        self.provider.send("OPTIONS", DIALED)
        self.assertEqual(self.phone.last("OPTIONS").uri, DIALED)

    def test_next_trunk(self) -> None:
        """
        While one telephone system is not registered the next that has the number is
        called.
        """
        self.registered(self.other)
        self.provider.invite(DIALED)
        self.assertEqual(self.other.last("INVITE").uri, DIALED)

    def test_not_registered(self) -> None:
        """
        While none is registered the caller hears 480, for the number does exist.
        """
        self.provider.invite(DIALED)
        self.assertEqual(self.provider.statuses("INVITE"), [480])

    def test_expired(self) -> None:
        """
        A registration that has run out is none.
        """
        self.registered(self.phone, 120)
        self.proxy.wait(130, 1)
        self.provider.invite(DIALED)
        self.assertEqual(self.provider.statuses("INVITE"), [480])

    def test_other_numbers(self) -> None:
        """
        A number of nobody's is 404.
        """
        self.registered(self.phone)
        for number, user in enumerate(("+49305555", "x0301234567", "03012345678")):
            self.provider.invite(f"sip:{user}@203.0.113.1", call_id=user)
            self.assertEqual(self.provider.statuses("INVITE"), [404] * (number + 1))

    def test_routes(self) -> None:
        """
        Nobody uses us to get further on by way of a telephone system.
        """
        self.registered(self.phone)
        self.provider.invite(DIALED, headers=[("Route", "<sip:10.0.0.99;lr>")])
        self.assertIsNone(self.phone.last("INVITE").headers.get("route"))

    def test_phone(self) -> None:
        """
        A phone that dials a number at our address is not the world.
        """
        self.registered(self.phone)
        self.registered(self.other)
        self.other.invite("sip:+49301234567@10.0.0.1")
        self.assertEqual(self.other.statuses("INVITE"), [404])

    def test_no_user(self) -> None:
        """
        A To without a user, or of another scheme, harms nobody.
        """
        for number, to in enumerate(("<sip:x>", "<tel:+49301234567>", "<urn:service:sos>")):
            self.provider.invite("sip:nobody@203.0.113.1", to=to, call_id=to)
            self.assertEqual(self.provider.statuses("INVITE"), [404] * (number + 1))
        self.assertEqual(self.failures(), [])


class TogetherTests(DialingCase):
    text = TEXT + (
        "load_plugin = defaulttarget\nplugin_defaulttarget_target = sip:bob@provider.example\n"
    )

    def test_last_resort(self) -> None:
        """
        A default target that is loaded after trunks is for what they do not have.
        """
        self.registered(self.phone)
        self.registered(self.other)
        self.provider.invite(DIALED)
        self.assertEqual(self.phone.last("INVITE").uri, DIALED)
        self.provider.invite("sip:5@203.0.113.1", call_id="another")
        self.assertEqual(self.other.last("INVITE").uri, "sip:bob@10.0.0.11:5060")


class OptionTests(DialingCase):
    def test_uneven(self) -> None:
        """
        A trunk that lacks a line is refused.
        """
        [problem] = refused("load_plugin = siptrunk\nplugin_siptrunk_name = x")
        self.assertIn("1 of name, 0 of account, 0 of numbers_regex", problem)

    def test_malformed(self) -> None:
        """
        An account that is no address and numbers that are no expression are refused.
        """
        for key, value in (("account", "alice"), ("numbers_regex", "^(+49")):
            [problem] = refused(f"load_plugin = siptrunk\nplugin_siptrunk_{key} = {value}")
            self.assertIn(f"siproxd.conf:2: plugin_siptrunk_{key}: ", problem)

    def test_nothing_set(self) -> None:
        """
        Without trunks the operator is told that it does nothing.
        """
        [note] = notes("load_plugin = siptrunk")
        self.assertIn("plugin_siptrunk_account is not set", note)
