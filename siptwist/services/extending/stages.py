"""
One message, and the plugins that are asked about it on its way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from siptwist.errors import MalformedMessage
from siptwist.media.calls import MediaCall
from siptwist.media.stream import CallKey
from siptwist.plugins.stages import STAGES
from siptwist.proxy.decision import Decision, Drop, Forward, Reply
from siptwist.proxy.passage import Passage
from siptwist.proxy.session.records import Records
from siptwist.proxy.ticket import Ticket
from siptwist.services.extending.chains import Chain, Failures, Hook
from siptwist.sip.hop import Hop, Side
from siptwist.sip.message import AnyMessage, Request, Response, with_body
from siptwist.sip.sdp import find_sdp, is_whole

_REFUSALS = (Reply, Drop)
_DECISIONS = (Reply, Drop, Forward)
_ANYTHING = (Ticket, Reply, Drop, Forward)
_RESPONSES = (Response,)


class Stages:
    """
    What the rest of the proxy asks of plugins.  Nothing here raises.

    ``chains`` are the plugins at each stage.
    """

    def __init__(self, now: Callable[[], float], failures: Failures) -> None:
        self._now = now
        self._failures = failures
        self._failed = failures.failed
        self._records = Records()
        self.chains = dict.fromkeys(STAGES, Chain())

    @property
    def chains(self) -> dict[str, Chain]:
        return self._chains

    @chains.setter
    def chains(self, chains: dict[str, Chain]) -> None:
        self._chains = chains
        # Looked up for every message.
        self._raw = chains["raw"]
        self._validate = chains["validate"]
        self._determine_target = chains["determine_target"]
        self._unknown_party = chains["unknown_party"]
        self._pre_proxy = chains["pre_proxy"]
        self._media = chains["media"]
        self._response = chains["response"]
        self._requests = chains["post_proxy"].of_kind(Request)
        self._responses = chains["post_proxy"].of_kind(Response)
        self._call_ended = chains["call_ended"]

    @property
    def dresses(self) -> bool:
        """
        Whether somebody wants to see responses as they go out.
        """
        return bool(self._responses.hooks)

    # What arrives

    def raw(self, data: bytes, source: Hop, side: Side) -> bytes:
        """
        What is to be read in the place of ``data``; nothing when it was for a plugin.
        """
        for hook in self._raw.by_start[data[:1]]:
            try:
                found = hook.call(data, source, side)
                if found is not None:
                    return self._raw_later(hook, _one_of((bytes,), found), source, side)
            except Exception:
                self._failures.note(hook)
        return data

    def _raw_later(self, hook: Hook, data: bytes, source: Hop, side: Side) -> bytes:
        """
        What others make of what one of them has changed: it may begin with another byte.
        """
        later = self._raw
        while data:
            later = later.after(hook)
            for hook in later.by_start[data[:1]]:
                try:
                    found = hook.call(data, source, side)
                    if found is not None:
                        data = _one_of((bytes,), found)
                        break
                except Exception:
                    self._failures.note(hook)
            else:
                break
        return data

    # Requests

    # Each stage has a loop of its own: they are asked dozens of times for a call, and
    # a step saved here is saved for each plugin.

    def validate(self, ticket: Ticket) -> Reply | Drop | None:
        request = ticket.request
        hooks = self._validate.by_method[ticket.method]
        if self._failed:
            hooks = self._failures.without(hooks, request)
        for hook in hooks:
            try:
                found = hook.call(ticket)
                if found is not None:
                    return _one_of(_REFUSALS, found)  # type: ignore[no-any-return]
            except Exception:
                self._failures.note(hook, request)
        return None

    def determine_target(self, ticket: Ticket, from_phone: bool) -> Ticket | Decision:
        request = ticket.request
        hooks = self._determine_target.by_method[ticket.method]
        if self._failed:
            hooks = self._failures.without(hooks, request)
        for hook in hooks:
            try:
                found = hook.call(ticket, from_phone)
                if found is None:
                    continue
                if not isinstance(_one_of(_ANYTHING, found), Ticket):
                    return found  # type: ignore[no-any-return]
                ticket = found
            except Exception:
                self._failures.note(hook, request)
        return ticket

    def unknown_party(self, ticket: Ticket, from_phone: bool) -> Ticket | Decision | None:
        request = ticket.request
        hooks = self._unknown_party.by_method[ticket.method]
        if self._failed:
            hooks = self._failures.without(hooks, request)
        for hook in hooks:
            try:
                found = hook.call(ticket, from_phone)
                if found is not None:
                    return _one_of(_ANYTHING, found)  # type: ignore[no-any-return]
            except Exception:
                self._failures.note(hook, request)
        return None

    def pre_proxy(self, forward: Forward) -> Decision:
        ticket = forward.ticket
        request = ticket.request
        hooks = self._pre_proxy.by_method[ticket.method]
        if self._failed:
            hooks = self._failures.without(hooks, request)
        for hook in hooks:
            try:
                found = hook.call(forward)
                if found is None:
                    continue
                if isinstance(found, Ticket):
                    forward = forward.with_ticket(found)
                elif not isinstance(_one_of(_ANYTHING, found), Forward):
                    return found  # type: ignore[no-any-return]
                else:
                    forward = found
            except Exception:
                self._failures.note(hook, request)
        ticket = forward.ticket
        if self._media.hooks and ticket.request.body:
            request = self._describe(ticket.request, ticket.method, forward.from_phone)
            if request is not ticket.request:
                forward = forward.with_ticket(ticket.with_request(request))
        return forward

    def leave(self, request: Request, ticket: Ticket, passage: Passage) -> Request:
        """
        A request goes out as ``request``.
        """
        method = ticket.method
        if method == "INVITE" and self._call_ended.hooks:
            self._records.begin(ticket, passage)
        hooks = self._requests.by_method[method]
        return self._send(hooks, request, passage.hop, passage.side) if hooks else request

    # Responses

    def response(self, response: Response, passage: Passage) -> Response:
        """
        A response is on its way back.
        """
        hooks = self._response.by_method[passage.method]
        if self._failed:
            hooks = self._failures.without(hooks, response)
        for hook in hooks:
            try:
                found = hook.call(response, passage)
                if found is not None:
                    response = _one_of(_RESPONSES, found)
            except Exception:
                self._failures.note(hook, response)
        if self._media.hooks and response.body:
            response = self._describe(response, passage.method, passage.to_phone)
        if passage.method == "INVITE" and self._call_ended.hooks:
            self._records.answer(passage, response.status, self._now())
        return response

    def respond(self, response: Response, hop: Hop, side: Side) -> Response:
        """
        A response goes out, of whoever it is.
        """
        method = response.headers.cseq.method if self._responses.is_choosy else ""
        return self._send(self._responses.by_method[method], response, hop, side)

    # Calls

    def end_call(self, key: CallKey, reason: str, media: MediaCall | None) -> None:
        """
        A call is over; its media was ``media``.
        """
        if not self._call_ended.hooks:
            return
        call = self._records.end(key, reason, media, self._now())
        if call is None:
            return
        for hook in self._call_ended.hooks:
            try:
                hook.call(call)
            except Exception:
                self._failures.note(hook)

    # How they are asked

    def _send(
        self, hooks: tuple[Hook, ...], message: AnyMessage, hop: Hop, side: Side
    ) -> AnyMessage:
        if self._failed:
            hooks = self._failures.without(hooks, message)
        for hook in hooks:
            try:
                found = hook.call(message, hop, side)
                if found is not None:
                    message = _one_of((type(message),), found)
            except Exception:
                self._failures.note(hook, message)
        return message

    def _describe(self, message: AnyMessage, method: str, from_phone: bool) -> AnyMessage:
        """
        The message with the session description that plugins make of its own.
        """
        hooks = self._media.by_method[method]
        if not hooks:
            return message
        place = (0, len(message.body)) if is_whole(message.headers) else _place(message)
        if place is None:
            return message
        start, end = place
        before = sdp = message.body[start:end]
        if self._failed:
            hooks = self._failures.without(hooks, message)
        for hook in hooks:
            try:
                found = hook.call(sdp, message, from_phone)
                if found is not None:
                    sdp = _one_of((bytes,), found)
            except Exception:
                self._failures.note(hook, message)
        if sdp is before or sdp == before:
            return message
        return with_body(message, message.body[:start] + sdp + message.body[end:])


def _one_of(kinds: tuple[type, ...], found: Any) -> Any:
    if not isinstance(found, kinds):
        names = ", ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"{type(found).__name__} returned, and not one of {names} or None")
    return found


def _place(message: Request | Response) -> tuple[int, int] | None:
    """
    Where the session description is in a body that holds other things, too; a body
    that cannot be read has none, and is refused further on.
    """
    headers = message.headers
    try:
        return find_sdp(
            headers.get("content-type") or "",
            message.body,
            headers.get("content-encoding") or "",
        )
    except MalformedMessage:
        return None
