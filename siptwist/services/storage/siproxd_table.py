"""
The registration table of siproxd, read once when a house moves to siptwist.

A slot is a line ``****:active:expires``; after an active one come three lines:
the phone's Contact, the Contact that the outside saw, the address-of-record.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from siptwist.errors import MalformedURI
from siptwist.proxy.registration.location import Binding
from siptwist.sip.hop import Hop, Side
from siptwist.sip.uri import SIPURI

_SLOT = re.compile(r"\*\*\*\*:\s*(-?[0-9]{1,4}):\s*(-?[0-9]{1,12})\s*")


def is_table(data: bytes) -> bool:
    """
    Whether a file's beginning is one of siproxd's tables.
    """
    return data.startswith(b"****:")


def read_table(
    text: str,
    new_mask: Callable[[str, str], str],
    is_own: Callable[[SIPURI], bool],
    now: float,
) -> tuple[list[Binding], int]:
    """
    The bindings that have not lapsed, and the count of slots that made no sense.

    :param new_mask: makes a mask of address-of-record and Contact.
    :param is_own: whether a URI's host is us; then we were its registrar.
    :param now: seconds since the epoch.
    """
    bindings, skipped = [], 0
    for active, expires, lines in _slots(text):
        if not active or expires <= now:
            continue
        try:
            bindings.append(_read_slot(lines, expires, new_mask, is_own, now))
        except ValueError:
            skipped += 1
    return bindings, skipped


def _slots(text: str) -> list[tuple[bool, int, list[str]]]:
    slots: list[tuple[bool, int, list[str]]] = []
    for line in text.splitlines():
        match = _SLOT.fullmatch(line)
        if match is not None:
            slots.append((int(match[1]) != 0, int(match[2]), []))
        elif slots:
            slots[-1][2].append(line.strip())
    return slots


def _read_slot(
    lines: list[str],
    expires: int,
    new_mask: Callable[[str, str], str],
    is_own: Callable[[SIPURI], bool],
    now: float,
) -> Binding:
    if len(lines) != 3:
        raise ValueError("not three lines")
    contact, _, account = map(_parse, lines)
    ipaddress.ip_address(contact.address)
    return Binding(
        aor=account.aor,
        contact=str(contact),
        source=Hop(contact.address, contact.effective_port),
        side=Side.INSIDE,
        mask=new_mask(account.aor, str(contact)),
        call_id="",
        cseq=0,
        created_at=now,
        updated_at=now,
        expires_at=float(expires),
        registrar="" if is_own(account) else account.address,
    )


def _parse(text: str) -> SIPURI:
    try:
        return SIPURI.parse(text)
    except MalformedURI:
        raise ValueError(text) from None
