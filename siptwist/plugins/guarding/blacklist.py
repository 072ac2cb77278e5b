"""
Shuts out those who try passwords.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import NamedTuple

from zope.interface import implementer

from siptwist.errors import MalformedMessage, SIPTwistError
from siptwist.net.guarding.offenses import OffenseFile
from siptwist.options import one_of, option, switch, text, whole
from siptwist.plugins.guarding.offenders import Offenders
from siptwist.plugins.plugin import House, PluginMaker, only
from siptwist.plugins.stages import ILifetime, IPostProxy, IResponse, ITimer, IValidate
from siptwist.proxy.decision import Drop, Reply
from siptwist.proxy.passage import Passage
from siptwist.proxy.ticket import Ticket
from siptwist.sip.digest import Challenge, is_digest
from siptwist.sip.headers import Headers
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Response

_SECONDS = whole(0, 2**31 - 1)
#: Requests whose answer is waited for, at most, and providers that are remembered.
WAITING, PROVIDERS = 10_000, 1_000
#: Seconds between two looks for those who have been silent for long, at most.
EXPIRE_SECONDS = 60.0

# The headers that ask for a password.
_CHALLENGES = ("www-authenticate", "proxy-authenticate")
# Refusals of a REGISTER that say whom there is, and whom not.
_TELLING = (403, 404)


@dataclass(frozen=True, slots=True)
class BlacklistOptions:
    """
    ``plugin_blacklist_dbpath`` and its like.
    """

    dbpath: str = option(
        "/var/lib/siproxd/blacklist.sqlite", text, "SQLite file of those who are shut out"
    )
    db_sync_mode: str = option(
        "off", one_of("off", "normal", "full", "extra"), "PRAGMA synchronous of that file"
    )
    simulate: bool = option(False, switch, "say who would be shut out, and shut out nobody")
    duration: int = option(3600, _SECONDS, "seconds of silence until it is forgotten; 0 = never")
    hitcount: int = option(10, _SECONDS, "failures that are forgiven")
    register_window: int = option(30, _SECONDS, "seconds until the answer to a REGISTER")
    answer: str = option("403", one_of("403", "drop"), "what they hear; drop is nothing")


class _Attempt(NamedTuple):
    """
    A request that may turn out to be an attack.
    """

    uri: str
    at: float
    has_credentials: bool


@implementer(IValidate, IResponse, IPostProxy, ITimer, ILifetime)
class Blacklist:
    """
    Counts refusals by address.  Anybody can write any address as his own, so what is
    counted against one shuts out neither a provider nor who is registered from it.
    """

    interval = 5.0

    def __init__(self, options: BlacklistOptions, house: House) -> None:
        self._options = options
        self._house = house
        self._log = house.log
        self._offenders = Offenders(options.hitcount, options.duration)
        self._file: OffenseFile | None = None
        self._attempts: OrderedDict[tuple[str, str, int, str], _Attempt] = OrderedDict()
        self._providers: set[str] = set()
        self._told: set[str] = set()
        self._next_expiry = 0.0
        self._complaint = ""

    def start(self) -> None:
        self._file = OffenseFile(self._options.dbpath, self._options.db_sync_mode)
        self._offenders.load(self._file.load())

    def stop(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            self._save(file)
            file.close()

    # Requests

    def validate(self, ticket: Ticket) -> Reply | Drop | None:
        if ticket.source.host in self._offenders.hosts:
            refusal = self._judge(ticket)
            if refusal is not None:
                return refusal
        method, first = ticket.method, ticket.request.headers.first
        if method == "REGISTER":
            self._expect(ticket, "authorization" in first or "proxy-authorization" in first)
        elif "proxy-authorization" in first and method != "ACK":
            self._expect(ticket, True)
        return None

    def _expect(self, ticket: Ticket, has_credentials: bool) -> None:
        key = ticket.source.host, ticket.call_id, ticket.cseq.number, ticket.method
        self._attempts[key] = _Attempt(ticket.from_.uri_text, ticket.now, has_credentials)
        if len(self._attempts) > WAITING:
            self._attempts.popitem(last=False)

    def _judge(self, ticket: Ticket) -> Reply | Drop | None:
        host, uri = ticket.source.host, ticket.from_.uri_text
        is_barred = self._offenders.is_barred(host, uri)
        if not (is_barred or self._offenders.has_failed_too_often(host)):
            return None
        if not is_barred and self._is_one_of_us(ticket):
            return None
        self._offenders.see(host, ticket.now)
        self._tell(host, uri)
        if self._options.simulate:
            return None
        if self._options.answer == "drop":
            return Drop("blacklist")
        return Reply(403, why="blacklist")

    def _is_one_of_us(self, ticket: Ticket) -> bool:
        """
        A provider of ours, somebody who has registered from there, or a call that runs.
        """
        host, house = ticket.source.host, self._house
        if host in self._providers:
            return True
        if ticket.in_dialog and house.dialogs.by_call_id(ticket.call_id):
            return True
        bindings = house.locations.lookup(ticket.from_.aor, ticket.now)
        return any(binding.source.host == host for binding in bindings)

    def _tell(self, host: str, uri: str) -> None:
        if host in self._told:
            return
        self._told.add(host)
        self._log.warn(
            "{host} ({uri!r}) {is_blocked} shut out: {count} failures",
            host=host,
            uri=uri,
            is_blocked="would be" if self._options.simulate else "is",
            count=self._offenders.count(host),
        )

    # Answers

    @only(methods=("REGISTER",))
    def response(self, response: Response, passage: Passage) -> None:
        is_taken = 200 <= response.status < 300
        if is_taken and len(self._providers) < PROVIDERS:
            self._providers.add(passage.hop.host)

    @only(kind=Response)
    def post_proxy(self, message: Response, hop: Hop, side: Side) -> None:
        if not self._attempts or message.status < 200:
            return
        headers = message.headers
        cseq = headers.cseq
        key = hop.host, headers.get("call-id") or "", cseq.number, cseq.method
        attempt = self._attempts.pop(key, None)
        if attempt is None or self._house.now() - attempt.at > self._options.register_window:
            return
        if message.status < 300:
            self._offenders.succeed(hop.host, attempt.uri)
        elif is_attack(message, cseq.method, attempt.has_credentials):
            self._offenders.fail(hop.host, attempt.uri, self._house.now())

    # Time

    def timer(self, now: float) -> None:
        limit = now - self._options.register_window
        while self._attempts and next(iter(self._attempts.values())).at < limit:
            self._attempts.popitem(last=False)
        if now >= self._next_expiry:
            self._next_expiry = now + min(EXPIRE_SECONDS, self._options.duration or EXPIRE_SECONDS)
            self._told.clear()
            self._offenders.expire(now)
        if self._file is not None and self._save(self._file):
            self._read_again(self._file)

    def _save(self, file: OffenseFile) -> bool:
        """
        Write what has changed; what cannot be written is written the next time.
        """
        try:
            if self._offenders.changed:
                file.write(self._offenders.changed)
        except SIPTwistError as error:
            self._complain(str(error))
            return False
        self._offenders.changed.clear()
        return True

    def _read_again(self, file: OffenseFile) -> None:
        """
        An operator may have entered or deleted somebody.
        """
        try:
            if file.is_changed():
                self._offenders.load(file.load())
        except SIPTwistError as error:
            self._complain(str(error))
        else:
            self._complaint = ""

    def _complain(self, text: str) -> None:
        if text != self._complaint:
            self._complaint = text
            self._log.error("{text}", text=text)


def is_attack(response: Response, method: str, has_credentials: bool) -> bool:
    """
    Whether a refusal says that somebody tries passwords or accounts: not when he was
    asked for the first time, nor when his nonce was merely too old.
    """
    if response.status in (401, 407):
        return has_credentials and not _is_stale(response.headers)
    return method == "REGISTER" and response.status in _TELLING


def _is_stale(headers: Headers) -> bool:
    for name in _CHALLENGES:
        for value in headers.lines(name):
            try:
                if is_digest(value) and Challenge.parse(value).stale:
                    return True
            except MalformedMessage:
                continue
    return False


blacklist = PluginMaker("blacklist", Blacklist, BlacklistOptions)
