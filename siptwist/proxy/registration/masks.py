"""
Masks: what stands for a phone's contact where the outside can see it.

The outside knows a phone as ``sip:user@us;line=mask``.  A phone keeps its mask
over its refreshes, so that a registrar sees one Contact and not many.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal

from siptwist.errors import MalformedURI, SIPError
from siptwist.proxy.identity import Identity
from siptwist.proxy.registration.location import Binding
from siptwist.sip.fields import NameAddr, parse_contacts
from siptwist.sip.grammar import parse_parameters
from siptwist.sip.headers import Headers
from siptwist.sip.hop import Side
from siptwist.sip.uri import SIPURI, canonical_user

MASK_PARAMETER = "line"

# Bounds of what one REGISTER may ask us to compare and to remember.
CONTACT_LIMIT = 32
CONTACT_LENGTH = 2048


@lru_cache(maxsize=4096)
def new_mask(key: bytes, *names: str) -> str:
    """
    12 hexadecimal digits that only the holder of ``key`` can predict.
    """
    text = "\0".join(names).encode("utf-8", "surrogateescape")
    return hashlib.blake2b(text, key=key, digest_size=6).hexdigest()


def free_mask(key: bytes, is_taken: Callable[[str], bool], *names: str) -> str:
    """
    The first mask of these names that does not stand for something else.
    """
    mask, count = new_mask(key, *names), 0
    while is_taken(mask):
        count += 1
        mask = new_mask(key, *names, str(count))
    return mask


@lru_cache(maxsize=4096)
def masked_contact(mask: str, user: str, identity: Identity) -> str:
    """
    The URI by which the outside knows a phone.
    """
    return identity.uri(Side.OUTSIDE, user or None, f";{MASK_PARAMETER}={mask}")


def mask_in(uri: SIPURI) -> str | None:
    """
    The mask that a URI carries: the inverse of :func:`masked_contact`.
    """
    value = uri.parameter(MASK_PARAMETER)
    return value.lower() if value else None


def read_contacts(headers: Headers) -> list[NameAddr] | Literal["*"]:
    """
    The Contacts of a REGISTER.

    :raises SIPError: when they are malformed (400) or too many (403).
    """
    values = headers.values("contact")
    if len(values) > CONTACT_LIMIT:
        raise SIPError("Too many contacts", 403)
    if any(len(value) > CONTACT_LENGTH or "\0" in value for value in values):
        raise SIPError("Malformed Contact", 400)
    return parse_contacts(values)


def other_parameters(contact: NameAddr) -> str:
    """
    A Contact's parameters without its lifetime.
    """
    found = parse_parameters(contact.parameters) or {}
    return "".join(
        f";{name}={value}" if value else f";{name}"
        for name, value in found.items()
        if name != "expires"
    )


def same_phones(
    contacts: Sequence[NameAddr], bound: Sequence[Binding], call_id: str
) -> list[Binding | None]:
    """
    For each Contact the binding that it refreshes, if one does.

    The binding's URI is equal; or both are of one instance (RFC 5626 section
    4.1); or a lone Contact differs in nothing but its port and comes with the
    binding's Call-ID: NAT or a restart gave the phone another port.
    """
    free = list(bound)
    found: list[Binding | None] = [None] * len(contacts)
    tests = [_is_equal, _is_same_instance]
    if len(contacts) == 1:
        tests.append(lambda contact, binding: _has_moved(contact, binding, call_id))
    for test in tests:
        for index, contact in enumerate(contacts):
            if found[index] is None:
                found[index] = next((b for b in free if test(contact, b)), None)
                free = [binding for binding in free if binding is not found[index]]
    return found


def _is_equal(contact: NameAddr, binding: Binding) -> bool:
    return contact.is_sip and binding.has_contact(contact.uri)


def instance_of(parameters: str) -> tuple[str, str] | None:
    """
    Which device, and which of its flows, a Contact's parameters name.
    """
    found = parse_parameters(parameters) or {}
    instance = found.get("+sip.instance")
    return (instance, found.get("reg-id", "")) if instance else None


def _is_same_instance(contact: NameAddr, binding: Binding) -> bool:
    instance = instance_of(contact.parameters)
    return instance is not None and instance == instance_of(binding.parameters)


def _has_moved(contact: NameAddr, binding: Binding, call_id: str) -> bool:
    if binding.call_id != call_id or not contact.is_sip:
        return False
    try:
        old = SIPURI.parse(binding.contact)
    except MalformedURI:
        return False
    return _but_port(old) == _but_port(contact.uri)


def _but_port(uri: SIPURI) -> tuple[str, str, str, str | None]:
    return uri.scheme, canonical_user(uri.user or ""), uri.address, uri.transport


__all__ = [
    "CONTACT_LIMIT",
    "free_mask",
    "instance_of",
    "mask_in",
    "masked_contact",
    "new_mask",
    "other_parameters",
    "read_contacts",
    "same_phones",
]
