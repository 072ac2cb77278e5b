"""
The few bytes of RTP and RTCP headers that tell media from noise (RFC 3550).
"""

from __future__ import annotations

#: Octets of the shortest RTP header (RFC 3550 section 5.1) ...
RTP_HEADER = 12
#: ... and of the shortest RTCP packet, an empty receiver report (section 6.4.2).
RTCP_HEADER = 8

_VERSION = 0xC0
_VERSION_2 = 0x80


# RFC 5761 section 4: 192-223 in the second octet is RTCP, on any port.
def is_rtcp(data: bytes) -> bool:
    """
    Whether ``data`` begins like an RTCP packet.
    """
    return len(data) >= RTCP_HEADER and data[0] & _VERSION == _VERSION_2 and 192 <= data[1] <= 223


def is_rtp(data: bytes) -> bool:
    """
    Whether ``data`` begins like an RTP packet, and not like RTCP on its port.
    """
    return (
        len(data) >= RTP_HEADER and data[0] & _VERSION == _VERSION_2 and not 192 <= data[1] <= 223
    )


# RFC 7983 section 7: a first octet of 20 to 63 is DTLS; its record header has 13 octets.
def is_dtls(data: bytes) -> bool:
    """
    Whether ``data`` begins like a DTLS record.
    """
    return len(data) >= 13 and 20 <= data[0] <= 63


def sequence(data: bytes) -> int:
    """
    The sequence number of an RTP packet: 0..65535.
    """
    return data[2] << 8 | data[3]


def timestamp(data: bytes) -> int:
    """
    The timestamp of an RTP packet, in units of its clock.
    """
    return int.from_bytes(data[4:8], "big")


def ssrc(data: bytes) -> int:
    """
    The synchronization source of an RTP packet.
    """
    return int.from_bytes(data[8:12], "big")


def rises(before: int, after: int) -> bool:
    """
    Whether sequence number ``after`` follows ``before``, the wrap at 65536
    and lost packets allowed for (RFC 3550 appendix A.1).
    """
    return 0 < (after - before) & 0xFFFF < 0x8000
