"""
The composition root: every service of one proxy, made and joined.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from twisted.application.service import IService, MultiService

from siptwist.config import Settings
from siptwist.logs import OwnLogger
from siptwist.making import (
    make_authentication,
    make_dejitter,
    make_identity,
    make_listening,
    make_outbound_proxies,
    make_registrar,
    registration_path,
)
from siptwist.net import addresses
from siptwist.net.chance import Chance
from siptwist.net.lookups import Lookups, system_resolver
from siptwist.net.resolver import Resolver
from siptwist.plugins.plugin import House
from siptwist.proxy.core import Core
from siptwist.proxy.direction import Peers
from siptwist.proxy.identity import Identity
from siptwist.proxy.masquerade import Masquerade
from siptwist.proxy.passage import Passages
from siptwist.proxy.registration.location import Locations
from siptwist.proxy.registration.visitors import Visitors
from siptwist.proxy.screening.loops import Loops
from siptwist.proxy.session.dialogs import Dialogs
from siptwist.proxy.session.negotiation import Negotiation
from siptwist.proxy.session.refresh import Refreshes
from siptwist.services.addressing import AddressService
from siptwist.services.announcing import AnnouncingService, ProxyService
from siptwist.services.authentication import AuthenticationService
from siptwist.services.console.console import Console, make_manhole
from siptwist.services.extending.extensions import Askers, ExtensionService
from siptwist.services.keepalive import KeepaliveService
from siptwist.services.listening import ListeningService
from siptwist.services.registrations import RegistrationService
from siptwist.services.relaying import RelayingService
from siptwist.services.running.admission import admitted
from siptwist.services.serving.ending import Ending
from siptwist.services.serving.forwarding import Forwarding
from siptwist.services.serving.mediation import Mediation
from siptwist.services.serving.refreshing import RefreshingService
from siptwist.services.serving.renewing import Renewing
from siptwist.services.serving.repeating import Repeating
from siptwist.services.serving.speaking import Speaking
from siptwist.services.signaling import SignalingService
from siptwist.services.transactions import TransactionService
from siptwist.sip.hop import Side

Find = Callable[[], addresses.Chosen]


@dataclass
class Parts:
    """
    The services of one proxy, for those who look inside.
    """

    settings: Settings
    core: Core
    signaling: SignalingService
    relaying: RelayingService
    registrations: RegistrationService
    transactions: TransactionService
    negotiation: Negotiation
    masquerade: Masquerade
    passages: Passages
    listening: ListeningService
    ending: Ending
    authentication: AuthenticationService | None = None
    extensions: ExtensionService | None = None
    keepalive: KeepaliveService | None = None
    console: Console | None = None


def make_ssh(settings: Settings, names: Mapping[str, object], reactor: Any) -> Any:
    state = os.path.dirname(registration_path(settings))
    return make_manhole(reactor, settings, names, state)


def _console(parts: Parts, keepalive: KeepaliveService, reactor: Any) -> Console:
    return Console(
        reactor,
        parts.settings,
        parts.relaying,
        parts.negotiation.dialogs,
        parts.registrations.locations,
        keepalive.is_silent,
        parts.ending.end,
        parts.signaling.give_up,
    )


def _keepalive(parts: Parts, reactor: Any) -> KeepaliveService:
    locations, interval = parts.registrations.locations, parts.settings.ping_interval
    keepalive = KeepaliveService(reactor, parts.core, locations, parts.transactions, interval)
    parts.signaling.heard = keepalive.heard
    return keepalive


def _announcing(parts: Parts, chosen: addresses.Chosen) -> AnnouncingService:
    registrations = parts.registrations
    return AnnouncingService(
        parts.settings, chosen, parts.core.identity, registrations.path, registrations.locations
    )


class _Rules(NamedTuple):
    """
    What decides, and what it decides by.
    """

    core: Core
    locations: Locations
    peers: Peers
    masquerade: Masquerade
    passages: Passages
    negotiation: Negotiation


class _Serving(NamedTuple):
    """
    Those who carry out what was decided, and look after calls.
    """

    forwarding: Forwarding
    ending: Ending
    refreshing: RefreshingService
    renewing: Renewing
    repeating: Repeating


def _rules(
    settings: Settings,
    identity: Identity,
    key: bytes,
    authentication: AuthenticationService | None,
) -> _Rules:
    locations = Locations(settings.max_registrations)
    visitors, peers = Visitors(), Peers()
    core = _core(settings, identity, key, locations, visitors, peers, authentication)
    masquerade = Masquerade(locations, visitors, key, settings.ua_string)
    passages = Passages(locations, masquerade, key, settings.default_expires, settings.max_expires)
    negotiation = Negotiation(Dialogs(), settings.rtp_proxy_enable)
    return _Rules(core, locations, peers, masquerade, passages, negotiation)


def _core(
    settings: Settings,
    identity: Identity,
    key: bytes,
    locations: Locations,
    visitors: Visitors,
    peers: Peers,
    authentication: AuthenticationService | None,
) -> Core:
    return Core(
        identity,
        locations,
        visitors,
        peers,
        make_registrar(settings, locations, identity, key),
        admitted(settings, {}),
        make_outbound_proxies(settings),
        authentication.refusal if authentication else None,
        Loops(key),
    )


def _relaying(
    settings: Settings,
    reactor: Any,
    core: Core,
    chance: Callable[[int], int],
) -> RelayingService:
    def facing(side: Side, wide: bool, near: str) -> tuple[str, str]:
        identity = core.identity
        if identity.insides:
            identity = identity.toward(side, near)
        if wide and side in identity.wide:
            return identity.wide[side], identity.wide[side]
        return identity.bound[side], identity.facing(side).host

    def are_neighbors(one: str, other: str) -> bool:
        return core.identity.are_neighbors(one, other)

    may_meet = {"off": None, "subnet": are_neighbors, "always": lambda one, other: True}

    return RelayingService(
        reactor,
        facing,
        chance,
        settings.rtp_port_low,
        settings.rtp_port_high,
        settings.rtp_timeout,
        settings.rtp_dscp,
        hold_timeout=settings.hold_timeout,
        may_meet=may_meet[settings.direct_media],
        dejitter=make_dejitter(settings),
        ice=settings.ice == "lite",
    )


def _registrations(
    settings: Settings, reactor: Any, core: Core, locations: Locations
) -> RegistrationService:
    path, is_own = registration_path(settings), core.identity.is_own
    registrations = RegistrationService(path, reactor, locations, is_own)
    registrations.retire = core.retire
    return registrations


def make_resolver(reactor: Any, bound: Iterable[str], chance: Callable[[int], int]) -> Resolver:
    """
    :param bound: the addresses of our SIP sockets; without one of IPv6 nothing could
        be sent to what an AAAA record says, so none is asked for.
    """
    lookups = Lookups(reactor, system_resolver(reactor))
    has_ipv6 = any(":" in address for address in bound)
    return Resolver(reactor, lookups, chance, ask_naptr=True, ipv6=has_ipv6)


def _addressing(
    settings: Settings,
    find: Find,
    core: Core,
    listening: ListeningService,
    resolver: Resolver,
    serving: _Serving,
    reactor: Any,
) -> AddressService:
    def identify(chosen: addresses.Chosen, public: str) -> Identity:
        return make_identity(settings, chosen, public)

    addressing = AddressService(
        reactor, find, identify, core, listening, resolver, settings.host_outbound
    )
    addressing.on_move += [serving.renewing.move, serving.repeating.move]
    return addressing


def _serving(
    settings: Settings,
    reactor: Any,
    rules: _Rules,
    relaying: RelayingService,
    transactions: TransactionService,
    listening: ListeningService,
    resolver: Resolver,
) -> _Serving:
    core, negotiation = rules.core, rules.negotiation
    refreshes = Refreshes(negotiation.dialogs, settings.max_call_time)
    mediation = Mediation(core, negotiation, relaying, refreshes, reactor, resolver)
    speaking = Speaking(core, rules.locations, transactions, listening, resolver)
    ending = Ending(negotiation, relaying, speaking)
    relaying.on_silence = ending.silent
    forwarding = Forwarding(
        reactor,
        core,
        rules.passages,
        negotiation,
        rules.locations,
        rules.peers,
        transactions,
        listening,
        mediation,
        resolver,
        speaking,
    )
    refreshing = RefreshingService(reactor, refreshes, ending.over)
    renewing = Renewing(reactor, core, negotiation, mediation, relaying, rules.masquerade, speaking)
    repeating = Repeating(
        reactor, core, rules.locations, rules.peers, rules.passages, transactions, forwarding
    )
    return _Serving(forwarding, ending, refreshing, renewing, repeating)


def _extensions(
    parts: Parts,
    listening: ListeningService,
    resolver: Resolver,
    addressing: AddressService | None,
    reactor: Any,
) -> ExtensionService:
    """
    The plugins, and what they may use.
    """

    def house(log: OwnLogger) -> House:
        return House(
            log,
            reactor.seconds,
            parts.settings,
            lambda: parts.core.identity,
            parts.registrations.locations,
            parts.negotiation.dialogs,
            parts.relaying,
            listening,
            resolver,
            reactor,
            addressing.learn if addressing else lambda host: None,
        )

    askers = Askers(parts.core, parts.signaling, parts.transactions, parts.relaying)
    parts.extensions = ExtensionService(reactor, parts.settings.plugins, house, askers)
    return parts.extensions


def compose(
    settings: Settings, chosen: addresses.Chosen, reactor: Any, find: Find | None = None
) -> tuple[MultiService, Parts]:
    """
    Make all services and join them.

    :param find: looks again for what ``chosen`` is; without it our addresses
        stay as they are.
    """
    identity = make_identity(settings, chosen)
    key = secrets.token_bytes(32)
    authentication = make_authentication(settings, reactor)
    rules = _rules(settings, identity, key, authentication)
    core, negotiation = rules.core, rules.negotiation
    chance = Chance().below

    relaying = _relaying(settings, reactor, core, chance)
    listening = make_listening(settings, reactor, core)
    registrations = _registrations(settings, reactor, core, rules.locations)
    transactions = TransactionService(reactor, listening)
    resolver = make_resolver(reactor, identity.bound.values(), chance)
    serving = _serving(settings, reactor, rules, relaying, transactions, listening, resolver)
    signaling = SignalingService(
        reactor, core, rules.locations, registrations, listening, transactions, serving.forwarding
    )
    listening.receiver, listening.reports = signaling, transactions
    parts = Parts(
        settings,
        core,
        signaling,
        relaying,
        registrations,
        transactions,
        negotiation,
        rules.masquerade,
        rules.passages,
        listening,
        serving.ending,
        authentication,
    )
    addressing = find and _addressing(settings, find, core, listening, resolver, serving, reactor)
    services = (
        _extensions(parts, listening, resolver, addressing, reactor),
        registrations,
        authentication,
        relaying,
        serving.refreshing,
        serving.renewing,
        serving.repeating,
        transactions,
        signaling,
        listening,
        addressing,
    )
    return _join(parts, services, chosen, reactor), parts


def _join(
    parts: Parts,
    services: Iterable[IService | None],
    chosen: addresses.Chosen,
    reactor: Any,
) -> MultiService:
    """
    One service of all, with those that look at the others.
    """
    service = ProxyService()
    for one in services:
        if one is not None:
            one.setServiceParent(service)
    parts.keepalive = keepalive = _keepalive(parts, reactor)
    keepalive.setServiceParent(service)
    if parts.settings.manhole_port:
        parts.console = _console(parts, keepalive, reactor)
        names = {**parts.console.names(), "parts": parts}
        make_ssh(parts.settings, names, reactor).setServiceParent(service)
    _announcing(parts, chosen).setServiceParent(service)
    return service
