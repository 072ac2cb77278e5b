"""
A small world on one machine: phones, the router with the program under test, and the outside.

::

    10.0.0.x -- lan (switch) -- 10.0.0.1 eth0  fw  ppp0 203.0.113.1 -- wan (switch) -- 203.0.113.x

Every address is a host of its own: a namespace that appears when it is first used;
those of the router, and 127.0.0.1, are the router.
192.168.x.y is behind another router, 10.0.0.x: one host there, for each x.  10.0.1.y is
one host, too, on another interface of the router, wlan0.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import re
import shutil
import socket
import struct
import subprocess
import tempfile
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.interop.program import Program

PREFIX = "stwist"
_CLONE_NEWNET = 0x40000000
FW = "fw"
LAN_ROUTER = "10.0.0.1"
WAN_ROUTER = "203.0.113.1"
RESOLVER = "203.0.113.53"

_BEDS = itertools.count(1)
_NAMESPACE = re.compile(rf"{PREFIX}(\d+)-[\w.]+")

_FIREWALL = """
table ip nat {
  chain postrouting {
    type nat hook postrouting priority 100;
    oifname "ppp0" ip saddr 10.0.0.0/24 masquerade
  }
}
"""


# Each flow gets a port that nobody could foretell.
_SECOND_NAT = """
table ip nat {
  chain postrouting {
    type nat hook postrouting priority 100;
    oifname "eth0" ip protocol udp masquerade to :40000-59999 random
  }
}
"""

# nfnetlink: NFNL_SUBSYS_CTNETLINK, IPCTNL_MSG_CT_DELETE, of everything there is.
_NETLINK_NETFILTER = 12
_FORGET_FLOWS = struct.pack("=IHHIIBBH", 20, 1 << 8 | 2, 1, 1, 0, 0, 0, 0)


class Bed:
    """
    The namespaces of one run; their names carry our process id and a number.
    """

    def __init__(self, keep: Path | None = None) -> None:
        """
        :param keep: where the logs go when the bed is removed; ``None`` deletes them.
        """
        remove_leftovers()
        self._keep = keep
        self.prefix = f"{PREFIX}{os.getpid()}-{next(_BEDS)}"
        self._programs: list[Program] = []
        self._hosts: dict[str, str] = {}
        self.directory = Path(tempfile.mkdtemp(prefix=f"{self.prefix}-"))
        try:
            self._build()
        except BaseException:
            self.remove()
            raise

    def command(self, host: str, words: Sequence[str]) -> list[str]:
        """
        ``words`` as a command that runs on ``host``: an address, or ``FW``.
        """
        self._require(host)
        return ["ip", "netns", "exec", self._hosts[host], *words]

    def run(self, host: str, *words: str, text: str | None = None, seconds: float = 30) -> str:
        """
        Run a command on ``host`` to its end; its standard output.

        :raises subprocess.CalledProcessError: it failed.
        """
        done = subprocess.run(
            self.command(host, words),
            input=text,
            capture_output=True,
            text=True,
            timeout=seconds,
        )
        if done.returncode:
            message = f"{words} on {host}: status {done.returncode}\n{done.stdout}{done.stderr}"
            raise AssertionError(message)
        return done.stdout

    def start(self, host: str, name: str, *words: str, open_files: int = 0) -> Program:
        """
        Start a program on ``host``; its output goes to a log in our directory.
        """
        program = Program(name, self.command(host, words), self.directory, open_files)
        self._programs.append(program)
        return program

    def open_socket(self, host: str, port: int = 0, address: str = "") -> socket.socket:
        """
        A UDP socket of ours on ``host``, bound to its address or to another one of it.
        """
        with self._inside(host):
            opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            opened.bind((address or host, port))
        return opened

    def forget_flows(self, router: str) -> None:
        """
        Make a NAT router forget what it has translated so far, as a restart does.
        """
        with (
            self._inside(router),
            socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER) as netlink,
        ):
            netlink.send(_FORGET_FLOWS)

    @contextmanager
    def _inside(self, host: str) -> Iterator[None]:
        """
        Sockets that are made meanwhile are on ``host``.
        """
        self._require(host)
        with open("/proc/self/ns/net") as ours, open(f"/run/netns/{self._hosts[host]}") as theirs:
            _enter(theirs.fileno())
            try:
                yield
            finally:
                _enter(ours.fileno())

    def new_directory(self, name: str) -> Path:
        """
        An empty directory for one program's files.
        """
        return Path(tempfile.mkdtemp(prefix=f"{name}-", dir=self.directory))

    def remove(self) -> None:
        """
        Take every namespace, its processes and our directory away.
        """
        for program in reversed(self._programs):
            program.stop()
        for namespace in set(self._hosts.values()):
            remove_namespace(namespace)
        if self._keep is not None and self.directory.exists():
            shutil.rmtree(self._keep, ignore_errors=True)
            shutil.copytree(self.directory, self._keep, ignore=_not_a_file)
        shutil.rmtree(self.directory, ignore_errors=True)

    def _build(self) -> None:
        for switch in ("lan", "wan"):
            self._add(switch)
            self.run(switch, "ip", "link", "add", "br0", "type", "bridge")
            self.run(switch, "ip", "link", "set", "br0", "up")
        self._add(FW)
        self._hosts |= dict.fromkeys((LAN_ROUTER, WAN_ROUTER, "127.0.0.1"), self._hosts[FW])
        self._cable(FW, "eth0", LAN_ROUTER, "lan")
        self._cable(FW, "ppp0", WAN_ROUTER, "wan")
        self.run(FW, "ip", "route", "add", "default", "dev", "ppp0")
        self.run(FW, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        self.run(FW, "nft", "-f", "-", text=_FIREWALL)

    def _require(self, host: str) -> None:
        if host not in self._hosts:
            self._plug(host)

    def _plug(self, address: str) -> None:
        if address.startswith("192.168."):
            self._plug_behind(f"10.0.0.{address.split('.')[2]}", address)
            return
        if address.startswith("10.0.1."):
            self._wire(FW, "wlan0", address)
            return
        inside = address.startswith("10.0.0.")
        self._add(address)
        self._cable(address, "eth0", address, "lan" if inside else "wan")
        if inside:
            self.run(address, "ip", "route", "add", "default", "via", LAN_ROUTER)

    def _plug_behind(self, router: str, address: str) -> None:
        self._require(router)
        self._wire(router, "home", address)
        self.run(router, "sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
        self.run(router, "nft", "-f", "-", text=_SECOND_NAT)

    def _wire(self, router: str, interface: str, address: str) -> None:
        """
        A host that is alone in its network, at an interface of a router.
        """
        self._add(address)
        gateway = address.rpartition(".")[0] + ".1"
        near = ["name", "eth0", "netns", self._hosts[address]]
        far = ["name", interface, "netns", self._hosts[router]]
        _ip("link", "add", *near, "type", "veth", "peer", *far)
        for host, name, its in ((router, interface, gateway), (address, "eth0", address)):
            self.run(host, "ip", "address", "add", f"{its}/24", "dev", name)
            self.run(host, "ip", "link", "set", name, "up")
        self.run(address, "ip", "route", "add", "default", "via", gateway)

    def _add(self, host: str) -> None:
        namespace = f"{self.prefix}-{host}"
        _ip("netns", "add", namespace)
        self._hosts[host] = namespace
        _write_resolver(namespace)
        self.run(host, "ip", "link", "set", "lo", "up")

    def _cable(self, host: str, name: str, address: str, switch: str) -> None:
        port = "p" + address.rsplit(".", 1)[1]
        near = ["name", name, "netns", self._hosts[host]]
        far = ["name", port, "netns", self._hosts[switch]]
        _ip("link", "add", *near, "type", "veth", "peer", *far)
        self.run(switch, "ip", "link", "set", port, "master", "br0", "up")
        self.run(host, "ip", "link", "set", name, "up")
        self.run(host, "ip", "address", "add", f"{address}/24", "dev", name)


def remove_leftovers() -> None:
    """
    Remove the namespaces of runs that were killed before they could clean up.
    """
    for name in os.listdir("/run/netns") if os.path.isdir("/run/netns") else ():
        match = _NAMESPACE.fullmatch(name)
        if match is not None and not os.path.exists(f"/proc/{match[1]}"):
            remove_namespace(name)
            for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}{match[1]}-*"):
                shutil.rmtree(left, ignore_errors=True)


def remove_namespace(name: str) -> None:
    """
    End what runs in a namespace and delete it; one that is not there is fine.
    """
    asked = subprocess.run(["ip", "netns", "pids", name], capture_output=True, text=True)
    for pid in asked.stdout.split():
        try:
            os.kill(int(pid), 9)
        except ProcessLookupError:
            continue
    subprocess.run(["ip", "netns", "delete", name], capture_output=True)
    shutil.rmtree(f"/etc/netns/{name}", ignore_errors=True)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


def _write_resolver(namespace: str) -> None:
    directory = Path("/etc/netns") / namespace
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "resolv.conf").write_text(f"nameserver {RESOLVER}\noptions timeout:1\n")


def _enter(descriptor: int) -> None:
    """
    Move this thread into a network namespace; sockets stay where they are made.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _not_a_file(directory: str, names: Collection[str]) -> list[str]:
    paths = ((name, Path(directory) / name) for name in names)
    return [name for name, path in paths if not (path.is_file() or path.is_dir())]
