"""
Who may use the proxy: the lists of the configuration, with the addresses that
the names in them have now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from ipaddress import ip_address
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.task import LoopingCall
from twisted.names import dns, error, hosts, resolve
from twisted.python.failure import Failure

from siptwist.config import Settings
from siptwist.hostlists import HostName, Network
from siptwist.logs import logger
from siptwist.net.lookups import system_resolver
from siptwist.proxy.core import Core
from siptwist.proxy.screening.access import NOBODY, Access

LISTS = ("hosts_deny_sip", "hosts_allow_sip", "hosts_allow_reg")

#: Seconds between two looks at every name.
REFRESH_SECONDS = 60.0
#: Seconds that addresses count when DNS does not answer any more.
STALE_SECONDS = 3600.0

# Fires with the addresses of a name; fails when nobody knows.
LookUp = Callable[[str], "Deferred[tuple[str, ...]]"]


def names_in(settings: Settings) -> frozenset[str]:
    """
    The names in the three lists.
    """
    items = (item for key in LISTS for item in getattr(settings, key))
    return frozenset(item.name for item in items if isinstance(item, HostName))


def admitted(settings: Settings, known: Mapping[str, tuple[str, ...]]) -> Access:
    """
    The lists as networks.  A name without addresses is nobody in a list of who
    may; in the list of who may not it closes the door for all but those.

    :param known: the addresses of names.
    """

    def networks(items: Iterable[Network | HostName]) -> tuple[Network, ...]:
        found: list[Network] = []
        for item in items:
            if isinstance(item, HostName):
                found.extend(item.networks(known.get(item.name, ())) or (NOBODY,))
            else:
                found.append(item)
        return tuple(found)

    denied = settings.hosts_deny_sip
    return Access(
        networks(denied),
        networks(settings.hosts_allow_sip),
        networks(settings.hosts_allow_reg),
        settings.register_from_outside,
        any(isinstance(item, HostName) and not known.get(item.name) for item in denied),
    )


class AdmissionService(Service):
    """
    Looks the names up when it starts and every minute, off the path of messages.

    :param look_up: finds the addresses of a name.
    """

    name = "admission"
    _log = logger()

    def __init__(self, reactor: Any, settings: Settings, core: Core, look_up: LookUp) -> None:
        self._reactor = reactor
        self._settings = settings
        self._core = core
        self._look_up = look_up
        self._known: dict[str, tuple[str, ...]] = {}
        self._known_at: dict[str, float] = {}
        self._complaints: dict[str, str] = {}
        self._refreshing = LoopingCall(self.refresh)
        self._refreshing.clock = reactor

    def startService(self) -> None:
        super().startService()
        self._begin()

    def stopService(self) -> None:
        super().stopService()
        if self._refreshing.running:
            self._refreshing.stop()

    def _begin(self) -> None:
        if names_in(self._settings) and not self._refreshing.running:
            self._refreshing.start(REFRESH_SECONDS)

    def change(self, settings: Settings) -> None:
        """
        Other lists are in force; what is known of names they share with the old
        ones counts on.
        """
        self._settings = settings
        names = names_in(settings)
        for name in set(self._known) - names:
            del self._known[name]
        self._admit()
        if self._refreshing.running:
            self._refreshing.stop()
        if self.running:
            self._begin()

    def _admit(self) -> None:
        access = admitted(self._settings, self._known)
        if access != self._core.access:
            self._core.access = access

    def refresh(self) -> Deferred[Any]:
        """
        Look every name up; at most one at a time waits for DNS.
        """
        return DeferredList([self._ask(name) for name in sorted(names_in(self._settings))])

    def _ask(self, name: str) -> Deferred[None]:
        return self._look_up(name).addCallbacks(
            self._found, self._failed, callbackArgs=(name,), errbackArgs=(name,)
        )

    def _found(self, addresses: tuple[str, ...], name: str) -> None:
        if name not in names_in(self._settings):
            return
        if self._complaints.pop(name, ""):
            self._log.info("{name}: {hosts}", name=name, hosts=", ".join(addresses))
        self._known[name] = addresses
        self._known_at[name] = self._reactor.seconds()
        self._admit()

    def _failed(self, failure: Failure, name: str) -> None:
        """
        What DNS does not say for now stays true for a while; a name that is said
        not to exist has no address any more.
        """
        now = self._reactor.seconds()
        is_gone = failure.check(error.DomainError) is not None
        if is_gone or now - self._known_at.get(name, now) > STALE_SECONDS:
            self._known.pop(name, None)
        self._complain(name, "there is no such name" if is_gone else failure.getErrorMessage())
        self._admit()

    def _complain(self, name: str, why: str) -> None:
        lists = [key for key in LISTS if name in names_in(_only(self._settings, key))]
        meaning = "it counts as nobody"
        if "hosts_deny_sip" in lists:
            meaning = "only those in hosts_allow_sip and hosts_allow_reg are heard"
        if self._known.get(name):
            meaning = "the addresses it had count on"
        if lists and self._complaints.get(name) != meaning:
            self._complaints[name] = meaning
            self._log.warn(
                "{lists}: {name}: {why}; {meaning}",
                lists=", ".join(lists),
                name=name,
                why=why or "no answer",
                meaning=meaning,
            )


def _only(settings: Settings, key: str) -> Settings:
    return Settings(**{key: getattr(settings, key)})


def system_names(reactor: Any) -> LookUp:
    """
    Asks ``/etc/hosts`` and the name servers of this machine.
    """

    @cache
    def resolver() -> Any:
        return resolve.ResolverChain([hosts.Resolver(), system_resolver(reactor)])

    return lambda name: in_dns(resolver())(name)


def in_dns(resolver: Any) -> LookUp:
    """
    Asks a resolver of ``twisted.names`` for IPv4 and IPv6.
    """

    def look_up(name: str) -> Deferred[tuple[str, ...]]:
        question = name.encode("ascii")
        asked = [resolver.lookupAddress(question), resolver.lookupIPV6Address(question)]
        return DeferredList(asked, consumeErrors=True).addCallback(_addresses)

    return look_up


def _addresses(answers: list[tuple[bool, Any]]) -> tuple[str, ...]:
    """
    :raises Exception: the failure of a question, when no question had an answer.
    """
    records = [record.payload for is_good, answer in answers if is_good for record in answer[0]]
    found = [
        str(ip_address(record.address or b""))
        for record in records
        if isinstance(record, dns.Record_A | dns.Record_AAAA)
    ]
    if found:
        return tuple(dict.fromkeys(found))
    for is_good, answer in answers:
        if not is_good and not answer.check(error.DomainError):
            answer.raiseException()
    raise error.DNSNameError()
