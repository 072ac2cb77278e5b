"""
Lets calls that run follow when our address changes.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from functools import partial

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall

from siptwist.errors import SIPError
from siptwist.interfaces import IMediaBackend
from siptwist.logs import logger
from siptwist.media.stream import CallKey, Party
from siptwist.proxy.core import Core
from siptwist.proxy.identity import Identity
from siptwist.proxy.masquerade import Masquerade, Phone, own_record_route
from siptwist.proxy.session.dialogs import Dialog
from siptwist.proxy.session.ends import End
from siptwist.proxy.session.negotiation import Negotiation
from siptwist.proxy.session.renewal import (
    answer_of,
    changed_hosts,
    ends_of,
    has_moved,
    is_busy,
    readdressed,
    timer_fields,
)
from siptwist.services.serving.mediation import Mediation
from siptwist.services.serving.speaking import Say, Speaking
from siptwist.sip.fields import NameAddr
from siptwist.sip.headers import Header, Headers, make_header
from siptwist.sip.hop import Side
from siptwist.sip.message import Response, cseq_of
from siptwist.sip.transaction import ClientTransaction

# How many calls are told at a time, and seconds between two times.
BATCH, STEP = 20, 0.1
# An end that is busy is asked again after so many seconds (RFC 3261 section 14.1), and
# so often.
RETRY_SECONDS, TRIES = 3.0, 4
# Glare, and what ends say that have not finished with another request.
_BUSY = frozenset({491, 500, 503})


@dataclass(slots=True)
class Renewal:
    """
    ``party`` of a call is to be told where we are; ``offered`` is how.
    """

    key: CallKey
    party: Party
    due: float
    tries: int = 0
    offered: bytes = b""
    is_answered: bool = False


class Renewing(Service):
    """
    Moves the sockets of all calls, and tells those ends that sent to the old
    address, in the place of the other ends.
    """

    name = "renewing"
    _log = logger()

    def __init__(
        self,
        reactor: IReactorTime,
        core: Core,
        negotiation: Negotiation,
        mediation: Mediation,
        media: IMediaBackend,
        masquerade: Masquerade,
        speaking: Speaking,
    ) -> None:
        self._reactor = reactor
        self._core = core
        self._negotiation = negotiation
        self._mediation = mediation
        self.media = media
        self._masquerade = masquerade
        self._speaking = speaking
        # In the order of their time: whoever is put off waits as long as all others.
        self._waiting: deque[Renewal] = deque()
        self._hosts: dict[Side, dict[str, str]] = {side: {} for side in Side}
        self._stepping = LoopingCall(self._step)
        self._stepping.clock = reactor

    def stopService(self) -> None:
        super().stopService()
        if self._stepping.running:
            self._stepping.stop()

    def move(self, old: Identity, new: Identity) -> None:
        """
        We were ``old``, and are ``new``.
        """
        for side in Side:
            if has_moved(old, new, side):
                self.media.move(side)
            hosts = changed_hosts(old, new, side)
            if hosts:
                self._learn(self._hosts[side], hosts)
                self._enroll(side)
        if self._waiting and not self._stepping.running:
            self._stepping.start(STEP)

    def _learn(self, known: dict[str, str], hosts: dict[str, str]) -> None:
        for before, after in known.items():
            known[before] = hosts.get(after, after)
        known.update(hosts)

    def _enroll(self, side: Side) -> None:
        now = self._reactor.seconds()
        waiting = {(one.key, one.party) for one in self._waiting}
        found = [
            Renewal(dialog.key, party, now)
            for dialog in self._negotiation.dialogs
            for party in Party
            if dialog.key.side(party) is side and (dialog.key, party) not in waiting
        ]
        self._waiting.extendleft(found)

    def _step(self) -> None:
        now = self._reactor.seconds()
        for _ in range(BATCH):
            if not self._waiting or self._waiting[0].due > now:
                break
            self._try(self._waiting.popleft())
        if not self._waiting:
            self._stepping.stop()

    def _try(self, renewal: Renewal) -> None:
        try:
            self._renew(renewal)
        except SIPError as error:
            self._give_up(renewal, error.reason)
        except Exception:
            self._log.failure("Renewing {call_id!r}", call_id=renewal.key.call_id)

    def _renew(self, renewal: Renewal) -> None:
        dialog = self._negotiation.dialogs.by_key(renewal.key)
        ends = ends_of(dialog, renewal.party) if dialog else None
        if dialog is None or ends is None:
            return
        end, sender = ends
        told = dialog.told.get(renewal.party)
        if told is None or not end.may_be_invited:
            return
        if is_busy(dialog):
            self._put_off(renewal, "another offer is open")
            return
        body = readdressed(told, self._hosts[end.side])
        if body != told:
            use = partial(self._invite, renewal, dialog, end, sender, body)
            self._speaking.find(end, sender.name, dialog.key.call_id, dialog.created_at, use)

    def _invite(
        self, renewal: Renewal, dialog: Dialog, end: End, sender: End, body: bytes, say: Say
    ) -> None:
        key, party = renewal.key, renewal.party
        if self._negotiation.dialogs.by_key(key) is not dialog:
            return
        numbers = self._negotiation.dialogs.renumbering
        number = numbers.use(key, party.other, dialog.number(party.other))
        renewal.offered = body
        dialog.offered_by = party.other
        more = (
            self._contact(end, sender),
            own_record_route(self._core.identity.toward(end.side, end.hop.host), end.side),
            *([sender.allow] if sender.allow else []),
            *timer_fields(dialog, party.other),
            make_header("Content-Type", "application/sdp"),
        )
        versioned = numbers.raise_version(body, key, party.other)
        say("INVITE", number, more, versioned, renewal, self)

    def _contact(self, end: End, sender: End) -> Header:
        """
        The Contact of ``sender`` as ``end`` is to know it.
        """
        contact = sender.contact or make_header("Contact", f"<{sender.target}>")
        if not sender.is_phone or end.is_phone:
            return contact
        aor = NameAddr.parse(sender.name[1]).aor
        phone = Phone(aor, sender.hop, sender.side, sender.mask)
        changes: dict[str, tuple[Header, ...]] = {}
        self._masquerade.outgoing(
            changes, Headers([contact]), phone, self._core.identity, self._reactor.seconds()
        )
        (masked,) = changes.get("contact", (contact,))
        return masked

    # Answers

    def response_arrived(self, transaction: ClientTransaction, response: Response) -> None:
        """
        The end said something to our INVITE.
        """
        if response.status < 200:
            return
        renewal: Renewal = transaction.user
        dialog = self._negotiation.dialogs.by_key(renewal.key)
        if response.status < 300:
            self._acknowledge(renewal, dialog, transaction, response)
            return
        self._close_offer(dialog)
        if response.status in _BUSY:
            self._put_off(renewal, str(response.status))
        else:
            self._give_up(renewal, str(response.status))

    def timed_out(self, transaction: ClientTransaction) -> None:
        """
        The end did not answer.
        """
        renewal: Renewal = transaction.user
        self._close_offer(self._negotiation.dialogs.by_key(renewal.key))
        self._give_up(renewal, "no answer")

    def refused(self, transaction: ClientTransaction) -> None:
        """
        The end is gone.
        """
        self.timed_out(transaction)

    def _acknowledge(
        self,
        renewal: Renewal,
        dialog: Dialog | None,
        transaction: ClientTransaction,
        response: Response,
    ) -> None:
        """
        A 2xx, and each of its repetitions, gets its ACK; the first one is the answer.
        """
        ends = ends_of(dialog, renewal.party) if dialog else None
        if dialog is None or ends is None:
            return
        end, sender = ends
        end = end._replace(contact=response.headers.first.get("contact", end.contact))
        number = cseq_of(response).number
        self._speaking.find(
            end,
            sender.name,
            dialog.key.call_id,
            dialog.created_at,
            lambda say: say("ACK", number),
        )
        if renewal.is_answered:
            return
        renewal.is_answered = True
        dialog.told[renewal.party] = renewal.offered
        self._close_offer(dialog)
        identity = self._core.identity.toward(sender.side, sender.hop.host)
        ours = identity.facing(sender.side).host
        found = answer_of(renewal.key, renewal.party, response, transaction.hop.host, ours)
        if found is not None:
            self._mediation.heard(found, sender.hop.host)
        self._log.info("{call_id!r} goes on at our new address", call_id=dialog.key.call_id)

    def _close_offer(self, dialog: Dialog | None) -> None:
        if dialog is not None:
            dialog.offered_by = None

    def _put_off(self, renewal: Renewal, why: str) -> None:
        if renewal.tries + 1 >= TRIES:
            self._give_up(renewal, why)
            return
        renewal.tries += 1
        renewal.due = self._reactor.seconds() + RETRY_SECONDS
        self._waiting.append(renewal)
        if not self._stepping.running and self.running:
            self._stepping.start(STEP)

    def _give_up(self, renewal: Renewal, why: str) -> None:
        self._log.info(
            "{call_id!r} cannot be told our new address: {why}",
            call_id=renewal.key.call_id,
            why=why,
        )
