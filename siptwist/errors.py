"""
The exception tree.  An error that answers a message carries its status.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from siptwist.sip.message import Request


class SIPTwistError(Exception):
    """
    Anything siptwist raises on purpose.
    """


class SIPError(SIPTwistError):
    """
    A request that cannot be served; ``status`` and ``reason`` answer it.
    """

    status = 500

    def __init__(self, reason: str = "", status: int | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        if status is not None:
            self.status = status


class MalformedMessage(SIPError):
    """
    Bytes that are not a SIP message (RFC 3261 section 25.1).

    ``request`` is what could be read of a request, for the one who answers it.
    """

    status = 400
    request: Request | None = None


class MalformedHeader(MalformedMessage):
    """
    A header field whose value does not follow its grammar.
    """

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"Malformed {name}")
        self.name = name
        self.text = text


class MalformedURI(MalformedMessage):
    """
    A URI that does not follow RFC 3261 section 19.1 or RFC 3986.
    """


class MalformedSDP(MalformedMessage):
    """
    A session description that cannot be read (RFC 8866).
    """


class EncodedSDP(MalformedSDP):
    """
    A session description that we cannot write our addresses into, for it is
    compressed or in base64 (RFC 3261 section 21.4.13).
    """

    status = 415


class NoFreePorts(SIPError):
    """
    The RTP port pool is exhausted; the call is refused, never silent.
    """

    status = 503
    retry_after = 10


class Unresolvable(SIPError):
    """
    No address is known for a next hop (RFC 3263).

    404: there is no such name; 504: nobody has told us in time; 503: we cannot ask.
    """

    status = 504


@dataclass(frozen=True)
class Problem:
    """
    One thing wrong in a configuration file.

    ``line`` counts from 1; 0 is the file as a whole.
    """

    file: str
    line: int
    key: str
    text: str

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}" if self.line else self.file
        return f"{where}: {self.key}: {self.text}" if self.key else f"{where}: {self.text}"


class ConfigError(SIPTwistError):
    """
    A configuration that cannot be used; every problem at once.
    """

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems
