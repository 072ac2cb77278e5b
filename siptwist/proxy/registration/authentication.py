"""
Asks those who register here for a password, and believes an answer only once.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from siptwist.errors import MalformedURI
from siptwist.proxy.registration.passwords import Secret
from siptwist.sip.digest import Challenge, Credentials, is_digest
from siptwist.sip.uri import SIPURI

# What a nonce is refused for; the password was right, so the client may try again.
EXPIRED = "nonce expired"
REPLAYED = "nonce count seen before"
FORGED = "nonce is not ours"

_MAX_VALUES = 8
_NONCE = re.compile(r"([0-9a-f]{1,16})-([0-9a-f]{1,64})-([0-9a-f]{32})")


@dataclass(frozen=True, slots=True)
class Accepted:
    """
    The request comes from ``user``.
    """

    user: str


@dataclass(frozen=True, slots=True)
class Challenged:
    """
    Ask with these header values, in this order; ``why`` is for the log.
    """

    values: tuple[str, ...]
    stale: bool
    why: str


@dataclass(frozen=True, slots=True)
class Forbidden:
    """
    Answer 403: the user is known, and may not do this.
    """

    user: str
    why: str


Verdict = Accepted | Challenged | Forbidden


class NonceLedger:
    """
    Makes nonces and sees to it that each use of one counts once.

    A nonce proves itself (RFC 7616 section 5.4), so a challenge costs no memory;
    only nonces that somebody used with the right password are remembered.
    """

    WINDOW = 64

    def __init__(self, key: bytes, realm: str, lifetime: float = 300, limit: int = 10_000) -> None:
        """
        :param key: secret bytes of this run of the program.
        :param lifetime: seconds.
        :param limit: how many used nonces are remembered; of those forgotten
            early, and of all that are as old, none is taken again.
        """
        self._key = key
        self._realm = realm.encode("utf-8", "surrogateescape")
        self._lifetime = lifetime
        self._limit = limit
        # nonce -> (time of issue in ms, highest nc, bits of the nc below it)
        self._used: OrderedDict[str, tuple[int, int, int]] = OrderedDict()
        self._forgotten = 0

    def __len__(self) -> int:
        return len(self._used)

    def make(self, now: float, fresh: bytes) -> str:
        """
        :param now: seconds since the epoch.
        :param fresh: random bytes, at most 32.
        """
        stamp = f"{int(now * 1000):x}-{fresh.hex()}"
        return f"{stamp}-{self._seal(stamp)}"

    def use(self, nonce: str, count: int, now: float) -> str:
        """
        Count one use of a nonce whose response was right.

        :param count: the nc of the credentials; 0 when the client counts not,
            and then a nonce serves once.
        :returns: why the nonce is refused; empty when it is good.
        """
        issued = self._read(nonce)
        if issued is None:
            return FORGED
        if not 0 <= now * 1000 - issued + 1 <= self._lifetime * 1000:
            return EXPIRED
        known = self._used.get(nonce)
        if known is None:
            if issued <= self._forgotten:
                return EXPIRED
            self._forget(now)
            self._used[nonce] = (issued, count, 1)
            return ""
        _, highest, seen = known
        if count == 0 or highest == 0:
            return REPLAYED
        if count > highest:
            shift = min(count - highest, self.WINDOW)
            seen = (seen << shift | 1) & ((1 << self.WINDOW) - 1)
            self._used[nonce] = (issued, count, seen)
            return ""
        # UDP may swap two requests: lower counts are good if they are new.
        bit = 1 << (highest - count)
        if highest - count >= self.WINDOW or seen & bit:
            return REPLAYED
        self._used[nonce] = (issued, highest, seen | bit)
        return ""

    def _seal(self, stamp: str) -> str:
        mac = hmac.new(self._key, stamp.encode() + b"\0" + self._realm, hashlib.sha256)
        return mac.hexdigest()[:32]

    def _read(self, nonce: str) -> int | None:
        """
        When a nonce was made, in ms; None when we did not make it.
        """
        match = _NONCE.fullmatch(nonce)
        if match is None:
            return None
        stamp = f"{match[1]}-{match[2]}"
        return int(match[1], 16) if hmac.compare_digest(self._seal(stamp), match[3]) else None

    def _forget(self, now: float) -> None:
        """
        Make room for one more: drop what has expired, then the oldest.
        """
        oldest_good = (now - self._lifetime) * 1000
        while self._used:
            issued = next(iter(self._used.values()))[0]
            if issued >= oldest_good and len(self._used) < self._limit:
                return
            self._used.popitem(last=False)
            self._forgotten = max(self._forgotten, issued)


class Authenticator:
    """
    Decides whether a request proves who sent it (RFC 3261 section 22).
    """

    def __init__(
        self,
        realm: str,
        find_secret: Callable[[str], Secret | None],
        nonces: NonceLedger,
        algorithms: Sequence[str] = ("SHA-256", "SHA-512-256", "MD5"),
    ) -> None:
        """
        :param find_secret: what proves a user, or None for a stranger.
        :param algorithms: one challenge each, in this order.  RFC 8760 section
            2.4 puts the preferred first; some old phones read only the first.
        """
        self._realm = realm
        self._find_secret = find_secret
        self._nonces = nonces
        self._algorithms = tuple(algorithms)

    def check(
        self,
        method: str,
        request_uri: str,
        body: bytes,
        authorization: Sequence[str],
        aor_user: str | None,
        now: float,
        fresh: bytes,
        only_md5: bool = False,
    ) -> Verdict:
        """
        :param authorization: every Authorization value of the request.
        :param aor_user: the user part, unescaped, that the digest user must
            be: that of To in a REGISTER (RFC 3261 section 10.3 step 4).  None
            when any user will do.
        :param now: seconds since the epoch.
        :param fresh: random bytes for a nonce.
        :param only_md5: challenge for MD5 alone, if it is offered at all; what
            is accepted stays the same.
        :raises MalformedHeader: for Digest credentials that cannot be read.
        """
        credentials = self._choose(authorization)
        if credentials is None:
            return self._challenge(now, fresh, "no credentials for our realm", only_md5=only_md5)
        if not self._verify(credentials, method, body):
            # Unknown users get the same words: nobody learns who exists.
            return self._challenge(
                now, fresh, "wrong user, password or algorithm", only_md5=only_md5
            )
        refused = self._nonces.use(credentials.nonce, credentials.nonce_count, now)
        if refused:
            return self._challenge(now, fresh, refused, True, only_md5)
        user = credentials.username
        if not is_same_uri(credentials.uri, request_uri):
            return Forbidden(user, f"digest uri {credentials.uri!r} is not the Request-URI")
        if aor_user is not None and user != aor_user:
            return Forbidden(user, f"{user!r} may not register {aor_user!r}")
        return Accepted(user)

    def _choose(self, authorization: Sequence[str]) -> Credentials | None:
        for value in authorization[:_MAX_VALUES]:
            if is_digest(value):
                credentials = Credentials.parse(value)
                if credentials.realm == self._realm:
                    return credentials
        return None

    def _verify(self, credentials: Credentials, method: str, body: bytes) -> bool:
        """
        Take the same time whether or not the user exists.
        """
        algorithm = credentials.algorithm
        offered = algorithm.removesuffix("-sess") in self._algorithms
        secret = self._find_secret(credentials.username) if offered else None
        known = secret or _NOBODY
        hashed = known.ha1(algorithm, credentials.username, self._realm) if offered else None
        right = credentials.verify(hashed or "", method, body)
        return right and secret is not None and hashed is not None

    def _challenge(
        self, now: float, fresh: bytes, why: str, stale: bool = False, only_md5: bool = False
    ) -> Challenged:
        nonce = self._nonces.make(now, fresh)
        offered = self._algorithms
        if only_md5 and "MD5" in offered:
            offered = ("MD5",)
        values = tuple(
            str(Challenge.make(self._realm, nonce, algorithm, stale)) for algorithm in offered
        )
        return Challenged(values, stale, why)


_NOBODY = Secret(password="")


def is_same_uri(one: str, other: str) -> bool:
    """
    Whether a digest uri means the Request-URI: the same text, or the same user,
    host and port.  Phones leave parameters and the default port out.
    """
    if one == other:
        return True
    try:
        left, right = SIPURI.parse(one), SIPURI.parse(other)
    except MalformedURI:
        return False
    return (left.scheme, left.aor) == (right.scheme, right.aor)
