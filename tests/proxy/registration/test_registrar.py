"""
We are a registrar by RFC 3261 section 10.3.
"""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import MalformedMessage
from siptwist.proxy.decision import Reply
from siptwist.proxy.registration.location import Locations
from siptwist.proxy.registration.registrar import Registrar
from siptwist.proxy.ticket import Ticket
from siptwist.sip.fields import NameAddr
from siptwist.sip.headers import make_header
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Request, parse
from tests.proxy.registering import IDENTITY, KEY, NOW, PHONE, apply, make_binding, register, values

AOR = "sip:alice@10.0.0.1"
PHONE_URI = "sip:alice@10.0.0.5:5060"
CONTACT = f"Contact: <{PHONE_URI}>"


class RegistrarTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.locations = Locations()
        self.registrar = Registrar(self.locations, IDENTITY, KEY)

    def answer(self, ticket: Ticket) -> Reply:
        """
        Answer and carry out, as the service does.
        """
        reply = self.registrar.answer(ticket)
        apply(self.locations, reply.changed, reply.removed)
        return reply

    def contacts(self, aor: str = AOR, now: float = NOW) -> list[str]:
        return sorted(binding.contact for binding in self.locations.lookup(aor, now))


class BindingTests(RegistrarTestCase):
    def test_bind(self) -> None:
        """
        A phone that registers is bound to its address-of-record.
        """
        reply = self.answer(register(CONTACT, "Expires: 600", "User-Agent: Phone 1"))
        self.assertEqual(reply.status, 200)
        [binding] = self.locations.lookup(AOR, NOW)
        self.assertEqual(binding.contact, PHONE_URI)
        self.assertEqual(binding.expires_at, NOW + 600)
        self.assertEqual((binding.source, binding.registrar), (PHONE, ""))
        self.assertEqual((binding.call_id, binding.cseq), ("one@phone", 1))
        self.assertEqual(binding.user_agent, "Phone 1")

    def test_nothing_before_commit(self) -> None:
        """
        Answering alone binds nothing: the disk comes first.
        """
        reply = self.registrar.answer(register(CONTACT))
        self.assertEqual(len(reply.changed), 1)
        self.assertEqual(len(self.locations), 0)

    def test_aor_is_canonical(self) -> None:
        """
        Case of the host, default port and needless escapes of the To URI make
        no difference.
        """
        self.answer(register(CONTACT, to="<sip:%61lice@10.0.0.1:5060;user=phone>"))
        self.assertEqual(self.contacts(), [PHONE_URI])

    def test_response_lists_contact(self) -> None:
        """
        The answer repeats the Contact with the seconds granted, and its other
        parameters (P5 of siproxd).
        """
        reply = self.answer(register(f'{CONTACT};q=0.5;+sip.instance="<urn:uuid:1>";expires=120;x'))
        self.assertEqual(
            values(reply, "Contact"),
            [f'<{PHONE_URI}>;q=0.5;+sip.instance="<urn:uuid:1>";x;expires=120'],
        )

    def test_response_lists_all(self) -> None:
        """
        The answer lists every phone of the address-of-record, with the
        seconds that are left (P5 of siproxd).
        """
        self.answer(register(CONTACT, "Expires: 600"))
        reply = self.answer(register("Contact: <sip:alice@10.0.0.6>", call_id="two", now=NOW + 100))
        self.assertEqual(
            values(reply, "Contact"),
            ["<sip:alice@10.0.0.6>;expires=3600", f"<{PHONE_URI}>;expires=500"],
        )

    def test_date(self) -> None:
        """
        The answer tells phones without a clock the time.
        """
        reply = self.answer(register(CONTACT, now=0.0))
        self.assertEqual(values(reply, "Date"), ["Thu, 01 Jan 1970 00:00:00 GMT"])

    def test_headers_printable(self) -> None:
        """
        What the answer says can be printed into a message.
        """
        for name, value in self.answer(register(CONTACT)).headers:
            make_header(name, value)

    def test_query(self) -> None:
        """
        A REGISTER without Contact asks what is bound, and changes nothing (P5 of siproxd).
        """
        self.answer(register(CONTACT))
        reply = self.answer(register(cseq=2))
        self.assertEqual(values(reply, "Contact"), [f"<{PHONE_URI}>;expires=3600"])
        self.assertEqual((reply.changed, reply.removed), ((), ()))

    def test_query_without_bindings(self) -> None:
        """
        A query about nobody is answered 200 without Contact.
        """
        reply = self.answer(register())
        self.assertEqual((reply.status, values(reply, "Contact")), (200, []))

    def test_several_in_one(self) -> None:
        """
        One REGISTER may bind several contacts (P5 of siproxd).
        """
        reply = self.answer(register(f"{CONTACT}, <sip:alice@10.0.0.6>;expires=90"))
        self.assertEqual(self.contacts(), [PHONE_URI, "sip:alice@10.0.0.6"])
        self.assertEqual(len({binding.mask for binding in reply.changed}), 2)

    def test_same_contact_twice(self) -> None:
        """
        A Contact that stands there twice is bound once.
        """
        self.answer(register("Contact: <sip:alice@HOST.example>, <sip:alice@host.example>;q=0.1"))
        self.assertEqual(self.contacts(), ["sip:alice@host.example"])

    def test_other_registrars_bindings(self) -> None:
        """
        What is bound at a registrar outside is not ours to list or remove.
        """
        self.locations.put(make_binding(aor=AOR, registrar="provider.example"))
        reply = self.answer(register("Contact: *", "Expires: 0"))
        self.assertEqual((reply.status, reply.removed), (200, ()))
        self.assertEqual(values(self.answer(register()), "Contact"), [])

    def test_long_user_agent(self) -> None:
        """
        Of an endless User-Agent only the beginning is remembered.
        """
        reply = self.answer(register(CONTACT, "User-Agent: " + "x" * 5000))
        self.assertEqual(len(reply.changed[0].user_agent), 128)

    def test_behind_another_router(self) -> None:
        """
        A phone whose REGISTER comes from another address than its Contact is
        reached where it came from (F14 and F17 of siproxd).
        """
        source = Hop("10.0.0.9", 4242)
        reply = self.answer(register("Contact: <sip:alice@192.168.7.7:5060>", source=source))
        self.assertEqual(reply.changed[0].hop, source)


