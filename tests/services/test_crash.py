"""
No acknowledged registration is lost when the process is killed.
"""

from __future__ import annotations

import os
import random
import shutil
import sys

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from siptwist.proxy.registration.location import Locations
from siptwist.services.registrations import RegistrationService
from tests.services.crash_registrations import Victim

# A quick look in the unit suite, the whole of it where time is given.
KILLS, REGISTRATIONS = (20, 500) if os.environ.get("SIPTWIST_INTEROP") == "1" else (3, 60)


class CrashTests(SynchronousTestCase):
    def test_kill(self) -> None:
        """
        Killed at random moments, siptwist finds every acknowledged
        registration again.
        """
        chance = random.Random()
        path = os.path.join(self.mktemp(), "registrations.db")
        kept: dict[str, int] = {}
        count = 0
        for number in range(KILLS):
            first = str(1 + number * 1_000_000)
            victim = Victim(
                [sys.executable, "-m", "tests.services.crash_registrations", path, first]
            )
            share = REGISTRATIONS // KILLS
            lines = victim.kill(chance.randint(share, share + 10), chance.uniform(0, 0.005))
            count += len(lines)
            for _, mask, cseq in map(str.split, lines):
                kept[mask] = max(kept.get(mask, 0), int(cseq))
            found = self.read_copy(path)
            lost = {mask for mask, cseq in kept.items() if found.get(mask, 0) < cseq}
            self.assertEqual(lost, set())
        self.assertGreaterEqual(count, REGISTRATIONS - KILLS)

    def read_copy(self, path: str) -> dict[str, int]:
        """
        What a start would load, with the files left as the killed process left them.
        """
        directory = self.mktemp()
        os.mkdir(directory)
        copy = os.path.join(directory, "copy.db")
        for suffix in ("", "-wal"):
            shutil.copy(path + suffix, copy + suffix)
        clock = Clock()
        clock.rightNow = os.stat(path).st_mtime
        service = RegistrationService(copy, clock, Locations())
        service.startService()
        service.stopService()
        self.assertEqual(os.listdir(directory), ["copy.db"])
        return {binding.mask: binding.cseq for binding in service.locations}
