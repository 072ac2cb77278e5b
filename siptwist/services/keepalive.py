"""
Keep-alives: phones ping us, and we ask phones whether they are there.
"""

from __future__ import annotations

from collections import Counter

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from siptwist.interfaces import IMessageSender
from siptwist.logs import logger
from siptwist.proxy.core import Core
from siptwist.proxy.identity import Identity
from siptwist.proxy.masquerade import own_via
from siptwist.proxy.registration.location import Binding, Locations
from siptwist.services.serving.context import new_tag
from siptwist.services.transactions import TransactionService
from siptwist.sip import stun
from siptwist.sip.fields import MAGIC_COOKIE
from siptwist.sip.headers import Headers, make_header
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Request, Response
from siptwist.sip.transaction import ClientTransaction

# How many pings in a row a phone may leave unanswered.
PATIENCE = 3
# Seconds between looks whose turn it is.
STEP = 0.1
# RFC 5626 section 3.5.1; phones send it over UDP too.
PING, PONG = b"\r\n\r\n", b"\r\n"


class Pings:
    """
    Answers the keep-alives of phones, from the socket that they came to.

    ``counts`` has the numbers of ``"crlf"`` and ``"stun"`` answered, of
    ``"unusable"`` STUN, and of those of a ``"stranger"``, who hears nothing.  Nor does a
    phone whose registration is ``"stale"``, for our address outside has changed since:
    then RFC 5626 section 4.4 lets it register again.
    """

    def __init__(self, core: Core, sender: IMessageSender) -> None:
        self._core = core
        self._sender = sender
        self.counts: Counter[str] = Counter()

    def take(self, data: bytes, source: Hop, side: Side) -> bool:
        """
        Whether it was a keep-alive, answered or not.
        """
        if data == PING:
            self._answer("crlf", PONG, source, side)
        elif stun.is_stun(data):
            self._answer("stun", stun.answer(data, source), source, side)
        else:
            return False
        return True

    def _answer(self, kind: str, pong: bytes, source: Hop, side: Side) -> None:
        if not self._core.may_ping(source, side):
            kind = "stranger"
        elif pong and self._core.is_stale(source):
            # It shall think that its flow has failed, and register again.
            kind = "stale"
        elif pong:
            self._sender.send(pong, source, side)
        else:
            kind = "unusable"
        self.counts[kind] += 1


