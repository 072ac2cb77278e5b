"""
Ends calls that nobody ends: silent for too long, longer than they may last, or
unwanted by the operator.
"""

from __future__ import annotations

from collections import Counter
from functools import partial

from siptwist.interfaces import IMediaBackend
from siptwist.logs import logger
from siptwist.media.stream import CallKey, Party
from siptwist.proxy.session.dialogs import Dialog
from siptwist.proxy.session.ends import End
from siptwist.proxy.session.negotiation import Negotiation
from siptwist.services.serving.speaking import Say, Speaking
from siptwist.sip.headers import Header, make_header


class Ending:
    """
    Says BYE to both ends of a call, and lets go of what it holds.

    ``counts`` has the number of calls ended, by reason.
    """

    _log = logger()

    def __init__(self, negotiation: Negotiation, media: IMediaBackend, speaking: Speaking) -> None:
        self._negotiation = negotiation
        self.media = media
        self._speaking = speaking
        self.counts: Counter[str] = Counter()

    def silent(self, key: CallKey) -> None:
        """
        Its media have been closed, for there were none for ``rtp_timeout``.
        """
        self._end(key, "silence")

    def over(self, key: CallKey, is_unrefreshed: bool) -> None:
        """
        Its time is over.

        :param is_unrefreshed: its session timer ran out.  A proxy must not say BYE
            then (RFC 4028 section 8), the ends do; we let go of what it holds.
        """
        if not is_unrefreshed:
            self.end(key, "max_call_time")
            return
        self._log.info("Call {call_id!r} was not refreshed and is over", call_id=key.call_id)
        self._negotiation.end(key, "not refreshed")
        self.media.close(key, "not refreshed")

    def end(self, key: CallKey, reason: str) -> int:
        """
        End one pass of a call, if it is known.

        :param reason: for the log, and for those who hear BYE (RFC 3326).
        :returns: how many ends hear BYE: none of a call that was not answered, or
            that began before we were there.
        """
        told = self._end(key, reason)
        self.media.close(key, reason)
        return told

    def _end(self, key: CallKey, reason: str) -> int:
        dialog = self._negotiation.dialogs.by_key(key)
        if dialog is None:
            return 0
        told = self._hang_up(dialog, reason)
        self._negotiation.end(key, reason)
        self.counts[reason] += 1
        self._log.info(
            "Call {call_id!r} ended: {reason}; {told} of its ends hear BYE; "
            "{count} calls ended so far for this reason",
            call_id=key.call_id,
            reason=reason,
            told=told,
            count=self.counts[reason],
        )
        return told

    def _hang_up(self, dialog: Dialog, reason: str) -> int:
        why = make_header("Reason", f'SIP ;cause=200 ;text="{reason}"')
        caller, told = dialog.caller, 0
        if caller is None:
            return 0
        for callee in dialog.callees.values():
            self._say(dialog, Party.CALLEE, callee, caller, why)
            self._say(dialog, Party.CALLER, caller, callee, why)
            told += 2
        return told

    def _say(self, dialog: Dialog, party: Party, end: End, other: End, why: Header) -> None:
        """
        BYE to ``end``, which is ``party``.
        """
        key, sender = dialog.key, party.other
        numbers = self._negotiation.dialogs.renumbering
        number = numbers.next_number(key, sender, dialog.number(sender))
        use = partial(_bye, number, why)
        self._speaking.find(end, other.name, key.call_id, dialog.created_at, use)


def _bye(number: int, why: Header, say: Say) -> None:
    say("BYE", number, (why,))
