"""
What is shipped: the packages, the plugin of twistd, and the files in ``etc``.
"""

from __future__ import annotations

import re
import runpy
from configparser import ConfigParser
from pathlib import Path

from twisted.application.service import IServiceMaker
from twisted.plugin import getPlugins
from twisted.trial.unittest import SynchronousTestCase

import siptwist
from siptwist.config import OPTIONS, Settings, parse
from siptwist.options import Option, show, table
from siptwist.plugins.loading import configure, shipped

ROOT = Path(__file__).parent.parent

# "key = value", in effect or commented out; prose has a blank after its "#".
OPTION_LINE = re.compile(r"(#?)([a-z]\w*) = (.*)")


def plugin_options() -> dict[str, tuple[Option, object]]:
    """
    Every option of the plugins that come with siptwist, and its default.
    """
    found: dict[str, tuple[Option, object]] = {}
    for maker in shipped().values():
        defaults = maker.options()
        for key, known in table(maker.options).items():
            found[maker.prefix + key] = (known, getattr(defaults, key))
    return found


def all_options() -> dict[str, tuple[Option, object]]:
    settings = Settings()
    return {key: (known, getattr(settings, key)) for key, known in OPTIONS.items()} | (
        plugin_options()
    )


class MetadataTests(SynchronousTestCase):
    """
    ``setup.cfg`` describes what is there.
    """

    def setUp(self) -> None:
        self.setup_cfg = ConfigParser()
        self.setup_cfg.read(ROOT / "setup.cfg")

    def test_packages(self) -> None:
        """
        Every package is installed: a new folder that is not listed would be missing.
        """
        folders = {
            ".".join(path.parent.relative_to(ROOT).parts)
            for path in (ROOT / "siptwist").rglob("__init__.py")
        }
        listed = self.setup_cfg["options"]["packages"].split()
        self.assertEqual(sorted(listed), sorted({*folders, "twisted.plugins"}))

    def test_compiled(self) -> None:
        """
        What is compiled are whole rooms, but for the modules of which it is said why not.
        """
        build = runpy.run_path(str(ROOT / "setup.py"), run_name="build")
        found = set(build["modules"]()) | build["LEFT"]
        rooms = {
            path.relative_to(ROOT).as_posix()
            for room in build["ROOMS"]
            for path in (ROOT / "siptwist" / room).rglob("*.py")
            if path.name != "__init__.py"
        }
        self.assertEqual(found, rooms)
        self.assertFalse(set(build["modules"]()) & build["LEFT"])

    def test_plugin_folder(self) -> None:
        """
        twistd finds our plugin because the folder is no package, and holds one line.
        """
        folder = ROOT / "twisted" / "plugins"
        self.assertEqual([path.name for path in folder.glob("*.py")], ["siproxy_plugin.py"])
        self.assertFalse((folder.parent / "__init__.py").exists())

    def test_twistd_finds_it(self) -> None:
        """
        ``twistd siproxy`` exists.
        """
        makers = [maker for maker in getPlugins(IServiceMaker) if maker.tapname == "siproxy"]
        self.assertEqual([maker.module for maker in makers], ["siptwist.tap"])

    def test_all(self) -> None:
        """
        The extra "all" is all that an operator can want, and nothing for developers.
        """
        extras = self.setup_cfg["options.extras_require"]
        wanted = [extras[name].split("\n") for name in extras if name not in ("all", "dev")]
        self.assertEqual(set(extras["all"].split("\n")), {line for part in wanted for line in part})

    def test_data_files(self) -> None:
        """
        The files of ``etc`` come along, each of them.
        """
        listed = self.setup_cfg["options.data_files"]["share/siptwist"].split()
        self.assertEqual(
            sorted(listed), sorted(f"etc/{path.name}" for path in (ROOT / "etc").iterdir())
        )

    def test_news(self) -> None:
        """
        The news begin with this version.
        """
        news = (ROOT / "NEWS.rst").read_text()
        self.assertEqual(re.findall(r"^\d+\.\d+\.\d+", news, re.M)[0], siptwist.__version__)


class SampleTests(SynchronousTestCase):
    """
    ``etc/siproxd.conf`` documents every option that exists.
    """

    def setUp(self) -> None:
        self.text = (ROOT / "etc" / "siproxd.conf").read_text()
        self.lines = self.text.split("\n")
        self.options = all_options()
        self.found = [found for line in self.lines if (found := OPTION_LINE.fullmatch(line))]

    def test_every_option_once(self) -> None:
        """
        Each option of the table is there, once, and nothing else.
        """
        self.assertEqual(sorted(found[2] for found in self.found), sorted(self.options))

    def test_nothing_else(self) -> None:
        """
        Every line is an option, prose or blank.
        """
        rest = [line for line in self.lines if not OPTION_LINE.fullmatch(line)]
        self.assertEqual([line for line in rest if not re.fullmatch(r"(# .*|#)?", line)], [])

    def test_explained(self) -> None:
        """
        A paragraph stands above each option, or above the options it goes with.
        """
        for index, line in enumerate(self.lines):
            if OPTION_LINE.fullmatch(line):
                above = self.lines[index - 1]
                self.assertTrue(above.startswith("# ") or OPTION_LINE.fullmatch(above), line)

    def test_defaults(self) -> None:
        """
        An option that has a default shows it.
        """
        for found in self.found:
            default = show(self.options[found[2]][1])
            if default:
                self.assertEqual(found[3], default, found[2])

    def test_good(self) -> None:
        """
        The file is good as it is, and says nothing that needs a note.
        """
        settings = parse(self.text)
        self.assertEqual(settings, Settings())
        self.assertEqual(settings.notes, ())

    def test_examples_good(self) -> None:
        """
        The file is good with every example put into effect.
        """
        text = "\n".join(f"{found[2]} = {found[3]}" for found in self.found)
        text += "".join(f"\nload_plugin = {name}" for name in shipped())
        settings = parse(text, configure=configure)
        given = set(settings.origins).union(*(one.origins for one in settings.plugins))
        self.assertEqual(given, set(self.options))

    def test_in_effect(self) -> None:
        """
        What has no effect says so.
        """
        paragraphs = re.split(r"\n\n+", self.text)
        heading = ""
        for paragraph in paragraphs:
            if paragraph.startswith("# ---"):
                heading = paragraph
            for key in re.findall(r"^#?(\w+) = ", paragraph, re.M):
                told = "ot in effect yet" in " ".join((heading + paragraph).split("\n# "))
                effect = self.options[key][0].effect
                self.assertEqual(told, effect == "not in effect yet", key)

    def test_every_option_in_the_guide(self) -> None:
        """
        The guide has a row for each option, with its default; those of plugins last.
        """
        guide = (ROOT / "docs" / "configuration.rst").read_text()
        rows = re.findall(r"\* - ``(\w+)``\n +- ?(.*)\n +- (.*)", guide)
        keys = [row[0] for row in rows]
        self.assertEqual(keys[: len(OPTIONS)], list(OPTIONS))
        self.assertEqual(sorted(keys), sorted(self.options))
        for key, default, text in rows:
            known, value = self.options[key]
            self.assertEqual(default.strip("`"), show(value), key)
            self.assertTrue(text.startswith(known.help), key)
