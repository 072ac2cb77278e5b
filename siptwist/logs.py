"""
Loggers whose level can be changed, by namespace, while running, and whose
events hold nothing that a log or a terminal would stumble over.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from time import time
from typing import Any

from twisted.logger import (
    InvalidLogLevelError,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogPublisher,
)

_ROOT = "siptwist"


def shown(text: str) -> str:
    """
    Text that is safe to print.  What cannot be printed is spelled as in a
    Python string.
    """
    text = text.replace("\\", "\\\\")
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


class _Spelled(str):
    """
    Text that was spelled out: ``{text!r}`` does not do it again.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"'{self}'"


def _spell(event: dict[str, Any]) -> None:
    """
    Whatever strangers put into the words of an event: a line stays a line, and
    a terminal does not obey it.
    """
    for key, value in event.items():
        if type(value) is str and not value.isprintable():
            event[key] = _Spelled(shown(value))


_levels = LogLevelFilterPredicate(defaultLogLevel=LogLevel.info)
_chosen: dict[str, str] = {}
_watchers: list[Callable[[], object]] = []

# The bits of siproxd's debug_level, and the rooms that say what they asked for.
_DEBUG_BITS = (
    (0x2, "siptwist.net"),
    (0x4, "siptwist.services.transactions"),
    (0x4, "siptwist.services.signaling"),
    (0x8, "siptwist.services.registrations"),
    (0x20, "siptwist.services.serving.forwarding"),
    (0x40, "siptwist.net.resolver"),
    (0x40, "siptwist.net.lookups"),
    (0x80, "siptwist.net"),
    (0x200, "siptwist.services.relaying"),
    (0x200, "siptwist.net.rtp.pairs"),
    (0x200, "siptwist.net.rtp.relay"),
    (0x400, "siptwist.services.signaling"),
    (0x800, "siptwist.services.authentication"),
    (0x1000, "siptwist.plugins"),
)


class OwnLogger(Logger):
    """
    The logger of a class of ours.

    Asks for its level before it makes an event, and is the same for all
    instances: an event that nobody wants costs next to nothing.
    """

    def __set_name__(self, owner: type, name: str) -> None:
        self.namespace = f"{owner.__module__}.{owner.__name__}"
        self.source = owner

    def __get__(self, instance: object, owner: type | None = None) -> OwnLogger:
        return self

    def debug(self, format: str | None = None, **kwargs: Any) -> None:
        if LogLevel.debug in _wanted(self.namespace):
            self.emit(LogLevel.debug, format, **kwargs)

    def info(self, format: str | None = None, **kwargs: Any) -> None:
        if LogLevel.info in _wanted(self.namespace):
            self.emit(LogLevel.info, format, **kwargs)

    @property
    def is_informing(self) -> bool:
        """
        Whether info events go anywhere; ask before making what only they need.
        """
        return LogLevel.info in _wanted(self.namespace)

    def emit(self, level: LogLevel, format: str | None = None, **kwargs: Any) -> None:
        if level not in _wanted(self.namespace):
            return
        _spell(kwargs)
        kwargs["log_logger"] = self
        kwargs["log_level"] = level
        kwargs["log_namespace"] = self.namespace
        kwargs["log_source"] = self.source
        kwargs["log_format"] = format
        kwargs["log_time"] = time()
        self.observer(kwargs)


def logger() -> OwnLogger:
    """
    A logger for a class; to be a class attribute, so that it knows its owner.
    """
    return OwnLogger(_ROOT, observer=globalLogPublisher)


def logger_of(name: str) -> OwnLogger:
    """
    A logger by the name of what it is for, beneath ours.
    """
    return OwnLogger(f"{_ROOT}.{name}", observer=globalLogPublisher)


@lru_cache(maxsize=256)
def _wanted(namespace: str) -> frozenset[LogLevel]:
    """
    The levels at which a namespace is logged, until levels are set again.
    """
    least = _levels.logLevelForNamespace(namespace)
    return frozenset(level for level in LogLevel.iterconstants() if level >= least)


def is_debugged(namespace: str) -> bool:
    """
    Whether debug events of a namespace go anywhere; ask before making many.
    """
    return LogLevel.debug in _wanted(namespace)


def set_level(level: str, namespace: str = _ROOT) -> None:
    """
    Log events of ``namespace``, and of all beneath it, from this level on.

    :raises ValueError: for a level that is none, or a namespace of others; the
        text says what there is.
    """
    try:
        LogLevel.levelWithName(level)
    except InvalidLogLevelError:
        names = ", ".join(known.name for known in LogLevel.iterconstants())
        raise ValueError(f"there is no level {level!r}; there are {names}") from None
    if namespace != _ROOT and not str(namespace).startswith(_ROOT + "."):
        raise ValueError(f"{namespace!r} is not {_ROOT} or beneath it, like {_ROOT}.services")
    beneath = [name for name in _chosen if name.startswith(namespace + ".")]
    for name in beneath:
        del _chosen[name]
    _chosen[namespace] = level
    _apply()


def set_debug_level(mask: int) -> None:
    """
    siproxd's ``debug_level``: the sum of the details wanted; -1 is everything.
    """
    _chosen.clear()
    if mask == -1:
        _chosen[_ROOT] = "debug"
    else:
        _chosen.update((namespace, "debug") for bit, namespace in _DEBUG_BITS if mask & bit)
    _apply()


def _apply() -> None:
    _levels.clearLogLevels()
    for namespace, level in _chosen.items():
        _levels.setLogLevelForNamespace(namespace, LogLevel.levelWithName(level))
    _wanted.cache_clear()
    for watcher in tuple(_watchers):
        watcher()


def watch_levels(watcher: Callable[[], object]) -> None:
    """
    Call somebody whenever levels have been set, until :func:`unwatch_levels`.
    """
    if watcher not in _watchers:
        _watchers.append(watcher)


def unwatch_levels(watcher: Callable[[], object]) -> None:
    if watcher in _watchers:
        _watchers.remove(watcher)
