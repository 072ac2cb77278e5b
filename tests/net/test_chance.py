"""
Tests for siptwist.net.chance.
"""

from __future__ import annotations

import os
import struct

from twisted.trial.unittest import SynchronousTestCase

from siptwist.net.chance import Chance


class ChanceTests(SynchronousTestCase):
    def test_range(self) -> None:
        """
        Every number below the limit comes, and no other.
        """
        chance = Chance()
        self.assertEqual({chance.below(5) for _ in range(1000)}, set(range(5)))

    def test_ends(self) -> None:
        """
        The smallest and the largest that the system gives stay in range.
        """
        asked: list[int] = []

        def urandom(size: int) -> bytes:
            asked.append(size)
            return struct.pack("2Q", 0, 2**64 - 1) * (size // 16)

        self.patch(os, "urandom", urandom)
        chance = Chance()
        drawn = {chance.below(10_000) for _ in range(100)}
        self.assertEqual((drawn, len(asked)), ({0, 9_999}, 2))

    def test_two_differ(self) -> None:
        """
        Two sources have nothing in common.
        """
        one, other = Chance(), Chance()
        drawn = [[source.below(2**32) for _ in range(100)] for source in (one, other)]
        self.assertEqual(len(set(drawn[0]) | set(drawn[1])), 200)

    def test_nothing_to_choose(self) -> None:
        """
        There is no number below zero.
        """
        self.assertRaises(ValueError, Chance().below, 0)
