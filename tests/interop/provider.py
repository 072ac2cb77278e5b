"""
The outside world: telephone providers (Kamailio) and their names (dnsmasq).
"""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

from tests.interop.bed import RESOLVER, Bed

DOMAINS = {"example.net": "203.0.113.11", "example.org": "203.0.113.12"}
USERS = ("alice", "bob", "carol", "dave")
_MODULES = next(Path("/usr/lib").glob("*/kamailio/modules"), Path("/usr/lib"))


def password(user: str, domain: str) -> str:
    """
    What a user of a provider signs in with.
    """
    return f"{user}-{domain}-secret"


class Provider:
    """
    Kamailio as registrar and proxy of one domain.
    """

    def __init__(self, bed: Bed, domain: str = "example.net") -> None:
        self._bed = bed
        self.domain = domain
        self.address = DOMAINS[domain]
        self._control = bed.directory / f"{domain}.control"
        config = bed.directory / f"{domain}.cfg"
        config.write_text(self._config())
        words = ["kamailio", "-DD", "-E", "-f", str(config), "-m", "64", "-M", "8"]
        self.program = bed.start(
            self.address, f"kamailio-{domain}", *words, "-Y", str(bed.directory)
        )
        self.program.wait_for("Aliases:", seconds=10)

    def bindings(self, user: str) -> list[str]:
        """
        The Contact URIs that it would call for a user now.
        """
        return self._listing().get(user, [])

    def add(self, user: str, contact: str) -> None:
        """
        Have a user called there, too, without a registration.
        """
        # Expires, q, Path (not used, but not to be left out), flags and methods.
        words = ["60", "1.0", ".", "0", "0", "8159"]
        self._ask("ul.add", "location", user, contact, *words)

    def forget(self) -> None:
        """
        Remove every binding, as phones that were cut off leave some behind.
        """
        for user in self._listing():
            self._ask("ul.rm", "location", user)

    def _listing(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for chunk in re.split(r"\bAoR: ", self._ask("ul.dump"))[1:]:
            user = chunk.split("\n", 1)[0].strip()
            found[user] = re.findall(r"Address: (\S+)", chunk)
        return found

    def _ask(self, *words: str) -> str:
        return self._bed.run(self.address, "kamcmd", "-s", f"unix:{self._control}", *words)

    def _config(self) -> str:
        users = "".join(
            f'\t$sht(users=>{user}) = "{password(user, self.domain)}";\n' for user in USERS
        )
        text = (Path(__file__).parent / "kamailio.cfg").read_text()
        for name, value in (
            ("DOMAIN", self.domain),
            ("ADDRESS", self.address),
            ("MODULES", str(_MODULES)),
            ("CONTROL", str(self._control)),
            ("USERS", users),
        ):
            text = text.replace(f"@{name}@", value)
        return text


class Names:
    """
    dnsmasq with the addresses and SRV records of both providers.
    """

    def __init__(self, bed: Bed) -> None:
        config = bed.directory / "dnsmasq.conf"
        self._moving = bed.directory / "hosts"
        self._moving.touch()
        lines = [f"listen-address={RESOLVER}", "bind-interfaces", "no-resolv", "no-hosts"]
        lines += [f"addn-hosts={self._moving}"]
        for domain, address in DOMAINS.items():
            lines += [
                f"local=/{domain}/",
                f"host-record={domain},{address}",
                f"host-record=sip.{domain},{address}",
                f"srv-host=_sip._udp.{domain},sip.{domain},5060,10,10",
                f"srv-host=_sip._tcp.{domain},sip.{domain},5060,10,10",
            ]
        config.write_text("\n".join([*lines, "log-queries", ""]))
        words = [
            "dnsmasq",
            "--keep-in-foreground",
            "--user=root",
            "--log-facility=-",
            "--pid-file=",
        ]
        self.program = bed.start(RESOLVER, "dnsmasq", *words, f"--conf-file={config}")
        self.program.wait_for("started")

    def point(self, name: str, address: str) -> None:
        """
        Give a name an address, which it keeps until it is given another one.
        """
        self._moving.write_text(f"{address} {name}\n")
        mark = self.program.mark()
        os.kill(self.program.pid, signal.SIGHUP)
        self.program.wait_for(f"read {self._moving}", since=mark)
