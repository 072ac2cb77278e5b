"""
The lines of a session description that matter to a relay (RFC 8866 section 9).
"""

from __future__ import annotations

import re

_HOST = r"[^ \t\r\n/]{1,255}"
_END = r"[ \t]*(?=[\r\n]|\Z)"
_ADDRESS = rf"[Ii][Nn][ ]+[Ii][Pp]([46])[ ]+({_HOST})"

# The beginning as nearly all write it, in one step; others are read line by line.
HEAD = re.compile(
    r"v=0\r\no=[^ \r\n]++ [^ \r\n]++ [^ \r\n]++ (IN IP([46]) ([^ \t\r\n/]{1,255}+))\r\n"
    r"s=[^\r\n]*+\r\nc=(IN IP([46]) ([^ \t\r\n/]{1,255}+))\r\nt=[^\r\n]*+\r\n"
    r"m=([!-~]++) ([0-9]{1,5}+) ([!-~]++)( [^\r\n]*+)(?=\r\n)"
)

# The lines that matter; every other line is passed over at the speed of a search.
# Each alternative ends in a group of its own, so ``lastindex`` names the line, and
# begins with a character that decides, so that most lines cost one comparison.
LINE = re.compile(
    r"\n(?:"
    # m=<media> <port>["/" <count>] <proto> <fmt> ...           (RFC 8866 section 5.14)
    # Phones that refuse a stream (port 0) forget its formats.
    r"m=([!-~]+)[ ]+(([0-9]{1,5})(?:/([0-9]{1,5}))?)[ ]+([!-~]+)((?:[ ][^\r\n]*)?)(?=[\r\n]|\Z)"
    # c=<nettype> <addrtype> <connection-address>               (RFC 8866 section 5.7)
    rf"|c=({_ADDRESS}(?:/[0-9/]*)?){_END}()"
    # o=<username> <sess-id> <sess-version> <nettype> <addrtype> <unicast-address>
    rf"|o=[^\r\n]*[ ]({_ADDRESS}){_END}()"
    # Most lines are of these, which matter to nobody here: they are told apart first.
    rf"|a=(?!rtpmap|fmtp|ptime)(?:(sendrecv|sendonly|recvonly|inactive){_END}"
    # a=rtcp:<port> [<nettype> <addrtype> <connection-address>] (RFC 3605 section 2.1)
    rf"|rtcp:([ ]*([0-9]{{1,5}})(?:[ ]+{_ADDRESS})?){_END}()"
    # What would lead media past the relay: addresses to choose from (RFC 8839, RFC 6947,
    # RFC 7006, RFC 5939; alt is how eyeBeam wrote candidates), those to listen to alone
    # (RFC 4570), and one port for several media (RFC 9143) or one medium at several
    # addresses (RFC 4091), for each medium has ports of its own here.
    r"|([cC](?i:andidate|cap)|[rR](?i:emote-candidates)|[eE](?i:nd-of-candidates)"
    r"|[iI](?i:ce-[a-z0-9]+)|[sS](?i:ource-filter)|[bB](?i:undle-only)|[aA](?i:ltc?)"
    r"|[aA](?i:cap:[0-9]+[ ]+(?:candidate|ice-[a-z0-9]+|rtcp|altc|source-filter))"
    r"|[gG](?i:roup:(?:bundle|anat)))(?=[ \t:\r\n]|\Z))"
    r"|([mco]=|a=rtcp:)"
    r")"
)
# The groups of LINE; those that name a line come last in their alternative.
KIND, PORTS, PORT, COUNT, PROTO, MEDIA = range(1, 7)
C_VALUE, C_TYPE, C_HOST, CONNECTION = range(7, 11)
O_VALUE, O_TYPE, O_HOST, ORIGIN = range(11, 15)
DIRECTION = 15
RTCP_VALUE, RTCP_PORT, RTCP_TYPE, RTCP_HOST, RTCP = range(16, 21)
PRIVATE, MALFORMED = 21, 22

#: What nobody is at (RFC 2543).
NOWHERE = "0.0.0.0"
_NULL_ADDRESSES = frozenset((NOWHERE, "::"))
# How nearly all addresses end, and none of these.
_OTHER_ENDINGS = frozenset("123456789abc")


def is_null(host: str | None) -> bool:
    """
    Whether nobody is at an address: that of a stream on hold (RFC 2543), also as
    RFC 3264 section 5.1 and RFC 6157 section 4.1 want it said for IPv6.
    """
    if not host or host[-1] in _OTHER_ENDINGS:
        return False
    return host in _NULL_ADDRESSES or host.lower().rstrip(".").endswith(".invalid")
