"""
Tests of :mod:`siptwist.plugins.dialing.literals`.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.plugins.dialing.ambiguity import expression
from siptwist.plugins.dialing.literals import longest_literal

# What is without a longest literal, and what has one.
FOUND = {
    "a|b": "",
    "[0-9]+": "",
    "x*": "",
    ".": "",
    "": "",
    "é": "",
    r"192\.168\.1\.1": "192.168.1.1",
    "^(sips?:)0049": "0049",
    "(Alice|Bob)@Example": "@example",
    "a=(fmtp)+:18 ?annexb": "annexb",
    "x{3}": "x",
    r"(a)bc\1de": "bc",
    "caféteria": "teria",
}


class LongestLiteralTests(SynchronousTestCase):
    def test_found(self) -> None:
        """
        The longest text is known that an expression does not match without.
        """
        self.assertEqual({text: longest_literal(text) for text in FOUND}, FOUND)

    def test_is_needed(self) -> None:
        """
        Whatever an expression matches holds its literal, in whatever case.
        """
        subjects = (
            "sip:0049123",
            "SIPS:0049",
            "bob@EXAMPLE.net",
            "C=IN IP4 192.168.1.1",
            "a=fmtpFMTP:18annexb=no",
            "abcade",
            "xXx",
            "caféTeria",
        )
        for text, literal in FOUND.items():
            if text:
                found = [one for one in subjects if expression(text).search(one)]
                self.assertEqual([one for one in found if literal not in one.lower()], [])
                self.assertTrue(found or text == "a|b" or not literal, text)
