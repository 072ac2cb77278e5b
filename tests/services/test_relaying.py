"""
Tests for siptwist.services.relaying.
"""

from __future__ import annotations

import random
from typing import Any

from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from siptwist.errors import NoFreePorts, SIPError
from siptwist.interfaces import IMediaBackend
from siptwist.media.latch import Address
from siptwist.media.stream import CallKey, Endpoint, Party, StreamOffer
from siptwist.net.rtp import relay
from siptwist.services.relaying import RelayingService
from siptwist.sip import stun
from siptwist.sip.hop import Side
from tests.media.packets import DTLS, STUN, rtcp, rtp
from tests.media.test_ice import check
from tests.net.fakes_udp import MemoryUDPPort, MemoryUDPReactor
from tests.net.rtp.test_relay import FakeFDReactor, FakePoll, FakeSocket

INSIDE, OUTSIDE, PUBLIC = "10.0.0.1", "192.0.2.1", "203.0.113.1"
MOVED = "203.0.113.99"
PHONE, FRIEND = ("10.0.0.10", 4000), ("203.0.113.10", 5000)
STRANGER = ("198.51.100.66", 4000)
KEY = CallKey("call-1", "tag", Side.INSIDE, Side.OUTSIDE)


def lines(at: Address, *ports: int, held: bool = False) -> tuple[StreamOffer, ...]:
    return tuple(
        StreamOffer(n, "audio", Endpoint(at[0], port, port + 1 if port else 0), held)
        for n, port in enumerate(ports or [at[1]])
    )


class WatchingClock(Clock, FakeFDReactor):
    """
    A clock that knows file descriptors.
    """

    def __init__(self) -> None:
        Clock.__init__(self)
        FakeFDReactor.__init__(self)


class RelayingCase(SynchronousTestCase):
    low, high = 7000, 7099
    rtp_timeout = 30.0

    def setUp(self) -> None:
        self.reactor = MemoryUDPReactor()
        self.addresses = {Side.INSIDE: (INSIDE, INSIDE), Side.OUTSIDE: (OUTSIDE, PUBLIC)}
        self.wide: dict[Side, tuple[str, str]] = {}
        self.silenced: list[CallKey] = []
        self.service = RelayingService(
            self.reactor,
            self.addresses_of,
            random.Random(1).randrange,
            self.low,
            self.high,
            rtp_timeout=self.rtp_timeout,
            on_silence=self.silenced.append,
        )
        self.service.startService()
        self.addCleanup(self.service.stopService)
        self.events: list[Any] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)

    def addresses_of(self, side: Side, wide: bool, near: str) -> tuple[str, str]:
        return self.wide.get(side, self.addresses[side]) if wide else self.addresses[side]

    def caller(self, *ports: int, key: CallKey = KEY, held: bool = False) -> tuple[Endpoint, ...]:
        offered = lines(PHONE, *ports, held=held)
        return self.service.describe(key, Party.CALLER, offered, PHONE[0], True)

    def callee(
        self, *ports: int, key: CallKey = KEY, branch: str = "b", at: Address = FRIEND
    ) -> tuple[Endpoint, ...]:
        answered = lines(at, *ports)
        return self.service.describe(key, Party.CALLEE, answered, at[0], False, branch)

    def establish(self, key: CallKey = KEY) -> tuple[MemoryUDPPort, MemoryUDPPort]:
        """
        Our RTP ports that face caller and callee.
        """
        (facing_callee,) = self.caller(key=key)
        (facing_caller,) = self.callee(key=key)
        self.service.confirm(key, "b")
        return self.port(INSIDE, facing_caller.rtp_port), self.port(OUTSIDE, facing_callee.rtp_port)

    def port(self, host: str, number: int) -> MemoryUDPPort:
        return self.reactor.ports[host, number]


