"""
Tests for siptwist.services.inspecting.hashing: ``--hash-password``.
"""

from __future__ import annotations

import io
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import SIPTwistError
from siptwist.proxy.registration.passwords import parse_passwords
from siptwist.services.inspecting.hashing import entries, hash_password
from siptwist.sip.digest import ALGORITHMS, ha1


class HashingTests(SynchronousTestCase):
    def run_it(self, *answers: str, secrets: tuple[str, ...] = ("pw", "pw")) -> str:
        out, asked, hidden = io.StringIO(), iter(answers), iter(secrets)
        hash_password("home", out, lambda prompt: next(asked), lambda prompt: next(hidden))
        return out.getvalue()

    def test_lines(self) -> None:
        """
        The lines can go into the file as they are, one for each algorithm, and prove the
        password without holding it.
        """
        lines = self.run_it("alice\n", "\n", secrets=("a secret", "a secret"))
        self.assertNotIn("secret", lines)
        secret = parse_passwords(lines, "f")["alice"]
        self.assertIsNone(secret.password)
        for algorithm in ALGORITHMS:
            self.assertEqual(
                secret.ha1(algorithm, "alice", "home"), ha1(algorithm, "alice", "home", "a secret")
            )

    def test_other_realm(self) -> None:
        """
        Another realm than that of the configuration may be given, of several words.
        """
        secret = parse_passwords(self.run_it("bob", "our house"), "f")["bob"]
        self.assertIsNotNone(secret.ha1("MD5", "bob", "our house"))

    def test_mistyped(self) -> None:
        """
        A password that is typed otherwise the second time makes no line.
        """
        error = self.assertRaises(SIPTwistError, self.run_it, "alice", "", secrets=("a", "b"))
        self.assertEqual(str(error), "these are two passwords")

    def test_unusable(self) -> None:
        """
        What the file could not hold is refused.
        """
        for words in (
            ("two words", "home", "pw"),
            ("", "home", "pw"),
            ("#alice", "home", "pw"),
            ("alice", "", "pw"),
            ("alice", "a #realm", "pw"),
            ("alice", "a  realm", "pw"),
            ("alice", "a\x07", "pw"),
            ("alice", "home", ""),
        ):
            self.assertRaises(SIPTwistError, entries, *words)

    def test_not_shown(self) -> None:
        """
        The password is asked for by getpass, which shows nothing.
        """
        import getpass

        defaults: Any = hash_password.__defaults__
        self.assertIn(getpass.getpass, defaults)
