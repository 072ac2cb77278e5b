"""
``make bench``: what siptwist costs, as one JSON object.

CPU and memory of calls come from a real ``twistd siproxy`` between two SIPp
when this runs as root with the programs of ``make interop``; otherwise they are
left out and the reason is given.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.plugins import compare_plugins
from bench.reference import reference
from bench.rtpengine import is_installed
from bench.tables import compare

if TYPE_CHECKING:
    from tests.interop.bed import Bed

ROOT = Path(__file__).resolve().parent.parent
#: What ``make compiled`` makes.
LIBRARY = ROOT / "build" / "compiled"
PORT = 25062
#: CPU of a relayed packet that we do not exceed, by the number of calls.
PROMISED_US = {100: 20, 400: 18, 1000: 18}


def run_json(*command: str, **environment: str) -> list[dict[str, Any]]:
    """
    What a bench of its own process prints, a JSON object a line.
    """
    done = subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def libraries() -> dict[str, dict[str, str]]:
    """
    The environment in which siptwist is Python alone, and that in which some of it is
    compiled, if it has been.
    """
    path = f"{LIBRARY}{os.pathsep}{ROOT}"
    compiled = {"_compiled": {"PYTHONPATH": path, "PYTHONSAFEPATH": "1"}}
    return {"": {}, **(compiled if (LIBRARY / "made").exists() else {})}


def calls_in_process(calls: str, runs: int) -> dict[str, Any]:
    """
    CPU of a call within one process.  Each figure is the best of several runs, in
    fresh processes and in turn, for a machine that others use is slower at times;
    the reference beside it is of the same process.
    """
    setups: dict[str, tuple[str, ...]] = {"signaling": (), "with_media": ("--media",)}
    found: dict[str, list[dict[str, Any]]] = {
        f"{name}{which}": [] for which in libraries() for name in setups
    }
    for _ in range(runs):
        for name, setup in setups.items():
            for which, environment in libraries().items():
                command = ("-m", "bench.signaling", "--calls", calls, *setup)
                found[f"{name}{which}"] += run_json(*command, **environment)
    best = {name: min(all, key=lambda one: one["cpu_ms_per_call"]) for name, all in found.items()}
    return {
        "runs_of_each": runs,
        **best,
        "tables": compare(int(calls), runs),
        "plugins": compare_plugins(int(calls), runs),
    }


def start_time() -> dict[str, float]:
    """
    Seconds from the start of the process to its first answer, and its memory.
    """
    with tempfile.TemporaryDirectory() as directory:
        configuration = Path(directory) / "siproxd.conf"
        configuration.write_text(
            f"if_inbound = lo\nif_outbound = lo\nsip_listen_port = {PORT}\n"
            f"registration_file = {directory}/registrations.sqlite\n"
        )
        twistd = Path(sys.executable).with_name("twistd")
        command = [str(twistd), "-n", "--pidfile=", "siproxy", "--config", str(configuration)]
        started = time.monotonic()
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        try:
            return {"start_s": round(_first_answer(started), 3), "rss_mib": _rss(process.pid)}
        finally:
            process.kill()
            process.wait()


def _first_answer(started: float) -> float:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as phone:
        phone.bind(("127.0.0.1", 0))
        phone.settimeout(0.01)
        me = phone.getsockname()[1]
        while time.monotonic() < started + 20:
            request = (
                f"OPTIONS sip:127.0.0.1:{PORT} SIP/2.0\r\n"
                f"Via: SIP/2.0/UDP 127.0.0.1:{me};branch=z9hG4bK{time.monotonic_ns()}\r\n"
                "From: <sip:bench@127.0.0.1>;tag=1\r\n"
                f"To: <sip:127.0.0.1:{PORT}>\r\nCall-ID: bench\r\nCSeq: 1 OPTIONS\r\n\r\n"
            )
            phone.sendto(request.encode(), ("127.0.0.1", PORT))
            try:
                phone.recv(65535)
            except (TimeoutError, ConnectionError):
                continue
            return time.monotonic() - started
    raise TimeoutError("no answer from twistd siproxy")


def _rss(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return round(int(line.split()[1]) / 1024, 1)
    return 0.0


def live_calls(rate: int, seconds: float) -> dict[str, Any]:
    """
    Calls of real SIPp through a real twistd, in network namespaces.
    """
    from tests.interop.bed import Bed
    from tests.interop.readiness import SWITCH, reason_to_skip

    os.environ.setdefault(SWITCH, "1")
    reason = reason_to_skip()
    if reason:
        return {"skipped": reason}
    found = {}
    for which, environment in libraries().items():
        bed = Bed()
        os.environ.update(environment)
        try:
            found[f"with_media{which}"] = _live(bed, rate, seconds)
        finally:
            bed.remove()
            for name in environment:
                del os.environ[name]
    return found


def _live(bed: Bed, rate: int, seconds: float) -> dict[str, Any]:
    from tests.interop.load import run_calls
    from tests.interop.proxy import Proxy

    proxy = Proxy(bed, rtp_port_low=10000, rtp_port_high=29999)
    warm = run_calls(bed, proxy, rate, 2)
    figures = run_calls(bed, proxy, rate, seconds)
    held = run_calls(bed, proxy, 100, 5, hold_ms=8000)
    proxy.stop()
    grown = held["rss_kib_after"] - held["rss_kib_before"]
    return {
        "rate": rate,
        "calls": figures["calls"],
        "failed": figures["failed"] + warm["failed"] + held["failed"],
        "cpu_ms_per_call": figures["cpu_ms_per_call"],
        "rss_mib_after": round(held["rss_kib_after"] / 1024, 1),
        "kb_grown_by_held_calls": round(grown / held["calls"], 1),
    }


def relayed(seconds: str) -> dict[str, Any]:
    """
    What a packet costs us, what it costs rtpengine where that is installed, and
    whether we keep our promise.
    """
    words = ["--calls", "20,100,400,1000", "--seconds", seconds, "--runs", "3"]
    ours = run_json("bench/relay.py", *words)
    beside: list[dict[str, Any]] | str = "not installed"
    if is_installed():
        beside = run_json("bench/relay.py", *words, "--engine", "rtpengine")
    by_calls = {one["calls"]: one for one in ours}
    kept = {
        f"{most} us at {calls}": by_calls[calls]["cpu_us_per_packet"] <= most
        for calls, most in PROMISED_US.items()
    }
    kept["p99 under 1 ms at 100"] = by_calls[100]["delay_p99_us"] < 1000
    return {"siptwist": ours, "rtpengine": beside, "kept": kept}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="shorter runs, rougher figures")
    options = parser.parse_args()
    seconds = "2" if options.quick else "5"
    calls = "1000" if options.quick else "4000"
    figures = {
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python "
        f"{platform.python_version()}",
        "reference_us": reference(),
        "call_in_process": calls_in_process(calls, 2 if options.quick else 5),
        "call_live": live_calls(300, 4 if options.quick else 10),
        "rtp": relayed(seconds),
        "process": start_time(),
    }
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
