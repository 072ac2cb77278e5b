"""
The bed itself, without the program under test: when these fail, so does everything.
"""

from __future__ import annotations

from tests.interop.case import ALICE, BOB, STRANGER, InteropCase
from tests.interop.phone import Account


class BedTests(InteropCase):
    """
    Two phones at the provider, nothing in between.
    """

    def test_call(self) -> None:
        """
        Two phones outside hear each other, and nobody else.
        """
        bob = self.start_outside()
        alice = self.start_outside("alice", STRANGER)
        self.connect(alice, bob)
        self.assertEqual(alice.hears(alice.tone), 0)

    def test_capture_hears(self) -> None:
        """
        A capture holds the SIP and the sound that a phone receives.
        """
        bob = self.start_outside()
        alice = self.start_outside("alice", STRANGER)
        capture = self.start_capture(BOB, "eth0")
        self.connect(alice, bob)
        capture.stop()
        self.assertGreater(capture.seconds_heard(BOB, alice.tone), 0.5)
        self.assertEqual(capture.seconds_heard(BOB, bob.tone), 0)
        self.assertTrue([text for text in capture.sip(destination=BOB) if text[:6] == "INVITE"])

    def test_challenges(self) -> None:
        """
        The provider asks for a password, and a wrong one leaves no binding.
        """
        alice = self.plug_in_phone(STRANGER, Account("alice", secret="wrong"))
        alice.program.wait_for(r"SIP/2\.0 401(?s:.*)SIP/2\.0 401")
        self.assertEqual(self.provider.bindings("alice"), [])

    def test_no_way_back(self) -> None:
        """
        Without the program under test, nobody outside can reach a phone inside.
        """
        capture = self.start_capture(ALICE, "eth0")
        with self.bed.open_socket(BOB) as outside:
            outside.sendto(b"x", ("203.0.113.1", 5060))
        self.assertEqual([p for p in capture.packets() if p.payload == b"x"], [])
