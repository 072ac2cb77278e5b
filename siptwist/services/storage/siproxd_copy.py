"""
A copy of the registrations as siproxd would write them, for the pages of
firewalls that read such files.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from typing import Any

from twisted.application.service import Service
from twisted.internet.interfaces import IDelayedCall

from siptwist.logs import logger
from siptwist.proxy.identity import Identity
from siptwist.proxy.registration.location import Binding, Locations
from siptwist.sip.hop import Side

#: siproxd's table has so many slots; those who read it expect as many, at least.
SLOTS = 512
#: Seconds that changes are gathered.
DELAY = 1.0


def table_of(bindings: Iterable[Binding], identity: Identity) -> str:
    """
    A slot for each binding: the phone's Contact, what the outside knows it by, and
    its account; and empty slots.
    """
    lines: list[str] = []
    for binding in bindings:
        user = binding.aor.partition("@")[0].rpartition(":")[2]
        lines += (
            f"****:1:{int(binding.expires_at)}",
            binding.contact,
            identity.uri(Side.OUTSIDE, user),
            binding.aor if ":" in binding.aor.partition("@")[0] else f"sip:{binding.aor}",
        )
    lines += ["****:0:0"] * (SLOTS - len(lines) // 4)
    return "\n".join(lines) + "\n"


class SiproxdCopyService(Service):
    """
    Writes the copy, whole or not at all, whenever something has been saved.

    :param us: has the ``identity`` of the moment.
    """

    name = "siproxdcopy"
    _log = logger()

    def __init__(self, reactor: Any, path: str, locations: Locations, us: Any) -> None:
        self._reactor = reactor
        self._path = path
        self._locations = locations
        self._us = us
        self._call: IDelayedCall | None = None
        self._complaint = ""

    def startService(self) -> None:
        super().startService()
        self.schedule()

    def stopService(self) -> None:
        super().stopService()
        if self._call is not None:
            self._call.cancel()
            self._write()

    def schedule(self) -> None:
        """
        Something has changed.
        """
        if self._call is None and self.running:
            self._call = self._reactor.callLater(DELAY, self._write)

    def _write(self) -> None:
        self._call = None
        now = self._reactor.seconds()
        active = [binding for binding in self._locations if binding.is_active(now)]
        try:
            _replace(self._path, table_of(active, self._us.identity))
        except OSError as error:
            self._complain(str(error.strerror))
        else:
            self._complaint = ""

    def _complain(self, why: str) -> None:
        if why != self._complaint:
            self._complaint = why
            self._log.error(
                "siproxd_registration_file {path} cannot be written: {why}",
                path=self._path,
                why=why,
            )


def _replace(path: str, text: str) -> None:
    made, draft = tempfile.mkstemp(prefix=".siproxd", dir=os.path.dirname(path) or ".")
    try:
        with open(made, "w", encoding="utf-8", errors="surrogateescape") as file:
            os.fchmod(made, 0o644)
            file.write(text)
        os.replace(draft, path)
    except BaseException:
        os.unlink(draft)
        raise
