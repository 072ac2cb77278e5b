"""
Subscriptions across the proxy.
"""

from __future__ import annotations

from tests.interop.case import InteropCase
from tests.interop.load import CALLEE, CALLER


class SubscriptionTests(InteropCase):
    """
    A phone behind the proxy wants to know of its messages (RFC 3842, RFC 6665).
    """

    def test_message_waiting(self) -> None:
        """
        A phone that is not even registered subscribes, renews and ends it; each
        NOTIFY reaches it at its own Contact, which nobody outside has seen.
        """
        self.start_proxy()
        capture = self.start_capture()
        notifier = self.run_sipp(CALLEE, "notify")
        subscriber = self.run_sipp(CALLER, "subscribe", "-s", "notifier", remote=CALLEE)
        for program in (subscriber, notifier):
            self.assertEqual(program.wait(10), 0, program.name)
        notified = [text for text in capture.sip() if text.startswith("NOTIFY")]
        self.assertEqual(len(notified), 3)
