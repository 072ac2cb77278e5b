"""
Digest access authentication (RFC 3261 section 22, RFC 7616, RFC 8760).
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Iterator
from dataclasses import dataclass

from siptwist.errors import MalformedHeader
from siptwist.sip.grammar import QUOTED, TOKEN, quote, unquote

MAX_PARAMETERS = 64

# The base algorithms, strongest first (RFC 8760 section 2.1), and hashlib's names.
# A Python built against an old OpenSSL lacks the first.
HASHES = {
    algorithm: name
    for algorithm, name in (("SHA-512-256", "sha512_256"), ("SHA-256", "sha256"), ("MD5", "md5"))
    if name in hashlib.algorithms_available
}
ALGORITHMS = tuple(HASHES)
_CANONICAL = {name.lower(): name for base in ALGORITHMS for name in (base, f"{base}-sess")}

_SCHEME = re.compile(r"[ \t]*digest(?:[ \t]+|\Z)", re.IGNORECASE)
# auth-param = token EQUAL ( token / quoted-string ).  Phones forget the quotes around uri.
_PARAM = re.compile(rf"({TOKEN})[ \t]*=[ \t]*({QUOTED}|[^\s\",]*)[ \t]*(?:,[ \t,]*|\Z)", re.DOTALL)
_NONCE_COUNT = re.compile(r"[0-9A-Fa-f]{1,8}")


def is_digest(text: str) -> bool:
    """
    Whether a challenge or credentials are of the Digest scheme.
    """
    return _SCHEME.match(text) is not None


def hash_hex(algorithm: str, data: bytes) -> str:
    """
    :param algorithm: one of :data:`ALGORITHMS`, with or without "-sess".
    :raises KeyError: when the algorithm is unknown.
    """
    name = HASHES[algorithm.removesuffix("-sess")]
    return hashlib.new(name, data, usedforsecurity=False).hexdigest()


def _hash_joined(algorithm: str, *parts: str) -> str:
    return hash_hex(algorithm, ":".join(parts).encode("utf-8", "surrogateescape"))


def ha1(algorithm: str, user: str, realm: str, password: str) -> str:
    """
    What a server may keep in place of a password (RFC 7616 section 3.4.2).
    """
    return _hash_joined(algorithm, user, realm, password)


def ha2(algorithm: str, method: str, uri: str, qop: str = "", body: bytes = b"") -> str:
    """
    The digest of the request (RFC 7616 section 3.4.3).
    """
    if qop == "auth-int":
        return _hash_joined(algorithm, method, uri, hash_hex(algorithm, body))
    return _hash_joined(algorithm, method, uri)


def response(
    algorithm: str,
    secret: str,
    nonce: str,
    request: str,
    qop: str = "",
    nc: str = "",
    cnonce: str = "",
) -> str:
    """
    The proof that one knows a password (RFC 7616 section 3.4.1).

    :param secret: HA1; the session key of a "-sess" algorithm is made here.
    :param request: HA2.
    :param nc: as written, eight hexadecimal digits.
    """
    if algorithm.endswith("-sess"):
        secret = _hash_joined(algorithm, secret, nonce, cnonce)
    if not qop:
        return _hash_joined(algorithm, secret, nonce, request)
    return _hash_joined(algorithm, secret, nonce, nc, cnonce, qop, request)


class _Parameters:
    """
    What challenges and credentials share: named parameters, kept as received.
    """

    __slots__ = ()
    parameters: tuple[tuple[str, str], ...]

    def get(self, name: str) -> str | None:
        """
        The value of a parameter without its quotes; None when it is missing.

        :param name: in lower case.
        """
        for found, value in self.parameters:
            if found.lower() == name:
                return unquote(value)
        return None

    def _text(self, name: str) -> str:
        return self.get(name) or ""

    @property
    def realm(self) -> str:
        return self._text("realm")

    @property
    def nonce(self) -> str:
        return self._text("nonce")

    @property
    def algorithm(self) -> str:
        """
        In the RFC's spelling when it is known; MD5 when it is missing.
        """
        name = self.get("algorithm")
        return "MD5" if name is None else _CANONICAL.get(name.lower(), name)

    def __str__(self) -> str:
        return "Digest " + ", ".join(f"{name}={value}" for name, value in self.parameters)


@dataclass(frozen=True, slots=True)
class Challenge(_Parameters):
    """
    A value of WWW-Authenticate or Proxy-Authenticate.
    """

    parameters: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, text: str, header: str = "WWW-Authenticate") -> Challenge:
        """
        :raises MalformedHeader: also when realm or nonce are missing.
        """
        challenge = cls(_parse_parameters(text, header))
        _require(challenge, ("realm", "nonce"), header, text)
        return challenge

    @classmethod
    def make(cls, realm: str, nonce: str, algorithm: str, stale: bool = False) -> Challenge:
        parameters = [
            ("realm", quote(realm)),
            ("nonce", quote(nonce)),
            ("algorithm", algorithm),
            ("qop", '"auth"'),
        ]
        if stale:
            parameters.append(("stale", "true"))
        return cls(tuple(parameters))

    @property
    def qop_options(self) -> tuple[str, ...]:
        return tuple(self._text("qop").lower().replace(",", " ").split())

    @property
    def stale(self) -> bool:
        return self._text("stale").lower() == "true"


@dataclass(frozen=True, slots=True)
class Credentials(_Parameters):
    """
    A value of Authorization or Proxy-Authorization.
    """

    parameters: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, text: str, header: str = "Authorization") -> Credentials:
        """
        :raises MalformedHeader: also when a parameter that the response is made
            of is missing, so that every property below is safe to read.
        """
        credentials = cls(_parse_parameters(text, header))
        _require(credentials, ("username", "realm", "nonce", "uri", "response"), header, text)
        if credentials.qop not in ("", "auth", "auth-int"):
            raise MalformedHeader(header, text)
        if credentials.qop:
            _require(credentials, ("cnonce", "nc"), header, text)
            if _NONCE_COUNT.fullmatch(credentials._text("nc")) is None:
                raise MalformedHeader(header, text)
        if credentials.algorithm.endswith("-sess"):
            _require(credentials, ("cnonce",), header, text)
        return credentials

    @property
    def username(self) -> str:
        return self._text("username")

    @property
    def uri(self) -> str:
        return self._text("uri")

    @property
    def qop(self) -> str:
        """
        ``"auth"``, ``"auth-int"``, or empty as in RFC 2069.
        """
        return self._text("qop").lower()

    @property
    def nonce_count(self) -> int:
        """
        How often the client has used the nonce; 0 without qop.
        """
        return int(self._text("nc"), 16) if self.qop else 0

    def verify(self, secret: str, method: str, body: bytes = b"") -> bool:
        """
        Whether the response was made by one who knows the password.

        :param secret: HA1 of the user by the algorithm of these credentials.
        :param method: of the request that carries them.
        """
        algorithm = self.algorithm
        if algorithm.lower() not in _CANONICAL:
            return False
        request = ha2(algorithm, method, self.uri, self.qop, body)
        expected = response(
            algorithm, secret, self.nonce, request, self.qop, self._text("nc"), self._text("cnonce")
        )
        given = self._text("response").lower().encode("utf-8", "surrogateescape")
        return hmac.compare_digest(expected.encode(), given)

    def verify_password(self, password: str, method: str, body: bytes = b"") -> bool:
        """
        :meth:`verify` for a server that keeps the password itself.
        """
        if self.algorithm.lower() not in _CANONICAL:
            return False
        return self.verify(ha1(self.algorithm, self.username, self.realm, password), method, body)


def _require(value: _Parameters, names: tuple[str, ...], header: str, text: str) -> None:
    for name in names:
        if value.get(name) is None:
            raise MalformedHeader(header, text)


def _parse_parameters(text: str, header: str) -> tuple[tuple[str, str], ...]:
    scheme = _SCHEME.match(text)
    if scheme is None:
        raise MalformedHeader(header, text)
    found = tuple(_read_parameters(text, scheme.end(), header))
    names = {name.lower() for name, _ in found}
    # Twice the same name: what we read and what another server reads might differ.
    if len(names) != len(found) or len(found) > MAX_PARAMETERS:
        raise MalformedHeader(header, text)
    return found


def _read_parameters(text: str, position: int, header: str) -> Iterator[tuple[str, str]]:
    end = len(text.rstrip(" \t,"))
    while position < end:
        match = _PARAM.match(text, position)
        if match is None:
            raise MalformedHeader(header, text)
        yield match[1], match[2]
        position = match.end()
