"""
Links that come up late, and addresses that change.
"""

from __future__ import annotations

import socket
import time
from pathlib import Path
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from tests.interop.bed import FW, LAN_ROUTER, WAN_ROUTER, Bed
from tests.interop.proxy import Proxy
from tests.interop.readiness import reason_to_skip

PHONE, SERVER = "10.0.0.11", "203.0.113.16"
#: Seconds in which a change of ours must be in effect.
SOON = 1.0

_REQUEST = """\
OPTIONS sip:{server} SIP/2.0
Via: SIP/2.0/UDP {address}:{port};branch=z9hG4bK-{number};rport
From: <sip:alice@{server}>;tag=a
To: <sip:{server}>
Call-ID: {number}@{address}
CSeq: 1 OPTIONS
Max-Forwards: 70
Contact: <sip:alice@{address}:{port}>
Content-Length: 0

"""


class InterfacesTests(SynchronousTestCase):
    """
    A bed of its own, for its links go up and down.
    """

    def setUp(self) -> None:
        reason = reason_to_skip()
        if reason:
            raise SkipTest(reason)
        self.bed = Bed(keep=Path(f"interop-{self._testMethodName}").resolve())
        self.addCleanup(self.bed.remove)
        self.server = self.bed.open_socket(SERVER, 5060)
        self.phone = self.bed.open_socket(PHONE, 5060)
        for opened in (self.server, self.phone):
            self.addCleanup(opened.close)
        self.number = 0

    def start_proxy(self, **options: str) -> Proxy:
        proxy = Proxy(self.bed, **options)
        self.addCleanup(proxy.stop)
        return proxy

    def ip(self, words: str) -> None:
        self.bed.run(FW, "ip", *words.split())

    def ask(self, seconds: float = 0.2) -> tuple[str, str]:
        """
        What the server outside and the phone receive when the phone asks.
        """
        self.number += 1
        host, port = self.phone.getsockname()
        text = _REQUEST.format(server=SERVER, address=host, port=port, number=self.number)
        self.phone.sendto(text.replace("\n", "\r\n").encode(), (LAN_ROUTER, 5060))
        return _read(self.server, seconds), _read(self.phone, 0.01)

    def wait_via(self, address: str, seconds: float = SOON) -> None:
        """
        Ask until the server outside is told that we are at this address.
        """
        end, arrived = time.monotonic() + seconds, ""
        while time.monotonic() < end:
            arrived = self.ask(0.1)[0]
            if f"Via: SIP/2.0/UDP {address}" in arrived:
                return
        self.fail(f"not at {address} within {seconds} s; {arrived}")

    def test_late_and_changing(self) -> None:
        """
        With the link to the provider down the proxy starts, serves the phones, and tells
        them at once that the provider cannot be reached.  The link comes up, and later has
        another address: each time the next second's requests go out from there.
        """
        self.ip("link set ppp0 down")
        proxy = self.start_proxy()
        self.assertIn("if_outbound = ppp0: the interface is down", proxy.program.log())
        arrived, answered = self.ask(1)
        self.assertEqual(arrived, "")
        self.assertRegex(answered, "^SIP/2.0 503 ")
        self.ip("link set ppp0 up")
        self.wait_via(WAN_ROUTER)
        self.ip("address add 203.0.113.2/24 dev ppp0")
        self.ip(f"address del {WAN_ROUTER}/24 dev ppp0")
        self.ip("address replace 203.0.113.2/24 dev ppp0")
        self.wait_via("203.0.113.2")


def _read(opened: socket.socket, seconds: float) -> str:
    """
    All that arrives in this time, or right after the first.
    """
    found = []
    opened.settimeout(seconds)
    try:
        while True:
            found.append(opened.recv(65535).decode())
            opened.settimeout(0.01)
    except OSError:
        return "".join(found)
