"""
Takes headers out of messages, or single values of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from zope.interface import implementer

from siptwist.errors import MalformedHeader, MalformedURI
from siptwist.options import option, text
from siptwist.plugins.plugin import House, PluginMaker
from siptwist.plugins.stages import IPreProxy, IResponse
from siptwist.proxy.decision import Forward
from siptwist.proxy.identity import Identity
from siptwist.proxy.passage import Passage
from siptwist.proxy.ticket import Ticket
from siptwist.sip.fields import NameAddr
from siptwist.sip.grammar import is_token, split_commas
from siptwist.sip.headers import Header, Headers, keep_header, key_of
from siptwist.sip.message import Response

# Without these a message is none, or nobody finds the way back (RFC 3261 section 8.1.1).
_NEEDED = "via from to call-id cseq max-forwards contact content-length content-type"
NEEDED = frozenset(_NEEDED.split())
# Headers whose values are separated by commas (RFC 3261 section 7.3.1, and others); in
# the rest a comma is text.
_LISTS = """
    accept accept-contact accept-encoding accept-language alert-info allow allow-events
    call-info content-encoding content-language diversion error-info history-info
    in-reply-to p-asserted-identity p-associated-uri p-early-media p-preferred-identity
    path proxy-require reason record-route recv-info reject-contact request-disposition
    require route security-client security-server security-verify service-route supported
    unsupported warning
"""
LISTS = frozenset(_LISTS.split())

# For each header the values that go; None is all of them.
Rules = dict[str, frozenset[str] | None]


@dataclass(frozen=True, slots=True)
class StripOptions:
    """
    ``plugin_stripheader_remove``.
    """

    remove: tuple[str, ...] = option((), text, "a header to remove, or header:value", repeated=True)


def check(options: StripOptions) -> Iterable[tuple[str, str]]:
    """
    What cannot be removed.
    """
    for entry in options.remove:
        name = entry.partition(":")[0].strip()
        if not is_token(name):
            yield "remove", f"{entry!r} does not begin with the name of a header"
        elif key_of(name) in NEEDED:
            yield "remove", f"no message can do without {name}"


def rules_of(entries: Iterable[str]) -> Rules:
    """
    What lines of ``Header`` and ``Header:value`` ask for.
    """
    rules: Rules = {}
    for entry in entries:
        name, _, value = entry.partition(":")
        key, value = key_of(name.strip()), value.strip().lower()
        known = rules.get(key, frozenset())
        rules[key] = None if known is None or not value else known | {value}
    return rules


@implementer(IPreProxy, IResponse)
class StripHeader:
    """
    Strips requests and responses, in both directions.
    """

    def __init__(self, options: StripOptions, house: House) -> None:
        self._rules = rules_of(options.remove)
        self._unwanted = frozenset(self._rules)
        self._identity = house.identity

    def pre_proxy(self, forward: Forward) -> Ticket | None:
        request = forward.ticket.request
        if request.headers.first.keys().isdisjoint(self._unwanted):
            return None
        stripped = strip(request.headers, self._rules, self._is_ours)
        return forward.ticket.with_request(request._replace(headers=stripped))

    def response(self, response: Response, passage: Passage) -> Response | None:
        if response.headers.first.keys().isdisjoint(self._unwanted):
            return None
        return response._replace(headers=strip(response.headers, self._rules, self._is_ours))

    def _is_ours(self, value: str) -> bool:
        return names_us(value, self._identity())


def names_us(route: str, identity: Identity) -> bool:
    """
    Whether a Record-Route is ours: without it a call would go on past us.
    """
    try:
        return route in identity.own_routes or identity.is_own(NameAddr.parse(route).uri)
    except (MalformedHeader, MalformedURI):
        return False


def strip(headers: Headers, rules: Rules, is_ours: Callable[[str], bool]) -> Headers:
    """
    The headers without what the rules name; a header that loses all values goes.

    :param is_ours: whether a Record-Route is one that stays.
    """
    kept: list[Header] = []
    for header in headers.items:
        key, value, line = header
        if key not in rules:
            kept.append(header)
            continue
        unwanted = rules[key]
        values = [one for one in split_commas(value) if one] if key in LISTS else [value]
        left = [
            one
            for one in values
            if (unwanted is not None and one.lower() not in unwanted)
            or (key == "record-route" and is_ours(one))
        ]
        if left and len(left) == len(values):
            kept.append(header)
        elif left:
            kept.append(keep_header(line.partition(":")[0].rstrip(" \t"), ", ".join(left)))
    return Headers(kept)


stripheader = PluginMaker("stripheader", StripHeader, StripOptions, check=check, needs=("remove",))
