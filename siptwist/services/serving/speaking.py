"""
Sends requests of our own to an end of a call, in the place of the other end.

The only code that does; who is spoken for does not learn of it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from twisted.internet.defer import Deferred

from siptwist.errors import MalformedURI, SIPError
from siptwist.interfaces import IMessageSender, IResolver
from siptwist.logs import logger
from siptwist.proxy.core import Core
from siptwist.proxy.masquerade import own_via
from siptwist.proxy.registration.location import Binding, Locations
from siptwist.proxy.routing import host_and_port
from siptwist.proxy.session.ends import End, in_dialog_request
from siptwist.services.serving.context import new_branch, when
from siptwist.services.transactions import ResponseUser, TransactionService
from siptwist.sip.fields import NameAddr
from siptwist.sip.headers import Header
from siptwist.sip.hop import Hop

# Sends a request: the method, the number of its CSeq, and what else it is to have.
Say = Callable[..., None]


class Speaking:
    """
    Finds an end of a call, and says something to it.
    """

    _log = logger()

    def __init__(
        self,
        core: Core,
        locations: Locations,
        transactions: TransactionService,
        sender: IMessageSender,
        resolver: IResolver,
    ) -> None:
        self._core = core
        self._locations = locations
        self._transactions = transactions
        self._sender = sender
        self.resolver = resolver

    def find(
        self, end: End, sender: Header, call_id: str, since: float, use: Callable[[Say], None]
    ) -> None:
        """
        Find out where requests to ``end`` go, and hand ``use`` what sends them there:
        :meth:`_say` from ``method`` on.  When there is no way that is logged, and
        ``use`` is not called.

        :param sender: the From or To of the other end.
        :param since: when the call began.
        """

        def go(hops: list[Hop]) -> None:
            use(partial(self._say, end, sender, call_id, hops[0]))

        def complain(why: str) -> None:
            self._log.info("No way to an end of {call_id!r}: {why}", call_id=call_id, why=why)

        try:
            end = self._moved(end, since)
            found = self._hops(end, sender)
        except SIPError as error:
            complain(error.reason)
            return
        when(found, go, lambda failure: complain(failure.getErrorMessage()))

    def _say(
        self,
        end: End,
        sender: Header,
        call_id: str,
        hop: Hop,
        method: str,
        number: int,
        more: tuple[Header, ...] = (),
        body: bytes = b"",
        user: object = None,
        asker: ResponseUser | None = None,
    ) -> None:
        """
        :param number: of the CSeq.
        :param more: further fields.
        :param user: kept with the transaction for ``asker``, who hears the answer.
        """
        branch = new_branch("")
        via = own_via(self._core.identity.toward(end.side, hop.host), end.side, branch)
        request = in_dialog_request(method, number, end, sender, call_id, via, more, body)
        if method == "ACK":
            self._sender.send(bytes(request), hop, end.side)
            return
        self._transactions.send(request, branch, hop, end.side, user, asker=asker)

    def _hops(self, end: End, sender: Header) -> list[Hop] | Deferred[list[Hop]]:
        routes = end.routes
        if end.is_phone and not routes:
            return [end.hop]
        if routes:
            first = NameAddr.parse(routes[0], "Record-Route").uri_text
        else:
            first = self._core.proxies.next_hop(_host_of(sender)) or end.target
        host, port, transport = host_and_port(first)
        found: list[Hop] | Deferred[list[Hop]] = self.resolver.resolve(
            host, port, "UDP" if transport else None
        )
        return found

    def _moved(self, end: End, since: float) -> End:
        """
        A phone that has registered from another port since then is there.
        """
        if not end.is_phone:
            return end
        contact = NameAddr.parse(end.contact[1] if end.contact else "", "Contact")
        binding = self._locations.by_mask(end.mask) if end.mask else None
        aor = NameAddr.parse(end.name[1]).aor if binding is None else binding.aor
        try:
            moved: Binding | None = self._locations.moved(contact.uri, aor, since)
        except MalformedURI:
            return end
        if moved is None:
            return end
        where = ("contact", f"<{moved.contact}>", "")
        return end._replace(contact=where, hop=moved.hop, side=moved.side)


def _host_of(sender: Header) -> str:
    address = NameAddr.parse(sender[1])
    return address.uri.host if address.is_sip else ""
