"""
Registrations on disk: what was acknowledged survives a crash and a power cut.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable

from twisted.application import service
from twisted.internet import task
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from zope.interface import implementer

from siptwist.errors import SIPTwistError
from siptwist.interfaces import IRegistrationStore
from siptwist.logs import logger
from siptwist.proxy.registration.location import Binding, Locations
from siptwist.services.storage.database import Database
from siptwist.services.storage.registration_file import open_database
from siptwist.sip.uri import SIPURI

# Seconds between looks for registrations that have lapsed.
EXPIRY_INTERVAL = 5.0


class StoreClosed(SIPTwistError):
    """
    The store is not open: before the start, or after the stop.
    """


@implementer(IRegistrationStore)
class RegistrationService(service.Service):
    """
    Owns the locations and their copy on disk.

    Everything saved in one turn of the reactor goes to disk in one commit.
    When the disk fails, every waiter hears of it, calls go on from memory, and
    the next commit tries again to write what is missing.

    :param path: the ``registration_file``.
    :param is_own: whether a URI names us; asked once, of siproxd's old table.

    ``retire`` is told of each binding that lapses, and when; ``saved`` that
    something has been saved.
    """

    name = "registrations"
    _log = logger()

    def __init__(
        self,
        path: str,
        reactor: IReactorTime,
        locations: Locations,
        is_own: Callable[[SIPURI], bool] = lambda uri: False,
    ) -> None:
        self.path = path
        self.locations = locations
        self.retire: Callable[[Binding, float], object] = lambda binding, now: None
        self.saved: Callable[[], object] = lambda: None
        self._reactor = reactor
        self._is_own = is_own
        self._database: Database | None = None
        self._unsaved: dict[str, Binding | None] = {}
        self._waiting: list[Deferred[None]] = []
        self._commit_call: IDelayedCall | None = None
        self._failed: set[str] = set()
        self._expiry = task.LoopingCall(self._expire)
        self._expiry.clock = reactor

    def startService(self) -> None:
        """
        Open the database and load what has not lapsed.

        :raises RegistrationFileError: when that cannot be.
        """
        self._database = open_database(self.path, self._is_own, self._reactor.seconds(), self._log)
        for binding in self.load():
            self.locations.put(binding)
        self._log.debug(
            "{count} registrations loaded from {path}", count=len(self.locations), path=self.path
        )
        running = self._expiry.start(EXPIRY_INTERVAL, now=False)
        running.addErrback(lambda failure: self._log.failure("Expiring registrations", failure))
        super().startService()

    def stopService(self) -> None:
        """
        Write what is not written yet, and close.
        """
        super().stopService()
        if self._expiry.running:
            self._expiry.stop()
        if self._commit_call is not None:
            self._commit_call.cancel()
            self._commit()
        if self._database is not None:
            self._database.close()
            self._database = None

    def load(self) -> list[Binding]:
        """
        The bindings on disk that have not lapsed.
        """
        if self._database is None:
            raise StoreClosed("registrations are not open")
        bindings, skipped = self._database.load(self._reactor.seconds())
        if skipped:
            self._log.warn("Skipped {count} unreadable registrations", count=skipped)
        return bindings

    def save(self, changed: Iterable[Binding], removed: Iterable[str]) -> Deferred[None]:
        if not self.running:
            return fail(StoreClosed("registrations are not open"))
        asked: dict[str, Binding | None] = dict.fromkeys(removed)
        asked.update({binding.mask: binding for binding in changed})
        if not asked:
            return succeed(None)
        self._unsaved.update(asked)
        waiter: Deferred[None] = Deferred()
        self._waiting.append(waiter)
        self._schedule_commit()
        return waiter

    def _schedule_commit(self) -> None:
        if self._commit_call is None:
            self._commit_call = self._reactor.callLater(0, self._commit)

    def _commit(self) -> None:
        self._commit_call = None
        waiting, self._waiting = self._waiting, []
        changes, self._unsaved = self._unsaved, {}
        # What failed before is written as it is in memory now.
        changes = {mask: self.locations.by_mask(mask) for mask in self._failed} | changes
        try:
            assert self._database is not None
            self._database.write(changes)
        except sqlite3.Error as error:
            self._fail(error, changes)
            for waiter in waiting:
                waiter.errback(error)
            return
        self._recover()
        removed = sum(binding is None for binding in changes.values())
        self._log.debug(
            "Saved {count} registrations, removed {removed}",
            count=len(changes) - removed,
            removed=removed,
        )
        for waiter in waiting:
            waiter.callback(None)
        self.saved()

    def _fail(self, error: sqlite3.Error, changes: Iterable[str]) -> None:
        if not self._failed:
            self._log.error(
                "Registrations cannot be saved to {path}: {error}",
                path=self.path,
                error=str(error),
            )
        self._failed.update(changes)

    def _recover(self) -> None:
        if self._failed:
            self._log.info("Registrations are saved to {path} again", path=self.path)
            self._failed.clear()

    def _expire(self) -> None:
        now = self._reactor.seconds()
        dead = self.locations.expire(now)
        for binding in dead:
            self._unsaved[binding.mask] = None
            self.retire(binding, now)
        if dead:
            self._log.info("Forgot {count} expired registrations", count=len(dead))
        if dead or self._failed:
            self._schedule_commit()
