"""
STUN (RFC 8489), and its Binding requests on the SIP port (RFC 5626 section 8): a
phone keeps its NAT open with them, and learns whether its address has changed; as
we do, of a server in the world.
"""

from __future__ import annotations

import hmac
import struct
from hashlib import sha1
from ipaddress import ip_address
from typing import NamedTuple
from zlib import crc32

from siptwist.errors import SIPTwistError
from siptwist.sip.hop import Hop

MAGIC_COOKIE = b"\x21\x12\xa4\x42"
HEADER = 20
# Longer requests than this nobody sends (RFC 8489 section 6.1).
MAX_REQUEST = 1280

REQUEST, SUCCESS, REFUSAL = 0x0001, 0x0101, 0x0111
MAPPED_ADDRESS, USERNAME, MESSAGE_INTEGRITY = 0x0001, 0x0006, 0x0008
ERROR_CODE, UNKNOWN_ATTRIBUTES = 0x0009, 0x000A
XOR_MAPPED_ADDRESS, FINGERPRINT = 0x0020, 0x8028
_FINGERPRINT_XOR = 0x5354554E
# From here on an attribute may be passed over (section 14).
_OPTIONAL = 0x8000
# Those below that we know; none of them changes our answer, for a keep-alive
# asks for no password.  What would have us answer elsewhere is not known here.
_KNOWN = frozenset(
    (
        MAPPED_ADDRESS,
        USERNAME,
        MESSAGE_INTEGRITY,
        ERROR_CODE,
        UNKNOWN_ATTRIBUTES,
        0x0014,  # REALM
        0x0015,  # NONCE
        0x001C,  # MESSAGE-INTEGRITY-SHA256
        0x001D,  # PASSWORD-ALGORITHM
        0x001E,  # USERHASH
        XOR_MAPPED_ADDRESS,
    )
)

# What servers of RFC 3489 add: SOURCE-ADDRESS, CHANGED-ADDRESS, REFLECTED-FROM.
_OLD = frozenset((0x0004, 0x0005, 0x000B))

Attribute = tuple[int, bytes]


class MalformedSTUN(SIPTwistError):
    """
    Bytes that are not a STUN message (RFC 8489 sections 5 and 14).
    """


class Message(NamedTuple):
    """
    A STUN message: its type, the 12 bytes of its transaction id, and its
    attributes as types and values, in order.
    """

    type: int
    transaction: bytes
    attributes: tuple[Attribute, ...] = ()

    @classmethod
    def parse(cls, data: bytes) -> Message:
        """
        :raises MalformedSTUN: for a length that is not the datagram's, or an
            attribute that does not fit.
        """
        if not is_stun(data) or not _has_length(data):
            raise MalformedSTUN("Malformed header")
        attributes, offset = [], HEADER
        while offset < len(data):
            type_, length = struct.unpack_from(">HH", data, offset)
            start, end = offset + 4, offset + 4 + length
            if end > len(data):
                raise MalformedSTUN("Attribute is longer than the message")
            attributes.append((type_, data[start:end]))
            offset = end + -length % 4
        return cls(_type_of(data), data[8:HEADER], tuple(attributes))

    def __bytes__(self) -> bytes:
        body = b"".join(
            struct.pack(">HH", type_, len(value)) + value + bytes(-len(value) % 4)
            for type_, value in self.attributes
        )
        return struct.pack(">HH", self.type, len(body)) + MAGIC_COOKIE + self.transaction + body


def is_stun(data: bytes) -> bool:
    """
    Whether a datagram is STUN, on the port of SIP or RTP (section 5; RFC 7983): its
    first two bits are 0 and it has the cookie.
    """
    return len(data) >= HEADER and data[0] < 0x40 and data[4:8] == MAGIC_COOKIE


def _has_length(data: bytes) -> bool:
    length = int.from_bytes(data[2:4], "big")
    return length == len(data) - HEADER and length % 4 == 0


def _type_of(data: bytes) -> int:
    return int.from_bytes(data[:2], "big")


# X-Port is the port XORed with the first 16 bits of the cookie; X-Address the
# address XORed with the cookie, and the transaction id for IPv6 (section 14.2).
def xor_address(source: Hop, transaction: bytes) -> bytes:
    """
    The value of an XOR-MAPPED-ADDRESS.
    """
    address = ip_address(source.host)
    size = len(address.packed)
    key = int.from_bytes((MAGIC_COOKIE + transaction)[:size], "big")
    port = source.port ^ int.from_bytes(MAGIC_COOKIE[:2], "big")
    family = 1 if address.version == 4 else 2
    return struct.pack(">BBH", 0, family, port) + (int(address) ^ key).to_bytes(size, "big")


