"""
Finds the plugins that ``load_plugin`` names, and reads their options.
"""

from __future__ import annotations

import importlib
import os
import pkgutil
import stat
import sys
from collections.abc import Iterable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from types import ModuleType

from twisted.plugin import getPlugins

import siptwist.plugins
import twisted.plugins
from siptwist.config import Found, Wanted, read_value, suggest
from siptwist.errors import Problem
from siptwist.options import Configured, Directive, table
from siptwist.plugins.stages import IPluginMaker

_FOLDER = "siptwist_plugindir"


def shipped() -> dict[str, IPluginMaker]:
    """
    The plugins of siptwist itself: in its folder of them, and in folders therein.
    """
    inside = pkgutil.iter_modules(siptwist.plugins.__path__, "siptwist.plugins.")
    folders = [importlib.import_module(one.name) for one in inside if one.ispkg]
    return {
        maker.name: maker
        for package in (siptwist.plugins, *folders)
        for maker in getPlugins(IPluginMaker, package)
    }


def installed() -> dict[str, IPluginMaker]:
    """
    Every plugin that Twisted finds: ours, and those that others have put into a
    ``twisted/plugins`` folder on Python's path.  Ours keep their names.
    """
    theirs = {maker.name: maker for maker in getPlugins(IPluginMaker, twisted.plugins)}
    return theirs | shipped()


def configure(wanted: Wanted) -> Found:
    """
    The plugins that a configuration asks for, with their options.
    """
    reading = _Reading(wanted)
    reading.find_all()
    reading.sort_directives()
    plugins = tuple(reading.configured())
    return Found(plugins, tuple(reading.problems), tuple(reading.notes))


class _Reading:
    """
    What has been found so far for one file.
    """

    def __init__(self, wanted: Wanted) -> None:
        self._wanted = wanted
        self._known = installed()
        self._loaded: dict[str, tuple[IPluginMaker, int]] = {}
        self._given: dict[str, list[Directive]] = {}
        self.problems: list[Problem] = []
        self.notes: list[Problem] = []

    def refuse(self, line: int, key: str, text: str) -> None:
        self.problems.append(Problem(self._wanted.file, line, key, text))

    def note(self, line: int, key: str, text: str) -> None:
        self.notes.append(Problem(self._wanted.file, line, key, text))

    # Plugins

    def find_all(self) -> None:
        for _, name, line in self._wanted.loads:
            if name in self._loaded:
                first = self._loaded[name][1]
                self.note(line, "load_plugin", f"plugin {name} is loaded in line {first} already")
                continue
            try:
                maker = self._find(name)
            except Exception as error:
                # Whatever somebody else's module does wrong.
                text = f"plugin {name} cannot be loaded: {type(error).__name__}: {error}"
                self.refuse(line, "load_plugin", text)
                continue
            if maker is None:
                hint = suggest(name, self._known) or self._listed()
                self.refuse(line, "load_plugin", f"there is no plugin {name!r}{hint}")
            else:
                self._known[name] = maker
                self._loaded[name] = (maker, line)

    def _find(self, name: str) -> IPluginMaker | None:
        if self._wanted.plugindir:
            for module in _modules_in(self._wanted.plugindir, name):
                for maker in _makers_of(module):
                    if maker.name == name:
                        return maker
        if name not in self._known and name.isidentifier():
            # Twisted passes over modules that raise; the operator shall know why.
            _import(f"twisted.plugins.{name}")
        return self._known.get(name)

    def _listed(self) -> str:
        return f"; there are {', '.join(sorted(self._known))}"

    # Options

    def sort_directives(self) -> None:
        """
        Give each directive to its plugin, and say which are nobody's.
        """
        owners: dict[str, list[Directive]] = {}
        for directive in self._wanted.directives:
            owner = self._owner(directive.key)
            if owner is None:
                hint = suggest(directive.key, self._keys(self._known.values()))
                self.note(directive.line, directive.key, f"no plugin has this option{hint}")
            elif owner.name not in self._loaded:
                owners.setdefault(owner.name, []).append(directive)
            elif directive.key.removeprefix(owner.prefix) not in table(owner.options):
                hint = suggest(directive.key, self._keys([owner]))
                self.refuse(directive.line, directive.key, f"unknown option{hint}")
            else:
                self._given.setdefault(directive.key, []).append(directive)
        for name, directives in owners.items():
            text = f"plugin {name} is not loaded: load_plugin = plugin_{name}"
            self.note(directives[0].line, directives[0].key, text)

    def _owner(self, key: str) -> IPluginMaker | None:
        """
        The plugin whose option ``key`` is; ``regex_body`` wins over ``regex``.
        """
        makers = [one for one in self._known.values() if key.startswith(one.prefix)]
        return max(makers, key=lambda one: len(one.prefix), default=None)

    def _keys(self, makers: Iterable[IPluginMaker]) -> list[str]:
        return [one.prefix + key for one in makers for key in table(one.options)]

    def configured(self) -> Iterator[Configured]:
        for maker, line in self._loaded.values():
            values, origins = {}, {}
            before = len(self.problems)
            for key, known in table(maker.options).items():
                given = self._given.get(maker.prefix + key)
                if given:
                    values[key] = read_value(known, given, self.refuse, self.note)
                    lines = ", ".join(str(one.line) for one in given)
                    origins[maker.prefix + key] = f"{self._wanted.file}:{lines}"
            if len(self.problems) > before:
                continue
            options = maker.options(**values)
            for key, text in maker.check(options):
                self.refuse(self._line_of(maker.prefix + key, line), maker.prefix + key, text)
            missing = [maker.prefix + key for key in maker.needs if not getattr(options, key)]
            if missing:
                text = f"plugin {maker.name} does nothing: {' and '.join(missing)} is not set"
                self.note(line, "load_plugin", text)
            else:
                yield Configured(maker, options, origins)

    def _line_of(self, key: str, otherwise: int) -> int:
        given = self._given.get(key)
        return given[-1].line if given else otherwise


def _import(name: str) -> None:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise


def _makers_of(module: ModuleType) -> list[IPluginMaker]:
    return [one for one in vars(module).values() if IPluginMaker.providedBy(one)]


def _modules_in(folder: str, name: str) -> Iterator[ModuleType]:
    """
    The file of a folder that is named like a plugin, as a module.

    :raises PermissionError: when anybody could have written it.
    """
    for file in (f"{name}.py", f"plugin_{name}.py"):
        path = os.path.join(folder, file)
        if not os.path.exists(path):
            continue
        for one in (folder, path):
            if os.stat(one).st_mode & stat.S_IWOTH:
                raise PermissionError(f"anybody can write to {one}")
        spec = spec_from_file_location(f"{_FOLDER}.{name}", path)
        assert spec is not None and spec.loader is not None
        module = module_from_spec(spec)
        # Dataclasses look their module up there.
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        yield module
