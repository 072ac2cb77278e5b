"""
Tests of :mod:`siptwist.plugins.repairs.fix_fbox_anoncall`.
"""

from __future__ import annotations

from zope.interface.verify import verifyObject

from siptwist.plugins.repairs.fix_fbox_anoncall import FixFboxAnoncall
from siptwist.plugins.repairs.networks import NetworkOptions
from siptwist.plugins.stages import IPreProxy, IResponse
from siptwist.proxy.registration.masks import mask_in
from siptwist.sip.fields import NameAddr
from siptwist.sip.message import Message
from siptwist.sip.uri import SIPURI
from tests.plugins.loaded import PluginCase, make_house
from tests.plugins.repairs.devices import (
    ANONYMOUS_CALL,
    BOX_ANONYMOUS_CALL,
    BOX_HEADERS,
    UNIQ,
)
from tests.services.walking import Agent, sdp


def contact_of(message: Message) -> SIPURI:
    return NameAddr.parse(message.headers.get("contact") or "", "Contact").uri


class FboxCase(PluginCase):
    def setUp(self) -> None:
        super().setUp()
        self.known = {
            user: self.register(user, f"<sip:{user}@10.0.0.10;uniq={uniq}>")
            for user, uniq in (("alice", UNIQ), ("fax", "0AB1"))
        }

    def register(self, user: str, contact: str) -> SIPURI:
        """
        One account of the box; the Contact that its provider knows.
        """
        box = Agent(self.proxy, "10.0.0.10", user)
        box.register(contact=contact)
        passed = self.provider.last("REGISTER")
        told = passed.headers.get("contact") or ""
        self.provider.reply(passed, 200, contact=f"{told};expires=3600")
        return contact_of(passed)

    def call(self, contact: str) -> SIPURI:
        """
        The Contact of an anonymous call, as the provider sees it.
        """
        body = sdp("10.0.0.10")
        text = BOX_ANONYMOUS_CALL.format(contact=contact, length=len(body))
        self.phone.deliver(text.replace("\n", "\r\n").encode() + body.encode())
        return contact_of(self.provider.last("INVITE"))

    def answer(self, contact: str, to: str = "<sip:alice@provider.example>") -> SIPURI:
        """
        The Contact of the answer to an anonymous call in, as the provider sees it.
        """
        self.provider.invite(str(self.known["alice"]), to=to)
        self.phone.reply(self.phone.last("INVITE"), 180, contact=contact)
        return contact_of(self.provider.answer("INVITE"))


