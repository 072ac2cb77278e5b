"""
``--migrate OLDDIR``: what there is of siproxd, and what will be different.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from pathlib import Path

from siptwist.config import Settings
from siptwist.errors import ConfigError
from siptwist.options import show
from siptwist.proxy.registration.passwords import parse_passwords
from siptwist.services.storage.siproxd_table import is_table, read_table
from siptwist.sip.uri import SIPURI

CONFIGURATIONS = ("siproxd.conf", ".siproxdrc")
PASSWORDS = "siproxd_passwd.cfg"
REGISTRATIONS = "siproxd_registrations"
BLACKLIST = "blacklist.sqlite"

# What siproxd does when the file is silent, and we do not.
_OTHER_DEFAULTS = {
    "if_inbound": "nothing",
    "if_outbound": "nothing",
    "rtp_port_low": "0 (no media at all)",
    "rtp_port_high": "0 (no media at all)",
    "rtp_timeout": "0 (at once)",
    "registration_file": "nothing (forgotten at each stop)",
    "silence_log": "1 (syslog)",
}

Read = Callable[[str], Settings]


class Migration:
    """
    Looks through one folder; a path that the configuration names is looked for
    there, too, by its last name.

    :param read: reads a configuration; raises :class:`ConfigError`.
    :param now: seconds since the epoch.
    """

    def __init__(self, folder: str, read: Read, now: float) -> None:
        self._folder = Path(folder)
        self._read = read
        self._now = now
        self.is_good = True

    def report(self) -> Iterator[str]:
        """
        The sentences, one a line.
        """
        if not self._folder.is_dir():
            self.is_good = False
            yield f"{self._folder}: there is no such folder"
            return
        settings = yield from self._configuration()
        yield from self._passwords(settings.proxy_auth_pwfile)
        yield from self._registrations(settings)
        yield from self._blacklist(settings)

    def _find(self, named: str, usual: str) -> Path | None:
        """
        A file by the path that the configuration has, or by its usual name.
        """
        wanted = (named, self._folder / Path(named).name) if named else ()
        for path in map(Path, (*wanted, self._folder / usual)):
            if path.is_file() and os.access(path, os.R_OK):
                return path
        return None

    def _configuration(self) -> Generator[str, None, Settings]:
        path = next(filter(None, (self._find("", name) for name in CONFIGURATIONS)), None)
        if path is None:
            yield f"Configuration: no {' or '.join(CONFIGURATIONS)} in {self._folder}"
            return Settings()
        try:
            settings = self._read(str(path))
        except ConfigError as error:
            self.is_good = False
            yield f"Configuration: {path} cannot be used as it is:"
            yield from (f"  {problem}" for problem in error.problems)
            return Settings()
        yield f"Configuration: {path}: {_plural(len(settings.origins), 'option')} read"
        yield from (f"  {note}" for note in settings.notes)
        yield from self._differences(settings)
        return settings

    def _differences(self, settings: Settings) -> Iterator[str]:
        for key, old in _OTHER_DEFAULTS.items():
            if key not in settings.origins:
                ours = show(getattr(settings, key)) or "a file that the start names"
                yield f"  {key} is not set: siproxd takes {old}, siptwist {ours}"
        if not settings.hosts_allow_reg:
            yield "  hosts_allow_reg is not set: siproxd lets everybody register, siptwist the"
            yield "    inside only; register_from_outside = 1 lets others, too"
        else:
            yield "  hosts_allow_reg: who is in it registers from the inside only;"
            yield "    register_from_outside = 1 lets those outside, too"

    def _passwords(self, named: str) -> Iterator[str]:
        path = self._find(named, PASSWORDS)
        if path is None:
            yield "Passwords: none"
            return
        try:
            users = parse_passwords(path.read_text("utf-8", "surrogateescape"), str(path))
        except ConfigError as error:
            self.is_good = False
            yield f"Passwords: {path} cannot be used as it is:"
            yield from (f"  {problem}" for problem in error.problems)
            return
        clear = sum(secret.password is not None for secret in users.values())
        yield f"Passwords: {path}: {_plural(len(users), 'user')}"
        if clear:
            yield f"  {clear} in clear; twistd siproxy --hash-password makes lines that hold none"

    def _registrations(self, settings: Settings) -> Iterator[str]:
        path = self._find(settings.registration_file, REGISTRATIONS)
        if path is None:
            yield "Registrations: none; phones will register again within their time"
            return
        data = path.read_bytes()
        if data.startswith(b"SQLite format 3"):
            yield f"Registrations: {path} is siptwist's already"
            return
        if not is_table(data):
            self.is_good = False
            yield f"Registrations: {path} is not siproxd's"
            return
        text = data.decode("utf-8", "surrogateescape")
        found, skipped = read_table(text, lambda aor, contact: contact, _is_nobody, self._now)
        lapsed = text.count("****:1:") - len(found) - skipped
        yield (
            f"Registrations: {path}: {_plural(len(found), 'phone')} to take over, "
            f"{lapsed} lapsed, {skipped} unreadable"
        )
        yield "  the first start takes them over, and keeps the file as a backup"

    def _blacklist(self, settings: Settings) -> Iterator[str]:
        named = [one.value for one in settings.plugin_directives if one.key.endswith("_dbpath")]
        path = self._find(named[-1] if named else "", BLACKLIST)
        if path is None:
            yield "Blacklist: none"
            return
        try:
            with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
                rows = dict(database.execute("SELECT type, count(*) FROM blacklist GROUP BY type"))
        except sqlite3.Error as error:
            yield f"Blacklist: {path} cannot be read: {error}"
            return
        yield f"Blacklist: {path}: {rows.get(1, 0)} by hand, {rows.get(0, 0)} found by itself"


def _is_nobody(uri: SIPURI) -> bool:
    return False


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