class ICETests(RelayingCase):
    """
    ice = lite.
    """

    def setUp(self) -> None:
        super().setUp()
        self.service.stopService()
        self.service = RelayingService(
            self.reactor,
            self.addresses_of,
            random.Random(1).randrange,
            self.low,
            self.high,
            ice=True,
        )

    def told(self, party: Party, at: Address, has_ice: bool) -> Endpoint:
        (offered,) = lines(at)
        streams = (offered._replace(has_ice=has_ice),)
        is_offer = party is Party.CALLER
        (told,) = self.service.describe(
            KEY, party, streams, at[0], is_offer, "" if is_offer else "b"
        )
        return told

    def test_offer(self) -> None:
        """
        Everybody is offered ICE; only who offered it is answered with it.
        """
        for has_ice in (False, True):
            self.assertIsNotNone(self.told(Party.CALLER, PHONE, has_ice).ice)
            answer = self.told(Party.CALLEE, FRIEND, False)
            self.assertEqual(answer.ice is not None, has_ice)
            self.service.close(KEY, "BYE")

    def test_credentials(self) -> None:
        """
        Each party, and each call, has credentials of its own.
        """
        found = set()
        for _ in range(2):
            found.add(self.told(Party.CALLER, PHONE, True).ice)
            found.add(self.told(Party.CALLEE, FRIEND, True).ice)
            self.service.close(KEY, "BYE")
        self.assertEqual(len(found), 4)

    def test_check(self) -> None:
        """
        A party that nobody could have found is heard and served once its check is answered.
        """
        self.told(Party.CALLER, PHONE, False)
        ours = self.told(Party.CALLEE, FRIEND, True)
        offered = self.told(Party.CALLER, PHONE, False)
        assert offered.ice is not None
        self.assertIsNone(ours.ice)
        facing = self.port(OUTSIDE, offered.rtp_port)
        facing.deliver(check(ours=offered.ice, nominates=True), STRANGER)
        ((answer, to),) = facing.sent
        self.assertEqual((stun.Message.parse(answer).type, to), (stun.SUCCESS, STRANGER))
        facing.deliver(rtp(1), STRANGER)
        phone = self.port(INSIDE, ours.rtp_port)
        self.assertEqual(phone.sent, [(rtp(1), PHONE)])
        phone.deliver(rtp(7), PHONE)
        self.assertEqual(facing.sent[-1], (rtp(7), STRANGER))


class DejitterTests(RelayingCase):
    """
    rtp_input_dejitter and rtp_output_dejitter; F3 of siproxd: its own lost every packet.
    """

    def delays(self, **delays: float) -> list[float]:
        """
        When packets of the phone and of the world leave that come at once.
        """
        self.service.stopService()
        self.service = RelayingService(
            self.reactor,
            self.addresses_of,
            random.Random(1).randrange,
            self.low,
            self.high,
            dejitter={Side[side]: delay for side, delay in delays.items()},
        )
        self.addCleanup(self.service.stopService)
        near, far = self.establish()
        near.deliver(rtp(1), PHONE)
        far.deliver(rtp(1), FRIEND)
        left = [float("inf")] * 2
        for _ in range(100):
            for n, port in enumerate((far, near)):
                if port.sent and left[n] == float("inf"):
                    left[n] = round(self.reactor.seconds(), 2)
            self.reactor.advance(0.01)
        self.service.close(KEY, "BYE")
        return left

    def test_off(self) -> None:
        """
        By default no packet waits.
        """
        self.assertEqual(self.delays(), [0.0, 0.0])

    def test_from_outside(self) -> None:
        """
        What comes from outside waits, and arrives.
        """
        self.assertEqual(self.delays(OUTSIDE=0.05), [0.0, 0.05])

    def test_from_phones(self) -> None:
        """
        What comes from phones waits, and arrives.
        """
        self.assertEqual(self.delays(INSIDE=0.05), [0.05, 0.0])

    def test_closed(self) -> None:
        """
        A call that ends while packets wait leaves no timer.
        """
        self.delays(INSIDE=0.2, OUTSIDE=0.2)
        self.assertEqual(self.reactor.getDelayedCalls(), [])


