"""
The console over SSH: a Python prompt inside the running proxy.

Needs ``siptwist[manhole]``; only imported when ``manhole_port`` is set.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from twisted.application.service import Service
from twisted.conch.checkers import IAuthorizedKeysDB, SSHPublicKeyChecker
from twisted.conch.manhole_ssh import ConchFactory
from twisted.conch.ssh.connection import SSHConnection
from twisted.conch.ssh.keys import BadKeyError, EncryptedKeyError, Key
from twisted.conch.ssh.transport import SSHServerTransport
from twisted.conch.ssh.userauth import SSHUserAuthServer
from twisted.cred.portal import Portal
from twisted.internet.error import CannotListenError
from twisted.logger import ILogObserver, LogEvent, Logger, LogLevel, globalLogPublisher
from twisted.protocols.policies import ThrottlingFactory
from zope.interface import implementer

from siptwist import logs
from siptwist.errors import ConfigError, Problem, SIPTwistError
from siptwist.services.console.shell import Visitors

HOST = "127.0.0.1"

#: Connections at once; whoever has a shell on this machine can open some.
CONNECTIONS = 16

_LARGEST_FILE = 1024 * 1024
_AUTHORIZED = "manhole_authorized_keys"
_HOST_KEY = "manhole_host_key"


@implementer(ILogObserver)
def _note(event: LogEvent) -> None:
    """
    conch tells a login in twenty lines; log them only on demand, or for a bug.
    """
    if event["log_level"] is LogLevel.critical or logs.is_debugged(__name__):
        globalLogPublisher(event)


_detail = Logger(observer=_note)


class Transport(SSHServerTransport):
    _log = _detail


class Login(SSHUserAuthServer):
    _log = _detail


class Connection(SSHConnection):
    _log = _detail


class Factory(ConchFactory):
    """
    Serves SSH, quietly.
    """

    _log = _detail
    noisy = False
    protocol = Transport
    services = {b"ssh-userauth": Login, b"ssh-connection": Connection}


class ManholeService(Service):
    """
    Listens for SSH on 127.0.0.1, and lets the owners of some keys in.

    :param names: what can be called at the prompt.
    :param authorized_keys: the file of the keys, as OpenSSH has it; read again
        at each login.
    :param host_key: the file of our own key; made when it is not there.
    """

    name = "manhole"
    _log = logs.logger()

    def __init__(
        self,
        reactor: Any,
        port: int,
        names: Mapping[str, object],
        authorized_keys: str,
        host_key: str,
    ) -> None:
        self._reactor = reactor
        self._port = port
        self._keys = AuthorizedKeys(authorized_keys)
        self._path = host_key
        self._host_key: Key
        self._is_new = False
        portal = Portal(Visitors(names), [SSHPublicKeyChecker(self._keys)])
        self._factory: Any = Factory(portal)
        self._listening: Any = None

    def read(self) -> None:
        """
        Read the keys.

        :raises ConfigError: when they cannot be used, or nobody could log in.
        """
        self._keys.read()
        key = read_host_key(self._path)
        self._is_new = key is None
        self._host_key = key or Key(Ed25519PrivateKey.generate())

    def privilegedStartService(self) -> None:
        """
        Read the keys while we may, and bind the port.

        :raises SIPTwistError: when that cannot be.
        """
        super().privilegedStartService()
        self.read()
        self._factory.privateKeys = {self._host_key.sshType(): self._host_key}
        self._factory.publicKeys = {self._host_key.sshType(): self._host_key.public()}
        limited = ThrottlingFactory(self._factory, maxConnectionCount=CONNECTIONS)
        limited.noisy = False
        try:
            self._listening = self._reactor.listenTCP(self._port, limited, interface=HOST)
        except CannotListenError as error:
            raise SIPTwistError(
                f"manhole_port: cannot bind {HOST}:{self._port} (TCP): {error.socketError}"
            ) from error

    def startService(self) -> None:
        """
        Keep our key, when it is new, as the user that we run as.

        :raises ConfigError: when it cannot be written.
        """
        super().startService()
        if self._is_new:
            write_host_key(self._path, self._host_key)
            self._is_new = False
            self._log.info("Made the key of the console: {path}", path=self._path)

    def stopService(self) -> Any:
        super().stopService()
        listening, self._listening = self._listening, None
        return None if listening is None else listening.stopListening()


@implementer(IAuthorizedKeysDB)
class AuthorizedKeys:
    """
    The keys in a file like ``~/.ssh/authorized_keys``.  Lines with options in
    front of the key are not understood, and let nobody in.
    """

    _log = logs.logger()

    def __init__(self, path: str) -> None:
        self._path = path

    def read(self) -> list[Key]:
        """
        The keys, as the file is now.

        :raises ConfigError: when it cannot be read, could have been written by
            others, or has no key.
        """
        try:
            with open(self._path, "rb") as file:
                if os.fstat(file.fileno()).st_mode & 0o022:
                    raise _unusable(self._path, _AUTHORIZED, "others may write to it: chmod go-w")
                lines = file.read(_LARGEST_FILE).splitlines()
        except OSError as error:
            raise _unreadable(self._path, _AUTHORIZED, error) from error
        found = [self._parse(number, line.strip()) for number, line in enumerate(lines, 1)]
        keys = [key for key in found if key is not None]
        if not keys:
            raise _unusable(self._path, _AUTHORIZED, "there is no public key in it")
        return keys

    def _parse(self, number: int, line: bytes) -> Key | None:
        if not line or line.startswith(b"#"):
            return None
        try:
            key: Key = Key.fromString(line, type="public_openssh")
        except Exception:
            # Whatever conch raises: the line is not a key that it knows.
            self._log.warn(
                "{path}:{number}: not a public key, or one with options before it; passed over",
                path=self._path,
                number=number,
            )
            return None
        return key

    def getAuthorizedKeys(self, username: bytes) -> list[Key]:
        """
        The keys of everybody: the name given at login does not matter.
        """
        try:
            return self.read()
        except ConfigError as error:
            self._log.error("Nobody can log in to the console: {error}", error=str(error))
            return []


def read_host_key(path: str) -> Key | None:
    """
    Our private key; ``None`` when there is none yet.

    :raises ConfigError: when it is not for our eyes only, or no key.
    """
    try:
        with open(path, "rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                raise _unusable(path, _HOST_KEY, "others may read it: chmod go=")
            key: Key = Key.fromString(file.read(_LARGEST_FILE), type="private_openssh")
        return key
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, _HOST_KEY, error) from error
    except EncryptedKeyError as error:
        raise _unusable(path, _HOST_KEY, "it is encrypted with a passphrase") from error
    except (BadKeyError, ValueError, IndexError) as error:
        raise _unusable(path, _HOST_KEY, "it is not a private key of OpenSSH") from error


def write_host_key(path: str, key: Key) -> None:
    """
    Keep a private key, for our eyes only.

    :raises ConfigError: when it cannot be written.
    """
    draft = f"{path}.new"
    try:
        os.makedirs(os.path.dirname(os.path.abspath(path)), mode=0o700, exist_ok=True)
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(key.toString("openssh", comment=f"siptwist on {socket.gethostname()}"))
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError as error:
        raise _unusable(path, _HOST_KEY, f"cannot be written: {error.strerror}") from error


def _unusable(path: str, key: str, text: str) -> ConfigError:
    return ConfigError((Problem(path, 0, key, text),))


def _unreadable(path: str, key: str, error: OSError) -> ConfigError:
    return _unusable(path, key, f"cannot be read: {error.strerror}")
