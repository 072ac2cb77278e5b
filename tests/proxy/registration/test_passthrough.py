"""
Registrations pass through to a registrar outside, and only its word counts.
"""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import MalformedMessage, SIPError
from siptwist.proxy.registration.location import Locations
from siptwist.proxy.registration.masks import mask_in
from siptwist.proxy.registration.passthrough import (
    Attempt,
    Completion,
    complete,
    mask_request,
    would_overflow,
)
from siptwist.proxy.ticket import Ticket
from siptwist.sip.fields import NameAddr
from siptwist.sip.headers import Headers
from siptwist.sip.hop import Hop
from siptwist.sip.message import Response, parse
from tests.proxy.registering import IDENTITY, KEY, NOW, PHONE, apply, make_binding, response
from tests.proxy.registering import register as make_register

AOR = "sip:alice@provider.example"
PHONE_URI = "sip:alice@10.0.0.5:5060"
CONTACT = f"Contact: <{PHONE_URI}>"


def register(
    *lines: str,
    uri: str = "sip:provider.example",
    to: str = "<sip:alice@provider.example>",
    cseq: int = 1,
    call_id: str = "one@phone",
    source: Hop = PHONE,
    now: float = NOW,
) -> Ticket:
    return make_register(*lines, uri=uri, to=to, cseq=cseq, call_id=call_id, source=source, now=now)


class RegistrationTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.locations = Locations()

    def attempt(self, ticket: Ticket) -> tuple[Headers, Attempt]:
        return mask_request(ticket, IDENTITY, self.locations, KEY, 3600)

    def complete(self, attempt: Attempt, answer: Response, now: float = NOW) -> Completion:
        """
        Take a response in and carry out what it says, as the service does.
        """
        completion = complete(attempt, answer, self.locations, IDENTITY, now)
        apply(self.locations, completion.changed, completion.removed)
        return completion

    def register(self, ticket: Ticket, now: float = NOW) -> Completion:
        """
        A registrar that grants what it is asked for.
        """
        headers, attempt = self.attempt(ticket)
        contacts = [f"Contact: {value}" for value in headers.values("contact")]
        expires = headers.get("expires")
        lines = [] if expires is None else [f"Expires: {expires}"]
        return self.complete(attempt, response(ticket, 200, *contacts, *lines), now)

    def remaining(self, aor: str = AOR, now: float = NOW) -> list[float]:
        return [binding.expires_at - now for binding in self.locations.lookup(aor, now)]


def masked(headers: Headers) -> list[str | None]:
    return [mask_in(NameAddr.parse(value).uri) for value in headers.values("contact")]


