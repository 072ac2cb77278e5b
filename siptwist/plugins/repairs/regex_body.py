"""
Changes the text in the bodies of messages by regular expressions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from zope.interface import implementer

from siptwist.options import option, text
from siptwist.plugins.dialing.ambiguity import expression
from siptwist.plugins.dialing.expressions import Expression, Replacement, replacement
from siptwist.plugins.dialing.literals import longest_literal
from siptwist.plugins.dialing.rows import uneven
from siptwist.plugins.plugin import House, PluginMaker
from siptwist.plugins.repairs.texts import find_texts
from siptwist.plugins.stages import IPreProxy, IResponse
from siptwist.proxy.decision import Forward
from siptwist.proxy.passage import Passage
from siptwist.proxy.ticket import Ticket
from siptwist.sip.message import MAX_BODY, Request, Response, with_body

# A search takes time that grows faster than the text: all calls wait meanwhile.
LONGEST_TEXT = 8192
# Seconds after which a rule is not used any more for texts as long as the one it took
# so long for.
SLOW = 0.1


@dataclass(frozen=True, slots=True)
class RegexBodyOptions:
    """
    ``plugin_regex_body_desc``, ``_pattern`` and ``_replace``: the lines of one rule.
    """

    desc: tuple[str, ...] = option((), text, "what a rule is for", repeated=True)
    pattern: tuple[Expression, ...] = option(
        (), expression, "its POSIX expression, searched in texts", repeated=True
    )
    replace: tuple[Replacement, ...] = option(
        (), replacement, "what goes in the place of each match", repeated=True
    )


def check(options: RegexBodyOptions) -> Iterable[tuple[str, str]]:
    """
    Whether each rule is whole, and its pattern has the groups of its replacement.
    """
    yield from uneven(options, "desc", "pattern", "replace")
    for pattern, replaced in zip(options.pattern, options.replace, strict=False):
        if replaced.highest > pattern.pattern.groups:
            yield "replace", f"there is no group {replaced.highest} in {pattern.text!r}"


class Rule:
    """
    One pattern and its replacement; ``longest`` is the longest text it is used for,
    and without ``sign``, whatever its case, it matches nothing.
    """

    def __init__(self, desc: str, pattern: Expression, replaced: Replacement) -> None:
        self.desc = desc
        self.longest = LONGEST_TEXT
        self.sign = longest_literal(pattern.text).encode()
        self._pattern = pattern.pattern
        self._replaced = replaced

    def apply(self, subject: str) -> str:
        """
        Every match replaced once; what was put in is not looked at again.  A match
        stays that lacks a group of the replacement.
        """
        return self._pattern.sub(self._put, subject)

    def _put(self, match: re.Match[str]) -> str:
        try:
            return self._replaced.of(match)
        except LookupError:
            return match[0]


@implementer(IPreProxy, IResponse)
class RegexBody:
    """
    Uses all rules, in their order, on every text in either direction, before our own
    addresses are written into it.
    """

    def __init__(self, options: RegexBodyOptions, house: House) -> None:
        rules = zip(options.desc, options.pattern, options.replace, strict=True)
        self._rules = [Rule(*rule) for rule in rules]
        signs = {rule.sign for rule in self._rules}
        # Digits are the same in either case.
        self._plain = tuple(sign for sign in signs if sign == sign.upper())
        self._cased = tuple(signs.difference(self._plain))
        self._now = house.now
        self._log = house.log

    def pre_proxy(self, forward: Forward) -> Ticket | None:
        ticket = forward.ticket
        request = ticket.request
        if not request.body or not self._may_match(request.body):
            return None
        body = self._rewrite(request)
        return None if body is None else ticket.with_request(with_body(request, body))

    def response(self, response: Response, passage: Passage) -> Response | None:
        if not response.body or not self._may_match(response.body):
            return None
        body = self._rewrite(response)
        return None if body is None else with_body(response, body)

    def _may_match(self, body: bytes) -> bool:
        """
        Whether some rule may match, which then may make something for others to match.
        """
        for sign in self._plain:
            if sign in body:
                return True
        cased = self._cased
        return bool(cased) and any(map(body.lower().__contains__, cased))

    def _rewrite(self, message: Request | Response) -> bytes | None:
        """
        The body as the rules make it; ``None`` when they leave it as it is.
        """
        body = message.body
        for start, end in reversed(find_texts(message)):
            before = body[start:end].decode("utf-8", "surrogateescape")
            after = before
            for rule in self._rules:
                if len(after) <= rule.longest:
                    after = self._apply(rule, after, message)
            if after is not before and after != before:
                body = body[:start] + after.encode("utf-8", "surrogateescape") + body[end:]
        if len(body) > MAX_BODY:
            self._log.warn(
                "A body would grow to {size} bytes, and stays as it is [{call_id}]",
                size=len(body),
                call_id=message.headers.get("call-id"),
            )
            return None
        return None if body is message.body else body

    def _apply(self, rule: Rule, subject: str, message: Request | Response) -> str:
        now = self._now
        began = now()
        found = rule.apply(subject)
        seconds = now() - began
        if seconds > SLOW:
            rule.longest = len(subject) // 2
            self._log.warn(
                "{rule!r} took {seconds:.1f} s for a text of {length} characters; it is used "
                "for shorter ones only [{call_id}]",
                rule=rule.desc,
                seconds=seconds,
                length=len(subject),
                call_id=message.headers.get("call-id"),
            )
        return found


regex_body = PluginMaker("regex_body", RegexBody, RegexBodyOptions, check=check, needs=("pattern",))
