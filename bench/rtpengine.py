"""
rtpengine in userspace, driven by its ng protocol, to measure beside siptwist.
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import tempfile
import time
from typing import Any

HOST = "127.0.0.1"
CONTROL = 22222
LOW, HIGH = 10000, 29999

_SDP = (
    "v=0\r\no=- 1 1 IN IP4 {host}\r\ns=-\r\nc=IN IP4 {host}\r\nt=0 0\r\n"
    "m=audio {port} RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\na=sendrecv\r\n"
)
_PORT = re.compile(r"m=audio (\d+) ")


def is_installed() -> bool:
    return shutil.which("rtpengine") is not None


def encode(value: str | dict[str, Any]) -> str:
    """
    Bencode, as much of it as a request needs; ASCII only.
    """
    if isinstance(value, str):
        return f"{len(value)}:{value}"
    return "d" + "".join(encode(key) + encode(value[key]) for key in sorted(value)) + "e"


class RTPEngine:
    """
    A running rtpengine.
    """

    name = "rtpengine"

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory()
        self._process = subprocess.Popen(
            [
                *("rtpengine", "--foreground", "--table=-1", "--log-level=1", "--log-stderr"),
                *(f"--interface={HOST}", f"--listen-ng={HOST}:{CONTROL}"),
                *(f"--port-min={LOW}", f"--port-max={HIGH}"),
                f"--pidfile={self._directory.name}/pid",
            ],
            stderr=subprocess.DEVNULL,
        )
        self.pid = self._process.pid
        self._control = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._control.connect((HOST, CONTROL))
        self._control.settimeout(1.0)
        self._cookies = 0
        self.costs: dict[str, float] = {}
        self._wait()

    def open_calls(self, wanted: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """
        Open a call between each pair of ports; its ports that face caller and callee.
        """
        return [self._open_call(str(n), *pair) for n, pair in enumerate(wanted)]

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait()
        self._control.close()
        self._directory.cleanup()

    def _open_call(self, call_id: str, caller: int, callee: int) -> tuple[int, int]:
        tags = {"call-id": call_id, "from-tag": "a"}
        facing_callee = self._describe(caller, {"command": "offer", **tags})
        answer = {"command": "answer", **tags, "to-tag": "b"}
        return self._describe(callee, answer), facing_callee

    def _describe(self, port: int, request: dict[str, Any]) -> int:
        told = self._ask({**request, "sdp": _SDP.format(host=HOST, port=port), "ICE": "remove"})
        found = _PORT.search(told)
        if found is None:
            raise RuntimeError(f"rtpengine: {told}")
        return int(found[1])

    def _ask(self, request: dict[str, Any]) -> str:
        self._cookies += 1
        cookie = f"bench{self._cookies}"
        for _ in range(3):
            self._control.send(f"{cookie} {encode(request)}".encode())
            try:
                told = self._control.recv(65535).decode()
            except (TimeoutError, ConnectionError):
                continue
            if told.startswith(f"{cookie} "):
                return told
        raise RuntimeError("rtpengine does not answer")

    def _wait(self) -> None:
        deadline = time.monotonic() + 10
        while True:
            try:
                self._ask({"command": "ping"})
                return
            except RuntimeError:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    self.stop()
                    raise
                time.sleep(0.1)
