"""
What a plugin is made of, and what it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.plugin import IPlugin
from zope.interface import implementer

from siptwist.config import Settings
from siptwist.interfaces import IMediaBackend, IMessageSender, IResolver
from siptwist.logs import OwnLogger
from siptwist.plugins.stages import IPluginMaker
from siptwist.proxy.decision import Reply
from siptwist.proxy.identity import Identity
from siptwist.proxy.registration.location import Locations
from siptwist.proxy.session.dialogs import Dialogs
from siptwist.proxy.ticket import Ticket
from siptwist.sip.message import Request, Response


@dataclass(frozen=True, slots=True)
class House:
    """
    What a plugin may use of the proxy it lives in.

    ``log`` is its own logger, and ``now`` the time in seconds.  ``settings`` are the
    options of siptwist, ``identity`` says who we are at the moment, ``locations`` who
    is registered, ``dialogs`` and ``media.calls()`` which calls there are.  ``sender``
    sends from our SIP sockets, ``resolver`` finds hosts, and ``reactor`` has timers.
    ``learn_public_address`` is told what address the outside sees, as
    ``host_outbound`` would say it.
    """

    log: OwnLogger
    now: Callable[[], float]
    settings: Settings
    identity: Callable[[], Identity]
    locations: Locations
    dialogs: Dialogs
    media: IMediaBackend
    sender: IMessageSender
    resolver: IResolver
    reactor: IReactorTime
    learn_public_address: Callable[[str], object]


@dataclass(frozen=True, slots=True)
class NoOptions:
    """
    The table of a plugin that has no options.
    """


def nothing_wrong(options: Any) -> Iterable[tuple[str, str]]:
    """
    The check of a plugin whose options are good one by one.
    """
    return ()


@implementer(IPlugin, IPluginMaker)
class PluginMaker:
    """
    Offers a plugin: a module-level name that holds one of these is found.

    :param name: what ``load_plugin`` says, without ``plugin_``.
    :param make: makes the plugin of its options and its house: mostly a class.
    :param options: a frozen dataclass whose lines are
        ``key: type = option(default, read, help)``; ``key`` is read from the directive
        ``plugin_<name>_<key>``.
    :param methods: the SIP methods whose messages it wants to see; ``None`` is all.
    :param check: says what is wrong with options that are good one by one: pairs of a
        key and a sentence.
    :param needs: keys without which the plugin has nothing to do: when one is not set
        the operator is told, and the plugin is left out.
    """

    def __init__(
        self,
        name: str,
        make: Callable[[Any, House], object],
        options: Any = NoOptions,
        methods: Iterable[str] | None = None,
        check: Callable[[Any], Iterable[tuple[str, str]]] = nothing_wrong,
        needs: Iterable[str] = (),
    ) -> None:
        self.name = name
        self.prefix = f"plugin_{name}_"
        self.options = options
        self.methods = None if methods is None else frozenset(methods)
        self.needs = tuple(needs)
        self._check = check
        self._make = make

    def check(self, options: Any) -> Iterable[tuple[str, str]]:
        return self._check(options)

    def make(self, options: Any, house: House) -> object:
        return self._make(options, house)


class Wanted(NamedTuple):
    """
    What a plugin looks at, at one stage, as :func:`only` says it.
    """

    methods: frozenset[str] | None = None
    kind: type[Request] | type[Response] | None = None
    starts: bytes | None = None
    informing: bool = False


_Method = TypeVar("_Method", bound=Callable[..., Any])


def only(
    *,
    methods: Iterable[str] | None = None,
    kind: type[Request] | type[Response] | None = None,
    starts: bytes | None = None,
    informing: bool = False,
) -> Callable[[_Method], _Method]:
    """
    Decorates the method of a stage that looks at some messages alone; of others the
    plugin is not asked, which costs nothing.

    :param methods: the SIP methods, of those that the plugin sees at all.
    :param kind: ``Request`` or ``Response``, for *post_proxy*.
    :param starts: the first bytes of a datagram, any of them, for *raw*.
    :param informing: it does nothing but log, at level info: it is asked only while
        such lines of the plugin's go anywhere.
    """
    wants = Wanted(None if methods is None else frozenset(methods), kind, starts, informing)

    def mark(method: _Method) -> _Method:
        method.wanted = wants  # type: ignore[attr-defined]
        return method

    return mark


def wanted(method: Callable[..., Any]) -> Wanted:
    """
    What the method of a stage looks at.
    """
    found: Wanted = getattr(method, "wanted", Wanted())
    return found


def retargeted(ticket: Ticket, uri: str) -> Ticket:
    """
    The same request with another Request-URI.
    """
    request = ticket.request
    return ticket.with_request(Request(request.method, uri, request.headers, request.body))


def moved(uri: str, why: str) -> Reply:
    """
    Tell the caller to call ``uri`` instead (RFC 3261 section 21.3.3).

    :param why: for the log.
    """
    return Reply(302, headers=(("Contact", f"<{uri}>"),), why=why)
