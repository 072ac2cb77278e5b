"""
Tests for siptwist.services.serving.repeating: our address changes, and providers hear
of it without the phones.
"""

from __future__ import annotations

import gc
from typing import Any

from twisted.logger import formatEvent

from siptwist.proxy.identity import NOWHERE, Identity
from siptwist.proxy.registration.repeating import Repeat
from siptwist.services.serving.repeating import AGAIN_SECONDS, BATCH, LINES, STEP, Repeating
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Request
from tests.services.walking import Agent, Proxy, WalkingCase

OLD, NEW, NEXT = "203.0.113.1", "203.0.113.77", "203.0.113.78"
SECRET = "6629fae49393a05397450978507c4ef1"
AUTHORIZATION = (
    'Digest username="alice", realm="provider.example", nonce="dcd98b71", '
    f'uri="sip:provider.example", qop=auth, nc=00000001, cnonce="0a4f", response="{SECRET}"'
)
SIGNED = ("Authorization", AUTHORIZATION)


class Broken:
    """
    What raises whatever is asked of it.
    """

    def __getattr__(self, name: str) -> object:
        return 1 / 0


class RepeatingCase(WalkingCase):
    def setUp(self) -> None:
        super().setUp()
        found = [one for one in self.proxy.services if isinstance(one, Repeating)]
        (self.repeating,) = found

    def become(self, outside: str = NEW) -> None:
        """
        Our address outside is another one, as AddressService finds.
        """
        proxy, core = self.proxy, self.proxy.core
        old = core.identity
        new = Identity(
            old.inside,
            Hop(outside, 5060),
            {**old.bound, Side.OUTSIDE: self.bound(outside)},
            old.inside_networks,
            old.names,
        )
        if new.bound != old.bound:
            proxy.parts.listening.move(new.bound)
        core.identity = new
        core.moved_at = self.now
        proxy.hosts = dict(new.bound)
        self.provider.socket = proxy.socket(Side.OUTSIDE)
        self.repeating.move(old, new)

    def bound(self, outside: str) -> str:
        return outside

    @property
    def now(self) -> float:
        return self.proxy.reactor.seconds()

    def sign_in(self, phone: Agent, expires: int = 3600, cseq: int = 1, **more: Any) -> Request:
        """
        A phone registers with its password; what its provider heard.
        """
        more.setdefault("headers", [SIGNED])
        phone.register(expires, cseq=cseq, **more)
        heard = self.provider.last("REGISTER")
        self.accept(heard, expires)
        return heard

    def accept(self, request: Request, expires: int = 3600) -> None:
        """
        Grant the first Contact of a REGISTER so many seconds.
        """
        contact = request.headers.values("contact")[0].partition(">")[0]
        self.provider.reply(request, 200, contact=f"{contact}>;expires={expires}")

    def repeats(self) -> list[Request]:
        """
        The REGISTERs that came to the provider from our present address, each once.
        """
        found = {bytes(one): one for one in self.provider.requests("REGISTER")}
        return list(found.values())

    def said(self, words: str) -> list[str]:
        texts = [formatEvent(event) for event in self.events]
        return [text for text in texts if words in text]


