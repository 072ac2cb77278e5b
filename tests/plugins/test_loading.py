"""
Tests of :mod:`siptwist.plugins.loading`: what a configuration says of plugins.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import twisted.plugins
from siptwist.config import Settings, parse
from siptwist.errors import ConfigError
from siptwist.options import option, text, whole
from siptwist.plugins import loading
from siptwist.plugins.plugin import PluginMaker


@dataclass(frozen=True, slots=True)
class DialOptions:
    key: str = option("", text, "the key")
    number: tuple[str, ...] = option((), text, "a number", repeated=True)
    length: int = option(3, whole(1, 9), "how long")
    code: str = option("", text, "a secret", secret=True)


@dataclass(frozen=True, slots=True)
class MoreOptions:
    key: str = option("", text, "another key")


def too_many(options: DialOptions) -> Iterable[tuple[str, str]]:
    if len(options.number) > options.length:
        yield "number", f"more than {options.length}"


def unmade(options: object, house: object) -> object:
    raise AssertionError("nothing is made when a file is read")


MAKERS = {
    "dial": PluginMaker("dial", unmade, DialOptions, check=too_many, needs=("key",)),
    "dial_more": PluginMaker("dial_more", unmade, MoreOptions),
}


class LoadingCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.patch(loading, "installed", lambda: dict(MAKERS))

    def read(self, *lines: str) -> Settings:
        return parse("\n".join(lines), configure=loading.configure)

    def refused(self, *lines: str) -> list[str]:
        error = self.assertRaises(ConfigError, self.read, *lines)
        return [str(problem).removeprefix("siproxd.conf:") for problem in error.problems]

    def notes(self, *lines: str) -> list[str]:
        return [str(note).removeprefix("siproxd.conf:") for note in self.read(*lines).notes]


class NameTests(LoadingCase):
    """
    Which plugins are loaded.
    """

    def test_none(self) -> None:
        """
        A file that says nothing of plugins loads none, and looks for none.
        """
        self.patch(loading, "installed", lambda: self.fail("looked for"))
        self.assertEqual(self.read("rtp_timeout = 5").plugins, ())

    def test_spellings(self) -> None:
        """
        A plugin is known by its name alone, with plugin_, with .la and with .so.
        """
        for name in (
            "plugin_dial.la",
            "plugin_dial.so",
            "plugin_dial",
            "dial",
            "/x/plugin_dial.la",
        ):
            [one] = self.read(f"load_plugin = {name}", "plugin_dial_key = *").plugins
            self.assertIs(one.maker, MAKERS["dial"])

    def test_order(self) -> None:
        """
        Plugins are asked in the order in which the file loads them.
        """
        plugins = self.read(
            "load_plugin = dial_more", "load_plugin = dial", "plugin_dial_key = *"
        ).plugins
        self.assertEqual([one.maker.name for one in plugins], ["dial_more", "dial"])

    def test_unknown(self) -> None:
        """
        A plugin that is not there is an error, with the line, and a name that is.
        """
        self.assertEqual(
            self.refused("", "load_plugin = plugin_dail.la"),
            ["2: load_plugin: there is no plugin 'dail'; did you mean dial?"],
        )
        self.assertEqual(
            self.refused("load_plugin = x"),
            ["1: load_plugin: there is no plugin 'x'; there are dial, dial_more"],
        )

    def test_twice(self) -> None:
        """
        A plugin that is loaded twice is loaded once, and the second line named.
        """
        lines = ("load_plugin = dial_more", "load_plugin = plugin_dial_more.la")
        self.assertEqual(len(self.read(*lines).plugins), 1)
        self.assertEqual(
            self.notes(*lines), ["2: load_plugin: plugin dial_more is loaded in line 1 already"]
        )


class DirectiveTests(LoadingCase):
    """
    What the file says to a plugin.
    """

    def test_values(self) -> None:
        """
        Options have their types, repeated ones keep their order, others a default.
        """
        [one] = self.read(
            "load_plugin = dial",
            "plugin_dial_key = *",
            "plugin_dial_number = 2",
            "plugin_dial_number = 1",
        ).plugins
        self.assertEqual(one.options, DialOptions("*", ("2", "1"), 3))
        self.assertEqual(one.origins["plugin_dial_number"], "siproxd.conf:3, 4")

    def test_bad_value(self) -> None:
        """
        A value that an option cannot take is refused with file and line.
        """
        self.assertEqual(
            self.refused("load_plugin = dial", "plugin_dial_key = *", "plugin_dial_length = 10"),
            ["3: plugin_dial_length: 10 is not between 1 and 9"],
        )

    def test_unknown(self) -> None:
        """
        An option that a loaded plugin does not have is an error.
        """
        self.assertEqual(
            self.refused("load_plugin = dial", "plugin_dial_kye = *"),
            ["2: plugin_dial_kye: unknown option; did you mean plugin_dial_key?"],
        )

    def test_longest_name(self) -> None:
        """
        An option belongs to the plugin with the longest name: regex_body, not regex.
        """
        [one] = self.read("load_plugin = dial_more", "plugin_dial_more_key = *").plugins
        self.assertEqual(one.options, MoreOptions("*"))

    def test_not_loaded(self) -> None:
        """
        Options of a plugin that is not loaded do no harm, and are named once.
        """
        self.assertEqual(
            self.notes("plugin_dial_key = *", "plugin_dial_number = 1"),
            ["1: plugin_dial_key: plugin dial is not loaded: load_plugin = plugin_dial"],
        )

    def test_nobodys(self) -> None:
        """
        An option of no plugin that is there is named, with one that is meant.
        """
        self.assertEqual(
            self.notes("plugin_daily_key = *"),
            ["1: plugin_daily_key: no plugin has this option; did you mean plugin_dial_key?"],
        )

    def test_needed(self) -> None:
        """
        A plugin without the option that it lives on is left out, and that is said.
        """
        lines = ("load_plugin = dial", "plugin_dial_length = 4")
        self.assertEqual(self.read(*lines).plugins, ())
        self.assertEqual(
            self.notes(*lines),
            ["1: load_plugin: plugin dial does nothing: plugin_dial_key is not set"],
        )

    def test_checked_together(self) -> None:
        """
        Options that do not go together are refused where the last was given.
        """
        lines = ["plugin_dial_number = 1"] * 4
        self.assertEqual(
            self.refused("load_plugin = dial", "plugin_dial_key = *", *lines),
            ["6: plugin_dial_number: more than 3"],
        )

    def test_with_others(self) -> None:
        """
        What is wrong with plugins is said together with all else.
        """
        lines = ("rtp_dscp = 64", "load_plugin = x", "load_plugin = dial_more")
        self.assertEqual([line[0] for line in self.refused(*lines)], ["1", "2"])

    def test_described(self) -> None:
        """
        The console shows the options of loaded plugins, secrets masked.
        """
        lines = ("load_plugin = dial", "plugin_dial_key = *", "plugin_dial_code = hunter2")
        rows = {row.key: row[1:] for row in self.read(*lines).describe()}
        self.assertEqual(rows["plugin_dial_key"], ("*", "siproxd.conf:2"))
        self.assertEqual(rows["plugin_dial_length"], ("3", "default"))
        self.assertEqual(rows["plugin_dial_code"][0], "***")


class FileTests(LoadingCase):
    """
    Plugins of others.
    """

    def setUp(self) -> None:
        super().setUp()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.folder.chmod(0o755)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.write_text(text)
        path.chmod(0o644)
        module = name.removesuffix(".py").removeprefix("plugin_")
        self.addCleanup(sys.modules.pop, f"siptwist_plugindir.{module}", None)
        self.addCleanup(sys.modules.pop, f"twisted.plugins.{module}", None)
        return path

    def load(self, name: str) -> Settings:
        return self.read(f"plugindir = {self.folder}", f"load_plugin = {name}")

    def problem(self, name: str) -> str:
        [problem] = self.refused(f"plugindir = {self.folder}", f"load_plugin = {name}")
        return problem

    GOOD = (
        "from siptwist.plugins.plugin import PluginMaker\n"
        "mine = PluginMaker('mine', lambda options, house: None)\n"
    )

    def test_siproxds_folder(self) -> None:
        """
        A plugindir of siproxd, with nothing of Python in it, or gone, does no harm.
        """
        self.write("plugin_dial_more.la", "# libtool\n")
        self.assertEqual(len(self.load("plugin_dial_more.la").plugins), 1)
        settings = self.read("plugindir = /no/such/folder/", "load_plugin = dial_more")
        self.assertEqual(len(settings.plugins), 1)

    def test_named_as_siproxd(self) -> None:
        """
        The file may have plugin_ before its name.
        """
        self.write("plugin_mine.py", self.GOOD)
        self.assertEqual(self.load("plugin_mine.so").plugins[0].maker.name, "mine")

    def test_broken(self) -> None:
        """
        A module that cannot be imported is an error that says why.
        """
        self.write("mine.py", "import no_such_module\n")
        self.assertEqual(
            self.problem("mine"),
            "2: load_plugin: plugin mine cannot be loaded: "
            "ModuleNotFoundError: No module named 'no_such_module'",
        )

    def test_broken_in_twisted(self) -> None:
        """
        The same in a twisted/plugins folder, where Twisted would pass over it.
        """
        self.write("mine_too.py", "1 / 0\n")
        self.patch(twisted.plugins, "__path__", [str(self.folder)])
        self.assertEqual(
            self.refused("load_plugin = mine_too"),
            [
                "1: load_plugin: plugin mine_too cannot be loaded: "
                "ZeroDivisionError: division by zero"
            ],
        )

    def test_writable(self) -> None:
        """
        A file that anybody could have written is not run.
        """
        path = self.write("mine.py", self.GOOD)
        path.chmod(0o666)
        self.assertIn(f"PermissionError: anybody can write to {path}", self.problem("mine"))
        path.chmod(0o644)
        self.folder.chmod(0o777)
        self.assertIn(f"anybody can write to {self.folder}", self.problem("mine"))


class InstalledTests(SynchronousTestCase):
    def test_ours(self) -> None:
        """
        Twisted finds the plugins that come with siptwist, each by its name.
        """
        found = loading.installed()
        self.assertLessEqual({"demo", "logcall"}, set(found))
        self.assertEqual(
            {name: maker.name for name, maker in found.items()},
            dict(zip(found, found, strict=True)),
        )
