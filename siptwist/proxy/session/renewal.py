"""
Calls that run while our address changes: a re-INVITE in the place of one end tells
the other where we are now (RFC 3261 section 14, RFC 3264 section 8).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from siptwist.errors import MalformedSDP
from siptwist.media.stream import CallKey, Party
from siptwist.proxy.identity import NOWHERE, Identity
from siptwist.proxy.session.anchoring import Description, find_session
from siptwist.proxy.session.dialogs import Dialog
from siptwist.proxy.session.ends import End
from siptwist.sip.headers import Header, make_header
from siptwist.sip.hop import Side
from siptwist.sip.message import Response, to_of
from siptwist.sip.sdp import SessionDescription

_REFRESHER = re.compile(r"(;[ \t]*refresher[ \t]*=[ \t]*)(uac|uas)", re.IGNORECASE)
_SWAPPED = {"uac": "uas", "uas": "uac"}


def changed_hosts(old: Identity, new: Identity, side: Side) -> dict[str, str]:
    """
    Our addresses that ``side`` knew us by, and what they are now.
    """
    if side is Side.INSIDE and (old.insides or new.insides):
        gone = old.inside_hosts - new.inside_hosts - {NOWHERE}
        return {host: new.toward(side, host).inside.host for host in gone}
    pairs = [(old.facing(side).host, new.facing(side).host)]
    if side in old.wide and side in new.wide:
        pairs.append((old.wide[side], new.wide[side]))
    return {before: after for before, after in pairs if before not in (after, NOWHERE)}


def has_moved(old: Identity, new: Identity, side: Side) -> bool:
    """
    Whether sockets on ``side``, or what it is told of them, are others now.
    """
    bound = old.bound[side] != new.bound[side]
    if side is Side.INSIDE and old.insides != new.insides:
        return True
    return bound or old.wide.get(side) != new.wide.get(side) or bool(changed_hosts(old, new, side))


def readdressed(description: bytes, hosts: Mapping[str, str]) -> bytes:
    """
    A session description of ours with our new addresses; what it was when it sends
    no media to an old one.
    """
    session = SessionDescription.parse(description)
    if not any(medium.port and medium.connection in hosts for medium in session.media):
        return description
    names = "|".join(map(re.escape, hosts))
    ours = re.compile(rf"(?<![0-9A-Za-z.:])(?:{names})(?![0-9A-Za-z.:])".encode())
    return ours.sub(lambda found: hosts[found[0].decode()].encode(), description)


def ends_of(dialog: Dialog, party: Party) -> tuple[End, End] | None:
    """
    ``party`` and the other end of a call that has exactly two.
    """
    if dialog.caller is None or len(dialog.callees) != 1 or not dialog.is_established:
        return None
    (callee,) = dialog.callees.values()
    caller = dialog.caller
    return (caller, callee) if party is Party.CALLER else (callee, caller)


def is_busy(dialog: Dialog) -> bool:
    """
    Whether another offer, or INVITE or UPDATE, is on its way.
    """
    return dialog.offered_by is not None or dialog.asking is not None


def timer_fields(dialog: Dialog, sender: Party) -> tuple[Header, ...]:
    """
    The session timer as ``sender`` must repeat it, lest the other end think that
    there is none any more (RFC 4028 section 7.4).
    """
    if dialog.timer is None or dialog.expires_at is None:
        return ()
    text, requester = dialog.timer
    if requester is not sender:
        text = _REFRESHER.sub(lambda found: found[1] + _SWAPPED[found[2].lower()], text)
    return make_header("Supported", "timer"), make_header("Session-Expires", text)


def answer_of(
    key: CallKey, party: Party, response: Response, host: str, ours: str
) -> Description | None:
    """
    What ``party`` described in its 2xx to a re-INVITE of ours.

    :param host: where its signaling comes from.
    :param ours: our address as the other end knows it.
    """
    try:
        found = find_session(response)
    except MalformedSDP:
        return None
    if found is None:
        return None
    branch = (to_of(response).tag or "") if party is Party.CALLEE else ""
    return Description(key, party, False, host, branch, ours, *found)
