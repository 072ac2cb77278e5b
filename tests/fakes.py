"""
Stand-ins for what the proxy touches: disk, names and media.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from zope.interface import implementer

from siptwist.errors import Unresolvable
from siptwist.interfaces import IMediaBackend, IRegistrationStore, IResolver
from siptwist.media.stream import CallKey, Endpoint, Party, StreamOffer
from siptwist.proxy.registration.location import Binding
from siptwist.sip.hop import Hop, Side


@implementer(IRegistrationStore)
class FakeStore:
    """
    Saves at once; when told to wait, only on :meth:`commit`.
    """

    def __init__(self) -> None:
        self.saved: dict[str, Binding] = {}
        self.waits = False
        self.fails = False
        self._waiting: list[tuple[Deferred[None], tuple[Binding, ...], tuple[str, ...]]] = []

    def load(self) -> list[Binding]:
        return list(self.saved.values())

    def save(self, changed: Iterable[Binding], removed: Iterable[str]) -> Deferred[None]:
        if self.fails:
            return fail(OSError("no space left on device"))
        if self.waits:
            waiter: Deferred[None] = Deferred()
            self._waiting.append((waiter, tuple(changed), tuple(removed)))
            return waiter
        self._write(changed, removed)
        return succeed(None)

    def _write(self, changed: Iterable[Binding], removed: Iterable[str]) -> None:
        for mask in removed:
            self.saved.pop(mask, None)
        self.saved.update({binding.mask: binding for binding in changed})

    def commit(self) -> None:
        """
        The disk is done with all that waits.
        """
        waiting, self._waiting = self._waiting, []
        for waiter, changed, removed in waiting:
            self._write(changed, removed)
            waiter.callback(None)

    def break_down(self) -> None:
        """
        The disk fails all that waits.
        """
        waiting, self._waiting = self._waiting, []
        for waiter, _, _ in waiting:
            waiter.errback(OSError("no space left on device"))


@implementer(IResolver)
class FakeResolver:
    """
    Knows ``names``; a literal address is itself; a name in ``slow`` is known
    on :meth:`answer`.
    """

    def __init__(self) -> None:
        self.names: dict[str, list[Hop]] = {}
        self.slow: set[str] = set()
        self.asked: list[tuple[str, int | None, str | None]] = []
        self.dead: list[Hop] = []
        self.alive: list[Hop] = []
        self._waiting: list[tuple[str, Deferred[list[Hop]]]] = []

    def resolve(self, host: str, port: int | None, transport: str | None) -> Any:
        self.asked.append((host, port, transport))
        if host in self.slow:
            waiter: Deferred[list[Hop]] = Deferred()
            self._waiting.append((host, waiter))
            return waiter
        if host in self.names:
            return list(self.names[host])
        if host.replace(".", "").isdigit() or ":" in host:
            return [Hop(host, port or 5060)]
        return fail(Unresolvable(f"{host} is not known", 404))

    def answer(self) -> None:
        """
        The name servers answer all that waits.
        """
        waiting, self._waiting = self._waiting, []
        for host, waiter in waiting:
            if host in self.names:
                waiter.callback(list(self.names[host]))
            else:
                waiter.errback(Unresolvable(f"{host} is not known", 404))

    def fail(self, error: Exception) -> None:
        """
        All that waits is in vain.
        """
        waiting, self._waiting = self._waiting, []
        for _, waiter in waiting:
            waiter.errback(error)

    def mark_dead(self, hop: Hop) -> None:
        self.dead.append(hop)

    def is_dead(self, hop: Hop) -> bool:
        return hop in self.dead

    def mark_alive(self, hop: Hop) -> None:
        self.alive.append(hop)


@implementer(IMediaBackend)
class FakeMedia:
    """
    Lends ports from 20000 on, and remembers what it was told.

    ``refusal`` is raised in place of lending; when it ``waits``, ports are lent
    on :meth:`lend`.
    """

    HOSTS = {Side.INSIDE: "10.0.0.1", Side.OUTSIDE: "203.0.113.1"}

    def __init__(self) -> None:
        self.described: list[tuple[CallKey, Party, tuple[StreamOffer, ...], str, bool, str]] = []
        self.confirmed: list[tuple[CallKey, str]] = []
        self.settled: list[CallKey] = []
        self.rejected: list[tuple[CallKey, Party]] = []
        self.receivers: list[tuple[str, ...]] = []
        self.closed: list[tuple[CallKey, str]] = []
        self.moved: list[Side] = []
        self.open: set[CallKey] = set()
        self.refusal: Exception | None = None
        self.waits = False
        self._waiting: list[tuple[Deferred[Any], Any]] = []

    def describe(
        self,
        key: CallKey,
        party: Party,
        streams: tuple[StreamOffer, ...],
        signaling_host: str,
        offer: bool,
        branch: str = "",
        receivers: tuple[str, ...] = (),
    ) -> Any:
        self.receivers.append(receivers)
        self.described.append((key, party, streams, signaling_host, offer, branch))
        if self.refusal is not None:
            raise self.refusal
        self.open.add(key)
        host = self.HOSTS[key.side(party.other)]
        granted = tuple(
            Endpoint(host, 20000 + 2 * one.index, 20001 + 2 * one.index)
            if one.endpoint.rtp_port
            else Endpoint(host, 0, 0)
            for one in streams
        )
        if not self.waits:
            return granted
        waiter: Deferred[Any] = Deferred()
        self._waiting.append((waiter, granted))
        return waiter

    def lend(self) -> None:
        """
        The engine has the ports now that it was asked for.
        """
        waiting, self._waiting = self._waiting, []
        for waiter, granted in waiting:
            waiter.callback(granted)

    def refuse(self, error: Exception) -> None:
        """
        The engine has none.
        """
        waiting, self._waiting = self._waiting, []
        for waiter, _ in waiting:
            waiter.errback(error)

    def confirm(self, key: CallKey, branch: str) -> None:
        self.confirmed.append((key, branch))

    def settle(self, key: CallKey) -> None:
        self.settled.append(key)

    def reject(self, key: CallKey, party: Party) -> None:
        self.rejected.append((key, party))

    def close(self, key: CallKey, reason: str) -> None:
        self.open.discard(key)
        self.closed.append((key, reason))

    def move(self, side: Side) -> None:
        self.moved.append(side)

    def calls(self) -> Iterable[Any]:
        return iter(())
