"""
DNS answers are read within bounds, and used in the order the RFCs give.
"""

from __future__ import annotations

import random
from typing import Any

from twisted.names import dns
from twisted.trial.unittest import SynchronousTestCase

from siptwist.net.records import (
    FAILURE,
    LONGEST_TTL,
    MAX_RECORDS,
    MAX_USED,
    NEGATIVE_TTL,
    SHORTEST_TTL,
    Answer,
    Kind,
    Pointer,
    Service,
    after_failure,
    canonical_name,
    order_pointers,
    order_services,
    parse_hosts,
    read_answer,
)
from tests.net.fakes_dns import a, aaaa, cname, header, naptr, srv


def soa(minimum: int, ttl: int) -> Any:
    return header("example.com", dns.Record_SOA(minimum=minimum), ttl)


class ReadAnswerTests(SynchronousTestCase):
    def test_addresses(self) -> None:
        """
        All addresses of a name are read, for the shortest of their lifetimes.
        """
        records = a("SIP.example.com", "192.0.2.1", ttl=300) + a("sip.example.com", "192.0.2.2")
        self.assertEqual(
            read_answer(Kind.A, "sip.example.com", records, []),
            Answer(("192.0.2.1", "192.0.2.2"), 60),
        )

    def test_ipv6(self) -> None:
        """
        IPv6 addresses are read in their short form.
        """
        answer = read_answer(Kind.AAAA, "x", aaaa("x", "2001:DB8:0::1"), [])
        self.assertEqual(answer.records, ("2001:db8::1",))

    def test_ttl_bounds(self) -> None:
        """
        No answer is asked for at every message, none is believed for more than an hour.
        """
        for ttl, kept in ((0, SHORTEST_TTL), (10**6, LONGEST_TTL)):
            self.assertEqual(read_answer(Kind.A, "x", a("x", "192.0.2.1", ttl=ttl), []).ttl, kept)

    def test_alias(self) -> None:
        """
        A CNAME is followed, within the answer or by another question.
        """
        alias = cname("sip.x", "real.x", ttl=20)
        whole = read_answer(Kind.A, "sip.x", alias + a("real.x", "192.0.2.1"), [])
        self.assertEqual(whole, Answer(("192.0.2.1",), 20))
        self.assertEqual(read_answer(Kind.A, "sip.x", alias, []), Answer((), 20, alias="real.x"))

    def test_alias_loop(self) -> None:
        """
        Aliases that lead in a circle lead nowhere.
        """
        records = cname("a.x", "b.x") + cname("b.x", "a.x")
        self.assertEqual(read_answer(Kind.A, "a.x", records, []), FAILURE)

    def test_strangers_records(self) -> None:
        """
        Records of a name that was not asked for are not believed.
        """
        answer = read_answer(Kind.A, "sip.x", a("other.x", "192.0.2.66"), [])
        self.assertEqual(answer.records, ())

    def test_too_many(self) -> None:
        """
        An answer of very many records is refused; of many, some are used.
        """
        many = a("x", *(f"192.0.2.{number}" for number in range(MAX_RECORDS)))
        self.assertEqual(len(read_answer(Kind.A, "x", many, []).records), MAX_USED)
        self.assertEqual(read_answer(Kind.A, "x", [*many, many[0]], []), FAILURE)

    def test_negative(self) -> None:
        """
        "There is none" is believed as long as the zone says, within bounds.
        """
        for authority, ttl in (
            ([], NEGATIVE_TTL),
            ([soa(60, 90)], 60),
            ([soa(90, 0)], SHORTEST_TTL),
            ([soa(10**6, 10**6)], 300),
        ):
            self.assertEqual(read_answer(Kind.A, "x", [], authority), Answer((), ttl))

    def test_services(self) -> None:
        """
        SRV records are read; those that make no sense are left out.
        """
        records = srv(
            "s", (20, 0, 5060, "b.x"), (10, 5, 5070, "A.x."), (1, 1, 0, "c.x"), (1, 1, 5060, "d d")
        )
        self.assertEqual(
            read_answer(Kind.SRV, "s", records, []).records,
            (Service(10, 5, 5070, "a.x"), Service(20, 0, 5060, "b.x")),
        )
        self.assertEqual(
            read_answer(Kind.SRV, "s", srv("s", (0, 0, 0, ".")), []).records,
            (Service(0, 0, 0, ""),),
        )

    def test_pointers(self) -> None:
        """
        NAPTR records that point to SRV records are read, others left out.
        """
        records = naptr(
            "x",
            (50, 50, b"S", b"sip+d2u", "_sip._udp.x"),
            (10, 10, b"u", b"E2U+sip", "y.x"),
            (10, 10, b"s", b"SIP+D2T", "."),
        )
        self.assertEqual(
            read_answer(Kind.NAPTR, "x", records, []).records,
            (Pointer(50, 50, "SIP+D2U", "_sip._udp.x"),),
        )

    def test_failure(self) -> None:
        """
        When no server answers, an old answer serves; else one waits ever longer to ask.
        """
        good = Answer(("192.0.2.1",), 60)
        self.assertEqual(after_failure(Kind.A, None), FAILURE)
        self.assertEqual(after_failure(Kind.A, good), good._replace(ttl=30))
        self.assertEqual(after_failure(Kind.A, Answer((), 60)), FAILURE)
        answer, waits = FAILURE, []
        for _ in range(5):
            answer = after_failure(Kind.SRV, answer)
            waits.append(answer.ttl)
        self.assertEqual(waits, [10, 20, 40, 60, 60])
        self.assertEqual(after_failure(Kind.A, answer).ttl, 10)

    def test_mutations(self) -> None:
        """
        However a DNS message is damaged, it is refused, or read within bounds.
        """
        chance = random.Random(1035)
        message = dns.Message(answer=1)
        message.answers = (
            cname("s.x", "t.x")
            + srv("t.x", (1, 2, 5060, "u.x"))
            + a("t.x", "192.0.2.1")
            + aaaa("t.x", "::1")
            + naptr("t.x", (1, 2, b"s", b"SIP+D2U", "v.x"))
        )
        message.authority = [soa(60, 60)]
        whole = message.toStr()
        for _ in range(5000):
            data = bytearray(whole)
            for _ in range(chance.randint(1, 4)):
                data[chance.randrange(12, len(data))] = chance.randrange(256)
            damaged = dns.Message()
            try:
                damaged.fromStr(bytes(data))
            except Exception:
                continue  # That is for twisted.names to refuse, before it comes to us.
            for kind in Kind:
                answer = read_answer(kind, "s.x", damaged.answers, damaged.authority)
                self.assertTrue(SHORTEST_TTL <= answer.ttl <= LONGEST_TTL)


