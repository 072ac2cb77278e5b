"""
Masks are stable, unguessable, and found again.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.proxy.registration.masks import (
    free_mask,
    instance_of,
    mask_in,
    masked_contact,
    new_mask,
    other_parameters,
)
from siptwist.sip.fields import NameAddr
from siptwist.sip.uri import SIPURI
from tests.proxy.registering import IDENTITY, KEY


class MaskTests(SynchronousTestCase):
    def test_stable(self) -> None:
        """
        The same phone gets the same mask, other names or another key another.
        """
        mask = new_mask(KEY, "sip:alice@x", "sip:alice@10.0.0.5", "call\udcff")
        self.assertRegex(mask, "^[0-9a-f]{12}$")
        self.assertEqual(mask, new_mask(KEY, "sip:alice@x", "sip:alice@10.0.0.5", "call\udcff"))
        self.assertNotEqual(mask, new_mask(b"k", "sip:alice@x", "sip:alice@10.0.0.5", "call\udcff"))
        self.assertNotEqual(new_mask(KEY, "a", "bc"), new_mask(KEY, "ab", "c"))

    def test_free(self) -> None:
        """
        A mask that is taken is not given again.
        """
        taken = {new_mask(KEY, "a")}
        mask = free_mask(KEY, taken.__contains__, "a")
        self.assertNotIn(mask, taken)
        self.assertEqual(mask, free_mask(KEY, taken.__contains__, "a"))

    def test_inverse(self) -> None:
        """
        The mask is found in the Contact that was made with it.
        """
        uri = SIPURI.parse(masked_contact("0123456789ab", "alice", IDENTITY))
        self.assertEqual((uri.user, uri.host, uri.port), ("alice", "203.0.113.7", None))
        self.assertEqual(mask_in(uri), "0123456789ab")

    def test_shouting_registrar(self) -> None:
        """
        A registrar that changes the case of parameters does no harm.
        """
        self.assertEqual(mask_in(SIPURI.parse("sip:a@b;LINE=ABC")), "abc")

    def test_none(self) -> None:
        """
        A URI without a mask, or with an empty one, has none.
        """
        for text in ("sip:a@b", "sip:a@b;line", "sip:a@b;line=", "sip:a@b;online=x"):
            self.assertIsNone(mask_in(SIPURI.parse(text)))

    def test_without_user(self) -> None:
        """
        A phone without a user part is masked without one.
        """
        self.assertEqual(masked_contact("1", "", IDENTITY), "sip:203.0.113.7;line=1")


class ParameterTests(SynchronousTestCase):
    def test_lifetime_left_out(self) -> None:
        """
        Of a Contact's parameters all but the lifetime are kept.
        """
        contact = NameAddr.parse('<sip:a@b>;q=0.1;Expires=60;+sip.instance="<u;r=n>";x')
        self.assertEqual(other_parameters(contact), ';q=0.1;+sip.instance="<u;r=n>";x')

    def test_malformed(self) -> None:
        """
        Parameters that cannot be read are none.
        """
        self.assertEqual(other_parameters(NameAddr("", "sip:a@b", ";=")), "")
        self.assertIsNone(instance_of(";="))

    def test_instance(self) -> None:
        """
        An instance is told apart with its flow.
        """
        self.assertEqual(instance_of(';+sip.instance="<u>";reg-id=2'), ('"<u>"', "2"))
        self.assertIsNone(instance_of(";reg-id=2"))
