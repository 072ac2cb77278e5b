"""
Messages are read within limits, written as they were, and answered by the RFC.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import MalformedHeader, MalformedMessage
from siptwist.sip.headers import make_header
from siptwist.sip.message import (
    MAX_BODY,
    MAX_HEADERS,
    MAX_LINE,
    MAX_VIAS,
    Request,
    Response,
    call_id_of,
    cseq_of,
    from_of,
    make_response,
    parse,
    to_of,
    via_of,
    with_body,
)

HEAD = """\
Via: SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bK1;rport
From: "Alice" <sip:alice@example.net>;tag=a1
To: <sip:bob@example.net>
Call-ID: 1@10.0.0.10
CSeq: 7 INFO
"""


def wire(head: str = HEAD, start: str = "INFO sip:bob@h SIP/2.0", body: bytes = b"") -> bytes:
    return f"{start}\n{head}\n".replace("\n", "\r\n").encode("utf-8", "surrogateescape") + body


def request(head: str = HEAD, **more: str) -> Request:
    message = parse(wire(head, **more))
    assert isinstance(message, Request)
    return message


class RequestTests(SynchronousTestCase):
    def test_parts(self) -> None:
        """
        A request has its method, its Request-URI, its fields and its body.
        """
        message = parse(wire(HEAD + "Content-Length: 3\n", body=b"a\0bc"))
        assert isinstance(message, Request)
        self.assertEqual(
            (message.method, message.uri, message.body), ("INFO", "sip:bob@h", b"a\0b")
        )
        self.assertEqual(via_of(message).host, "10.0.0.10")
        self.assertEqual((from_of(message).tag, to_of(message).tag), ("a1", None))
        self.assertEqual((cseq_of(message), call_id_of(message)), ((7, "INFO"), "1@10.0.0.10"))

    def test_any_method(self) -> None:
        """
        A method nobody knows is a method; its case matters.
        """
        head = HEAD.replace("7 INFO", "7 !x-%45*_+`.'~")
        self.assertEqual(request(head, start="!x-%45*_+`.'~ sip:h SIP/2.0").method, "!x-%45*_+`.'~")
        self.refuse(HEAD, "info sip:h SIP/2.0", "CSeq method does not match the request")

    def test_any_scheme(self) -> None:
        """
        A Request-URI of an unknown scheme is read: who serves it decides.
        """
        uri = "soap.beep://192.0.2.103:3002"
        self.assertEqual(request(start=f"INFO {uri} SIP/2.0").uri, uri)

    def test_folded_version(self) -> None:
        """
        The version may be written in small letters.
        """
        sent = bytes(request(start="INFO sip:h sip/2.0"))
        self.assertEqual(sent.partition(b"\r\n")[0], b"INFO sip:h SIP/2.0")

    def refuse(self, head: str, start: str, reason: str, status: int = 400) -> MalformedMessage:
        error = self.assertRaises(MalformedMessage, parse, wire(head, start))
        self.assertEqual((error.reason, error.status), (reason, status))
        return error

    def test_malformed_start_line(self) -> None:
        """
        A request line is three words with a single space between.
        """
        for start in (
            "",
            "INFO",
            "INFO sip:h",
            "INFO  sip:h SIP/2.0",
            "INFO sip:h  SIP/2.0",
            "INFO sip:h SIP/2.0 ",
            "INFO sip:h; lr SIP/2.0",
            " INFO sip:h SIP/2.0",
            "IN<O sip:h SIP/2.0",
            "INFO sip:h HTTP/1.1",
            "INFO sip:h SIP/2",
            "\u0130NFO sip:h SIP/2.0",
            "INFO sip:" + "h" * MAX_LINE + " SIP/2.0",
        ):
            self.refuse(HEAD, start, "Malformed request line")

    def test_malformed_request_uri(self) -> None:
        """
        A Request-URI in angle brackets, or without a scheme, is refused.
        """
        for uri in ("<sip:h>", "bob", "sip:", "1:2", "sip:a\0b"):
            self.refuse(HEAD, f"INFO {uri} SIP/2.0", "Malformed Request-URI")

    def test_other_version(self) -> None:
        """
        Another version is answered 505, whatever else is wrong.
        """
        for version in ("7.0", "1.0", "2.1"):
            self.refuse("i: x\n", f"INFO sip:h SIP/{version}", "SIP version not supported", 505)

    def test_missing(self) -> None:
        """
        Each field that every request has is missed by its name.
        """
        for line in HEAD.splitlines(keepends=True):
            name = line.partition(":")[0]
            self.refuse(HEAD.replace(line, ""), "INFO sip:h SIP/2.0", f"Missing {name}")
            self.refuse(HEAD.replace(line, f"{name}:\n"), "INFO sip:h SIP/2.0", f"Missing {name}")

    def test_twice(self) -> None:
        """
        A field that may be there once is refused twice, in whatever spelling.
        """
        for line, name in (
            ("f: <sip:x@y>;tag=b", "From"),
            ("T : <sip:x@y>", "To"),
            ("i: 2", "Call-ID"),
            ("CSEQ: 7 INFO", "CSeq"),
            ("l: 0\nContent-Length: 0", "Content-Length"),
            ("Max-Forwards: 1\nmax-forwards: 2", "Max-Forwards"),
        ):
            self.refuse(f"{HEAD}{line}\n", "INFO sip:h SIP/2.0", f"More than one {name}")

    def test_what_could_be_read(self) -> None:
        """
        The error carries what is needed to answer the request, ACK or not.
        """
        error = self.refuse(HEAD.replace("7 INFO", "x"), "ACK sip:h SIP/2.0", "Malformed CSeq")
        assert error.request is not None
        self.assertEqual(error.request.method, "ACK")
        self.assertEqual(error.request.headers.get("call-id"), "1@10.0.0.10")

    def test_one_bad_line(self) -> None:
        """
        A line that is no field does not keep a request from being answered.
        """
        for line, reason in (
            ("Foobar roobar", "Malformed header line"),
            ("Z: a\rb", "Stray line break"),
            ("Z: " + "a" * MAX_LINE, "Header too long"),
            ("Z: y\n" * MAX_HEADERS, "Too many headers"),
        ):
            error = self.refuse(f"{HEAD}{line}\n", "INFO sip:h SIP/2.0", reason)
            assert error.request is not None
            self.assertEqual(error.request.headers.get("cseq"), "7 INFO")
            self.assertEqual(
                error.request.headers.lines("x"), ["y"] * 251 if "X: y" in line else []
            )


class ResponseTests(SynchronousTestCase):
    def test_parts(self) -> None:
        """
        A response has its status and its reason, which may be empty or in any script.
        """
        for line, status, reason in (
            ("SIP/2.0 200 OK", 200, "OK"),
            ("SIP/2.0 100 ", 100, ""),
            ("SIP/2.0 100", 100, ""),
            ("sip/2.0 200 = 2**3 * 5**2 но сто", 200, "= 2**3 * 5**2 но сто"),
            ("SIP/2.0 699 \udcff", 699, "\udcff"),
        ):
            message = parse(wire(start=line))
            assert isinstance(message, Response)
            self.assertEqual((message.status, message.reason), (status, reason))

    def test_malformed(self) -> None:
        """
        A malformed response cannot be answered: the error carries no request.
        """
        for line in (
            "SIP/2.0",
            "SIP/2.0 20 OK",
            "SIP/2.0 4294967301 better not break the receiver",
            "SIP/2.0 099 x",
            "SIP/2.0 700 x",
            "SIP/2.0  200 OK",
            "SIP/3.0 200 OK",
            "SIP/2.0 2\u0660\u0660 OK",
            "SIP/2.0 200 " + "x" * MAX_LINE,
        ):
            error = self.assertRaises(MalformedMessage, parse, wire(start=line))
            self.assertIsNone(error.request)
        for head in ("", HEAD.replace("7 INFO", "9292394834772304023312 OPTIONS"), HEAD + "x\n"):
            error = self.assertRaises(MalformedMessage, parse, wire(head, "SIP/2.0 200 OK"))
            self.assertIsNone(error.request)


class WhiteSpaceTests(SynchronousTestCase):
    def test_written_as_read(self) -> None:
        """
        Compact forms, folding, odd spacing and order go out as they came in.
        """
        head = (
            "i :1@h\nUnknown: ;;,,;;,;\nv:  SIP  / 2.0\n / UDP\n\t h ;branch = z9hG4bK2 ,\n"
            " SIP/2.0/TCP i\nCSEQ: 0007\n  INFO\nf: sip:a@b ;\n tag=1\nT  :sip:c@d\n"
        )
        data = wire(head)
        message = parse(data)
        self.assertEqual(bytes(message), data)
        self.assertEqual(message.headers.values("via")[1], "SIP/2.0/TCP i")
        self.assertEqual((cseq_of(message).number, from_of(message).tag), (7, "1"))
        self.assertEqual(via_of(message).branch, "z9hG4bK2")

    def test_line_feeds(self) -> None:
        """
        A message whose lines end in LF alone is read as if they ended in CRLF.
        """
        data = wire(HEAD + "Content-Length: 1\n", body=b"x")
        self.assertEqual(bytes(parse(data.replace(b"\r\n", b"\n"))), data)

    def test_no_blank_line(self) -> None:
        """
        The blank line may be missing where there is no body.
        """
        data = wire()
        self.assertEqual(bytes(parse(data.removesuffix(b"\r\n"))), data)
        self.assertEqual(bytes(parse(data.removesuffix(b"\r\n\r\n"))), data)

    def test_stray_line_breaks(self) -> None:
        """
        A lone CR or LF, which some receivers take for a line end, is refused.
        """
        for stray in (b"\r", b"\n"):
            data = wire().replace(b"Alice", b"A" + stray + b"Injected: x")
            error = self.assertRaises(MalformedMessage, parse, data)
            self.assertEqual(error.reason, "Stray line break")

    def test_bytes_that_are_no_text(self) -> None:
        """
        Header bytes that are no UTF-8 survive.
        """
        data = wire().replace(b"Alice", b"\xff\xc0\x80\xed\xa0\x80")
        self.assertEqual(bytes(parse(data)), data)


class BodyTests(SynchronousTestCase):
    def body(self, length: str, body: bytes) -> bytes:
        return parse(wire(f"{HEAD}{length}\n" if length else HEAD, body=body)).body

    def test_length(self) -> None:
        """
        Content-Length cuts the body; without one it fills the datagram.
        """
        self.assertEqual(self.body("l: 3", b"abcdef"), b"abc")
        self.assertEqual(self.body("Content-Length:0", b"INVITE sip:x SIP/2.0"), b"")
        self.assertEqual(self.body("", b"a\r\n\r\nb"), b"a\r\n\r\nb")

    def test_too_short(self) -> None:
        """
        A body shorter than its Content-Length has lost something: 400.
        """
        error = self.assertRaises(MalformedMessage, self.body, "l: 7", b"abcdef")
        self.assertEqual(error.status, 400)

    def test_malformed(self) -> None:
        """
        A Content-Length that is no number is refused.
        """
        for text in ("-999", "+1", "1 2", "0x1", "", "\u0663", "9" * 5000, "1,1"):
            error = self.assertRaises(MalformedMessage, self.body, f"l: {text}", b"abc")
            self.assertEqual(error.reason, "Malformed Content-Length")

    def test_too_large(self) -> None:
        """
        More than 64 KB is 413, before anybody waits for it.
        """
        for size in (MAX_BODY + 1, 2**32 + 1):
            error = self.assertRaises(MalformedMessage, self.body, f"l: {size}", b"")
            self.assertEqual(error.status, 413)

    def test_another_body(self) -> None:
        """
        Another body brings its own Content-Length, where the old one stood.
        """
        message = with_body(request(HEAD.replace("Call-ID", "l: 0\nCall-ID")), b"four")
        self.assertEqual(message.headers.get("content-length"), "4")
        self.assertEqual([header[0] for header in message.headers][3], "content-length")
        response = with_body(make_response(message, 200), b"12")
        self.assertEqual((response.headers.get("content-length"), response.body), ("2", b"12"))


class LimitTests(SynchronousTestCase):
    def reason(self, head: str) -> str:
        try:
            parse(wire(head))
        except MalformedMessage as error:
            return error.reason
        return ""

    def test_headers(self) -> None:
        """
        256 header fields are read, one more is refused.
        """
        more = MAX_HEADERS - HEAD.count("\n")
        self.assertEqual(self.reason(HEAD + "X: y\n" * more), "")
        self.assertEqual(self.reason(HEAD + "X: y\n" * (more + 1)), "Too many headers")

    def test_header(self) -> None:
        """
        A field may be 8 KB long, folded or not.
        """
        for begin in ("X: ", "X:\n "):
            spent = len(begin.replace("\n", "\r\n"))
            self.assertEqual(self.reason(f"{HEAD}{begin}{'a' * (MAX_LINE - spent)}\n"), "")
            reason = self.reason(f"{HEAD}{begin}{'a' * (MAX_LINE - spent + 1)}\n")
            self.assertEqual(reason, "Header too long")

    def test_vias(self) -> None:
        """
        70 Vias are read, one more is refused, on lines of their own or of one line.
        """
        via = "SIP/2.0/UDP h;branch=z9hG4bK2"
        for more, reason in ((MAX_VIAS - 1, ""), (MAX_VIAS, "Too many Vias")):
            self.assertEqual(self.reason(HEAD + f"v: {via}\n" * more), reason)
            self.assertEqual(self.reason(f"{HEAD}Via: {', '.join([via] * more)}\n"), reason)
            self.assertEqual(self.reason(f"Via: {', '.join([via] * more)}\n{HEAD}"), reason)


class MakeResponseTests(SynchronousTestCase):
    def test_echoed(self) -> None:
        """
        An answer has the request's Vias, From, To, Call-ID and CSeq, and no body.
        """
        head = HEAD + "Via: SIP/2.0/TCP deeper\nSubject: x\nRoute: <sip:y;lr>\n"
        answer = make_response(request(head), 404, to_tag="t1", headers=[("Server", "s")])
        self.assertEqual(
            bytes(answer).decode(),
            "SIP/2.0 404 Not Found\r\n"
            "Via: SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bK1;rport\r\n"
            'From: "Alice" <sip:alice@example.net>;tag=a1\r\n'
            "To: <sip:bob@example.net>;tag=t1\r\n"
            "Call-ID: 1@10.0.0.10\r\n"
            "CSeq: 7 INFO\r\n"
            "Via: SIP/2.0/TCP deeper\r\n"
            "Server: s\r\n"
            "Content-Length: 0\r\n\r\n",
        )

    def test_vias(self) -> None:
        """
        Vias that say where the request really came from take the place of its own.
        """
        made = make_header("Via", "SIP/2.0/UDP h;received=1.2.3.4")
        answer = make_response(request(), 200, vias=[made])
        self.assertEqual(answer.headers.lines("via"), ["SIP/2.0/UDP h;received=1.2.3.4"])

    def test_tag_is_kept(self) -> None:
        """
        A request inside a dialog keeps its To tag.
        """
        head = HEAD.replace("bob@example.net>", "bob@example.net>;tag=b1")
        answer = make_response(request(head), 481, to_tag="t1")
        self.assertEqual(to_of(answer).tag, "b1")

    def test_reason(self) -> None:
        """
        The reason phrase is the RFC's, unless there is a better one.
        """
        self.assertEqual(make_response(request(), 486).reason, "Busy Here")
        self.assertEqual(make_response(request(), 400, "No CSeq").reason, "No CSeq")

    def test_strange_to(self) -> None:
        """
        A To that cannot be read is echoed without a tag; one with an escaped NUL with it.
        """
        error = self.assertRaises(
            MalformedHeader, parse, wire(HEAD.replace("To: <", 'To: "open <'))
        )
        assert error.request is not None
        answer = make_response(error.request, 400, to_tag="t1")
        self.assertEqual(answer.headers.get("to"), '"open <sip:bob@example.net>')
        answer = make_response(request(HEAD.replace("To: <", 'To: "\\\0" <')), 400, to_tag="t1")
        self.assertEqual(to_of(answer).tag, "t1")

    def test_injection(self) -> None:
        """
        What we add to an answer cannot begin another field.
        """
        self.assertRaises(
            MalformedHeader, make_response, request(), 200, headers=[("Server", "a\r\nX: y")]
        )