class BackendTests(RelayingCase):
    def test_interface(self) -> None:
        """
        The service is a media backend.
        """
        self.assertTrue(verifyObject(IMediaBackend, self.service))

    def test_ports(self) -> None:
        """
        An offer binds an RTP and an RTCP port on each side, and tells the advertised host.
        """
        (told,) = self.caller()
        self.assertEqual((told.host, told.rtcp_port), (PUBLIC, told.rtp_port + 1))
        hosts = sorted(host for host, _ in self.reactor.ports)
        self.assertEqual(hosts, [INSIDE, INSIDE, OUTSIDE, OUTSIDE])
        self.assertIn((OUTSIDE, told.rtp_port), self.reactor.ports)

    def test_both_directions(self) -> None:
        """
        Media pass both ways, each from the port that the receiver knows.
        """
        inside, outside = self.establish()
        inside.deliver(rtp(1), PHONE)
        outside.deliver(rtp(2), FRIEND)
        self.assertEqual((outside.sent, inside.sent), ([(rtp(1), FRIEND)], [(rtp(2), PHONE)]))

    def test_rtcp(self) -> None:
        """
        RTCP passes beside RTP.
        """
        inside, outside = self.establish()
        near = self.port(INSIDE, inside.address[1] + 1)
        near.deliver(rtcp(), (PHONE[0], PHONE[1] + 1))
        far = self.port(OUTSIDE, outside.address[1] + 1)
        self.assertEqual(far.sent, [(rtcp(), (FRIEND[0], FRIEND[1] + 1))])

    def test_early_media(self) -> None:
        """
        Ringing tones reach the caller before the call is answered.
        """
        (facing_callee,) = self.caller()
        (facing_caller,) = self.callee()
        self.port(OUTSIDE, facing_callee.rtp_port).deliver(rtp(1), FRIEND)
        self.assertEqual(self.port(INSIDE, facing_caller.rtp_port).sent, [(rtp(1), PHONE)])

    def test_far_end_nat(self) -> None:
        """
        A party behind NAT is answered where its media come from (F18 of siproxd).
        """
        inside, outside = self.establish()
        moved = (FRIEND[0], 61000)
        outside.deliver(rtp(1), moved)
        inside.deliver(rtp(2), PHONE)
        self.assertEqual(outside.sent, [(rtp(2), moved)])

    def test_fax(self) -> None:
        """
        A fax stream is relayed although it is no RTP.
        """
        image = (StreamOffer(0, "image", Endpoint(*PHONE, 4001), proto="udptl"),)
        (told,) = self.service.describe(KEY, Party.CALLER, image, PHONE[0], True)
        answer = (StreamOffer(0, "image", Endpoint(*FRIEND, 5001), proto="udptl"),)
        self.service.describe(KEY, Party.CALLEE, answer, FRIEND[0], False, "b")
        (stream,) = next(iter(self.service.calls())).streams.values()
        self.port(OUTSIDE, told.rtp_port).deliver(b"\0\1fax", FRIEND)
        self.assertEqual(self.port(INSIDE, stream.caller_port).sent, [(b"\0\1fax", PHONE)])

    def test_hairpin(self) -> None:
        """
        A call that leaves and comes back in is joined from port to port.
        """
        back = CallKey("call-1", "tag", Side.OUTSIDE, Side.INSIDE)
        other = ("10.0.0.11", 4000)
        (out,) = self.caller()
        offered = lines((PUBLIC, out.rtp_port))
        (ringing,) = self.service.describe(back, Party.CALLER, offered, FRIEND[0], True)
        (answered,) = self.callee(key=back, at=other)
        (told,) = self.callee(at=(PUBLIC, answered.rtp_port))
        self.assertEqual((ringing.host, told.host), (INSIDE, INSIDE))
        self.port(INSIDE, told.rtp_port).deliver(rtp(1), PHONE)
        ((data, to),) = self.port(OUTSIDE, out.rtp_port).sent
        self.assertEqual(to, (OUTSIDE, answered.rtp_port))
        self.port(*to).deliver(data, (OUTSIDE, out.rtp_port))
        self.assertEqual(self.port(INSIDE, ringing.rtp_port).sent, [(rtp(1), other)])

    def test_answer_to_nothing(self) -> None:
        """
        An answer to an offer that nobody saw is refused; one without media is let be.
        """
        error = self.assertRaises(SIPError, self.callee)
        self.assertEqual((error.status, self.callee(0)), (481, (Endpoint(INSIDE, 0, 0),)))
        self.assertEqual(list(self.service.calls()), [])

    def test_offer_without_media(self) -> None:
        """
        A call without media costs nothing.
        """
        self.assertEqual(self.caller(0), (Endpoint(PUBLIC, 0, 0),))
        self.assertEqual((list(self.service.calls()), self.reactor.ports), ([], {}))

    def test_unknown_calls(self) -> None:
        """
        To confirm, reject or close a call that is not known does nothing.
        """
        self.service.confirm(KEY, "b")
        self.service.reject(KEY, Party.CALLER)
        self.service.close(KEY, "BYE")
        self.assertEqual(list(self.service.calls()), [])

    def test_address_changes(self) -> None:
        """
        New calls use the address of the moment.
        """
        self.addresses[Side.OUTSIDE] = ("192.0.2.9", "203.0.113.9")
        (told,) = self.caller()
        self.assertEqual(told.host, "203.0.113.9")
        self.assertIn(("192.0.2.9", told.rtp_port), self.reactor.ports)