class MaskRequestTests(RegistrationTestCase):
    def test_masked(self) -> None:
        """
        The registrar sees a Contact of ours; display name and parameters stay.
        """
        ticket = register(f'Contact: "Al, A" <{PHONE_URI};x>;q=0.3;+sip.instance="<u>";expires=90')
        headers, attempt = self.attempt(ticket)
        mask = attempt.wishes[0].mask
        self.assertEqual(
            headers.get("contact"),
            f'"Al, A" <sip:alice@203.0.113.7;line={mask}>;q=0.3;+sip.instance="<u>";expires=90',
        )

    def test_user_of_account(self) -> None:
        """
        The user part is the account's, whatever the phone calls itself.
        """
        headers, _ = self.attempt(register("Contact: <sip:x7f@10.0.0.5>"))
        self.assertEqual(NameAddr.parse(headers.get("contact") or "").uri.user, "alice")

    def test_nothing_else_changed(self) -> None:
        """
        All other header fields go out as they came.
        """
        ticket = register("X-Odd:  a ,b", CONTACT, "Expires: 60")
        headers, _ = self.attempt(ticket)
        others = [header for header in ticket.request.headers if header[0] != "contact"]
        self.assertEqual([header for header in headers if header[0] != "contact"], others)

    def test_nothing_bound(self) -> None:
        """
        An attempt alone binds nothing (S1 of siproxd).
        """
        self.attempt(register(CONTACT))
        self.assertEqual(len(self.locations), 0)

    def test_same_mask_again(self) -> None:
        """
        The second round, with credentials, carries the same Contact.
        """
        first, _ = self.attempt(register(CONTACT))
        second, _ = self.attempt(register(CONTACT, cseq=2))
        self.assertEqual(first.get("contact"), second.get("contact"))

    def test_several(self) -> None:
        """
        Each of several Contacts gets a mask of its own.
        """
        headers, attempt = self.attempt(register(f"{CONTACT}, <sip:alice@10.0.0.6>;expires=30"))
        self.assertEqual(len(set(masked(headers))), 2)
        self.assertEqual([wish.expires for wish in attempt.wishes], [3600, 30])

    def test_two_providers(self) -> None:
        """
        Two accounts with the same user part have different masks (F11 of siproxd).
        """
        headers, _ = self.attempt(register(CONTACT))
        other = register(CONTACT, uri="sip:two.example", to="<sip:alice@two.example>")
        self.assertNotEqual(masked(headers), masked(self.attempt(other)[0]))

    def test_mask_never_means_two(self) -> None:
        """
        The mask of a phone that moved away is not given to who comes after it.
        """
        self.register(register(CONTACT))
        self.register(register("Contact: <sip:alice@10.0.0.5:6060>", cseq=2))
        headers, _ = self.attempt(register(f"{CONTACT}, <sip:alice@10.0.0.5:6060>", cseq=3))
        self.assertEqual(len(set(masked(headers))), 2)

    def test_default_expires(self) -> None:
        """
        A phone that asks for no lifetime asks for ours.
        """
        headers, attempt = self.attempt(register(CONTACT))
        self.assertEqual((headers.get("expires"), attempt.wishes[0].expires), ("3600", 3600))

    def test_expires_not_added(self) -> None:
        """
        Who asks in a parameter or a header is left alone, and who asks nothing too.
        """
        for lines in ((f"{CONTACT};expires=60",), ()):
            self.assertNotIn("expires", self.attempt(register(*lines))[0])
        headers, attempt = self.attempt(register(CONTACT, "Expires: 70"))
        self.assertEqual(headers.lines("expires"), ["70"])
        self.assertEqual(attempt.wishes[0].expires, 70)

    def test_star(self) -> None:
        """
        Contact * goes out as it is.
        """
        ticket = register("Contact: *", "Expires: 0")
        headers, attempt = self.attempt(ticket)
        self.assertEqual(headers, ticket.request.headers)
        self.assertTrue(attempt.unbinds_all)

    def test_star_with_lifetime(self) -> None:
        """
        Contact * with a lifetime is the registrar's to refuse; it unbinds nothing.
        """
        self.register(register(CONTACT))
        ticket = register("Contact: *", "Expires: 60", cseq=2)
        self.complete(self.attempt(ticket)[1], response(ticket, 200))
        self.assertEqual(len(self.locations), 1)

    def test_foreign_contact(self) -> None:
        """
        A Contact elsewhere is masked as well: the phone asks to be called here.
        """
        headers, attempt = self.attempt(register("Contact: <sip:alice@198.51.100.9>"))
        self.assertEqual(masked(headers), [attempt.wishes[0].mask])

    def test_not_sip(self) -> None:
        """
        A Contact of another scheme is between phone and registrar.
        """
        headers, attempt = self.attempt(register(f"{CONTACT}, <mailto:a@b.example>"))
        self.assertEqual(headers.values("contact")[1], "<mailto:a@b.example>")
        self.assertEqual(len(attempt.wishes), 1)

    def test_account_without_user(self) -> None:
        """
        An account that is a number or a domain uses the phone's user part.
        """
        headers, _ = self.attempt(register("Contact: <sip:7@10.0.0.5>", to="<tel:+15551234>"))
        self.assertEqual(NameAddr.parse(headers.get("contact") or "").uri.user, "7")

    def test_malformed(self) -> None:
        """
        A REGISTER whose Contact cannot be read is answered 400.
        """
        for contact in ("<sip:", "sip:a@b, *", "*, *", "<sip:a\0b@c>"):
            error = self.assertRaises(SIPError, self.attempt, register(f"Contact: {contact}"))
            self.assertEqual(error.status, 400)

    def test_too_many(self) -> None:
        """
        A REGISTER with 33 contacts is answered 403.
        """
        many = [f"Contact: <sip:a@10.0.1.{n}>" for n in range(33)]
        self.assertEqual(self.assertRaises(SIPError, self.attempt, register(*many)).status, 403)


