"""
Keeps the users' passwords and the key of the nonces; answers who may register.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import unquote

from twisted.application.service import Service

from siptwist.errors import ConfigError, Problem
from siptwist.logs import logger
from siptwist.proxy.decision import Reply
from siptwist.proxy.registration.authentication import (
    Authenticator,
    Challenged,
    Forbidden,
    NonceLedger,
    Verdict,
)
from siptwist.proxy.registration.oldphones import OldPhones
from siptwist.proxy.registration.passwords import Secret, parse_passwords, usable_algorithms
from siptwist.proxy.ticket import Ticket
from siptwist.sip.digest import Credentials, is_digest

#: Seconds between two looks at the password file, at most one a look-up.
RECHECK_SECONDS = 5.0

_Stamp = tuple[int, int, int]


class AuthenticationService(Service):
    """
    Verifies digest credentials against a file of users or one password for all.

    The file is read when the service starts, and again when it has changed.  A
    changed file that cannot be used is reported once; the old users stay.

    :param reactor: gives the time.
    :param realm: of the challenges.
    :param password: of every user; only without ``password_file``, so that who
        was taken out of the file is out.
    :param password_file: its name, or empty.
    :param algorithms: in the order of the challenges.
    :param nonce_lifetime: seconds.
    :param random: ``random(n)`` returns n bytes nobody can guess.
    """

    name = "authentication"
    _log = logger()

    def __init__(
        self,
        reactor: Any,
        realm: str,
        password: str = "",
        password_file: str = "",
        algorithms: Sequence[str] = ("SHA-256", "SHA-512-256", "MD5"),
        nonce_lifetime: float = 300,
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self._reactor = reactor
        self._realm = realm
        self._everybody = Secret(password) if password else None
        self._file = password_file
        self._algorithms = tuple(algorithms)
        self._random = random
        self._nonces = NonceLedger(random(32), realm, nonce_lifetime)
        self._stamp: _Stamp | None = None
        self._looked_at = 0.0
        self._old_phones = OldPhones()
        self._authenticator = self._authenticate_by(lambda user: self._everybody, algorithms)

    def privilegedStartService(self) -> None:
        """
        Read the file while we may.

        :raises ConfigError: when it cannot be used.
        """
        super().privilegedStartService()
        if self._file:
            self._looked_at = self._reactor.seconds()
            self._stamp = _stamp(self._file)
            self.read()

    def refusal(self, ticket: Ticket) -> Reply | None:
        """
        The answer to a REGISTER that does not prove who sent it, or ``None``.
        """
        user = unquote(ticket.to.uri.user or "") if ticket.to.is_sip else ""
        return self._judge(ticket, user, "authorization", 401, "WWW-Authenticate")

    def admit(self, ticket: Ticket, user: str | None) -> Reply | Ticket:
        """
        The answer to another request that does not prove who sent it (RFC 3261
        section 22.3), or the request without the proof, which is nobody else's
        business.

        :param user: who it must be; ``None`` when anybody in our file will do.
        """
        header = "proxy-authorization"
        refusal = self._judge(ticket, user, header, 407, "Proxy-Authenticate")
        if refusal is not None:
            return refusal
        request, foreign = ticket.request, []
        for field in request.headers.fields(header):
            if not (is_digest(field[1]) and Credentials.parse(field[1]).realm == self._realm):
                foreign.append(field)
        headers = request.headers.replaced({header: tuple(foreign)})
        return ticket.with_request(request._replace(headers=headers))

    def _judge(
        self, ticket: Ticket, user: str | None, header: str, status: int, challenge: str
    ) -> Reply | None:
        authorization = ticket.request.headers.lines(header)
        verdict = self.check(
            ticket.method,
            ticket.request.uri,
            ticket.request.body,
            authorization,
            user,
            self._is_old(ticket, user or "", bool(authorization)),
        )
        self._log.debug(
            "{aor!r} from {source}: {verdict} {why} [{call_id}]",
            aor=str(ticket.from_.uri),
            source=str(ticket.source),
            verdict=type(verdict).__name__,
            why=getattr(verdict, "why", ""),
            call_id=ticket.call_id,
        )
        if isinstance(verdict, Challenged):
            challenges = tuple((challenge, value) for value in verdict.values)
            return Reply(status, headers=challenges, why=verdict.why)
        if isinstance(verdict, Forbidden):
            return Reply(403, why=verdict.why)
        return None

    def check(
        self,
        method: str,
        request_uri: str,
        body: bytes,
        authorization: Sequence[str],
        aor_user: str | None,
        only_md5: bool = False,
    ) -> Verdict:
        """
        See :meth:`siptwist.proxy.registration.authentication.Authenticator.check`.
        """
        now = self._reactor.seconds()
        if self._file and now - self._looked_at >= RECHECK_SECONDS:
            self._looked_at = now
            self._read_if_changed()
        return self._authenticator.check(
            method, request_uri, body, authorization, aor_user, now, self._random(8), only_md5
        )

    def _is_old(self, ticket: Ticket, user: str, has_credentials: bool) -> bool:
        """
        Whether the phone is to be asked for MD5 alone.
        """
        host, agent = ticket.source.host, ticket.request.headers.get("user-agent") or ""
        if has_credentials:
            self._old_phones.answered(host, user)
            return self._old_phones.is_known(agent)
        return self._old_phones.is_old(host, user, agent, ticket.call_id, ticket.cseq.number)

    def _read_if_changed(self) -> None:
        stamp = _stamp(self._file)
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self.read()
        except ConfigError as error:
            self._log.error("Password file not read again, old users stay: {error}", error=error)
        else:
            self._log.info("Password file {file} read again", file=self._file)

    def read(self) -> None:
        """
        Read the password file.

        :raises ConfigError: when it cannot be used.
        """
        self.prepare()()

    def prepare(self) -> Callable[[], None]:
        """
        Read the password file; what is returned puts it into effect.

        :raises ConfigError: when it cannot be used.
        """
        if not self._file:
            return lambda: None
        stamp = _stamp(self._file)
        authenticator = self._load()

        def commit() -> None:
            self._stamp, self._authenticator = stamp, authenticator

        return commit

    def _load(self) -> Authenticator:
        try:
            with open(self._file, encoding="utf-8", errors="surrogateescape") as file:
                text = file.read()
        except OSError as error:
            raise self._unusable(f"cannot be read: {error.strerror}") from error
        users = parse_passwords(text, self._file)
        algorithms = usable_algorithms(users.values(), self._realm, self._algorithms)
        if not algorithms:
            raise self._unusable(
                f"some user has no hash for realm {self._realm!r} by any of "
                f"{', '.join(self._algorithms)}, or the users have no algorithm in common"
            )
        return self._authenticate_by(users.get, algorithms)

    def _unusable(self, text: str) -> ConfigError:
        return ConfigError((Problem(self._file, 0, "proxy_auth_pwfile", text),))

    def _authenticate_by(
        self, find_secret: Callable[[str], Secret | None], algorithms: Sequence[str]
    ) -> Authenticator:
        return Authenticator(self._realm, find_secret, self._nonces, algorithms)


def _stamp(file: str) -> _Stamp | None:
    """
    What changes when a file does; None when there is no such file.
    """
    try:
        status = os.stat(file)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino
