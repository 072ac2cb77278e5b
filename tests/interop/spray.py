"""
Somebody who sends RTP to every port there is: ``spray.py HOST LOW HIGH RATE SOUND``.

RATE is in packets a second for each port, SOUND a file of G.711 mu-law.  Writes
how many packets were sent, a line each second, until it is stopped.
"""

from __future__ import annotations

import socket
import struct
import sys
import time
from pathlib import Path

SSRC = 0xBADC0DE
_ROUND = 0.005


def main() -> None:
    host, low, high, rate, sound = sys.argv[1:]
    ports = range(int(low), int(high) + 1)
    voice = Path(sound).read_bytes()
    spray(host, ports, int(rate), [voice[at : at + 160] for at in range(0, 8000, 160)])


def spray(host: str, ports: range, rate: int, voice: list[bytes]) -> None:
    """
    Keep the pace on average, for ever.
    """
    started, sent, told = time.monotonic(), 0, 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
        while True:
            elapsed = time.monotonic() - started
            while sent < elapsed * rate:
                head = struct.pack("!BBHII", 0x80, 0, sent & 0xFFFF, 160 * sent, SSRC)
                for port in ports:
                    try:
                        stranger.sendto(head + voice[sent % 50], (host, port))
                    except ConnectionRefusedError:
                        continue
                sent += 1
            if elapsed >= told + 1:
                told += 1
                print(f"sent {sent * len(ports)}", flush=True)
            time.sleep(_ROUND)


if __name__ == "__main__":
    main()
