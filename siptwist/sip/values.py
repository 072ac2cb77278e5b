"""
What values of the hot path are made of.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import Any, Self, TypeVar

_Kind = TypeVar("_Kind", bound=type[enum.Enum])


def plain_members(kind: _Kind) -> _Kind:
    """
    Make the members of an enumeration plain attributes of their class, as they
    are from Python 3.12 on; 3.11 runs a function for each mention of one.
    """
    for member in kind:
        type.__setattr__(kind, member.name, member)
    return kind


class Value:
    """
    What every value of the hot path can do: a dataclass with slots that nobody changes.
    It is not frozen, for that triples the time that making one takes; a named tuple is
    slower still to make and to read.
    """

    __slots__ = ()

    def _replace(self, **changes: Any) -> Self:
        """
        The same with other fields, as a named tuple has it.
        """
        return dataclasses.replace(self, **changes)  # type: ignore[type-var]
