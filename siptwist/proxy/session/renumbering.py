"""
The numbers of a party in whose place we have spoken: its CSeqs and the versions
of its session descriptions count on from ours (RFC 3261 section 12.2.1.1, RFC 3264
section 8).
"""

from __future__ import annotations

import re
from bisect import bisect_left

from siptwist.media.stream import CallKey, Party
from siptwist.proxy.passage import Passage
from siptwist.sip.fields import CSeq
from siptwist.sip.headers import Header, make_header
from siptwist.sip.message import AnyMessage, Request, Response, with_body

# o=<username> <sess-id> <sess-version> ...                (RFC 8866 section 5.2)
_VERSION = re.compile(rb"((?:\A|\n)o=[^ \r\n]+ +[0-9]+ +)([0-9]{1,20})(?= )")
# RAck = response-num LWS CSeq-num LWS Method              (RFC 3262 section 7.2)
_RACK = re.compile(r"([0-9]{1,10})[ \t]+([0-9]{1,10})[ \t]+(\S+)")


class Renumbering:
    """
    Requests of ours that had the number which a party's next one has.

    ``used`` is empty as long as there are none: that is asked for each message.
    """

    def __init__(self) -> None:
        # The party's last own number at each request of ours, in order.
        self.used: dict[tuple[CallKey, Party], list[int]] = {}

    def use(self, key: CallKey, party: Party, last: int) -> int:
        """
        The number of a request of ours in the place of ``party``, whose ``last`` own
        one is this.
        """
        used = self.used.setdefault((key, party), [])
        used.append(last)
        return last + len(used)

    def next_number(self, key: CallKey, party: Party, last: int) -> int:
        """
        The number of a request after which nothing follows.
        """
        return last + self.count(key, party) + 1

    def count(self, key: CallKey, party: Party) -> int:
        """
        How many requests of ours there were.
        """
        return len(self.used.get((key, party), ()))

    def raise_version(self, description: bytes, key: CallKey, party: Party) -> bytes:
        """
        A session description of ``party`` with the version that it must have now.
        """
        return raised(description, self.count(key, party))

    def forget(self, key: CallKey) -> None:
        """
        The call is over.
        """
        if self.used:
            for party in Party:
                self.used.pop((key, party), None)

    def _number(self, key: CallKey, party: Party, number: int) -> int:
        """
        What a number of the party's own is on the other side.
        """
        return number + bisect_left(self.used.get((key, party), ()), number)

    def send(self, request: Request, passage: Passage) -> tuple[Request, Passage]:
        """
        A request as the other end must see it.
        """
        key, party = passage.key, passage.party
        if key is None or party is None or (key, party) not in self.used:
            return request, passage
        headers = request.headers
        cseq = headers.cseq
        number = self._number(key, party, cseq.number)
        changes: dict[str, tuple[Header, ...]] = {}
        if number != cseq.number:
            passage = passage._replace(cseq=headers.first["cseq"])
            changes["cseq"] = (make_header("CSeq", str(CSeq(number, cseq.method))),)
        rack = _RACK.fullmatch(headers.get("rack") or "")
        if rack is not None:
            meant = self._number(key, party, int(rack[2]))
            changes["rack"] = (make_header("RAck", f"{rack[1]} {meant} {rack[3]}"),)
        request = request._replace(headers=headers.replaced(changes))
        return with_version(request, self.count(key, party)), passage

    def answer(self, response: Response, passage: Passage) -> Response:
        """
        A response as the other end must see it.
        """
        if passage.key is None or passage.party is None or not response.body:
            return response
        return with_version(response, self.count(passage.key, passage.party.other))


def with_version(message: AnyMessage, by: int) -> AnyMessage:
    """
    The message with the version of its session description raised.
    """
    kind = (message.headers.get("content-type") or "").lower()
    if not by or not message.body or not ("sdp" in kind or "multipart" in kind):
        return message
    return with_body(message, raised(message.body, by))


def raised(body: bytes, by: int) -> bytes:
    """
    A session description with a higher version.
    """
    return _VERSION.sub(lambda found: found[1] + str(int(found[2]) + by).encode(), body, count=1)