class FixFboxAnoncallTests(FboxCase):
    text = (
        "load_plugin = plugin_fix_fbox_anoncall.la\n"
        "plugin_fix_fbox_anoncall_networks = 10.0.0.0/28\n"
    )

    def test_interface(self) -> None:
        """
        It keeps what it promises.
        """
        plugin = FixFboxAnoncall(NetworkOptions(), make_house())
        verifyObject(IPreProxy, plugin)
        verifyObject(IResponse, plugin)

    def test_uniq(self) -> None:
        """
        The Contact of an anonymous call is that of the account with the same uniq.
        """
        found = self.call(f"<sip:anonymous@10.0.0.10;uniq={UNIQ}>")
        self.assertEqual((found.user, mask_in(found)), ("alice", mask_in(self.known["alice"])))

    def test_answer(self) -> None:
        """
        So is the Contact of the answer to one.
        """
        found = self.answer("<sip:anonymous@10.0.0.10;uniq=0AB1>")
        self.assertEqual((found.user, mask_in(found)), ("fax", mask_in(self.known["fax"])))

    def test_anonymous(self) -> None:
        """
        So it is when a border controller calls a number (``tel:``) that no account is
        called by; without a uniq nobody knows then whose it is, and it stays.
        """
        for mark, user in ((f";uniq={UNIQ}", "alice"), ("", "anonymous")):
            body = sdp("203.0.113.30", 6000)
            text = ANONYMOUS_CALL.format(uri=self.known["alice"], length=len(body))
            text = text.replace("f2658294147", f"f{len(mark)}").replace("qzibm", f"q{len(mark)}")
            self.provider.deliver(text.replace("\n", "\r\n").encode() + body.encode())
            contact = f"<sip:anonymous@10.0.0.10{mark}>"
            came = self.phone.last("INVITE")
            self.phone.reply(came, 180, contact=contact, headers=list(BOX_HEADERS))
            self.assertEqual(contact_of(self.provider.answer("INVITE")).user, user)

    def test_called(self) -> None:
        """
        Without a uniq it is the account that was called.
        """
        found = self.answer("<sip:anonymous@10.0.0.10>")
        self.assertEqual((found.user, mask_in(found)), ("alice", mask_in(self.known["alice"])))

    def test_uniq_of_two(self) -> None:
        """
        A uniq that two accounts have says nothing; who was called does.
        """
        self.register("door", f"<sip:door@10.0.0.10;uniq={UNIQ}>")
        found = self.answer(f"<sip:anonymous@10.0.0.10;uniq={UNIQ}>")
        self.assertEqual(found.user, "alice")

    def test_nobody(self) -> None:
        """
        Where nothing says which account it is, the Contact stays.
        """
        found = self.call("<sip:anonymous@10.0.0.10;uniq=none>")
        self.assertEqual(found.user, "anonymous")

    def test_registered(self) -> None:
        """
        A user that has registered there stays, whatever its uniq is.
        """
        found = self.call(f"<sip:fax@10.0.0.10;uniq={UNIQ}>")
        self.assertEqual(found.user, "fax")

    def test_other_host(self) -> None:
        """
        A Contact at another host is not one of the box.
        """
        found = self.call(f"<sip:anonymous@10.0.0.12;uniq={UNIQ}>")
        self.assertEqual(found.user, "anonymous")

    def test_malformed(self) -> None:
        """
        A Contact that cannot be read, is none of SIP, or is one of two, is left alone:
        what becomes of it is not the plugin's business.
        """
        for contact in ("<sip:anonymous@10.0.0.10", "<tel:+4930>", "<sip:a@10.0.0.10>, <sip:b@c>"):
            self.phone.send("INVITE", "sip:carol@provider.example", contact=contact)
        self.assertEqual(self.failures(), [])
        seen = [one.headers.get("contact") or "" for one in self.provider.requests("INVITE")]
        self.assertFalse([contact for contact in seen if "alice" in contact])

    def test_no_contact(self) -> None:
        """
        A request without one passes.
        """
        self.phone.send("OPTIONS", "sip:carol@provider.example")
        self.assertNotIn("contact", self.provider.last("OPTIONS").headers)

    def test_call(self) -> None:
        """
        What the provider then sends to the account reaches the box.
        """
        found = self.call(f"<sip:anonymous@10.0.0.10;uniq={UNIQ}>")
        came = self.provider.last("INVITE")
        self.provider.reply(came, 200, body=sdp("203.0.113.30", 6000))
        self.provider.send(
            "BYE",
            str(found),
            to="<sip:anonymous@anonymous.invalid>",
            to_tag="4C1C1D0B5C8A9E36",
            tag="to-tag",
            call_id=came.headers.get("call-id") or "",
            headers=[("Route", "<sip:203.0.113.1;lr>")],
        )
        self.assertEqual(self.phone.last("BYE").uri, f"sip:alice@10.0.0.10;uniq={UNIQ}")


class ElsewhereTests(FboxCase):
    text = (
        "load_plugin = plugin_fix_fbox_anoncall.la\n"
        "plugin_fix_fbox_anoncall_networks = 10.0.0.128/25\n"
    )

    def test_not_listed(self) -> None:
        """
        Phones of other networks are left alone, in calls and in answers.
        """
        self.assertEqual(self.call(f"<sip:anonymous@10.0.0.10;uniq={UNIQ}>").user, "anonymous")
        self.assertEqual(self.answer("<sip:anonymous@10.0.0.10>").user, "anonymous")
