"""
Which plugins are asked at a stage, and what becomes of those that raise.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from siptwist.logs import logger
from siptwist.sip.message import Request, Response

# Seconds between two complaints about one plugin, and how long a message may be on
# its way after a plugin has failed it (RFC 3261, 64 * T1).
COMPLAINT_SECONDS, MESSAGE_SECONDS = 60.0, 32.0
# Messages that some plugin is not asked about again.
FAILED_LIMIT = 1024

Message = Request | Response


@dataclass(frozen=True, slots=True)
class Hook:
    """
    One plugin at one stage; ``methods``, ``kind`` and ``starts`` are what it wants,
    as ``only`` says it (``siptwist/plugins/plugin.py``); ``None`` is all.
    """

    name: str
    stage: str
    call: Callable[..., Any]
    methods: frozenset[str] | None = None
    kind: type | None = None
    starts: bytes | None = None


# Looked up without a further step; others are rare.
_METHODS = frozenset(
    ("INVITE", "ACK", "BYE", "CANCEL", "REGISTER", "OPTIONS", "SUBSCRIBE", "NOTIFY", "")
)


class ByMethod(dict[str, tuple[Hook, ...]]):
    """
    The hooks for each method; those that want all of them for one that is not there.
    """

    def __init__(self, hooks: tuple[Hook, ...]) -> None:
        self._others = tuple(hook for hook in hooks if hook.methods is None)
        named = _METHODS.union(*(hook.methods or () for hook in hooks))
        super().__init__(
            {
                method: tuple(
                    hook for hook in hooks if hook.methods is None or method in hook.methods
                )
                for method in named
            }
        )

    def __missing__(self, method: str) -> tuple[Hook, ...]:
        return self._others


class ByStart(dict[bytes, tuple[Hook, ...]]):
    """
    The hooks for the first byte of a datagram; ``b""`` when it is empty.
    """

    def __init__(self, hooks: tuple[Hook, ...]) -> None:
        self._hooks = hooks

    def __missing__(self, start: bytes) -> tuple[Hook, ...]:
        found = self[start] = tuple(
            hook
            for hook in self._hooks
            if hook.starts is None or (start != b"" and start in hook.starts)
        )
        return found


class Chain:
    """
    The hooks of one stage, in the order of loading.  ``is_choosy`` says whether any
    of them wants to see some methods only.
    """

    __slots__ = ("by_method", "by_start", "hooks", "is_choosy")

    def __init__(self, hooks: Iterable[Hook] = ()) -> None:
        self.hooks = tuple(hooks)
        self.by_method = ByMethod(self.hooks)
        self.by_start = ByStart(self.hooks)
        self.is_choosy = any(hook.methods is not None for hook in self.hooks)

    def of_kind(self, kind: type) -> Chain:
        """
        Those who want to see requests, or responses.
        """
        return Chain(hook for hook in self.hooks if hook.kind in (None, kind))

    def after(self, hook: Hook) -> Chain:
        """
        Those who are asked later than one of them.
        """
        return Chain(self.hooks[self.hooks.index(hook) + 1 :])

    def of(self, method: str) -> tuple[Hook, ...]:
        """
        Those who want to see messages of a method.
        """
        return self.by_method[method]


class Failures:
    """
    Plugins that raised: logged once a minute each, and not asked again about the
    message that they failed.
    """

    _log = logger()

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._complained: dict[str, tuple[float, int]] = {}
        #: Plugins and messages that they are not asked about, and since when.
        self.failed: OrderedDict[tuple[str, object], float] = OrderedDict()

    def note(self, hook: Hook, message: Message | None = None) -> None:
        """
        The exception that is being handled is this hook's fault.
        """
        now = self._now()
        if message is not None and len(self.failed) < FAILED_LIMIT:
            self.failed[hook.name, _key(message)] = now
        since, count = self._complained.get(hook.name, (None, 0))
        if since is not None and now - since < COMPLAINT_SECONDS:
            self._complained[hook.name] = (since, count + 1)
            return
        self._complained[hook.name] = (now, 0)
        self._log.failure(
            "Plugin {name} failed at stage {stage}; {count} more failures since the last one "
            "that was logged",
            name=hook.name,
            stage=hook.stage,
            count=count,
        )

    def without(self, hooks: tuple[Hook, ...], message: Message) -> tuple[Hook, ...]:
        """
        The hooks of plugins that have not failed this message.
        """
        limit = self._now() - MESSAGE_SECONDS
        while self.failed and next(iter(self.failed.values())) <= limit:
            self.failed.popitem(last=False)
        key = _key(message)
        return tuple(hook for hook in hooks if (hook.name, key) not in self.failed)


def _key(message: Message) -> object:
    """
    What a message is known by, whatever is changed in it on its way through us.
    """
    headers = message.headers
    status = message.status if isinstance(message, Response) else 0
    return headers.get("call-id"), headers.get("cseq"), status
