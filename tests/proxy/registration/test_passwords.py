"""
The file of users is read strictly and tells nobody a password.
"""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import ConfigError
from siptwist.proxy.registration.passwords import Secret, parse_passwords, usable_algorithms
from siptwist.sip.digest import ha1

FILE = f"""\
# users of this proxy
alice   wonder#land   # her desk phone
\tbob\ts3cret

carol example.com MD5 {ha1("MD5", "carol", "example.com", "pw").upper()}
carol example.com sha-256 {ha1("SHA-256", "carol", "example.com", "pw")}
dave my home MD5 {ha1("MD5", "dave", "my home", "pw")}
"""


class ParseTests(SynchronousTestCase):
    def test_passwords(self) -> None:
        """
        A line is a user and a password; '#' after a blank begins a comment.
        """
        users = parse_passwords(FILE, "f")
        self.assertEqual(list(users), ["alice", "bob", "carol", "dave"])
        self.assertEqual(users["alice"].password, "wonder#land")
        self.assertEqual(users["bob"].password, "s3cret")

    def test_hashes(self) -> None:
        """
        A user may have hashes in place of a password, one for each algorithm.
        """
        carol = parse_passwords(FILE, "f")["carol"]
        for algorithm in ("MD5", "SHA-256", "MD5-sess"):
            self.assertEqual(
                carol.ha1(algorithm, "carol", "example.com"),
                ha1(algorithm, "carol", "example.com", "pw"),
            )
        self.assertIsNone(carol.ha1("SHA-512-256", "carol", "example.com"))
        self.assertIsNone(carol.ha1("MD5", "carol", "example.org"))

    def test_realm_with_blanks(self) -> None:
        """
        The realm of a hash may hold blanks.
        """
        self.assertIsNotNone(parse_passwords(FILE, "f")["dave"].ha1("MD5", "dave", "my home"))

    def test_every_problem(self) -> None:
        """
        Every bad line is named with file and line, and none shows a secret.
        """
        lines = (
            "alice hidden",
            "lonely",
            "alice hidden",
            "bob realm hidden",
            "bob realm SHA-1 hidden",
            "bob realm MD5 hidden",
            f"alice realm MD5 {'0' * 32}",
            f"eve realm MD5 {'0' * 32}",
            f"eve realm md5 {'0' * 32}",
        )
        error = self.assertRaises(ConfigError, parse_passwords, "\n".join(lines), "pw.cfg")
        self.assertEqual([problem.line for problem in error.problems], [2, 3, 4, 5, 6, 7, 9])
        self.assertIn("pw.cfg:3: 'alice' is given twice", str(error))
        self.assertNotIn("hidden", str(error))

    def test_mutations(self) -> None:
        """
        However the file is damaged, it is read or refused.
        """
        chance = random.Random(2617)
        for _ in range(2000):
            at = chance.randrange(len(FILE))
            text = (
                FILE[:at]
                + chance.choice("# \t\n\0\xe9\udcffx\x85")
                + FILE[at + chance.randrange(9) :]
            )
            try:
                parse_passwords(text, "f")
            except ConfigError as error:
                self.assertTrue(all(problem.line for problem in error.problems))


class SecretTests(SynchronousTestCase):
    def test_repr(self) -> None:
        """
        A secret in a log line or a traceback shows nothing.
        """
        for secret in parse_passwords(FILE, "f").values():
            self.assertEqual(f"{secret} {secret!r}", "Secret() Secret()")

    def test_usable_algorithms(self) -> None:
        """
        An algorithm that some user has no hash for is not offered.
        """
        users = parse_passwords(FILE, "f")
        wanted = ("SHA-512-256", "SHA-256", "MD5")
        carol = users["carol"]
        self.assertEqual(usable_algorithms([carol], "example.com", wanted), ("SHA-256", "MD5"))
        self.assertEqual(usable_algorithms([carol], "other", wanted), ())
        self.assertEqual(usable_algorithms([users["bob"], Secret("x")], "any", wanted), wanted)
