"""
The plugin of ``docs/plugins.rst``, as a reader copies it.
"""

from __future__ import annotations

import re
import sys
import textwrap
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import twisted.plugins
from siptwist.config import parse
from siptwist.plugins.loading import configure, installed
from siptwist.plugins.stages import STAGES
from tests.services.walking import WalkingCase

PAGE = (Path(__file__).parent.parent.parent / "docs" / "plugins.rst").read_text()
PLUGIN = textwrap.dedent(PAGE.split(".. code-block:: python\n")[1].split("\nPut it into")[0])
LINES = textwrap.dedent(PAGE.split("in ``siproxd.conf``::\n")[1].split("\nThe tests")[0])


class PageTests(SynchronousTestCase):
    """
    What the page says is so.
    """

    def test_length(self) -> None:
        """
        A useful plugin has some thirty lines.
        """
        lines = [line for line in PLUGIN.split("\n") if line.strip()]
        self.assertLess(len(lines), 36)

    def test_stages(self) -> None:
        """
        The page has a row for each stage there is.
        """
        rows = re.findall(r"\* - ``(\w+)\(", PAGE)
        self.assertEqual(sorted(rows), sorted([*STAGES, "start"]))

    def test_first_example(self) -> None:
        """
        The lines that load plugins are good as they are.
        """
        lines = textwrap.dedent(PAGE.split("Load one\n========\n\n::\n")[1].split("\n``")[0])
        settings = parse(lines, configure=configure)
        self.assertEqual([one.maker.name for one in settings.plugins], ["logcall", "demo"])
        self.assertEqual(settings.notes, ())


class InTwistedPluginsTests(WalkingCase):
    """
    The plugin in a folder ``twisted/plugins`` on Python's path.
    """

    text = LINES

    def setUp(self) -> None:
        folder = Path(self.mktemp()) / "twisted" / "plugins"
        folder.mkdir(parents=True)
        (folder / "ring.py").write_text(PLUGIN)
        self.patch(twisted.plugins, "__path__", [*twisted.plugins.__path__, str(folder)])
        self.addCleanup(sys.modules.pop, "twisted.plugins.ring", None)
        super().setUp()

    def test_found(self) -> None:
        """
        It is found among the others.
        """
        self.assertIn("ring", installed())

    def test_rings(self) -> None:
        """
        A call from a number that it was told rings differently; others do not.
        """
        uri = self.registered(self.phone)
        self.provider.user, self.provider.domain = "0301234567", "provider.example"
        self.provider.invite(uri, to=f"<{self.phone.aor}>")
        self.assertEqual(
            self.phone.last("INVITE").headers.get("alert-info"), "<http://127.0.0.1/bell2>"
        )
        self.provider.user = "0309999999"
        self.provider.invite(uri, to=f"<{self.phone.aor}>", call_id="other")
        self.assertNotIn("alert-info", self.phone.last("INVITE").headers)
        self.assertEqual(self.failures(), [])


class InPluginDirTests(InTwistedPluginsTests):
    """
    The plugin in the folder that ``plugindir`` names.
    """

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        folder.chmod(0o755)
        (folder / "ring.py").write_text(PLUGIN)
        (folder / "ring.py").chmod(0o644)
        self.text = f"plugindir = {folder}\n{LINES}"
        self.addCleanup(sys.modules.pop, "siptwist_plugindir.ring", None)
        WalkingCase.setUp(self)

    def test_found(self) -> None:
        """
        It is loaded although Twisted does not find it.
        """
        self.assertNotIn("ring", installed())
        names = [one.maker.name for one in self.proxy.parts.settings.plugins]
        self.assertEqual(names, ["ring"])