class OnePhoneTests(RepeatingCase):
    """
    A phone has registered at its provider with a password.
    """

    def setUp(self) -> None:
        super().setUp()
        self.first = self.sign_in(
            self.phone,
            headers=[SIGNED, ("Supported", "path, gruu"), ("User-Agent", "Desk/1.0")],
            contact="<sip:alice@10.0.0.10:5060>;q=0.7",
        )
        self.before = self.binding(self.phone)
        self.proxy.wait(600, step=5)

    def test_sent(self) -> None:
        """
        The provider gets the REGISTER that it accepted, with a Contact at our new address
        and what makes it another request; the Contact that leads to strangers now goes.
        """
        self.become()
        (again,) = self.repeats()
        headers, before = again.headers, self.first.headers
        self.assertEqual((again.uri, again.body), ("sip:provider.example", b""))
        for key in ("authorization", "to", "expires", "supported", "user-agent"):
            self.assertEqual(headers.lines(key), before.lines(key), key)
        self.assertEqual(headers.from_.uri_text, before.from_.uri_text)
        self.assertEqual(headers.from_.display, before.from_.display)
        for key in ("from", "call-id", "via"):
            self.assertNotEqual(headers.get(key), before.get(key), key)
        self.assertEqual(headers.cseq.number, 1)
        self.assertEqual(headers.via.host, NEW)
        old = before.values("contact")[0]
        self.assertEqual(
            headers.lines("contact"),
            [old.replace(OLD, NEW), old.replace(";q=0.7", ";expires=0")],
        )
        self.assertNotIn(b"10.0.0.", bytes(again))

    def test_accepted(self) -> None:
        """
        The binding lives as long as the provider says, and is the phone's own as before.
        """
        self.become()
        self.accept(self.repeats()[0], 1800)
        after = self.binding(self.phone)
        self.assertEqual(after.expires_at, self.now + 1800)
        kept = ("mask", "contact", "source", "call_id", "cseq", "created_at", "parameters")
        for name in kept:
            self.assertEqual(getattr(after, name), getattr(self.before, name), name)
        self.assertEqual(self.proxy.store.saved[after.mask], after)
        self.assertEqual(
            self.said("refreshed"),
            ["1 of 1 bindings refreshed at their providers; 0 must wait for their phones"],
        )

    def test_phone_hears_nothing(self) -> None:
        """
        Nothing of it reaches the phone, whatever the provider answers.
        """
        heard = len(self.phone.datagrams)
        for address, status in ((NEW, 100), (NEXT, 200), (OLD, 401), (NEW, 302), (OLD, 500)):
            self.become(address)
            self.provider.reply(self.repeats()[-1], status)
            self.proxy.wait(1)
        self.assertEqual(len(self.phone.datagrams), heard)

    def test_called(self) -> None:
        """
        The provider can call the phone at the new address.
        """
        self.become()
        (again,) = self.repeats()
        self.accept(again)
        uri = again.headers.values("contact")[0].partition(">")[0].strip("<")
        self.provider.invite(uri, to=f"<{self.phone.aor}>")
        self.assertEqual(self.phone.last("INVITE").uri, "sip:alice@10.0.0.10:5060")

    def test_wants_the_phone(self) -> None:
        """
        A provider that wants a new digest leaves all as it was: the phone comes itself.
        """
        for status in (401, 403, 407, 423, 500):
            self.become(NEW if self.proxy.core.identity.outside.host == OLD else OLD)
            self.provider.reply(self.repeats()[-1], status)
            self.assertIs(self.binding(self.phone), self.before)
        self.assertEqual(
            self.said("refreshed")[-1],
            "0 of 1 bindings refreshed at their providers; 1 must wait for their phones",
        )
        named = self.said("by us: 403")
        self.assertEqual(
            named,
            [
                "'sip:alice@provider.example' cannot be registered again at "
                "'provider.example' by us: 403"
            ],
        )

    def test_phone_comes_itself(self) -> None:
        """
        The phone's next REGISTER, with its own Call-ID and next number, passes as always.
        """
        self.become()
        self.accept(self.repeats()[0])
        again = self.sign_in(self.phone, cseq=2)
        self.assertEqual(self.phone.statuses("REGISTER"), [200, 200])
        self.assertEqual(again.headers.get("call-id"), self.phone.call_id)
        after = self.binding(self.phone)
        self.assertEqual((after.cseq, after.mask), (2, self.before.mask))

    def test_phone_is_quicker(self) -> None:
        """
        When the phone registers while our request is under way, its own word stands.
        """
        self.become()
        (ours,) = self.repeats()
        self.sign_in(self.phone, 600, cseq=2)
        newer = self.binding(self.phone)
        self.accept(ours, 3600)
        self.assertIs(self.binding(self.phone), newer)
        self.assertEqual(self.said("bindings refreshed"), [])

    def test_phone_has_gone(self) -> None:
        """
        A phone that unregisters in the meantime is not registered again.
        """
        self.become()
        (ours,) = self.repeats()
        self.phone.register(0, cseq=2, headers=[SIGNED])
        self.provider.reply(self.provider.last("REGISTER"), 200)
        self.accept(ours)
        self.assertEqual(self.proxy.locations.lookup(self.phone.aor, self.now), [])

    def test_forgotten(self) -> None:
        """
        What is known of a phone is gone with its binding.
        """
        count = self.kept()
        self.phone.register(0, cseq=2, headers=[SIGNED])
        self.provider.reply(self.provider.last("REGISTER"), 200)
        del self.before
        self.proxy.wait(40)
        self.assertEqual(self.kept(), count - 1)
        self.become()
        self.assertEqual(self.repeats(), [])

    def kept(self) -> int:
        gc.collect()
        return sum(1 for one in gc.get_objects() if type(one) is Repeat)

    def test_logs(self) -> None:
        """
        What the phone proved itself with is in no event of the log, whatever happens.
        """
        self.become()
        self.provider.reply(self.repeats()[0], 401)
        self.become(NEXT)
        self.proxy.store.fails = True
        self.accept(self.repeats()[0])
        self.patch(self.repeating._forwarding, "resolver", Broken())
        self.become(OLD)
        self.proxy.wait(AGAIN_SECONDS + 40)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertTrue(self.events)
        for event in self.events:
            self.assertNotIn(SECRET, formatEvent(event) + repr(event))
            failure = event.get("log_failure")
            self.assertNotIn(SECRET, failure.getTraceback() if failure else "")

    def test_not_saved(self) -> None:
        """
        When the disk fails the binding is as it was, and counts as not renewed.
        """
        self.become()
        self.proxy.store.fails = True
        self.accept(self.repeats()[0], 1800)
        self.assertIs(self.binding(self.phone), self.before)
        self.assertEqual(len(self.said("0 of 1 bindings refreshed")), 1)
        self.assertEqual(len(self.flushLoggedErrors(OSError)), 1)

    def test_on_disk_first(self) -> None:
        """
        It counts as renewed when it is on disk.
        """
        self.become()
        self.proxy.store.waits = True
        self.accept(self.repeats()[0], 1800)
        self.assertEqual(self.said("bindings refreshed"), [])
        self.proxy.store.commit()
        self.assertEqual(len(self.said("1 of 1 bindings refreshed")), 1)

    def test_repeated(self) -> None:
        """
        What is lost on the way is sent again; after half a minute without a word it is
        given up, and tried once more a little later.
        """
        self.become()
        self.proxy.wait(20)
        self.assertEqual(len(self.repeats()), 1)
        self.assertGreater(len(self.provider.requests("REGISTER")), 4)
        self.proxy.wait(20)
        self.assertEqual(len(self.said("by us: no answer")), 1)
        self.proxy.wait(AGAIN_SECONDS)
        self.assertEqual(len(self.repeats()), 2)
        self.accept(self.repeats()[1])
        self.assertEqual(len(self.said("1 of 1 bindings refreshed")), 1)
        self.proxy.wait(200)
        self.assertEqual(len(self.repeats()), 2)

    def test_not_asked_again(self) -> None:
        """
        Who was refused for good is not asked again.
        """
        self.become()
        self.provider.reply(self.repeats()[0], 403)
        self.proxy.wait(200)
        self.assertEqual(len(self.repeats()), 1)

    def test_second_change(self) -> None:
        """
        A second change begins anew: what was under way for the first is sent no more, and
        an answer to it changes nothing.
        """
        self.become()
        (first,) = self.repeats()
        self.become(NEXT)
        self.proxy.wait(10)
        (second,) = self.repeats()
        self.assertIn(f"@{NEXT};", second.headers.values("contact")[0])
        self.assertNotEqual(first.headers.get("call-id"), second.headers.get("call-id"))
        self.accept(first)
        self.assertIs(self.binding(self.phone), self.before)
        self.accept(second)
        self.assertEqual(len(self.said("1 of 1 bindings refreshed")), 1)

    def test_and_back(self) -> None:
        """
        Back at the address that we had, the provider is told so.
        """
        self.become()
        self.accept(self.repeats()[0])
        self.become(OLD)
        again = self.provider.last("REGISTER")
        contacts = again.headers.lines("contact")
        self.assertEqual([NEW in one for one in contacts], [False, True])
        self.assertTrue(contacts[1].endswith(";expires=0"))

    def test_until(self) -> None:
        """
        A phone that should have come itself by now is not spoken for any more, so that a
        lost one does not live on by our changes.
        """
        self.become()
        self.accept(self.repeats()[0], 7200)
        self.proxy.wait(3600, step=10)
        self.assertTrue(self.binding(self.phone).is_active(self.now))
        self.become(NEXT)
        self.assertEqual(self.repeats(), [])

    def test_line_comes_up(self) -> None:
        """
        While we have no address nothing is sent; when we have one again it is told.
        """
        self.become(NOWHERE)
        self.assertEqual(self.repeats(), [])
        self.become()
        self.assertEqual(len(self.repeats()), 1)

    def test_late_answer(self) -> None:
        """
        A provider answers the phone's own REGISTER, that named our old address, after the
        change: it hears of the new one a little later.
        """
        self.phone.register(cseq=2, headers=[SIGNED])
        late = self.provider.last("REGISTER")
        self.become()
        self.provider.reply(self.repeats()[0], 500)
        self.accept(late)
        self.proxy.wait(AGAIN_SECONDS + 1)
        again = self.repeats()[-1]
        self.assertIn(f"@{NEW};", again.headers.values("contact")[0])
        self.accept(again)
        self.assertEqual(self.binding(self.phone).cseq, 2)

    def test_not_alive(self) -> None:
        """
        That its provider accepts it does not make a phone heard that is silent.
        """
        heard: list[Hop] = []
        self.proxy.signaling.heard = heard.append
        self.become()
        self.accept(self.repeats()[0])
        self.assertNotIn(self.before.source, heard)
        self.sign_in(self.phone, cseq=2)
        self.assertIn(self.before.source, heard)

    def test_inside_changes(self) -> None:
        """
        A change of our address inside is none of the provider's business.
        """
        core = self.proxy.core
        old = core.identity
        new = Identity(Hop("10.0.0.2", 5060), old.outside, old.bound, old.inside_networks)
        self.repeating.move(old, new)
        self.assertEqual(len(self.repeats()), 1)
        self.assertEqual(self.repeats()[0], self.first)

    def test_stopped(self) -> None:
        """
        Nothing is left when we stop in the middle.
        """
        self.become()
        self.repeating.stopService()
        count = len(self.provider.datagrams)
        self.proxy.wait(60)
        self.assertEqual(len(self.provider.datagrams), count)