def mapped_address(response: Message) -> Hop:
    """
    Where a Binding request came from, as the server says that answers it.

    :raises MalformedSTUN: it does not say so, or says what we must not pass over
        and do not know (section 6.3.3).
    """
    found = dict(reversed(response.attributes))
    unknown = [one for one in found if one < _OPTIONAL and one not in _KNOWN | _OLD]
    if unknown:
        raise MalformedSTUN(f"Unknown attribute {unknown[0]:#06x}")
    if XOR_MAPPED_ADDRESS in found:
        return _read_address(found[XOR_MAPPED_ADDRESS], MAGIC_COOKIE + response.transaction)
    if MAPPED_ADDRESS in found:
        return _read_address(found[MAPPED_ADDRESS], bytes(16))
    raise MalformedSTUN("No mapped address")


def _read_address(value: bytes, key: bytes) -> Hop:
    size = {1: 4, 2: 16}.get(value[1] if len(value) > 1 else 0)
    if size is None or len(value) != 4 + size:
        raise MalformedSTUN("Malformed address")
    plain = bytes(one ^ other for one, other in zip(value[4:], key, strict=False))
    port = int.from_bytes(value[2:4], "big") ^ int.from_bytes(key[:2], "big")
    return Hop(str(ip_address(plain)), port)


def has_good_fingerprint(data: bytes, message: Message) -> bool:
    """
    Whether the FINGERPRINT of a message is right, or there is none.

    :param data: what ``message`` was parsed from.
    """
    types = [type_ for type_, _ in message.attributes]
    if FINGERPRINT not in types:
        return True
    last = message.attributes[-1]
    return last == (FINGERPRINT, fingerprint(data[:-8])) and types.count(FINGERPRINT) == 1


def fingerprint(before: bytes) -> bytes:
    """
    The value of a FINGERPRINT behind these bytes, whose length in the header
    counts it already (section 14.7).
    """
    return struct.pack(">I", crc32(before) ^ _FINGERPRINT_XOR)


def integrity(before: bytes, password: str) -> bytes:
    """
    The value of a MESSAGE-INTEGRITY behind these bytes by a short-term password,
    whatever the length in the header counts (section 14.5).
    """
    length = len(before) - HEADER + 4 + sha1().digest_size
    counted = before[:2] + length.to_bytes(2, "big") + before[4:]
    return hmac.digest(password.encode(), counted, sha1)


def answer(data: bytes, source: Hop) -> bytes:
    """
    The answer to a Binding request from ``source``, as small as can be; empty
    for what is not one, and for one with a wrong FINGERPRINT.
    """
    if not is_stun(data) or not _has_length(data) or _type_of(data) != REQUEST:
        return b""
    if len(data) > MAX_REQUEST:
        return b""
    try:
        request = Message.parse(data)
    except MalformedSTUN:
        return bytes(refuse(data[8:HEADER], 400))
    types = [type_ for type_, _ in request.attributes]
    if FINGERPRINT not in types:
        return bytes(_respond(request, source))
    if types.index(FINGERPRINT) != len(types) - 1:
        return bytes(refuse(request.transaction, 400))
    if request.attributes[-1][1] != fingerprint(data[:-8]):
        return b""
    return with_fingerprint(_respond(request, source))


def _respond(request: Message, source: Hop) -> Message:
    unknown = [
        type_ for type_, _ in request.attributes if type_ < _OPTIONAL and type_ not in _KNOWN
    ]
    if unknown:
        types = b"".join(type_.to_bytes(2, "big") for type_ in dict.fromkeys(unknown))
        return refuse(request.transaction, 420, ((UNKNOWN_ATTRIBUTES, types),))
    value = xor_address(source, request.transaction)
    return Message(SUCCESS, request.transaction, ((XOR_MAPPED_ADDRESS, value),))


def refuse(transaction: bytes, status: int, more: tuple[Attribute, ...] = ()) -> Message:
    # Without a reason phrase, which is for people only and would make the
    # answer larger than what it answers (section 14.8).
    code = struct.pack(">HBB", 0, status // 100, status % 100)
    return Message(REFUSAL, transaction, ((ERROR_CODE, code), *more))


def with_fingerprint(message: Message) -> bytes:
    last = (FINGERPRINT, bytes(4))
    data = bytes(message._replace(attributes=(*message.attributes, last)))
    return data[:-4] + fingerprint(data[:-8])
