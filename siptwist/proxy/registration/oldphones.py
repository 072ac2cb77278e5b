"""
Phones that give up at a challenge they do not know.

RFC 3261 section 22.4 and RFC 8760 section 2.4 ask them to pass over it and take
the next.  Some do not: libre, which baresip is made of, refuses the whole answer
when one of its challenges is not MD5, and other phones read only the first.
"""

from __future__ import annotations

import re
from collections import OrderedDict

# Known by name: they need not fail once first.
_KNOWN = re.compile(r"baresip|\blibre\b", re.IGNORECASE)


class OldPhones:
    """
    Remembers who did not answer a challenge of several algorithms.

    A phone that comes again without credentials is asked for MD5 alone, until
    it has answered.  The ``limit`` latest are remembered.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._limit = limit
        self._asked: OrderedDict[tuple[str, str], tuple[str, int]] = OrderedDict()

    def is_old(self, host: str, user: str, user_agent: str, call_id: str, cseq: int) -> bool:
        """
        Whether to ask this phone for MD5 alone; it is about to be challenged.

        :param host: the address its REGISTER came from.
        :param user: the user part that it registers.
        """
        if self.is_known(user_agent):
            return True
        key = (host, user)
        asked = self._asked.pop(key, None)
        self._asked[key] = (call_id, cseq)
        if len(self._asked) > self._limit:
            self._asked.popitem(last=False)
        return asked is not None and asked != (call_id, cseq)

    def is_known(self, user_agent: str) -> bool:
        """
        Whether this kind of phone is known to give up.
        """
        return _KNOWN.search(user_agent[:200]) is not None

    def answered(self, host: str, user: str) -> None:
        """
        The phone sent credentials: it can take what it was offered.
        """
        self._asked.pop((host, user), None)