class HairpinTests(RelayingCase):
    """
    A call that leaves and comes back in, relayed: one hop, and not two.
    """

    BACK = CallKey("call-1", "tag", Side.OUTSIDE, Side.INSIDE)
    OTHER = ("10.0.0.11", 4000)

    def setUp(self) -> None:
        super().setUp()
        self.negotiate()
        for key in (self.BACK, KEY):
            self.service.confirm(key, "b")

    def told_of(self, told: tuple[Endpoint, ...]) -> tuple[StreamOffer, ...]:
        """
        What we told, as it comes back in.
        """
        return tuple(StreamOffer(n, "audio", one) for n, one in enumerate(told))

    def negotiate(self, *ports: int, answered: bool = True) -> None:
        out = self.told_of(self.caller(*ports))
        self.ringing = self.service.describe(self.BACK, Party.CALLER, out, FRIEND[0], True)
        if answered:
            back = self.told_of(self.callee(*ports, key=self.BACK, at=self.OTHER))
            self.told = self.service.describe(KEY, Party.CALLEE, back, FRIEND[0], False, "b")

    def pass_on(self) -> list[int]:
        """
        How many packets leave each of our ports when both phones send one.
        """
        near = self.port(INSIDE, self.told[0].rtp_port)
        far = self.port(INSIDE, self.ringing[0].rtp_port)
        world = [port for (host, _), port in self.reactor.ports.items() if host != INSIDE]
        for port in (near, far, *world):
            port.sent.clear()
        near.deliver(rtp(1), PHONE)
        far.deliver(rtp(2), self.OTHER)
        for port in (near, far):
            for _, to in port.sent:
                self.assertIn(to, (PHONE, self.OTHER))
        return [len(near.sent), len(far.sent), sum(len(port.sent) for port in world)]

    def test_one_hop(self) -> None:
        """
        Media go from one phone's port to the other's, RTCP as well.
        """
        self.assertEqual(self.pass_on(), [1, 1, 0])
        near = self.port(INSIDE, self.told[0].rtcp_port)
        near.deliver(rtcp(), (PHONE[0], PHONE[1] + 1))
        far = self.port(INSIDE, self.ringing[0].rtcp_port)
        self.assertEqual(far.sent, [(rtcp(), (self.OTHER[0], self.OTHER[1] + 1))])

    def test_counted(self) -> None:
        """
        Both passes count both phones, also when one pass has ended.
        """
        self.pass_on()
        counts = [[one.packets(p) for p in Party] for one in self.service.calls()]
        self.service.close(self.BACK, "BYE")
        (left,) = self.service.calls()
        counts.append([left.packets(party) for party in Party])
        self.assertEqual(counts, [[1, 1]] * 3)
        heard = [left.streams[0].leg(party).rtp.quality().payload_type for party in Party]
        self.assertEqual(heard, [0, 0])

    def test_new_offer(self) -> None:
        """
        While one of them offers anew media take the long way, afterwards the short one again.
        """
        self.negotiate(answered=False)
        self.assertEqual(len(self.service._bridges), 0)
        for key in (self.BACK, KEY):
            self.service.reject(key, Party.CALLER)
        self.assertEqual(self.pass_on(), [1, 1, 0])
        self.negotiate(4000, 4002)
        for key in (self.BACK, KEY):
            self.service.settle(key)
        self.assertEqual((self.pass_on(), len(self.service._bridges)), ([1, 1, 0], 4))

    def test_moved(self) -> None:
        """
        When our outside address changes, the phones inside do not notice.
        """
        self.addresses[Side.OUTSIDE] = ("192.0.2.9", "203.0.113.9")
        self.service.move(Side.OUTSIDE)
        self.assertEqual((self.pass_on(), len(self.service._bridges)), ([1, 1, 0], 2))

    def test_ended(self) -> None:
        """
        In whatever order the passes end, nothing is left.
        """
        for keys in ((KEY, self.BACK), (self.BACK, KEY)):
            for key in keys:
                self.service.close(key, "BYE")
            self.assertEqual((len(self.service._bridges), self.reactor.ports), (0, {}))
            self.negotiate()
            for key in keys:
                self.service.confirm(key, "b")
            self.assertEqual(len(self.service._bridges), 2)

    def test_not_agreed(self) -> None:
        """
        A pass that nobody has answered yet, or that leads elsewhere, is not bridged.
        """
        for key in (KEY, self.BACK):
            self.service.close(key, "BYE")
        self.negotiate()
        self.service.confirm(self.BACK, "b")
        self.assertEqual(len(self.service._bridges), 0)
        self.callee(at=FRIEND)
        self.service.confirm(KEY, "b")
        self.assertEqual(len(self.service._bridges), 0)


