"""
Whether this machine can run the bed, and if not, why.
"""

from __future__ import annotations

import os
import shutil

SWITCH = "SIPTWIST_INTEROP"
_PROGRAMS = {
    "ip": "iproute2",
    "nft": "nftables",
    "tcpdump": "tcpdump",
    "baresip": "baresip-core",
    "kamailio": "kamailio",
    "kamcmd": "kamailio",
    "dnsmasq": "dnsmasq-base",
    "sipp": "sip-tester",
    "svmap": "sipvicious",
    "svwar": "sipvicious",
    "svcrack": "sipvicious",
    "turnserver": "coturn",
}


def reason_to_skip() -> str:
    """
    Why the bed cannot run here; empty when it can.
    """
    if os.environ.get(SWITCH) != "1":
        return f"real peers are called only with {SWITCH}=1 (make interop)"
    if os.geteuid() != 0:
        return "network namespaces need root"
    missing = sorted({package for name, package in _PROGRAMS.items() if not shutil.which(name)})
    return f"not installed: {' '.join(missing)}" if missing else ""
