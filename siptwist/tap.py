"""
``twistd siproxy``: options and composition.
"""

from __future__ import annotations

import gc
import os
import secrets
import socket
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from twisted.application.service import IService, MultiService
from twisted.python import usage

from siptwist import config, logs
from siptwist.config import Settings
from siptwist.errors import ConfigError, Problem, SIPTwistError
from siptwist.net import addresses
from siptwist.net.chance import Chance
from siptwist.net.lookups import Lookups, system_resolver
from siptwist.net.resolver import Resolver
from siptwist.proxy.access import Access
from siptwist.proxy.core import Core
from siptwist.proxy.direction import Peers
from siptwist.proxy.identity import Identity
from siptwist.proxy.loops import Loops
from siptwist.proxy.masquerade import Masquerade
from siptwist.proxy.passage import Passages
from siptwist.proxy.registration.location import Locations
from siptwist.proxy.registration.registrar import Registrar
from siptwist.proxy.registration.visitors import Visitors
from siptwist.proxy.routing import OutboundProxies
from siptwist.proxy.session.dialogs import Dialogs
from siptwist.proxy.session.negotiation import Negotiation
from siptwist.services.announcing import AnnouncingService, ProxyService
from siptwist.services.authentication import AuthenticationService
from siptwist.services.console.console import Console, make_manhole
from siptwist.services.forwarding import Forwarding
from siptwist.services.listening import ListeningService
from siptwist.services.mediation import Mediation
from siptwist.services.registrations import RegistrationService
from siptwist.services.relaying import RelayingService
from siptwist.services.signaling import SignalingService
from siptwist.services.transactions import TransactionService
from siptwist.sip.hop import Hop, Side

# Where siproxd looks when it is not told; the first that can be read wins.
SEARCH_PATH = (
    "~/.siproxdrc",
    "/etc/siproxd.conf",
    "/etc/siproxd/siproxd.conf",
    "/usr/etc/siproxd.conf",
    "/usr/local/etc/siproxd.conf",
)


class Options(usage.Options):
    """
    The command line of ``twistd siproxy``.
    """

    synopsis = "[options]"
    longdesc = "A masquerading SIP proxy, registrar and RTP relay; reads siproxd.conf."
    optParameters = [
        ["config", "c", None, "configuration file (else ~/.siproxdrc, /etc/siproxd.conf, ...)"]
    ]
    optFlags = [["check", None, "say everything wrong with the configuration, and exit"]]
    compData = usage.Completions(optActions={"config": usage.CompleteFiles("*.conf")})

    settings: Settings
    chosen: addresses.Chosen

    def postOptions(self) -> None:
        """
        Read the configuration; whatever is wrong ends the start here, with
        status 1 and nothing half started.
        """
        try:
            self.settings = read(self["config"] or _found())
            if self["check"]:
                _check(self.settings)
            self.chosen = addresses.find(self.settings.if_inbound, self.settings.if_outbound)
        except SIPTwistError as error:
            sys.stderr.write(f"{error}\n")
            raise SystemExit(1) from error
        if self["check"]:
            for note in self.settings.notes:
                sys.stdout.write(f"{note}\n")
            sys.stdout.write("The configuration can be used.\n")
            raise SystemExit(0)


def _found() -> str:
    for name in SEARCH_PATH:
        path = os.path.expanduser(name)
        if os.access(path, os.R_OK):
            return path
    raise ConfigError(
        (Problem("siproxy", 0, "--config", f"no file given, and none of {SEARCH_PATH} is there"),)
    )


def read(path: str) -> Settings:
    """
    Read a configuration file.

    :raises ConfigError: with everything that is wrong.
    """
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            text = file.read()
    except OSError as error:
        raise ConfigError((Problem(path, 0, "", f"cannot be read: {error.strerror}"),)) from error
    return config.parse(text, path)


def _check(settings: Settings) -> None:
    """
    What ``--check`` looks at beyond the file itself.

    :raises SIPTwistError: with everything that is wrong.
    """
    checks: list[Callable[[], object]] = [
        lambda: addresses.find(settings.if_inbound, settings.if_outbound),
        lambda: _public_host(settings, ""),
    ]
    authentication = _authentication(settings, None)
    if authentication is not None and settings.proxy_auth_pwfile:
        checks.append(authentication.read)
    if settings.manhole_port:
        checks.append(lambda: _manhole(settings, {}, None).read())
    problems = []
    for check in checks:
        try:
            check()
        except SIPTwistError as error:
            problems.append(str(error))
    if problems:
        raise SIPTwistError("\n".join(problems))


def registration_path(settings: Settings) -> str:
    """
    Where registrations are kept.
    """
    if settings.registration_file:
        return settings.registration_file
    directory = os.environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if not directory and os.geteuid() == 0:
        directory = "/var/lib/siptwist"
    if not directory:
        state = os.environ.get("XDG_STATE_HOME") or os.path.expanduser("~/.local/state")
        directory = os.path.join(state, "siptwist")
    return os.path.join(directory, "registrations.sqlite")


def _public_host(settings: Settings, outbound: str) -> str:
    """
    The address that the outside shall see.

    :raises ConfigError: when ``host_outbound`` is a name without an address.
    """
    if not settings.host_outbound:
        return outbound
    try:
        return socket.gethostbyname(settings.host_outbound)
    except OSError as error:
        text = f"{settings.host_outbound}: {error.strerror or error}"
        raise ConfigError((Problem("siproxd.conf", 0, "host_outbound", text),)) from error


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


