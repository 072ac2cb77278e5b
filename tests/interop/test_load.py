"""
Many calls through siptwist, counted by SIPp.
"""

from __future__ import annotations

import json

from tests.interop.case import InteropCase
from tests.interop.load import run_calls


class LoadTests(InteropCase):
    """
    No call may fail.
    """

    def test_calls_a_second(self) -> None:
        """
        300 calls a second for 20 seconds, media ports included, all succeed.
        """
        proxy = self.start_proxy()
        report = run_calls(self.bed, proxy, rate=300, seconds=20)
        print(json.dumps(report))
        self.assertEqual((report["failed"], report["status"], report["callee_status"]), (0, 0, 0))
        self.assertEqual(report["successful"], 6000)
        proxy.wait_ports_free(10)

    def test_calls_at_once(self) -> None:
        """
        1,000 calls that are held at the same time all succeed, and all their ports come back.
        """
        proxy = self.start_proxy()
        report = run_calls(self.bed, proxy, rate=125, seconds=8, hold_ms=12000)
        print(json.dumps(report))
        self.assertEqual((report["failed"], report["status"], report["callee_status"]), (0, 0, 0))
        self.assertEqual(report["most_at_once"], 1000)
        self.assertGreaterEqual(report["most_media_ports"], 4000)
        proxy.wait_ports_free(10)