class RefreshTests(RegistrationTestCase):
    def masks(self, *tickets: Ticket) -> list[str | None]:
        found = []
        for ticket in tickets:
            found += masked(self.attempt(ticket)[0])
            self.register(ticket)
        return found

    def test_refresh(self) -> None:
        """
        A refresh after a restart of the phone keeps the mask.
        """
        one, other = self.masks(register(CONTACT), register(CONTACT, call_id="after restart"))
        self.assertEqual(one, other)
        self.assertEqual(len(self.locations), 1)

    def test_moved_port(self) -> None:
        """
        So does one from another port: the registrar sees the same Contact,
        and calls reach the new port.
        """
        moved = "Contact: <sip:alice@10.0.0.5:6060>"
        one, other = self.masks(register(CONTACT), register(moved, cseq=2))
        self.assertEqual(one, other)
        [binding] = self.locations.lookup(AOR, NOW)
        self.assertEqual(binding.hop, Hop("10.0.0.5", 6060))

    def test_instance(self) -> None:
        """
        So does one of the same device at another address.
        """
        instance = '+sip.instance="<urn:uuid:1>"'
        one, other = self.masks(
            register(f"{CONTACT};{instance}"),
            register(f"Contact: <sip:alice@10.0.0.9>;{instance}", call_id="two"),
        )
        self.assertEqual(one, other)

    def test_two_phones(self) -> None:
        """
        Two phones of one account have two masks.
        """
        one, other = self.masks(
            register(CONTACT), register("Contact: <sip:alice@10.0.0.6>", call_id="two")
        )
        self.assertNotEqual(one, other)
        self.assertEqual(len(self.locations.lookup(AOR, NOW)), 2)

    def test_same_phone_at_two_registrars(self) -> None:
        """
        One account at two registrars is two registrations.
        """
        one, other = self.masks(register(CONTACT), register(CONTACT, uri="sip:backup.example"))
        self.assertNotEqual(one, other)
        self.assertEqual(
            {binding.registrar for binding in self.locations},
            {"provider.example", "backup.example"},
        )

    def test_refresh_just_lapsed(self) -> None:
        """
        A refresh that comes late keeps the mask, as long as it is remembered.
        """
        self.register(register(f"{CONTACT};expires=60"))
        [mask] = [binding.mask for binding in self.locations]
        headers, _ = self.attempt(register(CONTACT, call_id="late", now=NOW + 62))
        self.assertEqual(masked(headers), [mask])


class MovedTests(RegistrationTestCase):
    """
    A registrar lists the Contact at an address that was ours beside that of now.
    """

    def test_lifetime(self) -> None:
        """
        What it says of the one that leads to us counts, in either order.
        """
        for order in (1, -1):
            ticket = register(CONTACT, "Expires: 600")
            headers, attempt = self.attempt(ticket)
            ours = NameAddr.parse(headers.get("contact") or "").uri_text
            lines = [
                f"Contact: <{ours}>;expires=600",
                f"Contact: <{ours.replace('203.0.113.7', '203.0.113.200')}>;expires=20",
            ]
            self.complete(attempt, response(ticket, 200, *lines[::order]))
            self.assertEqual(self.remaining(), [600.0])


