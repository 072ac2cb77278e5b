"""
The torture messages of RFC 4475 and RFC 5118 through the whole proxy, without
a socket: each has its outcome, and the proxy serves on.
"""

from __future__ import annotations

import hashlib
from typing import Any

from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import parse
from tests.services.walking import Agent, Proxy
from tests.torture import (
    AT_PROXY,
    AT_REGISTRAR,
    CORPORA,
    DROP,
    FORWARD,
    RESPONSES,
    Outcome,
    changes,
    messages,
    parts,
)

WORLD = "203.0.113.20"


class EveryName:
    """
    A name server to which every name is known: it lies outside, unless it is ours.
    """

    def __init__(self, *ours: str) -> None:
        self._ours = ours

    def resolve(self, host: str, port: int | None, transport: str | None) -> list[Hop]:
        return [Hop("10.0.0.1" if host in self._ours else WORLD, port or 5060)]

    def mark_dead(self, hop: Hop) -> None:
        """
        Whoever did not answer is asked again.
        """

    def mark_alive(self, hop: Hop) -> None:
        """
        Nobody is dead.
        """


class TortureCase(SynchronousTestCase):
    """
    A phone inside that sends what it should not.
    """

    text = "rtp_proxy_enable = 0\n"

    def start(self, *ours: str, text: str = "") -> tuple[Proxy, Agent]:
        proxy = Proxy(text=self.text + text)
        self.addCleanup(proxy.stop)
        proxy.forwarding.resolver = EveryName(*ours)
        return proxy, Agent(proxy, "10.0.0.10")

    def setUp(self) -> None:
        self.failures: list[Any] = []
        globalLogPublisher.addObserver(self.observe)
        self.addCleanup(globalLogPublisher.removeObserver, self.observe)

    def observe(self, event: dict[str, Any]) -> None:
        if event.get("log_failure") is not None:
            self.failures.append(event["log_failure"].getTraceback())

    def sent_out(self, proxy: Proxy) -> list[bytes]:
        return [data for data, _ in proxy.socket(Side.OUTSIDE).sent]

    def assert_outcome(self, name: str, given: bytes, outcome: Outcome, *ours: str) -> None:
        proxy, phone = self.start(*ours)
        phone.deliver(given)
        answers = [data for data in phone.datagrams if not data.startswith(b"SIP/2.0 100 ")]
        statuses = [int(data[8:11]) for data in answers]
        out = self.sent_out(proxy)
        if outcome == FORWARD:
            self.assertEqual((statuses, len(out)), ([], 1), name)
            # mpart01 has a strict route, which takes the place of its Request-URI.
            more = ("request-uri",) if name == "mpart01" else ()
            self.assertEqual(changes(given, out[0], *more), [], name)
        elif outcome == DROP:
            self.assertEqual((statuses, out), ([], []), name)
        else:
            self.assertEqual((len(statuses), out), (1, []), name)
            self.assertIn(statuses[0], outcome, name)
        self.assert_serves(proxy)
        proxy.wait(140, 1)
        self.assertEqual((len(proxy.parts.transactions), len(proxy.dialogs)), (0, 0), name)

    def assert_serves(self, proxy: Proxy) -> None:
        """
        The proxy answers OPTIONS, and has had no failure.
        """
        other = Agent(proxy, "10.0.0.11")
        other.send("OPTIONS", "sip:10.0.0.1")
        self.assertEqual(other.statuses("OPTIONS"), [200])
        self.assertEqual(self.failures, [])


class CorpusTests(SynchronousTestCase):
    """
    The messages themselves.
    """

    def test_complete(self) -> None:
        """
        All 49 messages of RFC 4475, its archive's extra one and the 12 of RFC 5118 are there.
        """
        self.assertEqual(sorted(messages()), sorted(AT_PROXY))
        self.assertEqual(len(AT_PROXY), 49 + 1 + 12)

    def test_unchanged(self) -> None:
        """
        The messages of RFC 4475 are bit for bit those of its archive.
        """
        listed = (CORPORA / "rfc4475" / "SHA256SUMS").read_text().split()
        for digest, name in zip(listed[::2], listed[1::2], strict=True):
            data = (CORPORA / "rfc4475" / name.lstrip("*")).read_bytes()
            self.assertEqual(hashlib.sha256(data).hexdigest(), digest, name)

    def test_changes_seen(self) -> None:
        """
        A lost, added, moved or changed field or body does not pass as unchanged.
        """
        given = messages()["wsinv"]
        self.assertEqual(changes(given, given), [])
        for old, new in (
            (b"NewFangledHeader", b"NewMangledHeader"),
            (b"UnknownHeaderWithUnusualValue: ;;,,;;,;\r\n", b""),
            (b"s :\r\n", b"s :\r\ns :\r\n"),
            (b"t=0 0", b"t=0 1"),
            (b"INVITE sip:vivekg@", b"INVITE sip:Vivekg@"),
        ):
            self.assertNotEqual(changes(given, given.replace(old, new, 1)), [], new)


