"""
Calls that go to another number than the one that was dialed.
"""

from __future__ import annotations

from typing import Any

from siptwist.logs import OwnLogger
from siptwist.options import option, switch
from siptwist.plugins.plugin import House, moved, retargeted
from siptwist.proxy.decision import Reply
from siptwist.proxy.registration.masks import mask_in
from siptwist.proxy.ticket import Ticket
from siptwist.sip.uri import SIPURI

# What a URI carries that a phone has from us: "prefix", or "regex+prefix".
MARK = "redirected"


def redirect_option() -> Any:
    """
    The option of plugins that can do it either way.
    """
    return option(False, switch, "answer 302 and let the caller call there himself")


def is_new_call(ticket: Ticket) -> bool:
    """
    Whether an INVITE calls a number: not one in a dialog, and not one that takes the
    place of a dialog or joins it, whose URI is where that dialog is (RFC 3891, RFC 3911).
    """
    first = ticket.request.headers.first
    return not (ticket.in_dialog or "replaces" in first or "join" in first)


class Diversion:
    """
    Sends calls elsewhere in the name of a plugin.

    :param redirect: tell the caller to call there himself.
    """

    def __init__(self, name: str, redirect: bool, house: House) -> None:
        self._name = name
        self._redirect = redirect
        self._identity = house.identity
        self._log: OwnLogger = house.log

    def may_divert(self, ticket: Ticket) -> bool:
        """
        Whether the call of a phone may go elsewhere: it is a new one, not to the very
        phone that a mask stands for, and not to what we told the caller to call.
        """
        if not is_new_call(ticket):
            return False
        uri = ticket.uri
        if uri is None or not uri.parameters:
            return True
        if self._name in (uri.parameter(MARK) or "").split("+"):
            return False
        return not (mask_in(uri) and self._identity().is_own(uri))

    def divert(self, ticket: Ticket, uri: SIPURI) -> Ticket | Reply:
        """
        Send a call to ``uri`` instead.
        """
        target = str(self._marked(ticket, uri) if self._redirect else uri)
        self._log.debug(
            "{dialed!r} goes to {target!r} [{call_id}]",
            dialed=ticket.request.uri,
            target=target,
            call_id=ticket.call_id,
        )
        return moved(target, self._name) if self._redirect else retargeted(ticket, target)

    def _marked(self, ticket: Ticket, uri: SIPURI) -> SIPURI:
        """
        Who is called by such a URI is not sent on again by the same plugin, nor by
        those that have sent the call here.
        """
        before = ticket.uri.parameter(MARK) if ticket.uri else None
        names = f"{before}+{self._name}" if before else self._name
        kept = "".join(
            f";{piece}"
            for piece in uri.parameters.split(";")[1:]
            if piece.partition("=")[0].lower() != MARK
        )
        return uri._replace(parameters=f"{kept};{MARK}={names}")