class LifetimeTests(RegistrationTestCase):
    def granted(self, *lines: str, asked: tuple[str, ...] = (CONTACT, "Expires: 600")) -> float:
        """
        The lifetime after a 2xx with these lines; M stands for our Contact.
        """
        ticket = register(*asked)
        headers, attempt = self.attempt(ticket)
        ours = NameAddr.parse(headers.get("contact") or "").uri_text
        self.complete(attempt, response(ticket, 200, *(line.replace("M", ours) for line in lines)))
        [seconds] = self.remaining() or [0.0]
        return seconds

    def test_parameter(self) -> None:
        """
        The registrar's expires of our Contact counts.
        """
        self.assertEqual(self.granted("Contact: <M>;expires=45", "Expires: 99"), 45)

    def test_among_others(self) -> None:
        """
        The lifetimes of others' Contacts do not.
        """
        lines = ("Contact: <sip:alice@198.51.100.9>;expires=7, <M>;q=1;expires=45",)
        self.assertEqual(self.granted(*lines), 45)

    def test_header(self) -> None:
        """
        Without a parameter the Expires header counts.
        """
        self.assertEqual(self.granted("Contact: <M>", "Expires: 99"), 99)

    def test_nothing_said(self) -> None:
        """
        A 2xx that names no lifetime grants what was asked (F12 of siproxd).
        """
        for lines in (("Contact: <M>",), (), ("Contact: <M>;expires=soon",)):
            self.assertEqual(self.granted(*lines), 600)

    def test_default(self) -> None:
        """
        When nobody names a lifetime, ours counts (F12 of siproxd).
        """
        self.assertEqual(self.granted(asked=(CONTACT,)), 3600)

    def test_parameter_lost(self) -> None:
        """
        A registrar that loses our parameter is understood by user and host (F12 of siproxd).
        """
        lines = (
            "Contact: <sip:alice@198.51.100.9>;expires=7",
            "Contact: <sip:alice@203.0.113.7>;expires=45",
        )
        self.assertEqual(self.granted(*lines), 45)

    def test_host_rewritten(self) -> None:
        """
        One that writes another host into our Contact is understood by user (F12 of siproxd).
        """
        for contact in ("<sip:alice@198.51.100.9:1024>", "<sip:%61lice@x>"):
            self.assertEqual(self.granted(f"Contact: {contact};expires=45"), 45)

    def test_host_rewritten_with_parameter(self) -> None:
        """
        Or by our parameter, wherever it points.
        """
        ticket = register(CONTACT)
        _, attempt = self.attempt(ticket)
        line = f"Contact: <sip:other@192.0.2.1;line={attempt.wishes[0].mask}>;expires=45"
        self.complete(attempt, response(ticket, 200, line))
        self.assertEqual(self.remaining(), [45])

    def test_host_rewritten_ambiguous(self) -> None:
        """
        When two could be meant neither is believed.
        """
        lines = ("Contact: <sip:alice@192.0.2.1>;expires=4, <sip:alice@192.0.2.2>;expires=5",)
        self.assertEqual(self.granted(*lines), 600)

    def test_instance_tells(self) -> None:
        """
        Of two that could be meant, the one with the phone's instance is.
        """
        lines = (
            'Contact: <sip:alice@192.0.2.1>;+sip.instance="<other>";expires=4',
            'Contact: <sip:alice@192.0.2.2>;+sip.instance="<mine>";expires=45',
        )
        asked = (f'{CONTACT};+sip.instance="<mine>"',)
        self.assertEqual(self.granted(*lines, asked=asked), 45)

    def test_other_line_is_not_ours(self) -> None:
        """
        A Contact with another's line parameter is never taken for ours.
        """
        self.assertEqual(self.granted("Contact: <sip:alice@203.0.113.7;line=f>;expires=4"), 600)

    def test_malformed_contact(self) -> None:
        """
        A Contact in the answer that cannot be read is not the end of ours.
        """
        self.assertEqual(self.granted("Contact: <sip:", "Contact: <M>;expires=45"), 45)

    def test_several(self) -> None:
        """
        Each of several Contacts has the lifetime granted to it.
        """
        ticket = register(f"{CONTACT}, <sip:alice@10.0.0.6>")
        _, attempt = self.attempt(ticket)
        one, two = (wish.mask for wish in attempt.wishes)
        lines = (f"Contact: <sip:a@x;line={two}>;expires=20, <sip:a@x;line={one}>;expires=10",)
        self.complete(attempt, response(ticket, 200, *lines))
        found = {b.contact: b.expires_at - NOW for b in self.locations}
        self.assertEqual(found, {PHONE_URI: 10, "sip:alice@10.0.0.6": 20})

    def test_several_without_parameter(self) -> None:
        """
        Several Contacts that lost our parameter cannot be told apart.
        """
        asked = (f"{CONTACT}, <sip:alice@10.0.0.6>", "Expires: 600")
        ticket = register(*asked)
        _, attempt = self.attempt(ticket)
        line = "Contact: <sip:alice@203.0.113.7>;expires=4"
        self.complete(attempt, response(ticket, 200, line))
        self.assertEqual(self.remaining(), [600, 600])


