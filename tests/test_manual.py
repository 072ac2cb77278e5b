"""
The manual pages, and what starts siptwist on this system and that.
"""

from __future__ import annotations

import re
import runpy
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path
from typing import Any
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from siptwist.config import OPTIONS
from siptwist.tap import Options

ROOT = Path(__file__).parent.parent
ETC = ROOT / "etc"
MAN = ROOT / "docs" / "man"


class ManualTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.build: dict[str, Any] = runpy.run_path(str(MAN / "build.py"), run_name="build")

    def test_up_to_date(self) -> None:
        """
        The pages are what the options and the sample make of them: "make man" writes them.
        """
        for name, make in self.build["PAGES"].items():
            self.assertEqual((MAN / name).read_text(), make(), f"{name} is old: make man")

    def test_every_option(self) -> None:
        """
        Each option of the file has its place, once; so has each of the command line.
        """
        found = re.findall(r"^\.B ([a-z]\w*)$", (MAN / "siproxd.conf.5").read_text(), re.M)
        self.assertEqual(len(found), len(set(found)))
        self.assertEqual(set(OPTIONS) - set(found), set())
        page = (MAN / "siptwist.8").read_text().replace("\\-", "-")
        for name, *_ in (*Options.optParameters, *Options.optFlags):
            self.assertIn(f"--{name}", page)

    def test_dots(self) -> None:
        """
        A line of text that begins with a dot is no command of roff.
        """
        self.assertEqual(self.build["escaped"](".so x\n-1\\"), "\\&.so x\n\\-1\\e")


class UnitTests(SynchronousTestCase):
    """
    ``etc/siptwist.service`` and its companions.
    """

    def setUp(self) -> None:
        self.unit = ConfigParser(strict=False, interpolation=None)
        self.unit.optionxform = str  # type: ignore[assignment,method-assign]
        self.unit.read(ETC / "siptwist.service")

    def test_notify(self) -> None:
        """
        systemd knows when we are ready, that we live, and how to reload us; it waits
        longer for calls to end than we do.
        """
        service = self.unit["Service"]
        self.assertEqual((service["Type"], service["ExecReload"].split()[1]), ("notify", "-HUP"))
        self.assertGreater(int(service["WatchdogSec"]), 0)
        self.assertGreater(int(service["TimeoutStopSec"]), 30)

    def test_user(self) -> None:
        """
        The user of the unit is the one that sysusers makes, and tmpfiles gives things to.
        """
        user = self.unit["Service"]["User"]
        self.assertIn(f"\nu {user} - ", (ETC / "siptwist.sysusers").read_text())
        for line in (ETC / "siptwist.tmpfiles").read_text().splitlines():
            if not line.startswith("#"):
                self.assertEqual(line.split()[4], user)

    def test_hardened(self) -> None:
        """
        systemd-analyze finds an exposure of at most 2.5.
        """
        if shutil.which("systemd-analyze") is None:
            raise SkipTest("systemd-analyze is not here")
        done = subprocess.run(
            ["systemd-analyze", "security", "--offline=yes", str(ETC / "siptwist.service")],
            capture_output=True,
            text=True,
        )
        found = re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)
        if found is None:
            raise SkipTest(f"systemd-analyze cannot look at files: {done.stderr}")
        self.assertLessEqual(float(found[1]), 2.5)

    def test_scripts(self) -> None:
        """
        The scripts of OpenRC and FreeBSD are good shell, and reload by SIGHUP.
        """
        for name in ("siptwist.openrc", "siptwist.rc"):
            done = subprocess.run(["sh", "-n", str(ETC / name)], capture_output=True, text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("HUP", (ETC / name).read_text())
