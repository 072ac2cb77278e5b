"""
The console, as operators reach it: by the OpenSSH client.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.interop.readiness import SWITCH
from tests.interop.waiting import wait_until

_ROOT = Path(__file__).resolve().parents[2]
_HOST = "127.0.0.1"

_MESSAGE = """\
{method} sip:{target}@{proxy} SIP/2.0
Via: SIP/2.0/UDP {me};branch=z9hG4bK{branch};rport
Max-Forwards: 70
From: <sip:{user}@{proxy}>;tag={user}
To: <sip:{target}@{proxy}>
Call-ID: {call_id}
CSeq: 1 {method}
Contact: <sip:{user}@{me}>
{more}Content-Length: {length}

{body}"""

_SDP = """\
v=0
o=- 1 1 IN IP4 127.0.0.1
s=-
c=IN IP4 127.0.0.1
t=0 0
m=audio {port} RTP/AVP 0
"""


class Telephone:
    """
    A SIP socket and an RTP socket on loopback.
    """

    def __init__(self, user: str, proxy: tuple[str, int]) -> None:
        self.user = user
        self.proxy = proxy
        self.sip, self.rtp = (socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2))
        for one in (self.sip, self.rtp):
            one.bind((_HOST, 0))
            one.settimeout(5)
        self.me = "{}:{}".format(*self.sip.getsockname())
        self.media = "{}:{}".format(*self.rtp.getsockname())
        self.sdp = _SDP.format(port=self.rtp.getsockname()[1]).replace("\n", "\r\n")

    def send(self, method: str, target: str, call_id: str, more: str = "", body: str = "") -> None:
        text = _MESSAGE.format(
            method=method,
            target=target,
            proxy="{}:{}".format(*self.proxy),
            me=self.me,
            user=self.user,
            branch=os.urandom(4).hex(),
            call_id=call_id,
            more=more,
            length=len(body),
            body="{body}",
        )
        self.sip.sendto((text.replace("\n", "\r\n").format(body=body)).encode(), self.proxy)

    def receive(self, start: str) -> str:
        """
        The next message that begins so; others are passed over.
        """
        while True:
            text = self.sip.recv(65535).decode()
            if text.startswith(start):
                return text

    def register(self, user_agent: str) -> None:
        self.send("REGISTER", self.user, f"register-{self.user}", f"User-Agent: {user_agent}\n")
        self.receive("SIP/2.0 200")

    def answer(self, request: str) -> None:
        """
        Answer an INVITE with 200 and our SDP.
        """
        head = request.partition("\r\n\r\n")[0]
        kept = re.findall(r"(?im)^(?:Via|From|Call-ID|CSeq|Record-Route|To): .*$", head)
        lines = [f"{line.strip()};tag=b" if line.startswith("To:") else line for line in kept]
        lines += [f"Contact: <sip:{self.user}@{self.me}>", "Content-Type: application/sdp"]
        lines += [f"Content-Length: {len(self.sdp)}", "", self.sdp]
        text = "\r\n".join(["SIP/2.0 200 OK", *(line.strip("\r") for line in lines)])
        self.sip.sendto(text.encode(), self.proxy)

    def close(self) -> None:
        self.sip.close()
        self.rtp.close()


def media_port(message: str) -> int:
    found = re.search(r"m=audio (\d+)", message)
    assert found is not None, message
    return int(found[1])


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(socket.AF_INET, kind) as probe:
        probe.bind((_HOST, 0))
        return int(probe.getsockname()[1])


class ManholeTests(SynchronousTestCase):
    """
    ``manhole_port`` set, and ``ssh``.
    """

    def setUp(self) -> None:
        if os.environ.get(SWITCH) != "1":
            raise SkipTest(f"real peers are called only with {SWITCH}=1 (make interop)")
        if not shutil.which("ssh"):
            raise SkipTest("not installed: openssh-client")
        self.directory = Path(tempfile.mkdtemp(prefix="siptwist-manhole-"))
        self.addCleanup(shutil.rmtree, self.directory)
        for name in ("operator", "stranger"):
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.directory / name]
            subprocess.run(words, check=True)
        self.keys = self.directory / "keys"
        shutil.copy(self.directory / "operator.pub", self.keys)
        self.start()

    def start(self) -> None:
        self.proxy = (_HOST, free_port(socket.SOCK_DGRAM))
        self.port = free_port(socket.SOCK_STREAM)
        config = self.directory / "siproxd.conf"
        config.write_text(
            f"if_inbound = lo\nif_outbound = lo\nsip_listen_port = {self.proxy[1]}\n"
            f"registration_file = {self.directory / 'state' / 'registrations'}\n"
            f"hosts_allow_reg = 127.0.0.0/8\nrtp_port_low = 23000\nrtp_port_high = 23099\n"
            f"manhole_port = {self.port}\nmanhole_authorized_keys = {self.keys}\n"
            "drain_seconds = 0\ndirect_media = off\n"
        )
        twistd = str(Path(sys.executable).with_name("twistd"))
        self.log_file = self.directory / "log"
        with self.log_file.open("wb") as log:
            process = subprocess.Popen(
                [twistd, "-n", "--pidfile=", "siproxy", "--config", str(config)],
                stdout=log,
                stderr=log,
                cwd=_ROOT,
            )
        self.addCleanup(self.stop, process)
        wait_until(lambda: "Phones: " in self.log_file.read_text(), "siptwist to start", 15)

    def stop(self, process: subprocess.Popen[bytes]) -> None:
        process.terminate()
        process.wait(10)
        text = self.log_file.read_text()
        self.assertNotIn("Traceback", text)
        self.assertNotIn("Unhandled", text)

    def ssh(
        self, command: str = "", key: str = "operator", typed: str = "", *options: str
    ) -> subprocess.CompletedProcess[str]:
        settings = (
            "BatchMode=yes",
            "IdentitiesOnly=yes",
            "StrictHostKeyChecking=accept-new",
            f"UserKnownHostsFile={self.directory / 'known_hosts'}",
        )
        words = ["ssh", "-F", "none", "-p", str(self.port), "-i", str(self.directory / key)]
        for setting in settings:
            words += ["-o", setting]
        words += [*options, _HOST, *([command] if command else [])]
        return subprocess.run(words, input=typed, capture_output=True, text=True, timeout=20)

    def phone(self, user: str, user_agent: str = "phone") -> Telephone:
        phone = Telephone(user, self.proxy)
        self.addCleanup(phone.close)
        phone.register(user_agent)
        return phone

    def test_call(self) -> None:
        """
        A call is shown with the addresses that its media came from, and can be
        dropped.
        """
        alice, bob = self.phone("alice"), self.phone("bob")
        typed = "Content-Type: application/sdp\n"
        alice.send("INVITE", "bob", "call-1", typed, alice.sdp)
        offer = bob.receive("INVITE")
        bob.answer(offer)
        answer = alice.receive("SIP/2.0 200")
        for phone, message in ((alice, answer), (bob, offer)):
            for number in range(5):
                rtp = bytes([0x80, 0, 0, number, 0, 0, 0, number, 1, 2, 3, 4]) + bytes(160)
                phone.rtp.sendto(rtp, (_HOST, media_port(message)))
        wait_until(
            lambda: self.ssh("[row.packets for row in calls()]").stdout == "[5, 5]\n",
            "both parties to be heard",
            5,
        )
        table = self.ssh("calls()").stdout
        rows = [line.split() for line in table.splitlines()]
        self.assertEqual(rows[0][:4], ["call", "id", "age", "state"])
        self.assertEqual([rows[1][0], rows[1][2]], ["call-1", "up"])
        for phone, row in zip((alice, bob), rows[1:3], strict=True):
            self.assertEqual(row.count(phone.media), 2, table)
        said = self.ssh('drop("call-1")').stdout
        self.assertEqual(
            said, "call-1: media of 1 pass closed, 1 pass forgotten, 2 ends hear BYE\n"
        )
        self.assertEqual(self.ssh("calls()").stdout, "There are no calls.\n")

    def test_hostile_text(self) -> None:
        """
        What a phone calls itself does not reach the terminal as it is.
        """
        self.phone("alice", "\x1b]0;owned\x07\x1b[2J")
        table = self.ssh("registrations()").stdout
        self.assertIn("sip:alice@", table)
        self.assertNotIn("\x1b", table)

    def test_prompt(self) -> None:
        """
        The prompt survives a mistake, and can be left.
        """
        done = self.ssh("", "operator", "1/0\nconfig()\nlog('loud')\nexit()\n", "-tt")
        self.assertEqual(done.returncode, 0)
        self.assertIn("ZeroDivisionError", done.stdout)
        self.assertIn("manhole_port", done.stdout)
        self.assertIn("there is no level 'loud'", done.stdout)

    def test_stranger(self) -> None:
        """
        Another key lets nobody in, and passwords are not even asked for.
        """
        done = self.ssh("calls()", "stranger")
        self.assertEqual((done.returncode, done.stdout), (255, ""))
        self.assertIn("Permission denied (publickey)", done.stderr)

    def test_new_key(self) -> None:
        """
        A changed key file counts from the next login on.
        """
        shutil.copy(self.directory / "stranger.pub", self.keys)
        self.assertEqual(self.ssh("calls()", "stranger").returncode, 0)
        self.assertEqual(self.ssh("calls()", "operator").returncode, 255)

    def test_host_key(self) -> None:
        """
        The key of the console is made once, for our eyes only.
        """
        key = self.directory / "state" / "manhole_host_key"
        self.assertEqual(key.stat().st_mode & 0o777, 0o600)
        before = key.read_bytes()
        self.start()
        self.assertEqual(self.ssh("calls()").stdout, "There are no calls.\n")
        self.assertEqual(key.read_bytes(), before)
