"""
Questions to DNS: remembered, asked once however many wait, never too many.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import maybeDeferred
from twisted.names import client, error
from twisted.python.failure import Failure

from siptwist.logs import logger
from siptwist.net.records import (
    FAILURE,
    MAX_ALIASES,
    Answer,
    Kind,
    Record,
    after_failure,
    nothing,
    read_answer,
)

#: Seconds to wait before a query is sent again, and then before it has failed.
QUERY_TIMEOUTS = (1, 2)
#: Seconds after which a look-up has failed, however many name servers there are.
LOOKUP_SECONDS = 3.5

Question = tuple[Kind, str]
Listener = Callable[[], None]


def system_resolver(reactor: Any) -> client.Resolver:
    """
    A DNS client that asks the name servers of this machine.

    The reactor's own resolver would not do: it queues behind ten threads, and
    one server that hangs delays every call.
    """
    return client.Resolver(resolv="/etc/resolv.conf", timeout=QUERY_TIMEOUTS, reactor=reactor)


class Lookups:
    """
    What DNS has told, for as long as it holds.

    :param reactor: gives time.
    :param dns: has ``lookupAddress``, ``lookupService`` and so on, as
        ``twisted.names.client.Resolver``.
    :param in_flight: questions open at once; none is asked above it.
    :param remembered: answers kept, those used last.
    """

    _log = logger()

    def __init__(self, reactor: Any, dns: Any, in_flight: int = 64, remembered: int = 4096) -> None:
        self._reactor = reactor
        self._methods: dict[Kind, Callable[..., Any]] = {
            Kind.A: dns.lookupAddress,
            Kind.AAAA: dns.lookupIPV6Address,
            Kind.SRV: dns.lookupService,
            Kind.NAPTR: dns.lookupNamingAuthorityPointer,
        }
        self._limit = in_flight
        self._remembered = remembered
        self._answers: OrderedDict[Question, tuple[float, Answer]] = OrderedDict()
        self._listeners: dict[Question, dict[Listener, None]] = {}

    def __len__(self) -> int:
        return len(self._answers)

    @property
    def in_flight(self) -> int:
        return len(self._listeners)

    def find(self, kind: Kind, name: str) -> tuple[Record, ...] | Question:
        """
        The records of a name through its aliases, or the question that is open.
        """
        for _ in range(MAX_ALIASES):
            question = (kind, name)
            entry = self._answers.get(question)
            if entry is None or entry[0] <= self._reactor.seconds():
                return question
            self._answers.move_to_end(question)
            if not entry[1].alias:
                return entry[1].records
            name = entry[1].alias
        return ()

    def recall(self, question: Question) -> Answer | None:
        """
        What is known of a name itself, without its aliases.
        """
        entry = self._answers.get(question)
        return None if entry is None or entry[0] <= self._reactor.seconds() else entry[1]

    def ask(self, question: Question, listener: Listener) -> bool:
        """
        Look a question up, or wait with those who already asked it.

        :param listener: called when there is an answer, perhaps before this returns.
        :returns: False when too many questions are open.
        """
        listeners = self._listeners.get(question)
        if listeners is not None:
            listeners[listener] = None
            return True
        if len(self._listeners) >= self._limit:
            return False
        self._listeners[question] = {listener: None}
        self._look_up(question)
        return True

    def forget(self, question: Question, listener: Listener) -> None:
        """
        ``listener`` does not wait for the answer any longer; others may.
        """
        self._listeners.get(question, {}).pop(listener, None)

    def _look_up(self, question: Question) -> None:
        kind, name = question
        asked = maybeDeferred(self._methods[kind], name.encode("ascii"), QUERY_TIMEOUTS)
        asked.addTimeout(LOOKUP_SECONDS, self._reactor)
        asked.addCallback(lambda sections: read_answer(kind, name, sections[0], sections[1]))
        asked.addErrback(self._read_failure)
        asked.addCallback(partial(self._remember, question))
        asked.addErrback(lambda failure: self._log.failure("Bug in a look-up", failure))

    def _read_failure(self, failure: Failure) -> Answer:
        """
        "There is no such name" is an answer; anything else is none.
        """
        if failure.check(error.DNSNameError):
            message = next(iter(getattr(failure.value, "args", ())), None)
            return nothing(getattr(message, "authority", ()))
        self._log.debug("Look-up failed: {why}", why=failure.getErrorMessage())
        return FAILURE

    def _remember(self, question: Question, answer: Answer) -> None:
        previous = self._answers.pop(question, None)
        if answer.failed:
            answer = after_failure(question[0], previous[1] if previous else None)
        self._answers[question] = (self._reactor.seconds() + answer.ttl, answer)
        if len(self._answers) > self._remembered:
            self._answers.popitem(last=False)
        for listener in self._listeners.pop(question):
            listener()