class RoundTripTests(SynchronousTestCase):
    def test_valid(self) -> None:
        """
        A message that can be read goes out as the bytes that came in.
        """
        count = 0
        for name, outcome in AT_PROXY.items():
            if outcome != FORWARD and name not in RESPONSES:
                continue
            data = messages()[name]
            message = parse(data)
            written = bytes(message)
            self.assertTrue(data.startswith(written), name)
            self.assertEqual(message.body, written.partition(b"\r\n\r\n")[2], name)
            count += 1
        self.assertEqual(count, 35)


class ProxyTests(TortureCase):
    """
    Every message from a phone inside; every name lies outside, so that to accept is
    to forward.
    """

    def test_unregistered_responses(self) -> None:
        """
        Responses that answer nothing of ours are dropped, whatever is in them.
        """
        for name in ("unreason", "noreason", "bcast", "bigcode", "scalarlg"):
            self.assert_outcome(name, messages()[name], DROP)

    def test_refused_extension(self) -> None:
        """
        bext01: the refusal names both extensions that the proxy does not support.
        """
        _, phone = self.start()
        phone.deliver(messages()["bext01"])
        self.assertEqual(
            phone.answer("OPTIONS").headers.values("unsupported"),
            ["noproxiessupportthis", "nordoanyproxiessupportthis"],
        )

    def test_trailing_octets(self) -> None:
        """
        dblreq: what follows the message in its datagram is neither sent on nor answered.
        """
        proxy, phone = self.start()
        phone.deliver(messages()["dblreq"])
        self.assertTrue(self.sent_out(proxy)[0].endswith(b"\r\n\r\n"))
        self.assertEqual(phone.datagrams, [])

    def test_rfc2543_branch(self) -> None:
        """
        badbranch, inv2543: requests without a good branch are told from each other, and
        their retransmissions are absorbed.
        """
        for name in ("badbranch", "inv2543"):
            proxy, phone = self.start()
            given = messages()[name]
            for data in (given, given, given.replace(b"Call-ID: ", b"Call-ID: other-")):
                phone.deliver(data)
            self.assertEqual(len(self.sent_out(proxy)), 2, name)

    def test_true_reasons(self) -> None:
        """
        A phone's log shows what was wrong.
        """
        for name, reason in (
            ("badinv01", b"Malformed Via"),
            ("clerr", b"Content-Length is larger than the body"),
            ("ncl", b"Malformed Content-Length"),
            ("scalar02", b"Malformed CSeq"),
            ("quotbal", b"Malformed To"),
            ("ltgtruri", b"Malformed Request-URI"),
            ("escruri", b"Headers in Request-URI"),
            ("mismatch01", b"CSeq method does not match the request"),
            ("mcl01", b"More than one Content-Length"),
        ):
            _, phone = self.start()
            phone.deliver(messages()[name])
            line = phone.datagrams[-1].partition(b"\r\n")[0]
            self.assertEqual(line, b"SIP/2.0 400 " + reason, name)

    def test_escaped_null(self) -> None:
        """
        An escaped NUL in what an answer echoes does not keep it from being sent.
        """
        for to, status in ((b'"\\\0" <sip:10.0.0.1>', 200), (b'"\\\0 <sip:x>', 400)):
            proxy, phone = self.start()
            phone.deliver(
                b"OPTIONS sip:10.0.0.1 SIP/2.0\r\n"
                b'Via: SIP/2.0/UDP h;branch=z9hG4bK1;a="\\\0", SIP/2.0/UDP i;b="\\\0"\r\n'
                b"From: <sip:a@b>;tag=1\r\nTo: " + to + b"\r\n"
                b"Call-ID: 1\r\nCSeq: 1 OPTIONS\r\n\r\n"
            )
            (answer,) = phone.datagrams
            self.assertEqual(int(answer[8:11]), status)
            self.assertEqual(answer.count(b"\\\0"), 3)
            self.assert_serves(proxy)

    def test_one_bad_line(self) -> None:
        """
        A request with a line that is no field is answered with what was wrong, an ACK is not.
        """
        for method, answers in ((b"OPTIONS", 1), (b"ACK", 0)):
            proxy, phone = self.start()
            data = messages()["lwsdisp"].replace(b"OPTIONS", method)
            phone.deliver(data.replace(b"Max-Forwards: 70", b"Foobar roobar"))
            self.assertEqual(len(phone.datagrams), answers)
            for answer in phone.datagrams:
                self.assertTrue(answer.startswith(b"SIP/2.0 400 Malformed header line\r\n"))
                self.assertIn(b"Call-ID: lwsdisp.1234abcd@funky.example.com\r\n", answer)
            self.assert_serves(proxy)

    def test_answers_are_well_formed(self) -> None:
        """
        An answer to a malformed message holds what could be read of it, a To tag where
        there is a To, and is SIP itself.
        """
        for name, outcome in AT_PROXY.items():
            if outcome in (FORWARD, DROP):
                continue
            _, phone = self.start()
            phone.deliver(messages()[name])
            start, fields, body = parts(phone.datagrams[-1])
            self.assertRegex(start, rb"^SIP/2\.0 \d\d\d [^\r\n]+$")
            names = [key for key, _ in fields]
            self.assertIn("via", names, name)
            self.assertEqual((body, names.count("content-length")), (b"", 1), name)
            if name not in ("insuf", "multi01", "badaspec", "baddn", "quotbal"):
                tos = [line for key, line in fields if key in ("to", "t")]
                self.assertIn(b";tag=", tos[0], name)

    def test_body_is_anchored(self) -> None:
        """
        sdp01, inv2543: with media on, addresses and ports of the description become ours,
        and nothing else changes.
        """
        self.text = ""
        for name in ("sdp01", "inv2543", "wsinv", "longreq"):
            proxy, phone = self.start()
            given = messages()[name]
            phone.deliver(given)
            (sent,) = self.sent_out(proxy)
            self.assertEqual(changes(given, sent, "body", "content-length"), [], name)
            before, after = parts(given)[2].split(b"\r\n"), parts(sent)[2].split(b"\r\n")
            for old, new in zip(before, after, strict=True):
                if old[:2] in (b"o=", b"c="):
                    self.assertTrue(new.endswith(b"IN IP4 203.0.113.1"), new)
                elif old[:2] == b"m=":
                    self.assertNotEqual(old.split()[1], new.split()[1])
                    self.assertEqual(old.split()[2:], new.split()[2:])
                else:
                    self.assertEqual(old, new)


