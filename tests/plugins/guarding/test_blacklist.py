"""
Tests of :mod:`siptwist.plugins.guarding.blacklist`.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from zope.interface.verify import verifyObject

from siptwist.errors import ConfigError, SIPTwistError
from siptwist.plugins.guarding.blacklist import Blacklist, BlacklistOptions, is_attack
from siptwist.plugins.stages import ILifetime, IPostProxy, IResponse, ITimer, IValidate
from siptwist.sip.digest import Challenge, ha1, ha2, response
from siptwist.sip.hop import Side
from siptwist.sip.message import Response
from tests.net.guarding.test_offenses import SIPROXD
from tests.plugins.loaded import PluginCase, make_house
from tests.services.walking import Agent, Proxy, fields

WRONG = (
    'Digest username="alice", realm="here", nonce="n", uri="sip:x", response="0123", algorithm=MD5'
)
CHALLENGE = 'Digest realm="provider.example", nonce="n2"'


def credentials(text: str) -> str:
    """
    What a phone with the right password says to a challenge.
    """
    challenge = Challenge.parse(text)
    name, realm, nonce = challenge.algorithm, challenge.realm, challenge.nonce
    secret = ha1(name, "alice", realm, "secret")
    proof = response(name, secret, nonce, ha2(name, "REGISTER", "sip:10.0.0.1"))
    return (
        f'Digest username="alice", realm="{realm}", nonce="{nonce}", uri="sip:10.0.0.1", '
        f'response="{proof}", algorithm={name}'
    )


class BlacklistCase(PluginCase):
    more = ""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.prepare()
        super().setUp()
        self.stranger = Agent(self.proxy, "203.0.113.66", "100", side=Side.OUTSIDE)

    def prepare(self) -> None:
        pass

    def make_proxy(self) -> Proxy:
        self.text = (
            f"load_plugin = plugin_blacklist.la\nplugin_blacklist_dbpath = {self.path}\n{self.more}"
        )
        return super().make_proxy()

    def attempt(self, agent: Agent, number: int, uri: str = "", **more: Any) -> None:
        """
        A REGISTER with a password that somebody tries.
        """
        headers = [("Authorization", WRONG)]
        agent.register(uri=uri, call_id=f"try-{number}", cseq=number, headers=headers, **more)

    def refused(self, agent: Agent, status: int, challenge: str = CHALLENGE) -> None:
        """
        Its provider refuses what was just sent.
        """
        headers = [("WWW-Authenticate", challenge)] if status == 401 else []
        self.provider.reply(self.provider.last("REGISTER"), status, headers=headers)

    def fail_often(self, agent: Agent, times: int = 11, status: int = 401) -> None:
        for number in range(times):
            self.attempt(agent, number)
            self.refused(agent, status)

    def rows(self) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path)) as database:
            return database.execute(
                "SELECT type, ip, sipuri, failcount FROM blacklist ORDER BY ip, sipuri"
            ).fetchall()


class PassThroughTests(BlacklistCase):
    """
    Phones that register at a provider.
    """

    def test_interfaces(self) -> None:
        """
        It keeps what it promises.
        """
        plugin = Blacklist(BlacklistOptions(), make_house())
        for interface in (IValidate, IResponse, IPostProxy, ITimer, ILifetime):
            verifyObject(interface, plugin)

    def test_shut_out(self) -> None:
        """
        After 11 wrong passwords whatever comes from there hears 403, and the
        provider nothing (R13 of siproxd).
        """
        self.fail_often(self.phone, 10)
        self.phone.send("OPTIONS", "sip:carol@provider.example")
        self.assertEqual(len(self.provider.requests("OPTIONS")), 1)
        self.fail_often(self.phone, 1)
        self.phone.send("OPTIONS", "sip:carol@provider.example")
        self.assertEqual(len(self.provider.requests("OPTIONS")), 1)
        self.assertEqual(self.phone.statuses("OPTIONS"), [403])
        self.assertIn(
            "10.0.0.10 ('sip:alice@provider.example') is shut out: 11", *self.said("blacklist")
        )
        self.other.send("OPTIONS", "sip:carol@provider.example")
        self.assertEqual(len(self.provider.requests("OPTIONS")), 2)

    def test_stale(self) -> None:
        """
        A nonce that has grown old, a lifetime too short, a first REGISTER without a
        password and a server in trouble are no attacks (R13 of siproxd).
        """
        for number in range(12):
            self.attempt(self.phone, number)
            self.refused(self.phone, 401, f"{CHALLENGE}, stale=true")
            self.attempt(self.phone, 100 + number)
            self.refused(self.phone, 423)
            self.attempt(self.phone, 200 + number)
            self.refused(self.phone, 503)
            self.phone.register(call_id=f"first-{number}")
            self.refused(self.phone, 401)
        self.assertEqual(self.said("blacklist"), [])
        self.proxy.wait(6)
        self.assertEqual(self.rows(), [])

    def test_success(self) -> None:
        """
        A right password makes up for wrong ones.
        """
        self.fail_often(self.phone, 10)
        self.registered(self.phone)
        self.fail_often(self.phone, 1)
        self.proxy.wait(6)
        self.assertEqual(self.rows(), [(0, "10.0.0.10", "sip:alice@provider.example", 1)])

    def test_registered(self) -> None:
        """
        Who is registered from an address goes on calling, whatever is tried from there
        in other names; and so does a call that runs.
        """
        caller, _ = self.call_out()
        mallory = Agent(self.proxy, "10.0.0.10", "mallory", port=5099)
        self.registered(self.phone)
        self.fail_often(mallory)
        self.phone.send("OPTIONS", "sip:carol@provider.example")
        mallory.send("OPTIONS", "sip:carol@provider.example")
        self.assertEqual(len(self.provider.requests("OPTIONS")), 1)
        self.assertEqual(mallory.statuses("OPTIONS"), [403])
        self.phone.user = "somebody"
        caller.send("BYE")
        self.assertEqual(len(self.provider.requests("BYE")), 1)

    def test_provider(self) -> None:
        """
        Whoever writes a provider's address as his own shuts nobody out.
        """
        uri = self.registered(self.phone)
        for number in range(20):
            self.attempt(self.provider, number)
        self.provider.send("OPTIONS", uri)
        self.assertEqual(len(self.phone.requests("OPTIONS")), 1)

    def test_late(self) -> None:
        """
        An answer after 30 seconds is not counted.
        """
        for number in range(12):
            self.attempt(self.phone, number)
            self.provider.reply(self.provider.last("REGISTER"), 100)
            self.proxy.wait(31, 1)
            self.refused(self.phone, 403)
        self.proxy.wait(6)
        self.assertEqual(self.rows(), [])

    def test_silence(self) -> None:
        """
        After an hour of silence he may try again.
        """
        self.fail_often(self.phone)
        self.proxy.wait(3700, 10)
        self.phone.send("OPTIONS", "sip:carol@provider.example")
        self.assertEqual(len(self.provider.requests("OPTIONS")), 1)
        self.assertEqual(self.rows(), [])

    def test_by_hand(self) -> None:
        """
        What an operator enters or deletes while we run is in force within seconds.
        """
        with closing(sqlite3.connect(self.path)) as database:
            database.execute(
                "INSERT INTO blacklist (type, ip, sipuri) VALUES (1, '10.0.0.10', '*')"
            )
            database.commit()
            self.proxy.wait(6)
            self.phone.send("OPTIONS", "sip:carol@provider.example")
            self.assertEqual(self.phone.statuses("OPTIONS"), [403])
            database.execute("DELETE FROM blacklist")
            database.commit()
        self.proxy.wait(6)
        self.phone.send("OPTIONS", "sip:carol@provider.example")
        self.assertEqual(len(self.provider.requests("OPTIONS")), 1)

    def test_disk(self) -> None:
        """
        While the file cannot be written, offenders are shut out all the same; it is
        said once, and written when it can be.
        """
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            self.fail_often(self.phone)
            self.proxy.wait(15)
            self.assertEqual(len([one for one in self.said("blacklist") if "locked" in one]), 1)
            self.phone.send("OPTIONS", "sip:carol@provider.example")
            self.assertEqual(self.phone.statuses("OPTIONS"), [403])
        self.proxy.wait(6)
        self.assertEqual(self.rows(), [(0, "10.0.0.10", "sip:alice@provider.example", 11)])


class RegistrarTests(BlacklistCase):
    """
    Phones that register at ourselves.
    """

    more = "proxy_auth_realm = here\nproxy_auth_passwd = secret\nregister_from_outside = 1\n"
    here = "sip:203.0.113.1"

    def test_rotating(self) -> None:
        """
        A scanner that tries another account each time is shut out: failures at our own
        registrar count, and all of an address (R13 of siproxd).
        """
        for number in range(30):
            self.stranger.user = f"{100 + number}"
            self.attempt(self.stranger, number, self.here)
        statuses = self.stranger.statuses("REGISTER")
        self.assertEqual(statuses, [401] * 11 + [403] * 19)
        self.proxy.wait(6)
        self.assertEqual(len(self.rows()), 11)

    def test_no_invitation(self) -> None:
        """
        What a phone does that has the right password never counts: it is asked, answers,
        and comes again when its nonce has grown old (R13 of siproxd).
        """
        phone = Agent(self.proxy, "10.0.0.10", "alice", domain="10.0.0.1")
        value = ""
        for number in range(1, 30):
            headers = [("Authorization", value)] if value else []
            phone.register(uri="sip:10.0.0.1", cseq=number, headers=headers)
            answer = phone.answer("REGISTER")
            if answer.status == 401:
                value = credentials(answer.headers.lines("www-authenticate")[0])
            else:
                self.proxy.wait(400, 10)
        self.assertIn(200, phone.statuses("REGISTER"))
        self.proxy.wait(6)
        self.assertEqual(self.rows(), [])


class NotFromHereTests(BlacklistCase):
    def test_not_from_here(self) -> None:
        """
        Who registers from outside, where nobody may, is shut out for going on, also
        without a password.
        """
        for number in range(12):
            self.stranger.user = f"{number}"
            self.stranger.register(uri="sip:203.0.113.1", call_id=f"{number}")
        self.assertIn("203.0.113.66", *self.said("blacklist"))


class ShortTests(BlacklistCase):
    more = "plugin_blacklist_hitcount = 0\nplugin_blacklist_duration = 10\n"

    def test_short(self) -> None:
        """
        Who is shut out for less than a minute does not wait for the minute's end.
        """
        self.proxy.wait(61, 1)
        self.fail_often(self.phone, 1)
        self.phone.send("OPTIONS", "sip:carol@provider.example")
        self.proxy.wait(21, 1)
        self.phone.send("OPTIONS", "sip:carol@provider.example", call_id="later")
        self.assertEqual(self.phone.statuses("OPTIONS"), [403])
        self.assertEqual(len(self.provider.requests("OPTIONS")), 1)


class DropTests(BlacklistCase):
    more = "plugin_blacklist_answer = drop\nplugin_blacklist_hitcount = 0\n"

    def test_drop(self) -> None:
        """
        By option they hear nothing at all, as with siproxd.
        """
        self.fail_often(self.phone, 1)
        self.phone.send("OPTIONS", "sip:carol@provider.example")
        self.assertEqual(self.provider.requests("OPTIONS"), [])
        self.assertEqual(self.phone.statuses("OPTIONS"), [])


class SimulateTests(BlacklistCase):
    more = "plugin_blacklist_simulate = 1\n"

    def test_simulate(self) -> None:
        """
        It is said who would be shut out, once a minute, and nobody is.
        """
        self.fail_often(self.phone)
        for _ in range(5):
            self.phone.send("OPTIONS", "sip:carol@provider.example")
        self.assertEqual(len(self.provider.requests("OPTIONS")), 5)
        [line] = self.said("blacklist")
        self.assertIn("would be shut out", line)


class SiproxdTests(BlacklistCase):
    more = "plugin_blacklist_duration = 0\n"

    def prepare(self) -> None:
        with closing(sqlite3.connect(self.path)) as database:
            database.executescript(SIPROXD)

    def test_siproxd(self) -> None:
        """
        Whom siproxd has shut out stays shut out, whom it was told to, too; both are
        still there when we stop (R13 of siproxd).
        """
        for agent in (
            self.stranger,
            Agent(self.proxy, "203.0.113.67", "mallory", side=Side.OUTSIDE),
        ):
            agent.domain = "203.0.113.1" if agent is self.stranger else "example.net"
            agent.send("OPTIONS", "sip:203.0.113.1")
            self.assertEqual(agent.statuses("OPTIONS"), [403])
        extensions = self.proxy.parts.extensions
        assert extensions is not None
        extensions.stopService()
        self.assertEqual([row[3] for row in self.rows()], [12, 0])


class FileTests(PluginCase):
    def test_unusable(self) -> None:
        """
        Without a file that can be used there is no start.
        """
        path = Path(self.mktemp())
        path.write_text("not a database" * 100)
        text = f"load_plugin = blacklist\nplugin_blacklist_dbpath = {path}\n"
        error = self.assertRaises(SIPTwistError, Proxy, text=text)
        self.assertIn(str(path), str(error))

    def test_malformed(self) -> None:
        """
        Options that are none stop the start.
        """
        for line in ("answer = 404", "db_sync_mode = maybe", "hitcount = -1", "simulate = 2"):
            with self.assertRaises(ConfigError):
                Proxy(text=f"load_plugin = blacklist\nplugin_blacklist_{line}\n")


class AttackTests(PluginCase):
    def test_challenges(self) -> None:
        """
        Of several challenges one that says stale is enough; what cannot be read says
        nothing.
        """
        for values, found in (
            ((CHALLENGE,), True),
            ((CHALLENGE, f"{CHALLENGE}, stale=TRUE"), False),
            (('Digest realm="', "Basic stale=true"), True),
            ((), True),
        ):
            headers = fields(*(("WWW-Authenticate", value) for value in values))
            refusal = Response(401, "", headers, b"")
            self.assertEqual(is_attack(refusal, "REGISTER", True), found)
            self.assertFalse(is_attack(refusal, "REGISTER", False))

    def test_calls(self) -> None:
        """
        A number that may not be called, or is nobody's, is no attack.
        """
        for status in (403, 404, 480, 486):
            self.assertFalse(is_attack(Response(status, "", fields(), b""), "INVITE", True))
