"""
A phone that dials, with plugins between it and its provider.
"""

from __future__ import annotations

from typing import Any

from siptwist import config
from siptwist.errors import ConfigError
from siptwist.plugins.loading import configure
from siptwist.sip.hop import Hop
from siptwist.sip.message import Request
from tests.plugins.loaded import PluginCase
from tests.services.walking import Leg, sdp

# In the manner of a snom 870 behind an outbound proxy.
_SNOM = """\
INVITE {uri} SIP/2.0
Via: SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bK-kq1v7xz6cd2n;rport
Route: <sip:10.0.0.1:5060;lr>
From: "Alice" <sip:alice@provider.example>;tag=ezqcv1xmrs
To: <{to}>
Call-ID: 3c26700c1bd3-4ksy9wlbjw2m
CSeq: {cseq} INVITE
Max-Forwards: 70
Contact: <sip:alice@10.0.0.10:5060;line=8q9nmz4h>;reg-id=1
X-Serialnumber: 000413451AB2
P-Key-Flags: keys="3"
User-Agent: snom870/8.7.5.35
Accept: application/sdp
Allow: INVITE, ACK, CANCEL, BYE, REFER, OPTIONS, NOTIFY, SUBSCRIBE, PRACK, MESSAGE, INFO, UPDATE
Allow-Events: talk, hold, refer, call-info
Supported: timer, 100rel, replaces, from-change
Session-Expires: 3600;refresher=uas
Min-SE: 90
Content-Type: application/sdp
Content-Length: {length}

{body}"""


def snom(uri: str, to: str = "", cseq: int = 1) -> bytes:
    """
    An INVITE as this phone sends it; ``to`` is ``uri`` if it is not given.
    """
    body = sdp("10.0.0.10", 56394)
    head = _SNOM.format(uri=uri, to=to or uri, cseq=cseq, length=len(body), body="")
    return head.replace("\n", "\r\n").encode() + body.encode()


class DialingCase(PluginCase):
    """
    ``text`` loads the plugin.
    """

    provider_hop = Hop("203.0.113.20", 5060)

    def called(self, uri: str, **more: Any) -> Request:
        """
        What the provider hears when the phone dials ``uri``.
        """
        self.phone.invite(uri, **more)
        return self.provider.last("INVITE")

    def redirected(self, uri: str, **more: Any) -> str:
        """
        Where the phone is told to call when it dials ``uri``.
        """
        before = len(self.phone.responses("INVITE"))
        sent = self.phone.invite(uri, **more)
        response = self.phone.responses("INVITE")[before]
        self.assertEqual(response.status, 302)
        self.phone.acknowledge(sent, response)
        return (response.headers.get("contact") or "").strip("<>")

    def end(self, caller: Leg, *call_ids: str) -> None:
        """
        The caller hangs up, and nothing is left.
        """
        caller.send("BYE")
        self.provider.reply(self.provider.last("BYE"), 200)
        self.assert_clean(caller.call_id, *call_ids)


def refused(text: str) -> list[str]:
    """
    What is wrong with a configuration.
    """
    try:
        config.parse(text, configure=configure)
    except ConfigError as error:
        return [str(problem) for problem in error.problems]
    return []


def notes(text: str) -> list[str]:
    return [str(note) for note in config.parse(text, configure=configure).notes]
