"""
Tests for siptwist.media.calltable: who is found, and who needs no ports of ours
(F23 of siproxd: media of two phones inside always took the way through it).
"""

from __future__ import annotations

from siptwist.media.calls import Description, MediaCall
from siptwist.media.calltable import CallTable
from siptwist.media.ice import Agent
from siptwist.media.stream import CallKey, Endpoint, Party
from siptwist.sip.hop import Side
from siptwist.sip.sdp import Credentials
from tests.media.test_calls import KEY, TIMEOUTS, CallCase, line

ALICE, CAROL = "10.0.0.10", "10.0.0.12"
INSIDE, PUBLIC = "10.0.0.1", "203.0.113.1"
LOCAL = CallKey("call", "tag", Side.INSIDE, Side.INSIDE)
BACK = CallKey("call", "tag", Side.OUTSIDE, Side.INSIDE)


class CallTableTests(CallCase):
    def test_found(self) -> None:
        """
        A call is found by its key, and the other pass of a hairpin call is another.
        """
        other = CallKey("call", "tag", Side.OUTSIDE, Side.INSIDE)
        self.assertEqual((self.table.get(KEY), self.table.get(other)), (self.call, None))

    def test_pop(self) -> None:
        """
        A forgotten call is gone, and forgetting again does nothing.
        """
        self.assertEqual((self.table.pop(KEY), self.table.pop(KEY)), (self.call, None))
        self.assertEqual((len(self.table), list(self.table)), (0, []))

    def test_silent(self) -> None:
        """
        The table names its silent calls only.
        """
        self.establish()
        busy = self.table.new(CallKey("busy", "t", Side.INSIDE, Side.OUTSIDE), 900.0)
        self.table.add(busy)
        self.assertEqual(self.table.silent(1000.0, *TIMEOUTS), [self.call])


class ShortcutCase(CallCase):
    """
    Alice and Carol are inside, and so are others in 10.0.0.0/24.
    """

    def setUp(self) -> None:
        super().setUp()
        self.table = CallTable(lambda one, other: one[:7] == other[:7] == "10.0.0.")

    def call_of(self, key: CallKey) -> MediaCall:
        found = self.table.get(key)
        if found is None:
            found = self.table.new(key, 0.0)
            self.table.add(found)
        return found

    def tell(
        self,
        key: CallKey,
        description: Description,
        receivers: tuple[str, ...],
        offer: bool,
        host: str = INSIDE,
    ) -> Endpoint:
        """
        What the other party is told of the first stream.
        """
        call = self.call_of(key)
        if offer:
            opened = self.opened(call, description.streams)
            for one in opened:
                self.table.ours.add(one, *(INSIDE if s is Side.INSIDE else PUBLIC for s in key[2:]))
            call.offer(description, opened, 0.0)
        else:
            call.answer(description, 0.0)
        return self.table.tell(call, description, offer, receivers, host)[0]

    def alice(self, port: int = 4000, host: str = ALICE, at: str = ALICE) -> Description:
        return Description(Party.CALLER, (line(0, host, port),), at)

    def carol(self, port: int = 5000, host: str = CAROL, at: str = CAROL) -> Description:
        return Description(Party.CALLEE, (line(0, host, port),), at, "c")


class DirectTests(ShortcutCase):
    """
    A call from phone to phone.
    """

    def test_both(self) -> None:
        """
        Two phones in one network are told where the other is.
        """
        told = [
            self.tell(LOCAL, self.alice(), (CAROL,), True),
            self.tell(LOCAL, self.carol(), (ALICE,), False),
        ]
        self.assertEqual(told, [Endpoint(ALICE, 4000, 4001), Endpoint(CAROL, 5000, 5001)])

    def test_checks(self) -> None:
        """
        A phone that checks the way, where we answer checks, is led through us; where
        we do not, it goes without.
        """
        offer = self.alice()
        offer = offer._replace(streams=(offer.streams[0]._replace(has_ice=True),))
        self.assertEqual(self.tell(LOCAL, offer, (CAROL,), True).host, ALICE)
        stream = self.call_of(LOCAL).streams[0]
        stream.caller.ice = stream.callee.ice = Agent(lambda: Credentials("a", "b"))
        told = self.tell(LOCAL, offer, (CAROL,), True)
        self.assertEqual((told.host, told.ice), (INSIDE, Credentials("a", "b")))

    def test_not_silent(self) -> None:
        """
        Such a call is not silent, only because we hear nothing of it, unless it
        lasts as long as a call on hold.
        """
        self.tell(LOCAL, self.alice(), (CAROL,), True)
        call = self.call_of(LOCAL)
        call.confirm("c", 0.0)
        asked = [call.is_silent(now, *TIMEOUTS) for now in (7199.0, 7200.0)]
        self.assertEqual(asked, [False, True])

    def test_another_network(self) -> None:
        """
        A phone in another network is told our port.
        """
        for receivers in (("10.0.9.12",), (CAROL, "10.0.9.12"), (CAROL, ""), ()):
            told = self.tell(LOCAL, self.alice(), receivers, True)
            self.assertEqual((told.host, self.call_of(LOCAL).shortcuts), (INSIDE, set()))

    def test_behind_a_router(self) -> None:
        """
        A phone that is not where its signaling comes from is relayed, both ways.
        """
        told = self.tell(LOCAL, self.alice(host="192.168.7.2"), (CAROL,), True)
        back = self.tell(LOCAL, self.carol(), (ALICE,), False)
        self.assertEqual((told.host, back.host), (INSIDE, INSIDE))

    def test_hold(self) -> None:
        """
        A phone that hides its address to hold (RFC 2543) comes back directly.
        """
        told = []
        for host in (ALICE, "0.0.0.0", ALICE):
            told.append(self.tell(LOCAL, self.alice(host=host), (CAROL,), True).host)
            self.tell(LOCAL, self.carol(), (ALICE,), False)
        self.assertEqual(told, [ALICE, INSIDE, ALICE])

    def test_outside(self) -> None:
        """
        Nobody outside is told where a phone is.
        """
        told = self.tell(KEY, self.alice(), (CAROL,), True, PUBLIC)
        self.assertEqual(told.host, PUBLIC)

    def test_refused_stream(self) -> None:
        """
        A stream that a phone refuses is told as refused.
        """
        self.tell(LOCAL, self.alice(), (CAROL,), True)
        self.assertEqual(self.tell(LOCAL, self.carol(0), (ALICE,), False), Endpoint(INSIDE, 0, 0))

    def test_off(self) -> None:
        """
        With direct_media = off all media pass through us.
        """
        self.table = CallTable()
        told = self.tell(LOCAL, self.alice(), (CAROL,), True)
        self.assertEqual(told.host, INSIDE)


