"""
Tests of :mod:`siptwist.plugins.dialing.expressions`.
"""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from siptwist.plugins.dialing.ambiguity import expression
from siptwist.plugins.dialing.expressions import LONGEST_SUBJECT, replacement

SEED = 5365


def found(text: str, subject: str) -> str | None:
    match = expression(text).search(subject)
    return None if match is None else match[0]


class SyntaxTests(SynchronousTestCase):
    def test_brackets(self) -> None:
        """
        What stands in brackets is read as POSIX says: classes, ranges, a bracket that
        comes first, a backslash that is one.
        """
        for text, subject, wanted in (
            ("[[:digit:]]+", "sip:0049@x", "0049"),
            ("[^[:digit:]]+", "sip:0049@x", "sip:"),
            ("[[:alpha:][:digit:]_]+", "++a1_b", "a1_b"),
            ("[]x]+", "a]x]", "]x]"),
            ("[^]]+", "ab]", "ab"),
            ("[a-]+", "b-a-", "-a-"),
            (r"[\d]+", r"0\d", r"\d"),
            ("[[.-.]+]+", "1-+", "-+"),
            ("[[=a=]]", "xA", "A"),
            ("[&|~]+", "a&|~b", "&|~"),
            ("[[:space:]]", "a b", " "),
            ("[[:punct:]]+", "a!@[`~b", "!@[`~"),
            ("[[:xdigit:]]+", "xyFf09", "Ff09"),
        ):
            self.assertEqual(found(text, subject), wanted, text)

    def test_brackets_malformed(self) -> None:
        """
        Brackets that POSIX does not know are refused, with what is wrong.
        """
        for text, told in (
            ("[a", "a '[' is not closed"),
            ("[]", "a '[' is not closed"),
            ("[[:digit]", "a '[:' is not closed"),
            ("[[:number:]]", "there is no class '[:number:]'"),
            ("[9-0]", "the range '9-0' runs backward"),
            ("[[.hyphen.]]", "there is no character '[.hyphen.]'"),
        ):
            error = self.assertRaises(ValueError, expression, text)
            self.assertEqual(str(error), told)

    def test_repeated(self) -> None:
        """
        Repetition takes as much as it can; twice in a row it is nothing of Python's.
        """
        for text, subject, wanted in (
            ("0*1+", "00111", "00111"),
            ("0{2}", "000", "00"),
            ("0{2,}", "0000", "0000"),
            ("0{1,3}", "0000", "000"),
            ("0{,2}1", "0001", "001"),
            ("(ab)?c", "abc", "abc"),
            ("a+?", "aaa", "aaa"),
            ("a{2}{2}", "aaaaa", "aaaa"),
        ):
            self.assertEqual(found(text, subject), wanted, text)

    def test_repeated_malformed(self) -> None:
        """
        A repetition of nothing, or one that does not end, is refused.
        """
        for text in ("*1", "a|+", "(?:a)", "^*", "a{", "a{x}", "a{3,2}", "a{256}", "a{,}"):
            self.assertRaises(ValueError, expression, text)

    def test_anchors(self) -> None:
        """
        ^ and $ are the two ends of the text, never of a line in it.
        """
        self.assertIsNone(found("^b", "a\nb"))
        self.assertIsNone(found("a$", "a\n"))
        self.assertEqual(found("a.b$", "a\nb"), "a\nb")

    def test_escapes(self) -> None:
        """
        A backslash makes a sign a character; GNU's places and classes are known.
        """
        for text, subject, wanted in (
            (r"\+49\.", "+49.", "+49."),
            (r"\<b", "ab b", "b"),
            (r"\w+\>", "-ab-", "ab"),
            (r"\W\S", "a  b", " b"),
            (r"\`a\'", "a", "a"),
        ):
            self.assertEqual(found(text, subject), wanted, text)

    def test_escapes_malformed(self) -> None:
        """
        What Python alone would understand is refused, with what to write instead.
        """
        error = self.assertRaises(ValueError, expression, r"\d+")
        self.assertEqual(str(error), r"'\d' means nothing; a digit is [[:digit:]]")
        self.assertRaises(ValueError, expression, "a\\")

    def test_back_references(self) -> None:
        """
        \\1 is what the first group has matched.
        """
        self.assertEqual(found(r"(.)\1", "0049"), "00")
        self.assertEqual(found(r"(4)\19", "4449"), "449")

    def test_back_references_malformed(self) -> None:
        """
        A group that is not there cannot be meant.
        """
        self.assertRaises(ValueError, expression, r"(a)\2")
        self.assertRaises(ValueError, expression, r"(a\1)")

    def test_groups(self) -> None:
        """
        A bracket that nothing opened is a character; one that nothing closes is not.
        """
        self.assertEqual(found("a)", "(a)"), "a)")
        self.assertEqual(
            str(self.assertRaises(ValueError, expression, "(a")), "a '(' is not closed"
        )

    def test_longest_word(self) -> None:
        """
        Of several words the longest is taken, in whatever order they stand.
        """
        match = expression("^(0|00|\\+)([0-9]+)").search("0049")
        assert match is not None
        self.assertEqual(match.groups(), ("00", "49"))

    def test_case(self) -> None:
        """
        Case does not matter, as with siproxd.
        """
        self.assertEqual(found("^SIP:[a-z]+", "sip:ALICE@x"), "sip:ALICE")

    def test_python_extensions(self) -> None:
        """
        Nothing that Python reads in its own way gets through.
        """
        for text in ("(?i)a", "(?P<x>a)", "(?=a)", "(?#x)"):
            self.assertRaises(ValueError, expression, text)

    def test_anything(self) -> None:
        """
        Whatever stands in the file is an expression or a sentence, never an error of
        another kind.
        """
        chance = random.Random(SEED)
        signs = "ab0-9^$.*+?{},|()[]\\:=dw1 #é"
        good = 0
        for _ in range(3000):
            text = "".join(chance.choices(signs, k=chance.randrange(1, 10)))
            try:
                expression(text).search("sip:a0b@9")
                good += 1
            except ValueError as error:
                self.assertTrue(str(error), text)
        self.assertGreater(good, 300)


