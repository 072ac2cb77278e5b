"""
How long a phone may rest: less than its registrar says, when our address may change.
"""

from __future__ import annotations

import re

from siptwist.sip.headers import Headers

_EXPIRES = re.compile(r"(;[ \t]*expires[ \t]*=[ \t]*)\"?(\d+)\"?", re.IGNORECASE)


def shortened(headers: Headers, seconds: int) -> Headers:
    """
    The headers of a 2xx to REGISTER as the phone is told them: no lifetime is above
    ``seconds``.  The phone comes back sooner; what the registrar keeps is unchanged
    (RFC 3261 section 10.2.4: a phone refreshes before what it was told is over).
    """
    contacts = headers.values("contact")
    if not contacts:
        return headers
    editor = headers.edit()
    editor.set("Contact", *[_limited(contact, seconds) for contact in contacts])
    told = headers.get("expires")
    # What has no lifetime of its own has that of all, and that may be what was asked for.
    if told is None or (told.strip().isdecimal() and int(told) > seconds):
        editor.set("Expires", str(seconds))
    return editor.finish()


def _limited(contact: str, seconds: int) -> str:
    # What is in the brackets belongs to the URI.
    start = contact.rfind(">") + 1

    def limit(found: re.Match[str]) -> str:
        return f"{found[1]}{min(int(found[2][:10]), seconds)}"

    return contact[:start] + _EXPIRES.sub(limit, contact[start:])


__all__ = ["shortened"]
