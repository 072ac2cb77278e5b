"""
The file that tells others our process id.
"""

from __future__ import annotations

import os

from twisted.application.service import Service

from siptwist.errors import SIPTwistError


class PidFileService(Service):
    """
    Writes ``pid_file`` when we start, and takes it away when we stop.
    """

    name = "pidfile"

    def __init__(self, path: str) -> None:
        self._path = path

    def privilegedStartService(self) -> None:
        """
        :raises SIPTwistError: when it cannot be written.
        """
        super().privilegedStartService()
        try:
            self._remove()
            # A new file, and no link that somebody has laid: we may be root.
            made = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
            with open(made, "w", encoding="ascii") as file:
                file.write(f"{os.getpid()}\n")
        except OSError as error:
            raise SIPTwistError(f"pid_file = {self._path}: {error.strerror}") from error

    def stopService(self) -> None:
        super().stopService()
        try:
            self._remove()
        except OSError:
            # Root's folder, and we are root no longer: whoever reads it finds nobody there.
            return

    def _remove(self) -> None:
        if os.path.lexists(self._path):
            os.unlink(self._path)