class ExpiresTests(RegistrarTestCase):
    def granted(self, *lines: str) -> float:
        reply = self.answer(register(*lines))
        self.assertEqual(reply.status, 200)
        return reply.changed[0].expires_at - NOW

    def test_parameter_first(self) -> None:
        """
        The Contact's own expires wins over the Expires header.
        """
        self.assertEqual(self.granted(f"{CONTACT};expires=100", "Expires: 200"), 100)

    def test_header(self) -> None:
        """
        Without a parameter the Expires header counts.
        """
        self.assertEqual(self.granted(CONTACT, "Expires: 200"), 200)

    def test_default(self) -> None:
        """
        A phone that asks for no time gets the default.
        """
        self.assertEqual(self.granted(CONTACT), 3600)

    def test_malformed(self) -> None:
        """
        A malformed lifetime counts as the default (RFC 3261 section 10.3 step 7).
        """
        self.assertEqual(self.granted(f"{CONTACT};expires=soon", "Expires: 200"), 3600)

    def test_capped(self) -> None:
        """
        Nobody is registered for longer than the maximum.
        """
        self.assertEqual(self.granted(CONTACT, "Expires: 99999999999999"), 86_400)

    def test_too_brief(self) -> None:
        """
        A lifetime below the minimum is refused with 423 and Min-Expires (P5 of siproxd).
        """
        reply = self.answer(register(CONTACT, "Expires: 59"))
        self.assertEqual(reply.status, 423)
        self.assertEqual(values(reply, "Min-Expires"), ["60"])
        self.assertEqual(len(self.locations), 0)

    def test_minimum(self) -> None:
        """
        The minimum itself is granted.
        """
        self.assertEqual(self.granted(CONTACT, "Expires: 60"), 60)

    def test_zero_unbinds(self) -> None:
        """
        expires=0 unbinds that contact and no other.
        """
        self.answer(register(f"{CONTACT}, <sip:alice@10.0.0.6>"))
        reply = self.answer(register(f"{CONTACT};expires=0", cseq=2))
        self.assertEqual(reply.status, 200)
        self.assertEqual(self.contacts(), ["sip:alice@10.0.0.6"])
        self.assertEqual(len(values(reply, "Contact")), 1)

    def test_unbind_unknown(self) -> None:
        """
        Unbinding what is not bound succeeds: a retransmission does it.
        """
        reply = self.answer(register(f"{CONTACT};expires=0"))
        self.assertEqual((reply.status, reply.removed), (200, ()))


