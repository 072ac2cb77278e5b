"""
Tests of ``siptwist.proxy.registration.lifetimes``.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.proxy.registration.lifetimes import shortened
from siptwist.sip.headers import Headers, make_header

CONTACT = "<sip:alice@10.0.0.5;expires=9>"


class ShortenedTests(SynchronousTestCase):
    def told(self, *contacts: str, expires: str | None = None) -> tuple[list[str], str | None]:
        """
        The Contacts and the Expires that a phone is told, at most 120 seconds.
        """
        fields = [make_header("Contact", contact) for contact in contacts]
        if expires is not None:
            fields.append(make_header("Expires", expires))
        headers = shortened(Headers(fields), 120)
        return headers.values("contact"), headers.get("expires")

    def test_long(self) -> None:
        """
        A long lifetime becomes ours, in every Contact and for those without one.
        """
        contacts, expires = self.told(
            f"{CONTACT};Expires=3600;q=0.5", f'{CONTACT};expires = "7200"', CONTACT, expires="3600"
        )
        self.assertEqual(
            contacts, [f"{CONTACT};Expires=120;q=0.5", f"{CONTACT};expires = 120", CONTACT]
        )
        self.assertEqual(expires, "120")

    def test_short(self) -> None:
        """
        A shorter lifetime stays.
        """
        self.assertEqual(self.told(f"{CONTACT};expires=60", expires="90")[1], "90")
        self.assertEqual(self.told(f"{CONTACT};expires=60")[0], [f"{CONTACT};expires=60"])

    def test_none(self) -> None:
        """
        A registrar that names no lifetime grants what was asked for, which may be long.
        """
        self.assertEqual(self.told(CONTACT), ([CONTACT], "120"))
        self.assertEqual(self.told("sip:alice@10.0.0.5;expires=3600")[0][0][-4:], "=120")

    def test_nobody(self) -> None:
        """
        Without a Contact nothing is said of lifetimes.
        """
        self.assertEqual(self.told(), ([], None))

    def test_nonsense(self) -> None:
        """
        What is no number is left to the phone, and one without end becomes ours.
        """
        self.assertEqual(self.told(f"{CONTACT};expires=soon", expires="later")[1], "later")
        self.assertEqual(
            self.told(f"{CONTACT};expires={'9' * 5000}")[0], [f"{CONTACT};expires=120"]
        )
