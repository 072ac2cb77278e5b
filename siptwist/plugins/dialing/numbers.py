"""
Numbers and addresses as the options of plugins give them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from siptwist.errors import MalformedURI
from siptwist.sip.uri import SIPURI

# user = 1*( unreserved / escaped / user-unreserved )  (RFC 3261 section 25.1)
_USER = re.compile(r"(?:[A-Za-z0-9_.!~*'()&=+$,;?/-]|%[0-9A-Fa-f]{2})+")


def number(value: str) -> str:
    """
    What can be dialed: the user of a SIP URI.
    """
    if not _USER.fullmatch(value):
        raise ValueError(f"{value!r} is not a number or name that can be dialed")
    return value


def address(value: str) -> str:
    """
    A SIP URI that can be called.
    """
    try:
        uri = SIPURI.parse(value)
    except MalformedURI:
        uri = None
    if uri is None or not uri.user or uri.scheme == "sips" or uri.headers:
        raise ValueError(f"{value!r} is not like sip:user@host")
    return value


@dataclass(frozen=True, slots=True)
class Extension:
    """
    ``user`` or ``user@host``; ``place`` is a URI of the host, if there is one.
    """

    user: str
    place: SIPURI | None

    def __str__(self) -> str:
        place = self.place
        if place is None:
            return self.user
        port = "" if place.port is None else f":{place.port}"
        return f"{self.user}@{place.host}{port}"

    def of(self, dialed: SIPURI) -> SIPURI:
        """
        What is called by this when ``dialed`` was dialed: the same host with what is
        said about it, unless this names another.
        """
        if self.place is None:
            return dialed._replace(user=self.user)
        return self.place._replace(user=self.user)


def extension(value: str) -> Extension:
    """
    A number, with or without a host; the "@" alone is as good as none.
    """
    user, _, host = value.partition("@")
    number(user)
    if not host:
        return Extension(user, None)
    try:
        place = SIPURI.parse(f"sip:{host}")
    except MalformedURI:
        place = None
    if place is None or place.user is not None or place.parameters or place.headers:
        raise ValueError(f"{host!r} is not a host, or host:port")
    return Extension(user, place)
