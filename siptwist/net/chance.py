"""
Numbers that nobody can guess.
"""

from __future__ import annotations

import os
from struct import unpack

#: Numbers that are asked of the system at once.
_STOCK = 64


class Chance:
    """
    Numbers of the system's source, bought in stock: one at a time costs ten
    times more.
    """

    def __init__(self) -> None:
        self._stock: list[int] = []

    def below(self, limit: int) -> int:
        """
        A number from 0 to ``limit`` - 1, each as likely as any other to within
        ``limit`` parts of 2**64.

        :raises ValueError: when there is no such number.
        """
        if limit < 1:
            raise ValueError(f"no number below {limit}")
        if not self._stock:
            self._stock.extend(unpack(f"{_STOCK}Q", os.urandom(8 * _STOCK)))
        return self._stock.pop() * limit >> 64
