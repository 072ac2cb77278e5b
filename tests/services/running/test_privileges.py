"""
Tests for siptwist.services.running.privileges: nothing of root is left.
"""

from __future__ import annotations

import os
import pwd
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from siptwist.services.running.privileges import (
    Account,
    PrivilegeError,
    PrivilegeService,
    become,
    find_account,
)

NOBODY = Account("nobody", 65534, 65534, (65534, 100))


class FakeSystem:
    """
    Ids as the kernel keeps them; in ``stuck`` are those that do not change.
    """

    def __init__(self, uid: int = 0, stuck: str = "") -> None:
        self.uids, self.gids, self.groups = [uid] * 3, [uid] * 3, [0, 1, 2]
        self.stuck = stuck
        self.root = "/"

    def geteuid(self) -> int:
        return self.uids[1]

    def setgroups(self, groups: Any) -> None:
        if self.stuck != "groups":
            self.groups = list(groups)

    def setresgid(self, *gids: int) -> None:
        self.gids = list(gids)

    def setresuid(self, *uids: int) -> None:
        if self.stuck == "refused":
            raise PermissionError(1, "Operation not permitted")
        self.uids = [0, *uids[1:]] if self.stuck == "real" else list(uids)

    def setuid(self, uid: int) -> None:
        if 0 not in self.uids and self.stuck != "kept":
            raise PermissionError(1, "Operation not permitted")

    def getgroups(self) -> list[int]:
        return self.groups

    def getresuid(self) -> tuple[int, ...]:
        return tuple(self.uids)

    def getresgid(self) -> tuple[int, ...]:
        return tuple(self.gids)

    def chroot(self, path: str) -> None:
        self.root = path

    def chdir(self, path: str) -> None:
        self.cwd = path

    def chown(self, path: Any, uid: int, gid: int) -> None:
        self.owned = (str(path), uid, gid)


class BecomeTests(SynchronousTestCase):
    def test_all_ids(self) -> None:
        """
        Real, effective and saved ids and the groups are the user's (siproxd's fault S7:
        only the effective id changed, and root's groups stayed).
        """
        system = FakeSystem()
        become(NOBODY, system)
        self.assertEqual((system.uids, system.gids), ([65534] * 3, [65534] * 3))
        self.assertEqual(sorted(system.groups), [100, 65534])

    def test_something_is_left(self) -> None:
        """
        When the system refuses, or something of root is left, we do not go on (siproxd's
        fault S7: it stayed root and said nothing).
        """
        for stuck in ("refused", "real", "groups", "kept"):
            error = self.assertRaises(PrivilegeError, become, NOBODY, FakeSystem(stuck=stuck))
            self.assertIn("user = nobody: ", str(error))

    def test_unknown_user(self) -> None:
        """
        A user who does not exist is no reason to stay root (siproxd's fault S7).
        """
        error = self.assertRaises(PrivilegeError, find_account, "no-such-user")
        self.assertEqual(str(error), "user = no-such-user: there is no such user")

    def test_account(self) -> None:
        """
        A user comes with its groups.
        """
        me = pwd.getpwuid(os.getuid())
        found = find_account(me.pw_name)
        self.assertEqual((found.uid, found.gid), (me.pw_uid, me.pw_gid))
        self.assertIn(me.pw_gid, found.groups)


class PrivilegeServiceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.directory = Path(self.mktemp()).resolve()
        self.directory.mkdir()
        self.state = str(self.directory / "var" / "lib" / "registrations")

    def start(self, system: FakeSystem, user: str = "", jail: str = "") -> None:
        PrivilegeService(user, jail, self.state, system).privilegedStartService()

    def test_nothing_asked(self) -> None:
        """
        Without user nothing changes, and no folder is made.
        """
        system = FakeSystem()
        self.start(system)
        self.assertEqual((system.uids, list(self.directory.iterdir())), ([0] * 3, []))

    def test_place_of_the_state(self) -> None:
        """
        The folder for registrations is made for the user, who could not make it.
        """
        system = FakeSystem()
        self.start(system, user="nobody")
        account = find_account("nobody")
        place = str(Path(self.state).parent)
        self.assertEqual(system.owned, (place, account.uid, account.gid))
        self.assertEqual(system.uids, [account.uid] * 3)

    def test_jail(self) -> None:
        """
        The jail is entered before root is left, and names can be looked up in it.
        """
        jail = str(self.directory / "jail")
        os.mkdir(jail)
        system = FakeSystem()
        self.state = "/lib/registrations"
        self.start(system, user="nobody", jail=jail)
        self.assertEqual((system.root, system.cwd), (jail, "/"))
        self.assertTrue(Path(jail, "etc", "resolv.conf").exists())
        self.assertTrue(Path(jail, "lib").is_dir())

    def test_no_jail(self) -> None:
        """
        A jail that is not there, or that only root could make, stops the start.
        """

        class Missing(FakeSystem):
            def chroot(self, path: str) -> None:
                raise FileNotFoundError(2, "No such file or directory")

        text = "chrootjail = /no/jail: "
        self.state = f"{self.directory}/registrations"
        for system in (Missing(), FakeSystem(1000)):
            error = self.assertRaises(PrivilegeError, self.start, system, "", "/no/jail")
            self.assertIn(text, str(error))

    def test_somebody_else(self) -> None:
        """
        Who is neither root nor the user does not start (siproxd's fault S7: it ran on as
        whoever it was), and hears what can be done.
        """
        system = FakeSystem(1000)
        error = self.assertRaises(PrivilegeError, self.start, system, "nobody")
        self.assertEqual(error.key, "user")
        self.assertIn(
            "user = nobody: only root can become somebody else: start as root, ", str(error)
        )
        self.assertIn("or remove the line", error.text)
        self.assertEqual(system.uids, [1000] * 3)
        self.assertEqual(list(self.directory.iterdir()), [])

    def test_already(self) -> None:
        """
        Who is that user already, as systemd's User= has it, starts, and nothing changes.
        """
        uid = find_account("nobody").uid
        system = FakeSystem(uid)
        groups = list(system.groups)
        self.start(system, user="nobody")
        self.assertEqual((system.uids, system.groups), ([uid] * 3, groups))

    def test_nobody_asked(self) -> None:
        """
        Without the line whoever starts us is fine.
        """
        system = FakeSystem(1000)
        self.start(system)
        self.assertEqual(system.uids, [1000] * 3)

    def test_unknown(self) -> None:
        """
        An unknown user is refused, whoever starts us.
        """
        for uid in (0, 1000):
            error = self.assertRaises(PrivilegeError, self.start, FakeSystem(uid), "no-such-user")
            self.assertEqual(error.text, "no-such-user: there is no such user")