class AmbiguityTests(SynchronousTestCase):
    def test_exponential(self) -> None:
        """
        An expression that a clever caller could stop the proxy with is refused.
        """
        for text in ("(a+)+", "(a*)*b", "(a|a)*", "(a|ab?)*", "([0-9]+[0-9])*", "([a-f]|[0-9e])+x"):
            error = self.assertRaises(ValueError, expression, text)
            self.assertIn("take for ever", str(error))

    def test_polynomial(self) -> None:
        """
        So is one of many parts that take anything.
        """
        for text in ("(.*-){12}", ".*.*.*.*", "^.*.*.*.*.*x"):
            error = self.assertRaises(ValueError, expression, text)
            self.assertIn("take very long", str(error))

    def test_too_large(self) -> None:
        """
        So is one that is too long to be looked through.
        """
        for text in ("a" * 513, "((a{16}b){16}c){16}"):
            self.assertRaises(ValueError, expression, text)

    def test_harmless(self) -> None:
        """
        What people write is none of these.
        """
        for text in (
            r"^(sips?:)00",
            r"^sip:(.*)@(.*)$",
            r"^(sips?:)([0-9]+)@([^;]+);?(.*)$",
            r"([0-9]{1,3}\.){3}[0-9]{1,3}",
            r"([0-9]+\.)*",
            r"([0-9]{3})+",
            r"^\+?(49|0049|0)30[[:digit:]]{4,}$",
        ):
            expression(text)

    def test_long_subject(self) -> None:
        """
        Nothing is searched for in what nobody dials.
        """
        self.assertEqual(found("a", "a" * LONGEST_SUBJECT), "a")
        self.assertIsNone(found("a", "a" * (LONGEST_SUBJECT + 1)))


class ReplacementTests(SynchronousTestCase):
    def put(self, pattern: str, replaced: str, subject: str) -> str:
        match = expression(pattern).search(subject)
        assert match is not None
        return replacement(replaced).put(match)

    def test_groups(self) -> None:
        """
        \\1 to \\9 are the groups; another backslash is one.
        """
        self.assertEqual(self.put("^(sip:)00", r"\1+", "sip:0049@x"), "sip:+49@x")
        self.assertEqual(self.put("(a)(b)", r"\2\1\0\x", "ab"), r"ba\0\x")

    def test_all(self) -> None:
        """
        Without a group every match is replaced, with one the first.
        """
        self.assertEqual(self.put("-", "", "1-2-3"), "123")
        self.assertEqual(self.put("(-)", "", "1-2-3"), "12-3")

    def test_unmatched(self) -> None:
        """
        A group that matched nothing has nothing to give.
        """
        self.assertRaises(LookupError, self.put, "(a)?b", r"\1", "b")

    def test_highest(self) -> None:
        """
        It is known which groups are asked for.
        """
        self.assertEqual(replacement(r"\1x\3").highest, 3)
        self.assertEqual(replacement("x").highest, 0)
