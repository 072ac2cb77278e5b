"""
SIP and SIPS URIs (RFC 3261 section 19.1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from siptwist.errors import MalformedURI
from siptwist.sip.grammar import HOST, REMEMBERED

# Nowhere in a URI: control characters, space, and what sets it off from a header.
_NOT = r"\x00-\x20\x7f<>\""
# SIP-URI = "sip:" [ userinfo ] hostport uri-parameters [ headers ]
_URI = re.compile(
    rf"(sips?):(?:([^@{_NOT}]*)@)?({HOST})(?::([0-9]{{1,5}}))?(;[^?@{_NOT}]*)?(\?[^@{_NOT}]*)?",
    re.IGNORECASE | re.ASCII,
)
# user = 1*( unreserved / escaped / user-unreserved ); "#" and friends are seen
# in the wild (star codes with a hash) and do no harm.
_USERINFO = re.compile(
    rf"((?:[^%:@{_NOT}]|%[0-9A-Fa-f]{{2}})+)(?::((?:[^%:@{_NOT}]|%[0-9A-Fa-f]{{2}})*))?"
)
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*):")
_ANY_URI = re.compile(rf"[A-Za-z][A-Za-z0-9+.\-]*:[^{_NOT}]+")
# A longer host is no name (RFC 1035 section 2.3.4).
_HOST_LENGTH = 255
_DEFAULTS = {"sip": 5060, "sips": 5061}


def scheme_of(text: str) -> str:
    """
    The scheme of any URI, in lower case.

    :raises MalformedURI: when there is none.
    """
    match = _SCHEME.match(text)
    if match is None:
        raise MalformedURI("Malformed URI")
    return match[1].lower()


def is_uri(text: str) -> bool:
    """
    Whether this has the shape of a URI of whatever scheme (RFC 3986).
    """
    return _ANY_URI.fullmatch(text) is not None


@lru_cache(maxsize=1024)
def _split_parameters(text: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for piece in text.split(";")[1:]:
        name, _, value = piece.partition("=")
        found.setdefault(unquote(name).lower(), value)
    return found


def _parameters_of(uri: SIPURI) -> Mapping[str, str]:
    text = uri.parameters
    if len(text) <= REMEMBERED:
        return _split_parameters(text)
    return _split_parameters.__wrapped__(text)


class SIPURI(NamedTuple):
    """
    A parsed SIP or SIPS URI.

    ``user`` and ``password`` keep their escapes; ``host`` keeps the brackets of
    an IPv6 reference; ``parameters`` and ``headers`` keep their first ";" or "?".
    """

    scheme: str
    user: str | None
    host: str
    port: int | None = None
    parameters: str = ""
    headers: str = ""
    password: str | None = None

    @classmethod
    def parse(cls, text: str) -> SIPURI:
        """
        :raises MalformedURI: for anything but a SIP or SIPS URI.
        """
        return _parse(text) if len(text) <= REMEMBERED else _parse.__wrapped__(text)

    @property
    def address(self) -> str:
        """
        The host without brackets, in lower case.
        """
        return self.host.strip("[]").lower()

    @property
    def effective_port(self) -> int:
        return self.port or _DEFAULTS[self.scheme]

    @property
    def transport(self) -> str | None:
        value = self.parameter("transport")
        return value.upper() if value else None

    def parameter(self, name: str) -> str | None:
        """
        A parameter's value, "" for a flag, ``None`` when it is absent.
        """
        return _parameters_of(self).get(name) if self.parameters else None

    @property
    def aor(self) -> str:
        """
        The canonical address-of-record (RFC 3261 section 10.3 step 5): no
        parameters, password or default port, the host in lower case, the
        user's needless escapes undone.
        """
        port = f":{self.port}" if self.port and self.port != _DEFAULTS[self.scheme] else ""
        user = f"{canonical_user(self.user)}@" if self.user else ""
        return f"sip:{user}{self.host.lower()}{port}"

    def without_headers(self) -> SIPURI:
        return self._replace(headers="") if self.headers else self

    def __str__(self) -> str:
        user = ""
        if self.user is not None:
            secret = "" if self.password is None else f":{self.password}"
            user = f"{self.user}{secret}@"
        port = "" if self.port is None else f":{self.port}"
        return f"{self.scheme}:{user}{self.host}{port}{self.parameters}{self.headers}"


def _parse_uncached(text: str) -> SIPURI:
    match = _URI.fullmatch(text)
    if match is None:
        raise MalformedURI("Malformed URI")
    scheme, userinfo, host, port, parameters, headers = match.groups()
    user = password = None
    if userinfo is not None:
        parts = _USERINFO.fullmatch(userinfo)
        if parts is None:
            raise MalformedURI("Malformed user in URI")
        user, password = parts.groups()
    if len(host) > _HOST_LENGTH:
        raise MalformedURI("Host too long in URI")
    number = int(port) if port else None
    if number is not None and number > 65535:
        raise MalformedURI("Port out of range in URI")
    return SIPURI(scheme.lower(), user, host, number, parameters or "", headers or "", password)


_parse = lru_cache(maxsize=1024)(_parse_uncached)


def canonical_user(user: str) -> str:
    """
    Undo escapes of characters that need none, so that equal users are equal
    text (RFC 3261 section 19.1.4).  ``%00`` stays: it is a different user.
    """
    if "%" not in user:
        return user

    def plain(match: re.Match[str]) -> str:
        character = chr(int(match[1], 16))
        return (
            character
            if character.isascii() and (character.isalnum() or character in "-_.!~*'()&=+$,;?/")
            else match[0].upper()
        )

    return re.sub("%([0-9A-Fa-f]{2})", plain, user)


def _mandatory(uri: SIPURI) -> dict[str, str]:
    found = _parameters_of(uri) if uri.parameters else {}
    return {name: unquote(value).lower() for name, value in found.items()}


def equal(one: SIPURI, other: SIPURI) -> bool:
    """
    Whether two URIs are equivalent (RFC 3261 section 19.1.4).
    """
    if (one.scheme, one.host.lower(), one.port) != (other.scheme, other.host.lower(), other.port):
        return False
    if canonical_user(one.user or "") != canonical_user(other.user or ""):
        return False
    if one.password != other.password or (one.user is None) != (other.user is None):
        return False
    mine, theirs = _mandatory(one), _mandatory(other)
    for name in ("user", "ttl", "method", "maddr", "transport"):
        if mine.get(name) != theirs.get(name):
            return False
    if any(mine[name] != theirs[name] for name in mine.keys() & theirs.keys()):
        return False
    return sorted(one.headers[1:].lower().split("&")) == sorted(
        other.headers[1:].lower().split("&")
    )
