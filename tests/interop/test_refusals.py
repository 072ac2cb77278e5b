"""
Calls that come to nothing: busy, declined, cancelled, unknown.
"""

from __future__ import annotations

from tests.interop.case import ALICE, InteropCase
from tests.interop.load import CALLEE


class RefusalTests(InteropCase):
    """
    The caller is told the truth, and every media port is given back.
    """

    def test_busy_outside(self) -> None:
        """
        The phone at the provider says busy.
        """
        proxy = self.start_proxy()
        bob = self.start_outside(answer="manual")
        alice = self.start_inside("alice", ALICE)
        alice.dial("sip:bob@example.net")
        bob.wait_ringing()
        bob.hang_up()
        alice.wait_over()
        self.assertTrue(alice.received("SIP/2.0 486"))
        proxy.wait_ports_free()

    def test_busy_inside(self) -> None:
        """
        The phone behind the proxy says busy.
        """
        proxy = self.start_proxy()
        bob = self.start_outside()
        alice = self.start_inside("alice", ALICE, answer="manual")
        bob.dial("sip:alice@example.net")
        alice.wait_ringing()
        alice.hang_up()
        bob.wait_over()
        self.assertTrue(bob.received("SIP/2.0 486"))
        proxy.wait_ports_free()

    def test_declined(self) -> None:
        """
        The callee declines everywhere (603).
        """
        proxy = self.start_proxy()
        callee = self.run_sipp(CALLEE, "decline")
        alice = self.start_inside("alice", ALICE)
        alice.dial(f"sip:callee@{CALLEE}")
        self.assertEqual(callee.wait(10), 0)
        alice.wait_over()
        self.assertTrue(alice.received("SIP/2.0 603"))
        proxy.wait_ports_free()

    def test_cancelled_from_inside(self) -> None:
        """
        The caller behind the proxy gives up while it rings.
        """
        proxy = self.start_proxy()
        bob = self.start_outside(answer="manual")
        alice = self.start_inside("alice", ALICE)
        alice.dial("sip:bob@example.net")
        bob.wait_ringing()
        alice.program.wait_for("180 Ringing")
        self.assertTrue(proxy.media_ports())
        alice.hang_up()
        bob.wait_over()
        proxy.wait_ports_free()
        self.assertTrue(bob.received("CANCEL"))
        alice.program.wait_for("SIP/2.0 487")

    def test_cancelled_from_outside(self) -> None:
        """
        The caller at the provider gives up while it rings.
        """
        proxy = self.start_proxy()
        bob = self.start_outside()
        alice = self.start_inside("alice", ALICE, answer="manual")
        bob.dial("sip:alice@example.net")
        alice.wait_ringing()
        bob.program.wait_for("180 Ringing")
        bob.hang_up()
        alice.wait_over()
        proxy.wait_ports_free()
        self.assertTrue(alice.received("CANCEL"))

    def test_unknown(self) -> None:
        """
        A call to a user whom the provider does not know ends with its 404.
        """
        proxy = self.start_proxy()
        alice = self.start_inside("alice", ALICE)
        alice.dial("sip:nobody@example.net")
        alice.wait_over()
        self.assertTrue(alice.received("SIP/2.0 404"))
        proxy.wait_ports_free()
