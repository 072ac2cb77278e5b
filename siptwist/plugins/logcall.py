"""
A line in the log for each call that begins, goes on, or is over.
"""

from __future__ import annotations

from zope.interface import implementer

from siptwist.plugins.plugin import House, NoOptions, PluginMaker, only
from siptwist.plugins.stages import ICallEnded, IPreProxy
from siptwist.proxy.decision import Forward
from siptwist.proxy.session.records import EndedCall

_KINDS = {"ACK": "ACK", "BYE": "Call is ended", "CANCEL": "Canceled call"}


@implementer(IPreProxy, ICallEnded)
class LogCall:
    """
    Says who calls whom, and what came of it.
    """

    def __init__(self, options: NoOptions, house: House) -> None:
        self._log = house.log

    @only(informing=True)
    def pre_proxy(self, forward: Forward) -> None:
        ticket = forward.ticket
        self._log.info(
            "{kind}: {caller} -> {callee} [Req: {uri}] [IP: {source}] [CID: {call_id}]",
            kind=_kind(forward),
            caller=ticket.from_.uri_text,
            callee=ticket.to.uri_text,
            uri=ticket.request.uri,
            source=str(ticket.source),
            call_id=ticket.call_id,
        )

    def call_ended(self, call: EndedCall) -> None:
        if not self._log.is_informing:
            return
        self._log.info(
            "{what}: {caller} -> {callee}, {seconds:.0f} s [{reason}] [CID: {call_id}]",
            what="Not answered" if call.answered_at is None else "Call ended",
            caller=call.caller,
            callee=call.callee,
            seconds=call.duration,
            reason=call.reason,
            call_id=call.call_id,
        )


def _kind(forward: Forward) -> str:
    ticket = forward.ticket
    if ticket.method != "INVITE":
        return _KINDS[ticket.method]
    if ticket.in_dialog:
        return "Changed call"
    if forward.from_phone:
        return "Internal call" if forward.to_phone else "Outgoing call"
    return "Incoming call"


logcall = PluginMaker("logcall", LogCall, methods=("INVITE", "ACK", "BYE", "CANCEL"))
