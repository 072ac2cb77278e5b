"""
What an operator can look at and do in the running proxy.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from twisted.internet.interfaces import IReactorTime
from zope.interface import implementer

from siptwist import logs
from siptwist.config import Row, Settings
from siptwist.errors import ConfigError, Problem
from siptwist.interfaces import IConsole, IMediaBackend
from siptwist.media.calls import MediaCall
from siptwist.media.latch import Address
from siptwist.media.leg import MediaStream
from siptwist.media.stream import CallKey, Party
from siptwist.media.verdict import report, verdict
from siptwist.plugins.guarding.stats import Counts, count, streams
from siptwist.proxy.registration.location import Locations
from siptwist.proxy.session.dialogs import Dialog, Dialogs
from siptwist.services.console.tables import Sentence, Table
from siptwist.sip.hop import Hop

if TYPE_CHECKING:
    from siptwist.services.console.manhole import ManholeService

_Row = TypeVar("_Row", bound=tuple[object, ...])

HELP = Sentence(
    """\
calls()                   calls, where their media come from, and packets of each party
stats()                   how many phones, calls and streams there are
registrations()           phones: their account, address, and seconds left
config()                  options in force, and the line that set each
drop("call-id")           end a call: its media, and BYE to both ends
log("debug")              log more; log("info") is the default again
log("debug", "siptwist.services.relaying")    more of one part only

calls("text") and registrations("text") show the rows that hold the text.  All
three tables can be iterated over: [row.call_id for row in calls()].  Ctrl-D ends."""
)


class CallRow(NamedTuple):
    """
    One party of one stream of a call; ``age`` and ``silent`` in seconds.

    ``described`` is where its SDP says it is, ``latched`` where its RTP was
    found to come from, ``codec`` what it sends, or is to send.  ``packets`` of
    RTP came from it and ``lost`` did not; ``jitter`` is in ms, ``mos`` 1.0 to 4.4.
    ``strangers`` were dropped.  ``silent`` is of the party, whatever the stream.
    ``verdict`` is of the call.
    """

    call_id: str
    age: int
    state: str
    stream: str = ""
    party: str = ""
    side: str = ""
    described: str = ""
    latched: str = ""
    codec: str = ""
    packets: int | None = None
    lost: int | None = None
    jitter: int | None = None
    mos: float | None = None
    silent: int | None = None
    held: bool | None = None
    strangers: int | None = None
    verdict: str = ""


class RegistrationRow(NamedTuple):
    """
    One phone; ``remaining`` in seconds.  ``silent`` is one that does not
    answer our pings.
    """

    aor: str
    contact: str
    source: str
    registrar: str
    remaining: int
    silent: bool
    mask: str
    user_agent: str


@implementer(IConsole)
class Console:
    """
    The names that the shell of the manhole offers.

    :param is_silent: whether the phone with this mask answers no pings.
    :param end: says BYE to the ends of a call, for a reason; returns to how many.
    :param give_up: cancels what of a call nobody has answered yet; returns how much.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        settings: Settings,
        media: IMediaBackend,
        dialogs: Dialogs,
        locations: Locations,
        is_silent: Callable[[str], bool] = lambda mask: False,
        end: Callable[[CallKey, str], int] = lambda key, reason: 0,
        give_up: Callable[[str], int] = lambda call_id: 0,
    ) -> None:
        self._reactor = reactor
        self.settings = settings
        self._media = media
        self._dialogs = dialogs
        self._locations = locations
        self._is_silent = is_silent
        self._end = end
        self._give_up = give_up

    def names(self) -> dict[str, object]:
        """
        What can be called in the shell.
        """
        return {
            "help": lambda *anything: HELP,
            "calls": self.calls,
            "registrations": self.registrations,
            "stats": self.stats,
            "config": self.config,
            "drop": self.drop,
            "log": self.log,
        }

    def calls(self, text: str = "") -> Table[CallRow]:
        """
        Calls with their media, a row for each party of each stream.
        """
        now = self._reactor.seconds()
        with_media = list(self._media.calls())
        keys = {call.key for call in with_media}
        rows = [row for call in with_media for row in _media_rows(call, now)]
        rows += [_dialog_row(one, now) for one in self._dialogs if one.key not in keys]
        empty = "There are no calls."
        return Table(CallRow._fields, _holding(text, rows), empty, marks=3, has_notes=True)

    def registrations(self, text: str = "") -> Table[RegistrationRow]:
        """
        Phones that can be called.
        """
        now = self._reactor.seconds()
        rows = [
            RegistrationRow(
                binding.aor,
                binding.contact,
                str(binding.source),
                binding.registrar or "here",
                int(binding.expires_at - now),
                self._is_silent(binding.mask),
                binding.mask,
                binding.user_agent,
            )
            for binding in self._locations
            if binding.is_active(now)
        ]
        rows.sort()
        return Table(RegistrationRow._fields, _holding(text, rows), "No phone is registered.")

    def stats(self) -> Table[Counts]:
        """
        How many phones, calls and streams there are, as the stats plugin says it.
        """
        rows = streams(self._media.calls())
        counts = count(rows, self._dialogs, self._locations, self._reactor.seconds())
        return Table(Counts._fields, [counts], "There are no numbers.")

    def config(self) -> Table[Row]:
        """
        Options in force; passwords are masked.
        """
        return Table(Row._fields, self.settings.describe(), "There are no options.")

    def drop(self, call_id: str) -> Sentence:
        """
        End every pass of a call: both ends hear BYE if it was answered, CANCEL where
        it still rings.
        """
        call_id = str(call_id)
        cancelled = self._give_up(call_id)
        media = [call.key for call in self._media.calls() if call.key.call_id == call_id]
        dialogs = [dialog.key for dialog in self._dialogs.by_call_id(call_id)]
        told = sum(self._end(key, "dropped by the operator") for key in dialogs)
        for key in media:
            self._media.close(key, "dropped by the operator")
        for key in dialogs:
            self._dialogs.close(key)
        name = logs.shown(str(call_id))
        if not media and not dialogs and not cancelled:
            return Sentence(f"0 calls have the Call-ID {name}")
        return Sentence(
            f"{name}: media of {len(media)} {_passes(media)} closed, "
            f"{len(dialogs)} {_passes(dialogs)} forgotten, {told} ends hear BYE"
            + (f", {cancelled} unanswered cancelled" if cancelled else "")
        )

    def log(self, level: str = "info", category: str = "siptwist") -> Sentence:
        """
        Log events of ``category``, a module, package or class, from this level on.
        """
        try:
            logs.set_level(level, category)
        except ValueError as error:
            return Sentence(error)
        module = category.rpartition(".")[0]
        unknown = category not in sys.modules and module not in sys.modules
        warning = " (nothing of that name is loaded)" if unknown else ""
        return Sentence(f"{logs.shown(category)}: {level} from now on{warning}")


