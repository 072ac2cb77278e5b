"""
Reads ``siproxd.conf`` into :class:`Settings`, or says everything wrong with it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from difflib import get_close_matches
from typing import Any, NamedTuple

from siptwist.errors import ConfigError, Problem
from siptwist.options import LATER, OPTIONS, Configured, Directive, Option, Row, Settings

__all__ = ["OPTIONS", "Directive", "Row", "Settings", "parse"]


class Wanted(NamedTuple):
    """
    What a file says of plugins: which to load, and what is for them.
    """

    file: str
    plugindir: str
    loads: list[Directive]
    directives: list[Directive]


class Found(NamedTuple):
    """
    The plugins that a file asks for, what is wrong with that, and what to know.
    """

    plugins: tuple[Configured, ...] = ()
    problems: tuple[Problem, ...] = ()
    notes: tuple[Problem, ...] = ()


# Finds plugins, and reads their options.
Configure = Callable[[Wanted], Found]

# Spellings found in real files: siproxd's comments, files from before 0.7, OPNsense's
# template, and OpenWrt's own names.
_ALIASES = {
    "interface_inbound": "if_inbound",
    "interface_outbound": "if_outbound",
    "plugin_dir": "plugindir",
    "pi_shortdial_akey": "plugin_shortdial_akey",
    "pi_shortdial_entry": "plugin_shortdial_entry",
    "plugin_fbox_anoncall_networks": "plugin_fix_fbox_anoncall_networks",
    "plugin_stun_server_host": "plugin_stun_server",
    "plugin_stun_server_port": "plugin_stun_port",
    "plugin_stun_server_period": "plugin_stun_period",
}

_LONGEST_KEY = 64

# Repeated options whose first lines belong together, and so on.
_GROUPS = (
    ("mask_host", "masked_host"),
    ("outbound_domain_name", "outbound_domain_host", "outbound_domain_port"),
)


def parse(text: str, file: str = "siproxd.conf", configure: Configure | None = None) -> Settings:
    """
    Read a whole configuration.

    :param text: the file, decoded as UTF-8 with surrogateescape.
    :param file: its name, for problems and notes.
    :param configure: asked for the plugins if the file says anything of them;
        without it no plugin is loaded.
    :raises ConfigError: with every problem, in the order of the file.
    """
    reading = _Reading(file)
    for line, content in enumerate(text.removeprefix("\ufeff").split("\n"), 1):
        reading.take_line(line, content.strip(" \t\r"))
    reading.mend_port_range()
    for key, directives in reading.given.items():
        reading.read_option(key, directives)
    settings = replace(Settings(), **reading.values)
    settings = reading.lower_min_expires(reading.round_ports(settings))
    reading.check_together(settings)
    plugins = reading.find_plugins(settings, configure)
    if reading.problems:
        raise ConfigError(_in_order(reading.problems))
    return replace(
        settings,
        plugin_directives=tuple(reading.for_plugins),
        plugins=plugins,
        notes=_in_order(reading.notes),
        origins=reading.origins(),
    )


def _in_order(problems: list[Problem]) -> tuple[Problem, ...]:
    return tuple(sorted(problems, key=lambda problem: problem.line))


class _Reading:
    """
    What one file has said so far.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.given: dict[str, list[Directive]] = {}
        self.for_plugins: list[Directive] = []
        self.values: dict[str, Any] = {}
        self.problems: list[Problem] = []
        self.notes: list[Problem] = []

    def refuse(self, line: int, key: str, text: str) -> None:
        self.problems.append(Problem(self.file, line, key, text))

    def refuse_together(self, keys: tuple[str, ...], text: str) -> None:
        """
        Say that the values of ``keys`` do not go together, unless one of them
        could not even be read.
        """
        if not {problem.key for problem in self.problems}.intersection(keys):
            self.refuse(self.line_of(*keys), keys[0], text)

    def note(self, line: int, key: str, text: str) -> None:
        self.notes.append(Problem(self.file, line, key, text))

    def line_of(self, *keys: str) -> int:
        """
        Where the last of ``keys`` that the file gives was given; 0 for none.
        """
        return max((self.given[key][-1].line for key in keys if key in self.given), default=0)

    def origins(self) -> dict[str, str]:
        return {
            key: f"{self.file}:{', '.join(str(directive.line) for directive in directives)}"
            for key, directives in self.given.items()
        }

    # Lines.

    def take_line(self, line: int, content: str) -> None:
        """
        Sort one line in: an option, a plugin's directive, or a problem.
        """
        if not content or content.startswith("#"):
            return
        # siproxd ends a value at the first "#", wherever it stands.
        content, _, comment = content.partition("#")
        key, equals, value = (part.strip(" \t") for part in content.partition("="))
        if not equals:
            # The rest of the line stays out of the log: it may be a password.
            key = re.split(r"[\s:]", key)[0]
            hint = suggest(key, OPTIONS, " = ...")
            self.refuse(line, _printable(key), f"there is no '='{hint}")
            return
        key = self._resolve_alias(line, key)
        if not _is_known(key):
            self.refuse(line, _printable(key), f"unknown option{suggest(key, OPTIONS)}")
            return
        if comment and value and not content.endswith((" ", "\t")):
            self.note(line, key, "the value ends before '#', which begins a comment")
        if value:
            self._keep(Directive(key, value, line))
        else:
            self.note(line, key, "nothing after '='; the default is used")

    def _resolve_alias(self, line: int, key: str) -> str:
        name = _ALIASES.get(key, key)
        if name != key:
            self.note(line, key, f"read as {name}")
        return name

    def _keep(self, directive: Directive) -> None:
        if directive.key in OPTIONS:
            self.given.setdefault(directive.key, []).append(directive)
        else:
            self.for_plugins.append(directive)

    # Values.

    def read_option(self, key: str, directives: list[Directive]) -> None:
        """
        Turn the lines of one option into its value.
        """
        known = OPTIONS[key]
        value = read_value(known, directives, self.refuse, self.note)
        if value is not None:
            self.values[key] = value
        if known.effect == LATER:
            self.note(directives[0].line, "", f"{LATER}: {key}")
        elif known.effect and known.effect != LATER:
            self.note(directives[0].line, key, known.effect)

    # Things that siproxd's users are known to have in their files.

    def mend_port_range(self) -> None:
        """
        OPNsense writes ``rtp_port_low`` twice and means the range.
        """
        low = self.given.get("rtp_port_low", [])
        if len(low) == 2 and "rtp_port_high" not in self.given:
            last = low.pop()
            self.given["rtp_port_high"] = [last]
            self.note(
                last.line, last.key, f"given before in line {low[0].line}; read as rtp_port_high"
            )

    def round_ports(self, settings: Settings) -> Settings:
        """
        RTP takes the even port of a pair (RFC 3550 section 11).
        """
        low, high = settings.rtp_port_low, settings.rtp_port_high
        if low % 2:
            low += 1
            self.note(
                self.line_of("rtp_port_low"),
                "rtp_port_low",
                f"{low - 1} is odd; RTP ports are even; {low} is used",
            )
        if low >= high:
            self.refuse_together(
                ("rtp_port_low", "rtp_port_high"),
                f"no pair of ports fits between {low} and rtp_port_high {high}",
            )
        return replace(settings, rtp_port_low=low)

    def lower_min_expires(self, settings: Settings) -> Settings:
        """
        siproxd has no ``min_expires``: a short ``default_expires`` is good alone.
        """
        if "min_expires" in self.given:
            return settings
        shortest = min(settings.min_expires, settings.default_expires)
        return replace(settings, min_expires=shortest)

    # Options that need each other.

    def check_together(self, settings: Settings) -> None:
        for group in _GROUPS:
            self._check_group(group)
        self._check_passwords(settings)
        if settings.min_expires > settings.default_expires:
            self.refuse_together(
                ("min_expires", "default_expires"),
                f"{settings.min_expires} is above default_expires {settings.default_expires}",
            )
        if settings.manhole_port and not settings.manhole_authorized_keys:
            self.refuse_together(
                ("manhole_port", "manhole_authorized_keys"),
                "nobody could log in: manhole_authorized_keys is not set",
            )
        if settings.ua_string.isdecimal():
            self.note(
                self.line_of("ua_string"), "ua_string", "a number; was it meant for use_rport?"
            )

    def _check_group(self, group: tuple[str, ...]) -> None:
        lines = {key: [directive.line for directive in self.given.get(key, [])] for key in group}
        if len({len(found) for found in lines.values()}) > 1:
            counts = ", ".join(f"{key} {_times(found)}" for key, found in lines.items())
            self.refuse_together(group, f"these go together line by line, but there is {counts}")

    def _check_passwords(self, settings: Settings) -> None:
        keys = ("proxy_auth_realm", "proxy_auth_passwd", "proxy_auth_pwfile")
        passwords = settings.proxy_auth_passwd or settings.proxy_auth_pwfile
        if settings.proxy_auth_realm and not passwords:
            self.refuse_together(keys, "nobody could register: set proxy_auth_pwfile")
        if passwords and not settings.proxy_auth_realm:
            self.note(
                self.line_of(*keys), "", "no phone is asked for it: proxy_auth_realm is not set"
            )

    # Plugins.

    def find_plugins(
        self, settings: Settings, configure: Configure | None
    ) -> tuple[Configured, ...]:
        loads = [
            directive._replace(value=name)
            for directive, name in zip(
                self.given.get("load_plugin", []), settings.load_plugin, strict=False
            )
        ]
        if configure is None or not (loads or self.for_plugins):
            return ()
        found = configure(Wanted(self.file, settings.plugindir, loads, self.for_plugins))
        self.problems.extend(found.problems)
        self.notes.extend(found.notes)
        return found.plugins