class StarTests(RegistrarTestCase):
    def test_unbind_all(self) -> None:
        """
        Contact * with Expires 0 unbinds every phone (P5 of siproxd).
        """
        self.answer(register(f"{CONTACT}, <sip:alice@10.0.0.6>"))
        reply = self.answer(register("Contact: *", "Expires: 0", cseq=2))
        self.assertEqual((reply.status, values(reply, "Contact")), (200, []))
        self.assertEqual(self.contacts(), [])

    def test_with_lifetime(self) -> None:
        """
        Contact * with any other lifetime, or none, is refused with 400.
        """
        self.answer(register(CONTACT))
        for lines in (("Expires: 60",), ("Expires: none",), ()):
            self.assertEqual(self.answer(register("Contact: *", *lines, cseq=2)).status, 400)
        self.assertEqual(self.contacts(), [PHONE_URI])

    def test_beside_others(self) -> None:
        """
        Contact * beside another Contact is refused with 400.
        """
        for lines in ((f"{CONTACT}, *",), (CONTACT, "Contact: *"), ("Contact: *, *",)):
            self.assertEqual(self.answer(register(*lines, "Expires: 0")).status, 400)

    def test_out_of_order(self) -> None:
        """
        A late Contact * of the same Call-ID unbinds nothing.
        """
        self.answer(register(CONTACT, cseq=5))
        reply = self.answer(register("Contact: *", "Expires: 0", cseq=5))
        self.assertEqual((reply.status, reply.removed), (500, ()))


