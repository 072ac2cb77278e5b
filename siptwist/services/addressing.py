"""
Follows our own addresses: a dial-up line gets another one now and then.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.python.failure import Failure

from siptwist.errors import SIPTwistError
from siptwist.interfaces import IResolver
from siptwist.logs import logger
from siptwist.net.addresses import Chosen
from siptwist.proxy.access import is_address
from siptwist.proxy.core import Core
from siptwist.proxy.identity import Identity
from siptwist.services.listening import ListeningService

LOOK_SECONDS = 5.0
# How often the name in host_outbound is resolved again.
NAME_SECONDS = 60.0

# Makes an identity of the interfaces and the address that the outside sees,
# "" for that of the outbound interface.
MakeIdentity = Callable[[Chosen, str], Identity]


class AddressService(Service):
    """
    Looks at the interfaces every few seconds, and at the name of
    ``host_outbound`` every minute.  What changes goes into the next message and
    the next call, and ``on_move`` is told what we were and are, for calls that run.
    """

    _log = logger()
    on_move: Callable[[Identity, Identity], object] = staticmethod(lambda old, new: None)

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
        self._find = find
        self._make_identity = make_identity
        self._core = core
        self._listening = listening
        self._resolver = resolver
        self._name = "" if is_address(host_outbound) else host_outbound
        self._public = "" if self._name else host_outbound
        self._complaint = ""
        self._looking = LoopingCall(self.look)
        self._naming = LoopingCall(self.resolve)
        self._looking.clock = self._naming.clock = reactor

    def startService(self) -> None:
        Service.startService(self)
        self._looking.start(LOOK_SECONDS, now=False)
        if self._name:
            self._naming.start(NAME_SECONDS)

    def stopService(self) -> None:
        Service.stopService(self)
        for call in (self._looking, self._naming):
            if call.running:
                call.stop()

    def look(self) -> Any:
        """
        See whether our interfaces have other addresses than we think.
        """
        try:
            chosen = self._find()
        except SIPTwistError as error:
            self._complain(str(error))
            return None
        return self._become(self._make_identity(chosen, self._public))

    def _complain(self, text: str) -> None:
        if text != self._complaint:
            self._complaint = text
            self._log.warn("{text}; the addresses stay as they were", text=text)

    def _become(self, new: Identity) -> Any:
        old = self._core.identity
        if _addresses(new) == _addresses(old):
            self._complaint = ""
            return None
        moved = self._listening.move(new.bound) if new.bound != old.bound else None
        if isinstance(moved, Deferred):
            return moved.addCallbacks(lambda _: self._adopt(new), self._stay)
        self._adopt(new)
        return None

    def _adopt(self, new: Identity) -> None:
        self._complaint = ""
        old, self._core.identity = self._core.identity, new
        self._log.info(
            "Our addresses changed: phones use {inside}, the outside sees {outside}",
            inside=str(new.inside),
            outside=str(new.outside),
        )
        try:
            self.on_move(old, new)
        except Exception:
            self._log.failure("Calls could not follow our addresses")

    def _stay(self, failure: Failure) -> None:
        self._complain(failure.getErrorMessage())

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
        self._public = hops[0].host
        return self.look()

    def _unresolved(self, failure: Failure) -> None:
        self._complain(f"host_outbound: {self._name}: {failure.getErrorMessage()}")


def _addresses(identity: Identity) -> tuple[object, ...]:
    return identity.inside, identity.outside, identity.bound, identity.wide
