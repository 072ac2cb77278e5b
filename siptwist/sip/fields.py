"""
Typed views of header values, parsed where something must be decided.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from siptwist.errors import MalformedHeader, MalformedURI
from siptwist.sip.grammar import (
    HOST,
    QUOTED,
    REMEMBERED,
    TOKEN,
    TOKEN_CHARS,
    is_token,
    parse_parameters,
    unquote,
)
from siptwist.sip.uri import SIPURI, is_uri
from siptwist.sip.values import Value

# name-addr / addr-spec, then parameters (RFC 3261 section 20.10).  Display
# names of bare UTF-8 words are not in the grammar, but in many phones.
_NAME_ADDR = re.compile(
    rf"({QUOTED}[ \t]*|[{TOKEN_CHARS} \t\u0080-\U0010ffff]*+)<([^<>\s\"]+)>(.*)", re.DOTALL
)
# The same as nearly everybody writes it: From and To.
_PLAIN_NAME_ADDR = re.compile(
    rf'((?:"[^"\\<>]*"|[{TOKEN_CHARS} ]*) ?)<(sips?:[^<>\s"]+)>((?:;tag=({TOKEN}))?)'
)
_ADDR_SPEC = re.compile(r"([^\s;,?<>\"]+)([ \t]*(?:;.*)?)", re.DOTALL)
# CSeq = "CSeq" HCOLON 1*DIGIT LWS Method
_CSEQ = re.compile(rf"([0-9]{{1,10}})[ \t]+({TOKEN})")
# via-parm = sent-protocol LWS sent-by *( SEMI via-params )
_VIA = re.compile(
    rf"SIP[ \t]*/[ \t]*2\.0[ \t]*/[ \t]*({TOKEN})[ \t]+({HOST})"
    r"(?:[ \t]*:[ \t]*([0-9]{1,5}))?[ \t]*(;.*)?",
    re.IGNORECASE | re.ASCII | re.DOTALL,
)
# The same as nearly everybody writes it.
_PLAIN_VIA = re.compile(
    rf"SIP/2\.0/([A-Z]+) ({HOST})(?::([0-9]{{1,5}}))?((;rport)?;branch=({TOKEN})(;rport)?)"
)
_QVALUE = re.compile(r"0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?")
_DIGITS = re.compile(r"[0-9]+")

MAGIC_COOKIE = "z9hG4bK"


@dataclass(slots=True)
class NameAddr(Value):
    """
    The value of From, To, Contact, Route and their kin.

    ``uri_text`` is of any scheme; :attr:`uri` is its SIP view.  ``parameters``
    are the header's own, with their first ";"; ``tag`` is the one that says which
    dialog, where there is one.
    """

    display: str
    uri_text: str
    parameters: str = ""
    tag: str | None = None

    @classmethod
    def parse(cls, text: str, name: str = "address") -> NameAddr:
        """
        :raises MalformedHeader: naming the header ``name``.
        """
        value = _name_addr(text) if len(text) <= REMEMBERED else _name_addr.__wrapped__(text)
        if value is None:
            raise MalformedHeader(name, text)
        return value

    @property
    def uri(self) -> SIPURI:
        """
        :raises MalformedURI: when it is not a SIP or SIPS URI.
        """
        return SIPURI.parse(self.uri_text)

    @property
    def is_sip(self) -> bool:
        return self.uri_text[:5].lower().startswith(("sip:", "sips:"))

    def parameter(self, name: str) -> str | None:
        found = parse_parameters(self.parameters)
        return None if found is None else found.get(name)

    @property
    def aor(self) -> str:
        """
        The canonical address-of-record; for other schemes the URI's text.
        """
        return self.uri.aor if self.is_sip else self.uri_text

    def with_uri(self, uri: str) -> NameAddr:
        return NameAddr(self.display, uri, self.parameters, self.tag)

    def __str__(self) -> str:
        space = " " if self.display and not self.display.endswith((" ", "\t")) else ""
        return f"{self.display}{space}<{self.uri_text}>{self.parameters}"


def _name_addr_uncached(text: str) -> NameAddr | None:
    match = _PLAIN_NAME_ADDR.fullmatch(text)
    if match is not None:
        display, uri, parameters, tag = match.groups()
        return NameAddr(display.rstrip(" "), uri, parameters, tag) if _is_good_uri(uri) else None
    match = _NAME_ADDR.fullmatch(text)
    if match is not None:
        display, uri, parameters = match.groups()
    else:
        match = _ADDR_SPEC.fullmatch(text)
        if match is None:
            return None
        display, (uri, parameters) = "", match.groups()
    parameters = parameters.strip(" \t")
    found = parse_parameters(parameters)
    if found is None or not _is_good_uri(uri):
        return None
    return NameAddr(display.rstrip(" \t"), uri, parameters, found.get("tag"))


def _is_good_uri(text: str) -> bool:
    if not text[:5].lower().startswith(("sip:", "sips:")):
        return is_uri(text)
    try:
        SIPURI.parse(text)
    except MalformedURI:
        return False
    return True


_name_addr = lru_cache(maxsize=1024)(_name_addr_uncached)


class CSeq(NamedTuple):
    """
    The order of a request within its dialog (RFC 3261 section 20.16).
    """

    number: int
    method: str

    @classmethod
    def parse(cls, text: str) -> CSeq:
        value = _cseq(text) if len(text) <= REMEMBERED else _cseq.__wrapped__(text)
        if value is None:
            raise MalformedHeader("CSeq", text)
        return value

    def __str__(self) -> str:
        return f"{self.number} {self.method}"


@lru_cache(maxsize=1024)
def _cseq(text: str) -> CSeq | None:
    match = _CSEQ.fullmatch(text)
    if match is None or int(match[1]) >= 2**31:
        return None
    return CSeq(int(match[1]), match[2])


@dataclass(slots=True)
class Via(Value):
    """
    One hop a request took (RFC 3261 section 20.42, RFC 3581).

    ``branch`` and ``has_rport`` are parameters too, read once.
    """

    transport: str
    host: str
    port: int | None
    parameters: str = ""
    branch: str = ""
    has_rport: bool = False

    @classmethod
    def parse(cls, text: str) -> Via:
        """
        :raises MalformedHeader: when it does not follow the grammar.
        """
        match = _PLAIN_VIA.fullmatch(text)
        if match is not None:
            transport, host, port, parameters, before, branch, behind = match.groups()
            number = int(port) if port else None
            has_rport = before is not None or behind is not None
        else:
            match = _VIA.fullmatch(text)
            if match is None:
                raise MalformedHeader("Via", text)
            transport, host, port, parameters = match.groups()
            number, transport = int(port) if port else None, transport.upper()
            found = parse_parameters(parameters or "")
            if found is None:
                raise MalformedHeader("Via", text)
            parameters, branch, has_rport = (
                parameters or "",
                found.get("branch", ""),
                "rport" in found,
            )
        if number is not None and number > 65535:
            raise MalformedHeader("Via", text)
        return cls(transport, host, number, parameters, branch, has_rport)

    def parameter(self, name: str) -> str | None:
        return (parse_parameters(self.parameters) or {}).get(name)

    @property
    def is_rfc3261(self) -> bool:
        """
        Whether the branch carries the magic cookie and something behind it.
        """
        branch = self.branch
        return branch[:7].lower() == "z9hg4bk" and len(branch) > 7

    @property
    def sent_by(self) -> tuple[str, int]:
        return self.host.lower(), self.port or (5061 if self.transport == "TLS" else 5060)

    def __str__(self) -> str:
        port = "" if self.port is None else f":{self.port}"
        return f"SIP/2.0/{self.transport} {self.host}{port}{self.parameters}"


def parse_number(text: str, name: str, limit: int = 2**32 - 1) -> int:
    """
    A header value that is one number, such as Expires or Max-Forwards.

    :raises MalformedHeader: when it is none, or above ``limit``.
    """
    if not _DIGITS.fullmatch(text) or len(text) > 15 or int(text) > limit:
        raise MalformedHeader(name, text)
    return int(text)


def parse_expires(text: str) -> int | None:
    """
    delta-seconds of an Expires header or parameter; malformed and huge values
    are what RFC 3261 section 10.3 step 7 says: ``None`` and 2**32-1.
    """
    if not _DIGITS.fullmatch(text):
        return None
    return min(int(text[:15]), 2**32 - 1)


def parse_q(text: str | None) -> float:
    """
    A Contact's preference, 1.0 when it has none or one that makes no sense.
    """
    return float(text) if text and _QVALUE.fullmatch(text) else 1.0


def parse_contacts(values: list[str]) -> list[NameAddr] | Literal["*"]:
    """
    All Contact values of a message, or ``"*"`` (RFC 3261 section 20.10).

    :raises MalformedHeader: for a bad one, and for "*" beside others.
    """
    if values == ["*"]:
        return "*"
    contacts = []
    for value in values:
        if value == "*":
            raise MalformedHeader("Contact", value)
        contacts.append(NameAddr.parse(value, "Contact"))
    return contacts


def option_tags(values: list[str]) -> list[str]:
    """
    The option tags of Require, Proxy-Require or Supported, in lower case.
    """
    return [tag.lower() for tag in values if is_token(tag)]


__all__ = [
    "MAGIC_COOKIE",
    "CSeq",
    "NameAddr",
    "Via",
    "option_tags",
    "parse_contacts",
    "parse_expires",
    "parse_number",
    "parse_q",
    "unquote",
]
