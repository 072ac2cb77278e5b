"""
Loggers whose level can be changed, by namespace, while running, and whose
events hold nothing that a log or a terminal would stumble over.
"""

from __future__ import annotations

from functools import lru_cache

from twisted.logger import (
    FilteringLogObserver,
    ILogObserver,
    InvalidLogLevelError,
    LogEvent,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogPublisher,
)
from zope.interface import implementer

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


@implementer(ILogObserver)
def _publish(event: LogEvent) -> None:
    """
    Pass an event on, whatever strangers put into its words: a line stays a
    line, and a terminal does not obey it.
    """
    for key, value in event.items():
        if type(value) is str and not value.isprintable() and key != "log_format":
            event[key] = _Spelled(shown(value))
    globalLogPublisher(event)


_levels = LogLevelFilterPredicate(defaultLogLevel=LogLevel.info)
_observer = FilteringLogObserver(_publish, [_levels])
_chosen: dict[str, str] = {}

# The bits of siproxd's debug_level, and the rooms that say what they asked for.
_DEBUG_BITS = (
    (0x2, "siptwist.net"),
    (0x4, "siptwist.services.transactions"),
    (0x4, "siptwist.services.signaling"),
    (0x8, "siptwist.services.registrations"),
    (0x20, "siptwist.services.forwarding"),
    (0x40, "siptwist.net.resolver"),
    (0x40, "siptwist.net.lookups"),
    (0x80, "siptwist.net"),
    (0x200, "siptwist.services.relaying"),
    (0x200, "siptwist.net.pairs"),
    (0x200, "siptwist.net.relay"),
    (0x400, "siptwist.services.signaling"),
    (0x800, "siptwist.services.authentication"),
    (0x1000, "siptwist.plugins"),
)


def logger() -> Logger:
    """
    A logger for a class; to be a class attribute, so that it knows its owner.
    """
    return Logger(observer=_observer)


@lru_cache(maxsize=256)
def is_debugged(namespace: str) -> bool:
    """
    Whether debug events of a namespace go anywhere; ask before making many.
    """
    return bool(_levels.logLevelForNamespace(namespace) is LogLevel.debug)


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
    is_debugged.cache_clear()
