"""
The option table: every line that ``siproxd.conf`` may hold, its type and default.

To add an option, add a line to :class:`Settings` and a paragraph to
``etc/siproxd.conf``.  To put one into effect, delete its ``effect``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, NamedTuple

from siptwist.errors import Problem
from siptwist.hostlists import HostName, Network, hosts

Host = Network | HostName

LATER = "not in effect yet"

_INTEGER = re.compile(r"([+-]?)(?:0[xX]([0-9a-fA-F]{1,16})|(0[0-7]{0,20})|([1-9][0-9]{0,18}))")
_HOST = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9_.-]*[A-Za-z0-9.])?")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ALGORITHMS = ("MD5", "SHA-256", "SHA-512-256")


@dataclass(frozen=True, slots=True)
class Option:
    """
    What is known about an option besides its name, type and default.

    ``read`` turns its text into a value and raises ``ValueError`` with a
    sentence for the operator.  ``effect`` is empty, :data:`LATER`, or says what
    does the job instead.  ``repeated`` options collect their lines in order.
    """

    read: Callable[[str], object]
    help: str
    effect: str = ""
    repeated: bool = False
    secret: bool = False


class Directive(NamedTuple):
    """
    One ``key = value`` line of the file; ``line`` counts from 1.
    """

    key: str
    value: str
    line: int


@dataclass(frozen=True, slots=True)
class Configured:
    """
    A plugin to be loaded: the :class:`~siptwist.plugins.plugin.PluginMaker` that the
    file names, its options, and the line that set each of them.
    """

    maker: Any
    options: Any
    origins: Mapping[str, str] = field(compare=False)


class Row(NamedTuple):
    """
    One option as an operator sees it: secrets masked, and where it was set.
    """

    key: str
    value: str
    origin: str


def text(value: str) -> str:
    """
    Any printable text.  What could break a header line is refused.
    """
    if _CONTROL.search(value):
        raise ValueError("it holds a control character")
    return value


def word(value: str) -> str:
    if not value.isprintable() or " " in value:
        raise ValueError(f"{value!r} is not one word")
    return value


def words(value: str) -> str:
    """
    Words with commas between them, and blanks that mean nothing.
    """
    found = [one.strip() for one in value.split(",")]
    if not all(found):
        raise ValueError(f"{value!r} has a comma too many")
    return ",".join([word(one) for one in found])


def host(value: str) -> str:
    """
    A host name or an address; IPv6 loses its brackets.
    """
    if _HOST.fullmatch(value):
        return value
    try:
        return str(ip_address(value.removeprefix("[").removesuffix("]")))
    except ValueError:
        raise ValueError(f"{value!r} is not a host name or an address") from None


def integer(value: str) -> int:
    """
    A number as C's ``%i`` reads it: ``0x1f`` and ``037`` are 31.
    """
    match = _INTEGER.fullmatch(value)
    if match is None:
        octal = "; a leading 0 makes it octal" if value.startswith("0") else ""
        raise ValueError(f"{value!r} is not a whole number{octal}")
    sign, hexadecimal, octal, decimal = match.groups()
    if hexadecimal:
        number = int(hexadecimal, 16)
    else:
        number = int(octal, 8) if octal else int(decimal)
    return -number if sign == "-" else number


def whole(low: int, high: int) -> Callable[[str], int]:
    """
    A whole number from ``low`` to ``high``, both included.
    """

    def read(value: str) -> int:
        number = integer(value)
        if not low <= number <= high:
            raise ValueError(f"{value} is not between {low} and {high}")
        return number

    return read


def switch(value: str) -> bool:
    number = integer(value)
    if number not in (0, 1):
        raise ValueError(f"{value} is neither 0 (off) nor 1 (on)")
    return bool(number)


def one_of(*words: str) -> Callable[[str], str]:
    """
    One of a few words.
    """

    def read(value: str) -> str:
        if value.lower() not in words:
            raise ValueError(f"{value!r} is not one of {', '.join(words)}")
        return value.lower()

    return read


def algorithms(value: str) -> tuple[str, ...]:
    """
    Digest algorithms in order of preference (RFC 8760 section 2.3).
    """
    names = tuple(item.strip().upper() for item in value.split(","))
    for name in names:
        if name not in _ALGORITHMS:
            raise ValueError(f"{name!r} is not one of {', '.join(_ALGORITHMS)}")
    return tuple(dict.fromkeys(names))


def plugin_name(value: str) -> str:
    """
    A plugin however siproxd was told of it: path, ``.la``, ``.so`` and ``.py`` go,
    and ``plugin_`` in front of the name.
    """
    name = value.rpartition("/")[2]
    for ending in (".la", ".so", ".py"):
        name = name.removesuffix(ending)
    return word(name.removeprefix("plugin_"))


def option(
    default: object,
    read: Callable[[str], object],
    help: str,
    effect: str = "",
    *,
    repeated: bool = False,
    secret: bool = False,
) -> Any:
    """
    A line of the table: a dataclass field that knows its :class:`Option`.
    """
    known = Option(read, help, effect, repeated, secret)
    return field(default=default, repr=not secret, metadata={"option": known})


_PORT = whole(1, 65535)
_PORT_OR_OFF = whole(0, 65535)
_DSCP = whole(0, 63)
_COUNT = whole(0, 2**31 - 1)
_LIFETIME = whole(1, 2**31 - 1)
_DEJITTER = whole(0, 1_500_000)


@dataclass(frozen=True, slots=True)
class Settings:
    """
    The options in force.  Text that is not set is empty.
    """

    # Where the phones are, and where the world is.
    if_inbound: str = option("auto", words, "interfaces the phones are on")
    if_outbound: str = option("auto", words, "interface toward the Internet, and spare ones")
    host_outbound: str = option("", host, "our public name or address, behind a NAT router")
    sip_listen_port: int = option(5060, _PORT, "port for SIP, on both sides")

    # Who may use us.
    hosts_allow_reg: tuple[Host, ...] = option((), hosts, "who may register, of those inside")
    hosts_allow_sip: tuple[Host, ...] = option((), hosts, "who may send SIP at all")
    hosts_deny_sip: tuple[Host, ...] = option((), hosts, "who may not; asked first")
    register_from_outside: bool = option(False, switch, "those outside may register, too")
    proxy_auth_realm: str = option("", text, "ask phones that register here for a password")
    proxy_auth_passwd: str = option("", text, "one password for all phones", secret=True)
    proxy_auth_pwfile: str = option("", text, "file of user and password pairs")
    auth_algorithms: tuple[str, ...] = option(
        ("SHA-256", "SHA-512-256", "MD5"), algorithms, "digest algorithms offered, best first"
    )
    nonce_lifetime: int = option(300, _LIFETIME, "seconds a digest nonce is good for")
    proxy_auth_calls: bool = option(False, switch, "ask phones that call for the password, too")

    # Registrations.
    registration_file: str = option("", text, "where registrations are kept")
    siproxd_registration_file: str = option("", text, "a copy of it as siproxd would write it")
    default_expires: int = option(3600, _LIFETIME, "lifetime when a phone names none (s)")
    min_expires: int = option(60, _LIFETIME, "shortest lifetime we grant as a registrar (s)")
    max_expires: int = option(
        0, _COUNT, "lifetime that a provider's phone is told at most (s); 0 = the provider's"
    )
    max_registrations: int = option(10000, whole(1, 10_000_000), "bindings kept at most")
    ping_interval: int = option(
        0, whole(0, 86400), "seconds between OPTIONS to each phone; 0 = none"
    )
    autosave_registrations: int = option(
        0, _COUNT, "seconds between saves", "every change is saved at once"
    )

    # Media.
    rtp_proxy_enable: bool = option(True, switch, "relay RTP; 0 leaves SDP alone")
    rtp_port_low: int = option(7070, _PORT, "first port for RTP")
    rtp_port_high: int = option(7089, _PORT, "last port for RTP and RTCP")
    rtp_timeout: int = option(300, _COUNT, "seconds of silence that end a stream; 0 = never")
    hold_timeout: int = option(43200, _COUNT, "the same while a call is on hold; 0 = never")
    max_call_time: int = option(0, _COUNT, "seconds that a call may last; 0 = for ever")
    direct_media: str = option(
        "subnet", one_of("off", "subnet", "always"), "whose media inside may go past us"
    )
    ice: str = option("off", one_of("off", "lite"), "how we speak ICE; lite answers checks")
    rtp_dscp: int = option(0, _DSCP, "DSCP mark on RTP and RTCP")
    sip_dscp: int = option(0, _DSCP, "DSCP mark on SIP")
    rtp_input_dejitter: int = option(0, _DEJITTER, "delay evening out RTP from outside (us)")
    rtp_output_dejitter: int = option(0, _DEJITTER, "delay evening out RTP from phones (us)")

    # Where calls go out.
    outbound_proxy_host: str = option("", host, "next hop of everything that goes out")
    outbound_proxy_port: int = option(0, _PORT_OR_OFF, "its port; 0 = 5060")
    outbound_domain_name: tuple[str, ...] = option((), host, "domain of the From", repeated=True)
    outbound_domain_host: tuple[str, ...] = option((), host, "its next hop", repeated=True)
    outbound_domain_port: tuple[int, ...] = option(
        (), _PORT_OR_OFF, "the port there; 0 = 5060", repeated=True
    )

    # What we change in messages.
    ua_string: str = option("", text, "User-Agent of everything that goes out")
    mask_host: tuple[str, ...] = option((), host, "host of an account", LATER, repeated=True)
    masked_host: tuple[str, ...] = option((), host, "its public name", LATER, repeated=True)
    use_rport: int = option(
        0, whole(0, 3), "add rport to our Via", "we always ask for rport (RFC 3581)"
    )
    obscure_loops: int = option(0, _COUNT, "another Call-ID for calls that come back", LATER)

    # SIP over TCP.
    tcp_timeout: int = option(300, _COUNT, "seconds until an idle connection closes", LATER)
    tcp_connect_timeout: int = option(500, _COUNT, "wait for a connection (ms)", LATER)
    tcp_keepalive: int = option(0, _COUNT, "seconds between keepalives; 0 = none", LATER)

    # Looking inside.
    debug_level: int = option(0, whole(-1, 2**31 - 1), "what to log in detail, a bit mask")
    debug_port: int = option(0, _PORT_OR_OFF, "TCP port of the debug log; 0 = off")
    debug_host: str = option("127.0.0.1", host, "address that debug_port is on")
    silence_log: int = option(4, whole(0, 4), "what syslog hears: 0 = everything, 4 = nothing")
    manhole_port: int = option(0, _PORT_OR_OFF, "SSH console on 127.0.0.1; 0 = off")
    manhole_authorized_keys: str = option("", text, "public keys that may log in there")
    manhole_host_key: str = option("", text, "private key of the console itself")

    # The process.
    daemonize: int = option(
        0, _COUNT, "run in the background", "twistd decides: -n stays in the foreground"
    )
    user: str = option("", word, "user to become once the ports are open")
    chrootjail: str = option("", text, "directory to lock us into then")
    pid_file: str = option("", text, "where the process id goes")
    drain_seconds: int = option(30, _COUNT, "SIGTERM waits so long for calls to end (s)")
    thread_stack_size: int = option(
        0, _COUNT, "stack of the RTP thread (kB)", "there is no RTP thread"
    )

    # Plugins.
    plugindir: str = option("", text, "a folder of more plugins")
    load_plugin: tuple[str, ...] = option(
        (), plugin_name, "a plugin to load, in order", repeated=True
    )

    plugin_directives: tuple[Directive, ...] = ()
    plugins: tuple[Configured, ...] = ()
    notes: tuple[Problem, ...] = field(default=(), compare=False, repr=False)
    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    def describe(self) -> tuple[Row, ...]:
        """
        Every option as a readable row, in the order of the table.
        """
        rows = _rows("", self, self.origins)
        for one in self.plugins:
            rows += _rows(one.maker.prefix, one.options, one.origins)
        return tuple(rows)


def table(settings: Any) -> dict[str, Option]:
    """
    The options that a class of settings has, or one of its instances.
    """
    return {
        name: entry.metadata["option"]
        for name, entry in settings.__dataclass_fields__.items()
        if "option" in entry.metadata
    }


OPTIONS = table(Settings)


def _rows(prefix: str, settings: object, origins: Mapping[str, str]) -> list[Row]:
    return [
        Row(
            prefix + key,
            _masked(known, getattr(settings, key)),
            origins.get(prefix + key, "default"),
        )
        for key, known in table(settings).items()
    ]


def show(value: object) -> str:
    """
    A value as the file would spell it; the lines of a repeated option in one.
    """
    if isinstance(value, tuple):
        return ", ".join(map(show, value))
    return str(int(value)) if isinstance(value, bool) else str(value)


def _masked(known: Option, value: object) -> str:
    if known.secret and value:
        return "***"
    # What is not UTF-8 in the file must not break the terminal that shows it.
    return show(value).encode("utf-8", "backslashreplace").decode()
