"""
What went over a wire: datagrams captured by tcpdump, as SIP and as sound.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.interop.bed import WAN_ROUTER, Bed
from tests.interop.tone import decode_ulaw, seconds_of

# The lines that must not name a private host to the outside (issue: section 3.5).
_REVEALING = re.compile(
    r"^(?:(?:Contact|m|Via|v|Record-Route)[ \t]*:|[ocm]=|a=rtcp:|a=candidate:).*$",
    re.MULTILINE | re.IGNORECASE,
)
_ADDRESS_TO_HIDE = re.compile(r"\b10\.0\.0\.\d+")
_SIP = re.compile(rb"SIP/2\.0 \d{3} |[A-Z]+ \S+ SIP/2\.0\r\n")
_UDP = 17


class Packet(NamedTuple):
    """
    One UDP datagram.
    """

    at: float
    source: str
    source_port: int
    destination: str
    destination_port: int
    payload: bytes
    dscp: int = 0

    @property
    def ssrc(self) -> int:
        """
        Who speaks, when this is RTP.
        """
        return int.from_bytes(self.payload[8:12], "big")


class Capture:
    """
    tcpdump on one interface of one host, from now until it is stopped.
    """

    def __init__(self, bed: Bed, host: str, interface: str) -> None:
        self._path = bed.new_directory(f"capture-{interface}") / "udp.pcap"
        words = ["tcpdump", "-i", interface, "-U", "--immediate-mode", "-Z", "root", "-s", "0"]
        words += ["-w", str(self._path), "udp or (ip[6:2] & 0x3fff != 0)"]
        self._program = bed.start(host, f"tcpdump-{interface}", *words)
        self._program.wait_for("listening on")

    def packets(self) -> list[Packet]:
        """
        Everything seen so far, oldest first.
        """
        return read_pcap(self._path)

    def sip(self, source: str = "", destination: str = "") -> list[str]:
        """
        The SIP messages seen so far, from and to these addresses (all when empty).
        """
        return [
            packet.payload.decode(errors="replace")
            for packet in self.packets()
            if source in ("", packet.source)
            and destination in ("", packet.destination)
            and _SIP.match(packet.payload)
        ]

    def leaks(self, source: str = WAN_ROUTER) -> list[str]:
        """
        Lines of the SIP messages from ``source`` that name a host behind it.
        """
        return [
            line
            for message in self.sip(source)
            for line in revealing_lines(message)
            if _ADDRESS_TO_HIDE.search(line)
        ]

    def sound(self, destination: str, since: float = 0.0) -> list[int]:
        """
        What the G.711 RTP packets to an address say, in order, 8000 samples a second.

        :param since: a time as in :class:`Packet`; earlier packets are left out.
        """
        return [
            sample
            for packet in self.speech(destination)
            if packet.at >= since
            for sample in map(decode_ulaw, packet.payload[12:])
        ]

    def speech(self, destination: str) -> list[Packet]:
        """
        The G.711 RTP packets to an address, oldest first.
        """
        return [p for p in self.packets() if p.destination == destination and _is_pcmu(p)]

    def last_sound(self, destination: str) -> float:
        """
        When the last G.711 RTP packet to an address passed; 0.0 for never.
        """
        speech = self.speech(destination)
        return speech[-1].at if speech else 0.0

    def seconds_heard(self, destination: str, tone: int, since: float = 0.0) -> float:
        """
        How many seconds of a tone arrived at an address.
        """
        return seconds_of(self.sound(destination, since), tone)

    def stop(self) -> None:
        """
        Stop capturing; what was seen stays.
        """
        self._program.stop()


def revealing_lines(message: str) -> list[str]:
    """
    The lines of a message that say where its sender is.
    """
    return [line.strip() for line in _REVEALING.findall(message.replace("\r", ""))]


def read_pcap(path: Path) -> list[Packet]:
    """
    The UDP datagrams of a capture file of Ethernet frames, fragments put together.
    """
    fragments: dict[tuple[bytes, bytes], dict[int, bytes]] = {}
    found = []
    for at, frame in _frames(path.read_bytes()):
        ip = frame[14:]
        if frame[12:14] != b"\x08\x00" or len(ip) < 20 or ip[9] != _UDP:
            continue
        data = _put_together(ip, fragments)
        if len(data) >= 8:
            source, destination = (str(ipaddress.IPv4Address(ip[i : i + 4])) for i in (12, 16))
            ports = struct.unpack_from("!HH", data)
            found.append(Packet(at, source, ports[0], destination, ports[1], data[8:], ip[1] >> 2))
    return found


def _frames(content: bytes) -> Iterator[tuple[float, bytes]]:
    position = 24
    while position + 16 <= len(content):
        seconds, micros, size = struct.unpack_from("<III", content, position)
        position += 16
        if position + size > len(content):
            return
        yield seconds + micros / 1e6, content[position : position + size]
        position += size


def _put_together(ip: bytes, fragments: dict[tuple[bytes, bytes], dict[int, bytes]]) -> bytes:
    """
    The data of a packet; empty until the last missing fragment of it has come.
    """
    data = ip[(ip[0] & 15) * 4 : struct.unpack_from("!H", ip, 2)[0]]
    field = struct.unpack_from("!H", ip, 6)[0]
    if not field & 0x3FFF:
        return data
    key = ip[4:6], ip[12:20]
    parts = fragments.setdefault(key, {})
    parts[(field & 0x1FFF) * 8] = data
    if not field & 0x2000:
        parts[-1] = b"last"
    whole = b"".join(parts[offset] for offset in sorted(parts) if offset >= 0)
    if -1 not in parts or len(whole) != struct.unpack_from("!H", whole, 4)[0]:
        return b""
    del fragments[key]
    return whole


def _is_pcmu(packet: Packet) -> bool:
    head = packet.payload[:2]
    return len(packet.payload) > 12 and head[0] == 0x80 and head[1] & 0x7F == 0