class OrderTests(RegistrarTestCase):
    def test_refresh(self) -> None:
        """
        A higher CSeq renews; mask and time of the first registration stay.
        """
        [first] = self.answer(register(CONTACT)).changed
        [second] = self.answer(register(CONTACT, cseq=2, now=NOW + 50)).changed
        self.assertEqual((second.mask, second.created_at), (first.mask, NOW))
        self.assertEqual((second.updated_at, second.cseq), (NOW + 50, 2))
        self.assertEqual(len(self.locations), 1)

    def test_lower_cseq(self) -> None:
        """
        A request that was overtaken is refused, and changes nothing (P5 of siproxd).
        """
        self.answer(register(CONTACT, cseq=5))
        reply = self.answer(register(f"{CONTACT};expires=0", cseq=4))
        self.assertEqual((reply.status, reply.reason), (500, "Out of order"))
        self.assertEqual(self.contacts(), [PHONE_URI])

    def test_equal_cseq_other_content(self) -> None:
        """
        The same CSeq with another lifetime is out of order.
        """
        self.answer(register(CONTACT, "Expires: 600"))
        self.assertEqual(self.answer(register(CONTACT, "Expires: 700")).status, 500)
        self.assertEqual(self.answer(register(f"{CONTACT};q=0.1", "Expires: 600")).status, 500)

    def test_retransmission(self) -> None:
        """
        The same request again is answered with success, and renews nothing.
        """
        lines = (f"{CONTACT};q=0.2", "Expires: 600")
        self.answer(register(*lines))
        reply = self.answer(register(*lines, now=NOW + 4))
        self.assertEqual((reply.status, reply.changed), (200, ()))
        self.assertEqual(values(reply, "Contact"), [f"<{PHONE_URI}>;q=0.2;expires=596"])

    def test_retransmitted_swap(self) -> None:
        """
        So is one that unbound one contact and bound another.
        """
        self.answer(register(CONTACT))
        swap = register(f"{CONTACT};expires=0, <sip:alice@10.0.0.6>", cseq=2)
        self.assertEqual(self.answer(swap).status, 200)
        self.assertEqual(self.answer(swap).status, 200)
        self.assertEqual(self.contacts(), ["sip:alice@10.0.0.6"])

    def test_other_call_id(self) -> None:
        """
        After a restart a phone counts from one again, with another Call-ID.
        """
        [first] = self.answer(register(CONTACT, cseq=50)).changed
        [second] = self.answer(register(CONTACT, cseq=1, call_id="after restart")).changed
        self.assertEqual(first.mask, second.mask)

    def test_lapsed_has_no_order(self) -> None:
        """
        A lapsed binding refuses nobody, and its phone keeps its mask.
        """
        [first] = self.answer(register(CONTACT, "Expires: 60", cseq=5)).changed
        reply = self.answer(register(CONTACT, cseq=5, now=NOW + 61))
        self.assertEqual((reply.status, reply.changed[0].mask), (200, first.mask))

    def test_lapsed_not_listed(self) -> None:
        """
        A lapsed binding is not listed, even before it is forgotten.
        """
        self.answer(register(CONTACT, "Expires: 60"))
        self.assertEqual(values(self.answer(register(now=NOW + 61)), "Contact"), [])

    def test_all_or_nothing(self) -> None:
        """
        When one of several Contacts is out of order, none is bound.
        """
        self.answer(register(CONTACT, cseq=5))
        reply = self.answer(register("Contact: <sip:alice@10.0.0.8>", CONTACT, cseq=5))
        self.assertEqual((reply.status, reply.changed), (500, ()))
        self.assertEqual(self.contacts(), [PHONE_URI])

    def test_one_too_brief(self) -> None:
        """
        When one of several lifetimes is too brief, none is granted.
        """
        reply = self.answer(register(f"{CONTACT}, <sip:alice@10.0.0.6>;expires=5"))
        self.assertEqual((reply.status, self.contacts()), (423, []))


class SamePhoneTests(RegistrarTestCase):
    def test_comparison(self) -> None:
        """
        Contacts are compared by the rules of URIs, not as text (P9 of siproxd).
        """
        self.answer(register("Contact: <sip:%61lice@phone.example;x=1>"))
        self.answer(register("Contact: <sip:alice@PHONE.example;y=2>", cseq=2))
        self.assertEqual(self.contacts(), ["sip:alice@PHONE.example;y=2"])

    def test_other_transport(self) -> None:
        """
        The same host by another transport is another contact.
        """
        self.answer(register(CONTACT))
        self.answer(register("Contact: <sip:alice@10.0.0.5:5060;transport=tcp>", cseq=2))
        self.assertEqual(len(self.contacts()), 2)

    def test_moved_port(self) -> None:
        """
        A phone that comes from a new port replaces itself.
        """
        [first] = self.answer(register(CONTACT)).changed
        [second] = self.answer(register("Contact: <sip:alice@10.0.0.5:6060>", cseq=2)).changed
        self.assertEqual((second.mask, second.created_at), (first.mask, first.created_at))
        self.assertEqual(self.contacts(), ["sip:alice@10.0.0.5:6060"])

    def test_two_phones_behind_one_router(self) -> None:
        """
        Another Call-ID at another port is another phone.
        """
        self.answer(register(CONTACT))
        self.answer(register("Contact: <sip:alice@10.0.0.5:6060>", call_id="other"))
        self.assertEqual(len(self.contacts()), 2)

    def test_instance(self) -> None:
        """
        A device that names its instance replaces itself, wherever it is.
        """
        instance = '+sip.instance="<urn:uuid:1>"'
        [first] = self.answer(register(f"{CONTACT};{instance}")).changed
        contact = f"Contact: <sip:alice@10.0.0.77>;{instance}"
        [second] = self.answer(register(contact, call_id="later")).changed
        self.assertEqual(second.mask, first.mask)
        self.assertEqual(self.contacts(), ["sip:alice@10.0.0.77"])

    def test_flows_of_one_instance(self) -> None:
        """
        Two flows of one instance are two contacts (RFC 5626 section 4.1; P12 of siproxd).
        """
        instance = '+sip.instance="<urn:uuid:1>"'
        self.answer(register(f"{CONTACT};{instance};reg-id=1"))
        other = f"Contact: <sip:alice@10.0.0.5:6060>;{instance};reg-id=2"
        self.answer(register(other, call_id="other"))
        self.assertEqual(len(self.contacts()), 2)

    def test_moved_back(self) -> None:
        """
        A mask stands for one contact, though its phone moved to and fro.
        """
        self.answer(register(CONTACT))
        self.answer(register("Contact: <sip:alice@10.0.0.5:6060>", cseq=2))
        both = f"{CONTACT}, <sip:alice@10.0.0.5:6060>"
        reply = self.answer(register(both, cseq=3))
        self.assertEqual(len({binding.mask for binding in reply.changed}), 2)
        self.assertEqual(len(self.contacts()), 2)


