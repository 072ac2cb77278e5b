"""
What an operator wants to know of a call's media: who is heard, how well, and what
is wrong, in words.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from siptwist.media.calls import MediaCall
from siptwist.media.latch import Address
from siptwist.media.leg import MediaStream
from siptwist.media.quality import Quality
from siptwist.media.stream import CallKey, Party
from siptwist.sip.hop import Hop, Side
from siptwist.sip.sdp import codec_name

#: Seconds that a call may be silent before that says anything.
YOUNG, SILENT = 3.0, 10.0
#: Sound that people complain of: the part of packets lost, and the score.
MUCH_LOST, POOR = 0.05, 3.5


class Report(NamedTuple):
    """
    What one party of one stream sent: ``port`` is ours that faces it, ``described``
    where its SDP says it is, ``source`` where it was heard.  ``codec`` is the name
    of what it sent last, or is to send first.
    """

    stream: int
    kind: str
    party: Party
    codec: str
    port: int
    described: Address | None
    source: Address | None
    quality: Quality
    held: bool
    strangers: int
    unsent: int
    is_rtp: bool


class CallRecord(NamedTuple):
    """
    A call whose media are over: times in seconds, a report for each party of each
    stream, and the verdict.
    """

    key: CallKey
    reason: str
    started_at: float
    ended_at: float
    reports: tuple[Report, ...]
    verdict: str

    def __str__(self) -> str:
        sound = "; ".join(f"{_name(one, self.key)}: {_numbers(one)}" for one in self.reports)
        return f"{sound}; {self.verdict}" if sound else self.verdict


def report(stream: MediaStream, party: Party) -> Report:
    """
    What is known of one direction of a stream.
    """
    leg, other = stream.leg(party), stream.leg(party.other)
    flow, quality = leg.rtp, leg.rtp.quality()
    source = flow.source or (flow.destination if flow.packets else None)
    codec = ""
    if quality.payload_type is not None and other.offered is not None:
        # The numbers are those of the one who receives (RFC 3264 section 5.1).
        codec = codec_name(other.offered.text, quality.payload_type)
    if not codec and leg.offered is not None:
        codec = codec_name(leg.offered.text, quality.payload_type)
    return Report(
        stream.index,
        stream.kind,
        party,
        codec,
        stream.port(party),
        leg.described,
        source,
        quality,
        leg.held,
        flow.strangers + leg.rtcp.strangers,
        flow.unsent,
        flow.is_rtp,
    )


def reports(streams: Iterable[MediaStream]) -> tuple[Report, ...]:
    """
    Both directions of each stream.
    """
    return tuple([report(stream, party) for stream in streams for party in Party])


def verdict(call: MediaCall, now: float) -> str:
    """
    What is wrong with the media of a call that goes on, or that it is well.
    """
    if call.confirmed is None:
        return "not answered yet"
    if call.shortcuts:
        return "media goes past us, directly"
    if not call.streams:
        return "no stream is left"
    found = reports(call.streams.values())
    if now - call.started_at < YOUNG and not any(one.quality.packets for one in found):
        return "just begun"
    return _conclude(found, call.key, now)


def record(call: MediaCall, reason: str, now: float) -> CallRecord:
    """
    What a call that is closed came to.
    """
    seconds = now - call.started_at
    found: tuple[Report, ...] = ()
    if call.shortcuts:
        text = "media went past us, directly"
    elif call.confirmed is None:
        text = "never answered"
    elif seconds < YOUNG and not any(call.packets(party) for party in Party):
        text = "too short to tell"
    else:
        found = reports(call.ended)
        text = _conclude(found, call.key, None)
    return CallRecord(call.key, reason, call.started_at, now, found, text)


def _conclude(found: tuple[Report, ...], key: CallKey, now: float | None) -> str:
    """
    :param now: ``None`` when the call is over, and silence at its end means nothing.
    """
    held = {one.stream for one in found if one.held}
    complaints = [
        f"{one.kind}: {complaint}" if len(found) > 2 else complaint
        for one in found
        for complaint in _complaints(one, key, one.stream in held, now)
    ]
    if complaints:
        return "; ".join(complaints)
    return "on hold" if held else "both sides are heard"


def _complaints(one: Report, key: CallKey, is_held: bool, now: float | None) -> Iterator[str]:
    who, quality = _who(one.party, key), one.quality
    if not quality.packets:
        if not is_held:
            yield f"no packets from {who}: {_silence(one)}"
    elif one.is_rtp and quality.payload_type is None:
        yield f"no RTP from {who}: {quality.packets} packets were something else"
    elif now is not None and not is_held and quality.last_at is not None:
        silent = now - quality.last_at
        if silent >= SILENT:
            yield f"nothing from {who} for {silent:.0f} s"
    if quality.mos is not None and (quality.mos < POOR or _lost(quality) > MUCH_LOST):
        yield f"poor sound from {who}: {_sound(quality)}"
    if one.unsent:
        yield f"{one.unsent} packets could not be sent to {who}"


def _silence(one: Report) -> str:
    """
    What might explain that nothing came.
    """
    if one.described is None:
        text = f"nothing came to {one.port}; its SDP names no address to send to"
    else:
        text = f"{one.described[0]} never sent to {one.port}; its SDP said {_show(one.described)}"
    if one.strangers:
        text += f", and {one.strangers} packets that came from elsewhere were dropped"
    return text


def _who(party: Party, key: CallKey) -> str:
    if key.caller_side is key.callee_side:
        return f"the {party.value}"
    return _SIDES[key.side(party)]


_SIDES: Mapping[Side, str] = {Side.INSIDE: "the phone", Side.OUTSIDE: "the far side"}


def _name(one: Report, key: CallKey) -> str:
    return f"{one.kind} of {_who(one.party, key)}"


def _numbers(one: Report) -> str:
    codec = f" of {one.codec}" if one.codec else ""
    if one.quality.mos is None:
        return f"{one.quality.packets} packets{codec}"
    return f"{one.quality.packets} packets{codec}, {_sound(one.quality)}"


def _sound(quality: Quality) -> str:
    jitter = f"jitter {1000 * quality.jitter:.0f} ms"
    return f"{quality.lost} lost ({100 * _lost(quality):.1f} %), {jitter}, MOS {quality.mos:.1f}"


def _lost(quality: Quality) -> float:
    return quality.lost / max(1, quality.packets + quality.lost)


def _show(address: Address) -> str:
    return str(Hop(*address))
