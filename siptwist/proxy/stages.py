"""
Where plugins have a say: what the rest of the proxy asks of them.
"""

from __future__ import annotations

from typing import Protocol

from siptwist.proxy.decision import Decision, Drop, Forward, Reply
from siptwist.proxy.passage import Passage
from siptwist.proxy.ticket import Ticket
from siptwist.sip.message import Request, Response


class Stages(Protocol):
    """
    The stages of a message on its way; none of them raises.
    """

    def validate(self, ticket: Ticket) -> Reply | Drop | None:
        """
        A request that nothing is wrong with, as far as we know.
        """

    def determine_target(self, ticket: Ticket, from_phone: bool) -> Ticket | Decision:
        """
        The request to be routed, or what is to be done with it instead.
        """

    def unknown_party(self, ticket: Ticket, from_phone: bool) -> Ticket | Decision | None:
        """
        Nobody is known who could be meant.
        """

    def pre_proxy(self, forward: Forward) -> Decision:
        """
        What was decided, before anything is masked.
        """

    def leave(self, request: Request, ticket: Ticket, passage: Passage) -> Request:
        """
        A request as it goes out.
        """

    def response(self, response: Response, passage: Passage) -> Response:
        """
        A response as it came, on its way back.
        """