class RefusalTests(RegistrarTestCase):
    def test_foreign_domain(self) -> None:
        """
        Nobody can register here for a domain that is not ours (404).
        """
        reply = self.answer(register(CONTACT, to="<sip:alice@bank.example>"))
        self.assertEqual((reply.status, len(self.locations)), (404, 0))

    def test_domain_of_request_uri(self) -> None:
        """
        The domain that the Request-URI names, and found us, is ours.
        """
        ticket = register(CONTACT, uri="sip:home.example", to="<sip:alice@Home.example>")
        self.assertEqual(self.answer(ticket).status, 200)
        self.assertEqual(self.contacts("sip:alice@home.example"), [PHONE_URI])

    def test_aor_not_sip(self) -> None:
        """
        An address-of-record that is not a SIP URI is refused with 400.
        """
        self.assertEqual(self.answer(register(CONTACT, to="<tel:+15551234>")).status, 400)

    def test_our_own_address(self) -> None:
        """
        A Contact that is us would send calls around in circles: 400.
        """
        for contact in ("sip:alice@10.0.0.1", "sip:alice@203.0.113.7:5060;line=1"):
            self.assertEqual(self.answer(register(f"Contact: <{contact}>")).status, 400)

    def test_contact_not_sip(self) -> None:
        """
        A Contact of another scheme is refused with 400.
        """
        self.assertEqual(self.answer(register("Contact: <mailto:a@b.example>")).status, 400)

    def test_contact_malformed(self) -> None:
        """
        A Contact that cannot be read is refused with 400, and binds nothing.
        """
        for contact in ("<sip:>", "sip:a@b;=", '"open <sip:a@b>', "<sip:a\0b@c>", "x" * 3000):
            reply = self.answer(register(f"Contact: {contact}"))
            self.assertEqual((reply.status, len(self.locations)), (400, 0))

    def test_too_many_contacts(self) -> None:
        """
        The 33rd contact of an address-of-record is refused with 403.
        """
        many = [f"Contact: <sip:a@10.0.1.{n}>" for n in range(32)]
        self.assertEqual(self.answer(register(*many)).status, 200)
        reply = self.answer(register(CONTACT, cseq=2))
        self.assertEqual((reply.status, reply.reason), (403, "Too many contacts"))
        self.assertEqual(self.answer(register(*many, CONTACT, cseq=3)).status, 403)
        self.assertEqual(self.answer(register(*many, cseq=4)).status, 200)

    def test_swap_in_full_aor(self) -> None:
        """
        A full address-of-record can still exchange one contact for another.
        """
        self.answer(register(*[f"Contact: <sip:a@10.0.1.{n}>" for n in range(32)]))
        swap = register("Contact: <sip:a@10.0.1.0>;expires=0, <sip:a@10.0.2.1>", cseq=2)
        self.assertEqual(self.answer(swap).status, 200)

    def test_table_full(self) -> None:
        """
        When the table is full a new phone is told when to try again; a known
        one is renewed.
        """
        self.locations.limit = 1
        self.answer(register(CONTACT))
        reply = self.answer(register(CONTACT, to="<sip:bob@10.0.0.1>", call_id="bob"))
        self.assertEqual((reply.status, values(reply, "Retry-After")), (503, ["60"]))
        self.assertEqual(self.answer(register(CONTACT, cseq=2)).status, 200)

    def test_one_source(self) -> None:
        """
        One address cannot fill the table with invented phones (S14 of siproxd).
        """
        self.locations.source_limit = 3
        statuses = [
            self.answer(register(CONTACT, to=f"<sip:{n}@10.0.0.1>", call_id=str(n))).status
            for n in range(4)
        ]
        self.assertEqual(statuses, [200, 200, 200, 503])
        other = Hop("10.0.0.6", 5060)
        contact = "Contact: <sip:x@10.0.0.6>"
        self.assertEqual(self.answer(register(contact, call_id="x", source=other)).status, 200)

    def test_unknown_extension(self) -> None:
        """
        An extension that is required and not known is refused with 420.
        """
        reply = self.answer(register(CONTACT, "Require: path, gruu"))
        self.assertEqual((reply.status, values(reply, "Unsupported")), (420, ["gruu"]))


