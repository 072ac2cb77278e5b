"""
One running program of the bed: its input, its log and its end.
"""

from __future__ import annotations

import re
import resource
import signal
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.interop.waiting import TooLate, wait_until


class Program:
    """
    A child process that writes to a log file.

    ``open_files`` raises its limit of open files, as far as ours allows.

    :ivar pid: its process id; ``ip netns exec`` becomes the program itself.
    """

    def __init__(
        self, name: str, command: Sequence[str], directory: Path, open_files: int = 0
    ) -> None:
        self.name = name
        self.log_path = _new_log(directory, name)
        with self.log_path.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=directory,
                start_new_session=True,
            )
        self.pid = self._process.pid
        if open_files:
            _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
            limit = min(open_files, most)
            resource.prlimit(self.pid, resource.RLIMIT_NOFILE, (limit, most))

    def log(self) -> str:
        """
        Everything it has written so far.
        """
        return self.log_path.read_text(errors="replace")

    def say(self, line: str) -> None:
        """
        Type a line on its standard input.
        """
        stdin = self._process.stdin
        assert stdin is not None
        stdin.write(line.encode() + b"\n")
        stdin.flush()

    def mark(self) -> int:
        """
        Where its log ends now, for the ``since`` of :meth:`wait_for`.
        """
        return len(self.log())

    def wait_for(self, pattern: str, seconds: float = 10, since: int = 0) -> re.Match[str]:
        """
        Wait until its log holds a line that matches.
        """
        compiled = re.compile(pattern)

        def found() -> re.Match[str] | None:
            match = compiled.search(self.log(), since)
            if match is None and not self.running:
                raise TooLate(f"{self.name} ended before {pattern!r}:\n{self.log()}")
            return match

        try:
            match = wait_until(found, f"{pattern!r} in the log of {self.name}", seconds)
        except TooLate as late:
            raise TooLate(f"{late}; the log ends:\n{self.log()[-3000:]}") from None
        assert match is not None
        return match

    @property
    def running(self) -> bool:
        """
        Whether it has not ended yet.
        """
        return self._process.poll() is None

    def wait(self, seconds: float) -> int | None:
        """
        Wait for it to end by itself; its exit status, ``None`` when it still runs.
        """
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def kill(self) -> None:
        """
        End it without giving it a chance to say goodbye.
        """
        self._process.kill()
        self._process.wait()

    def stop(self, seconds: float = 5) -> None:
        """
        End it: SIGTERM, and SIGKILL when that did not help.
        """
        for number in (signal.SIGTERM, signal.SIGKILL):
            if not self.running:
                break
            self._process.send_signal(number)
            try:
                self._process.wait(seconds)
            except subprocess.TimeoutExpired:
                continue
        if self._process.stdin is not None:
            self._process.stdin.close()


def _new_log(directory: Path, name: str) -> Path:
    path = directory / f"{name}.log"
    count = 1
    while path.exists():
        count += 1
        path = directory / f"{name}-{count}.log"
    return path
