"""
Other systems than Linux: nothing that only Linux has is needed to import siptwist.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

HOUSE = Path(__file__).parent.parent / "siptwist"

# What Python has on Linux alone, not on FreeBSD.
LINUX_MODULES = {"spwd", "_ctypes_test", "twisted.internet.inotify", "twisted.python._inotify"}

# Makes this Python look like FreeBSD's, and imports all of siptwist.
_FREEBSD = """
import importlib, os, pkgutil, select, socket, sys

sys.platform = "freebsd14"
for module, names in (
    (socket, ("AF_NETLINK", "AF_PACKET", "AF_ALG", "AF_VSOCK", "SO_BINDTODEVICE", "SO_MARK",
              "SO_PRIORITY", "MSG_ERRQUEUE", "IP_RECVERR", "IPV6_RECVERR", "IP_MTU_DISCOVER",
              "SO_INCOMING_CPU", "NETLINK_ROUTE", "IP_TRANSPARENT", "IP_PKTINFO")),
    (select, ("epoll", "EPOLLIN", "EPOLLOUT", "EPOLLERR")),
    (os, ("memfd_create", "eventfd", "pidfd_open", "unshare", "setns", "O_TMPFILE")),
):
    for name in names:
        if hasattr(module, name):
            delattr(module, name)
for name in {blocked}:
    sys.modules[name] = None
import siptwist
for found in pkgutil.walk_packages(siptwist.__path__, "siptwist."):
    importlib.import_module(found.name)
    print(found.name)
"""


class PortableTests(SynchronousTestCase):
    def test_imports(self) -> None:
        """
        Every module can be imported where sockets, epoll and the like are FreeBSD's.
        """
        script = _FREEBSD.replace("{blocked}", repr(sorted(LINUX_MODULES)))
        environment = {**os.environ, "PYTHONPATH": str(HOUSE.parent)}
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, env=environment
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("siptwist.net.addresses", done.stdout.split())

    def test_nothing_at_the_top(self) -> None:
        """
        No module asks for a module of Linux alone at its top, nor for fcntl, which not
        every system has.
        """
        wrong = []
        for path in sorted(HOUSE.rglob("*.py")):
            for node in ast.parse(path.read_text()).body:
                names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if isinstance(node, ast.ImportFrom):
                    names = [node.module or ""]
                wrong += [(path.name, name) for name in names if name in {*LINUX_MODULES, "fcntl"}]
        self.assertEqual(wrong, [])
