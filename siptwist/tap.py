"""
``twistd siproxy``: its command line, and the service it makes.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Callable

from twisted.application.service import IService
from twisted.python import usage

from siptwist import config, logs
from siptwist.composition import compose, make_ssh
from siptwist.config import Settings
from siptwist.errors import ConfigError, Problem, SIPTwistError
from siptwist.making import make_authentication
from siptwist.net import addresses
from siptwist.operation import Operation
from siptwist.plugins.loading import configure
from siptwist.services.inspecting.checking import explain, this_machine, warnings
from siptwist.services.inspecting.hashing import hash_password
from siptwist.services.inspecting.migrating import Migration
from siptwist.services.running import privileges
from siptwist.services.running.privileges import PrivilegeError

# Where siproxd looks when it is not told; the first that can be read wins.
SEARCH_PATH = (
    "~/.siproxdrc",
    "/etc/siproxd.conf",
    "/etc/siproxd/siproxd.conf",
    "/usr/etc/siproxd.conf",
    "/usr/local/etc/siproxd.conf",
)


class Options(usage.Options):
    """
    The command line of ``twistd siproxy``.
    """

    synopsis = "[options]"
    longdesc = "A masquerading SIP proxy, registrar and RTP relay; reads siproxd.conf."
    optParameters = [
        ["config", "c", None, "configuration file (else ~/.siproxdrc, /etc/siproxd.conf, ...)"],
        ["migrate", None, None, "say what there is of siproxd in this folder, and exit"],
    ]
    optFlags = [
        ["check", None, "say what the configuration means and what is wrong with it, and exit"],
        ["hash-password", None, "ask for a password, write lines that do not hold it, and exit"],
    ]
    compData = usage.Completions(
        optActions={"config": usage.CompleteFiles("*.conf"), "migrate": usage.CompleteDirs()}
    )

    path: str
    settings: Settings
    chosen: addresses.Chosen

    def postOptions(self) -> None:
        """
        Read the configuration; whatever is wrong ends the start here, with
        status 1 and nothing half started.
        """
        try:
            self._ask()
            self.path = os.path.abspath(self["config"] or _found())
            self.settings = read(self["config"] or self.path)
            if self["check"]:
                _check(self.settings)
            else:
                _look_at_user(self.settings)
            self.chosen = self.find()
        except SIPTwistError as error:
            sys.stderr.write(f"{error}\n")
            raise SystemExit(1) from error
        if self["check"]:
            for line in (*explain(self.settings), *map(str, self.settings.notes)):
                sys.stdout.write(f"{line}\n")
            for line in self.warnings():
                sys.stdout.write(f"warning: {line}\n")
            sys.stdout.write("The configuration can be used.\n")
            raise SystemExit(0)

    def _ask(self) -> None:
        """
        What needs no configuration, and starts nothing.
        """
        if self["migrate"]:
            migration = Migration(self["migrate"], read, time.time())
            for line in migration.report():
                sys.stdout.write(f"{line}\n")
            raise SystemExit(0 if migration.is_good else 1)
        if self["hash-password"]:
            hash_password(_realm(self["config"]), sys.stdout)
            raise SystemExit(0)

    def warnings(self) -> list[str]:
        """
        What the configuration is likely to be regretted for, here and now.
        """
        found = warnings(self.settings, self.chosen, this_machine())
        if not self["check"]:
            return found
        try:
            _look_at_user(self.settings)
        except SIPTwistError as error:
            # Somebody else may look at the file than the one who will start us.
            found.append(str(error))
        return [*self.chosen.problems, *found]

    def find(self) -> addresses.Chosen:
        """
        The interfaces to use, as they are now.
        """
        return addresses.find(self.settings.if_inbound, self.settings.if_outbound)


def _found() -> str:
    for name in SEARCH_PATH:
        path = os.path.expanduser(name)
        if os.access(path, os.R_OK):
            return path
    raise ConfigError(
        (Problem("siproxy", 0, "--config", f"no file given, and none of {SEARCH_PATH} is there"),)
    )


def _realm(path: str | None) -> str:
    """
    The realm that a configuration has, if there is one that can be used.
    """
    try:
        return read(path or _found()).proxy_auth_realm
    except SIPTwistError:
        return ""


def read(path: str) -> Settings:
    """
    Read a configuration file.

    :raises ConfigError: with everything that is wrong.
    """
    try:
        with open(path, encoding="utf-8", errors="surrogateescape", newline="") as file:
            text = file.read()
    except OSError as error:
        raise ConfigError((Problem(path, 0, "", f"cannot be read: {error.strerror}"),)) from error
    return config.parse(text, path, configure)


def _look_at_user(settings: Settings) -> None:
    """
    Whether we can become who the file wants us to be.

    :raises ConfigError: with the line, when we cannot.
    """
    try:
        privileges.check(settings.user, settings.chrootjail)
    except PrivilegeError as error:
        where = settings.origins.get(error.key, "siproxd.conf")
        raise ConfigError((Problem(where, 0, error.key, error.text),)) from None


def _check(settings: Settings) -> None:
    """
    What ``--check`` looks at beyond the file itself.

    :raises SIPTwistError: with everything that is wrong.
    """
    checks: list[Callable[[], object]] = []
    authentication = make_authentication(settings, None)
    if authentication is not None and settings.proxy_auth_pwfile:
        checks.append(authentication.read)
    if settings.manhole_port:
        checks.append(lambda: make_ssh(settings, {}, None).read())
    problems = []
    for check in checks:
        try:
            check()
        except SIPTwistError as error:
            problems.append(str(error))
    if problems:
        raise SIPTwistError("\n".join(problems))


def makeService(options: Options) -> IService:
    """
    What twistd runs.
    """
    from twisted.internet import reactor

    logs.set_debug_level(options.settings.debug_level)
    try:
        service, parts = compose(options.settings, options.chosen, reactor, options.find)
        Operation(service, parts, reactor, lambda: read(options.path)).join(options.warnings())
    except SIPTwistError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(1) from error
    calm_collector()
    return service


def calm_collector() -> None:
    """
    What is loaded by now stays: the garbage collector need not look at it
    again.  It looks at the young less often, for a call leaves few cycles, and
    a look at everything would stop all calls for a moment.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 100)