class PathTests(RegistrarTestCase):
    PATH = ("<sip:edge.example;lr>", "<sip:p2.example;lr>")

    def test_kept_and_repeated(self) -> None:
        """
        The Path to a phone is kept in its binding, and the answer repeats it (P12 of siproxd).
        """
        reply = self.answer(register(CONTACT, "Supported: path", f"Path: {', '.join(self.PATH)}"))
        self.assertEqual(reply.changed[0].path, self.PATH)
        self.assertEqual(tuple(values(reply, "Path")), self.PATH)

    def test_unsupported(self) -> None:
        """
        A Path that the phone did not agree to is refused (RFC 3327 section 5.3).
        """
        reply = self.answer(register(CONTACT, "Path: <sip:edge.example;lr>"))
        self.assertEqual((reply.status, values(reply, "Unsupported")), (420, ["path"]))

    def test_malformed(self) -> None:
        """
        A Path that cannot be read, or never ends, is refused with 400.
        """
        long = ", ".join(["<sip:edge.example;lr>"] * 300)
        for path in ("<sip:", "<sip:a\0b@c>", long):
            reply = self.answer(register(CONTACT, "Supported: path", f"Path: {path}"))
            self.assertEqual((reply.status, len(self.locations)), (400, 0))


class MutationTests(RegistrarTestCase):
    def test_mutations(self) -> None:
        """
        Whatever is sent as a REGISTER, the registrar answers and what it
        answers can be printed.
        """
        seed = bytes(
            register(
                f'{CONTACT};q=0.5;expires=70, "A" <sip:b@10.0.0.9>;+sip.instance="<urn:1>"',
                "Supported: path",
                "Path: <sip:e.example;lr>",
                "Expires: 300",
                cseq=1_000_000,
            ).request
        )
        chance = random.Random(3261)
        answered = 0
        for number in range(5000):
            data = bytearray(seed.replace(b"1000000", b"%d" % (1_000_000 + number)))
            for _ in range(chance.randint(1, 4)):
                at = chance.randrange(len(data))
                data[at : at + chance.randint(0, 3)] = chance.choice(
                    (b"", b"*", b",", b";", b'"', b"<", b"\0", b"\xff", b"0", b"sip:", b" ")
                )
            try:
                request = parse(bytes(data))
                assert isinstance(request, Request)
                ticket = Ticket.make(request, PHONE, Side.INSIDE, NOW + number)
            except MalformedMessage:
                continue
            reply = self.answer(ticket)
            for name, value in reply.headers:
                make_header(name, value)
                if name == "Contact":
                    NameAddr.parse(value)
            answered += reply.status == 200
        self.assertGreater(answered, 200)
