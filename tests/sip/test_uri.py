"""
SIP URIs are read strictly, written as they were, and compared by RFC 3261.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import MalformedURI
from siptwist.sip.uri import SIPURI, canonical_user, equal, is_uri, scheme_of


class ParseTests(SynchronousTestCase):
    def test_parts(self) -> None:
        """
        A URI with everything in it falls into its parts.
        """
        uri = SIPURI.parse("sips:alice:s%20t@Atlanta.com:5061;transport=tcp;lr?Subject=x&To=y")
        self.assertEqual(
            uri,
            (
                "sips",
                "alice",
                "Atlanta.com",
                5061,
                ";transport=tcp;lr",
                "?Subject=x&To=y",
                "s%20t",
            ),
        )

    def test_written_as_read(self) -> None:
        """
        What is not changed is written as it was; only the scheme is in lower case.
        """
        for text in (
            "sip:atlanta.com",
            "sip:1.2.3.4:5070",
            "sip:a@b",
            "sip:a:@b",
            "sip:%61:p@H;x;y=%20?z=1",
            "sip:[2001:db8::1]:5060;lr",
            "sip:alice;day=tuesday@atlanta.com",
            "sip:+1-212-555-1212:1234@gateway.com;user=phone",
            "sip:a@b;lr=on?Route=%3Csip:c%3E",
            "sip:user%40example.com@h_1.example.",
        ):
            self.assertEqual(str(SIPURI.parse(text)), text)
        self.assertEqual(str(SIPURI.parse("SIP:a@b")), "sip:a@b")

    def test_semicolon_in_user(self) -> None:
        """
        A ";" before the "@" belongs to the user (RFC 4475, semiuri).
        """
        uri = SIPURI.parse("sip:user;par=u%40example.net@example.com")
        self.assertEqual((uri.user, uri.parameters), ("user;par=u%40example.net", ""))

    def test_user_of_signs(self) -> None:
        """
        Everything that RFC 3261 allows in a user and a password is read (intmeth).
        """
        user = "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*"
        uri = SIPURI.parse(f"sip:{user}:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com")
        self.assertEqual(uri.user, user)
        self.assertEqual(uri.password, "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)")

    def test_ipv6(self) -> None:
        """
        An IPv6 reference keeps its brackets in the host and loses them in the address.
        """
        uri = SIPURI.parse("sip:[2001:DB8::10]:5070")
        self.assertEqual(
            (uri.host, uri.port, uri.address), ("[2001:DB8::10]", 5070, "2001:db8::10")
        )

    def test_port_within_reference(self) -> None:
        """
        What stands within the brackets is address to the end (RFC 5118, port-ambiguous).
        """
        uri = SIPURI.parse("sip:[2001:db8::10:5070]")
        self.assertEqual((uri.address, uri.port), ("2001:db8::10:5070", None))

    def test_three_colons(self) -> None:
        """
        The three colons that the ABNF once asked for are tolerated (RFC 5118 section 4.5).
        """
        self.assertEqual(SIPURI.parse("sip:u@[2001:db8:::192.0.2.1]").user, "u")

    def test_parameters(self) -> None:
        """
        Parameters are found whatever their case and escapes; a flag is "".
        """
        uri = SIPURI.parse("sip:h;Transport=tcp;%6C%72;a=b;A=c")
        self.assertEqual(uri.transport, "TCP")
        self.assertEqual([uri.parameter(name) for name in ("lr", "a", "x")], ["", "b", None])
        self.assertIsNone(SIPURI.parse("sip:h").transport)

    def test_default_port(self) -> None:
        """
        Without a port, SIP is at 5060 and SIPS at 5061.
        """
        ports = [SIPURI.parse(text).effective_port for text in ("sip:h", "sips:h", "sip:h:70")]
        self.assertEqual(ports, [5060, 5061, 70])

    def test_without_headers(self) -> None:
        """
        Headers of a URI can be left off.
        """
        uri = SIPURI.parse("sip:a@b;c?d=e")
        self.assertEqual(str(uri.without_headers()), "sip:a@b;c")

    def test_malformed(self) -> None:
        """
        What is no SIP URI is refused with 400.
        """
        for text in (
            "",
            "sip:",
            "sip:@",
            "sip:a@",
            "sip:@h",
            "tel:123",
            "sip:a b@h",
            "sip:a@h ",
            "sip:a@h;x y",
            "sip:<a@h>",
            'sip:"a"@h',
            "sip:a%@h",
            "sip:a%4@h",
            "sip:a%zz@h",
            "sip:a@b@c",
            "sip:2001:db8::10",
            "sip:[2001:db8::10",
            "sip:[]",
            "sip:[::1]x",
            "sip:h:",
            "sip:h:-1",
            "sip:h:65536",
            "sip:h:123456",
            "sip:h:\u0663",
            "sip:-h",
            "sip:a\0@h",
            "sip:a@h;x=\x1b[2J",
            "sip:a@h\n",
            "\u017fip:a@h",
            "sip:a@\u212aelvin",
            "sip:" + "h" * 256,
        ):
            error = self.assertRaises(MalformedURI, SIPURI.parse, text)
            self.assertEqual(error.status, 400)

    def test_longest_host(self) -> None:
        """
        A host may be as long as a name can be.
        """
        self.assertEqual(len(SIPURI.parse("sip:" + "h" * 255).host), 255)


class SchemeTests(SynchronousTestCase):
    def test_scheme(self) -> None:
        """
        The scheme of any URI is known, in lower case.
        """
        for text, scheme in (
            ("TEL:+1", "tel"),
            ("soap.beep://192.0.2.103:3002", "soap.beep"),
            ("nobodyKnowsThisScheme:totallyopaquecontent", "nobodyknowsthisscheme"),
        ):
            self.assertTrue(is_uri(text))
            self.assertEqual(scheme_of(text), scheme)

    def test_malformed(self) -> None:
        """
        Text without a scheme is no URI.
        """
        for text in ("", "a", ":a", "1:a", "<sip:a@b>", "\u017fip:a"):
            self.assertFalse(is_uri(text), text)
            self.assertRaises(MalformedURI, scheme_of, text)


class UserTests(SynchronousTestCase):
    def test_needless_escapes(self) -> None:
        """
        An escaped letter is the letter itself.
        """
        self.assertEqual(canonical_user("%61li%63e%2D1"), "alice-1")

    def test_needed_escapes(self) -> None:
        """
        Escapes that hold something stay, their digits in upper case: %00 is no end of
        text, and %40 no "@".
        """
        self.assertEqual(canonical_user("a%00b%40c%3a%2f"), "a%00b%40c%3A/")
        self.assertNotEqual(canonical_user("%00"), canonical_user("%00%00"))
        self.assertEqual(canonical_user("%c3%bc"), "%C3%BC")


class AddressOfRecordTests(SynchronousTestCase):
    def test_canonical(self) -> None:
        """
        An address-of-record has no parameters, password or default port.
        """
        for text in (
            "sip:%61lice:secret@Atlanta.COM:5060;transport=tcp?x=y",
            "sips:alice@atlanta.com:5061",
            "sip:alice@atlanta.com",
        ):
            self.assertEqual(SIPURI.parse(text).aor, "sip:alice@atlanta.com")

    def test_different(self) -> None:
        """
        Another port, another case of the user and the domain alone are other records.
        """
        texts = ("sip:a@h:5070", "sip:A@h", "sip:h", "sip:a@h", "sip:a%00@h", "sip:a@[::1]")
        self.assertEqual(len({SIPURI.parse(text).aor for text in texts}), len(texts))


class EqualityTests(SynchronousTestCase):
    """
    The examples of RFC 3261 section 19.1.4, and what follows from its rules.
    """

    def test_equal(self) -> None:
        """
        Two spellings of one URI are one (P9 of siproxd).
        """
        for one, other in (
            ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            ),
            (
                "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
            ),
        ):
            self.assert_equality(one, other, True)

    def test_not_equal(self) -> None:
        """
        Two URIs that RFC 3261 calls different are not mistaken for each other (P9 of siproxd).
        """
        for one, other in (
            ("sip:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
            ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
            ("sip:a@h", "sips:a@h"),
            ("sip:a@h", "sip:a:p@h"),
            ("sip:a@h", "sip:h"),
            ("sip:a@h", "sip:a@h;maddr=239.255.255.1"),
            ("sip:a@h;ttl=1", "sip:a@h;ttl=2"),
            ("sip:a@h;user=phone", "sip:a@h"),
            ("sip:%00@h", "sip:%00%00@h"),
        ):
            self.assert_equality(one, other, False)

    def assert_equality(self, one: str, other: str, expected: bool) -> None:
        self.assertEqual(equal(SIPURI.parse(one), SIPURI.parse(other)), expected, (one, other))
        self.assertEqual(equal(SIPURI.parse(other), SIPURI.parse(one)), expected, (other, one))
