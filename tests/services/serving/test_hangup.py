"""
Tests for siptwist.services.serving.hangup: calls that are answered in vain.
"""

from __future__ import annotations

from siptwist.errors import NoFreePorts, Unresolvable
from siptwist.services.serving import hangup
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Request
from tests.services.walking import Agent, WalkingCase, sdp

CAROL = "sip:carol@provider.example"
ROUTES = [("Record-Route", "<sip:203.0.113.41;lr>"), ("Record-Route", "<sip:203.0.113.42;lr>")]


class HangUpTests(WalkingCase):
    """
    The callee says 200, and there are no media ports for it.
    """

    fakes_media = True

    def answer_in_vain(self, callee: Agent, caller: Agent, **more: object) -> Request:
        came = callee.last("INVITE")
        self.media.refusal = NoFreePorts("none")
        callee.reply(came, 200, body=sdp(callee.host), **more)  # type: ignore[arg-type]
        self.assertEqual(caller.statuses("INVITE")[-1:], [503])
        self.media.refusal = None  # It holds all that it was raised through.
        return came

    def test_callee_outside(self) -> None:
        """
        He hears ACK and BYE in the dialog that he believes in, and nothing is left.
        """
        sent = self.phone.invite(CAROL)
        came = self.answer_in_vain(self.provider, self.phone)
        ack, bye = self.provider.last("ACK"), self.provider.last("BYE")
        for request, number in ((ack, "1 ACK"), (bye, "2 BYE")):
            headers = request.headers
            self.assertEqual(request.uri, "sip:server@203.0.113.20:5060")
            self.assertEqual(headers.get("call-id"), came.headers.get("call-id"))
            self.assertEqual(headers.get("from"), came.headers.get("from"))
            self.assertEqual(headers.get("to"), f"{came.headers.get('to')};tag=to-tag")
            self.assertEqual(headers.get("cseq"), number)
            self.assertEqual((len(headers.values("via")), headers.get("route")), (1, None))
        self.assertNotEqual(ack.headers.get("via"), bye.headers.get("via"))
        self.provider.reply(bye, 200)
        self.phone.acknowledge(sent, self.phone.answer("INVITE"))
        self.assert_clean(self.phone.call_id)

    def test_callee_inside(self) -> None:
        """
        A phone hears them where it registered from, whatever its Contact says.
        """
        uri = self.registered(self.phone)
        self.provider.invite(uri, to=f"<{self.phone.aor}>")
        self.answer_in_vain(self.phone, self.provider, contact="<sip:alice@192.168.7.7>")
        self.assertEqual(self.phone.last("BYE").uri, "sip:alice@192.168.7.7")
        self.assertEqual(len(self.phone.requests("ACK")), 1)

    def test_routes(self) -> None:
        """
        Proxies between us and him that want to stay are gone through, nearest first.
        """
        self.phone.invite(CAROL)
        came = self.provider.last("INVITE")
        headers = came.headers.edit()
        headers.set(
            "Record-Route", *[value for _, value in ROUTES], *came.headers.values("record-route")
        )
        near = Agent(self.proxy, "203.0.113.42", "near", side=Side.OUTSIDE)
        self.media.refusal = NoFreePorts("none")
        self.provider.reply(came._replace(headers=headers.finish()), 200, body=sdp("203.0.113.20"))
        for method in ("ACK", "BYE"):
            self.assertEqual(self.provider.requests(method), [])
            request = near.last(method)
            self.assertEqual(request.uri, "sip:server@203.0.113.20:5060")
            self.assertEqual(
                request.headers.values("route"), ["<sip:203.0.113.42;lr>", "<sip:203.0.113.41;lr>"]
            )

    def test_repeated(self) -> None:
        """
        A 2xx that is repeated hears its ACK again, and no second BYE.
        """
        self.phone.invite(CAROL)
        came = self.answer_in_vain(self.provider, self.phone)
        self.media.refusal = NoFreePorts("none")
        self.provider.reply(came, 200, body=sdp("203.0.113.20"))
        found = [len(self.provider.requests(method)) for method in ("ACK", "BYE")]
        self.assertEqual(found, [2, 1])
        self.assertEqual(self.phone.statuses("INVITE"), [503])

    def test_bye_is_lost(self) -> None:
        """
        A BYE without an answer is repeated; a callee that is gone is no failure.
        """
        self.phone.invite(CAROL)
        self.answer_in_vain(self.provider, self.phone)
        self.proxy.wait(0.7)
        self.assertEqual(len(self.provider.requests("BYE")), 2)
        self.provider.vanish()
        self.assert_clean()

    def test_change_of_a_call(self) -> None:
        """
        Of a call that is established, only the change fails: no BYE.
        """
        caller, _ = self.call_out()
        caller.send("INVITE", body=sdp("10.0.0.10", 4002))
        self.answer_in_vain(self.provider, self.phone)
        self.assertEqual(len(self.provider.requests("ACK")), 2)
        self.assertEqual(self.provider.requests("BYE"), [])

    def test_description_cannot_be_read(self) -> None:
        """
        A callee whose answer cannot be read is hung up as well.
        """
        self.phone.invite(CAROL)
        self.provider.reply(self.provider.last("INVITE"), 200, body="v=0\r\nm=audio x\r\n")
        self.assertEqual(self.phone.statuses("INVITE"), [502])
        self.assertEqual(len(self.provider.requests("BYE")), 1)

    def test_too_late(self) -> None:
        """
        A server that answers when the caller has been refused already is hung up.
        """
        second = Agent(self.proxy, "203.0.113.21", "server", side=Side.OUTSIDE)
        hops = [Hop("203.0.113.20", 5060), Hop("203.0.113.21", 5060)]
        self.proxy.resolver.names["provider.example"] = hops
        self.phone.invite(CAROL)
        self.proxy.wait(2.3)
        second.reply(second.last("INVITE"), 486)
        self.assertEqual(self.phone.statuses("INVITE"), [486])
        self.provider.reply(self.provider.last("INVITE"), 200, body=sdp("203.0.113.20"))
        self.assertEqual(self.phone.statuses("INVITE"), [486])
        self.assertEqual(len(self.provider.requests("BYE")), 1)

    def test_no_way(self) -> None:
        """
        Without a Contact, or when its name is not known, there is no way to him.
        """
        for number, contact in enumerate(("", "<sip:x@nowhere.example>", "<tel:1>")):
            self.phone.invite(CAROL, call_id=f"no-way-{number}")
            self.answer_in_vain(self.provider, self.phone, contact=contact)
        self.assertEqual(self.provider.requests("BYE"), [])
        self.assertEqual(self.failures(), [])

    def test_slow_name(self) -> None:
        """
        A Contact whose name takes long is waited for, and given up when there is none.
        """
        self.proxy.resolver.slow.add("slow.example")
        self.proxy.resolver.names["slow.example"] = [Hop("203.0.113.20", 5060)]
        self.phone.invite(CAROL)
        self.answer_in_vain(self.provider, self.phone, contact="<sip:x@slow.example>")
        self.assertEqual(self.provider.requests("BYE"), [])
        self.proxy.resolver.answer()
        self.assertEqual(self.provider.last("BYE").uri, "sip:x@slow.example")
        self.phone.invite(CAROL, call_id="never")
        self.answer_in_vain(self.provider, self.phone, contact="<sip:x@slow.example>")
        self.proxy.resolver.fail(Unresolvable("gone"))
        self.assertEqual((len(self.provider.requests("BYE")), self.failures()), (1, []))

    def test_memory(self) -> None:
        """
        Of how many calls it is remembered that they have had their BYE is bounded.
        """
        self.patch(hangup, "REMEMBERED", 20)
        for number in range(30):
            self.phone.invite(CAROL, call_id=f"many-{number}")
            self.answer_in_vain(self.provider, self.phone)
        self.assertEqual(len(self.proxy.forwarding._hangup._ended), 20)