class OutcomeTests(RegistrationTestCase):
    def test_binding(self) -> None:
        """
        A 2xx binds the phone as it described itself.
        """
        lines = (f"{CONTACT};q=0.2;expires=60", "User-Agent: Phone 1")
        self.register(register(*lines, to="<sip:alice@Provider.EXAMPLE>"), now=NOW + 1)
        [binding] = self.locations.lookup(AOR, NOW)
        self.assertEqual((binding.contact, binding.parameters), (PHONE_URI, ";q=0.2"))
        self.assertEqual((binding.registrar, binding.source), ("provider.example", PHONE))
        self.assertEqual((binding.created_at, binding.updated_at), (NOW + 1, NOW + 1))
        self.assertEqual((binding.expires_at, binding.user_agent), (NOW + 61, "Phone 1"))

    def test_failure_binds_nothing(self) -> None:
        """
        An attempt that fails binds nothing, and its response goes on untouched.
        """
        for status in (100, 301, 401, 403, 407, 423, 500, 603):
            ticket = register(CONTACT)
            headers, attempt = self.attempt(ticket)
            answer = response(ticket, status, f"Contact: {headers.get('contact')}")
            completion = self.complete(attempt, answer)
            self.assertEqual(completion, Completion((), (), answer.headers))
        self.assertEqual(len(self.locations), 0)

    def test_failure_leaves_the_old(self) -> None:
        """
        A stranger who fails to register takes nothing from the phone (siproxd's fault S1: it
        took all its calls).
        """
        self.register(register(CONTACT))
        before = list(self.locations)
        for lines in ((CONTACT, "Expires: 0"), ("Contact: *", "Expires: 0"), (CONTACT,)):
            ticket = register(*lines, call_id="x", source=Hop("10.0.0.66", 5060))
            _, attempt = self.attempt(ticket)
            self.complete(attempt, response(ticket, 403))
        self.assertEqual(list(self.locations), before)

    def test_unbind(self) -> None:
        """
        A phone that unregisters is gone with the registrar's 2xx, not before.
        """
        self.register(register(CONTACT))
        ticket = register(CONTACT, "Expires: 0", cseq=2)
        _, attempt = self.attempt(ticket)
        self.assertEqual(len(self.locations), 1)
        completion = self.complete(attempt, response(ticket, 200))
        self.assertEqual((len(completion.removed), len(self.locations)), (1, 0))

    def test_unbind_unknown(self) -> None:
        """
        Unregistering what was never bound changes nothing.
        """
        completion = self.register(register(CONTACT, "Expires: 0"))
        self.assertEqual((completion.changed, completion.removed), ((), ()))

    def test_granted_nothing(self) -> None:
        """
        A registrar that grants zero seconds has unbound the phone.
        """
        self.register(register(CONTACT))
        ticket = register(CONTACT, cseq=2)
        headers, attempt = self.attempt(ticket)
        line = f"Contact: {headers.get('contact')};expires=0"
        self.complete(attempt, response(ticket, 200, line))
        self.assertEqual(len(self.locations), 0)

    def test_star(self) -> None:
        """
        Contact * unbinds every phone of the account at this registrar.
        """
        self.register(register(CONTACT))
        self.register(register("Contact: <sip:alice@10.0.0.6>", call_id="two"))
        self.register(register(CONTACT, uri="sip:backup.example", call_id="three"))
        self.register(register(CONTACT, to="<sip:bob@provider.example>", call_id="four"))
        ticket = register("Contact: *", "Expires: 0", call_id="five")
        completion = self.complete(self.attempt(ticket)[1], response(ticket, 200))
        self.assertEqual(len(completion.removed), 2)
        self.assertEqual(
            sorted((binding.aor, binding.registrar) for binding in self.locations),
            [(AOR, "backup.example"), ("sip:bob@provider.example", "provider.example")],
        )

    def test_late_answer(self) -> None:
        """
        The late answer to an older request does not undo a newer one.
        """
        old, newer = register(CONTACT, "Expires: 0"), register(CONTACT, cseq=2)
        _, attempt = self.attempt(old)
        star = self.attempt(register("Contact: *", "Expires: 0"))[1]
        self.register(newer)
        self.complete(attempt, response(old, 200))
        self.complete(star, response(old, 200))
        self.assertEqual(self.remaining(), [3600])

    def test_late_renewal(self) -> None:
        """
        Nor does it shorten what the newer one was granted.
        """
        old = register(CONTACT, "Expires: 60")
        _, attempt = self.attempt(old)
        self.register(register(CONTACT, cseq=2))
        completion = self.complete(attempt, response(old, 200), NOW + 9)
        self.assertEqual((completion.changed, self.remaining()), ((), [3600]))

    def test_query(self) -> None:
        """
        A query changes nothing.
        """
        self.register(register(CONTACT))
        ticket = register(cseq=2)
        line = "Contact: <sip:alice@198.51.100.9>;expires=5"
        completion = self.complete(self.attempt(ticket)[1], response(ticket, 200, line))
        self.assertEqual((completion.changed, completion.removed), ((), ()))

    def test_behind_another_router(self) -> None:
        """
        A phone whose REGISTER came from another address than its Contact is
        reached there (F14 of siproxd).
        """
        source = Hop("10.0.0.9", 4242)
        self.register(register("Contact: <sip:alice@192.168.9.9>", source=source))
        self.assertEqual([binding.hop for binding in self.locations], [source])

    def test_both_providers_ring(self) -> None:
        """
        Two accounts with the same user part at two providers are both bound,
        each for as long as its registrar says (F11 of siproxd).
        """
        self.register(register(CONTACT, "Expires: 100"))
        other = "sip:alice@two.example"
        self.register(register(CONTACT, "Expires: 200", uri="sip:two.example", to=f"<{other}>"))
        self.assertEqual((self.remaining(), self.remaining(other)), ([100], [200]))


