"""
What a party says about one media stream, and what we say in its place.
"""

from __future__ import annotations

import enum
import ipaddress
from functools import lru_cache
from typing import NamedTuple

from siptwist.sip.hop import Side
from siptwist.sip.sdp import Credentials
from siptwist.sip.values import plain_members

#: What is not carried in datagrams (RFC 4145, RFC 5762, RFC 8841): we relay none of it.
_CONNECTED = ("TCP", "DCCP", "SCTP")
#: The longest text of an IPv6 address, RFC 4291 section 2.2 form 3.
LONGEST_ADDRESS = 45


@plain_members
class Party(enum.Enum):
    """
    Who described a stream: the one who sent the initial INVITE, or the other.
    """

    CALLER = "caller"
    CALLEE = "callee"

    __hash__ = object.__hash__

    other: Party


# Attributes and no property: asked a dozen times a call.
Party.CALLER.other, Party.CALLEE.other = Party.CALLEE, Party.CALLER


class Endpoint(NamedTuple):
    """
    Where RTP and RTCP of a stream are received.  An ``rtp_port`` of 0 is a
    stream that was refused (RFC 3264 section 6).

    ``rtcp_host`` is where RTCP is received, when that is another host (RFC 3605);
    ``ice`` is what whoever sends there may check us with (RFC 8445).
    """

    host: str
    rtp_port: int
    rtcp_port: int
    rtcp_host: str = ""
    ice: Credentials | None = None


class StreamOffer(NamedTuple):
    """
    One m= line as a party described it.

    ``held`` is true when the party wants no media now: ``a=inactive``,
    ``a=sendonly``, or ``c=`` of 0.0.0.0 (RFC 3264 section 8.4, RFC 2543).
    ``proto`` is the transport of the m= line (RFC 8866 section 5.14), ``text`` that
    line and those below it; ``has_ice`` says that the party can speak ICE.
    """

    index: int  # type: ignore[assignment]  # no one looks for a word in an offer
    kind: str
    endpoint: Endpoint
    held: bool = False
    proto: str = "RTP/AVP"
    text: str = ""
    has_ice: bool = False

    @property
    def is_relayed(self) -> bool:
        """
        Whether ports are lent for this stream: not for one that was refused, nor
        for one over TCP.
        """
        if not self.endpoint.rtp_port:
            return False
        return self.proto == "RTP/AVP" or not self.proto.upper().startswith(_CONNECTED)

    @property
    def is_rtp(self) -> bool:
        """
        Whether packets of this stream have an RTP header; those of T.38 have none.
        """
        return "RTP" in self.proto or "RTP" in self.proto.upper()

    @property
    def is_dtls(self) -> bool:
        """
        Whether RTP waits for a DTLS handshake on its ports (RFC 5764 section 8).
        """
        return "TLS/RTP" in self.proto.upper()


class CallKey(NamedTuple):
    """
    One pass of a call through the proxy.

    A call that leaves and comes back in (hairpin) has one Call-ID and two
    passes: ``caller_side`` and ``callee_side`` tell them apart.
    """

    call_id: str
    caller_tag: str
    caller_side: Side
    callee_side: Side

    def side(self, party: Party) -> Side:
        """
        The side of the proxy that ``party`` is on.
        """
        return self.caller_side if party is Party.CALLER else self.callee_side


def sendable_host(host: str, loopback: bool = False) -> str | None:
    """
    ``host`` as one address that media may be sent to, in the spelling that
    sockets report.

    :param bool loopback: whether 127.0.0.0/8 and ::1 are such addresses.
    :returns: ``None`` for names, 0.0.0.0, multicast and broadcast.
    """
    if len(host) > LONGEST_ADDRESS or "%" in host:
        return None
    found = _sendable_host(host)
    if found is not None and found[1] and not loopback:
        return None
    return found and found[0]


@lru_cache(maxsize=1024)
def is_name(host: str) -> bool:
    """
    Whether ``host`` is a name, and not an address.
    """
    if not host or ":" in host:
        return False
    # The last label of a name is no number (RFC 1123 section 2.1).
    return not host[-1].isdigit() or not host.rpartition(".")[2].isdigit()


# Remote text is the key: the length above and the size here bound the memory.
@lru_cache(maxsize=1024)
def _sendable_host(host: str) -> tuple[str, bool] | None:
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None
    if address.is_unspecified or address.is_multicast or int(address) == 0xFFFFFFFF:
        return None
    return str(address), address.is_loopback
