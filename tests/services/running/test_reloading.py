"""
Tests for siptwist.services.running.reloading: all of it, or nothing.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from siptwist.config import Settings, parse
from siptwist.errors import SIPTwistError
from siptwist.services.running.reloading import Reloading


class ReloadingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.text = ""
        self.reloading = Reloading(lambda: parse(self.text), parse("rtp_timeout = 100\n"))
        self.taken: dict[str, Any] = {}
        self.events: list[Any] = []
        globalLogPublisher.addObserver(self.events.append)
        self.addCleanup(globalLogPublisher.removeObserver, self.events.append)
        for key in ("rtp_timeout", "ua_string"):
            self.reloading.add_value(key, lambda value, key=key: self.taken.update({key: value}))

    def reload(self, text: str) -> bool:
        self.text = text
        self.events.clear()
        return self.reloading.reload()

    def said(self) -> str:
        return "\n".join(map(formatEvent, self.events))

    def test_changed(self) -> None:
        """
        What has changed is handed to whom it concerns, and nothing else (siproxd's fault
        R3: a changed file needed a restart).
        """
        self.assertTrue(self.reload("rtp_timeout = 100\nua_string = Phone\n"))
        self.assertEqual(self.taken, {"ua_string": "Phone"})
        self.assertEqual(self.reloading.settings.ua_string, "Phone")
        self.assertEqual(self.reloading.settings.origins["ua_string"], "siproxd.conf:2")
        self.assertIn("in force now: ua_string", self.said())

    def test_bad(self) -> None:
        """
        A bad file leaves the old one in force, with one error that names all of it.
        """
        self.assertFalse(self.reload("rtp_timeout = 5\nrtp_dscp = 64\nua_strin = x\n"))
        self.assertEqual((self.taken, self.reloading.settings.rtp_timeout), ({}, 100))
        self.assertEqual([event["log_level"].name for event in self.events], ["error"])
        self.assertIn("siproxd.conf:2: rtp_dscp: 64", self.said())
        self.assertIn("siproxd.conf:3: ua_strin: unknown option", self.said())

    def test_one_cannot(self) -> None:
        """
        When somebody cannot have the new values nobody gets them.
        """

        def refuse(settings: Settings) -> Any:
            raise SIPTwistError("/etc/passwords: cannot be read")

        self.reloading.add(("proxy_auth_realm",), refuse)
        self.assertFalse(
            self.reload("proxy_auth_realm = a\nproxy_auth_passwd = b\nua_string = P\n")
        )
        self.assertEqual((self.taken, self.reloading.settings.ua_string), ({}, ""))
        self.assertIn("/etc/passwords: cannot be read", self.said())

    def test_restart(self) -> None:
        """
        What cannot change while running is named, and stays as it was.
        """
        self.assertTrue(self.reload("rtp_timeout = 9\nsip_listen_port = 5070\nuser = nobody\n"))
        self.assertIn("Needs a restart", self.said())
        self.assertIn("sip_listen_port, user", self.said())
        self.assertEqual(self.reloading.settings.sip_listen_port, 5060)
        self.assertEqual(self.taken, {"rtp_timeout": 9})

    def test_no_matter(self) -> None:
        """
        An option without effect needs no restart.
        """
        self.assertTrue(self.reload("rtp_timeout = 100\nautosave_registrations = 300\n"))
        self.assertNotIn("restart", self.said())
        self.assertIn("nothing new", self.said())

    def test_always(self) -> None:
        """
        Who reads a file of its own reads it each time; it is told before others change.
        """
        reads: list[str] = []
        self.reloading.add(
            ("proxy_auth_pwfile",), lambda settings: lambda: reads.append("read"), always=True
        )
        self.reload("rtp_timeout = 100\n")
        self.reload("rtp_timeout = 100\n")
        self.assertEqual(reads, ["read", "read"])

    def test_listeners(self) -> None:
        """
        Whoever shows the settings shows those in force.
        """
        shown: list[Settings] = []
        self.reloading.listen(shown.append)
        self.reload("ua_string = Phone\n")
        self.assertEqual([one.ua_string for one in shown], ["Phone"])
        self.assertEqual(shown[-1].rtp_timeout, Settings().rtp_timeout)
