"""
The pieces that SIP's grammar is made of (RFC 3261 section 25.1).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

# token = 1*(alphanum / "-" / "." / "!" / "%" / "*" / "_" / "+" / "`" / "'" / "~")
TOKEN_CHARS = r"A-Za-z0-9\-.!%*_+`'~"
TOKEN = rf"[{TOKEN_CHARS}]+"

# quoted-string = DQUOTE *(qdtext / quoted-pair) DQUOTE
# An unbalanced quote fails in one pass.  Only sets of characters are repeated
# possessively: Python before 3.11.5 does that to groups wrongly.
QUOTED = r'"[^"\\]*+(?:\\.[^"\\]*+)*"'

# host = hostname / IPv4address / IPv6reference.  The inside of the brackets
# is not judged here: RFC 5118 section 4.5 asks to tolerate three colons.
HOST = r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_](?:[A-Za-z0-9\-._]*))"

# Values longer than this are parsed each time they come: strangers choose them,
# and what is remembered of them must stay small.
REMEMBERED = 200

_TOKEN = re.compile(TOKEN)
_VALUE = rf"(?:{QUOTED}|[^\x00-\x20\x7f;,\"]++)"
_PARAM = re.compile(rf";[ \t]*({TOKEN})(?:[ \t]*=[ \t]*({_VALUE}))?", re.DOTALL)
_PARAMS = re.compile(rf"(?:[ \t]*+;[ \t]*+{TOKEN}+(?:[ \t]*+=[ \t]*+{_VALUE})?)*[ \t]*+", re.DOTALL)
_PLAIN = re.compile(r"[^\"<>]*")
_BALANCED = re.compile(rf"(?:[^\"<>]++|{QUOTED}|<(?:[^\"<>]++|{QUOTED})*>)*", re.DOTALL)
_PIECE = re.compile(rf"(?:[^\"<>,]++|{QUOTED}|<(?:[^\"<>]++|{QUOTED})*>)+", re.DOTALL)


def is_token(text: str) -> bool:
    return _TOKEN.fullmatch(text) is not None


def unfold(text: str) -> str:
    """
    Make one line of a folded one (RFC 3261 section 7.3.1).
    """
    if "\r\n" not in text:
        return text
    return " ".join([piece.strip(" \t") for piece in text.split("\r\n")])


@lru_cache(maxsize=1024)
def _parameters(text: str) -> Mapping[str, str] | None:
    if _PARAMS.fullmatch(text) is None:
        return None
    found: dict[str, str] = {}
    for name, value in _PARAM.findall(text):
        found.setdefault(name.lower(), value)
    return found


def parse_parameters(text: str) -> Mapping[str, str] | None:
    """
    Read ``;name=value;flag``; names in lower case, a flag's value is "".

    :returns: a mapping not to be changed, or ``None`` when the text is not
        a list of parameters.
    """
    if not text:
        return {}
    return _parameters(text) if len(text) <= REMEMBERED else _parameters.__wrapped__(text)


def split_commas(text: str) -> list[str]:
    """
    Split a header value at its commas, not inside quotes or angle brackets.

    A value with an open quote or bracket stays whole: its parser refuses it.
    """
    if "," not in text:
        return [text]
    if _PLAIN.fullmatch(text):
        return [piece.strip(" \t") for piece in text.split(",")]
    if not _BALANCED.fullmatch(text):
        return [text]
    return [piece[0].strip(" \t") for piece in _PIECE.finditer(text)]


def unquote(text: str) -> str:
    """
    The content of a quoted string; other text as it is.
    """
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
    return text


def quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
