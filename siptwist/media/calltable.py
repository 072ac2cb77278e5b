"""
Every call that has media.
"""

from __future__ import annotations

from collections.abc import Iterator

from siptwist.media.calls import MediaCall
from siptwist.media.ownports import OurPorts
from siptwist.media.stream import CallKey


class CallTable:
    """
    Every call with media, by its key.
    """

    def __init__(self) -> None:
        self.ours = OurPorts()
        self._calls: dict[CallKey, MediaCall] = {}

    def __len__(self) -> int:
        return len(self._calls)

    def __iter__(self) -> Iterator[MediaCall]:
        return iter(list(self._calls.values()))

    def get(self, key: CallKey) -> MediaCall | None:
        """
        The call of ``key``, when it is known.
        """
        return self._calls.get(key)

    def new(self, key: CallKey, now: float) -> MediaCall:
        """
        A call that is not in the table yet.
        """
        return MediaCall(key, now, self.ours)

    def add(self, call: MediaCall) -> None:
        """
        ``call`` has streams.
        """
        self._calls[call.key] = call

    def pop(self, key: CallKey) -> MediaCall | None:
        """
        Forget the call of ``key``.
        """
        return self._calls.pop(key, None)

    def silent(self, now: float, timeout: float, hold_timeout: float) -> list[MediaCall]:
        """
        The calls that have been without media for too long.
        """
        calls = self._calls.values()
        return [call for call in calls if call.is_silent(now, timeout, hold_timeout)]
