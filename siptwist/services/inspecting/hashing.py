"""
``--hash-password``: lines for the file of passwords that hold no password.
"""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable
from typing import TextIO

from siptwist.errors import SIPTwistError
from siptwist.sip.digest import ALGORITHMS, ha1

Ask = Callable[[str], str]


def entries(user: str, realm: str, password: str) -> list[str]:
    """
    A line for each algorithm.

    :raises SIPTwistError: for what the file could not hold.
    """
    if not user or any(one.isspace() for one in user) or user.startswith("#"):
        raise SIPTwistError("a user is one word")
    if not realm or not realm.isprintable() or "#" in realm or realm != " ".join(realm.split()):
        raise SIPTwistError("a realm is text without '#', as in proxy_auth_realm")
    if not password:
        raise SIPTwistError("the password is empty")
    return [
        f"{user} {realm} {algorithm} {ha1(algorithm, user, realm, password)}"
        for algorithm in ALGORITHMS
    ]


def hash_password(
    realm: str,
    out: TextIO,
    ask: Ask | None = None,
    ask_secretly: Ask = getpass.getpass,
) -> None:
    """
    Ask for a user and a password, which is not shown, and write the lines.

    :param realm: what is offered for one, from the configuration.
    :raises SIPTwistError: when the answers cannot be used.
    """
    ask = ask or _ask
    user = ask("User: ").strip()
    realm = ask(f"Realm [{realm}]: " if realm else "Realm: ").strip() or realm
    password = ask_secretly("Password: ")
    if ask_secretly("Password again: ") != password:
        raise SIPTwistError("these are two passwords")
    for line in entries(user, realm, password):
        out.write(f"{line}\n")


def _ask(prompt: str) -> str:
    # Not input(): its prompt would be among the lines.
    sys.stderr.write(prompt)
    sys.stderr.flush()
    return sys.stdin.readline()