class MaskedContactTests(RegistrationTestCase):
    """
    A phone unregisters Contacts that it read in a registrar's answer.
    """

    def setUp(self) -> None:
        super().setUp()
        self.locations.put(make_binding("aaaaaaaaaaaa", contact="sip:alice@10.0.0.6"))

    def ask(self, expires: int, mask: str = "aaaaaaaaaaaa") -> Headers:
        line = f"Contact: <sip:alice@203.0.113.7;line={mask}>;expires={expires}"
        ticket = register(line, call_id="two")
        headers, attempt = self.attempt(ticket)
        self.complete(attempt, response(ticket, 200))
        self.assertEqual(headers, ticket.request.headers)
        return headers

    def test_unbind(self) -> None:
        """
        A masked Contact that is unregistered is gone.
        """
        self.ask(0)
        self.assertEqual(len(self.locations), 0)

    def test_renew(self) -> None:
        """
        One that is renewed stays with the phone it belongs to.
        """
        before = list(self.locations)
        self.ask(600)
        self.assertEqual(list(self.locations), before)

    def test_unknown(self) -> None:
        """
        One that we do not know goes out as it is, and binds nothing.
        """
        self.ask(600, "bbbbbbbbbbbb")
        self.ask(0, "bbbbbbbbbbbb")
        self.assertEqual(len(self.locations), 1)


class UnmaskTests(RegistrationTestCase):
    def test_restored(self) -> None:
        """
        The phone gets its own Contact back, with the registrar's parameters.
        """
        ticket = register(CONTACT)
        headers, attempt = self.attempt(ticket)
        line = f"Contact: {headers.get('contact')};q=0.1;expires=45;Reg=x"
        completion = self.complete(attempt, response(ticket, 200, line))
        self.assertEqual(
            completion.headers.lines("contact"), [f"<{PHONE_URI}>;q=0.1;expires=45;Reg=x"]
        )

    def test_restored_when_unbound(self) -> None:
        """
        So does one that unregisters and is listed all the same.
        """
        ticket = register(CONTACT, "Expires: 0")
        headers, attempt = self.attempt(ticket)
        line = f"Contact: {headers.get('contact')};expires=0"
        completion = self.complete(attempt, response(ticket, 200, line))
        self.assertEqual(completion.headers.values("contact"), [f"<{PHONE_URI}>;expires=0"])

    def test_restored_without_parameter(self) -> None:
        """
        So does one whose registrar lost our parameter.
        """
        ticket = register(CONTACT)
        _, attempt = self.attempt(ticket)
        line = "Contact: <sip:alice@203.0.113.7>;expires=45"
        completion = self.complete(attempt, response(ticket, 200, line))
        self.assertEqual(completion.headers.values("contact"), [f"<{PHONE_URI}>;expires=45"])

    def test_others_untouched(self) -> None:
        """
        Contacts of other phones stay as the registrar says, ours masked.
        """
        self.register(
            register("Contact: <sip:alice@10.0.0.6>", call_id="2", source=Hop("10.0.0.6", 5060))
        )
        [other] = [binding.mask for binding in self.locations]
        ticket = register(CONTACT)
        headers, attempt = self.attempt(ticket)
        contacts = [
            f"<sip:alice@203.0.113.7;line={other}>;expires=3",
            headers.get("contact") or "",
            "<sip:alice@198.51.100.9>",
            "<mailto:a@b.example>",
        ]
        completion = self.complete(
            attempt, response(ticket, 200, f"Contact: {', '.join(contacts)}")
        )
        contacts[1] = f"<{PHONE_URI}>"
        self.assertEqual(completion.headers.values("contact"), contacts)

    def test_query(self) -> None:
        """
        A query shows the phone its own Contact.
        """
        self.register(register(CONTACT))
        [mask] = [binding.mask for binding in self.locations]
        ticket = register(cseq=2)
        line = f"Contact: <sip:alice@203.0.113.7;line={mask}>;expires=9"
        completion = self.complete(self.attempt(ticket)[1], response(ticket, 200, line))
        self.assertEqual(completion.headers.values("contact"), [f"<{PHONE_URI}>;expires=9"])

    def test_other_headers_untouched(self) -> None:
        """
        Everything else in the answer goes on as it came.
        """
        ticket = register(CONTACT)
        headers, attempt = self.attempt(ticket)
        line = f"m: {headers.get('contact')}"
        answer = response(ticket, 200, "Service-Route:  <sip:s;lr>", line, "X: y")
        completion = self.complete(attempt, answer)
        self.assertEqual(
            [header for header in completion.headers if header[0] != "contact"],
            [header for header in answer.headers if header[0] != "contact"],
        )

    def test_nothing_to_restore(self) -> None:
        """
        An answer that cannot be restored goes on as it came.
        """
        ticket = register(CONTACT)
        _, attempt = self.attempt(ticket)
        for line in ("Contact: <sip:", "X: y", f"Contact: <sip:a\0@b>, {CONTACT[9:]}"):
            answer = response(ticket, 200, line)
            self.assertEqual(self.complete(attempt, answer).headers, answer.headers)


