"""
Header values: strict where something is decided, lenient where phones are loose.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import MalformedHeader, MalformedURI
from siptwist.sip.fields import (
    CSeq,
    NameAddr,
    Via,
    option_tags,
    parse_contacts,
    parse_expires,
    parse_number,
    parse_q,
)


class NameAddrTests(SynchronousTestCase):
    def test_forms(self) -> None:
        """
        Display name, URI and parameters are told apart in every form of RFC 3261.
        """
        for text, display, uri, parameters in (
            ("sip:a@b", "", "sip:a@b", ""),
            ("sip:a@b;tag=1", "", "sip:a@b", ";tag=1"),
            ("sip:a@b ; tag=1", "", "sip:a@b", "; tag=1"),
            ("<sip:a@b;lr>;tag=1", "", "sip:a@b;lr", ";tag=1"),
            ("<sip:a@b?x=y>", "", "sip:a@b?x=y", ""),
            ("caller<sip:a@b>", "caller", "sip:a@b", ""),
            ("A. G. Bell <sip:a@b> ;tag=1", "A. G. Bell", "sip:a@b", ";tag=1"),
            ('"A. G. Bell"   <sip:a@b>', '"A. G. Bell"', "sip:a@b", ""),
            ('""<tel:+1>', '""', "tel:+1", ""),
            ("http://www.example.com", "", "http://www.example.com", ""),
        ):
            tag = "1" if "tag=1" in parameters else None
            self.assertEqual(NameAddr.parse(text), NameAddr(display, uri, parameters, tag), text)

    def test_quoted_display_name(self) -> None:
        """
        Angle brackets, commas, semicolons and quotes in a quoted name are part of it.
        """
        name = '"Bell <sip:evil@x>, \\"A\\"; tag=2 \\\\"'
        value = NameAddr.parse(f"{name} <sip:a@b>;tag=1")
        self.assertEqual((value.display, value.uri_text, value.tag), (name, "sip:a@b", "1"))

    def test_names_of_the_world(self) -> None:
        """
        Names in UTF-8 are read without quotes too, and bytes that are no UTF-8 survive.
        """
        for name in ("Jürgen Groß", "Иван", "😀", "\udcff\udcfe"):
            self.assertEqual(NameAddr.parse(f"{name} <sip:a@b>").display, name)

    def test_whose_parameter(self) -> None:
        """
        Without angle brackets a parameter is the header's, within them the URI's.
        """
        self.assertEqual(NameAddr.parse("sip:a@b;x=1").parameter("x"), "1")
        value = NameAddr.parse("<sip:a@b;x=1>")
        self.assertEqual((value.parameter("x"), value.uri.parameter("x")), (None, "1"))

    def test_tag(self) -> None:
        """
        A tag is found whatever its case and the white space around it.
        """
        self.assertEqual(NameAddr.parse("<sip:a@b> ;  TAG = 1918181833n").tag, "1918181833n")
        self.assertIsNone(NameAddr.parse("<sip:a@b>;tagged=1").tag)

    def test_uri(self) -> None:
        """
        A SIP URI has its view; any other scheme has none but its text.
        """
        value = NameAddr.parse("<SIPS:A@b>")
        self.assertTrue(value.is_sip)
        self.assertEqual((value.uri.user, value.aor), ("A", "sip:A@b"))
        other = NameAddr.parse("isbn:2983792873")
        self.assertFalse(other.is_sip)
        self.assertEqual(other.aor, "isbn:2983792873")
        self.assertRaises(MalformedURI, lambda: other.uri)

    def test_other_uri(self) -> None:
        """
        Another URI in the same place leaves name and parameters as they were.
        """
        value = NameAddr.parse('"A" <sip:a@b>;tag=1').with_uri("sip:c@d")
        self.assertEqual(str(value), '"A" <sip:c@d>;tag=1')

    def test_written(self) -> None:
        """
        What was read is read again from what is written.
        """
        for text in ("sip:a@b;tag=1", "Bell <sip:a@b>", '"x" <sip:a@b;lr>;q=1', "<tel:1>"):
            value = NameAddr.parse(text)
            self.assertEqual(NameAddr.parse(str(value)), value)

    def test_malformed(self) -> None:
        """
        What cannot be read for certain is refused, naming the header.
        """
        for text in (
            "",
            "<>",
            "<sip:a@b",
            "sip:a@b>",
            '"Mr. J. User <sip:j.user@example.com>',
            "Bell, Alexander <sip:a@b>",
            "< sip:a@b >",
            "<sip:a@b> x",
            "<sip:a@b>;",
            "<sip:a@b>;;tag=1",
            '<sip:a@b>;tag="1',
            "<sip:a@b>, <sip:c@d>",
            "<sip:a@b><sip:c@d>",
            "sip:a@b?Route=%3Csip:c%3E",
            "sip:a@b,c",
            "user@example.com",
            "<sip:>",
            "<sip:a%@b>",
            "<sip:a\0@b>",
            "a;b <sip:a@b>",
        ):
            error = self.assertRaises(MalformedHeader, NameAddr.parse, text, "Contact")
            self.assertEqual((error.status, error.name), (400, "Contact"))
            self.assertEqual(error.reason, "Malformed Contact")


class CSeqTests(SynchronousTestCase):
    def test_read(self) -> None:
        """
        Number and method, whatever zeros and white space are before them.
        """
        self.assertEqual(CSeq.parse("0009   INVITE"), (9, "INVITE"))
        self.assertEqual(str(CSeq.parse("4711\tACK")), "4711 ACK")

    def test_limits(self) -> None:
        """
        A sequence number is below 2**31 (section 8.1.1.5).
        """
        self.assertEqual(CSeq.parse("0 A").number, 0)
        self.assertEqual(CSeq.parse("2147483647 A").number, 2**31 - 1)
        for number in ("2147483648", "36893488147419103232", "-1", "1" * 5000):
            self.assertRaises(MalformedHeader, CSeq.parse, f"{number} A")

    def test_malformed(self) -> None:
        """
        A CSeq without a number or a method is refused with 400.
        """
        for text in ("", "17", "INVITE", "17INVITE", "17 ", "17 A B", "17 <>", "\u0661 A", "0x1 A"):
            error = self.assertRaises(MalformedHeader, CSeq.parse, text)
            self.assertEqual((error.status, error.name), (400, "CSeq"))


class ViaTests(SynchronousTestCase):
    def test_read(self) -> None:
        """
        Transport, sent-by and parameters are found; the transport is in upper case.
        """
        via = Via.parse("SIP/2.0/udp host.example:5070;branch=z9hG4bKx;rport;received=192.0.2.1")
        self.assertEqual((via.transport, via.host, via.port), ("UDP", "host.example", 5070))
        self.assertEqual((via.branch, via.parameter("rport")), ("z9hG4bKx", ""))
        self.assertEqual(via.parameter("received"), "192.0.2.1")

    def test_usual_form(self) -> None:
        """
        The usual way to write a Via is read the quick way, and means what the same
        means with a parameter more.
        """
        for text in (
            "SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKa;rport",
            "SIP/2.0/UDP 10.0.0.1;rport;branch=z9hG4bKa",
            "SIP/2.0/TCP host.example;branch=z9hG4bKa",
        ):
            via, other = Via.parse(text), Via.parse(f"{text};x")
            self.assertEqual(via._replace(parameters=""), other._replace(parameters=""), text)
            self.assertEqual((via.branch, via.has_rport), ("z9hG4bKa", "rport" in text))
            self.assertEqual(str(via), text)
        for port in ("65536", "99999"):
            for more in ("", ";x"):
                with self.assertRaises(MalformedHeader):
                    Via.parse(f"SIP/2.0/UDP h:{port};branch=z9hG4bKa{more}")

    def test_white_space(self) -> None:
        """
        White space is allowed around every separator (RFC 4475, wsinv).
        """
        via = Via.parse("SIP  / 2.0  / TCP    spindle.example.com  : 5061 ;  branch  =  z9hG4bK9")
        self.assertEqual((via.transport, via.sent_by), ("TCP", ("spindle.example.com", 5061)))
        self.assertEqual(via.branch, "z9hG4bK9")

    def test_ipv6(self) -> None:
        """
        A sent-by may be an IPv6 reference; received is an address with or without brackets
        (RFC 5118 section 4.5).
        """
        via = Via.parse(
            "SIP/2.0/UDP [2001:db8::9:1]:6050;received=2001:db8::9:255;branch=z9hG4bKas3"
        )
        self.assertEqual((via.host, via.port), ("[2001:db8::9:1]", 6050))
        self.assertEqual(via.parameter("received"), "2001:db8::9:255")
        other = Via.parse("SIP/2.0/UDP [2001:db8::9:1];received=[2001:db8::9:255]")
        self.assertEqual(other.parameter("received"), "[2001:db8::9:255]")

    def test_default_port(self) -> None:
        """
        Without a port, TLS is at 5061 and everything else at 5060.
        """
        ports = [Via.parse(f"SIP/2.0/{name} h").sent_by[1] for name in ("UDP", "TLS", "UNKNOWN")]
        self.assertEqual(ports, [5060, 5061, 5060])

    def test_magic_cookie(self) -> None:
        """
        A branch is RFC 3261's when something follows the cookie (RFC 4475, badbranch).
        """
        for branch, expected in (
            (";branch=z9hG4bKa", True),
            (";branch=Z9HG4BKa", True),
            (";branch=z9hG4bK", False),
            (";branch=390skdjuw", False),
            ("", False),
        ):
            self.assertEqual(Via.parse(f"SIP/2.0/UDP h{branch}").is_rfc3261, expected, branch)

    def test_written(self) -> None:
        """
        What is written is read as the same.
        """
        for text in ("SIP/2.0/UDP h", "SIP/2.0/TLS [::1]:5061;branch=z9hG4bK.!%66;x"):
            self.assertEqual(str(Via.parse(text)), text)

    def test_malformed(self) -> None:
        """
        What is no Via is refused with 400.
        """
        for text in (
            "",
            "SIP/2.0/UDP",
            "SIP/2.0 h",
            "SIP/7.0/UDP h",
            "HTTP/1.1/TCP h",
            "SIP/2.0/UDP h:65536",
            "SIP/2.0/UDP h:",
            "SIP/2.0/UDP h:-1",
            "SIP/2.0/UDP h;;",
            "SIP/2.0/UDP h;;,;,,",
            "SIP/2.0/UDP h, SIP/2.0/UDP i",
            "SIP/2.0/UDP [::1",
            "SIP/2.0/UDP ::1",
            "SIP/2.0/UDP h;branch=\0",
            "SIP/2.0/UDP <h>",
            "\u017fIP/2.0/UDP h",
        ):
            error = self.assertRaises(MalformedHeader, Via.parse, text)
            self.assertEqual((error.status, error.name), (400, "Via"))


class NumberTests(SynchronousTestCase):
    def test_read(self) -> None:
        """
        A number is read up to its limit.
        """
        self.assertEqual(parse_number("0068", "Max-Forwards", 255), 68)
        self.assertEqual(parse_number("4294967295", "Expires"), 2**32 - 1)

    def test_malformed(self) -> None:
        """
        Signs, other scripts and numbers above the limit are refused.
        """
        for text in ("", "-1", "+1", "1.5", "4294967296", "\u0663", "1" * 5000, " 1", "0x10"):
            error = self.assertRaises(MalformedHeader, parse_number, text, "Expires")
            self.assertEqual(error.name, "Expires")
        self.assertRaises(MalformedHeader, parse_number, "256", "Max-Forwards", 255)


class ExpiresTests(SynchronousTestCase):
    def test_read(self) -> None:
        """
        Seconds are seconds; too many are as many as there can be.
        """
        self.assertEqual(parse_expires("0"), 0)
        self.assertEqual(parse_expires("3600"), 3600)
        self.assertEqual(parse_expires("1" + "0" * 100), 2**32 - 1)

    def test_malformed(self) -> None:
        """
        What is no number is as if nothing had been said (section 10.3 step 7).
        """
        for text in ("", "-1", "an hour", "3600s", '"3600"'):
            self.assertIsNone(parse_expires(text))


class QTests(SynchronousTestCase):
    def test_read(self) -> None:
        """
        A preference is between 0 and 1 with at most three digits.
        """
        for text, q in (("0", 0.0), ("0.333", 0.333), ("1", 1.0), ("1.000", 1.0), ("0.", 0.0)):
            self.assertEqual(parse_q(text), q)

    def test_malformed(self) -> None:
        """
        No preference, and one that makes no sense, is 1.
        """
        for text in (None, "", "2", "1.001", "-0.5", "0.3333", "nan", "1e-3", ".5"):
            self.assertEqual(parse_q(text), 1.0)


class ContactsTests(SynchronousTestCase):
    def test_several(self) -> None:
        """
        All Contacts are read, in order.
        """
        contacts = parse_contacts(["<sip:a@b>;q=0.5", "tel:+1"])
        self.assertEqual([str(contact) for contact in contacts], ["<sip:a@b>;q=0.5", "<tel:+1>"])
        self.assertEqual(parse_contacts([]), [])

    def test_star(self) -> None:
        """
        A lone "*" means all of them.
        """
        self.assertEqual(parse_contacts(["*"]), "*")

    def test_malformed(self) -> None:
        """
        "*" beside others, and a bad one among good ones, are refused.
        """
        for values in (["*", "<sip:a@b>"], ["<sip:a@b>", "*"], ["*", "*"], ["<sip:a@b>", "<"]):
            self.assertRaises(MalformedHeader, parse_contacts, values)


class OptionTagTests(SynchronousTestCase):
    def test_read(self) -> None:
        """
        Option tags compare in lower case; what is none is passed over.
        """
        self.assertEqual(option_tags(["100rel", "Path", "a b", ""]), ["100rel", "path"])
