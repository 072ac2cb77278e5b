"""
What the settings alone decide: pieces of the proxy, made of them.
"""

from __future__ import annotations

import os
from typing import Any

from siptwist.config import Settings
from siptwist.net import addresses
from siptwist.proxy.core import Core
from siptwist.proxy.identity import NOWHERE, Identity, Inside
from siptwist.proxy.registration.location import Locations
from siptwist.proxy.registration.registrar import Registrar
from siptwist.proxy.routing import OutboundProxies
from siptwist.proxy.screening.access import is_address
from siptwist.services.authentication import AuthenticationService
from siptwist.services.listening import ListeningService
from siptwist.sip.hop import Hop, Side


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


def make_authentication(settings: Settings, reactor: Any) -> AuthenticationService | None:
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


def make_identity(settings: Settings, chosen: addresses.Chosen, public: str = "") -> Identity:
    """
    :param public: what the outside sees, if not the outbound interface's address.
    """
    inside, outside = chosen.inbound.address, chosen.outbound.address
    port = settings.sip_listen_port
    inbounds = [one for one in chosen.inbounds if one.network is not None]
    networks = tuple([one.network.network for one in inbounds if one.network])
    insides = [
        Inside(one.address, network, one.wide)
        for one, network in zip(inbounds, networks, strict=True)
    ]
    if not public and is_address(settings.host_outbound):
        public = settings.host_outbound
    names = {settings.host_outbound.lower()} if settings.host_outbound else set()
    return Identity(
        Hop(inside or NOWHERE, port),
        Hop(public or outside or NOWHERE, port),
        {Side.INSIDE: inside, Side.OUTSIDE: outside},
        networks,
        frozenset(names),
        _wide(chosen),
        tuple(insides) if len(insides) > 1 else (),
        addresses.source_toward,
    )


def _wide(chosen: addresses.Chosen) -> dict[Side, str]:
    """
    Our IPv6 addresses, which serve media.
    """
    found = {Side.INSIDE: chosen.inbound.wide, Side.OUTSIDE: chosen.outbound.wide}
    return {side: address for side, address in found.items() if address}


def make_listening(settings: Settings, reactor: Any, core: Core) -> ListeningService:
    identity = core.identity
    return ListeningService(
        reactor,
        identity.bound,
        settings.sip_listen_port,
        settings.sip_dscp,
        identity.further_hosts,
        lambda host: core.identity.nearest(host),
    )


def make_dejitter(settings: Settings) -> dict[Side, float]:
    delays = {
        Side.OUTSIDE: settings.rtp_input_dejitter,
        Side.INSIDE: settings.rtp_output_dejitter,
    }
    return {side: delay / 1e6 for side, delay in delays.items() if delay}


def make_outbound_proxies(settings: Settings) -> OutboundProxies:
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


def make_registrar(
    settings: Settings, locations: Locations, identity: Identity, key: bytes
) -> Registrar:
    return Registrar(
        locations,
        identity,
        key,
        min_expires=settings.min_expires,
        default_expires=settings.default_expires,
    )
