"""
Puts us in the media path: which streams a message describes, and the ports
that the other party is told instead (RFC 3264).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from siptwist.errors import SIPError
from siptwist.media.stream import CallKey, Endpoint, Party, StreamOffer
from siptwist.sip.message import Request, Response, response_with_body, with_body
from siptwist.sip.sdp import SessionDescription, find_sdp

# Methods whose requests and responses may carry offers and answers
# (RFC 3261 section 13, RFC 3262, RFC 3311).
OFFERING = frozenset({"INVITE", "ACK", "PRACK", "UPDATE"})


class Description(NamedTuple):
    """
    A session description found in a message: what is to be anchored.

    ``host`` is our address as the receiver knows it: what o= and refused
    streams say.
    """

    key: CallKey
    party: Party
    is_offer: bool
    signaling_host: str
    branch: str
    host: str
    session: SessionDescription
    start: int
    end: int

    @property
    def streams(self) -> tuple[StreamOffer, ...]:
        """
        One for each m= line, in order.
        """
        return tuple(
            [
                StreamOffer(
                    index,
                    media.kind,
                    Endpoint(media.connection or "", media.port, media.rtcp_port),
                    media.held,
                    media.proto,
                )
                for index, media in enumerate(self.session.media)
            ]
        )


def find_session(message: Request | Response) -> tuple[SessionDescription, int, int] | None:
    """
    The session description in a message's body, and where it lies in it.

    :raises MalformedSDP: when it cannot be read.
    """
    if not message.body:
        return None
    content_type = message.headers.get("content-type")
    if content_type is None:
        return None
    place = find_sdp(content_type, message.body)
    if place is None:
        return None
    start, end = place
    return SessionDescription.parse(message.body[start:end]), start, end


def _rewritten(body: bytes, description: Description, granted: Sequence[Endpoint]) -> bytes:
    if len(granted) != len(description.session.media):
        raise SIPError("Media backend and description differ", 500)
    told = [endpoint if endpoint.host else Endpoint(description.host, 0, 0) for endpoint in granted]
    session = description.session.rewrite(told, description.host)
    if description.end - description.start == len(body):
        return session
    return body[: description.start] + session + body[description.end :]


def anchor_request(
    request: Request, description: Description, granted: Sequence[Endpoint]
) -> Request:
    """
    The request with the granted ports written into its session description.
    """
    return with_body(request, _rewritten(request.body, description, granted))


def anchor_response(
    response: Response, description: Description, granted: Sequence[Endpoint]
) -> Response:
    """
    The response with the granted ports written into its session description.
    """
    return response_with_body(response, _rewritten(response.body, description, granted))
