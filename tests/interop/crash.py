"""
Phones that register at a real ``twistd siproxy`` on loopback, which is killed.
"""

from __future__ import annotations

import os
import random
import re
import select
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOST, PORT, PHONE_PORT = "127.0.0.1", 25060, 25070

_REGISTER = """\
REGISTER sip:{host}:{port} SIP/2.0
Via: SIP/2.0/UDP {host}:{phone};branch=z9hG4bK{branch}
Max-Forwards: 70
From: <sip:{user}@{host}:{port}>;tag={user}
To: <sip:{user}@{host}:{port}>
Call-ID: {call_id}
CSeq: {cseq} REGISTER
{contact}Content-Length: 0

"""


class Registrar:
    """
    The program under test, started on the same files again and again.
    """

    def __init__(self, directory: Path) -> None:
        self._configuration = directory / "siproxd.conf"
        self._log = directory / "twistd.log"
        self._configuration.write_text(
            "if_inbound = lo\nif_outbound = lo\n"
            f"sip_listen_port = {PORT}\nregistration_file = {directory}/registrations.sqlite\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        twistd = Path(sys.executable).with_name("twistd")
        command = [str(twistd), "-n", "--pidfile=", "siproxy", "--config"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, str(self._configuration)],
                cwd=ROOT,
                stdout=log,
                stderr=log,
                env=os.environ | {"PYTHONPATH": str(ROOT)},
            )

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def log(self) -> str:
        return self._log.read_text(errors="replace")


class Phones:
    """
    Registers one phone after the other through one socket, as fast as they
    are answered.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind((HOST, PHONE_PORT))
        self.acknowledged: set[str] = set()
        self._count = 0

    def close(self) -> None:
        self._socket.close()

    def _send(self, user: str, contact: str) -> None:
        self._count += 1
        text = _REGISTER.format(
            host=HOST,
            port=PORT,
            phone=PHONE_PORT,
            user=user,
            branch=f"{self._count}x{random.getrandbits(32):x}",
            call_id=f"{user}-{random.getrandbits(32):x}",
            cseq=self._count,
            contact=contact,
        )
        self._socket.sendto(text.replace("\n", "\r\n").encode(), (HOST, PORT))

    def _receive(self, seconds: float) -> str:
        if not select.select([self._socket], [], [], seconds)[0]:
            return ""
        return self._socket.recv(65535).decode()

    def register(self, users: list[str], until: float) -> None:
        """
        Register ``users``, four at a time, until all are or the time is over.
        """
        waiting = list(users)
        open_requests = 0
        while time.monotonic() < until and (waiting or open_requests):
            while waiting and open_requests < 4:
                user = waiting.pop()
                self._send(user, f"Contact: <sip:{user}@{HOST}:{PHONE_PORT}>;expires=3600\n")
                open_requests += 1
            answer = self._receive(0.05)
            if answer.startswith("SIP/2.0 200"):
                self.acknowledged.add(_user(answer))
                open_requests -= 1

    def first_answer(self, limit: float = 10.0) -> float:
        """
        Seconds until the registrar answers; it is asked every 20 ms.

        :raises TimeoutError: after ``limit``.
        """
        started = time.monotonic()
        while time.monotonic() < started + limit:
            self._send("nobody", "")
            if self._receive(0.02).startswith("SIP/2.0 200"):
                while self._receive(0.05):
                    pass
                return time.monotonic() - started
        raise TimeoutError("the registrar did not start")

    def is_registered(self, user: str) -> bool:
        self._send(user, "")
        answer = self._receive(2.0)
        return f"<sip:{user}@{HOST}:{PHONE_PORT}>" in answer


def _user(answer: str) -> str:
    found = re.search(r"To: <sip:([^@]+)@", answer)
    return found[1] if found else ""
