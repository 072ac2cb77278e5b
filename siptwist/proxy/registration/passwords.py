"""
Who has which password: the file of users and what it may hold.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from siptwist.errors import ConfigError, Problem
from siptwist.sip.digest import ALGORITHMS, ha1

_COMMENT = re.compile(r"(?:^|[ \t])#.*")
_BASES = {algorithm.lower(): algorithm for algorithm in ALGORITHMS}
_HEX_LENGTH = {"MD5": 32, "SHA-256": 64, "SHA-512-256": 64}
_HEX = re.compile(r"[0-9A-Fa-f]+")


@dataclass(frozen=True, slots=True)
class Secret:
    """
    What proves a user: a password, or the HA1 hashes made of it for a realm.

    Its repr tells nothing, so that it may stand in a log or a traceback.
    """

    password: str | None = field(default=None, repr=False)
    hashes: Mapping[tuple[str, str], str] = field(default_factory=dict, repr=False)

    def ha1(self, algorithm: str, user: str, realm: str) -> str | None:
        """
        HA1 by ``algorithm``, or None when only another algorithm's is known.
        """
        base = algorithm.removesuffix("-sess")
        if self.password is not None:
            return ha1(base, user, realm, self.password)
        return self.hashes.get((realm, base))


def parse_passwords(text: str, file: str) -> dict[str, Secret]:
    """
    Read a file of users, one a line: ``user password``, or ``user realm algorithm
    hash`` where the hash is the hexadecimal HA1 and a user may have one line for
    each algorithm.  ``#`` at the start of a line or after a blank is a comment.

    :param file: its name, for problems.
    :raises ConfigError: with every problem; no problem shows a password.
    """
    users: dict[str, Secret] = {}
    problems: list[Problem] = []
    for number, line in enumerate(text.removeprefix("\ufeff").splitlines(), 1):
        words = _COMMENT.sub("", line).split()
        problem = _take_line(users, words) if words else ""
        if problem:
            problems.append(Problem(file, number, "", problem))
    if problems:
        raise ConfigError(tuple(problems))
    return users


def usable_algorithms(
    secrets: Iterable[Secret], realm: str, wanted: Iterable[str]
) -> tuple[str, ...]:
    """
    Those of ``wanted`` by which every user can be verified.

    A phone answers the first algorithm that it knows (RFC 8760 section 2.6); one
    that a user has no hash for would lock that user out.
    """
    hashed = [secret for secret in secrets if secret.password is None]
    return tuple(
        algorithm
        for algorithm in wanted
        if all(secret.ha1(algorithm, "", realm) for secret in hashed)
    )


def _take_line(users: dict[str, Secret], words: list[str]) -> str:
    """
    Add one line to ``users``; the problem with it, or nothing.
    """
    user = words[0]
    known = users.get(user)
    if len(words) == 2:
        if known is not None:
            return f"{user!r} is given twice"
        users[user] = Secret(password=words[1])
        return ""
    if len(words) < 4:
        return "expected 'user password' or 'user realm algorithm hash'"
    realm, algorithm, digest = " ".join(words[1:-2]), words[-2], words[-1]
    base = _BASES.get(algorithm.lower())
    if base is None:
        return f"the third word is no algorithm; known are {', '.join(ALGORITHMS)}"
    if len(digest) != _HEX_LENGTH[base] or _HEX.fullmatch(digest) is None:
        return f"a {base} hash has {_HEX_LENGTH[base]} hexadecimal digits"
    hashes = {} if known is None else dict(known.hashes)
    if (known is not None and known.password is not None) or (realm, base) in hashes:
        return f"{user!r} is given twice"
    hashes[realm, base] = digest.lower()
    users[user] = Secret(hashes=hashes)
    return ""
