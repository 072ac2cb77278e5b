"""
What the start says: why it failed, or where phones should point and what is off.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from ipaddress import ip_address

from twisted.application.service import MultiService, Service

from siptwist.config import Settings
from siptwist.errors import SIPTwistError
from siptwist.logfile import quicken
from siptwist.logs import logger
from siptwist.net.addresses import Chosen
from siptwist.proxy.identity import NOWHERE, Identity
from siptwist.proxy.registration.location import Locations
from siptwist.sip.hop import Side


class NotStarted(SystemExit, Exception):
    """
    Ends the process with status 1.  Also an ``Exception``: for those alone
    twistd removes its pid file and tells the process that waits for the start.
    """

    def __init__(self, problem: SIPTwistError) -> None:
        super().__init__(str(problem))
        self.code = 1


class ProxyService(MultiService):
    """
    Everything, as one service.  A start that fails says why in one line, and
    closes what was opened before.
    """

    def privilegedStartService(self) -> None:
        quicken()
        self._start_all(super().privilegedStartService)

    def startService(self) -> None:
        self._start_all(super().startService)

    def _start_all(self, start: Callable[[], object]) -> None:
        try:
            start()
        except SIPTwistError as error:
            self.stopService()
            sys.stderr.write(f"{error}\n")
            raise NotStarted(error) from error


class WarningService(Service):
    """
    Says at the start what the operator may want to change.
    """

    name = "warning"
    _log = logger()

    def __init__(self, warnings: Iterable[str]) -> None:
        self._warnings = tuple(warnings)

    def startService(self) -> None:
        super().startService()
        for text in self._warnings:
            self._log.warn("{text}", text=text)


class AnnouncingService(Service):
    """
    Says once, in plain words, what has been started.  To be started last.

    :param chosen: the interfaces, and why.
    :param path: where registrations are kept.
    """

    name = "announcing"
    _log = logger()

    def __init__(
        self,
        settings: Settings,
        chosen: Chosen,
        identity: Identity,
        path: str,
        locations: Locations,
    ) -> None:
        self._settings = settings
        self._chosen = chosen
        self._identity = identity
        self._path = path
        self._locations = locations

    def startService(self) -> None:
        """
        One event for each thing to know.
        """
        super().startService()
        for note in self._settings.notes:
            self._log.info("{note}", note=str(note))
        for line in self.lines():
            self._log.info("{line}", line=line)
        phones = self._identity.facing(Side.INSIDE)
        if ip_address(phones.host).is_loopback:
            self._log.warn(
                "Only programs on this machine can reach {phones}: set if_inbound to the "
                "interface that the phones are on",
                phones=str(phones),
            )

    def lines(self) -> Iterator[str]:
        """
        The sentences, one a line.
        """
        yield from self._chosen.reasons
        phones, world = (self._identity.facing(side) for side in (Side.INSIDE, Side.OUTSIDE))
        if phones.host != NOWHERE:
            near = ", what is in their network" if self._identity.insides else ""
            yield f"Phones: set the outbound proxy to {self._identity.told_inside}{near}"
        if world.host != NOWHERE:
            yield f"The outside sees {world}{self._by_name()}"
        yield self._registrations()
        yield self._media()
        if self._settings.manhole_port:
            yield f"Console: ssh -p {self._settings.manhole_port} 127.0.0.1"
        if self._settings.plugins:
            yield f"Plugins: {', '.join(one.maker.name for one in self._settings.plugins)}"
        yield f"Off: {'; '.join(self._off())}"

    def _by_name(self) -> str:
        name = self._settings.host_outbound
        return f" (host_outbound = {name})" if name else ""

    def _registrations(self) -> str:
        why = "" if self._settings.registration_file else "; registration_file is not set"
        return (
            f"Registrations: kept in {self._path}{why}; "
            f"{_counted(len(self._locations), 'phone')} known"
        )

    def _media(self) -> str:
        settings = self._settings
        if not settings.rtp_proxy_enable:
            return "Media: phones send to each other without us (rtp_proxy_enable = 0)"
        low, high = settings.rtp_port_low, settings.rtp_port_high
        pairs = (high - low) // 2 + 1
        calls = pairs // 2 if self._identity.one_socket else pairs
        return (
            f"Media: UDP ports {low} to {low + 2 * pairs - 1}, "
            f"enough for {_counted(calls, 'call')} with sound at a time"
        )

    def _off(self) -> Iterator[str]:
        settings = self._settings
        if not settings.manhole_port:
            yield "the console (manhole_port)"
        if not settings.proxy_auth_realm:
            yield "passwords of phones that register here (proxy_auth_realm)"
        if not settings.rtp_proxy_enable:
            yield "relaying of media (rtp_proxy_enable)"
        yield "SIP over TCP and TLS"
        if not settings.plugins:
            yield "plugins"


def _counted(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
