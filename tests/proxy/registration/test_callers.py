"""
Tests for siptwist.proxy.registration.callers: who must prove who it is.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.media.stream import CallKey
from siptwist.proxy.registration.callers import Callers
from siptwist.proxy.registration.location import Locations
from siptwist.proxy.session.dialogs import Dialogs
from siptwist.proxy.ticket import Ticket
from siptwist.sip.hop import Side
from tests.proxy.asking import PHONE, TWO_SOCKETS, bind, from_world, ticket

OURS = "<sip:al%69ce@10.0.0.1>;tag=f"


class Us:
    """
    Knows who we are.
    """

    identity = TWO_SOCKETS


class CallersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.locations, self.dialogs = Locations(), Dialogs()
        self.callers = Callers(Us(), self.locations, self.dialogs)

    def must(self, made: Ticket, is_phone: bool = True) -> bool:
        return self.callers.must_prove(made, is_phone)

    def test_our_user(self) -> None:
        """
        Who says to be a user of ours must prove it, from wherever, and be that user.
        """
        self.assertTrue(self.must(ticket(from_=OURS)))
        made = from_world(from_=OURS)
        self.assertTrue(self.must(made, False))
        self.assertEqual(self.callers.user_of(made), "alice")

    def test_world(self) -> None:
        """
        A caller from outside who is nobody of ours has no password here.
        """
        self.assertFalse(self.must(from_world(), False))

    def test_stranger_inside(self) -> None:
        """
        A phone inside without an account at a provider must prove itself by any of our
        passwords, whatever it calls itself.
        """
        made = ticket(from_="<sip:anonymous@anonymous.invalid>;tag=f")
        self.assertTrue(self.must(made))
        self.assertIsNone(self.callers.user_of(made))
        self.assertTrue(self.must(ticket(from_="<tel:+491>;tag=f")))

    def test_phone_of_a_provider(self) -> None:
        """
        A phone that registered at a provider is asked by the provider; not so when it says
        to be one of ours.
        """
        bind(self.locations, source=PHONE, registrar="provider.example")
        self.assertFalse(self.must(ticket()))
        self.assertTrue(self.must(ticket(from_=OURS)))

    def test_methods(self) -> None:
        """
        What begins something is asked; what is about something that goes on is not, and
        never an ACK, which nobody could answer.
        """
        asked = {
            method
            for method in ("INVITE", "MESSAGE", "SUBSCRIBE", "REFER", "PUBLISH", "ACK", "BYE")
            if self.must(ticket(from_=OURS, method=method))
        }
        self.assertEqual(asked, {"INVITE", "MESSAGE", "SUBSCRIBE", "REFER", "PUBLISH"})

    def test_within_a_call(self) -> None:
        """
        Within a call that was let through nobody is asked again; a To tag alone, made up,
        is no such call.
        """
        made = ticket(from_=OURS, to="<sip:bob@10.0.0.1>;tag=t")
        self.assertTrue(self.must(made))
        tag = made.from_.tag or ""
        key = CallKey(made.call_id, tag, Side.INSIDE, Side.OUTSIDE)
        self.dialogs.open(key, made.now)
        self.assertFalse(self.must(made))
