"""
Tests for siptwist.services.serving.renewing: our address changes while calls run.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from siptwist.proxy.identity import Identity
from siptwist.services.serving.renewing import RETRY_SECONDS, TRIES, Renewing
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Request
from tests.services.walking import Agent, Leg, Proxy, WalkingCase, sdp

OLD, NEW = "203.0.113.1", "203.0.113.77"


class RenewingCase(WalkingCase):
    def setUp(self) -> None:
        super().setUp()
        found = [one for one in self.proxy.services if isinstance(one, Renewing)]
        (self.renewing,) = found
        self.renewing._mediation._locating.resolver = self.proxy.resolver

    def become(self, outside: str = NEW, inside: str = "10.0.0.1") -> None:
        """
        Our addresses are others, as AddressService finds.
        """
        proxy, core = self.proxy, self.proxy.core
        old = core.identity
        new = Identity(
            Hop(inside, 5060),
            Hop(outside, 5060),
            {Side.INSIDE: inside, Side.OUTSIDE: self.bound(outside)},
            old.inside_networks,
            old.names,
        )
        if new.bound != old.bound:
            self.proxy.parts.listening.move(new.bound)
        core.identity = new
        proxy.hosts = dict(new.bound)
        for agent in (self.phone, self.other, self.provider):
            side = Side.OUTSIDE if agent is self.provider else Side.INSIDE
            agent.socket = proxy.socket(side)
        self.renewing.move(old, new)

    def bound(self, outside: str) -> str:
        return outside

    def media_hosts(self) -> set[str]:
        return {host for host, port in self.proxy.reactor.ports if port != 5060}

    def reply(self, invite: Request, status: int = 200, body: str = "") -> None:
        body = body or sdp("203.0.113.30", 6000)
        self.provider.reply(invite, status, body=body if status == 200 else "")

    def invites(self) -> list[Request]:
        """
        The re-INVITEs that came to the new address.
        """
        return self.provider.requests("INVITE")


class CallOutTests(RenewingCase):
    """
    The phone has called out, and the line gets another address (R9 of siproxd: sockets
    stay bound to the old one, and nobody is told).
    """

    def setUp(self) -> None:
        super().setUp()
        self.caller, self.callee = self.call_out()
        self.first = self.provider.last("INVITE")
        self.ports = self.proxy.rtp_ports

    def test_sockets(self) -> None:
        """
        Media sockets move with the ports that they have, and so does what was learned.
        """
        (call,) = self.proxy.parts.relaying.calls()
        leg = call.streams[0].callee
        self.hear(OLD, 4)
        self.assertEqual((leg.rtp.packets, self.sent_inside()), (4, 4))
        self.become()
        self.assertEqual(self.media_hosts(), {"10.0.0.1", NEW})
        self.assertEqual(self.proxy.rtp_ports, self.ports)
        self.hear(NEW, 3)
        self.assertEqual((leg.rtp.packets, self.sent_inside()), (7, 7))

    def hear(self, host: str, packets: int) -> None:
        """
        RTP of the callee comes to our socket on ``host``.
        """
        (call,) = self.proxy.parts.relaying.calls()
        port = self.proxy.reactor.ports[host, call.streams[0].callee_port]
        self.number = getattr(self, "number", 0)
        for _ in range(packets):
            self.number += 1
            number = self.number.to_bytes(2, "big")
            data = b"\x80\x08" + number + bytes(2) + number + b"\x01\x02\x03\x04" + bytes(160)
            port.deliver(data, ("203.0.113.30", 6000))

    def sent_inside(self) -> int:
        ports = self.proxy.reactor.ports
        (call,) = self.proxy.parts.relaying.calls()
        return len(ports["10.0.0.1", call.streams[0].caller_port].sent)

    def test_far_end_is_told(self) -> None:
        """
        The far end gets a re-INVITE of the phone's dialog: the last description with our
        new address and a higher version, and a Contact that leads to us.
        """
        self.become()
        (again,) = self.invites()
        headers = again.headers
        self.assertEqual(headers.from_, self.first.headers.from_)
        self.assertEqual(headers.to.tag, "to-tag")
        self.assertEqual(headers.cseq.number, 2)
        self.assertEqual(again.uri, "sip:server@203.0.113.20:5060")
        told = self.first.body.decode().replace(OLD, NEW).replace("5365 2353", "5365 2354")
        self.assertEqual(again.body.decode(), told)
        self.assertRegex(headers.get("contact") or "", f"@{NEW};line=")
        self.assertEqual(headers.values("record-route"), [f"<sip:{NEW};lr>"])
        self.assertNotIn(OLD, bytes(again).decode())
        self.assertEqual(self.phone.requests("INVITE"), [])

    def test_answered(self) -> None:
        """
        Its 2xx gets an ACK, each time; the call goes on and ends as always.
        """
        self.become()
        (again,) = self.invites()
        self.provider.reply(again, 100)
        for _ in range(2):
            self.reply(again, body=sdp("203.0.113.31", 6010))
        acks = [one for one in self.provider.requests("ACK") if one.headers.cseq.number == 2]
        self.assertEqual(len(acks), 2)
        (call,) = self.proxy.parts.relaying.calls()
        self.assertEqual(call.streams[0].callee.described, ("203.0.113.31", 6010))
        self.assertEqual(self.proxy.rtp_ports, self.ports)
        self.hang_up()

    def hang_up(self) -> None:
        self.caller.send("BYE")
        bye = self.provider.last("BYE")
        self.provider.reply(bye, 200)
        self.assertEqual(self.phone.statuses("BYE"), [200])
        self.assertEqual(self.phone.answer("BYE").headers.get("cseq"), f"{self.caller.cseq} BYE")
        self.assert_clean(self.phone.call_id)

    def test_phone_goes_on(self) -> None:
        """
        The phone learns nothing: its numbers and versions count on from ours outside,
        and back in what it hears.
        """
        self.become()
        self.reply(self.invites()[0])
        self.caller.send("INVITE", body=sdp("10.0.0.10", 4002))
        came = self.provider.last("INVITE")
        self.assertEqual(came.headers.cseq.number, 3)
        self.assertIn(b"o=- 5365 2354 IN", came.body)
        self.reply(came)
        self.assertEqual(self.phone.answer("INVITE").headers.get("cseq"), "2 INVITE")
        self.caller.send("ACK", cseq=2)
        self.assertEqual(self.provider.last("ACK").headers.cseq.number, 3)
        self.hang_up()

    def test_far_end_asks(self) -> None:
        """
        An answer of the phone to the far end has a higher version, too.
        """
        self.become()
        self.reply(self.invites()[0])
        self.callee.routes = [f"<sip:{NEW};lr>"]
        self.callee.target = self.invites()[0].headers.values("contact")[0].strip("<>")
        self.callee.send("INVITE", body=sdp("203.0.113.30", 6000))
        came = self.phone.last("INVITE")
        self.assertEqual(came.headers.cseq.number, 101)
        self.phone.reply(came, 200, body=sdp("10.0.0.10", 4000))
        answer = self.provider.answer("INVITE")
        self.assertIn(b"o=- 5365 2354 IN", answer.body)
        self.assertEqual(answer.headers.cseq.number, 101)

    def test_twice(self) -> None:
        """
        A second change is told as the first.
        """
        self.become()
        self.reply(self.invites()[-1])
        self.proxy.wait(1)
        self.become("203.0.113.78")
        again = self.invites()[-1]
        self.assertEqual(again.headers.cseq.number, 3)
        self.assertIn(b"o=- 5365 2355 IN IP4 203.0.113.78", again.body)
        self.assertEqual(self.media_hosts(), {"10.0.0.1", "203.0.113.78"})
        self.reply(again)
        self.hang_up()

    def test_and_back(self) -> None:
        """
        So is one back to the address that we had.
        """
        self.become()
        self.reply(self.invites()[-1])
        self.become(OLD)
        self.proxy.wait(1)
        self.assertIn(f"c=IN IP4 {OLD}".encode(), self.provider.last("INVITE").body)
        self.assertEqual(self.media_hosts(), {"10.0.0.1", OLD})

    def test_glare(self) -> None:
        """
        491 is asked again a little later, with a new number; not for ever.
        """
        self.become()
        for count in range(1, TRIES + 1):
            self.assertEqual(len(self.invites()), count)
            self.assertEqual(self.invites()[-1].headers.cseq.number, 1 + count)
            self.reply(self.invites()[-1], 491)
            self.proxy.wait(RETRY_SECONDS + 0.2)
        self.assertEqual(len(self.invites()), TRIES)
        self.hang_up()

    def test_refused(self) -> None:
        """
        A far end that refuses is left alone, and the call goes on.
        """
        self.become()
        self.reply(self.invites()[0], 407)
        self.proxy.wait(20)
        self.assertEqual(len(self.invites()), 1)
        self.hang_up()

    def test_silent(self) -> None:
        """
        A far end that says nothing is given up.
        """
        self.become()
        self.proxy.wait(40)
        self.assertIn("no answer", [one.get("why") for one in self.events])
        self.hang_up()

    def test_busy(self) -> None:
        """
        While the phone has an offer open itself it is not spoken for; afterwards it is.
        """
        self.caller.send("INVITE", body=sdp("10.0.0.10", 4002))
        came = self.provider.last("INVITE")
        self.become()
        self.proxy.wait(1)
        self.assertEqual(self.provider.last("INVITE"), came)
        self.reply(came, 488)
        self.proxy.wait(RETRY_SECONDS)
        again = self.provider.last("INVITE")
        self.assertEqual(again.headers.cseq.number, 3)
        self.assertEqual(
            again.body,
            self.first.body.replace(OLD.encode(), NEW.encode()).replace(b"5365 2353", b"5365 2354"),
        )

    def test_ack_on_its_way(self) -> None:
        """
        An ACK that comes after our INVITE has the number of its own.
        """
        self.caller.send("INVITE", body=sdp("10.0.0.10", 4002))
        self.reply(self.provider.last("INVITE"))
        self.become()
        self.assertEqual(self.provider.last("INVITE").headers.cseq.number, 3)
        self.caller.send("ACK", cseq=2)
        self.assertEqual(self.provider.last("ACK").headers.cseq.number, 2)

    def test_timer(self) -> None:
        """
        A session timer is repeated as it is, seen from the phone.
        """
        self.callee.send("UPDATE", headers=[("Session-Expires", "90")])
        self.phone.reply(
            self.phone.last("UPDATE"), 200, headers=[("Session-Expires", "90;refresher=uas")]
        )
        self.become()
        headers = self.provider.last("INVITE").headers
        self.assertEqual(headers.get("session-expires"), "90;refresher=uac")

    def test_hung_up(self) -> None:
        """
        Calls that are over before their turn are not told.
        """
        self.caller.send("BYE")
        self.provider.reply(self.provider.last("BYE"), 200)
        self.become()
        self.assert_clean(self.phone.call_id)
        self.assertEqual(len(self.invites()), 0)

    def test_cannot_be_invited(self) -> None:
        """
        Who does not take INVITE gets none.
        """
        self.callee.send(
            "UPDATE", headers=[("Allow", "ACK, BYE, UPDATE")], contact=self.provider.contact
        )
        self.phone.reply(self.phone.last("UPDATE"), 200)
        dialog = next(iter(self.proxy.dialogs))
        end = dialog.callees["to-tag"]
        dialog.callees["to-tag"] = replace(end, allow=("allow", "ACK, BYE", "Allow: ACK, BYE"))
        self.become()
        self.proxy.wait(1)
        self.assertEqual([one.headers.cseq.number for one in self.invites()], [])

    def test_port_is_taken(self) -> None:
        """
        A stream whose port another program has at the new address stays where it is.
        """
        (call,) = self.proxy.parts.relaying.calls()
        self.proxy.reactor.taken.add((NEW, call.streams[0].callee_port))
        self.become()
        self.assertEqual(self.media_hosts(), {"10.0.0.1", OLD})
        self.hang_up()

    def test_stopped(self) -> None:
        """
        Nothing is left when we stop in the middle.
        """
        self.become()
        self.reply(self.invites()[0], 491)
        self.renewing.stopService()
        self.assertFalse(self.renewing._stepping.running)


class CallInTests(RenewingCase):
    """
    The phone was called.
    """

    def test_far_end_is_told(self) -> None:
        """
        The caller gets a re-INVITE of the phone's, and the phone's own next request
        counts on.
        """
        _, callee = self.call_in()
        self.become()
        again = self.provider.last("INVITE")
        self.assertEqual(again.headers.cseq.number, 1)
        self.assertEqual(again.headers.from_.tag, "to-tag")
        self.assertRegex(again.headers.get("contact") or "", f"@{NEW};line=")
        self.assertIn(f"c=IN IP4 {NEW}".encode(), again.body)
        self.reply(again)
        callee.send("INFO", headers=[("Info-Package", "x")])
        self.assertEqual(self.provider.last("INFO").headers.cseq.number, 102)

    def test_inside_changes(self) -> None:
        """
        When it is the inside address that changes, it is the phone that is told.
        """
        self.call_in()
        before = self.phone.last("INVITE")
        self.become(OLD, "10.0.0.2")
        again = self.phone.last("INVITE")
        self.assertEqual(again.headers.cseq.number, 2)
        self.assertEqual(again.headers.get("contact"), before.headers.get("contact"))
        self.assertIn(b"c=IN IP4 10.0.0.2", again.body)
        self.assertEqual(self.media_hosts(), {"10.0.0.2", OLD})
        self.assertEqual(self.provider.requests("INVITE"), [])


class BehindRouterTests(RenewingCase):
    """
    One address for both sides, and the router before us gets another public one.
    """

    def make_proxy(self) -> Proxy:
        return Proxy("10.0.0.1/24", "10.0.0.1/24", f"host_outbound = {OLD}\n")

    def setUp(self) -> None:
        super().setUp()
        self.provider = Agent(self.proxy, "203.0.113.20", "server")

    def bound(self, outside: str) -> str:
        return "10.0.0.1"

    def test_told(self) -> None:
        """
        Sockets stay; the far end is told the new address.
        """
        self.registered(self.phone)
        self.call_out()
        ports = set(self.proxy.reactor.ports)
        self.become()
        again = self.provider.last("INVITE")
        self.assertEqual(again.headers.cseq.number, 2)
        self.assertIn(f"c=IN IP4 {NEW}".encode(), again.body)
        self.assertEqual(set(self.proxy.reactor.ports), ports)


class ManyTests(RenewingCase):
    """
    Many calls run.
    """

    text = "rtp_port_high = 7300\n"

    def test_paced(self) -> None:
        """
        They are not all told in the same moment; then nothing is left to do.
        """
        legs: list[Leg] = []
        for number in range(45):
            self.phone.call_id = f"call-{number}"
            legs.append(self.call_out()[0])
        counts: list[Any] = []
        self.become()
        for _ in range(4):
            counts.append(len(self.provider.requests("INVITE")))
            self.proxy.wait(0.1)
        self.assertEqual(counts, [20, 40, 45, 45])
        self.assertFalse(self.renewing._stepping.running)
