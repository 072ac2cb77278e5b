"""
What the tests of plugins between real programs start from.
"""

from __future__ import annotations

import re

from tests.interop.bed import WAN_ROUTER
from tests.interop.capture import Capture
from tests.interop.case import InteropCase
from tests.interop.load import CALLEE, CALLER
from tests.interop.program import Program
from tests.interop.provider import password
from tests.plugins.repairs.devices import UNIQ

#: What a phone offers unless a test says otherwise: u-law.
CODECS = "0"


def several(key: str, *values: str) -> str:
    """
    The value of an option that has several lines.
    """
    return f"\n{key} = ".join(values)


def requests(messages: list[str], method: str) -> list[str]:
    """
    The requests of a method among messages that were seen, repeated ones once.
    """
    found = {
        (header(text, "Call-ID"), header(text, "CSeq")): text
        for text in messages
        if text.startswith(f"{method} ")
    }
    return list(found.values())


def responses(messages: list[str], status: int) -> list[str]:
    """
    The responses of a status among messages that were seen.
    """
    return [text for text in messages if text.startswith(f"SIP/2.0 {status} ")]


def uri_of(request: str) -> str:
    """
    Its Request-URI.
    """
    return request.split(" ", 2)[1]


def header(message: str, name: str) -> str:
    """
    The value of the first header of a name; empty when there is none.
    """
    match = re.search(rf"^{name}: *(.*?)\r$", message.partition("\r\n\r\n")[0] + "\r", re.M)
    return match[1] if match else ""


class PluggedCase(InteropCase):
    """
    SIPp dials numbers inside; SIPp and the provider see outside what became of them.
    """

    def dial(self, wire: Capture, *numbers: str, codecs: str = CODECS) -> list[str]:
        """
        A phone dials numbers one after the other, and nobody talks to it; the INVITEs
        that arrived outside.
        """
        self.run_sipp(CALLEE, "turn-away", calls=len(numbers))
        for number in numbers:
            self.dial_one(number, "-key", "codecs", codecs)
        return requests(wire.sip(WAN_ROUTER, CALLEE), "INVITE")

    def dial_one(self, number: str, *words: str) -> None:
        """
        A phone dials a number and is turned away.
        """
        phone = self.run_sipp(CALLER, "dial", "-s", number, *words, remote=CALLEE)
        self.assertEqual(phone.wait(5), 0, phone.log())

    def visit(self, target: str, via: str = f"{CALLEE}:5060") -> Program:
        """
        Somebody outside, whom nobody knows, calls a URI of ours.
        """
        words = ["-rsa", f"{WAN_ROUTER}:5060", "-key", "target", target, "-key", "via", via]
        return self.run_sipp(CALLEE, "visitor", *words, remote=WAN_ROUTER)

    def register_box(self, address: str, user: str) -> None:
        """
        A FRITZ!Box registers at the provider.
        """
        words = ["-s", user, "-au", user, "-ap", password(user, "example.net")]
        words += ["-key", "domain", "example.net", "-key", "uniq", UNIQ]
        box = self.run_sipp(address, "box-register", *words, remote="example.net")
        self.assertEqual(box.wait(10), 0, box.log())
