"""
Ends a call that was answered in vain (RFC 3261 sections 13.2.2.4 and 15).

A 2xx that we cannot pass back leaves a callee who repeats it for half a minute
and then waits for a caller who was told that it came to nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import partial

from siptwist.proxy.passage import Passage
from siptwist.proxy.session.ends import callee_of
from siptwist.services.serving.speaking import Say, Speaking
from siptwist.sip.message import Response, call_id_of, cseq_of

# Calls of which is remembered that they have had their BYE.
REMEMBERED = 256


class HangUp:
    """
    Says ACK and BYE to callees in the place of the caller.
    """

    def __init__(self, speaking: Speaking) -> None:
        self._speaking = speaking
        self._ended: OrderedDict[tuple[str, str], None] = OrderedDict()

    def end(self, passage: Passage, response: Response) -> None:
        """
        The caller will never hear of this 2xx to an INVITE; other responses, and
        2xx to other methods, need nothing.

        A call that was established before goes on: its 2xx gets its ACK only.
        """
        if passage.method != "INVITE" or not 200 <= response.status < 300:
            return
        caller = response.headers.first["from"]
        self._speaking.find(
            callee_of(passage, response),
            caller,
            call_id_of(response),
            passage.sent_at,
            partial(self._say, passage, response),
        )

    def _say(self, passage: Passage, response: Response, say: Say) -> None:
        number = cseq_of(response).number
        say("ACK", number)
        if not passage.in_dialog and not self._is_ended(response):
            say("BYE", number + 1)

    def _is_ended(self, response: Response) -> bool:
        """
        Whether this callee has had his BYE: then the 2xx is a repeated one.
        """
        known = (call_id_of(response), response.headers.to.tag or "")
        if known in self._ended:
            return True
        self._ended[known] = None
        if len(self._ended) > REMEMBERED:
            self._ended.popitem(last=False)
        return False
