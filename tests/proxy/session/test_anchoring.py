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
    hide,
)
from siptwist.sip.hop import Side
from siptwist.sip.message import Request
from siptwist.sip.sdp import Credentials
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

    def endpoint(self, *lines: str, host: str = "10.0.0.5") -> Endpoint:
        body = sdp(host) + "".join(f"{line}\r\n" for line in lines)
        return describe(request(TYPE, body=body)).streams[0].endpoint

    def test_rtcp_elsewhere(self) -> None:
        """
        F10 of siproxd: RTCP is where a=rtcp says, also on another host (RFC 3605).
        """
        found = self.endpoint("a=rtcp:4044 IN IP4 10.0.0.9")
        self.assertEqual(found, Endpoint("10.0.0.5", 4000, 4044, "10.0.0.9"))
        self.assertEqual(self.endpoint("a=rtcp:4044"), Endpoint("10.0.0.5", 4000, 4044))

    def test_nobody_there(self) -> None:
        """
        A name that cannot exist is a hold, as 0.0.0.0 is.
        """
        self.assertEqual(self.endpoint(host="hold.invalid").host, "0.0.0.0")

    def test_awaiting_candidates(self) -> None:
        """
        Who awaits candidates has no address yet, and is not on hold.
        """
        body = sdp("0.0.0.0", 9) + "a=ice-ufrag:abcd\r\na=ice-pwd:efgh\r\n"
        (audio,) = describe(request(TYPE, body=body)).streams
        self.assertEqual((audio.endpoint.host, audio.held, audio.has_ice), ("", False, True))

    def test_alternatives(self) -> None:
        """
        Of one medium at two addresses one is offered; an answer is taken as it is.
        """
        body = sdp() + "a=mid:1\r\nm=audio 5000 RTP/AVP 8\r\na=mid:2\r\na=group:ANAT 1 2\r\n"
        offer = describe(request(TYPE, body=body))
        self.assertEqual([one.endpoint.rtp_port for one in offer.streams], [4000, 0])
        answer = offer._replace(is_offer=False)
        self.assertEqual([one.endpoint.rtp_port for one in answer.streams], [4000, 5000])

    def test_own_words(self) -> None:
        """
        What a stream says of its codecs is kept, for the operator.
        """
        body = sdp() + "a=rtpmap:8 PCMA/8000\r\n"
        (audio,) = describe(request(TYPE, body=body)).streams
        self.assertEqual(audio.text, "m=audio 4000 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n")


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
        F10 of siproxd: of a multipart body the part that is SDP changes, and only that.
        """
        body = (
            f"--x\r\nContent-Type: application/sdp\r\n\r\n{sdp()}\r\n--x\r\n\r\nkept\r\n--x--\r\n"
        )
        made = request('Content-Type: multipart/mixed;boundary="x"', body=body)
        told = anchor_request(made, describe(made), [Endpoint("203.0.113.7", 7070, 7071)])
        self.assertEqual(told.body.decode(), body.replace(sdp(), sdp("203.0.113.7", 7070)))

    def test_ice(self) -> None:
        """
        Where the backend answers checks, the other party is told how to make them.
        """
        made = request(TYPE, body=sdp())
        ours = Endpoint("203.0.113.7", 7070, 7071, "", Credentials("ourfrag1", "ours" * 6))
        told = anchor_request(made, describe(made), [ours]).body.decode()
        self.assertIn("\r\na=ice-lite\r\nm=audio 7070 RTP/AVP 8\r\na=ice-ufrag:ourfrag1\r\n", told)

    def test_backend_that_forgets_a_stream(self) -> None:
        """
        Fewer ports than streams are our failure: 500, never a half-private description.
        """
        made = request(TYPE, body=sdp())
        error = self.assertRaises(SIPError, anchor_request, made, describe(made), [])
        self.assertEqual(error.status, 500)


class HideTests(SynchronousTestCase):
    """
    Descriptions that are no offer and no answer.
    """

    def test_addresses(self) -> None:
        """
        Addresses become ours, ports stay, and the length is right.
        """
        made = response(488, TYPE, "Warning: 304 x", body=sdp() + "a=rtcp:4009 IN IP4 10.0.0.5\r\n")
        hidden = hide(made, "203.0.113.7")
        expected = sdp("203.0.113.7") + "a=rtcp:4009 IN IP4 203.0.113.7\r\n"
        self.assertEqual(hidden.body.decode(), expected)
        self.assertEqual(hidden.headers.get("content-length"), str(len(expected)))

    def test_part(self) -> None:
        """
        In a body of several parts only the description changes.
        """
        body = (
            f"--x\r\nContent-Type: application/sdp\r\n\r\n{sdp()}\r\n--x\r\n\r\nkept\r\n--x--\r\n"
        )
        made = request('Content-Type: multipart/mixed;boundary="x"', body=body, method="INFO")
        told = hide(made, "203.0.113.7").body.decode()
        self.assertEqual(told, body.replace(sdp(), sdp("203.0.113.7")))

    def test_nothing_to_hide(self) -> None:
        """
        Another body stays as it is.
        """
        made = request("Content-Type: text/plain", body="c=IN IP4 10.0.0.5", method="MESSAGE")
        self.assertIs(hide(made, "203.0.113.7"), made)

    def test_malformed(self) -> None:
        """
        What cannot be read: 400 to a request, and no body in a response.
        """
        broken = "v=0\r\nc=IN IP4 10.0.0.5\r\nm=audio\r\n"
        self.assertRaises(MalformedSDP, hide, request(TYPE, body=broken), "203.0.113.7")
        told = hide(response(488, TYPE, body=broken), "203.0.113.7")
        self.assertEqual((told.body, told.headers.get("content-length")), (b"", "0"))
