"""
Puts us in the media path: which streams a message describes, and the ports
that the other party is told instead (RFC 3264).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from siptwist.errors import MalformedSDP, SIPError
from siptwist.media.stream import CallKey, Endpoint, Party, StreamOffer
from siptwist.sip.message import AnyMessage, Request, Response, with_body
from siptwist.sip.sdp import (
    NOWHERE,
    MediaDescription,
    SessionDescription,
    find_sdp,
    is_null,
    is_whole,
    surplus,
)

# Methods whose requests and responses may carry offers and answers
# (RFC 3261 section 13, RFC 3262, RFC 3311).
OFFERING = frozenset({"INVITE", "ACK", "PRACK", "UPDATE"})


# Of the lines of a medium so much is kept, to tell the operator its codecs.
LONGEST_TEXT = 4096

_REFUSED = Endpoint("", 0, 0)


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
        session, streams = self.session, []
        spare = surplus(session, self.signaling_host) if self.is_offer else frozenset()
        for index, medium in enumerate(session.media):
            where = _REFUSED if index in spare else _endpoint(medium)
            kind, proto, text = medium.kind, medium.proto, medium.text[:LONGEST_TEXT]
            streams.append(
                StreamOffer(index, kind, where, medium.held, proto, text, medium.has_ice)
            )
        return tuple(streams)


def find_session(message: Request | Response) -> tuple[SessionDescription, int, int] | None:
    """
    The session description in a message's body, and where it lies in it.

    :raises MalformedSDP: when it cannot be read, or is encoded (415).
    """
    if not message.body:
        return None
    headers = message.headers
    if is_whole(headers):
        return SessionDescription.parse(message.body), 0, len(message.body)
    content_type = headers.get("content-type")
    if content_type is None:
        return None
    encoding = headers.get("content-encoding") if "content-encoding" in headers.first else None
    place = find_sdp(content_type, message.body, encoding or "")
    if place is None:
        return None
    start, end = place
    return SessionDescription.parse(message.body[start:end]), start, end


def _endpoint(medium: MediaDescription) -> Endpoint:
    host, rtcp = medium.connection or "", medium.rtcp
    if is_null(host):
        # Who awaits candidates gives no address, and who holds none to send to.
        host = NOWHERE if medium.is_null else ""
    if rtcp is None:
        return Endpoint(host, medium.port, medium.rtcp_port)
    return Endpoint(host, medium.port, rtcp[1], rtcp[0] or "")


def _rewritten(body: bytes, description: Description, granted: Sequence[Endpoint]) -> bytes:
    if len(granted) != len(description.session.media):
        raise SIPError("Media backend and description differ", 500)
    told, credentials = [], []
    for one in granted:
        told.append((one.host or description.host, one.rtp_port, one.rtcp_port))
        if one.ice is not None:
            credentials = [endpoint.ice for endpoint in granted]
    session = description.session.rewrite(told, description.host, credentials)
    if description.end - description.start == len(body):
        return session
    return body[: description.start] + session + body[description.end :]


def hide(message: AnyMessage, host: str) -> AnyMessage:
    """
    A message whose session description is no offer and no answer, and is not
    relayed: what it says of addresses becomes ours, its ports stay.

    :raises MalformedSDP: when that of a request cannot be read; a response goes on
        without it.
    """
    try:
        found = find_session(message)
    except MalformedSDP:
        if isinstance(message, Request):
            raise
        return with_body(message, b"")
    if found is None:
        return message
    session, start, end = found
    ports = [(host, medium.port, medium.rtcp_port) for medium in session.media]
    body = message.body[:start] + session.rewrite(ports, host) + message.body[end:]
    return with_body(message, body)


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
    return with_body(response, _rewritten(response.body, description, granted))
