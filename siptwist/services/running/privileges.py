"""
What root gives up once the ports are open: its user, its groups, and the sight
of the file system.
"""

from __future__ import annotations

import os
import pwd
import shutil
import time
from pathlib import Path
from typing import Any, NamedTuple

from twisted.application.service import Service

from siptwist.errors import SIPTwistError
from siptwist.logs import logger

# What names are looked up by; they must be in the jail, too.
_LOOKED_UP_BY = ("etc/resolv.conf", "etc/hosts")


class PrivilegeError(SIPTwistError):
    """
    What was asked for by option ``key`` cannot be had; we do not run with more than that,
    nor as somebody else.
    """

    def __init__(self, key: str, value: str, text: str) -> None:
        super().__init__(f"{key} = {value}: {text}")
        self.key = key
        self.text = f"{value}: {text}"


class Account(NamedTuple):
    """
    A user of this system, with all of its groups.
    """

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]


def find_account(name: str) -> Account:
    """
    :raises PrivilegeError: when there is no such user.
    """
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        raise PrivilegeError("user", name, "there is no such user") from None
    groups = os.getgrouplist(name, found.pw_gid)
    return Account(name, found.pw_uid, found.pw_gid, tuple(sorted(set(groups))))


def check(user: str, jail: str, system: Any = os) -> None:
    """
    Whether the process may become that user and enter that jail, being who it is now.

    :raises PrivilegeError: when it may not, or there is no such user.
    """
    account = find_account(user) if user else None
    is_root = system.geteuid() == 0
    if jail and not is_root:
        raise PrivilegeError("chrootjail", jail, "only root can do that")
    if account is not None and not is_root and account.uid != system.geteuid():
        raise PrivilegeError(
            "user",
            user,
            "only root can become somebody else: start as root, or remove the line if "
            "whoever starts us (systemd, say) has chosen the user already",
        )


def become(account: Account, system: Any = os) -> None:
    """
    Be that user for good: real, effective and saved ids, and its groups only.

    :raises PrivilegeError: when something of root is left.
    """
    uid, gid = account.uid, account.gid
    try:
        system.setgroups(account.groups)
        if hasattr(system, "setresuid"):
            system.setresgid(gid, gid, gid)
            system.setresuid(uid, uid, uid)
        else:
            system.setgid(gid)
            system.setuid(uid)
    except OSError as error:
        raise PrivilegeError("user", account.name, str(error.strerror)) from error
    _verify(account, system)


def _verify(account: Account, system: Any) -> None:
    is_left = set(system.getgroups()) - {account.gid, *account.groups}
    if hasattr(system, "getresuid"):
        is_left |= set(system.getresuid()) - {account.uid}
        is_left |= set(system.getresgid()) - {account.gid}
    if account.uid and not is_left:
        try:
            system.setuid(0)
        except OSError:
            return
        is_left = {0}
    if is_left:
        raise PrivilegeError("user", account.name, "privileges of root are left")


def enter_jail(directory: str, system: Any = os) -> None:
    """
    See nothing but ``directory`` from now on.

    :raises PrivilegeError: when that cannot be.
    """
    time.localtime()  # The time zone is read once, while it can be.
    try:
        for name in _LOOKED_UP_BY:
            inside = Path(directory, name)
            if not inside.exists() and Path("/", name).exists():
                inside.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
                shutil.copyfile(Path("/", name), inside)
        system.chroot(directory)
        system.chdir("/")
    except OSError as error:
        raise PrivilegeError("chrootjail", directory, str(error.strerror)) from error


def make_place(path: str, account: Account | None, system: Any = os) -> None:
    """
    The folder of a file, made if it is missing, for that user.
    """
    place = Path(path).parent
    if place.exists():
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    place.mkdir(mode=0o700)
    if account is not None:
        system.chown(place, account.uid, account.gid)


class PrivilegeService(Service):
    """
    Gives up what root has, after everything else has opened its ports.

    :param state: the file that will be written afterward.
    """

    name = "privileges"
    _log = logger()

    def __init__(self, user: str, jail: str, state: str, system: Any = os) -> None:
        self._user = user
        self._jail = jail
        self._state = state
        self._system = system

    def privilegedStartService(self) -> None:
        """
        :raises PrivilegeError: when that cannot be.
        """
        super().privilegedStartService()
        check(self._user, self._jail, self._system)
        if self._system.geteuid() != 0:
            # We are that user already, or stay who we are.
            return
        account = find_account(self._user) if self._user else None
        if account or self._jail:
            # What is absolute is so within the jail.
            state = os.path.join(self._jail, self._state.lstrip("/")) if self._jail else self._state
            make_place(state, account, self._system)
        if self._jail:
            enter_jail(self._jail, self._system)
        if account is not None:
            become(account, self._system)
            self._log.info("Running as {user} from now on", user=account.name)
