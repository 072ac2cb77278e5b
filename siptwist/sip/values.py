"""
What values of the hot path are made of.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, Self, TypeVar, dataclass_transform

_Class = TypeVar("_Class", bound=type)
_Kind = TypeVar("_Kind", bound=type[enum.Enum])


def plain_members(kind: _Kind) -> _Kind:
    """
    Make the members of an enumeration plain attributes of their class, as they
    are from Python 3.12 on; 3.11 runs a function for each mention of one.
    """
    for member in kind:
        type.__setattr__(kind, member.name, member)
    return kind


@dataclass_transform(frozen_default=True)
def as_value(kind: _Class) -> _Class:
    """
    A frozen dataclass with slots; it is the type checker that keeps it frozen, for
    doing so at run time triples the time that making one takes.  A named tuple is
    slower still to make and to read.
    """
    return dataclasses.dataclass(slots=True)(kind)  # type: ignore[return-value]


class Value:
    """
    What every :func:`as_value` can do.
    """

    __slots__ = ()

    def _replace(self, **changes: Any) -> Self:
        """
        The same with other fields, as a named tuple has it.
        """
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]
