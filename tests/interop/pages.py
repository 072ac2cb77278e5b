"""
What docs/deployment.rst tells people to write into their files.
"""

from __future__ import annotations

import re
from pathlib import Path
from textwrap import dedent

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "deployment.rst"
_SECTION = re.compile(r"^(.+)\n=+\n", re.MULTILINE)
_BLOCK = re.compile(r"::\n\n((?:(?: {4}.*)?\n)+)")
_LINE = re.compile(r"^(\w+) = (.+)$", re.MULTILINE)


class Page:
    """
    One way to deploy siptwist.

    :ivar configurations: the files of options, in the order of the page.
    :ivar rules: the files of nftables, in the order of the page.
    """

    def __init__(self, title: str) -> None:
        """
        :raises KeyError: there is no section of this title.
        """
        blocks = [dedent(block) for block in _BLOCK.findall(sections()[title])]
        self.rules = [block for block in blocks if block.startswith("table ")]
        self.texts = [block for block in blocks if _LINE.match(block)]
        self.configurations: list[dict[str, str]] = [dict(_LINE.findall(t)) for t in self.texts]


def sections() -> dict[str, str]:
    """
    The sections of the page by their titles.
    """
    _, *parts = _SECTION.split(_PAGE.read_text())
    return dict(zip(parts[::2], parts[1::2], strict=True))
