"""
Being the registrar of our own phones (RFC 3261 section 10.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import formatdate
from typing import Literal

from siptwist.errors import SIPError
from siptwist.proxy.decision import Reply
from siptwist.proxy.identity import Identity
from siptwist.proxy.registration.location import Binding, Locations
from siptwist.proxy.registration.masks import (
    CONTACT_LIMIT,
    free_mask,
    other_parameters,
    read_contacts,
    same_phones,
)
from siptwist.proxy.ticket import Ticket
from siptwist.sip.fields import NameAddr, option_tags, parse_expires
from siptwist.sip.headers import Headers
from siptwist.sip.uri import equal

# Seconds until a phone that found the table full shall try again.
RETRY_AFTER = 60

_EXTENSIONS = ("path",)
_PATH_LENGTH = 4096
_USER_AGENT_LENGTH = 128


@dataclass(frozen=True, slots=True)
class _Step:
    """
    What one Contact asks: ``expires`` in seconds, 0 to unbind; ``old`` is the
    binding that it is about.
    """

    contact: NameAddr
    expires: int
    old: Binding | None


class _Refused(SIPError):
    def __init__(self, status: int, reason: str, *headers: tuple[str, str]) -> None:
        super().__init__(reason, status)
        self.headers = headers


class Registrar:
    """
    Answers REGISTER requests that are for us.

    The sender is already authenticated.  What a reply of ours has in
    ``changed`` and ``removed`` is for the caller to put into ``locations``, to
    save, and only then to send the reply (RFC 3261 section 10.3 step 7: all
    or nothing).  Lifetimes are in seconds.
    """

    def __init__(
        self,
        locations: Locations,
        identity: Identity,
        key: bytes,
        *,
        min_expires: int = 60,
        default_expires: int = 3600,
        max_expires: int = 86_400,
    ) -> None:
        self.identity = identity
        self._locations = locations
        self._key = key
        self.min_expires = min_expires
        self.default_expires = default_expires
        self._max_expires = max_expires

    def answer(self, ticket: Ticket) -> Reply:
        """
        The answer to a REGISTER, without To tag.  Never raises.
        """
        try:
            return self._answer(ticket)
        except _Refused as refusal:
            reason = refusal.reason
            return Reply(refusal.status, reason, refusal.headers, why=f"REGISTER: {reason}")
        except SIPError as error:
            return Reply(error.status, error.reason, why=f"REGISTER: {error.reason}")

    def _answer(self, ticket: Ticket) -> Reply:
        _check_required(ticket.request.headers)
        aor = self._read_aor(ticket)
        path = _read_path(ticket.request.headers)
        contacts = read_contacts(ticket.request.headers)
        # The lapsed too, until they are forgotten: a late refresh keeps its mask.
        found = self._locations.lookup(aor, float("-inf"))
        bound = [binding for binding in found if not binding.registrar]
        active = [binding for binding in bound if binding.is_active(ticket.now)]
        steps = self._plan(ticket, contacts, bound)
        if _is_repeated(ticket, steps):
            return _accept(ticket, active, path, (), ())
        _check_order(ticket, steps)
        self._check_room(ticket, steps, len(bound))
        changed = self._bind(ticket, aor, path, steps)
        removed = tuple(step.old.mask for step in steps if step.old and not step.expires)
        gone = {*removed, *(binding.mask for binding in changed)}
        kept = [binding for binding in active if binding.mask not in gone]
        return _accept(ticket, [*changed, *kept], path, changed, removed)

    def _read_aor(self, ticket: Ticket) -> str:
        if not ticket.to.is_sip:
            raise _Refused(400, "Address-of-record is not a SIP URI")
        uri = ticket.to.uri
        at_request_uri = ticket.uri is not None and uri.address == ticket.uri.address
        if not (at_request_uri or self.identity.is_own(uri)):
            # Step 5: whoever calls another domain must not reach a phone here.
            raise _Refused(404, "Not a domain of this registrar")
        return ticket.to.aor

    def _plan(
        self, ticket: Ticket, contacts: list[NameAddr] | Literal["*"], bound: list[Binding]
    ) -> list[_Step]:
        headers = ticket.request.headers
        if contacts == "*":
            if parse_expires(headers.get("expires") or "") != 0:
                raise _Refused(400, "Contact * needs Expires: 0")
            return [_Step(NameAddr("", b.contact, b.parameters), 0, b) for b in bound]
        for contact in contacts:
            if not contact.is_sip or self.identity.is_own_address(contact.uri):
                raise _Refused(400, "Contact is not the SIP URI of a phone")
        contacts = _without_duplicates(contacts)
        olds = same_phones(contacts, bound, ticket.call_id)
        return [
            _Step(contact, self._grant(contact, headers), old)
            for contact, old in zip(contacts, olds, strict=True)
        ]

    def _grant(self, contact: NameAddr, headers: Headers) -> int:
        text = contact.parameter("expires") or headers.get("expires") or ""
        asked = parse_expires(text)
        if asked is None:
            asked = self.default_expires
        elif 0 < asked < self.min_expires:
            minimum = ("Min-Expires", str(self.min_expires))
            raise _Refused(423, "Interval Too Brief", minimum)
        return min(asked, self._max_expires)

    def _check_room(self, ticket: Ticket, steps: list[_Step], bound: int) -> None:
        added = sum(1 for step in steps if step.expires and not step.old)
        removed = sum(1 for step in steps if step.old and not step.expires)
        if added and bound + added - removed > CONTACT_LIMIT:
            raise _Refused(403, "Too many contacts")
        if not self._locations.has_room(added - removed, ticket.source.host):
            raise _Refused(503, "Too many registrations", ("Retry-After", str(RETRY_AFTER)))

    def _bind(
        self, ticket: Ticket, aor: str, path: tuple[str, ...], steps: list[_Step]
    ) -> tuple[Binding, ...]:
        bindings: dict[str, Binding] = {}
        for step in steps:
            if not step.expires:
                continue
            mask = step.old.mask if step.old else self._new_mask(ticket, aor, step, bindings)
            bindings[mask] = Binding(
                aor=aor,
                contact=step.contact.uri_text,
                source=ticket.source,
                side=ticket.side,
                mask=mask,
                call_id=ticket.call_id,
                cseq=ticket.cseq.number,
                created_at=step.old.created_at if step.old else ticket.now,
                updated_at=ticket.now,
                expires_at=ticket.now + step.expires,
                parameters=other_parameters(step.contact),
                path=path,
                user_agent=(ticket.request.headers.get("user-agent") or "")[:_USER_AGENT_LENGTH],
            )
        return tuple(bindings.values())

    def _new_mask(self, ticket: Ticket, aor: str, step: _Step, others: dict[str, Binding]) -> str:
        def is_taken(mask: str) -> bool:
            return mask in others or self._locations.by_mask(mask) is not None

        return free_mask(self._key, is_taken, "", aor, step.contact.uri_text, ticket.call_id)


def _check_required(headers: Headers) -> None:
    unknown = [tag for tag in option_tags(headers.values("require")) if tag not in _EXTENSIONS]
    if unknown:
        raise _Refused(420, "Bad Extension", ("Unsupported", ", ".join(unknown)))


def _read_path(headers: Headers) -> tuple[str, ...]:
    path = tuple(headers.values("path"))
    if not path:
        return ()
    if sum(map(len, path)) > _PATH_LENGTH or any("\0" in value for value in path):
        raise _Refused(400, "Malformed Path")
    for value in path:
        NameAddr.parse(value, "Path")
    if "path" not in option_tags([*headers.values("supported"), *headers.values("require")]):
        # RFC 3327 section 5.3: so that the phone learns who puts a Path in.
        raise _Refused(420, "Bad Extension", ("Unsupported", "path"))
    return path


def _without_duplicates(contacts: list[NameAddr]) -> list[NameAddr]:
    """
    The last of each Contact that is there more than once.
    """
    kept: list[NameAddr] = []
    for contact in contacts:
        kept = [other for other in kept if not equal(other.uri, contact.uri)]
        kept.append(contact)
    return kept


def _is_repeated(ticket: Ticket, steps: list[_Step]) -> bool:
    """
    Whether this request was already carried out, and its answer got lost.
    """
    renewed = [step for step in steps if step.expires]
    return (
        bool(renewed)
        and all(_is_done(ticket, step) for step in renewed)
        and not any(step.old for step in steps if not step.expires)
    )


def _is_done(ticket: Ticket, step: _Step) -> bool:
    old = step.old
    return (
        old is not None
        and old.is_active(ticket.now)
        and (old.call_id, old.cseq) == (ticket.call_id, ticket.cseq.number)
        and (old.contact, old.parameters) == (step.contact.uri_text, other_parameters(step.contact))
        and round(old.expires_at - old.updated_at) == step.expires
    )


def _check_order(ticket: Ticket, steps: list[_Step]) -> None:
    for step in steps:
        old = step.old
        if old is None or not old.is_active(ticket.now):
            continue
        if old.call_id == ticket.call_id and ticket.cseq.number <= old.cseq:
            raise _Refused(500, "Out of order")


def _accept(
    ticket: Ticket,
    bindings: list[Binding],
    path: tuple[str, ...],
    changed: tuple[Binding, ...],
    removed: tuple[str, ...],
) -> Reply:
    headers = [("Contact", _contact_of(binding, ticket.now)) for binding in bindings]
    headers += [("Path", value) for value in path]
    headers.append(("Date", formatdate(ticket.now, usegmt=True)))
    why = f"REGISTER: {len(changed)} bound, {len(removed)} unbound"
    return Reply(200, "OK", tuple(headers), why, changed, removed)


def _contact_of(binding: Binding, now: float) -> str:
    remaining = max(1, round(binding.expires_at - now))
    return f"<{binding.contact}>{binding.parameters};expires={remaining}"


__all__ = ["RETRY_AFTER", "Registrar"]
