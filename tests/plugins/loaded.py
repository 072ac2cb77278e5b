"""
A proxy with plugins made for a test.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

from siptwist.config import Settings
from siptwist.logs import logger_of
from siptwist.plugins import loading
from siptwist.plugins.plugin import House, PluginMaker
from siptwist.proxy.registration.location import Locations
from siptwist.proxy.session.dialogs import Dialogs
from siptwist.sip.hop import Hop, Side
from tests.fakes import FakeMedia, FakeResolver
from tests.proxy.asking import TWO_SOCKETS
from tests.services.walking import WalkingCase


class Outbox:
    """
    Keeps what a plugin sends.
    """

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, Hop, Side]] = []

    def send(self, data: bytes, hop: Hop, side: Side) -> None:
        self.sent.append((data, hop, side))


def make_house(**parts: Any) -> House:
    """
    A house without anybody in it; ``parts`` are what it has instead.
    """
    clock = parts.setdefault("reactor", Clock())
    defaults: dict[str, Any] = {
        "log": logger_of("plugins.test"),
        "now": clock.seconds,
        "settings": Settings(),
        "identity": lambda: TWO_SOCKETS,
        "locations": Locations(),
        "dialogs": Dialogs(),
        "media": FakeMedia(),
        "sender": Outbox(),
        "resolver": FakeResolver(),
        "learn_public_address": lambda host: None,
    }
    return House(**{**defaults, **parts})


class PluginCase(WalkingCase):
    """
    ``makers`` are found beside the plugins that are there.
    """

    makers: tuple[PluginMaker, ...] = ()

    def setUp(self) -> None:
        there = loading.installed()
        made = {maker.name: maker for maker in self.makers}
        self.patch(loading, "installed", lambda: {**there, **made})
        super().setUp()

    def said(self, name: str) -> list[str]:
        """
        What the plugin of this name has logged, a line each.
        """
        return [
            event["log_format"].format(**event)
            for event in self.events
            if event.get("log_namespace") == f"siptwist.plugins.{name}"
        ]


def make(name: str, plugin: Any, **more: Any) -> PluginMaker:
    """
    Offers one object as a plugin, whatever its options are.
    """
    return PluginMaker(name, lambda options, house: plugin, **more)
