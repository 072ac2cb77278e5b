"""
Loggers whose level can be changed, by namespace, while running.
"""

from __future__ import annotations

from twisted.logger import (
    FilteringLogObserver,
    Logger,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogPublisher,
)

levels = LogLevelFilterPredicate(defaultLogLevel=LogLevel.info)
_observer = FilteringLogObserver(globalLogPublisher, [levels])

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


def is_debugged(namespace: str) -> bool:
    """
    Whether debug events of a namespace go anywhere; ask before making many.
    """
    return bool(levels.logLevelForNamespace(namespace) is LogLevel.debug)


def set_level(level: str, namespace: str = "siptwist") -> None:
    """
    Log events of ``namespace`` from this level on.

    :raises ValueError: for a level that is none; the text names those there are.
    """
    try:
        constant = LogLevel.levelWithName(level)
    except Exception:
        names = ", ".join(known.name for known in LogLevel.iterconstants())
        raise ValueError(f"no level {level!r}; there are {names}") from None
    levels.setLogLevelForNamespace(namespace, constant)


def set_debug_level(mask: int) -> None:
    """
    siproxd's ``debug_level``: -1 is everything.
    """
    if mask == -1:
        set_level("debug")
        return
    for bit, namespace in _DEBUG_BITS:
        if mask & bit:
            set_level("debug", namespace)
