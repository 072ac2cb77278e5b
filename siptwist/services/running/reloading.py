"""
A changed configuration put into effect without a restart: all of it, or nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields, replace
from typing import Any

from siptwist.config import OPTIONS, Settings
from siptwist.errors import SIPTwistError
from siptwist.logs import logger

# Does what a change needs that cannot fail any more.
Commit = Callable[[], object]
# Looks whether the new settings can be had, and changes nothing yet.
Prepare = Callable[[Settings], Commit]

# What belongs to the reading of the file, and is no option.
_NO_OPTIONS = {"notes", "origins"}


@dataclass(frozen=True)
class Part:
    """
    Options that somebody can change while running, and how.

    ``always`` asks it at each reload, for what it reads may have changed
    though the options did not: a file of passwords.
    """

    keys: frozenset[str]
    prepare: Prepare
    always: bool = False


class Reloading:
    """
    Reads the configuration again, and hands what is new to whom it concerns.

    :param read: reads the file; raises :class:`SIPTwistError` when it is bad.
    :param settings: those in force.
    """

    _log = logger()

    def __init__(self, read: Callable[[], Settings], settings: Settings) -> None:
        self._read = read
        self.settings = settings
        self._parts: list[Part] = []
        self._listeners: list[Callable[[Settings], object]] = []

    def add(self, keys: Iterable[str], prepare: Prepare, always: bool = False) -> None:
        """
        ``prepare`` can change these options.  It raises :class:`SIPTwistError`
        when it cannot have the new values; what it returns puts them in force.
        """
        self._parts.append(Part(frozenset(keys), prepare, always))

    def add_value(self, key: str, put: Callable[[Any], object]) -> None:
        """
        ``put`` takes a new value of one option, whatever it is.
        """
        self.add((key,), lambda settings: lambda: put(getattr(settings, key)))

    def listen(self, listener: Callable[[Settings], object]) -> None:
        """
        ``listener`` is told the settings in force after each change.
        """
        self._listeners.append(listener)

    def reload(self) -> bool:
        """
        :returns: whether the file could be used.
        """
        try:
            wanted = self._read()
            changed = changes(self.settings, wanted)
            parts = [part for part in self._parts if part.always or part.keys & changed]
            commits = [part.prepare(wanted) for part in parts]
        except SIPTwistError as error:
            self._log.error(
                "The configuration stays as it was, for the new one cannot be used:\n{error}",
                error=_Lines(str(error)),
            )
            return False
        for commit in commits:
            commit()
        live = {key for part in parts for key in part.keys} & changed
        self._keep(wanted, live)
        self._tell(live, changed - live)
        return True

    def _keep(self, wanted: Settings, live: set[str]) -> None:
        """
        What is in force now is the old settings with what has changed.
        """
        origins = {key: where for key, where in self.settings.origins.items() if key not in live}
        origins |= {key: where for key, where in wanted.origins.items() if key in live}
        values = {key: getattr(wanted, key) for key in live}
        self.settings = replace(self.settings, origins=origins, **values)
        for listener in self._listeners:
            listener(self.settings)

    def _tell(self, live: set[str], asleep: set[str]) -> None:
        idle = {key for key in asleep if key in OPTIONS and OPTIONS[key].effect}
        asleep -= idle
        self._log.info(
            "Configuration read again; in force now: {live}",
            live=", ".join(sorted(live)) or "nothing new",
        )
        if asleep:
            self._log.warn(
                "Needs a restart, and stays as it was until then: {keys}",
                keys=", ".join(sorted(asleep)),
            )


class _Lines(str):
    """
    Several lines, each of a problem: their breaks are ours, and are not spelled out.
    """

    __slots__ = ()


def changes(old: Settings, new: Settings) -> set[str]:
    """
    The names of what differs.
    """
    return {
        one.name
        for one in fields(Settings)
        if one.name not in _NO_OPTIONS and getattr(old, one.name) != getattr(new, one.name)
    }
