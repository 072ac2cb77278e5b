"""
Options whose first lines belong together, and so on: the rows of a table.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def uneven(options: Any, *keys: str) -> Iterable[tuple[str, str]]:
    """
    What is wrong with columns that are not of one length: the last key and a sentence.
    """
    counts = {key: len(getattr(options, key)) for key in keys}
    if len(set(counts.values())) > 1:
        told = ", ".join(f"{count} of {key}" for key, count in counts.items())
        yield keys[-1], f"these go together line by line, but there are {told}"
