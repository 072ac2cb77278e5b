"""
The pieces that SIP's grammar is made of.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.sip.grammar import (
    is_token,
    parse_parameters,
    quote,
    split_commas,
    unfold,
    unquote,
)


class TokenTests(SynchronousTestCase):
    def test_every_character(self) -> None:
        """
        All characters that RFC 3261 allows in a token are allowed, and no others.
        """
        allowed = "!%'*+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_`abcdefghijklmnopqrstuvwxyz~"
        found = "".join(chr(code) for code in range(0x300) if is_token(chr(code)))
        self.assertEqual(found, allowed)

    def test_malformed(self) -> None:
        """
        Nothing, a space and a letter that only looks like ASCII are no tokens.
        """
        for text in ("", " ", "a b", "a\n", "\u212aelvin", "a\0"):
            self.assertFalse(is_token(text), text)


class UnfoldTests(SynchronousTestCase):
    def test_folded(self) -> None:
        """
        A line end and the white space around it are one space.
        """
        self.assertEqual(unfold("a \t\r\n  b\r\n\tc"), "a b c")

    def test_plain(self) -> None:
        """
        White space that folds nothing stays.
        """
        self.assertEqual(unfold("a  b\t c"), "a  b\t c")


class ParametersTests(SynchronousTestCase):
    def test_forms(self) -> None:
        """
        Values, flags, quoted strings and white space around ";" and "=" are understood.
        """
        found = parse_parameters(' ; A = b;flag ;c="x;y=\\"z\\"" ; d=[2001:db8::1]')
        self.assertEqual(found, {"a": "b", "flag": "", "c": '"x;y=\\"z\\""', "d": "[2001:db8::1]"})

    def test_first_of_two(self) -> None:
        """
        Of two parameters of one name the first counts.
        """
        self.assertEqual(parse_parameters(";tag=a;TAG=b"), {"tag": "a"})

    def test_none(self) -> None:
        """
        No text holds no parameters.
        """
        self.assertEqual(parse_parameters(""), {})

    def test_malformed(self) -> None:
        """
        Empty parameters, open quotes and control characters are refused.
        """
        for text in (";;", ";", "a=b", ";a=b,c", ';a="b', ';a="b\\"', ";a b", ";a=\0", ";=b"):
            self.assertIsNone(parse_parameters(text), text)


class CommaTests(SynchronousTestCase):
    def test_plain(self) -> None:
        """
        Values are separated by commas, without the white space around these.
        """
        self.assertEqual(split_commas("a, b ,\tc"), ["a", "b", "c"])

    def test_protected(self) -> None:
        """
        A comma within quotes or angle brackets separates nothing.
        """
        text = '"A, B" <sip:a,b@h>, "<x>, \\", y" <sip:c@h;p="1,2">;q=1 , <sip:d@h>'
        self.assertEqual(
            split_commas(text),
            ['"A, B" <sip:a,b@h>', '"<x>, \\", y" <sip:c@h;p="1,2">;q=1', "<sip:d@h>"],
        )

    def test_unbalanced(self) -> None:
        """
        A value with an open quote or bracket stays whole, for its parser to refuse.
        """
        for text in ('"A, B <sip:a@h>', "<sip:a@h, b", "a>, b", '"a\\", b'):
            self.assertEqual(split_commas(text), [text])


class QuotingTests(SynchronousTestCase):
    def test_inverse(self) -> None:
        """
        What was quoted is unquoted to itself.
        """
        for text in ("", "a", 'a "b" \\c', "\\", '"', "\\\\\\", "ü 😀"):
            self.assertEqual(unquote(quote(text)), text)

    def test_not_quoted(self) -> None:
        """
        Text without both quotes is left as it is.
        """
        for text in ("", '"', "a", '"a', 'a"'):
            self.assertEqual(unquote(text), text)
