"""
Tests for siptwist.proxy.session.anchoring.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import MalformedSDP, SIPError
from siptwist.media.stream import CallKey, Endpoint, Party
from siptwist.proxy.session.anchoring import (
    Description,
    anchor_request,
    anchor_response,
    find_session,
)
from siptwist.sip.hop import Side
from siptwist.sip.message import Request
from tests.proxy.asking import request, response, sdp

KEY = CallKey("call@phone", "a", Side.INSIDE, Side.OUTSIDE)
TYPE = "Content-Type: application/sdp"


def describe(message: Request, host: str = "203.0.113.7") -> Description:
    found = find_session(message)
    assert found is not None
    return Description(KEY, Party.CALLER, True, "10.0.0.5", "", host, *found)


class FindTests(SynchronousTestCase):
    """
    Where the session description of a message is.
    """

    def test_found(self) -> None:
        """
        A body of application/sdp is a session description, whatever the case.
        """
        for line in (TYPE, "c: Application/SDP", f"{TYPE};charset=utf-8"):
            self.assertIsNotNone(find_session(request(line, body=sdp())), line)

    def test_none(self) -> None:
        """
        No body, no type, or another type: none.
        """
        for made in (request(TYPE), request(body=sdp()), request("c: text/plain", body=sdp())):
            self.assertIsNone(find_session(made))

    def test_malformed(self) -> None:
        """
        A description that cannot be read: 400.
        """
        error = self.assertRaises(MalformedSDP, find_session, request(TYPE, body="v=0\r\nm=x\r\n"))
        self.assertEqual(error.status, 400)


class StreamsTests(SynchronousTestCase):
    """
    Each m= line as a wanted stream.
    """

    def test_streams(self) -> None:
        """
        Kind, address, ports, transport and hold of each m= line, in order.
        """
        body = sdp() + "m=video 0 RTP/AVP 99\r\nm=image 5000 udptl t38\r\na=inactive\r\n"
        audio, video, image = describe(request(TYPE, body=body)).streams
        self.assertEqual((audio.kind, audio.endpoint), ("audio", Endpoint("10.0.0.5", 4000, 4001)))
        self.assertEqual((video.endpoint.rtp_port, video.index), (0, 1))
        self.assertEqual((image.proto, image.held, audio.held), ("udptl", True, False))


class AnchorTests(SynchronousTestCase):
    """
    The granted ports in the message.
    """

    def test_request(self) -> None:
        """
        Address and port are ours, the length is right, nothing else changes.
        """
        made = request("X-Odd: 1", TYPE, body=sdp())
        told = anchor_request(made, describe(made), [Endpoint("203.0.113.7", 7070, 7071)])
        self.assertEqual(told.body.decode(), sdp("203.0.113.7", 7070))
        self.assertEqual(told.headers.get("content-length"), str(len(told.body)))
        self.assertEqual(told._replace(headers=made.headers, body=made.body), made)

    def test_response(self) -> None:
        """
        An answer is anchored as an offer is.
        """
        made = response(200, TYPE, body=sdp("198.51.100.9"))
        found = find_session(made)
        assert found is not None
        description = Description(KEY, Party.CALLEE, False, "", "b", "10.0.0.1", *found)
        told = anchor_response(made, description, [Endpoint("10.0.0.1", 7070, 7071)])
        self.assertEqual(told.body.decode(), sdp("10.0.0.1", 7070))

    def test_refused_stream(self) -> None:
        """
        A stream without ports is told as port 0 at our address.
        """
        made = request(TYPE, body=sdp())
        told = anchor_request(made, describe(made), [Endpoint("", 0, 0)]).body.decode()
        self.assertIn("m=audio 0 RTP/AVP 8\r\n", told)
        self.assertNotIn("10.0.0.5", told)

    def test_several_parts(self) -> None:
        """
        Only the part that is SDP changes in a multipart body.
        """
        body = (
            f"--x\r\nContent-Type: application/sdp\r\n\r\n{sdp()}\r\n--x\r\n\r\nkept\r\n--x--\r\n"
        )
        made = request('Content-Type: multipart/mixed;boundary="x"', body=body)
        told = anchor_request(made, describe(made), [Endpoint("203.0.113.7", 7070, 7071)])
        self.assertEqual(told.body.decode(), body.replace(sdp(), sdp("203.0.113.7", 7070)))

    def test_backend_that_forgets_a_stream(self) -> None:
        """
        Fewer ports than streams are our failure: 500, never a half-private description.
        """
        made = request(TYPE, body=sdp())
        error = self.assertRaises(SIPError, anchor_request, made, describe(made), [])
        self.assertEqual(error.status, 500)