class OverflowTests(RegistrationTestCase):
    def test_full(self) -> None:
        """
        With a full table a new phone is not even tried, a known one is (F21 of siproxd).
        """
        self.locations.limit = 1
        self.register(register(CONTACT))
        bob = register(CONTACT, to="<sip:bob@provider.example>", call_id="bob")
        self.assertTrue(would_overflow(self.attempt(bob)[1], self.locations))
        known = register(CONTACT, cseq=2)
        self.assertFalse(would_overflow(self.attempt(known)[1], self.locations))

    def test_unbinding_always_fits(self) -> None:
        """
        Who only asks or unregisters needs no room.
        """
        self.locations.limit = 0
        for lines in ((f"{CONTACT};expires=0",), (), ("Contact: *", "Expires: 0")):
            self.assertFalse(would_overflow(self.attempt(register(*lines))[1], self.locations))

    def test_one_source(self) -> None:
        """
        One address has room for its share only (S14 of siproxd).
        """
        self.locations.source_limit = 1
        self.locations.put(make_binding())
        bob = register(CONTACT, to="<sip:bob@provider.example>", call_id="bob")
        self.assertTrue(would_overflow(self.attempt(bob)[1], self.locations))


class MutationTests(RegistrationTestCase):
    def test_mutations(self) -> None:
        """
        Whatever a phone or a registrar sends, it is refused or understood.
        """
        chance = random.Random(3327)
        ticket = register(f'{CONTACT};q=0.5;expires=70, "A" <sip:b@10.0.0.9>', "Expires: 30")
        headers, attempt = self.attempt(ticket)
        contacts = ", ".join(headers.values("contact"))
        answer = response(ticket, 200, f"Contact: {contacts};expires=9", "Expires: 8")
        understood = 0
        for number in range(2500):
            try:
                request = parse(self.mutate(bytes(ticket.request), chance))
                asked = ticket._replace(request=request, now=NOW + number)
                bytes(request._replace(headers=self.attempt(asked)[0]))
            except SIPError:
                pass
            try:
                message = parse(self.mutate(bytes(answer), chance))
            except MalformedMessage:
                continue
            if isinstance(message, Response):
                completion = self.complete(attempt, message)
                bytes(message._replace(headers=completion.headers))
                understood += bool(completion.changed)
        self.assertGreater(understood, 200)

    def mutate(self, message: bytes, chance: random.Random) -> bytes:
        data = bytearray(message)
        for _ in range(chance.randint(1, 3)):
            at = chance.randrange(len(data))
            data[at : at + chance.randint(0, 3)] = chance.choice(
                (b"", b"*", b",", b";", b'"', b"<", b"\0", b"\xff", b"0", b"sip:", b" ")
            )
        return bytes(data)