class RegistrarTests(TortureCase):
    """
    The registrations of RFC 4475, when the name server says that example.com is us.
    """

    def test_two_null_users(self) -> None:
        """
        escnull: ``%00`` and ``%00%00`` are two users with a binding each.
        """
        _, phone = self.start("example.com")
        phone.deliver(messages()["escnull"])
        answer = phone.answer("REGISTER")
        contacts = [text.partition(";")[0] for text in answer.headers.values("contact")]
        self.assertEqual(
            contacts, ["<sip:%00@host5.example.com>", "<sip:%00%00@host5.example.com>"]
        )

    def test_contact_parameters(self) -> None:
        """
        cparam01, cparam02: a parameter is the Contact's without angle brackets, and the
        URI's within them.
        """
        for name, contact in (
            ("cparam01", "<sip:+19725552222@gw1.example.net>;unknownparam;expires="),
            ("cparam02", "<sip:+19725552222@gw1.example.net;unknownparam>;expires="),
        ):
            _, phone = self.start("example.com")
            phone.deliver(messages()[name])
            (told,) = phone.answer("REGISTER").headers.values("contact")
            self.assertTrue(told.startswith(contact), told)

    def test_escaped_route_in_contact(self) -> None:
        """
        regescrt: the Route in a Contact's URI is kept with the binding.
        """
        _, phone = self.start("example.com")
        phone.deliver(messages()["regescrt"])
        (told,) = phone.answer("REGISTER").headers.values("contact")
        self.assertTrue(told.startswith("<sip:user@example.com?Route=%3Csip:sip.example.com%3E>;"))

    def test_unknown_credentials(self) -> None:
        """
        regaut01: credentials of an unknown scheme are none, and are answered 401.
        """
        text = "proxy_auth_realm = house\nproxy_auth_passwd = secret\n"
        proxy, phone = self.start("example.com", text=text)
        phone.deliver(messages()["regaut01"])
        answer = phone.answer("REGISTER")
        self.assertEqual(answer.status, 401)
        self.assertIn("www-authenticate", answer.headers)
        self.assert_serves(proxy)

    def test_not_a_register(self) -> None:
        """
        esc02: a method spelled RE%47IST%45R is not REGISTER: nothing is bound.
        """
        proxy, phone = self.start("registrar.example.com")
        phone.deliver(messages()["esc02"])
        self.assertEqual(len(proxy.locations), 0)
        self.assertEqual(int(phone.datagrams[-1][8:11]), 501)


def _add(case: type[TortureCase], name: str, outcome: Outcome, *ours: str) -> None:
    def test(self: TortureCase) -> None:
        self.assert_outcome(name, messages()[name], outcome, *ours)

    what = outcome if isinstance(outcome, str) else "answer " + " or ".join(map(str, outcome))
    test.__doc__ = f"{name}: {what}."
    test.__name__ = "test_" + name.replace("-", "_")
    setattr(case, test.__name__, test)


for _name, _outcome in AT_PROXY.items():
    _add(ProxyTests, _name, _outcome)
for _name, _outcome in AT_REGISTRAR.items():
    _add(RegistrarTests, _name, _outcome, "example.com")
