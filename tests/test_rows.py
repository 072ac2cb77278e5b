"""
The faults of siproxd that siptwist must not have: each has a test.

A test that shows the opposite of one says so in its docstring: "(F1 of siproxd)" or
"siproxd's fault F1".
The numbers are ours: P is for what the RFCs ask, F for what breaks calls, S for
what is not safe, R for what does not run well.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

TESTS = Path(__file__).parent

ROWS = {
    "P1": "no state: no 100, no repetition, no timer C, no CANCEL, no next server",
    "P2": "408 for whom it does not know, and answers to ACKs and responses",
    "P3": "answers without To tag, Server and Allow; an empty 200 for OPTIONS",
    "P4": "no 400, 413, 416, 420 and 505; tel: and sips: are dropped in silence",
    "P5": "one Contact for an account; no list, no *, no 423, no CSeq order, no q",
    "P6": "received and rport only over TCP; port 0; branches not looked at",
    "P7": "loops told by counting addresses",
    "P8": "Record-Route on one side only, on all methods, in refusals; no strict routes",
    "P9": "URIs without port and parameters; two hosts at one address are equal",
    "P10": "TCP without Content-Length (we have no TCP yet); no pong; nothing large",
    "P11": "no SRV, no NAPTR, no lifetimes, one address of each name",
    # TLS, WebSocket and GRUU are not in this version.
    "P12": "no TLS, WebSocket, IPv6, Path, GRUU, Service-Route and session timers",
    "P13": "202 of one make of server becomes 404",
    "F1": "a re-INVITE or UPDATE that is refused ends the audio",
    "F2": "a repeated INVITE that was challenged ends the audio",
    "F3": "dejittered packets are lost, all of them",
    "F4": "one call touches the time of another",
    "F5": "a closed socket's number sends for another call",
    "F6": "no port is left, and the call goes on without audio",
    "F7": "the second c= of a description names the inside",
    "F8": "a call on hold is sent to 0.0.0.0, and ends for silence",
    "F9": "an answer in the 200 of PRACK is not looked at",
    "F10": "multipart bodies, a=rtcp, ICE and IPv6 in SDP go out as they are",
    "F11": "of two accounts with one user part the first alone lives",
    "F12": "a 2xx without lifetime, or with another Contact, binds for 5 seconds",
    "F13": "To is believed before the Request-URI",
    "F14": "a REGISTER from behind another router comes back",
    "F15": "the media of several callees are mixed",
    "F16": "the transport of the phone is that of everybody",
    "F17": "a phone behind another router, or at another port, cannot be reached",
    "F18": "audio goes where SDP says, and nowhere else",
    "F19": "re-INVITEs are dialed anew; no user in a URI is a crash",
    "F20": "codecs go from attributes, unrelated ones too, and never from the m= line",
    "F21": "a full table, and a name that is not found, are not answered",
    "F22": "Refer-To names inside addresses",
    "F23": "phones in one network hear each other through the proxy only",
    "F24": "answers go to an outbound proxy",
    "S1": "an unanswered REGISTER takes an account over",
    "S2": "anybody outside may register, and use the relay",
    "S5": "anybody's RTP is relayed",
    "S6": "BYE and CANCEL of anybody who knows the Call-ID end the media",
    "S7": "root is kept, or half of it",
    "S10": "anybody's STUN answer is believed",
    "S11": "debug_port is open to all, with passwords",
    "S12": "a name that is not found opens a list",
    "R3": "keys are recognized by their beginning, unknown ones passed over",
    "R4": "the file of registrations can be lost half written",
    "R6": "tcp_keepalive = 0 sends every 5 seconds (we have no TCP yet)",
    "R7": "DSCP wants root, and RTCP has none",
    "R8": "a silent call loses its relay, and nobody is told",
    "R9": "calls stay at an address that is ours no more",
    "R10": "one interface on each side, and all addresses listened to",
    "R11": "statistics of the wrong streams",
    "R12": "regex_body writes over itself, cuts long bodies off, and changes binary ones",
    "R13": "a stale nonce is an attack, and other users' names hide one",
    "R14": "lines of the log end after 255 characters",
    "R15": "no file to start with, no documentation",
}
_ONE = re.compile("^test_|Tests$")
_ROW = re.compile(r"\b([PFSR]\d+)(?=[^()]* of siproxd\b)|\bsiproxd's fault ([PFSR]\d+)\b")


def named_rows(source: str) -> Iterator[str]:
    """
    The rows that the docstrings of a test module, its classes and its tests name.
    """
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            continue
        if isinstance(node, ast.Module) or _ONE.search(node.name):
            docstring = " ".join((ast.get_docstring(node) or "").split())
            for match in _ROW.finditer(docstring):
                yield match[1] or match[2]


class RowsTests(SynchronousTestCase):
    def test_every_row(self) -> None:
        """
        Every fault is named by a test that shows the opposite.
        """
        others = [path for path in TESTS.rglob("test_*.py") if path != Path(__file__)]
        named = {row for path in others for row in named_rows(path.read_text("utf-8"))}
        self.assertEqual(sorted(set(ROWS) - named), [])

    def test_found(self) -> None:
        """
        Rows are found in the docstrings of tests, several in one, over lines; what is
        named elsewhere, or is no fault of siproxd, does not count.
        """
        source = """'''Of phones (F23 of siproxd).'''
class OneTests:
    '''Of calls (F1 of siproxd).'''
    def test_one(self):
        '''
        Some of it (RFC 3261 section 8.1; P2 and P13
        of siproxd).
        '''
    def helper(self):
        '''Helps (F11 of siproxd).'''
    def test_two(self):
        '''Three candles (P3).'''
        return "F12 of siproxd"
"""
        self.assertEqual(sorted(named_rows(source)), ["F1", "F23", "P13", "P2"])