def make_manhole(
    reactor: Any, settings: Settings, names: Mapping[str, object], directory: str
) -> ManholeService:
    """
    The service that offers the names over SSH.

    :param directory: where its own key is, when none is configured.
    :raises ConfigError: when what it needs is not installed.
    """
    try:
        # Not at the top: who does not want it need not have twisted.conch.
        from siptwist.services.console.manhole import ManholeService
    except ImportError as error:
        where = settings.origins.get("manhole_port", "siproxd.conf")
        text = f"needs siptwist[manhole]: {error}"
        raise ConfigError((Problem(where, 0, "manhole_port", text),)) from error
    return ManholeService(
        reactor,
        settings.manhole_port,
        names,
        settings.manhole_authorized_keys,
        settings.manhole_host_key or os.path.join(directory, "manhole_host_key"),
    )


def _passes(keys: list[CallKey]) -> str:
    return "pass" if len(keys) == 1 else "passes"


def _holding(text: str, rows: list[_Row]) -> list[_Row]:
    return [row for row in rows if text in " ".join(map(str, row))] if text else rows


def _media_rows(call: MediaCall, now: float) -> Iterator[CallRow]:
    call.look(now)
    state = "held" if call.held else "ringing" if call.confirmed is None else "up"
    row = CallRow(call.key.call_id, int(now - call.started_at), state, verdict=verdict(call, now))
    if not call.streams:
        yield row
    for stream in call.streams.values():
        for party in Party:
            heard_at = call.heard_at[party]
            yield _party_row(row, stream, party)._replace(
                side=call.key.side(party).value,
                silent=None if heard_at is None else int(now - heard_at),
            )


def _party_row(row: CallRow, stream: MediaStream, party: Party) -> CallRow:
    told = report(stream, party)
    quality = told.quality
    is_measured = quality.mos is not None
    return row._replace(
        stream=f"{stream.index} {stream.kind}",
        party=party.value,
        described=_address(told.described),
        latched=_address(told.source),
        codec=told.codec,
        packets=quality.packets,
        lost=quality.lost if is_measured else None,
        jitter=round(1000 * quality.jitter) if is_measured else None,
        mos=None if quality.mos is None else round(quality.mos, 1),
        held=told.held,
        strangers=told.strangers,
    )


def _address(address: Address | None) -> str:
    return "" if address is None else str(Hop(*address))


def _dialog_row(dialog: Dialog, now: float) -> CallRow:
    key = dialog.key
    return CallRow(
        key.call_id,
        int(now - dialog.created_at),
        "up" if dialog.is_established else "ringing",
        "no media",
        side=f"{key.caller_side.value} to {key.callee_side.value}",
    )
