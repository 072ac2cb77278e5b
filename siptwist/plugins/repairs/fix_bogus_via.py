"""
For providers whose Via names an address that nobody can reach.

Answers go to where a request came from in any case; what this adds is the port in the
Via (RFC 3581), asked for or not, and that the sender counts as reachable where the
request came from, as media is concerned.
"""

from __future__ import annotations

from zope.interface import implementer

from siptwist.plugins.plugin import House, PluginMaker
from siptwist.plugins.repairs.networks import NetworkOptions, Networks
from siptwist.plugins.stages import IPreProxy
from siptwist.proxy.decision import Forward
from siptwist.proxy.ticket import Ticket
from siptwist.proxy.vias import arrived_vias
from siptwist.sip.hop import Hop


@implementer(IPreProxy)
class FixBogusVia:
    """
    Repairs requests from outside whose topmost Via lies in one of the networks.
    """

    def __init__(self, options: NetworkOptions, house: House) -> None:
        self._networks = Networks(options.networks)

    def pre_proxy(self, forward: Forward) -> Ticket | None:
        if forward.from_phone:
            return None
        ticket = forward.ticket
        via, source = ticket.via, ticket.source
        if not self._networks.has(via.host) or is_at(via.host, source):
            return None
        vias = arrived_vias(ticket.request.headers, via._replace(has_rport=True), source)
        seen = via._replace(host=source.host, port=source.port)
        return ticket._replace(via=seen, vias=vias)


def is_at(host: str, source: Hop) -> bool:
    return host.strip("[]") == source.host


fix_bogus_via = PluginMaker("fix_bogus_via", FixBogusVia, NetworkOptions, needs=("networks",))
