"""
Reading captures; needs no network.
"""

from __future__ import annotations

import socket
import struct
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.interop.capture import Packet, read_pcap, revealing_lines

_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)


def _frame(data: bytes, fragment: int = 0, protocol: int = 17, tos: int = 0) -> bytes:
    """
    A captured Ethernet frame from 10.0.0.11 to 203.0.113.13.
    """
    addresses = socket.inet_aton("10.0.0.11") + socket.inet_aton("203.0.113.13")
    head = struct.pack("!BBHHHBBH", 0x45, tos, 20 + len(data), 7, fragment, 64, protocol, 0)
    frame = b"\0" * 12 + b"\x08\x00" + head + addresses + data
    return struct.pack("<IIII", 5, 500000, len(frame), len(frame)) + frame


def _datagram(payload: bytes) -> bytes:
    return struct.pack("!HHHH", 5060, 5070, 8 + len(payload), 0) + payload


class ReadTests(SynchronousTestCase):
    """
    Capture files become datagrams.
    """

    def read(self, *frames: bytes) -> list[Packet]:
        """
        The datagrams of these frames, by way of a file.
        """
        path = Path(self.mktemp())
        path.write_bytes(_HEADER + b"".join(frames))
        return read_pcap(path)

    def test_datagram(self) -> None:
        """
        A datagram is read with its time, addresses and ports.
        """
        wanted = Packet(5.5, "10.0.0.11", 5060, "203.0.113.13", 5070, b"hello")
        self.assertEqual(self.read(_frame(_datagram(b"hello"))), [wanted])

    def test_marked(self) -> None:
        """
        The class of service of a packet is read, and the sender of RTP.
        """
        speech = b"\x80\0\0\1" + bytes(4) + b"\0\0\1\2" + bytes(160)
        (packet,) = self.read(_frame(_datagram(speech), tos=46 << 2))
        self.assertEqual((packet.dscp, packet.ssrc), (46, 258))

    def test_fragments(self) -> None:
        """
        A large message that was sent in fragments is put together, in whatever order they came.
        """
        whole = _datagram(b"x" * 1592 + b"y" * 100)
        first, second = _frame(whole[:1600], 0x2000), _frame(whole[1600:], 200)
        for frames in ((first, second), (second, first)):
            (packet,) = self.read(*frames)
            self.assertEqual(packet.payload, whole[8:])

    def test_fragment_missing(self) -> None:
        """
        A message of which a fragment is missing is not read.
        """
        self.assertEqual(self.read(_frame(_datagram(b"x" * 1592)[:1600], 0x2000)), [])

    def test_other_traffic(self) -> None:
        """
        TCP and a frame that was cut off by the end of the file are left out.
        """
        self.assertEqual(self.read(_frame(b"0" * 20, protocol=6), _frame(b"12345678")[:-4]), [])


class RevealingLinesTests(SynchronousTestCase):
    """
    Which lines of a message say where its sender is.
    """

    def test_lines(self) -> None:
        """
        Contact, Via, Record-Route and the SDP lines with addresses count, in short forms too.
        """
        telling = [
            "Via: SIP/2.0/UDP 10.0.0.11",
            "v: SIP/2.0/UDP 10.0.0.11",
            "contact : <sip:alice@10.0.0.11>",
            "m: <sip:alice@10.0.0.11>",
            "Record-Route: <sip:10.0.0.1;lr>",
            "o=- 1 1 IN IP4 10.0.0.11",
            "c=IN IP4 10.0.0.11",
            "m=audio 7070 RTP/AVP 0",
            "a=rtcp:7071 IN IP4 10.0.0.11",
            "a=candidate:1 1 UDP 1 10.0.0.11 7070 typ host",
        ]
        mute = [
            "INVITE sip:bob@10.0.0.1 SIP/2.0",
            "From: <sip:a@10.0.0.11>",
            "Call-ID: 1@10.0.0.11",
        ]
        self.assertEqual(revealing_lines("\r\n".join(mute[:1] + telling + mute[1:])), telling)
