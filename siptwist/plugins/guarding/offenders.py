"""
Who has failed how often, and is shut out for it.
"""

from __future__ import annotations

from collections.abc import Iterable

from siptwist.net.guarding.offenses import Key, Offense

#: Failures of more accounts than these at one address are counted together, and of
#: more addresses the oldest are forgotten.
URIS, ADDRESSES = 64, 20_000
# Characters of an account that are looked at.
_LONGEST = 256
# The account under which they are counted.
OTHERS = ""
#: In a row entered by hand: whoever is at that address.
ANYBODY = "*"


class Offenders:
    """
    Failures by address and by account there.

    An address is shut out when it has failed too often, be it with one account or with
    another one each time.

    :param hitcount: so many failures are still forgiven.
    :param duration: seconds of silence after which all is forgotten; 0 is never.

    ``changed`` are the rows that are not on disk yet; ``None`` are gone.
    """

    def __init__(self, hitcount: int, duration: float) -> None:
        self._hitcount = hitcount
        self._duration = duration
        self.hosts: dict[str, dict[str, Offense]] = {}
        self.changed: dict[Key, Offense | None] = {}

    def load(self, offenses: Iterable[Offense]) -> None:
        """
        Take what is on disk in the place of what we know, but for what is not there
        yet.
        """
        self.hosts = {}
        for offense in offenses:
            self.hosts.setdefault(offense.ip, {})[offense.sipuri] = offense
        for (host, uri), changed in self.changed.items():
            rows = self.hosts.setdefault(host, {})
            if uri not in rows or rows[uri].type == 0:
                if changed is None:
                    rows.pop(uri, None)
                else:
                    rows[uri] = changed
            if not rows:
                del self.hosts[host]

    def is_barred(self, host: str, uri: str) -> bool:
        """
        Whether somebody has entered this by hand.
        """
        rows = self.hosts.get(host, {})
        return any(rows[one].type == 1 for one in (uri[:_LONGEST], ANYBODY) if one in rows)

    def count(self, host: str) -> int:
        """
        Failures at an address, whoever it said to be.
        """
        return sum(row.failcount for row in self.hosts.get(host, {}).values())

    def has_failed_too_often(self, host: str) -> bool:
        return self.count(host) > self._hitcount

    def fail(self, host: str, uri: str, now: float) -> None:
        """
        Count a failure.
        """
        rows = self.hosts.get(host)
        if rows is None:
            self._make_room()
            rows = self.hosts[host] = {}
        uri = uri[:_LONGEST]
        if uri not in rows and len(rows) >= URIS:
            uri = OTHERS
        row = rows.get(uri) or Offense(0, host, uri, 0, 0, 0)
        if row.type == 0:
            at = int(now)
            self._put(row._replace(failcount=row.failcount + 1, lastfail=at, lastseen=at))

    def see(self, host: str, now: float) -> None:
        """
        Somebody who is shut out tries again: it takes longer until that is forgotten.
        """
        at = int(now)
        for row in list(self.hosts.get(host, {}).values()):
            if row.type == 0 and row.lastseen != at:
                self._put(row._replace(lastseen=at))

    def succeed(self, host: str, uri: str) -> None:
        """
        It was a slip of the finger.
        """
        row = self.hosts.get(host, {}).get(uri[:_LONGEST])
        if row is not None and row.type == 0:
            self._drop(row)

    def expire(self, now: float) -> None:
        """
        Forget those who have been silent for long.
        """
        if self._duration:
            limit = now - self._duration
            for rows in list(self.hosts.values()):
                for row in list(rows.values()):
                    if row.type == 0 and row.lastseen < limit:
                        self._drop(row)

    def _put(self, row: Offense) -> None:
        self.hosts[row.ip][row.sipuri] = self.changed[row.key] = row

    def _drop(self, row: Offense) -> None:
        rows = self.hosts[row.ip]
        del rows[row.sipuri]
        if not rows:
            del self.hosts[row.ip]
        self.changed[row.key] = None

    def _make_room(self) -> None:
        if len(self.hosts) < ADDRESSES:
            return
        for rows in self.hosts.values():
            if all(row.type == 0 for row in rows.values()):
                for row in list(rows.values()):
                    self._drop(row)
                return
