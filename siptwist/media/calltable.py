"""
Every call that has media, and which of them need none of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from siptwist.media.calls import Description, MediaCall
from siptwist.media.ownports import OurPorts
from siptwist.media.stream import CallKey, Endpoint, Party
from siptwist.sip.hop import Side

#: Whether two hosts inside may send media to each other, past us.
MayMeet = Callable[[str, str], bool]


class CallTable:
    """
    Every call with media, by its key.

    :param may_meet: ``None`` keeps us in between everywhere.
    """

    def __init__(self, may_meet: MayMeet | None = None) -> None:
        self.ours = OurPorts()
        self._may_meet = may_meet
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

    def other_pass(self, key: CallKey) -> MediaCall | None:
        """
        The pass of the same call that left where this one came in, or that came
        in where this one left.
        """
        if key.caller_side is key.callee_side:
            return None
        call_id, tag, caller_side, callee_side = key
        return self._calls.get(CallKey(call_id, tag, callee_side, caller_side))

    def silent(self, now: float, timeout: float, hold_timeout: float) -> list[MediaCall]:
        """
        The calls that have been without media for too long.
        """
        calls = self._calls.values()
        return [call for call in calls if call.is_silent(now, timeout, hold_timeout)]

    def tell(
        self,
        call: MediaCall,
        description: Description,
        is_offer: bool,
        receivers: tuple[str, ...],
        host: str,
    ) -> tuple[Endpoint, ...]:
        """
        What the other party shall be told in place of a description.

        :param receivers: the hosts that it goes to; empty text for one that is
            not where it says.
        :param host: our address as they know it.
        """
        party, key, found = description.party, call.key, None
        inside = (key.caller_side is Side.INSIDE, key.callee_side is Side.INSIDE)
        from_inside, to_inside = inside if party is Party.CALLER else inside[::-1]
        if to_inside and self._may_meet is not None and not _is_checked(call, description):
            origin = (call, description) if from_inside else self._beyond(call, description)
            found = origin and self._shortcut(*origin, is_offer, receivers)
        if found is None:
            if call.shortcuts:
                call.shortcuts.discard(party)
            return call.tell(party.other, description.streams, host)
        call.shortcuts.add(party)
        refused = Endpoint(host, 0, 0)
        return tuple([one.endpoint if one.is_relayed else refused for one in found.streams])

    def _shortcut(
        self, near: MediaCall, origin: Description, is_offer: bool, receivers: tuple[str, ...]
    ) -> Description | None:
        """
        What a phone wrote, when whoever receives it may send there directly.

        An answer may only follow an offer that was told so as well: otherwise one
        of the two would wait for us, and we for the other.
        """
        if not is_offer and origin.party.other not in near.shortcuts:
            return None
        return origin if self._is_open(origin, receivers) else None

    def _beyond(
        self, call: MediaCall, description: Description
    ) -> tuple[MediaCall, Description] | None:
        """
        The pass that ``description`` left by before it came back in, and what the
        phone there had written.

        Not everybody who names our ports is believed: it must be the same call
        by Call-ID and tags, and each line must name the port of its own stream.
        """
        if not description.streams or not self.ours.has(description.streams[0].endpoint.host):
            return None
        other = self.other_pass(call.key)
        if other is None:
            return None
        origin = other.described.get(description.party)
        if origin is None or origin.branch != description.branch:
            return None
        if len(origin.streams) != len(description.streams):
            return None
        for one, meant in zip(description.streams, origin.streams, strict=True):
            owner = self.ours.owner(one.endpoint[:2]) if one.is_relayed else None
            if owner is not (other.stream(meant.index) if meant.is_relayed else None):
                return None
        return other, origin

    def _is_open(self, origin: Description, receivers: tuple[str, ...]) -> bool:
        """
        Whether a phone is where its signaling comes from, and all receivers may meet it.
        """
        host, may_meet = origin.signaling_host, self._may_meet
        relayed = [one.endpoint for one in origin.streams if one.is_relayed]
        hosts = {at for one in relayed for at in (one.host, one.rtcp_host or one.host)}
        if may_meet is None or hosts != {host} or not receivers:
            return False
        return all(one and may_meet(host, one) for one in receivers)


def _is_checked(call: MediaCall, description: Description) -> bool:
    """
    Whether its party wants to check the way, and we shall answer: then it cannot
    lead past us.
    """
    for one in description.streams:
        stream = call.stream(one.index) if one.has_ice else None
        if stream is not None and stream.caller.ice is not None:
            return True
    return False