class HairpinTests(ShortcutCase):
    """
    A call from phone to phone by way of a provider.
    """

    def offer(self) -> tuple[Endpoint, Endpoint]:
        """
        Alice calls the provider, which calls Carol: what it and she are told.
        """
        out = self.tell(KEY, self.alice(), ("203.0.113.9",), True, PUBLIC)
        back = Description(Party.CALLER, (line(0, *out[:2]),), "203.0.113.9")
        return out, self.tell(BACK, back, (CAROL,), True)

    def answer(self, branch: str = "c") -> tuple[Endpoint, Endpoint]:
        """
        Carol answers: what the provider and Alice are told.
        """
        out = self.tell(BACK, self.carol(), ("",), False, PUBLIC)
        back = Description(Party.CALLEE, (line(0, *out[:2]),), "203.0.113.9", branch)
        return out, self.tell(KEY, back, (ALICE,), False)

    def test_both(self) -> None:
        """
        The phones are told where the other is, the provider where we are.
        """
        out, told = self.offer()
        self.assertEqual((out.host, told), (PUBLIC, Endpoint(ALICE, 4000, 4001)))
        out, told = self.answer()
        self.assertEqual((out.host, told), (PUBLIC, Endpoint(CAROL, 5000, 5001)))

    def test_another_call(self) -> None:
        """
        Whoever names a port of somebody else's call learns nothing of it.
        """
        out = self.tell(KEY, self.alice(), ("203.0.113.9",), True, PUBLIC)
        forged = Description(Party.CALLER, (line(0, *out[:2]),), "198.51.100.66")
        for key in (BACK._replace(call_id="other"), BACK._replace(caller_tag="other")):
            self.assertEqual(self.tell(key, forged, (CAROL,), True).host, INSIDE)

    def test_another_port(self) -> None:
        """
        Nor does one who names another port of ours, or none, or more streams.
        """
        out = self.tell(KEY, self.alice(), ("203.0.113.9",), True, PUBLIC)
        one, other = line(0, PUBLIC, out.rtp_port), line(0, PUBLIC, out.rtp_port + 2)
        elsewhere = line(0, "203.0.113.9", out.rtp_port)
        for lines in ((other,), (elsewhere,), (one, one._replace(index=1)), ()):
            made = Description(Party.CALLER, lines, "198.51.100.66")
            call = self.call_of(BACK)
            call.offer(made, self.opened(call, lines), 0.0)
            told = self.table.tell(call, made, True, (CAROL,), INSIDE)
            self.assertEqual({one.host for one in told} - {INSIDE}, set())

    def test_another_branch(self) -> None:
        """
        The provider rang somebody outside as well, who answers: Alice is relayed.
        """
        self.offer()
        self.assertEqual(self.answer("another")[1].host, INSIDE)

    def test_moved_by_the_callee(self) -> None:
        """
        Carol moves: Alice is told where to.
        """
        self.offer()
        self.answer()
        for key in (KEY, BACK):
            self.call_of(key).confirm("c", 0.0)
        out = self.tell(BACK, self.carol(5500), ("",), True, PUBLIC)
        back = Description(Party.CALLEE, (line(0, *out[:2]),), "203.0.113.9", "c")
        self.assertEqual(self.tell(KEY, back, (ALICE,), True), Endpoint(CAROL, 5500, 5501))
