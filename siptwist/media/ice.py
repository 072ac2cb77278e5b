"""
ICE-lite (RFC 8445): we answer the checks of a party and let it choose the way.

Lite is for who can be reached by everybody that it talks to; it never checks
itself.  A check proves that its sender has read the session description we
told, so its source may be trusted with media where a guess may not.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Callable
from typing import NamedTuple

from siptwist.sip import stun
from siptwist.sip.hop import Hop
from siptwist.sip.sdp import Credentials

#: Letters of the credentials (RFC 8839 section 5.4), and how many: 48 and 144 bits.
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_UFRAG, _PASSWORD = 8, 24

PRIORITY, USE_CANDIDATE, ICE_CONTROLLED = 0x0024, 0x0025, 0x8029
_UFRAG_LINE = re.compile(r"\na=ice-ufrag:([!-~]{1,256})")
_KNOWN = frozenset((stun.USERNAME, PRIORITY, USE_CANDIDATE))
#: The length of an attribute's type and length.
_TYPE_AND_LENGTH = 4


Address = tuple[str, int]


class Nominated(NamedTuple):
    """
    Where the party wants media to go, by the name and priority of its check.
    """

    address: Address
    ufrag: str
    priority: int


def make_credentials(chance: Callable[[int], int]) -> Credentials:
    """
    :param chance: ``chance(n)`` returns 0..n-1, which nobody can guess.
    """
    letters = [_LETTERS[chance(len(_LETTERS))] for _ in range(_UFRAG + _PASSWORD)]
    return Credentials("".join(letters[:_UFRAG]), "".join(letters[_UFRAG:]))


class Agent:
    """
    What one party of one stream checks: RTP and RTCP.

    ``credentials`` is what its checks are made with from now on; ``rtp`` and
    ``rtcp`` are where they want media to go.

    :param make: makes credentials.
    """

    __slots__ = ("_accepted", "_make", "_nominated", "_ufrag", "credentials")

    def __init__(self, make: Callable[[], Credentials]) -> None:
        self._make = make
        self.credentials = make()
        self._accepted: tuple[Credentials, ...] = (self.credentials,)
        # The name that the party has given itself.
        self._ufrag = ""
        self._nominated: dict[bool, Nominated] = {}

    @property
    def rtp(self) -> Address | None:
        return self._chosen(is_rtcp=False)

    @property
    def rtcp(self) -> Address | None:
        return self._chosen(is_rtcp=True)

    def _chosen(self, is_rtcp: bool) -> Address | None:
        nominated = self._nominated.get(is_rtcp)
        return nominated.address if nominated else None

    def follow(self, text: str, is_new: bool = False) -> None:
        """
        The party has described itself.  When it has another name than before, it
        begins anew, and so do we (RFC 8445 section 9); until that is done the
        credentials of before are good, too.

        :param text: the lines of its medium.
        :param is_new: whether this is another branch of a call that was forked:
            all of them were told the same.
        """
        found = _UFRAG_LINE.search(text)
        ufrag = found[1] if found else ""
        if ufrag and self._ufrag and ufrag != self._ufrag and not is_new:
            former, self.credentials = self.credentials, self._make()
            self._accepted = (self.credentials, former)
        self._ufrag = ufrag or self._ufrag

    def answer(self, data: bytes, source: Address, is_rtcp: bool = False) -> bytes:
        """
        The answer to a check; empty for what is not one of our party's.
        """
        try:
            request = stun.Message.parse(data)
        except stun.MalformedSTUN:
            return b""
        if request.type != stun.REQUEST:
            return b""
        for credentials in self._accepted:
            attributes = _proven(credentials, request, data)
            if attributes is not None:
                answer = self._respond(request, attributes, source, is_rtcp)
                return _signed(answer, credentials.password)
        return b""

    def _respond(
        self,
        request: stun.Message,
        attributes: dict[int, bytes],
        source: Address,
        is_rtcp: bool,
    ) -> stun.Message:
        unknown = [kind for kind in attributes if kind < 0x8000 and kind not in _KNOWN]
        if unknown:
            types = b"".join(kind.to_bytes(2, "big") for kind in unknown)
            return stun.refuse(request.transaction, 420, ((stun.UNKNOWN_ATTRIBUTES, types),))
        if ICE_CONTROLLED in attributes:
            # Two cannot be controlled, and a lite agent is (RFC 8445 section 7.3.1.1).
            return stun.refuse(request.transaction, 487)
        if USE_CANDIDATE in attributes:
            self._nominate(attributes, source, is_rtcp)
        value = stun.xor_address(Hop(*source), request.transaction)
        told = ((stun.XOR_MAPPED_ADDRESS, value),)
        return stun.Message(stun.SUCCESS, request.transaction, told)

    def _nominate(self, attributes: dict[int, bytes], source: Address, is_rtcp: bool) -> None:
        """
        The party uses this way.  Of several the one with the highest priority
        counts (RFC 5245 section 8.1.1.2), of a party that begins anew the last.
        """
        priority = int.from_bytes(attributes.get(PRIORITY, b""), "big")
        ufrag = attributes[stun.USERNAME].partition(b":")[2].decode("utf-8", "replace")
        before = self._nominated.get(is_rtcp)
        if before is None or before.ufrag != ufrag or before.priority <= priority:
            self._nominated[is_rtcp] = Nominated(source, ufrag, priority)


def _proven(
    credentials: Credentials, request: stun.Message, data: bytes
) -> dict[int, bytes] | None:
    """
    The attributes of a check whose user name and message integrity are by these
    credentials (RFC 8489 section 9.1.3); what stands behind those proves nothing.
    """
    ours = f"{credentials.ufrag}:".encode()
    found: dict[int, bytes] = {}
    position = stun.HEADER
    for kind, value in request.attributes:
        if kind == stun.MESSAGE_INTEGRITY:
            if not found.get(stun.USERNAME, b"").startswith(ours):
                return None
            proof = stun.integrity(data[:position], credentials.password)
            return found if hmac.compare_digest(value, proof) else None
        found.setdefault(kind, value)
        position += _TYPE_AND_LENGTH + len(value) + -len(value) % 4
    return None


def _signed(answer: stun.Message, password: str) -> bytes:
    proof = stun.integrity(bytes(answer), password)
    attributes = (*answer.attributes, (stun.MESSAGE_INTEGRITY, proof))
    return stun.with_fingerprint(answer._replace(attributes=attributes))