class FamilyTests(RelayingCase):
    """
    IPv6 beside IPv4.
    """

    WIDE, PHONE6 = "2001:db8::1", ("2001:db8::10", 4000)

    def test_between(self) -> None:
        """
        A phone that describes IPv6 talks with a friend who has IPv4 only.
        """
        self.wide[Side.INSIDE] = (self.WIDE, self.WIDE)
        offered = lines(self.PHONE6)
        (out,) = self.service.describe(
            KEY, Party.CALLER, offered, self.PHONE6[0], True, "", (FRIEND[0],)
        )
        (told,) = self.callee()
        self.assertEqual((out.host, told.host), (PUBLIC, self.WIDE))
        inside, outside = self.port(self.WIDE, told.rtp_port), self.port(OUTSIDE, out.rtp_port)
        inside.deliver(rtp(1), self.PHONE6)
        outside.deliver(rtp(2), FRIEND)
        self.assertEqual((outside.sent, inside.sent), ([(rtp(1), FRIEND)], [(rtp(2), self.PHONE6)]))

    def test_toward(self) -> None:
        """
        A peer that is reached by IPv6 is told our IPv6 address, and not the phone.
        """
        self.wide[Side.OUTSIDE] = (self.WIDE, self.WIDE)
        (out,) = self.service.describe(
            KEY, Party.CALLER, lines(PHONE), PHONE[0], True, "", ("2001:db8::99",)
        )
        hosts = sorted(host for host, _ in self.reactor.ports)
        self.assertEqual((out.host, hosts), (self.WIDE, [INSIDE] * 2 + [self.WIDE] * 2))

    def test_without(self) -> None:
        """
        A side without an IPv6 address is told of IPv4, whatever a phone describes.
        """
        offered = lines(self.PHONE6)
        (out,) = self.service.describe(KEY, Party.CALLER, offered, PHONE[0], True)
        (told,) = self.callee()
        self.assertEqual((out.host, told.host), (PUBLIC, INSIDE))


class ReofferTests(RelayingCase):
    def test_rejected(self) -> None:
        """
        A rejected re-INVITE keeps the audio and closes what it had opened (F1 of siproxd).
        """
        inside, outside = self.establish()
        self.caller(4000, 4002)
        self.assertEqual(len(self.reactor.ports), 8)
        self.service.reject(KEY, Party.CALLER)
        self.assertEqual(len(self.reactor.ports), 4)
        inside.deliver(rtp(1), PHONE)
        self.assertEqual(outside.sent, [(rtp(1), FRIEND)])

    def test_same_ports(self) -> None:
        """
        Repeated and renewed offers are told the same ports.
        """
        first = self.caller()
        self.callee()
        self.service.confirm(KEY, "b")
        self.assertEqual([self.caller(), self.caller(4400)], [first, first])

    def test_stream_refused(self) -> None:
        """
        A stream that the answer refuses has no ports.
        """
        self.caller(4000, 4002)
        told = self.callee(5000, 0)
        self.service.confirm(KEY, "b")
        self.assertEqual((told[1].rtp_port, len(self.reactor.ports)), (0, 4))

    def test_no_room_for_more(self) -> None:
        """
        When a re-INVITE finds no ports it is refused and the call goes on.
        """
        inside, outside = self.establish()
        self.reactor.descriptors = 6
        self.assertRaises(NoFreePorts, self.caller, 4000, 4002)
        self.assertEqual(len(self.reactor.ports), 4)
        self.callee()
        inside.deliver(rtp(1), PHONE)
        self.assertEqual(outside.sent, [(rtp(1), FRIEND)])


