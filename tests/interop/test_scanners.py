"""
What the tools of fraudsters learn about us.
"""

from __future__ import annotations

import subprocess

from tests.interop.bed import WAN_ROUTER
from tests.interop.case import ALICE, PROVIDER, STRANGER, InteropCase
from tests.interop.provider import password

# The row of a table of what was found.
_FOUND = r"\|\s*(alice|bob|carol|admin|\d+)\s*\|"


class SipviciousTests(InteropCase):
    """
    sipvicious scans us from the outside while people want to telephone.
    """

    def test_tools_work(self) -> None:
        """
        The scanners do find the provider, and a password there when they are told enough.
        """
        secrets = self.write_words("guess", password("alice", "example.net"))
        self.assertIn(PROVIDER, self._scan("svmap", PROVIDER))
        self.assertRegex(self._scan("svcrack", "-u", "alice", "-d", secrets, PROVIDER), _FOUND)

    def test_scanned(self) -> None:
        """
        Scanners from outside find no user and no password, and calls still work afterwards.
        """
        proxy = self.start_proxy(proxy_auth_realm="home", proxy_auth_passwd="bob")
        bob = self.start_outside()
        alice = self.start_inside("alice", ALICE)
        names = self.write_words("alice", "bob", "carol", "100", "admin")
        self._scan("svmap", WAN_ROUTER)
        self.assertNotRegex(self._scan("svwar", "-d", names, WAN_ROUTER), _FOUND)
        self.assertNotRegex(self._scan("svwar", "-e", "100-120", WAN_ROUTER), _FOUND)
        self.assertNotRegex(self._scan("svcrack", "-u", "alice", "-d", names, WAN_ROUTER), _FOUND)
        self.assertTrue(proxy.answers())
        self.connect(alice, bob)

    def write_words(self, *words: str) -> str:
        """
        A dictionary for a scanner; its path.
        """
        path = self.bed.new_directory("scan") / "words"
        path.write_text("".join(f"{word}\n" for word in words))
        return str(path)

    def _scan(self, *words: str) -> str:
        """
        Run a scanner to its end, or for 15 s; what it printed.
        """
        done = subprocess.run(
            self.bed.command(STRANGER, ["timeout", "15", *words, "-b", STRANGER, "-P", "5190"]),
            capture_output=True,
            text=True,
            cwd=self.bed.directory,
        )
        return done.stdout + done.stderr
