"""
Call transfer across the proxy (RFC 3515, RFC 3892, RFC 5589).

A phone names the one to call in Refer-To, and itself in Referred-By, as it knows
them: by addresses of the inside.  The outside needs what it can reach.

Replaces, in a Refer-To or as a header (RFC 3891), names a dialog by its Call-ID
and tags.  We change none of the three, so it holds on either side as it is.
"""

from __future__ import annotations

from collections.abc import Iterable

from siptwist.errors import MalformedHeader
from siptwist.proxy.identity import Identity
from siptwist.proxy.registration.location import Binding, Locations, user_of
from siptwist.proxy.registration.masks import CONTACT_LENGTH, mask_in, masked_contact, new_mask
from siptwist.proxy.registration.visitors import Visitor, Visitors
from siptwist.sip.fields import NameAddr
from siptwist.sip.headers import Header, Headers, make_header
from siptwist.sip.hop import Hop, Side
from siptwist.sip.uri import SIPURI, canonical_user

_NAMES = (("refer-to", "Refer-To"), ("referred-by", "Referred-By"))


class Transfers:
    """
    Translates whom a phone refers to.  ``key`` makes masks unguessable.
    """

    def __init__(self, locations: Locations, visitors: Visitors, key: bytes) -> None:
        self._locations = locations
        self._visitors = visitors
        self._key = key

    def outgoing(
        self,
        changes: dict[str, tuple[Header, ...]],
        headers: Headers,
        aor: str,
        hop: Hop,
        identity: Identity,
        now: float,
    ) -> None:
        """
        What the phone ``aor`` at ``hop`` says becomes what the outside can use,
        in ``changes``.
        """
        for key, name in _NAMES:
            if key not in headers:
                continue
            fields = headers.fields(key)
            found = [self._told(_read(field[1], key), aor, hop, identity, now) for field in fields]
            if any(found):
                changes[key] = tuple(
                    make_header(name, text) if text else field
                    for text, field in zip(found, fields, strict=True)
                )

    def _told(
        self, named: NameAddr | None, aor: str, hop: Hop, identity: Identity, now: float
    ) -> str | None:
        """
        A value as the outside can use it; ``None`` when it can already, and
        when nothing can be made of it.
        """
        if named is None:
            return None
        uri = named.uri
        if identity.is_own(uri):
            inside = (identity.inside_hosts | identity.bound_hosts) - {identity.outside.host}
            return (
                str(named.with_uri(_facing(uri, identity, Side.OUTSIDE)))
                if (uri.address in inside)
                else None
            )
        masked = self._masked(_bare(uri), aor, hop, identity, now)
        if masked is None:
            return None
        method = uri.parameter("method")
        return str(named.with_uri(f"{masked}{f';method={method}' if method else ''}{uri.headers}"))

    def _masked(
        self, uri: SIPURI, aor: str, hop: Hop, identity: Identity, now: float
    ) -> str | None:
        """
        The masked Contact of the phone that a URI names, if it is one of ours.
        """
        is_referrer = uri.address == hop.host and uri.port is None
        place = hop if is_referrer else Hop(uri.address, uri.effective_port)
        binding = self._binding(uri, place, now)
        if binding is not None:
            return masked_contact(binding.mask, binding.user, identity)
        if not self._is_inside(uri, place, identity):
            return None
        owner = aor if uri.address == hop.host else uri.aor
        mask = new_mask(self._key, owner, str(uri), "")
        self._visitors.note(Visitor(mask, str(uri), place, Side.INSIDE, owner, now))
        return masked_contact(mask, uri.user or user_of(owner), identity)

    def _binding(self, uri: SIPURI, place: Hop, now: float) -> Binding | None:
        near = self._locations.by_hop(place)
        for binding in (*near, *self._locations.lookup_user(uri.user or "", now)):
            if binding.has_contact(uri):
                return binding
        return _of_user(near, uri.user or "")

    def _is_inside(self, uri: SIPURI, place: Hop, identity: Identity) -> bool:
        """
        Whether only phones can be there.  With one address for both sides, the
        provider may be next door; a phone then is who has called through us.
        """
        if identity.one_socket:
            return self._visitors.has_hop(place)
        return identity.is_inside_address(uri.address)


def incoming(changes: dict[str, tuple[Header, ...]], headers: Headers, identity: Identity) -> None:
    """
    In a REFER for a phone, a Refer-To that names us by our outside address
    names us by the inside one, which every phone can reach.  A mask stays in it:
    it leads to the phone that is meant, also when that has moved meanwhile.
    """
    fields = headers.fields("refer-to")
    named = _read(fields[0][1], "refer-to") if len(fields) == 1 else None
    if named is None:
        return
    uri = named.uri
    if not identity.is_own(uri) or uri.address == identity.inside.host:
        return
    if mask_in(uri) or uri.address == identity.outside.host:
        text = str(named.with_uri(_facing(uri, identity, Side.INSIDE)))
        changes["refer-to"] = (make_header("Refer-To", text),)


def _read(text: str, key: str) -> NameAddr | None:
    """
    Whom a value names, if by a SIP URI.  One that cannot be read is left for
    the phones to judge.
    """
    if key == "refer-to" and "<" not in text:
        # baresip forgets the brackets that RFC 3261 section 20 asks for; whatever
        # follows belongs to the URI, for Refer-To has no parameters of its own.
        text = f"<{text}>"
    try:
        named = NameAddr.parse(text, key)
    except MalformedHeader:
        return None
    return named if named.is_sip and len(named.uri_text) <= CONTACT_LENGTH else None


def _facing(uri: SIPURI, identity: Identity, side: Side) -> str:
    """
    A URI of ours as ``side`` knows us, with all that it carries.
    """
    us = SIPURI.parse(identity.uri(side))
    return str(uri._replace(host=us.host, port=us.port))


def _bare(uri: SIPURI) -> SIPURI:
    """
    A Refer-To URI without what only tells how to call: a Contact.
    """
    kept = [
        piece for piece in uri.parameters.split(";")[1:] if not piece.lower().startswith("method=")
    ]
    return uri._replace(parameters="".join(f";{piece}" for piece in kept), headers="")


def _of_user(bindings: Iterable[Binding], user: str) -> Binding | None:
    user = canonical_user(user)
    return next((binding for binding in bindings if user and binding.user == user), None)