class AttackTests(RelayingCase):
    """
    RTP Bleed and RTP Inject (bar B11; S5 of siproxd).
    """

    def spray(self) -> None:
        for port in list(self.reactor.ports.values()):
            for data in (
                rtp(1),
                rtp(2),
                rtp(3),
                rtp(4),
                rtp(5),
                rtcp(),
                STUN,
                DTLS,
                b"\x80\xc9\0\0",
            ):
                port.deliver(data, STRANGER)

    def test_nothing_in_nothing_out(self) -> None:
        """
        A stranger who sprays every port before, during and after set-up injects
        nothing, receives nothing, and is counted.
        """
        (facing_callee,) = self.caller()
        self.spray()
        (facing_caller,) = self.callee()
        self.spray()
        self.service.confirm(KEY, "b")
        inside = self.port(INSIDE, facing_caller.rtp_port)
        outside = self.port(OUTSIDE, facing_callee.rtp_port)
        for n in range(6):
            inside.deliver(rtp(n), PHONE)
            outside.deliver(rtp(n), FRIEND)
            self.spray()
        self.assertEqual(outside.sent, [(rtp(n), FRIEND) for n in range(6)])
        self.assertEqual(inside.sent, [(rtp(n), PHONE) for n in range(6)])
        sent = [to for port in self.reactor.ports.values() for _, to in port.sent]
        self.assertNotIn(STRANGER, sent)
        (call,) = self.service.calls()
        self.assertEqual((call.strangers, call.packets(Party.CALLER)), (8 * 4 * 9, 6))

    def test_lock_survives_new_port(self) -> None:
        """
        Once settled, not even another port of the party's host is heard.
        """
        inside, outside = self.establish()
        for n in range(5):
            outside.deliver(rtp(n), FRIEND)
        outside.deliver(rtp(9), (FRIEND[0], 9999))
        inside.deliver(rtp(1), PHONE)
        self.assertEqual((len(inside.sent), outside.sent), (5, [(rtp(1), FRIEND)]))


class ExhaustionTests(RelayingCase):
    low, high = 7000, 7003

    def test_refused(self) -> None:
        """
        With the pool empty a call is refused, never silent (F6 of siproxd).
        """
        for name in ("one", "two"):
            self.caller(key=CallKey(name, "t", Side.INSIDE, Side.OUTSIDE))
        error = self.assertRaises(NoFreePorts, self.caller)
        self.assertEqual((error.status, error.retry_after), (503, 10))
        self.assertEqual((len(self.reactor.ports), len(list(self.service.calls()))), (8, 2))

    def test_nothing_leaks(self) -> None:
        """
        A call that could have only some of its ports leaves none behind.
        """
        self.assertRaises(NoFreePorts, self.caller, 4000, 4002, 4004)
        self.assertEqual((self.reactor.ports, list(self.service.calls())), ({}, []))
        self.caller(4000, 4002)
        self.assertEqual(len(self.reactor.ports), 8)

    def test_shared_pool(self) -> None:
        """
        Where both sides are one address they share its ports.
        """
        self.addresses[Side.INSIDE] = self.addresses[Side.OUTSIDE]
        self.caller()
        other = CallKey("two", "t", Side.INSIDE, Side.OUTSIDE)
        self.assertRaises(NoFreePorts, self.caller, key=other)
        self.assertEqual(len(self.reactor.ports), 4)

    def test_freed(self) -> None:
        """
        A call that ended makes room for the next at once.
        """
        for n in range(20):
            key = CallKey(str(n), "t", Side.INSIDE, Side.OUTSIDE)
            self.caller(4000, 4002, key=key)
            self.service.close(key, "486")
        self.assertEqual(self.reactor.ports, {})


