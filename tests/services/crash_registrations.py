"""
A process that registers phones until it is killed, and what kills it.

``python -m tests.services.crash_registrations DATABASE FIRST`` prints "ready"
when its registrations are loaded and "saved MASK CSEQ" for each registration
that was acknowledged.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from siptwist.proxy.registration.location import Binding, Locations
from siptwist.services.registrations import RegistrationService
from siptwist.sip.hop import Hop, Side

ROOT = Path(__file__).resolve().parents[2]
READY = "ready"
# Phones that register at the same time; each one's next waits for its last.
PHONES = 4


class Victim:
    """
    A process that prints what it acknowledged, a line each, after READY.

    ``ready_after`` is the seconds from its start to READY.
    """

    def __init__(self, command: Sequence[str], ready: str = READY) -> None:
        started = time.monotonic()
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
        )
        self._lines: list[str] = []
        while (line := self._read()) != ready:
            if not line:
                raise RuntimeError(f"{command[0]} ended before it was ready")
        self.ready_after = time.monotonic() - started

    def _read(self) -> str:
        assert self._process.stdout is not None
        return str(self._process.stdout.readline()).rstrip("\n")

    def kill(self, acknowledged: int, delay: float) -> list[str]:
        """
        Kill it ``delay`` seconds after it printed so many lines; return all
        whole lines that it printed.
        """
        lines = [self._read() for _ in range(acknowledged)]
        time.sleep(delay)
        self._process.kill()
        rest, _ = self._process.communicate()
        return lines + rest.split("\n")[:-1]


class Phones:
    """
    Registers phones from number ``first`` on, and renews older ones.
    """

    def __init__(self, service: RegistrationService, reactor: Any, first: int) -> None:
        self._service = service
        self._reactor = reactor
        self._first = self._next = first
        self._count = 0

    def register(self, _: object = None) -> None:
        self._count += 1
        if self._count % 3:
            number, self._next = self._next, self._next + 1
        else:
            number = self._first + self._count % (self._next - self._first)
        now = self._reactor.seconds()
        binding = make_binding(number, self._first + self._count, now)
        self._service.locations.put(binding)
        saved = self._service.save([binding], [])
        saved.addCallback(lambda _: print("saved", binding.mask, binding.cseq, flush=True))
        saved.addCallback(self.register)
        saved.addErrback(lambda failure: (failure.printTraceback(), self._reactor.stop()))


def make_binding(number: int, cseq: int, now: float) -> Binding:
    return Binding(
        aor=f"sip:{number}@provider.example",
        contact=f"sip:{number}@10.0.0.5",
        source=Hop("10.0.0.5", 5060),
        side=Side.INSIDE,
        mask=f"{number:012x}",
        call_id=f"{number}@10.0.0.5",
        cseq=cseq,
        created_at=now,
        updated_at=now,
        expires_at=now + 3600,
        registrar="provider.example",
    )


def main(path: str, first: str) -> None:
    from twisted.internet import reactor

    service = RegistrationService(path, reactor, Locations())  # type: ignore[arg-type]
    service.startService()
    print(READY, flush=True)
    phones = Phones(service, reactor, int(first))
    for _ in range(PHONES):
        phones.register()
    reactor.run()  # type: ignore[attr-defined]


if __name__ == "__main__":
    main(*sys.argv[1:])
