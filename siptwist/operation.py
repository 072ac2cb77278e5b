"""
The process around the proxy: signals, privileges, logs, and what can change
while it runs.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from typing import Any

from twisted.application.service import MultiService

from siptwist import logs
from siptwist.composition import Parts
from siptwist.config import Settings
from siptwist.making import make_authentication, make_outbound_proxies, registration_path
from siptwist.media.stream import CallKey
from siptwist.proxy.decision import Reply
from siptwist.proxy.registration.callers import Callers
from siptwist.proxy.ticket import Ticket
from siptwist.services.announcing import WarningService
from siptwist.services.running.admission import LISTS, AdmissionService, system_names
from siptwist.services.running.debugport import DebugPortService
from siptwist.services.running.draining import DrainingService
from siptwist.services.running.notifying import NotifyingService
from siptwist.services.running.pidfile import PidFileService
from siptwist.services.running.privileges import PrivilegeService
from siptwist.services.running.reloading import Commit, Reloading
from siptwist.services.running.signals import SignalService
from siptwist.services.running.statistics import Counted, Statistics
from siptwist.services.running.syslogging import SyslogService
from siptwist.services.storage.siproxd_copy import SiproxdCopyService

AUTHENTICATION = (
    "proxy_auth_realm",
    "proxy_auth_passwd",
    "proxy_auth_pwfile",
    "auth_algorithms",
    "nonce_lifetime",
    "proxy_auth_calls",
)
MEDIA = ("rtp_port_low", "rtp_port_high", "rtp_timeout", "rtp_dscp", "hold_timeout")
PLUGINS = ("load_plugin", "plugindir", "plugins", "plugin_directives")
EXPIRES = ("min_expires", "default_expires", "max_expires")
OUTBOUND = (
    "outbound_proxy_host",
    "outbound_proxy_port",
    "outbound_domain_name",
    "outbound_domain_host",
    "outbound_domain_port",
)


class Operation:
    """
    Joins the services of the process to those of the proxy.

    :param service: of the proxy; the others become its children.
    :param read: reads the configuration again.
    """

    def __init__(
        self, service: MultiService, parts: Parts, reactor: Any, read: Callable[[], Settings]
    ) -> None:
        self._service = service
        self._parts = parts
        self._reactor = reactor
        settings = parts.settings
        self.admission = AdmissionService(reactor, settings, parts.core, system_names(reactor))
        self.draining = DrainingService(
            reactor,
            parts.core,
            parts.negotiation.dialogs,
            settings.drain_seconds,
            reactor.stop,
            self._cut,
        )
        self.notifying = NotifyingService(reactor)
        self.syslog = SyslogService(settings.silence_log)
        self.reloading = Reloading(read, settings)
        self.statistics = Statistics(reactor.seconds, self._counted())
        if parts.extensions is not None:
            self.statistics.others.append(parts.extensions.report)
        self.draining.begun = self.notifying.stopping
        self._guard(settings)
        self._teach()

    def _cut(self, key: CallKey) -> int:
        """
        End a call because we stop, whether it was answered or rings.
        """
        parts = self._parts
        return parts.signaling.give_up(key.call_id) + parts.ending.end(key, "shutdown")

    def _counted(self) -> Counted:
        parts = self._parts
        return Counted(
            parts.relaying,
            parts.negotiation.dialogs,
            parts.registrations.locations,
            parts.signaling.complaints.counts,
            parts.signaling.pings.counts,
        )

    def _guard(self, settings: Settings) -> None:
        """
        Have calls prove whose they are, if that is wanted.
        """
        parts, service = self._parts, self._parts.authentication
        if service is None or not settings.proxy_auth_calls:
            self.draining.guard(None)
            return
        admit = service.admit
        callers = Callers(parts.core, parts.registrations.locations, parts.negotiation.dialogs)

        def guard(ticket: Ticket, is_phone: bool) -> Reply | Ticket:
            if not callers.must_prove(ticket, is_phone):
                return ticket
            return admit(ticket, callers.user_of(ticket))

        self.draining.guard(guard)

    def join(self, warnings: Iterable[str] = ()) -> None:
        """
        Add the services; the last gives privileges up, when all ports are open.

        :param warnings: to be said at the start.
        """
        parts, settings, reactor = self._parts, self._parts.settings, self._reactor
        services: list[Any] = [WarningService(warnings)]
        services += [self.admission, self.draining, self.syslog]
        if settings.siproxd_registration_file:
            path, locations = settings.siproxd_registration_file, parts.registrations.locations
            copy = SiproxdCopyService(reactor, path, locations, parts.core)
            parts.registrations.saved = copy.schedule
            services.append(copy)
        if settings.debug_port:
            secrets = (settings.proxy_auth_passwd,)
            services.append(
                DebugPortService(reactor, settings.debug_host, settings.debug_port, secrets)
            )
        if settings.pid_file:
            services.append(PidFileService(settings.pid_file))
        services += [SignalService(reactor, self._actions()), self.notifying]
        state = registration_path(settings)
        services.append(PrivilegeService(settings.user, settings.chrootjail, state))
        for one in services:
            one.setServiceParent(self._service)

    def _actions(self) -> dict[int, Callable[[], object]]:
        return {
            signal.SIGHUP: self.reload,
            signal.SIGTERM: self.draining.drain,
            signal.SIGUSR1: self.statistics.write,
        }

    def reload(self) -> None:
        """
        Put into effect what has changed in the configuration.
        """
        self.notifying.reloading()
        self.reloading.reload()
        self.notifying.reloaded()

    # What can change while running

    def _teach(self) -> None:
        """
        Tell the reloading who takes what.
        """
        parts, add, put = self._parts, self.reloading.add, self.reloading.add_value
        lists = (*LISTS, "register_from_outside")
        add(lists, lambda settings: lambda: self.admission.change(settings))
        add(AUTHENTICATION, self._authenticate, always=True)
        add(OUTBOUND, self._route)
        add(EXPIRES, lambda settings: lambda: self._expire(settings))
        add(MEDIA, lambda settings: lambda: self._relay(settings))
        put(
            "max_registrations",
            lambda limit: setattr(parts.registrations.locations, "limit", limit),
        )
        put("ua_string", lambda text: setattr(parts.masquerade, "ua_string", text))
        put("debug_level", logs.set_debug_level)
        put("silence_log", self.syslog.change)
        put("drain_seconds", lambda seconds: setattr(self.draining, "grace", seconds))
        if parts.keepalive is not None:
            put("ping_interval", parts.keepalive.change)
        if parts.extensions is not None:
            add(PLUGINS, parts.extensions.prepare)
        self.reloading.listen(self._adopt)

    def _adopt(self, settings: Settings) -> None:
        self._parts.settings = settings
        if self._parts.console is not None:
            self._parts.console.settings = settings

    def _route(self, settings: Settings) -> Commit:
        proxies = make_outbound_proxies(settings)
        return lambda: setattr(self._parts.core, "proxies", proxies)

    def _expire(self, settings: Settings) -> None:
        self._parts.core.registrar.min_expires = settings.min_expires
        self._parts.core.registrar.default_expires = settings.default_expires
        self._parts.passages.default_expires = settings.default_expires
        self._parts.passages.max_expires = settings.max_expires

    def _relay(self, settings: Settings) -> None:
        self._parts.relaying.change(
            settings.rtp_port_low,
            settings.rtp_port_high,
            settings.rtp_timeout,
            settings.rtp_dscp,
            settings.hold_timeout,
        )

    def _authenticate(self, settings: Settings) -> Commit:
        """
        The same service with its file read again, or another one.
        """
        old, now = self._parts.authentication, self._parts.settings
        if old is not None and all(
            getattr(now, key) == getattr(settings, key) for key in AUTHENTICATION
        ):
            return old.prepare()
        new = make_authentication(settings, self._reactor)
        ready = new.prepare() if new is not None else lambda: None

        def commit() -> None:
            ready()
            if old is not None:
                old.disownServiceParent()
            if new is not None:
                new.setServiceParent(self._service)
            self._parts.authentication = new
            self._parts.core.authenticate = new.refusal if new is not None else None
            self._guard(settings)

        return commit