class ServersTests(RepeatingCase):
    """
    Where the REGISTER goes.
    """

    def setUp(self) -> None:
        super().setUp()
        self.sign_in(self.phone)
        self.second = Agent(self.proxy, "203.0.113.21", "second", side=Side.OUTSIDE)

    def become(self, outside: str = NEW) -> None:
        super().become(outside)
        self.second.socket = self.provider.socket

    def test_next_server(self) -> None:
        """
        When a server of the provider is overloaded, gone or silent the next one is asked.
        """
        self.proxy.resolver.names["provider.example"] = [
            Hop("203.0.113.20", 5060),
            Hop("203.0.113.21", 5060),
        ]
        endings = (
            lambda: self.provider.reply(self.provider.last("REGISTER"), 503),
            self.provider.vanish,
            lambda: self.proxy.wait(33),
        )
        for end, address in zip(endings, (NEW, NEXT, OLD), strict=True):
            count = len(self.second.requests("REGISTER"))
            self.become(address)
            self.assertEqual(self.second.requests("REGISTER")[count:], [])
            end()
            self.second.reply(self.second.last("REGISTER"), 403)
        self.assertEqual(len(self.said("by us: 403")), 3)

    def test_gone(self) -> None:
        """
        A server that is gone, and no other: the phone comes itself.
        """
        self.become()
        self.provider.vanish()
        self.assertEqual(len(self.said("by us: cannot be reached")), 1)

    def test_slow_names(self) -> None:
        """
        Names that take long hold nothing up; after a second change the answer to the first
        question is of no use.
        """
        resolver = self.proxy.resolver
        resolver.slow.add("provider.example")
        self.become()
        self.become(NEXT)
        resolver.answer()
        (again,) = self.repeats()
        self.assertIn(f"@{NEXT};", again.headers.values("contact")[0])

    def test_no_name(self) -> None:
        """
        So is a name that does not exist: the phone comes itself.
        """
        del self.proxy.resolver.names["provider.example"]
        self.become()
        self.assertEqual(len(self.said("by us: provider.example is not known")), 1)

    def test_outbound_proxy(self) -> None:
        """
        It goes where the phone's own requests go.
        """
        self.proxy.resolver.names["provider.example"] = [Hop("203.0.113.21", 5060)]
        self.become()
        self.assertEqual(len(self.second.requests("REGISTER")), 1)

    def test_ours(self) -> None:
        """
        A name that leads to us now, or into our network, is not outside.
        """
        for address, host in ((NEW, NEW), (NEXT, "10.0.0.9")):
            self.proxy.resolver.names["provider.example"] = [Hop(host, 5060)]
            self.become(address)
        self.assertEqual(len(self.said("by us: its registrar is not outside")), 2)