Say = Callable[[int, str, str], None]


def read_value(known: Option, directives: list[Directive], refuse: Say, note: Say) -> Any:
    """
    The value that the lines of one option come to; ``None`` when one of them cannot
    be read.

    :param refuse: told the line, the key and a sentence for each that cannot.
    :param note: told the same of what the operator may want to know.
    """
    key = directives[0].key
    values = list(_read_values(known, directives, refuse))
    if not known.repeated and len(directives) > 1:
        first, *_, last = (directive.line for directive in directives)
        note(last, key, f"given before in line {first}; this line counts")
    if len(values) != len(directives):
        return None
    return tuple(values) if known.repeated else values[-1]


def _read_values(known: Option, directives: list[Directive], refuse: Say) -> Iterator[object]:
    for directive in directives:
        try:
            yield known.read(directive.value)
        except ValueError as error:
            refuse(directive.line, directive.key, str(error))


def _is_known(key: str) -> bool:
    return key in OPTIONS or re.fullmatch(r"plugin_[A-Za-z0-9_]+", key) is not None


def _printable(key: str) -> str:
    """
    A key that nobody knows, safe to print to a terminal.
    """
    return key[:_LONGEST_KEY] if key.isprintable() else ascii(key[:_LONGEST_KEY])


def suggest(key: str, known: Iterable[str], rest: str = "") -> str:
    """
    ``"; did you mean X?"``, or nothing when no name that is known is spelled like ``key``.
    """
    spelled = {name.lower(): name for name in known}
    close = get_close_matches(key.lower()[:_LONGEST_KEY], spelled, n=1, cutoff=0.75)
    return f"; did you mean {spelled[close[0]]}{rest}?" if close else ""


def _times(lines: list[int]) -> str:
    if not lines:
        return "not at all"
    where = f"line {lines[0]}" if len(lines) == 1 else f"lines {', '.join(map(str, lines))}"
    return f"in {where}"
