"""
The lines of a session description that matter to a relay (RFC 8866 section 9).
"""

from __future__ import annotations

import re

_END = r"[ \t]*(?=[\r\n]|\Z)"
_ADDRESS = r"[Ii][Nn][ ]+[Ii][Pp]([46])[ ]+([^ \t\r\n/]{1,255})"

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
    # Addresses that would lead media past the relay (RFC 8839) or forbid it (RFC 4570).
    r"|([cC](?i:andidate)|[rR](?i:emote-candidates)|[eE](?i:nd-of-candidates)|[iI](?i:ce-[a-z]+)"
    r"|[sS](?i:ource-filter))(?=[ \t:\r\n]|\Z))"
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


#: Addresses at which nobody can be reached: a stream on hold (RFC 2543).
NULL_ADDRESSES = frozenset(("0.0.0.0", "::"))
