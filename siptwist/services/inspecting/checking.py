"""
What a configuration means in plain words, and what in it is going to bite.
"""

from __future__ import annotations

import resource
from collections.abc import Iterator
from ipaddress import ip_address
from typing import NamedTuple

from siptwist.config import OPTIONS, Settings
from siptwist.hostlists import HostName, Network
from siptwist.net.addresses import Chosen
from siptwist.options import show
from siptwist.proxy.screening.access import is_address

#: Calls with sound that even a small house has at a time.
FEW_CALLS = 5
#: Sockets that are not for media, and files.
OTHER_FILES = 64

_ALG = ("nf_conntrack_sip", "nf_nat_sip", "ip_conntrack_sip")
_FILES = ("registration_file", "siproxd_registration_file", "pid_file", "proxy_auth_pwfile")
# How much of an address space is no network of somebody any more.
_WIDE = {4: 8, 6: 16}


class Machine(NamedTuple):
    """
    What the system says: kernel modules, how many files we may open, and the
    interfaces that take packets from any source.
    """

    modules: frozenset[str] = frozenset()
    open_files: int = 1 << 20


def this_machine() -> Machine:
    """
    The machine that we are on, as far as it tells.
    """
    try:
        with open("/proc/modules", encoding="ascii", errors="replace") as file:
            modules = frozenset(line.split(" ")[0] for line in file)
    except OSError:
        modules = frozenset()
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return Machine(modules, soft if soft != resource.RLIM_INFINITY else 1 << 20)


def explain(settings: Settings) -> Iterator[str]:
    """
    Each option that the file sets, with what it means.
    """
    for row in settings.describe():
        known = OPTIONS.get(row.key)
        if known is not None and row.origin != "default":
            effect = f" ({known.effect})" if known.effect else ""
            yield f"{row.origin}: {row.key} = {row.value}: {known.help}{effect}"


def warnings(settings: Settings, chosen: Chosen, machine: Machine) -> list[str]:
    """
    What can be used as it is, and is likely to be regretted.
    """
    found = _Found(settings)
    _look_at_access(found, chosen)
    _look_at_media(found, chosen, machine)
    _look_at_values(found)
    _look_at_process(found)
    loaded = sorted(machine.modules.intersection(_ALG))
    if loaded:
        found.lines.append(
            f"the kernel rewrites SIP, too ({', '.join(loaded)}): calls will be without "
            f"sound; modprobe -r {' '.join(reversed(loaded))}"
        )
    return found.lines


class _Found:
    """
    The warnings so far.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.lines: list[str] = []

    def say(self, key: str, text: str) -> None:
        origin = self.settings.origins.get(key)
        self.lines.append(f"{origin}: {key}: {text}" if origin else f"{key}: {text}")


def _look_at_access(found: _Found, chosen: Chosen) -> None:
    settings = found.settings
    wide = [item for item in settings.hosts_allow_reg if _is_wide(item)]
    if settings.register_from_outside and (wide or not settings.hosts_allow_reg):
        guarded = " with a password" if settings.proxy_auth_realm else ", and call through us"
        found.say("register_from_outside", f"anybody on the Internet may register here{guarded}")
    elif wide:
        found.say("hosts_allow_reg", f"{show(tuple(wide))} is nearly everybody")
    one_socket = chosen.outbound.address in [one.address for one in chosen.inbounds]
    address = chosen.outbound.address
    if one_socket and address and _is_public(address) and not settings.hosts_allow_reg:
        found.say(
            "hosts_allow_reg",
            f"one public address ({address}) for both sides, and no list: only private "
            "addresses count as phones; say who may register",
        )
    if settings.proxy_auth_passwd and settings.proxy_auth_pwfile:
        found.say("proxy_auth_passwd", "not used, for proxy_auth_pwfile is set")
    if settings.proxy_auth_calls and not settings.proxy_auth_realm:
        found.say("proxy_auth_calls", "nobody is asked, for proxy_auth_realm is not set")
    for key in ("hosts_allow_sip", "hosts_allow_reg", "hosts_deny_sip"):
        names = [item for item in getattr(settings, key) if isinstance(item, HostName)]
        if names:
            found.say(key, f"depends on DNS for {show(tuple(names))}")


def _is_wide(item: Network | HostName) -> bool:
    return not isinstance(item, HostName) and item.prefixlen < _WIDE[item.version]


def _is_public(address: str) -> bool:
    return ip_address(address).is_global


def _look_at_media(found: _Found, chosen: Chosen, machine: Machine) -> None:
    settings = found.settings
    if not settings.rtp_proxy_enable:
        return
    low, high = settings.rtp_port_low, settings.rtp_port_high
    if settings.rtp_timeout == 0:
        found.say(
            "rtp_timeout", "0 keeps the ports of calls that nobody ended for ever; 300 does not"
        )
    elif settings.rtp_timeout < 30:
        found.say("rtp_timeout", "phones that send no sound in silence will be cut off")
    pairs = (high - low) // 2 + 1
    one_socket = chosen.outbound.address in [one.address for one in chosen.inbounds]
    calls = pairs // 2 if one_socket else pairs
    if calls < FEW_CALLS:
        found.say("rtp_port_high", f"ports for {calls} calls with sound at a time, no more")
    if high % 2 == 0:
        found.say("rtp_port_high", f"{high} is even: its RTCP goes to {high + 1}; open that, too")
    if low <= settings.sip_listen_port <= high:
        found.say("sip_listen_port", "lies in the range of RTP ports")
    if low < 1024:
        found.say("rtp_port_low", "ports below 1024 are for root, who we do not stay")
    # Four sockets for a call with sound, whatever the number of addresses.
    needed = 4 * calls + OTHER_FILES
    if machine.open_files < needed:
        found.say(
            "rtp_port_high",
            f"the ports are enough for {calls} calls, the {machine.open_files} files that we may "
            f"open for {max(0, machine.open_files - OTHER_FILES) // 4}: ulimit -n {needed}",
        )


def _look_at_values(found: _Found) -> None:
    """
    Values that look as if they were meant for another key.
    """
    settings = found.settings
    for key in ("if_inbound", "if_outbound"):
        if any(map(is_address, getattr(settings, key).split(","))):
            found.say(key, "an address; the name of an interface is wanted")
    names = f"{settings.if_outbound},{settings.if_inbound}".split(",")
    if settings.host_outbound in names:
        found.say("host_outbound", "the name of an interface; a public host or address is wanted")
    for key in _FILES:
        value = getattr(settings, key)
        if value and "/" not in value and (value.isdecimal() or is_address(value)):
            found.say(key, f"{value} is no path; was it meant for another key?")
    files = [getattr(settings, key) for key in _FILES if getattr(settings, key)]
    for key in _FILES[1:]:
        if files.count(getattr(settings, key)) > 1:
            found.say(key, "names the file of another key")
    if settings.proxy_auth_realm.startswith("/"):
        found.say("proxy_auth_realm", "a path; was it meant for proxy_auth_pwfile?")
    if settings.proxy_auth_passwd.startswith("/"):
        found.say("proxy_auth_passwd", "a path; was it meant for proxy_auth_pwfile?")
    if "/" in settings.user or settings.user.isdecimal():
        found.say("user", "not a name; was it meant for another key?")


def _look_at_process(found: _Found) -> None:
    settings = found.settings
    if settings.user == "root":
        found.say("user", "root keeps all privileges")
    if settings.chrootjail and not settings.user:
        found.say("chrootjail", "no jail for root, who walks out: set user, too")
    if settings.debug_port and settings.debug_host != "127.0.0.1":
        found.say("debug_host", "whoever reaches that address reads who calls whom")