class OthersTests(RepeatingCase):
    """
    Whom it does not concern.
    """

    def test_own_registrar(self) -> None:
        """
        For phones that are registered at ourselves nothing is sent, and nothing is kept.
        """
        phone = Agent(self.proxy, "10.0.0.12", "carol", domain="10.0.0.1")
        phone.register(headers=[SIGNED])
        self.assertEqual(phone.statuses("REGISTER"), [200])
        (binding,) = list(self.proxy.locations)
        self.assertIsNone(binding.repeat)
        self.become()
        self.proxy.wait(AGAIN_SECONDS + 1)
        self.assertEqual(self.repeats(), [])
        self.assertEqual(self.said("bindings refreshed"), [])

    def test_not_accepted(self) -> None:
        """
        Nothing is kept of a REGISTER that the provider did not accept.
        """
        self.phone.register(headers=[SIGNED])
        self.provider.reply(self.provider.last("REGISTER"), 401)
        self.become()
        self.assertEqual(self.repeats(), [])

    def test_lapsed(self) -> None:
        """
        Nor is anything sent for a binding that has lapsed.
        """
        self.sign_in(self.phone, 60)
        self.proxy.wait(61, step=1)
        self.become()
        self.assertEqual(self.repeats(), [])


class ManyPhonesTests(RepeatingCase):
    """
    Many phones are registered.
    """

    COUNT = 12

    def setUp(self) -> None:
        super().setUp()
        self.phones = [
            Agent(self.proxy, f"10.0.0.{number}", f"user{number}")
            for number in range(100, 100 + self.COUNT)
        ]
        for phone in self.phones:
            self.sign_in(phone)

    def test_paced(self) -> None:
        """
        They do not go out all at once, but 50 a second.
        """
        self.assertEqual(BATCH / STEP, 50)
        counts = []
        self.become()
        for _ in range(4):
            counts.append(len(self.repeats()))
            self.proxy.wait(STEP)
        self.assertEqual(counts, [5, 10, 12, 12])

    def test_summary(self) -> None:
        """
        One line says how many were renewed, and some lines who must wait.
        """
        self.become()
        self.proxy.wait(1)
        for number, request in enumerate(self.repeats()):
            if number == 0:
                self.accept(request)
            else:
                self.provider.reply(request, 401)
        self.assertEqual(
            self.said("bindings refreshed"),
            ["1 of 12 bindings refreshed at their providers; 11 must wait for their phones"],
        )
        levels = [
            event["log_level"].name
            for event in self.events
            if "cannot be registered again" in formatEvent(event)
        ]
        self.assertEqual(levels[:LINES], ["info"] * LINES)
        self.assertLessEqual(set(levels[LINES:]), {"debug"})

    def test_own_turn(self) -> None:
        """
        Phones that registered themselves before their turn are left alone.
        """
        self.become()
        quick = self.phones[-1]
        self.sign_in(quick, cseq=2)
        self.proxy.wait(1)
        found = [one for one in self.repeats() if one.headers.to.aor == quick.aor]
        self.assertEqual([one.headers.cseq.number for one in found], [2])
        for request in self.repeats():
            self.accept(request)
        self.assertEqual(len(self.said("11 of 11 bindings refreshed")), 1)

    def test_starts_over(self) -> None:
        """
        A second change before the first is told to all begins with all of them again.
        """
        self.become()
        self.become(NEXT)
        self.proxy.wait(1)
        self.assertEqual(len(self.repeats()), self.COUNT)


class BehindRouterTests(RepeatingCase):
    """
    One address for both sides, and the router before us gets another public one.
    """

    def make_proxy(self) -> Proxy:
        return Proxy("10.0.0.1/24", "10.0.0.1/24", f"host_outbound = {OLD}\n")

    def bound(self, outside: str) -> str:
        return "10.0.0.1"

    def test_told(self) -> None:
        """
        The provider is told the new public address.
        """
        self.sign_in(self.phone)
        self.become()
        again = self.repeats()[-1]
        self.assertIn(f"@{NEW};", again.headers.values("contact")[0])
        self.accept(again)
        self.assertEqual(self.phone.statuses("REGISTER"), [200])
