"""
Tests for siptwist.services.console.manhole.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.conch.checkers import IAuthorizedKeysDB
from twisted.conch.interfaces import IConchUser
from twisted.conch.ssh.keys import Key
from twisted.cred.credentials import SSHPrivateKey, UsernamePassword
from twisted.cred.error import UnauthorizedLogin, UnhandledCredentials
from twisted.internet.error import CannotListenError
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from siptwist import logs
from siptwist.errors import ConfigError, SIPTwistError
from siptwist.services.console.manhole import AuthorizedKeys, ManholeService


def new_key() -> Key:
    return Key(Ed25519PrivateKey.generate())


def line(key: Key) -> bytes:
    return bytes(key.public().toString("openssh", comment="somebody"))


class ManholeCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.events: list[Any] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)
        self.directory = Path(self.mktemp())
        self.directory.mkdir()
        self.operator, self.stranger = new_key(), new_key()
        self.keys = self.directory / "keys"
        self.keys.write_bytes(line(self.operator))
        self.keys.chmod(0o600)
        self.host_key = self.directory / "state" / "host_key"
        self.reactor = MemoryReactorClock()

    def service(self) -> ManholeService:
        return ManholeService(self.reactor, 2222, {}, str(self.keys), str(self.host_key))

    def start(self) -> ManholeService:
        service = self.service()
        service.privilegedStartService()
        service.startService()
        self.addCleanup(service.stopService)
        return service

    def refuse(self) -> str:
        """
        Why the service does not start.
        """
        service = self.service()
        error = self.assertRaises(SIPTwistError, service.privilegedStartService)
        self.assertEqual(self.reactor.tcpServers, [])
        return str(error)

    def log_in(self, service: ManholeService, credentials: Any) -> Any:
        return service._factory.portal.login(credentials, None, IConchUser)

    def with_key(self, key: Key, signed: bytes = b"data") -> SSHPrivateKey:
        return SSHPrivateKey(
            b"anybody", key.sshType(), key.public().blob(), b"data", key.sign(signed)
        )


class ListeningTests(ManholeCase):
    def test_loopback(self) -> None:
        """
        The console can be reached from this machine only.
        """
        self.start()
        [(port, _, _, interface)] = self.reactor.tcpServers
        self.assertEqual((port, interface), (2222, "127.0.0.1"))

    def test_taken(self) -> None:
        """
        A port that another program has fails the start.
        """

        def listenTCP(port: int, factory: object, interface: str = "") -> None:
            raise CannotListenError(interface, port, OSError("in use"))

        self.reactor.listenTCP = listenTCP
        self.assertIn("manhole_port: cannot bind 127.0.0.1:2222", self.refuse())

    def test_stopped(self) -> None:
        """
        A stopped console listens no more, and may be stopped again.
        """
        service = self.start()
        service.stopService()
        self.assertIsNone(service.stopService())

    def test_crowd(self) -> None:
        """
        Other users of this machine cannot use up our file descriptors.
        """
        self.start()
        factory = self.reactor.tcpServers[0][1]
        factory.doStart()
        built = [factory.buildProtocol(None) for _ in range(100)]
        self.assertEqual(sum(one is not None for one in built), 16)

    def test_quiet(self) -> None:
        """
        What conch says about each login is logged on demand, and about bugs always.
        """
        self.addCleanup(logs.set_level, "info")
        factory = self.start()._factory
        factory.doStart()
        protocol = factory.buildProtocol(None)
        self.events.clear()
        protocol._log.error("noise")
        protocol._log.critical("bug")
        logs.set_level("debug", "siptwist.services.console.manhole")
        protocol._log.debug("detail")
        self.assertEqual([event["log_format"] for event in self.events], ["bug", "detail"])


class LoginTests(ManholeCase):
    def test_key(self) -> None:
        """
        Who has the key gets in, by any name.
        """
        self.successResultOf(self.log_in(self.start(), self.with_key(self.operator)))

    def test_stranger(self) -> None:
        """
        Another key, and a forged signature, do not get in.
        """
        service = self.start()
        for credentials in (self.with_key(self.stranger), self.with_key(self.operator, b"other")):
            self.failureResultOf(self.log_in(service, credentials), UnauthorizedLogin)

    def test_password(self) -> None:
        """
        There are no passwords.
        """
        login = self.log_in(self.start(), UsernamePassword(b"root", b"root"))
        self.failureResultOf(login, UnhandledCredentials)

    def test_changed(self) -> None:
        """
        A key taken out of the file, or put in, counts from the next login on.
        """
        service = self.start()
        self.keys.write_bytes(line(self.stranger))
        self.successResultOf(self.log_in(service, self.with_key(self.stranger)))
        login = self.log_in(service, self.with_key(self.operator))
        self.failureResultOf(login, UnauthorizedLogin)

    def test_gone(self) -> None:
        """
        When the file is gone nobody gets in, and the log says why.
        """
        service = self.start()
        self.keys.unlink()
        login = self.log_in(service, self.with_key(self.operator))
        self.failureResultOf(login, UnauthorizedLogin)
        self.assertIn("No such file", str(self.events[-1]["error"]))


class AuthorizedKeysTests(ManholeCase):
    def test_interface(self) -> None:
        """
        It is what conch asks for keys.
        """
        self.assertTrue(verifyObject(IAuthorizedKeysDB, AuthorizedKeys(str(self.keys))))

    def test_comments(self) -> None:
        """
        Comments and empty lines are no keys.
        """
        self.keys.write_bytes(b"# ours\n\n" + line(self.operator) + b"\r\n" + line(self.stranger))
        keys = AuthorizedKeys(str(self.keys)).read()
        self.assertEqual(keys, [self.operator.public(), self.stranger.public()])
        self.assertEqual(self.events, [])

    def test_malformed(self) -> None:
        """
        A line that is not understood lets nobody in, is named once read, and
        does not shut the others out.
        """
        bad = [b"hello", b"ssh-ed25519", b"ssh-ed25519 !!!", b"\xff\x00", line(self.operator)[:40]]
        bad.append(b'from="192.0.2.1" ' + line(self.stranger))
        self.keys.write_bytes(b"\n".join([*bad, line(self.operator)]))
        self.assertEqual(AuthorizedKeys(str(self.keys)).read(), [self.operator.public()])
        warned = [event["number"] for event in self.events if event["log_level"] is LogLevel.warn]
        self.assertEqual(warned, list(range(1, len(bad) + 1)))

    def test_private(self) -> None:
        """
        A private key in the file is not a public one.
        """
        self.keys.write_bytes(self.operator.toString("openssh"))
        self.assertRaises(ConfigError, AuthorizedKeys(str(self.keys)).read)

    def test_unusable(self) -> None:
        """
        A file without keys, one that others may write to, and none at all fail
        the start.
        """
        self.keys.write_bytes(b"# none\n")
        self.assertIn("there is no public key in it", self.refuse())
        self.keys.write_bytes(line(self.operator))
        self.keys.chmod(0o620)
        self.assertIn("others may write to it", self.refuse())
        self.keys.unlink()
        self.assertIn("manhole_authorized_keys: cannot be read: No such file", self.refuse())


class HostKeyTests(ManholeCase):
    def test_made(self) -> None:
        """
        The key of the console is made at the first start, for our eyes only,
        whatever the umask.
        """
        self.addCleanup(os.umask, os.umask(0))
        self.start()
        self.assertEqual(self.host_key.stat().st_mode & 0o777, 0o600)
        self.assertEqual([path.name for path in self.host_key.parent.iterdir()], ["host_key"])

    def test_kept(self) -> None:
        """
        The next start uses the same key.
        """
        first = self.start()._factory.publicKeys
        before = self.host_key.read_bytes()
        self.assertEqual(self.start()._factory.publicKeys, first)
        self.assertEqual(self.host_key.read_bytes(), before)

    def test_not_written(self) -> None:
        """
        A key that cannot be written fails the start.
        """
        self.host_key.parent.write_text("a file")
        self.assertIn("cannot be", str(self.assertRaises(ConfigError, self.start)))

    def test_malformed(self) -> None:
        """
        A file that is no private key, or could be read by others, fails the start.
        """
        self.host_key.parent.mkdir()
        for text in (b"", b"key", line(self.operator), b"-----BEGIN OPENSSH PRIVATE KEY-----\n"):
            self.host_key.write_bytes(text)
            self.host_key.chmod(0o600)
            self.assertIn("manhole_host_key", self.refuse())
        self.host_key.write_bytes(self.operator.toString("openssh"))
        self.host_key.chmod(0o640)
        self.assertIn("others may read it", self.refuse())

    def test_encrypted(self) -> None:
        """
        A key with a passphrase cannot be used.
        """
        self.host_key.parent.mkdir()
        self.host_key.write_bytes(self.operator.toString("openssh", passphrase=b"secret"))
        self.host_key.chmod(0o600)
        self.assertIn("passphrase", self.refuse())