class KeepaliveService(Service):
    """
    Sends OPTIONS to each registered phone in turn, and marks the silent.

    Any answer is a sign of life, be it 404.  :data:`PATIENCE` silences in a row
    mark the binding, until the phone is heard again; it is called as before.
    A phone behind another proxy (RFC 3327) is left to that one.

    :param interval: seconds between two pings of a phone; 0 sends none.
    """

    name = "keepalive"
    _log = logger()

    def __init__(
        self,
        reactor: IReactorTime,
        core: Core,
        locations: Locations,
        transactions: TransactionService,
        interval: int,
    ) -> None:
        self._reactor = reactor
        self._core = core
        self._locations = locations
        self._transactions = transactions
        self._interval = interval
        self._loop = LoopingCall(self._step)
        self._loop.clock = reactor
        # The masks of this round, in the order of their turns.
        self._order: list[str] = []
        self._next = 0
        self._round_began = float("-inf")
        # By mask: pings on their way, and silences in a row.
        self._asked: set[str] = set()
        self._silences: dict[str, int] = {}

    def startService(self) -> None:
        super().startService()
        if self._interval:
            running = self._loop.start(STEP, now=False)
            running.addErrback(lambda failure: self._log.failure("Pinging phones", failure))

    def stopService(self) -> None:
        super().stopService()
        if self._loop.running:
            self._loop.stop()
        self._asked.clear()

    def change(self, interval: int) -> None:
        """
        Another interval, from the next round on.
        """
        self._interval = interval
        if self._loop.running:
            self._loop.stop()
        self._round_began = float("-inf")
        if self.running and interval:
            running = self._loop.start(STEP, now=False)
            running.addErrback(lambda failure: self._log.failure("Pinging phones", failure))

    def is_silent(self, mask: str) -> bool:
        """
        Whether the phone of this binding does not answer any more.
        """
        return self._silences.get(mask, 0) >= PATIENCE

    def heard(self, source: Hop) -> None:
        """
        Something came from there: whoever it is, is not silent.
        """
        if self._silences:
            for binding in self._locations.by_hop(source):
                self._revive(binding.mask)

    # Whose turn it is

    def _step(self) -> None:
        """
        Ping those whose turn has come since the last step: an equal share of
        the interval for each, so that they do not answer all at once.
        """
        now = self._reactor.seconds()
        if not 0 <= now - self._round_began < self._interval:
            self._begin_round(now)
        share = (now - self._round_began) / self._interval
        begun, self._next = self._next, min(int(share * len(self._order)) + 1, len(self._order))
        for mask in self._order[begun : self._next]:
            self._ping(mask, now)

    def _begin_round(self, now: float) -> None:
        """
        Everybody keeps his place; who missed his turn comes first, the new last.
        """
        there = {
            binding.mask: None
            for binding in self._locations
            if binding.is_active(now) and not binding.path
        }
        before = self._order[self._next :] + self._order[: self._next]
        known = dict.fromkeys(mask for mask in before if mask in there)
        self._order = list(known | there)
        self._silences = {mask: n for mask, n in self._silences.items() if mask in there}
        self._next = 0
        self._round_began = now

    # One ping

    def _ping(self, mask: str, now: float) -> None:
        binding = self._locations.by_mask(mask)
        if binding is None or mask in self._asked or not binding.is_active(now):
            return
        self._asked.add(mask)
        try:
            branch = MAGIC_COOKIE + new_tag() + new_tag()
            identity = self._core.identity.toward(binding.side, binding.hop.host)
            request = make_ping(binding, identity, branch, new_tag())
            self._transactions.send(request, branch, binding.hop, binding.side, mask, asker=self)
        except Exception:
            self._asked.discard(mask)
            self._log.failure("Pinging {contact!r}", contact=binding.contact)

    def response_arrived(self, transaction: ClientTransaction, response: Response) -> None:
        """
        A phone answered.
        """
        if response.status >= 200:
            self._asked.discard(transaction.user)
            self._revive(transaction.user)

    def timed_out(self, transaction: ClientTransaction) -> None:
        """
        A phone did not answer (timer F).
        """
        mask = transaction.user
        self._asked.discard(mask)
        binding = self._locations.by_mask(mask)
        if binding is None:
            return
        self._silences[mask] = self._silences.get(mask, 0) + 1
        if self._silences[mask] == PATIENCE:
            self._log.warn(
                "{aor!r} at {contact!r} is silent: {count} OPTIONS without an answer",
                aor=binding.aor,
                contact=binding.contact,
                count=PATIENCE,
            )

    def refused(self, transaction: ClientTransaction) -> None:
        """
        A phone is gone: that is a silence, too, and known sooner.
        """
        self.timed_out(transaction)

    def _revive(self, mask: str) -> None:
        was_silent = self.is_silent(mask)
        self._silences.pop(mask, None)
        binding = self._locations.by_mask(mask)
        if was_silent and binding is not None:
            self._log.info(
                "{aor!r} at {contact!r} is heard again", aor=binding.aor, contact=binding.contact
            )


def make_ping(binding: Binding, identity: Identity, branch: str, tag: str) -> Request:
    """
    OPTIONS from us to the phone of a binding (RFC 3261 section 11.1).
    """
    us = identity.uri(binding.side)
    pairs = (
        ("Max-Forwards", "70"),
        ("From", f"<{us}>;tag={tag}"),
        ("To", f"<{binding.contact}>"),
        ("Call-ID", f"{branch}@{identity.facing(binding.side).host}"),
        ("CSeq", "1 OPTIONS"),
        ("Contact", f"<{us}>"),
        ("Accept", "application/sdp"),
        ("User-Agent", "siptwist"),
        ("Content-Length", "0"),
    )
    headers = [own_via(identity, binding.side, branch)]
    headers += [make_header(name, value) for name, value in pairs]
    return Request("OPTIONS", binding.contact, Headers(headers))
