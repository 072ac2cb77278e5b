"""
Tests for siptwist.proxy.registration.visitors.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.proxy.registration.visitors import Visitor, Visitors
from siptwist.sip.hop import Hop, Side


def visitor(mask: str, now: float = 0.0, port: int = 5060) -> Visitor:
    hop = Hop("10.0.0.5", port)
    return Visitor(mask, f"sip:a@10.0.0.5:{port}", hop, Side.INSIDE, "sip:a@b", now)


class VisitorsTests(SynchronousTestCase):
    """
    Phones that call through us without being registered.
    """

    def test_found(self) -> None:
        """
        A visitor is found by its mask and known by its address.
        """
        visitors = Visitors()
        visitors.note(visitor("m1"))
        self.assertEqual(visitors.by_mask("m1"), visitor("m1"))
        self.assertIsNone(visitors.by_mask("m2"))
        self.assertTrue(visitors.has_hop(Hop("10.0.0.5", 5060)))
        self.assertFalse(visitors.has_hop(Hop("10.0.0.5", 5062)))

    def test_moved(self) -> None:
        """
        A visitor that comes from another port is known there, and no more at the old one.
        """
        visitors = Visitors()
        visitors.note(visitor("m1"))
        visitors.note(visitor("m1", 1.0, 5062))
        self.assertEqual(len(visitors), 1)
        known = [visitors.has_hop(Hop("10.0.0.5", port)) for port in (5060, 5062)]
        self.assertEqual(known, [False, True])

    def test_limit(self) -> None:
        """
        Too many visitors: the one not seen for longest makes room, its address too.
        """
        visitors = Visitors(limit=2)
        for number in range(3):
            visitors.note(visitor(f"m{number}", 100.0 * number, 5060 + number))
        visitors.note(visitor("m1", 500.0, 5061))
        visitors.note(visitor("m3", 600.0, 5063))
        self.assertEqual(
            [visitors.by_mask(f"m{n}") is not None for n in range(4)], [False, True, False, True]
        )
        self.assertFalse(visitors.has_hop(Hop("10.0.0.5", 5060)))

    def test_lifetime(self) -> None:
        """
        A visitor not seen for a day is forgotten when another comes.
        """
        visitors = Visitors(lifetime=100.0)
        visitors.note(visitor("m1", 0.0))
        visitors.note(visitor("m2", 99.0))
        self.assertEqual(len(visitors), 2)
        visitors.note(visitor("m3", 150.0))
        self.assertIsNone(visitors.by_mask("m1"))
        self.assertEqual(len(visitors), 2)
