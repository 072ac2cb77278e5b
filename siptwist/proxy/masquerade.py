"""
What a phone says about itself becomes what the world can answer to, and back.

Going out, Contact becomes a Contact of ours, and the Vias and Record-Routes of
the inside stay inside, to be put back into the response.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from siptwist.errors import MalformedHeader, MalformedURI
from siptwist.proxy.identity import Identity
from siptwist.proxy.registration.location import Binding, Locations, user_of
from siptwist.proxy.registration.masks import CONTACT_LENGTH, masked_contact, new_mask
from siptwist.proxy.registration.visitors import Visitor, Visitors
from siptwist.proxy.screening.access import is_local
from siptwist.proxy.session.transfer import Transfers
from siptwist.sip.fields import NameAddr
from siptwist.sip.headers import Header, Headers, make_header
from siptwist.sip.hop import Hop, Side

# Requests that make or refresh a dialog (RFC 3261 section 16.6 step 4).
RECORD_ROUTED = frozenset({"INVITE", "SUBSCRIBE", "REFER", "NOTIFY", "UPDATE"})


# More in one message are nobody's phone.
MAX_CONTACTS = 64


class Phone(NamedTuple):
    """
    Who speaks: the phone a message came from, and the binding if one is meant.
    """

    aor: str
    hop: Hop
    side: Side
    mask: str = ""


def own_via(identity: Identity, side: Side, branch: str, transport: str = "UDP") -> Header:
    """
    Our Via toward ``side``; with rport, for we may be behind a router too.
    """
    value = f"SIP/2.0/{transport} {identity.sent_by[side]};branch={branch};rport"
    return ("via", value, f"Via: {value}")


def own_record_route(identity: Identity, side: Side) -> Header:
    """
    Our Record-Route toward ``side``.
    """
    return identity.record_routes[side]


class Masquerade:
    """
    Masks the Contacts of our phones.  ``key`` makes masks unguessable; ``ua_string``
    may change while running.
    """

    def __init__(
        self, locations: Locations, visitors: Visitors, key: bytes, ua_string: str = ""
    ) -> None:
        self._locations = locations
        self._visitors = visitors
        self._key = key
        self.ua_string = ua_string
        self.transfers = Transfers(locations, visitors, key)

    def outgoing(
        self,
        changes: dict[str, tuple[Header, ...]],
        headers: Headers,
        phone: Phone,
        identity: Identity,
        now: float,
        only_local: bool = False,
    ) -> None:
        """
        Mask what a phone's message says about where it is, in ``changes``.

        :param only_local: leave Contacts alone that point elsewhere, as those
            of a redirection do.
        :raises MalformedHeader: for a Contact that cannot be read.
        """
        contacts = headers.values("contact") if "contact" in headers.first else []
        if len(contacts) > MAX_CONTACTS:
            raise MalformedHeader("Contact", "too many")
        if contacts and contacts != ["*"]:
            masked = [self._mask(text, phone, identity, now, only_local) for text in contacts]
            if masked != contacts:
                changes["contact"] = tuple([make_header("Contact", text) for text in masked])
        self.name_agent(changes)

    def name_agent(self, changes: dict[str, tuple[Header, ...]]) -> None:
        """
        Hide which kind of phone it is, when that is wanted.
        """
        if self.ua_string:
            changes["user-agent"] = (make_header("User-Agent", self.ua_string),)

    def _mask(
        self, text: str, phone: Phone, identity: Identity, now: float, only_local: bool
    ) -> str:
        contact = NameAddr.parse(text, "Contact")
        if not contact.is_sip:
            return text
        uri = contact.uri
        if len(contact.uri_text) > CONTACT_LENGTH:
            raise MalformedHeader("Contact", text)
        if only_local and not is_local(uri.address) and uri.address != phone.hop.host:
            return text
        for binding in self._bindings(phone, now):
            if binding.contact == contact.uri_text or binding.has_contact(uri):
                return str(contact.with_uri(masked_contact(binding.mask, binding.user, identity)))
        mask = new_mask(self._key, phone.aor, contact.uri_text, "")
        self._visitors.note(Visitor(mask, contact.uri_text, phone.hop, phone.side, phone.aor, now))
        user = uri.user or user_of(phone.aor)
        return str(contact.with_uri(masked_contact(mask, user, identity)))

    def _bindings(self, phone: Phone, now: float) -> Iterable[Binding]:
        """
        The bindings that a Contact of this phone may be, likeliest first.
        """
        if phone.mask:
            binding = self._locations.by_mask(phone.mask)
            if binding is not None:
                yield binding
        yield from self._locations.lookup(phone.aor, now)
        yield from self._locations.by_hop(phone.hop)


def swapped_record_routes(
    headers: Headers,
    identity: Identity,
    going_to: Side,
    below: int,
    hidden: Sequence[Header] = (),
    hides: bool = False,
) -> tuple[Header, ...]:
    """
    In a response, the Record-Route we gave the one side becomes the one for
    the other (RFC 3261 section 16.7 step 8); what was hidden comes back.

    :param below: how many values stood below ours in the request.  A call that
        went through us twice has two of ours, and each pass changes its own.
    :param hides: keep to ourselves which proxies are between us and the phone:
        what comes from outside finds it by its Contact.
    """
    kept = headers.fields("record-route")
    mine = identity.record_routes[going_to]
    if len(kept) == 1 and not below and kept[0][1] in identity.own_routes:
        return (mine, *hidden)
    if len(kept) > below and all("," not in header[1] for header in kept):
        index = len(kept) - 1 - below
        if _is_ours(kept[index][1], identity):
            above = () if hides else kept[:index]
            return (*above, mine, *kept[index + 1 :], *hidden)
        return (*kept, *hidden)
    values = headers.values("record-route")
    index = len(values) - 1 - below
    if index < 0 or not _is_ours(values[index], identity):
        return (*kept, *hidden)
    told = [make_header("Record-Route", value) for value in values]
    told[index] = mine
    return (*told[index if hides else 0 :], *hidden)


def _is_ours(value: str, identity: Identity) -> bool:
    if value in identity.own_routes:
        return True
    try:
        uri = NameAddr.parse(value, "Record-Route").uri
    except (MalformedHeader, MalformedURI):
        return False
    return not uri.user and identity.is_own(uri)
