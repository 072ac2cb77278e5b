"""
The proxy is killed while phones register, and nothing that it said is lost.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.interop.crash import Phones, Registrar
from tests.interop.readiness import SWITCH

KILLS = 20
REGISTRATIONS = 500


class CrashTests(SynchronousTestCase):
    """
    ``kill -9`` in the middle of registrations, over the wire.
    """

    def setUp(self) -> None:
        if os.environ.get(SWITCH) != "1":
            raise SkipTest(f"the proxy is killed only with {SWITCH}=1 (make interop)")
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.registrar = Registrar(Path(directory.name))
        self.addCleanup(self.registrar.kill)
        self.phones = Phones()
        self.addCleanup(self.phones.close)

    def test_killed(self) -> None:
        """
        Killed 20 times while 500 phones register, the proxy still knows every
        phone whose registration it acknowledged.
        """
        chance = random.Random(5)
        numbers = iter(range(10**6))
        restarts = []
        for _ in range(KILLS):
            self.registrar.start()
            restarts.append(self.phones.first_answer())
            users = [f"u{next(numbers)}" for _ in range(REGISTRATIONS // KILLS)]
            known = len(self.phones.acknowledged)
            end = time.monotonic() + chance.uniform(0.005, 0.12)
            self.phones.register(users, end)
            self.registrar.kill()
            self.assertLessEqual(known, len(self.phones.acknowledged))
        self.registrar.start()
        restarts.append(self.phones.first_answer())
        lost = [user for user in self.phones.acknowledged if not self.phones.is_registered(user)]
        self.assertEqual(lost, [])
        self.assertGreater(len(self.phones.acknowledged), KILLS)
        self.assertNotIn("Traceback", self.registrar.log)
        figures = {
            "kills": KILLS,
            "acknowledged": len(self.phones.acknowledged),
            "lost": len(lost),
            "restart_median_s": round(sorted(restarts)[len(restarts) // 2], 2),
            "restart_max_s": round(max(restarts), 2),
        }
        sys.stdout.write(json.dumps(figures) + "\n")
