"""
Many calls at once: SIPp calls SIPp through the program under test.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.interop.bed import LAN_ROUTER, Bed
from tests.interop.program import Program
from tests.interop.proxy import Proxy
from tests.interop.waiting import wait_until

CALLER = "10.0.0.15"
CALLEE = "203.0.113.15"
_SCENARIOS = Path(__file__).with_name("sipp")
_MOST_CALLS = 5000


def start_sipp(
    bed: Bed,
    host: str,
    scenario: str,
    remote: str = "",
    *words: str,
    port: int = 5060,
    calls: int = 1,
) -> Program:
    """
    Start SIPp on ``host``; it ends by itself after that many calls.  One that is
    called listens when this returns: nobody is refused by a closed port.

    :param scenario: the name of a file in ``sipp/``, or a path, without its ending.
    :param remote: whom it calls, through the proxy; empty when it is called.
    """
    command = ["sipp", "-sf", str(_SCENARIOS / f"{scenario}.xml"), "-i", host, "-p", str(port)]
    command += ["-m", str(calls), "-l", str(_MOST_CALLS), "-nostdin", "-trace_err"]
    name = f"sipp-{Path(scenario).name}"
    command += ["-error_file", str(bed.new_directory(name) / "errors.log")]
    if remote:
        command += ["-rsa", f"{LAN_ROUTER}:5060"]
    program = bed.start(host, name, *command, *words, *([remote] if remote else []))
    if not remote:
        wait_until(lambda: _listens(bed, host, port), f"{name} to listen")
    return program


def _listens(bed: Bed, host: str, port: int) -> bool:
    return f":{port:04X} 00000000:0000 " in bed.run(host, "cat", "/proc/net/udp")


def run_calls(
    bed: Bed, proxy: Proxy, rate: int, seconds: float, hold_ms: int = 0, grace: float = 60
) -> dict[str, Any]:
    """
    Place calls from a phone inside to a server outside, with SDP, 7 messages each.

    :param rate: new calls a second.
    :param seconds: for how long; so ``rate * seconds`` calls in all.
    :param hold_ms: how long each call lasts.
    :param grace: seconds that SIPp may take longer than planned.
    :returns: counts of calls, the CPU of the proxy for each, its memory and its sockets.
    """
    calls = int(rate * seconds)
    callee = start_sipp(bed, CALLEE, "callee", calls=calls)
    statistics = bed.new_directory("load") / "caller.csv"
    words = ["-s", "callee", "-r", str(rate), "-d", str(hold_ms), "-fd", "1"]
    words += ["-trace_stat", "-stf", str(statistics)]
    cpu, rss = proxy.cpu_seconds(), proxy.rss_kib()
    caller = start_sipp(bed, CALLER, "caller", CALLEE, *words, calls=calls)
    try:
        ports = _watch_ports(proxy, caller, seconds + hold_ms / 1000 + grace) if hold_ms else 0
        status = caller.wait(seconds + hold_ms / 1000 + grace)
        callee_status = callee.wait(5)
    finally:
        caller.stop()
        callee.stop()
    cpu = proxy.cpu_seconds() - cpu
    return {
        **_counts(statistics),
        "most_media_ports": ports,
        "status": status,
        "callee_status": callee_status,
        "calls": calls,
        "rate": rate,
        "hold_ms": hold_ms,
        "cpu_ms_per_call": round(1000 * cpu / calls, 4),
        "rss_kib_before": rss,
        "rss_kib_after": proxy.rss_kib(),
    }


def _watch_ports(proxy: Proxy, caller: Program, seconds: float) -> int:
    """
    Wait for the end of ``caller``; the most media ports that were bound until then.
    """
    most = 0

    def ended() -> bool:
        nonlocal most
        most = max(most, len(proxy.media_ports()))
        return not caller.running

    wait_until(ended, "the calls to end", seconds, pause=1.0)
    return most


def _counts(statistics: Path) -> dict[str, int]:
    with statistics.open(newline="") as lines:
        rows = list(csv.DictReader(lines, delimiter=";"))
    last = rows[-1]
    return {
        "successful": int(last["SuccessfulCall(C)"]),
        "failed": int(last["FailedCall(C)"]),
        "retransmissions": int(last["Retransmissions(C)"]),
        "most_at_once": _highest(rows, "CurrentCall"),
    }


def _highest(rows: Sequence[dict[str, str]], column: str) -> int:
    return max(int(row[column]) for row in rows)
