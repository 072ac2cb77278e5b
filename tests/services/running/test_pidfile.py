"""
Tests for siptwist.services.running.pidfile.
"""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import SIPTwistError
from siptwist.services.running.pidfile import PidFileService


class PidFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def test_written_and_removed(self) -> None:
        """
        The file has our process id while we run; an old one is no obstacle.
        """
        self.path.write_text("1\n")
        service = PidFileService(str(self.path))
        service.privilegedStartService()
        self.assertEqual(self.path.read_text(), f"{os.getpid()}\n")
        service.stopService()
        self.assertFalse(self.path.exists())

    def test_link(self) -> None:
        """
        A link that somebody has laid there is replaced, and what it points to is not
        written to.
        """
        precious = Path(self.mktemp())
        precious.write_text("precious")
        self.path.symlink_to(precious.resolve())
        PidFileService(str(self.path)).privilegedStartService()
        self.assertEqual(precious.read_text(), "precious")
        self.assertFalse(self.path.is_symlink())

    def test_impossible(self) -> None:
        """
        A file that cannot be written stops the start, and is named.
        """
        service = PidFileService("/no/folder/pid")
        error = self.assertRaises(SIPTwistError, service.privilegedStartService)
        self.assertEqual(str(error), "pid_file = /no/folder/pid: No such file or directory")
        service.stopService()
