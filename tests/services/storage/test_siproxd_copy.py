"""
Tests for siptwist.services.storage.siproxd_copy: registrations as siproxd writes them.
"""

from __future__ import annotations

from pathlib import Path

from twisted.internet.task import Clock
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from siptwist.proxy.registration.location import Locations
from siptwist.services.storage.siproxd_copy import SLOTS, SiproxdCopyService
from siptwist.services.storage.siproxd_table import is_table, read_table
from tests.proxy.asking import TWO_SOCKETS, bind
from tests.proxy.registering import NOW


class Us:
    """
    Knows who we are.
    """

    identity = TWO_SOCKETS


class SiproxdCopyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock, self.locations = Clock(), Locations()
        self.clock.advance(NOW)
        self.path = Path(self.mktemp())
        self.service = self.make(self.path)

    def make(self, path: Path) -> SiproxdCopyService:
        service = SiproxdCopyService(self.clock, str(path), self.locations, Us())
        service.startService()
        return service

    def test_format(self) -> None:
        """
        siproxd's own reader would find each phone: a slot with its Contact, what the
        outside knows it by, and its account; the rest of 512 slots is empty.
        """
        binding = bind(self.locations)
        self.clock.advance(1)
        text = self.path.read_text()
        self.assertTrue(is_table(text.encode()))
        lines = text.splitlines()
        self.assertEqual(lines[0], f"****:1:{int(binding.expires_at)}")
        self.assertEqual(lines[1], binding.contact)
        self.assertEqual(lines[2], "sip:alice@203.0.113.7")
        self.assertEqual(lines[3], "sip:alice@provider.example")
        self.assertEqual(lines[4:], ["****:0:0"] * (SLOTS - 1))
        found, skipped = read_table(text, lambda *names: "mask", lambda uri: False, NOW)
        self.assertEqual(([one.contact for one in found], skipped), ([binding.contact], 0))

    def test_gathered(self) -> None:
        """
        Many changes in a second are written once, whole, in place of the old file (siproxd's
        fault R4: its file was half written for a while).
        """
        self.clock.advance(1)
        before = self.path.stat().st_ino
        for _ in range(3):
            self.service.schedule()
        bind(self.locations)
        self.assertNotIn("****:1", self.path.read_text())
        self.clock.advance(1)
        self.assertIn("****:1", self.path.read_text())
        self.assertNotEqual(self.path.stat().st_ino, before)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopped(self) -> None:
        """
        What is not written yet is written at the stop.
        """
        bind(self.locations)
        self.service.stopService()
        self.assertIn("****:1", self.path.read_text())

    def test_impossible(self) -> None:
        """
        A file that cannot be written is named once, and nothing else stops.
        """
        events: list[dict[str, object]] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)
        service = self.make(Path("/no/folder/file"))
        self.clock.advance(1)
        service.schedule()
        self.clock.advance(1)
        errors = [event for event in events if event["log_level"] is LogLevel.error]
        self.assertEqual(len(errors), 1)