class EndTests(RelayingCase):
    def test_closed(self) -> None:
        """
        BYE closes every socket of the call, and no other call's.
        """
        other = CallKey("other", "t", Side.INSIDE, Side.OUTSIDE)
        inside, outside = self.establish(other)
        self.establish()
        self.service.close(KEY, "BYE")
        self.assertEqual(len(self.reactor.ports), 4)
        inside.deliver(rtp(1), PHONE)
        self.assertEqual(outside.sent, [(rtp(1), FRIEND)])

    def test_forgotten(self) -> None:
        """
        Calls that come and go leave nothing behind in memory.
        """
        for n in range(20):
            key = CallKey(str(n), "t", Side.INSIDE, Side.OUTSIDE)
            self.establish(key)
            self.service.close(key, "BYE")
        kept = (len(self.service._table), len(self.service._table.ours), self.service._relays)
        self.assertEqual(kept, (0, 0, {}))

    def test_log(self) -> None:
        """
        The end of a call is one line: why, how long, how many packets each way.
        """
        inside, _ = self.establish()
        inside.deliver(rtp(1), PHONE)
        inside.deliver(rtp(1), STRANGER)
        self.reactor.advance(2.0)
        self.service.close(KEY, "BYE")
        told = [event for event in self.events if event.get("reason") == "BYE"]
        self.assertIn("no packets from the far side", told[0]["record"].verdict)
        facts = [(e["call_id"], e["sent"], e["received"], e["strangers"]) for e in told]
        self.assertEqual((facts, told[0]["seconds"]), ([("call-1", 1, 0, 1)], 2.0))
        self.assertEqual(told[0]["log_namespace"], "siptwist.services.relaying.RelayingService")

    def test_silence(self) -> None:
        """
        A call without media is closed after rtp_timeout, and the signaling is told.
        """
        self.establish()
        self.reactor.pump([1.0] * 29)
        self.assertEqual((self.silenced, len(self.reactor.ports)), ([], 4))
        self.reactor.pump([1.0] * 6)
        self.assertEqual((self.silenced, self.reactor.ports), ([KEY], {}))

    def test_one_way_call_keeps_no_other(self) -> None:
        """
        Media of one party alone keep its own call, and no other one that is silent
        (F4 of siproxd: they kept the first call of its table, and ended it with theirs).
        """
        other = CallKey("other", "t", Side.INSIDE, Side.OUTSIDE)
        self.establish(other)
        _, outside = self.establish()
        for n in range(10):
            outside.deliver(rtp(n), FRIEND)
            self.reactor.pump([5.0])
        self.assertEqual((self.silenced, len(self.reactor.ports)), ([other], 4))
        self.service.close(KEY, "BYE")
        inside, outside = self.establish(other)
        self.service.close(KEY, "BYE")
        inside.deliver(rtp(1), PHONE)
        self.assertEqual(outside.sent, [(rtp(1), FRIEND)])

    def test_media_keep_a_call(self) -> None:
        """
        A packet now and then keeps the call.
        """
        _, outside = self.establish()
        for n in range(10):
            outside.deliver(rtp(n), FRIEND)
            self.reactor.pump([5.0] * 4)
        self.assertEqual((self.silenced, len(self.reactor.ports)), ([], 4))

    def test_hold_is_not_silence(self) -> None:
        """
        A call on hold keeps its ports (F8 of siproxd).
        """
        self.establish()
        self.caller(held=True)
        self.callee()
        self.reactor.pump([60.0] * 60)
        self.assertEqual((self.silenced, len(self.reactor.ports)), ([], 4))

    def test_fault_of_listener(self) -> None:
        """
        A fault where silence is told does not end the watch over other calls.
        """
        self.service.on_silence = {}.__getitem__
        for name in ("one", "two"):
            self.establish(CallKey(name, "t", Side.INSIDE, Side.OUTSIDE))
            self.reactor.pump([5.0] * 8)
        self.assertEqual((len(self.flushLoggedErrors(KeyError)), self.reactor.ports), (2, {}))

    def test_stopped(self) -> None:
        """
        A stopped service has no sockets and no timers left.
        """
        self.establish()
        self.service.stopService()
        self.assertEqual((self.reactor.ports, self.reactor.getDelayedCalls()), ({}, []))


