"""
Tests for siptwist.services.running.statistics.
"""

from __future__ import annotations

from collections import Counter

from twisted.internet.task import Clock
from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from siptwist.media.stream import CallKey
from siptwist.proxy.registration.location import Locations
from siptwist.proxy.session.dialogs import Dialogs
from siptwist.services.running.statistics import Counted, Statistics
from siptwist.sip.hop import Side
from tests.fakes import FakeMedia
from tests.proxy.asking import bind


class StatisticsTests(SynchronousTestCase):
    def test_lines(self) -> None:
        """
        The numbers of calls, phones and complaints are said, and how long we are up; then
        whoever has others is asked for them.
        """
        clock, dialogs, locations = Clock(), Dialogs(), Locations()
        dialogs.open(CallKey("call", "tag", Side.INSIDE, Side.OUTSIDE), 0)
        bind(locations)
        counted = Counted(FakeMedia(), dialogs, locations, Counter(malformed=3), Counter())
        statistics = Statistics(clock.seconds, counted)
        clock.advance(60)
        events: list[str] = []

        def observe(event: dict[str, object]) -> None:
            events.append(formatEvent(event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        statistics.others.append(lambda: events.append("a plugin's"))
        statistics.write()
        self.assertEqual(
            events,
            [
                "Statistics: up for 60 s",
                "Statistics: 1 calls, 0 of them answered",
                "Statistics: 0 with media, 0 streams",
                "Statistics: 1 registrations of 1 accounts",
                "Statistics: keep-alives: none",
                "Statistics: complaints: 3 malformed",
                "a plugin's",
            ],
        )
