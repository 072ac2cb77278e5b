"""
Asks a STUN server what it sees of us (RFC 8489 sections 6.2 and 6.3).
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any

from twisted.internet.defer import Deferred

from siptwist.errors import SIPTwistError
from siptwist.sip import stun
from siptwist.sip.hop import Hop

#: Seconds until a request is repeated; twice as long each time (section 6.2.1).
RTO = 0.5
#: How often it is sent, and for how many times :data:`RTO` the last one is waited for.
SENDINGS, LAST_WAIT = 7, 16


class NoBinding(SIPTwistError):
    """
    A server did not tell our address; says why.
    """


class BindingClient:
    """
    Asks by way of somebody else's socket, who shows us what comes back.

    An answer is believed when it is from the very address that was asked, and has
    the transaction id that only the asked one has seen.

    :param clock: has timers.
    :param send: ``send(data, server)`` sends from the socket that is in question.
    :param random: ``random(n)`` returns n bytes that nobody can guess.
    """

    def __init__(
        self,
        clock: Any,
        send: Callable[[bytes, Hop], object],
        random: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._clock = clock
        self._send = send
        self._random = random
        self._questions: dict[bytes, _Question] = {}

    def ask(self, server: Hop) -> Deferred[Hop]:
        """
        :returns: fires with the address and port that ``server`` sees; fails with
            :class:`NoBinding`.  Who cancels it asks no more.
        """
        transaction = self._random(12)
        request = bytes(stun.Message(stun.REQUEST, transaction))
        question = _Question(
            self._clock, lambda: self._send(request, server), server, self._forget, transaction
        )
        self._questions[transaction] = question
        question.repeat()
        return question.answer

    def _forget(self, transaction: bytes) -> None:
        self._questions.pop(transaction, None)

    def stop(self) -> None:
        """
        Ask no more; nobody is told.
        """
        for question in list(self._questions.values()):
            question.stop()

    def take(self, data: bytes, source: Hop) -> bool:
        """
        Look at a datagram; whether it came from whom we asked and is about that.
        """
        if not stun.is_stun(data):
            return False
        question = self._questions.get(data[8 : stun.HEADER])
        if question is None or source[:2] != question.server[:2]:
            return False
        try:
            response = stun.Message.parse(data)
        except stun.MalformedSTUN:
            return True
        # What is damaged is as good as lost: it is asked again.
        if stun.has_good_fingerprint(data, response):
            question.take(response)
        return True


class _Question:
    """
    One transaction, until it is answered or hopeless.
    """

    def __init__(
        self,
        clock: Any,
        send: Callable[[], object],
        server: Hop,
        forget: Callable[[bytes], None],
        transaction: bytes,
    ) -> None:
        self._clock = clock
        self._send = send
        self.server = server
        self._forget = forget
        self._transaction = transaction
        self._sent = 0
        self._timer: Any = None
        self.answer: Deferred[Hop] = Deferred(lambda _: self.stop())

    def repeat(self) -> None:
        if self._sent == SENDINGS:
            self._fail(f"{self.server} does not answer")
            return
        self._sent += 1
        wait = LAST_WAIT if self._sent == SENDINGS else 2 ** (self._sent - 1)
        self._timer = self._clock.callLater(RTO * wait, self.repeat)
        self._send()

    def stop(self) -> None:
        self._forget(self._transaction)
        if self._timer is not None and self._timer.active():
            self._timer.cancel()

    def take(self, response: stun.Message) -> None:
        if response.type == stun.REFUSAL:
            self._fail(f"{self.server} refuses: {_status(response)}")
        elif response.type == stun.SUCCESS:
            try:
                found = stun.mapped_address(response)
            except stun.MalformedSTUN as error:
                self._fail(f"{self.server}: {error}")
                return
            is_same_kind = (":" in found.host) == (":" in self.server.host)
            if not is_same_kind or not is_public_enough(found.host):
                self._fail(f"{self.server} says that we are {found.host}")
                return
            self.stop()
            self.answer.callback(found)

    def _fail(self, why: str) -> None:
        self.stop()
        self.answer.errback(NoBinding(why))


def _status(response: stun.Message) -> str:
    code = dict(response.attributes).get(stun.ERROR_CODE, b"")
    return f"{code[2] & 7}{code[3]:02}" if len(code) >= 4 else "no status"


def is_public_enough(host: str) -> bool:
    """
    Whether ``host`` may be somebody's address in the eyes of another.
    """
    address = ip_address(host)
    is_nobody = address.is_unspecified or address.is_multicast or address.is_loopback
    is_broadcast = address.version == 4 and address.is_reserved
    return not (is_nobody or is_broadcast or address.is_link_local)
