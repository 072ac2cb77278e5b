"""
Follows our own addresses: a dial-up line gets another one now and then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from siptwist.interfaces import IResolver
from siptwist.logs import logger
from siptwist.net.addresses import Chosen
from siptwist.net.netlink import AddressWatch, watch
from siptwist.proxy.core import Core
from siptwist.proxy.identity import NOWHERE, Identity
from siptwist.proxy.screening.access import is_address
from siptwist.services.listening import ListeningService

# How often the interfaces are looked at, though the system would tell of a change.
LOOK_SECONDS = 5.0
# And where it does not.
POLL_SECONDS = 1.0
# A change seldom comes alone: an address, then the route that it is for.
SETTLE_SECONDS = 0.1
# How often the name in host_outbound is asked for again; the resolver remembers it for
# its time to live.
NAME_SECONDS = 5.0

# Makes an identity of the interfaces and the address that the outside sees,
# "" for that of the outbound interface.
MakeIdentity = Callable[[Chosen, str], Identity]


class AddressService(Service):
    """
    Looks at the interfaces when the system says that they change, or every second
    where it does not, and at the name of ``host_outbound``.  What changes goes into
    the next message and the next call, and those in ``on_move`` are told what we were and
    are, for calls that run and for registrations.  An interface that goes down keeps its
    address until it has another one.
    """

    _log = logger()

    def __init__(
        self,
        reactor: Any,
        find: Callable[[], Chosen],
        make_identity: MakeIdentity,
        core: Core,
        listening: ListeningService,
        resolver: IResolver,
        host_outbound: str = "",
    ) -> None:
        self._reactor = reactor
        self._chosen: Chosen | None = None
        self._watch: AddressWatch | None = None
        self._settling: IDelayedCall | None = None
        self._find = find
        self._make_identity = make_identity
        self._core = core
        self._listening = listening
        self._resolver = resolver
        self._name = "" if is_address(host_outbound) else host_outbound
        self._public = "" if self._name else host_outbound
        self.on_move: list[Callable[[Identity, Identity], object]] = []
        self._complaints: dict[str, str] = {}
        self._looking = LoopingCall(self.look)
        self._naming = LoopingCall(self.resolve)
        self._looking.clock = self._naming.clock = reactor

    def startService(self) -> None:
        Service.startService(self)
        self._watch = watch(self._reactor, self._changed)
        # At once, for much can happen between reading the configuration and now.
        self._looking.start(LOOK_SECONDS if self._watch else POLL_SECONDS)
        if self._name:
            self._naming.start(NAME_SECONDS)

    def stopService(self) -> None:
        Service.stopService(self)
        for call in (self._looking, self._naming):
            if call.running:
                call.stop()
        if self._watch is not None:
            self._watch.stop()
        if self._settling is not None:
            self._settling.cancel()
        self._watch = self._settling = None

    def _changed(self) -> None:
        if self._settling is None:
            self._settling = self._reactor.callLater(SETTLE_SECONDS, self._settled)

    def _settled(self) -> None:
        self._settling = None
        self.look()

    def look(self) -> Any:
        """
        See whether our interfaces have other addresses than we think.
        """
        try:
            chosen = self._find()
        except OSError as error:
            self._complain("interfaces", f"Cannot look at our interfaces: {error}")
            return None
        if self._chosen is not None:
            chosen = chosen.or_else(self._chosen)
        self._chosen = chosen
        self._complain("interfaces", "; ".join(chosen.problems))
        return self._become(self._make_identity(chosen, self._public))

    def _complain(self, about: str, text: str = "") -> None:
        """
        Say what is wrong, when it was not so before; without a text nothing is.
        """
        if text and text != self._complaints.get(about):
            self._log.warn("{text}; we go on with the addresses that we have", text=text)
        self._complaints[about] = text

    def _become(self, new: Identity) -> Any:
        old, further = self._core.identity, new.further_hosts
        is_bound = self._listening.is_at(new.bound, further)
        if is_bound and _addresses(new) == _addresses(old):
            return None
        moved = None if is_bound else self._listening.move(new.bound, further)
        if isinstance(moved, Deferred):
            return moved.addCallbacks(lambda _: self._adopt(new), self._stay)
        self._adopt(new)
        return None

    def _adopt(self, new: Identity) -> None:
        self._complain("sockets")
        old, self._core.identity = self._core.identity, new
        self._log.info(
            "Our addresses changed: phones use {inside}, the outside sees {outside}",
            inside=new.told_inside,
            outside=str(new.outside),
        )
        if old.outside != new.outside and old.outside.host != NOWHERE:
            self._core.moved_at = self._reactor.seconds()
        for move in self.on_move:
            try:
                move(old, new)
            except Exception:
                self._log.failure("Somebody could not follow our addresses")
        if self._name and old.bound != new.bound:
            # With another line comes another public address, and DNS again.
            self.resolve()

    def _stay(self, failure: Failure) -> None:
        self._complain("sockets", failure.getErrorMessage())

    def learn(self, public: str) -> Any:
        """
        Somebody knows by what address the outside sees us, and better than the name
        in ``host_outbound``, which is not asked any more.
        """
        self._public = public
        if self._naming.running:
            self._naming.stop()
        return self.look()

    def resolve(self) -> Any:
        """
        Ask for the address of ``host_outbound``.
        """
        found = self._resolver.resolve(self._name, self._core.identity.outside.port, "UDP")
        if isinstance(found, Deferred):
            return found.addCallbacks(self._resolved, self._unresolved)
        return self._resolved(found)

    def _resolved(self, hops: Any) -> Any:
        self._complain("name")
        # Of several it stays the one that it is.
        if self._public not in [hop.host for hop in hops]:
            self._public = hops[0].host
        return self.look()

    def _unresolved(self, failure: Failure) -> None:
        self._complain("name", f"host_outbound: {self._name}: {failure.getErrorMessage()}")


def _addresses(identity: Identity) -> tuple[object, ...]:
    one = identity
    return one.inside, one.outside, one.bound, one.wide, one.insides