def _authentication(settings: Settings, reactor: Any) -> AuthenticationService | None:
    if not settings.proxy_auth_realm:
        return None
    return AuthenticationService(
        reactor,
        settings.proxy_auth_realm,
        settings.proxy_auth_passwd,
        settings.proxy_auth_pwfile,
        settings.auth_algorithms,
        settings.nonce_lifetime,
    )


def _manhole(settings: Settings, names: Mapping[str, object], reactor: Any) -> Any:
    state = os.path.dirname(registration_path(settings))
    return make_manhole(reactor, settings, names, state)


def _console(parts: Parts, reactor: Any) -> Console:
    return Console(
        reactor,
        parts.settings,
        parts.relaying,
        parts.negotiation.dialogs,
        parts.registrations.locations,
    )


def _announcing(parts: Parts, chosen: addresses.Chosen) -> AnnouncingService:
    registrations = parts.registrations
    return AnnouncingService(
        parts.settings, chosen, parts.core.identity, registrations.path, registrations.locations
    )


def _identity(settings: Settings, chosen: addresses.Chosen) -> Identity:
    inside, outside = chosen.inbound.address, chosen.outbound.address
    port = settings.sip_listen_port
    networks = () if chosen.inbound.network is None else (chosen.inbound.network.network,)
    names = {settings.host_outbound.lower()} if settings.host_outbound else set()
    return Identity(
        Hop(inside, port),
        Hop(_public_host(settings, outside), port),
        {Side.INSIDE: inside, Side.OUTSIDE: outside},
        networks,
        frozenset(names),
    )


def _outbound_proxies(settings: Settings) -> OutboundProxies:
    def uri(host: str, port: int) -> str:
        return f"sip:{host}:{port or 5060}"

    domains = zip(
        settings.outbound_domain_name,
        settings.outbound_domain_host,
        settings.outbound_domain_port,
        strict=True,
    )
    default = settings.outbound_proxy_host
    return OutboundProxies(
        uri(default, settings.outbound_proxy_port) if default else "",
        {name.lower(): uri(host, port) for name, host, port in domains},
    )


def _registrar(
    settings: Settings, locations: Locations, identity: Identity, key: bytes
) -> Registrar:
    return Registrar(
        locations,
        identity,
        key,
        min_expires=settings.min_expires,
        default_expires=settings.default_expires,
    )


def _relaying(
    settings: Settings,
    reactor: Any,
    core: Core,
    negotiation: Negotiation,
    chance: Callable[[int], int],
) -> RelayingService:
    def facing(side: Side) -> tuple[str, str]:
        return core.identity.bound[side], core.identity.facing(side).host

    return RelayingService(
        reactor,
        facing,
        chance,
        settings.rtp_port_low,
        settings.rtp_port_high,
        settings.rtp_timeout,
        settings.rtp_dscp,
        negotiation.dialogs.close,
    )


def compose(
    settings: Settings, chosen: addresses.Chosen, reactor: Any
) -> tuple[MultiService, Parts]:
    """
    Make all services and join them.
    """
    identity = _identity(settings, chosen)
    key = secrets.token_bytes(32)
    locations = Locations(settings.max_registrations)
    visitors, peers = Visitors(), Peers()
    authentication = _authentication(settings, reactor)
    core = Core(
        identity,
        locations,
        visitors,
        peers,
        _registrar(settings, locations, identity, key),
        Access(settings.hosts_deny_sip, settings.hosts_allow_sip, settings.hosts_allow_reg),
        _outbound_proxies(settings),
        authentication.refusal if authentication else None,
        Loops(key),
    )
    masquerade = Masquerade(locations, visitors, key, settings.ua_string)
    passages = Passages(locations, masquerade, key, settings.default_expires)
    negotiation = Negotiation(Dialogs(), settings.rtp_proxy_enable)
    chance = Chance().below

    relaying = _relaying(settings, reactor, core, negotiation, chance)
    listening = ListeningService(
        reactor, identity.bound, settings.sip_listen_port, settings.sip_dscp
    )
    registrations = RegistrationService(
        registration_path(settings), reactor, locations, identity.is_own
    )
    registrations.retire = core.retire
    transactions = TransactionService(reactor, listening)
    resolver = Resolver(reactor, Lookups(reactor, system_resolver(reactor)), chance)
    forwarding = Forwarding(
        reactor,
        core,
        passages,
        negotiation,
        locations,
        peers,
        transactions,
        listening,
        Mediation(core, negotiation, relaying),
        resolver,
    )
    signaling = SignalingService(
        reactor, core, locations, registrations, listening, transactions, forwarding
    )
    listening.receiver = signaling
    parts = Parts(settings, core, signaling, relaying, registrations, transactions, negotiation)
    services = (registrations, authentication, relaying, transactions, signaling, listening)
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
    if parts.settings.manhole_port:
        names = {**_console(parts, reactor).names(), "parts": parts}
        _manhole(parts.settings, names, reactor).setServiceParent(service)
    _announcing(parts, chosen).setServiceParent(service)
    return service


def makeService(options: Options) -> IService:
    """
    What twistd runs.
    """
    from twisted.internet import reactor

    logs.set_debug_level(options.settings.debug_level)
    try:
        service, _ = compose(options.settings, options.chosen, reactor)
    except SIPTwistError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(1) from error
    calm_collector()
    return service


def calm_collector() -> None:
    """
    What is loaded by now stays: the garbage collector need not look at it
    again.  It looks at the young less often, for a call leaves few cycles, and
    a look at everything would stop all calls for a moment.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
