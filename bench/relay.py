"""
What a relayed RTP packet costs: CPU, loss and delay through RelayingService.

    python bench/relay.py --calls 20,100,400,1000 --seconds 5 --runs 3

The relay runs in a process of its own; a paced sender in this one plays both
parties of every call on loopback: 50 packets a second each way, 172 octets,
the time of sending inside.  Prints one line of JSON for each number of calls:
the best run for CPU and for delay each, as the machine has other things to do.
With ``--engine rtpengine`` the same packets go through that.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import resource
import select
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.rtpengine import RTPEngine

HOST = "127.0.0.1"
PACKETS_PER_SECOND = 50
PACKET = 172
TICKS = 20
LOW, HIGH = 10000, 29999
#: Sockets whose packets get the kernel's time of arrival; the rest are counted.
TIMED = 40
_TIMESTAMPNS = 35


def allow_files() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


# The relay's process.


def serve() -> None:
    """
    Open the calls that standard input lists, tell our ports, relay until it ends.
    """
    from twisted.internet import reactor as imported

    from siptwist.net.chance import Chance
    from siptwist.services.relaying import RelayingService

    reactor: Any = imported
    service = RelayingService(
        reactor, lambda side, wide, near: (HOST, HOST), Chance().below, LOW, HIGH
    )
    service.startService()  # type: ignore[no-untyped-call]
    spent = [cycle(service) for _ in range(6)]
    gc.collect()
    before = resident()
    wanted = json.loads(sys.stdin.readline())
    ports = [open_call(service, str(n), *pair) for n, pair in enumerate(wanted)]
    gc.collect()
    used = resident() - before
    told = {"ports": ports, "kb_per_call": used / len(ports), "open_close_us": min(spent)}
    print(json.dumps(told), flush=True)

    class End:
        def fileno(self) -> int:
            return 0

        def logPrefix(self) -> str:
            return "end"

        def doRead(self) -> None:
            reactor.removeReader(self)
            self.connectionLost(None)

        def connectionLost(self, reason: object) -> None:
            if reactor.running:
                reactor.stop()

    reactor.addReader(End())
    reactor.run()


def open_call(service: Any, call_id: str, caller: int, callee: int) -> tuple[int, int]:
    """
    Offer, answer and confirm; return our ports that face caller and callee.
    """
    from siptwist.media.stream import CallKey, Endpoint, Party, StreamOffer
    from siptwist.sip.hop import Side

    key = CallKey(call_id, "tag", Side.INSIDE, Side.OUTSIDE)

    def offer(port: int) -> tuple[StreamOffer, ...]:
        return (StreamOffer(0, "audio", Endpoint(HOST, port, port + 1)),)

    (facing_callee,) = service.describe(key, Party.CALLER, offer(caller), HOST, True)
    (facing_caller,) = service.describe(key, Party.CALLEE, offer(callee), HOST, False, "b")
    service.confirm(key, "b")
    return facing_caller.rtp_port, facing_callee.rtp_port


def cycle(service: Any, calls: int = 300) -> float:
    """
    Microseconds of CPU to open and close the media of a call, policy included.
    """
    from siptwist.media.stream import CallKey
    from siptwist.sip.hop import Side

    started = time.process_time()
    for number in range(calls):
        open_call(service, f"cycle{number}", 4000, 4002)
        service.close(CallKey(f"cycle{number}", "tag", Side.INSIDE, Side.OUTSIDE), "BYE")
    return (time.process_time() - started) / calls * 1e6


def resident() -> float:
    """
    Our resident set in KB.
    """
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1024


# The sender's process.


class Sender:
    """
    Both parties of every call.
    """

    def __init__(self, calls: int) -> None:
        self.sockets: list[socket.socket] = []
        for _ in range(calls * 2):
            one = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            one.bind((HOST, 0))
            one.setblocking(False)
            self.sockets.append(one)
        self.timed = set(range(0, calls * 2, max(1, calls * 2 // TIMED)))
        for index in self.timed:
            self.sockets[index].setsockopt(socket.SOL_SOCKET, _TIMESTAMPNS, 1)
        self.poll = select.epoll()
        self.at = {one.fileno(): index for index, one in enumerate(self.sockets)}
        for fileno in self.at:
            self.poll.register(fileno, select.EPOLLIN)
        self.sent = self.received = self.refused = 0
        self.delays: list[int] = []

    def run(self, seconds: float) -> float:
        """
        Send evenly for a time; return how long that really took.
        """
        senders = [(one.send, struct.pack("!I", n)) for n, one in enumerate(self.sockets)]
        groups = [senders[n::TICKS] for n in range(TICKS)]
        tail = bytes(PACKET - 20)
        started = time.perf_counter()
        rounds = int(seconds * PACKETS_PER_SECOND)
        for number in range(rounds):
            head = struct.pack("!BBHI", 0x80, 0, number & 0xFFFF, number * 160)
            for tick, group in enumerate(groups):
                due = started + (number + tick / TICKS) / PACKETS_PER_SECOND
                self.collect(due)
                for send, ssrc in group:
                    stamp = struct.pack("!Q", time.time_ns())
                    try:
                        send(b"".join((head, ssrc, stamp, tail)))
                    except OSError:
                        self.refused += 1
                    self.sent += 1
        taken = time.perf_counter() - started
        self.collect(time.perf_counter() + 0.3)
        return taken

    def settle(self) -> None:
        """
        Wait for what a run that was too much has left on its way.
        """
        before = -1
        while before != self.received:
            before = self.received
            self.collect(time.perf_counter() + 0.3)

    def collect(self, until: float) -> None:
        """
        Receive until it is time to send again.
        """
        while True:
            left = until - time.perf_counter()
            ready = self.poll.poll(max(0.0, left))
            for fileno, _ in ready:
                self.receive(self.at[fileno])
            if left <= 0:
                return

    def receive(self, index: int) -> None:
        one = self.sockets[index]
        try:
            if index not in self.timed:
                one.recv(2048)
            else:
                data, extra, _, _ = one.recvmsg(2048, 64)
                seconds, nanoseconds = struct.unpack("qq", extra[0][2])
                (sent,) = struct.unpack("!Q", data[12:20])
                self.delays.append(seconds * 10**9 + nanoseconds - sent)
        except OSError:
            return
        self.received += 1


class SIPTwist:
    """
    Our relay in its process.
    """

    name = "siptwist"

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).resolve()), "--serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.pid = self._process.pid
        self.costs: dict[str, float] = {}

    def open_calls(self, wanted: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """
        Open a call between each pair of ports; our ports that face caller and callee.
        """
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        stdin.write(json.dumps(wanted) + "\n")
        stdin.flush()
        told = json.loads(stdout.readline())
        self.costs = {
            "kb_per_call": round(told["kb_per_call"], 1),
            "open_close_us": round(told["open_close_us"]),
        }
        ports: list[tuple[int, int]] = told["ports"]
        return ports

    def stop(self) -> None:
        self._process.communicate()


def cpu(pid: int) -> float:
    """
    Seconds that all threads of a process have run, to the nanosecond where Linux says so.
    """
    spent = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/schedstat")]
    if spent:
        return sum(int(text.split()[0]) for text in spent) / 1e9
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(engine: str, calls: int, seconds: float, runs: int) -> dict[str, Any]:
    """
    The figures of one engine with a number of calls, the best of some runs.
    """
    sender = Sender(calls)
    relay = RTPEngine() if engine == RTPEngine.name else SIPTwist()
    try:
        ports = [one.getsockname()[1] for one in sender.sockets]
        told = relay.open_calls(list(zip(ports[::2], ports[1::2], strict=True)))
        flat = [port for pair in told for port in pair]
        for one, port in zip(sender.sockets, flat, strict=True):
            one.connect((HOST, port))
        time.sleep(0.2)
        gc.disable()
        taken = [run(sender, relay.pid, seconds) for _ in range(runs)]
    finally:
        gc.enable()
        relay.stop()
        for one in sender.sockets:
            one.close()
    cheapest = min(taken, key=lambda figures: figures["cpu_us_per_packet"])
    quickest = min(taken, key=lambda figures: figures["delay_p99_us"])
    delays = {name: quickest[name] for name in ("delay_p50_us", "delay_p99_us")}
    return {"engine": engine, "calls": calls, **cheapest, **delays, **relay.costs}


def run(sender: Sender, pid: int, seconds: float) -> dict[str, Any]:
    """
    One run over calls that are open.
    """
    sender.settle()
    sender.sent = sender.received = 0
    sender.delays.clear()
    before = cpu(pid)
    taken = sender.run(seconds)
    spent = cpu(pid) - before
    delays = sorted(sender.delays) or [0]
    return {
        "cpu_us_per_packet": round(spent / max(1, sender.received) * 1e6, 2),
        "cpu_percent": round(spent / taken * 100, 1),
        "offered": len(sender.sockets) * int(seconds * PACKETS_PER_SECOND),
        "sent": sender.sent,
        "sent_per_second": round(sender.sent / taken),
        "lost": sender.sent - sender.received,
        "delay_p50_us": round(delays[len(delays) // 2] / 1000),
        "delay_p99_us": round(delays[len(delays) * 99 // 100] / 1000),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", default="20,100,400,1000")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--runs", type=int, default=1, help="the best of so many counts")
    parser.add_argument("--engine", choices=["siptwist", "rtpengine"], default="siptwist")
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    allow_files()
    if chosen.serve:
        serve()
        return
    for calls in chosen.calls.split(","):
        figures = measure(chosen.engine, int(calls), chosen.seconds, chosen.runs)
        print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
