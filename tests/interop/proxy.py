"""
The program under test: ``twistd siproxy`` on the router.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

from tests.interop.bed import FW, LAN_ROUTER, Bed
from tests.interop.waiting import wait_until

_ROOT = Path(__file__).resolve().parents[2]
_TICKS = os.sysconf("SC_CLK_TCK")
_OPEN_FILES = 65536
_BAD_LOG = re.compile(r"Traceback|Unhandled|Failure instance|\[.*#critical\]")
_LOCAL_PORT = re.compile(r"^\s*\d+: [0-9A-F]+:([0-9A-F]{4}) ", re.MULTILINE)

DEFAULTS = {
    "if_inbound": "eth0",
    "if_outbound": "ppp0",
    "rtp_proxy_enable": "1",
    "rtp_port_low": "10000",
    "rtp_port_high": "30000",
    "rtp_timeout": "300",
    "drain_seconds": "0",
    "hosts_allow_reg": "10.0.0.0/24",
}

_OPTIONS_REQUEST = """\
OPTIONS sip:{router} SIP/2.0
Via: SIP/2.0/UDP {address}:{port};branch=z9hG4bK-ready-{count};rport
From: <sip:ready@{address}>;tag=ready
To: <sip:{router}>
Call-ID: ready-{count}@{address}
CSeq: 1 OPTIONS
Max-Forwards: 70
Content-Length: 0

"""


class Proxy:
    """
    One running siptwist.

    :ivar program: the process; its log is twistd's.
    :ivar config: its configuration.
    """

    def __init__(
        self,
        bed: Bed,
        host: str = FW,
        address: str = LAN_ROUTER,
        neighbor: str = "10.0.0.19",
        **options: str | int,
    ) -> None:
        """
        Start it and wait until it answers.

        :param host: where it runs; ``address`` is what its phones know it by.
        :param neighbor: who asks whether it runs.
        :param options: of siproxd.conf, over :data:`DEFAULTS`.
        """
        self._bed = bed
        self._address = address
        self._neighbor = neighbor
        directory = bed.new_directory("proxy")
        settings: dict[str, object] = {
            **DEFAULTS,
            "registration_file": directory / "registrations",
            **options,
        }
        self._range = range(
            int(str(settings["rtp_port_low"])), int(str(settings["rtp_port_high"])) + 2
        )
        config = self.config = directory / "siproxd.conf"
        config.write_text("".join(f"{key} = {value}\n" for key, value in settings.items()))
        twistd = str(Path(sys.executable).with_name("twistd"))
        words = [
            "env",
            f"PYTHONPATH={os.environ.get('PYTHONPATH') or _ROOT}",
            twistd,
            "-n",
            "--pidfile=",
            "siproxy",
        ]
        self.program = bed.start(
            host, "siptwist", *words, "--config", str(config), open_files=_OPEN_FILES
        )
        try:
            wait_until(self.answers, "siptwist to answer OPTIONS", 15)
        except AssertionError as error:
            self.program.stop()
            raise AssertionError(f"{error}\n{self.program.log()[-6000:]}") from None

    def answers(self, seconds: float = 0.3) -> bool:
        """
        Whether it answers OPTIONS from the inside with 200 in this time.
        """
        if not self.program.running:
            raise AssertionError("siptwist has ended")
        with self._bed.open_socket(self._neighbor) as phone:
            phone.settimeout(seconds)
            address, port = phone.getsockname()
            request = _OPTIONS_REQUEST.format(
                router=self._address, address=address, port=port, count=port
            )
            phone.sendto(request.replace("\n", "\r\n").encode(), (self._address, 5060))
            try:
                return phone.recv(65535).startswith(b"SIP/2.0 200 ")
            except OSError:
                return False

    def media_ports(self) -> list[int]:
        """
        The ports of the RTP range that are bound on the router now, once for each socket.
        """
        table = Path(f"/proc/{self.program.pid}/net/udp").read_text()
        ports = (int(port, 16) for port in _LOCAL_PORT.findall(table))
        return sorted(port for port in ports if port in self._range)

    def wait_ports_free(self, seconds: float = 5) -> None:
        """
        Wait until every media port has been given back.
        """
        wait_until(lambda: not self.media_ports(), "all media ports to be freed", seconds)

    def cpu_seconds(self) -> float:
        """
        CPU time that it has used, user and system.
        """
        fields = Path(f"/proc/{self.program.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def rss_kib(self) -> int:
        """
        Memory that it holds.
        """
        status = Path(f"/proc/{self.program.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1])

    def complaints(self) -> list[str]:
        """
        Lines of its log that only a bug of ours writes.
        """
        return [line for line in self.program.log().splitlines() if _BAD_LOG.search(line)]

    def stop(self) -> None:
        """
        Stop it; fails when its log holds a traceback.
        """
        self.program.stop()
        if self.complaints():
            raise AssertionError(f"siptwist complained:\n{self.program.log()[-6000:]}")