class WatchedServiceTests(SynchronousTestCase):
    def test_stopped(self) -> None:
        """
        A stopped service leaves nothing in a reactor that watches file descriptors.
        """
        self.patch(relay, "bind_socket", lambda host, port: FakeSocket(port))
        self.patch(relay.select, "epoll", FakePoll)
        reactor = WatchingClock()
        service = RelayingService(
            reactor,
            lambda side, wide, near: (INSIDE, INSIDE),
            random.Random(1).randrange,
            7000,
            7099,
        )
        service.startService()
        service.describe(KEY, Party.CALLER, lines(PHONE), PHONE[0], True)
        self.assertEqual(len(reactor.readers), 1)
        service.stopService()
        self.assertEqual((reactor.readers, reactor.getDelayedCalls()), ([], []))


class NoTimeoutTests(RelayingCase):
    rtp_timeout = 0.0

    def test_never_silent(self) -> None:
        """
        With rtp_timeout 0 a silent call is kept.
        """
        self.establish()
        self.reactor.pump([3600.0] * 48)
        self.assertEqual((self.silenced, len(self.reactor.ports)), ([], 4))


class MoveTests(RelayingCase):
    """
    Our outside address changes while calls run.
    """

    def setUp(self) -> None:
        super().setUp()
        self.facing_caller, self.facing_callee = self.establish()
        self.addresses = {**self.addresses, Side.OUTSIDE: (MOVED, MOVED)}

    def hosts(self) -> list[str]:
        return sorted(host for host, _ in self.reactor.ports)

    def test_ports_stay(self) -> None:
        """
        The sockets that face the side follow with their ports, the others stay.
        """
        before = sorted(port for _, port in self.reactor.ports)
        self.service.move(Side.OUTSIDE)
        self.assertEqual(sorted(port for _, port in self.reactor.ports), before)
        self.assertEqual(self.hosts(), sorted([INSIDE] * 2 + [MOVED] * 2))
        self.service.close(KEY, "BYE")
        self.assertEqual(self.reactor.ports, {})

    def test_relayed(self) -> None:
        """
        Packets go both ways at once, and what was learned counts on.
        """
        self.service.move(Side.OUTSIDE)
        facing_callee = self.port(MOVED, self.facing_callee.address[1])
        (call,) = self.service.calls()
        for number in range(5):
            packet = b"\x80\x00" + number.to_bytes(2, "big") + bytes(4) + b"\x00\x00\x00\x07"
            facing_callee.deliver(packet + bytes(160), FRIEND)
            self.facing_caller.deliver(packet + bytes(160), PHONE)
        self.assertEqual((len(facing_callee.sent), len(self.facing_caller.sent)), (5, 5))
        self.assertEqual([call.packets(party) for party in Party], [5, 5])

    def test_pending_stream(self) -> None:
        """
        A stream that is offered and not answered yet moves as well.
        """
        self.caller(4000, 4010)
        self.service.move(Side.OUTSIDE)
        self.assertEqual(self.hosts(), sorted([INSIDE] * 4 + [MOVED] * 4))

    def test_other_side(self) -> None:
        """
        Nothing moves where nothing has changed.
        """
        self.service.move(Side.INSIDE)
        self.assertEqual(self.hosts(), sorted([INSIDE] * 2 + [OUTSIDE] * 2))

    def test_told_only(self) -> None:
        """
        When just the router before us has another address, that one is ours from now
        on: a call that comes back by it is known.
        """
        self.addresses[Side.OUTSIDE] = (OUTSIDE, MOVED)
        ours = self.service._table.ours
        self.assertFalse(ours.has(MOVED))
        self.service.move(Side.OUTSIDE)
        self.assertEqual(self.hosts(), sorted([INSIDE] * 2 + [OUTSIDE] * 2))
        port = self.facing_callee.address[1]
        self.assertIsNotNone(ours.owner((MOVED, port)))
        self.service.close(KEY, "BYE")
        self.assertEqual(len(ours), 0)

    def test_pools(self) -> None:
        """
        The ports of addresses that were ours are forgotten, however many there were.
        """
        for number in range(20):
            host = f"203.0.113.{100 + number}"
            self.addresses[Side.OUTSIDE] = (host, host)
            self.service.move(Side.OUTSIDE)
        self.assertEqual(set(self.service._pools), {INSIDE, "203.0.113.119"})