class OrderTests(SynchronousTestCase):
    def test_priority(self) -> None:
        """
        Servers of a lower priority value go first, whatever their weight.
        """
        services = [Service(2, 9, 1, "c"), Service(1, 0, 1, "a"), Service(3, 0, 1, "d")]
        ordered = order_services(services, random.Random(1).randrange)
        self.assertEqual([service.target for service in ordered], ["a", "c", "d"])

    def test_weight(self) -> None:
        """
        Among equals a server is first as often as its weight says, and one
        without weight now and then.
        """
        chance = random.Random(2782)
        services = [Service(1, 1, 1, "light"), Service(1, 3, 1, "heavy"), Service(1, 0, 1, "spare")]
        firsts = [order_services(services, chance.randrange)[0].target for _ in range(2000)]
        self.assertTrue(1100 < firsts.count("heavy") < 1300, firsts.count("heavy"))
        self.assertTrue(300 < firsts.count("light") < 500, firsts.count("light"))
        self.assertGreater(firsts.count("spare"), 0)

    def test_every_server_once(self) -> None:
        """
        The order holds each server once, so that the next can be tried.
        """
        services = [Service(1, weight, 1, f"s{weight}") for weight in range(5)]
        ordered = order_services(services, random.Random(3).randrange)
        self.assertEqual(sorted(ordered), services)

    def test_pointers(self) -> None:
        """
        The domain's preferred transport goes first, of those we speak.
        """
        pointers = [
            Pointer(1, 1, "SIPS+D2T", "_sips._tcp.x"),
            Pointer(3, 1, "SIP+D2U", "_sip._udp.x"),
            Pointer(2, 9, "SIP+D2T", "_sip._tcp.x"),
        ]
        spoken = {"SIP+D2U": "UDP", "SIP+D2T": "TCP"}
        self.assertEqual(
            order_pointers(pointers, spoken), [("TCP", "_sip._tcp.x"), ("UDP", "_sip._udp.x")]
        )


class NameTests(SynchronousTestCase):
    def test_names(self) -> None:
        """
        Only what DNS could hold is asked.
        """
        self.assertEqual(canonical_name("SIP.Example.com."), "sip.example.com")
        for text in ("", ".", "a..b", "a b", "é.x", "a" * 64, "a." * 127 + "abc", "x/y", "[::1]"):
            self.assertIsNone(canonical_name(text), text)

    def test_hosts(self) -> None:
        """
        The hosts file is read as every program reads it.
        """
        text = (
            "# c\n127.0.0.1 localhost Box # x\n\n::1\tlocalhost\n"
            "nonsense a\nfe80::1%lo b\n192.0.2.1\n"
        )
        self.assertEqual(
            parse_hosts(text), {"localhost": ("127.0.0.1", "::1"), "box": ("127.0.0.1",)}
        )
