"""
Which phones are asked for MD5 alone.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.proxy.registration.oldphones import OldPhones


class OldPhonesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.phones = OldPhones(limit=2)

    def is_old(self, call_id: str = "1", cseq: int = 1, agent: str = "", user: str = "a") -> bool:
        return self.phones.is_old("10.0.0.10", user, agent, call_id, cseq)

    def test_first_time(self) -> None:
        """
        A phone that nothing is known of is offered every algorithm.
        """
        self.assertFalse(self.is_old())

    def test_gave_up(self) -> None:
        """
        A phone that comes back without credentials is asked for MD5 alone.
        """
        self.is_old(cseq=1)
        self.assertTrue(self.is_old(cseq=2))

    def test_same_request(self) -> None:
        """
        The same request twice is no sign of a phone that gave up.
        """
        self.is_old()
        self.assertFalse(self.is_old())

    def test_answered(self) -> None:
        """
        A phone that answered once is offered every algorithm the next time.
        """
        self.is_old(cseq=1)
        self.phones.answered("10.0.0.10", "a")
        self.assertFalse(self.is_old(cseq=3))

    def test_known_by_name(self) -> None:
        """
        baresip is known to give up, and is not made to fail first.
        """
        self.assertTrue(self.is_old(agent="baresip v1.0.0 (x86_64/linux)"))
        self.assertFalse(self.is_old(agent="Yealink SIP-T46S"))

    def test_bounded(self) -> None:
        """
        Strangers cannot fill the memory: the oldest is forgotten.
        """
        for user in ("a", "b", "c"):
            self.is_old(user=user)
        self.assertFalse(self.is_old(user="a", cseq=2))
