"""
The running process: signals, privileges, and the commands that start nothing.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.interop.bed import LAN_ROUTER
from tests.interop.case import ALICE, CAROL, InteropCase
from tests.interop.phone import Account
from tests.interop.proxy import Proxy
from tests.interop.waiting import wait_until

_ROOT = Path(__file__).resolve().parents[2]

_INVITE = """\
INVITE sip:bob@example.net SIP/2.0
Via: SIP/2.0/UDP {address}:{port};branch=z9hG4bK-{port};rport
From: <sip:carol@example.net>;tag=a
To: <sip:bob@example.net>
Call-ID: {port}@{address}
CSeq: 1 INVITE
Max-Forwards: 70
Contact: <sip:carol@{address}:{port}>
Content-Length: 0

"""


class OperationTests(InteropCase):
    """
    The process does what it is told, and no call notices.
    """

    def invite(self, address: str) -> str:
        """
        The final answer to an INVITE from this address of the inside; empty when none comes.
        """
        with self.bed.open_socket(address) as phone:
            phone.settimeout(1)
            host, port = phone.getsockname()
            text = _INVITE.format(address=host, port=port).replace("\n", "\r\n")
            phone.sendto(text.encode(), (LAN_ROUTER, 5060))
            try:
                while True:
                    answer = phone.recv(65535).decode()
                    if not answer.startswith("SIP/2.0 1"):
                        return answer
            except OSError:
                return ""

    def tell(self, proxy: Proxy, number: int, words: str) -> None:
        """
        Send a signal, and wait until the log says so.
        """
        mark = proxy.program.mark()
        os.kill(proxy.program.pid, number)
        proxy.program.wait_for(words, since=mark)

    def test_reload_and_drain(self) -> None:
        """
        SIGHUP with a bad file changes nothing, with a good one the lists; SIGUSR1 counts;
        SIGTERM refuses new calls with 503.  The call that was up talks through all of it,
        and the process ends when it does.
        """
        proxy = self.start_proxy(drain_seconds=20)
        bob, alice = self.start_outside(), self.start_inside("alice", ALICE)
        self.connect(alice, bob)
        good = proxy.config.read_text()
        proxy.config.write_text(good + "rtp_dscp = 64\n")
        self.tell(proxy, signal.SIGHUP, "stays as it was.*\n.*rtp_dscp: 64 is not between")
        proxy.config.write_text(good + "hosts_deny_sip = 10.0.0.19\nuser = nobody\n")
        self.tell(proxy, signal.SIGHUP, "in force now: hosts_deny_sip")
        proxy.program.wait_for("Needs a restart, and stays as it was until then: user")
        self.assertEqual(self.invite("10.0.0.19"), "")
        self.tell(proxy, signal.SIGUSR1, "Statistics: 1 with media, 1 streams")
        self.tell(proxy, signal.SIGTERM, "Stopping: new calls are refused, 1 have 20 s to end")
        answer = self.invite("10.0.0.18")
        self.assertTrue(answer.startswith("SIP/2.0 503 "), answer)
        self.assertRegex(answer, r"\r\nRetry-After: \d+\r\n")
        self.assert_talk(alice, bob)
        alice.hang_up()
        bob.wait_over()
        self.assertEqual(proxy.program.wait(5), 0)
        proxy.program.wait_for("Stopped: no call is left")

    def test_cut(self) -> None:
        """
        A call that does not end in time is over at both ends when we are gone.
        """
        proxy = self.start_proxy(drain_seconds=1)
        bob, alice = self.start_outside(), self.start_inside("alice", ALICE)
        self.connect(alice, bob)
        os.kill(proxy.program.pid, signal.SIGTERM)
        alice.wait_over()
        bob.wait_over()
        self.assertEqual(proxy.program.wait(5), 0)
        proxy.program.wait_for("1 calls are cut; 2 parties are told")

    def test_user_and_jail(self) -> None:
        """
        Started as root with user and chrootjail, every id is the user's, no group of root's
        is left, nothing but the jail is seen, and a phone registers (siproxd's fault S7).
        """
        jail = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, jail)
        jail.chmod(0o755)
        proxy = self.start_proxy(
            user="nobody",
            chrootjail=jail,
            registration_file="/state/registrations",
            siproxd_registration_file="/state/siproxd",
            pid_file=jail / "pid",
        )
        account = pwd.getpwnam("nobody")
        status = Path(f"/proc/{proxy.program.pid}/status").read_text()
        for name, number in (("Uid", account.pw_uid), ("Gid", account.pw_gid)):
            self.assertIn(f"{name}:\t" + "\t".join([str(number)] * 4), status)
        groups = re.search(r"Groups:\t(.*)", status)
        assert groups is not None
        self.assertEqual(groups[1].split(), [str(account.pw_gid)])
        self.assertRegex(status, r"CapPrm:\t0+\n")
        self.assertEqual(os.readlink(f"/proc/{proxy.program.pid}/root"), str(jail))
        self.assertEqual(jail.joinpath("pid").read_text(), f"{proxy.program.pid}\n")
        self.start_inside("alice", ALICE)
        copy = jail / "state" / "siproxd"
        wait_until(lambda: copy.exists() and "sip:alice@" in copy.read_text(), "the copy", 3)

    def test_password_for_calls(self) -> None:
        """
        With proxy_auth_calls a phone of ours proves itself for a call, too (407), and
        talks; who does not know the password reaches nobody.
        """
        self.start_proxy(
            proxy_auth_realm="home", proxy_auth_passwd="open-sesame", proxy_auth_calls=1
        )
        alice, carol = (
            self.start_phone(address, Account(user, LAN_ROUTER, secret="open-sesame"))
            for user, address in (("alice", ALICE), ("carol", CAROL))
        )
        self.connect(alice, carol)
        self.assertTrue(alice.received("SIP/2.0 407"))
        self.assertFalse(carol.received("Proxy-Authorization"))
        answer = self.invite("10.0.0.19")
        self.assertTrue(answer.startswith("SIP/2.0 407 "), answer)

    def command(
        self, *words: str, before: tuple[str, ...] = ()
    ) -> subprocess.CompletedProcess[str]:
        """
        Run ``twistd siproxy`` until it ends.

        :param before: words for twistd itself.
        """
        twistd = str(Path(sys.executable).with_name("twistd"))
        return subprocess.run(
            [twistd, *before, "siproxy", *words],
            capture_output=True,
            text=True,
            timeout=20,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": str(_ROOT)},
        )

    def test_commands(self) -> None:
        """
        --check and --migrate say what there is and end; an unknown user stops a start.
        """
        folder = self.bed.new_directory("old")
        config = folder / "siproxd.conf"
        config.write_text("if_inbound = lo\nif_outbound = lo\nrtp_timeout = 0\n")
        done = self.command("--config", str(config), "--check")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("warning: ", done.stdout)
        done = self.command("--migrate", str(folder))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("3 options read", done.stdout)
        config.write_text(
            f"if_inbound = lo\nif_outbound = lo\nsip_listen_port = 5999\nuser = no-such-user\n"
            f"registration_file = {folder}/registrations\n"
        )
        done = self.command("--config", str(config), before=("-n", "--pidfile="))
        self.assertEqual(done.returncode, 1)
        self.assertEqual(done.stderr, f"{config}:4: user: no-such-user: there is no such user\n")
        self.assertFalse(folder.joinpath("registrations").exists())
