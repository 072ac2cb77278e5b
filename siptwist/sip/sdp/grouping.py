"""
One medium described several times, at several addresses (RFC 4091).
"""

from __future__ import annotations

import re

from siptwist.sip.sdp.description import SessionDescription

# a=group:ANAT *(SP identification-tag)                    (RFC 5888 section 5)
_GROUP = re.compile(r"\na=group:ANAT((?: [!-~]+)*)")
_TAG = re.compile(r"\na=mid:([!-~]+)")


def surplus(session: SessionDescription, near: str) -> frozenset[int]:
    """
    The m= lines that are not needed when all of them lead through us: of each
    medium one is enough.

    :param near: an address of the party: a stream of its family is preferred.
    """
    if "ANAT" not in session.text:
        return frozenset()
    tags: dict[str, int] = {}
    for index, medium in enumerate(session.media):
        found = _TAG.search(medium.text)
        if found is not None and medium.port:
            tags.setdefault(found[1], index)
    spare: set[int] = set()
    for group in _GROUP.finditer(session.text):
        same = [tags[tag] for tag in group[1].split() if tag in tags]
        hosts = {index: session.media[index].connection or "" for index in same}
        fits = [index for index in same if (":" in hosts[index]) == (":" in near)]
        spare.update(index for index in same if index != (fits or same)[0])
    return frozenset(spare)
