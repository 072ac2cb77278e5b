"""
Registrations that pass through us to a registrar outside.

The phone's Contact goes out masked and comes back as the phone wrote it.  A
binding is made, renewed or undone only by what the registrar's 2xx says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from siptwist.errors import MalformedMessage
from siptwist.proxy.identity import Identity
from siptwist.proxy.registration.location import Binding, Locations, user_of
from siptwist.proxy.registration.masks import (
    free_mask,
    instance_of,
    mask_in,
    masked_contact,
    other_parameters,
    read_contacts,
    same_phones,
)
from siptwist.proxy.registration.repeating import Repeat
from siptwist.proxy.ticket import Ticket
from siptwist.sip.fields import NameAddr, parse_expires
from siptwist.sip.headers import Headers
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Request, Response
from siptwist.sip.uri import canonical_user

_USER_AGENT_LENGTH = 128


@dataclass(frozen=True, slots=True)
class Wish:
    """
    What one Contact of a REGISTER asks for.

    ``contact`` is the phone's own, ``expires`` the seconds it asks for, ``told`` the URI
    in the place of its own.
    """

    contact: NameAddr
    mask: str
    expires: int
    told: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """
    What a REGISTER asks of a registrar; nothing of it counts before its 2xx.

    ``unbinds_all`` is ``Contact: *``; ``registrar`` the Request-URI's host.  ``request``
    is as the phone sent it, or ``repeat`` as it sent it before.
    """

    aor: str
    registrar: str
    source: Hop
    side: Side
    call_id: str
    cseq: int
    wishes: tuple[Wish, ...] = ()
    unbinds_all: bool = False
    user_agent: str = ""
    request: Request | None = field(default=None, compare=False, repr=False)
    repeat: Repeat | None = None


@dataclass(frozen=True, slots=True)
class Completion:
    """
    What a final response did.

    ``changed`` and ``removed`` (masks) must be on disk before the response,
    with ``headers`` in place of its own, goes to the phone.
    """

    changed: tuple[Binding, ...]
    removed: tuple[str, ...]
    headers: Headers


def mask_request(
    ticket: Ticket, identity: Identity, locations: Locations, key: bytes, default_expires: int
) -> tuple[Headers, Attempt]:
    """
    The headers of a REGISTER on its way out, and what it attempts.

    :param default_expires: seconds, asked for when the phone asks for none.
    :raises SIPError: when its Contacts cannot be read or are too many.
    """
    headers = ticket.request.headers
    contacts = read_contacts(headers)
    attempt = _attempt_of(ticket)
    if contacts == "*":
        everything = parse_expires(headers.get("expires") or "") == 0
        return headers, replace(attempt, unbinds_all=everything)
    if not contacts:
        return headers, attempt
    expires = parse_expires(headers.get("expires") or "")
    default = default_expires if expires is None else expires
    masks = _choose_masks(contacts, attempt, identity, locations, key)
    masked = [
        _mask(contact, mask, attempt.aor, identity)
        for contact, mask in zip(contacts, masks, strict=True)
    ]
    wishes = tuple(
        Wish(contact, mask, _asked(contact, default), told.uri_text)
        for contact, mask, told in zip(contacts, masks, masked, strict=True)
        if mask is not None and not _renews_other(contact, identity, _asked(contact, default))
    )
    editor = headers.edit()
    editor.set("Contact", *map(str, masked))
    if "expires" not in headers and any(c.parameter("expires") is None for c in contacts):
        editor.append("Expires", str(default_expires))
    return editor.finish(), replace(attempt, wishes=wishes)


def _attempt_of(ticket: Ticket) -> Attempt:
    return Attempt(
        ticket.to.aor,
        ticket.uri.address if ticket.uri else ticket.request.uri,
        ticket.source,
        ticket.side,
        ticket.call_id,
        ticket.cseq.number,
        user_agent=(ticket.request.headers.get("user-agent") or "")[:_USER_AGENT_LENGTH],
        request=ticket.request,
    )


def _asked(contact: NameAddr, default: int) -> int:
    expires = parse_expires(contact.parameter("expires") or "")
    return default if expires is None else expires


def _is_masked(contact: NameAddr, identity: Identity) -> bool:
    return identity.is_own(contact.uri) and mask_in(contact.uri) is not None


def _renews_other(contact: NameAddr, identity: Identity, expires: int) -> bool:
    """
    Whether a phone asks for longer life of a masked Contact that it read in a
    registrar's answer.  That phone may be another one: only the registrar
    hears of it.  To unbind one's lost predecessor so is a good thing.
    """
    return expires > 0 and _is_masked(contact, identity)


def _choose_masks(
    contacts: Sequence[NameAddr],
    attempt: Attempt,
    identity: Identity,
    locations: Locations,
    key: bytes,
) -> list[str | None]:
    """
    The mask of each Contact; ``None`` for one that is not a SIP URI.
    """
    bound = _bindings(locations, attempt)
    olds = same_phones(contacts, bound, attempt.call_id)
    own = {binding.mask for binding in bound}
    masks: list[str | None] = []

    def is_taken(mask: str) -> bool:
        return mask in masks or locations.by_mask(mask) is not None

    for contact, old in zip(contacts, olds, strict=True):
        if not contact.is_sip:
            masks.append(None)
        elif old is not None:
            masks.append(old.mask)
        elif _is_masked(contact, identity):
            mask = mask_in(contact.uri)
            masks.append(mask if mask in own else None)
        else:
            names = (attempt.registrar, attempt.aor, contact.uri_text, attempt.call_id)
            masks.append(free_mask(key, is_taken, *names))
    return masks


def _bindings(locations: Locations, attempt: Attempt) -> list[Binding]:
    """
    What is bound at this registrar; the lapsed too, until they are forgotten.
    """
    found = locations.lookup(attempt.aor, float("-inf"))
    return [binding for binding in found if binding.registrar == attempt.registrar]


def _mask(contact: NameAddr, mask: str | None, aor: str, identity: Identity) -> NameAddr:
    if mask is None:
        return contact
    return contact.with_uri(masked_contact(mask, _user(contact, aor), identity))


def _user(contact: NameAddr, aor: str) -> str:
    return user_of(aor) or contact.uri.user or ""


def would_overflow(attempt: Attempt, locations: Locations) -> bool:
    """
    Whether success of this attempt would make the table too full.
    """
    new = sum(1 for w in attempt.wishes if w.expires and locations.by_mask(w.mask) is None)
    return not locations.has_room(new, attempt.source.host)


def complete(
    attempt: Attempt, response: Response, locations: Locations, identity: Identity, now: float
) -> Completion:
    """
    What the registrar's final response did to the bindings, and its headers
    for the phone.  Any but a 2xx leaves all as it was.
    """
    if not 200 <= response.status < 300:
        return Completion((), (), response.headers)
    listed = _read_listed(response.headers)
    found = _find_granted(attempt, listed, identity)
    default = parse_expires(response.headers.get("expires") or "")
    changed, removed = [], []
    if attempt.unbinds_all:
        removed += [binding.mask for binding in _bindings(locations, attempt)]
    for wish in attempt.wishes:
        expires = _granted(wish, listed.get(found.get(wish.mask, -1)), default)
        old = locations.by_mask(wish.mask)
        if expires:
            changed.append(_bind(attempt, wish, expires, old, now))
        elif old is not None:
            removed.append(wish.mask)
    return Completion(
        tuple(binding for binding in changed if _is_in_order(binding.mask, attempt, locations)),
        tuple(mask for mask in removed if _is_in_order(mask, attempt, locations)),
        _unmask(attempt, response.headers, listed, found, locations),
    )


def _is_in_order(mask: str, attempt: Attempt, locations: Locations) -> bool:
    """
    Whether no newer request of the same phone was answered before this one.
    """
    old = locations.by_mask(mask)
    return old is None or old.call_id != attempt.call_id or old.cseq <= attempt.cseq


def _granted(wish: Wish, contact: NameAddr | None, default: int | None) -> int:
    """
    Seconds until the binding lapses: what the registrar says of this Contact,
    of all Contacts, or, when it says nothing, what was asked.
    """
    if not wish.expires:
        return 0
    text = contact.parameter("expires") if contact else None
    expires = parse_expires(text or "")
    if expires is None:
        expires = default
    return wish.expires if expires is None else expires


def _bind(attempt: Attempt, wish: Wish, expires: int, old: Binding | None, now: float) -> Binding:
    return Binding(
        aor=attempt.aor,
        contact=wish.contact.uri_text,
        source=attempt.source,
        side=attempt.side,
        mask=wish.mask,
        call_id=attempt.call_id,
        cseq=attempt.cseq,
        created_at=old.created_at if old else now,
        updated_at=now,
        expires_at=now + expires,
        registrar=attempt.registrar,
        parameters=other_parameters(wish.contact),
        user_agent=attempt.user_agent,
        repeat=_repeat_of(attempt, wish, now + expires),
    )


def _repeat_of(attempt: Attempt, wish: Wish, until: float) -> Repeat | None:
    if attempt.repeat is not None:
        return replace(attempt.repeat, told=wish.told)
    if attempt.request is None:
        return None
    return Repeat.of(attempt.request, wish.contact, wish.told, until)


def _read_listed(headers: Headers) -> dict[int, NameAddr]:
    """
    The SIP Contacts of a response by their position; others do not matter.
    """
    listed = {}
    for index, value in enumerate(headers.values("contact")):
        try:
            contact = NameAddr.parse(value, "Contact")
        except MalformedMessage:
            continue
        if contact.is_sip:
            listed[index] = contact
    return listed


def _find_granted(
    attempt: Attempt, listed: Mapping[int, NameAddr], identity: Identity
) -> dict[str, int]:
    """
    Where the response lists the Contact of each mask.

    A registrar may lose our parameter, or put another host in; then the user
    part tells, if only one Contact can be meant.
    """
    masks: dict[str | None, int] = {}
    for place, contact in listed.items():
        mask = mask_in(contact.uri)
        # One that leads to an address that was ours lives on beside it for a while.
        if mask not in masks or identity.is_own(contact.uri):
            masks[mask] = place
    found = {w.mask: masks[w.mask] for w in attempt.wishes if w.mask in masks}
    lost = [wish for wish in attempt.wishes if wish.mask not in found]
    bare = {i: contact for i, contact in listed.items() if mask_in(contact.uri) is None}
    ours = {i: contact for i, contact in bare.items() if identity.is_own(contact.uri)}
    for candidates in (ours, bare):
        for wish in lost:
            index = _find_bare(attempt, wish, candidates, len(lost) == 1)
            if index is not None and wish.mask not in found:
                found[wish.mask] = index
    return found


def _find_bare(
    attempt: Attempt, wish: Wish, candidates: Mapping[int, NameAddr], alone: bool
) -> int | None:
    user = canonical_user(_user(wish.contact, attempt.aor))
    same = [i for i, c in candidates.items() if canonical_user(c.uri.user or "") == user]
    instance = instance_of(wish.contact.parameters)
    if instance:
        exact = [i for i in same if instance_of(candidates[i].parameters) == instance]
        same = exact or same
    elif not alone:
        return None
    return same[0] if len(same) == 1 else None


def _unmask(
    attempt: Attempt,
    headers: Headers,
    listed: Mapping[int, NameAddr],
    found: Mapping[str, int],
    locations: Locations,
) -> Headers:
    """
    Put the phone's own URIs back; Contacts of other phones stay masked.
    """
    values = headers.values("contact")
    own = {
        binding.mask: binding.contact
        for binding in _bindings(locations, attempt)
        if binding.source == attempt.source or binding.call_id == attempt.call_id
    }
    own.update({wish.mask: wish.contact.uri_text for wish in attempt.wishes})
    restored = {found[mask]: uri for mask, uri in own.items() if mask in found}
    for index, contact in listed.items():
        uri = own.get(mask_in(contact.uri) or "")
        if uri is not None:
            restored[index] = uri
    if not restored or any("\0" in value for value in values):
        return headers
    for index, uri in restored.items():
        values[index] = str(listed[index].with_uri(uri))
    editor = headers.edit()
    editor.set("Contact", *values)
    return editor.finish()


__all__ = ["Attempt", "Completion", "Wish", "complete", "mask_request", "would_overflow"]
