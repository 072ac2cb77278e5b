"""
What is to be done with a request (RFC 3261 section 16).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import cast

from siptwist.proxy.decision import Decision, Drop, Forward, Reply, Target
from siptwist.proxy.direction import Direction, Peers
from siptwist.proxy.forking import spread
from siptwist.proxy.identity import Identity
from siptwist.proxy.registration.location import Binding, Locations
from siptwist.proxy.registration.masks import mask_in
from siptwist.proxy.registration.registrar import Registrar
from siptwist.proxy.registration.visitors import Visitor, Visitors
from siptwist.proxy.routing import OutboundProxies, is_secure, outward, take_own_routes
from siptwist.proxy.screening.access import Access
from siptwist.proxy.screening.loops import Loops
from siptwist.proxy.screening.validation import METHODS, options_reply, validate
from siptwist.proxy.stages import Stages
from siptwist.proxy.ticket import Ticket
from siptwist.sip.fields import NameAddr, parse_q
from siptwist.sip.grammar import parse_parameters
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import Request
from siptwist.sip.uri import SIPURI

# How a phone proves who it is: the refusal of a REGISTER, or None.
Authenticate = Callable[[Ticket], Reply | None]
# What else a request must pass, told whether a phone sent it: an answer, or the
# request to go on with.
Guard = Callable[[Ticket, bool], Reply | Ticket]


class Core:
    """
    Decides, and touches nothing.  ``stages`` are those of plugins, if any is loaded.

    ``guard`` is asked about every request but REGISTER, when there is one.
    ``access``, ``proxies``, ``registrar`` and ``authenticate`` may change while running.
    ``moved_at`` is when our address outside changed last, if it has.
    """

    def __init__(
        self,
        identity: Identity,
        locations: Locations,
        visitors: Visitors,
        peers: Peers,
        registrar: Registrar,
        access: Access | None = None,
        proxies: OutboundProxies | None = None,
        authenticate: Authenticate | None = None,
        loops: Loops | None = None,
    ) -> None:
        self._identity = identity
        self.moved_at: float | None = None
        self.stages: Stages | None = None
        self.guard: Guard | None = None
        self.direction = Direction(locations, visitors, peers)
        self._locations = locations
        self._visitors = visitors
        self._peers = peers
        self.registrar = registrar
        self.access = access or Access()
        self.proxies = proxies or OutboundProxies()
        self.authenticate = authenticate
        self.loops = loops or Loops(b"")

    @property
    def identity(self) -> Identity:
        """
        Who we are now; it may change while running.
        """
        return self._identity

    @identity.setter
    def identity(self, identity: Identity) -> None:
        self._identity = identity
        self.registrar.identity = identity

    def is_stale(self, source: Hop) -> bool:
        """
        Whether a provider knows a phone by an address that was ours before ``moved_at``.
        """
        return self.moved_at is not None and any(
            binding.registrar and binding.updated_at < self.moved_at
            for binding in self._locations.by_hop(source)
        )

    def may_ping(self, source: Hop, side: Side) -> bool:
        """
        Whether a keep-alive is answered: a phone's, for we reflect nothing at strangers.
        """
        is_phone = self.direction.is_phone(source, side, self.identity)
        return is_phone and self.access.may_send(source.host)

    def decide(self, ticket: Ticket) -> Decision:
        """
        :raises SIPError: with the status to answer with.
        """
        decision = self._decide(ticket)
        if self.stages is not None and type(decision) is Forward:
            decision = self.stages.pre_proxy(decision)
            if type(decision) is Forward:
                decision = decision.asked_as(ticket)
        if type(decision) is Forward:
            headers, targets = ticket.request.headers, decision.targets
            if len(targets) > 1 or "max-breadth" in headers.first:
                return decision._replace(targets=spread(targets, headers))
        return decision

    def _decide(self, ticket: Ticket) -> Decision:
        if not (self.access.is_open or self.access.may_send(ticket.source.host)):
            return Drop("hosts_deny_sip or hosts_allow_sip")
        refusal: Reply | Drop | None = validate(ticket)
        stages = self.stages
        if refusal is None and stages is not None:
            refusal = stages.validate(ticket)
        if refusal is not None:
            return refusal
        if self.loops.has_looped(ticket):
            return Reply(482, why="it was here before")
        identity = self._identity
        ticket = take_own_routes(ticket, identity)
        is_phone = self.direction.is_phone(ticket.source, ticket.side, identity, ticket.method)
        is_own = ticket.uri is not None and identity.is_own(ticket.uri)
        if ticket.method == "REGISTER":
            return self._register(ticket, is_own)
        if self.guard is not None:
            passed = self.guard(ticket, is_phone)
            if type(passed) is Reply:
                return passed
            ticket = cast(Ticket, passed)
        if stages is not None:
            found = stages.determine_target(ticket, is_phone)
            if not isinstance(found, Ticket):
                return found
            ticket = found
            is_own = ticket.uri is not None and identity.is_own(ticket.uri)
        if is_phone and "route" in ticket.request.headers.first:
            return self._outward(ticket)
        if is_own and ticket.uri is not None and not ticket.uri.user:
            return self._for_us(ticket)
        targets = self._targets(ticket, is_phone, is_own)
        if targets:
            return Forward(without_routes(ticket), targets, is_phone, True, "to a phone")
        if is_phone and not is_own:
            return self._outward(ticket)
        if ticket.in_dialog and not is_own and self._visitors.has_hop(ticket.source):
            # A phone out there whose registration has lapsed: its calls go on.
            return self._outward(ticket)
        return self._unknown(ticket, is_phone)

    def _for_us(self, ticket: Ticket) -> Reply:
        if ticket.method == "OPTIONS":
            return options_reply()
        if ticket.method not in METHODS:
            return Reply(501, why="unknown method for us")
        return Reply(404, why="nobody named")

    def _unknown(self, ticket: Ticket, is_phone: bool) -> Decision:
        """
        Nobody is known: a plugin may name somebody, who must be a phone of ours.
        """
        stages = self.stages
        found = None if stages is None else stages.unknown_party(ticket, is_phone)
        if found is None:
            return self._nobody(ticket)
        if not isinstance(found, Ticket):
            return found
        is_own = found.uri is not None and self._identity.is_own(found.uri)
        targets = self._targets(found, False, is_own)
        if not targets:
            return self._nobody(found)
        return Forward(without_routes(found), targets, is_phone, True, "to a phone, by a plugin")

    def _nobody(self, ticket: Ticket) -> Reply:
        uri = ticket.uri
        aors = [uri.aor if uri else "", ticket.to.aor]
        mask = mask_in(uri) if uri and self.identity.is_own(uri) else None
        known = mask and (self._locations.by_mask(mask) or self._visitors.by_mask(mask))
        if known or any(map(self._locations.has_lapsed, aors)):
            return Reply(480, why="registration has expired")
        return Reply(404, why="nobody known")

    def _register(self, ticket: Ticket, is_own: bool) -> Decision:
        access = self.access
        is_inside = self.direction.may_register(
            ticket.source, ticket.side, self._identity, bool(access.allow_register)
        )
        if not access.may_register(ticket.source.host, is_inside):
            return Reply(403, "Registration not allowed from here", why="hosts_allow_reg")
        if not is_own:
            return self._outward(ticket)
        if self.authenticate is not None:
            refusal = self.authenticate(ticket)
            if refusal is not None:
                return refusal
        return self.registrar.answer(ticket)

    def _outward(self, ticket: Ticket) -> Decision:
        ticket, next_hop = outward(ticket, self.proxies)
        if not next_hop:
            return self._outward_by_account(ticket)
        target = Target(ticket.request.uri, next_hop=next_hop)
        return Forward(ticket, (target,), True, False, "outward")

    def _outward_by_account(self, ticket: Ticket) -> Decision:
        """
        A ``tel:`` URI names no host: the caller's own provider knows.
        """
        for binding in self._locations.lookup(ticket.from_.aor, ticket.now):
            if binding.registrar:
                hop = f"sip:{binding.registrar}"
                return Forward(
                    ticket, (Target(ticket.request.uri, next_hop=hop),), True, False, "tel"
                )
        return Reply(416, why="tel URI and no provider")

    def _targets(self, ticket: Ticket, is_phone: bool, is_own: bool) -> tuple[Target, ...]:
        """
        The phones that are meant; the Request-URI says so, and only then the
        To (RFC 3261 section 16.5).
        """
        uri, now = ticket.uri, ticket.now
        if uri is None:
            return ()
        if is_own:
            mask = mask_in(uri)
            if mask:
                target = self._masked(mask, ticket)
                return (target,) if target else ()
            return self._by_user(ticket, uri)
        if is_phone:
            return ()
        found = (
            self._locations.lookup(uri.aor, now)
            or self._locations.lookup(ticket.to.aor, now)
            or self._locations.lookup_user(uri.user or "", now)
        )
        return as_targets(found)

    def _by_user(self, ticket: Ticket, uri: SIPURI) -> tuple[Target, ...]:
        """
        A Request-URI with our host and no mask: our own domain, or a provider
        that forgets URI parameters.
        """
        now = ticket.now
        found = self._locations.lookup(uri.aor, now) or self._locations.lookup_user(
            uri.user or "", now
        )
        registered_here = [binding for binding in found if not binding.registrar]
        if registered_here or len(found) < 2:
            return as_targets(registered_here or found)
        domains = self._peers.domains(ticket.source)
        for narrow in (
            [binding for binding in found if binding.aor == ticket.to.aor],
            [binding for binding in found if binding.registrar in domains],
            [binding for binding in found if binding.registrar == _host_of(ticket)],
        ):
            if narrow:
                return as_targets(narrow)
        return as_targets(found)

    def _masked(self, mask: str, ticket: Ticket) -> Target | None:
        binding = self._locations.by_mask(mask)
        # Replaces is for a dialog that the phone has, as a To tag is (RFC 3891).
        in_dialog = ticket.in_dialog or "replaces" in ticket.request.headers
        if binding is not None:
            if in_dialog:
                contact = SIPURI.parse(binding.contact)
                moved = self._locations.moved(contact, binding.aor, binding.updated_at)
                return as_target(moved or binding)
            may_be_called = binding.is_active(ticket.now) and not is_secure(binding.contact)
            return as_target(binding) if may_be_called else None
        visitor = self._visitors.by_mask(mask)
        if visitor is None or not in_dialog:
            return None
        return self._visitor_target(visitor)

    def _visitor_target(self, visitor: Visitor) -> Target:
        contact = SIPURI.parse(visitor.contact)
        moved = self._locations.moved(contact, visitor.aor, visitor.seen_at)
        if moved is not None:
            return as_target(moved)
        return Target(visitor.contact, visitor.side, visitor.hop, mask=visitor.mask)

    def retire(self, binding: Binding, now: float) -> None:
        """
        A binding is gone; dialogs of its phone go on.
        """
        self._visitors.note(
            Visitor(binding.mask, binding.contact, binding.hop, binding.side, binding.aor, now)
        )


def without_routes(ticket: Ticket) -> Ticket:
    """
    Routes beyond us in a request for a phone: nobody may use us to get there.
    """
    request = ticket.request
    if "route" not in request.headers.first:
        return ticket
    headers = request.headers.without("route")
    return ticket.with_request(Request(request.method, request.uri, headers, request.body))


def _host_of(ticket: Ticket) -> str:
    return ticket.from_.uri.host.lower() if ticket.from_.is_sip else ""


def as_target(binding: Binding) -> Target:
    """
    Where the phone of a binding is.
    """
    parameters = parse_parameters(binding.parameters) or {}
    q = parse_q(parameters.get("q"))
    if binding.path:
        first = NameAddr.parse(binding.path[0], "Path").uri_text
        return Target(binding.contact, next_hop=first, q=q, mask=binding.mask, route=binding.path)
    return Target(binding.contact, binding.side, binding.hop, q=q, mask=binding.mask)


def as_targets(bindings: Iterable[Binding]) -> tuple[Target, ...]:
    """
    Where the phones of an address-of-record are, those of the highest q first.
    """
    targets = [as_target(binding) for binding in bindings if not is_secure(binding.contact)]
    targets.sort(key=lambda target: -target.q)
    return tuple(targets)
