"""
Only who knows the password gets in, and each proof counts once.
"""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import MalformedHeader
from siptwist.proxy.registration.authentication import (
    EXPIRED,
    FORGED,
    REPLAYED,
    Accepted,
    Authenticator,
    Challenged,
    Forbidden,
    NonceLedger,
    Verdict,
    is_same_uri,
)
from siptwist.proxy.registration.passwords import Secret
from siptwist.sip.digest import Challenge, ha1, ha2, response

REALM = "home"
URI = "sip:192.168.1.5"
NOW = 1_700_000_000.0


def answer(
    challenge: str,
    user: str = "alice",
    password: str = "pw",
    method: str = "REGISTER",
    uri: str = URI,
    count: int = 1,
    qop: str = "auth",
    realm: str | None = None,
) -> str:
    """
    What a phone makes of a challenge; without qop when ``qop`` is empty.
    """
    asked = Challenge.parse(challenge)
    algorithm, nc, realm = asked.algorithm, f"{count:08x}", realm or asked.realm
    secret = ha1(algorithm, user, realm, password)
    request = ha2(algorithm, method, uri, qop)
    proof = response(algorithm, secret, asked.nonce, request, qop, nc, "c")
    text = (
        f'Digest username="{user}", realm="{realm}", nonce="{asked.nonce}", uri="{uri}", '
        f'response="{proof}", algorithm={algorithm}'
    )
    return f'{text}, qop={qop}, nc={nc}, cnonce="c"' if qop else text


class AuthenticatorTests(SynchronousTestCase):
    def setUp(self) -> None:
        hashed = Secret(hashes={(REALM, "MD5"): ha1("MD5", "carol", REALM, "pw")})
        self.users = {"alice": Secret("pw"), "bob": Secret("bobs"), "carol": hashed}
        self.nonces = NonceLedger(b"key", REALM)
        self.authenticator = Authenticator(REALM, self.users.get, self.nonces)
        self.fresh = 0

    def check(
        self,
        *authorization: str,
        method: str = "REGISTER",
        uri: str = URI,
        user: str | None = "alice",
        now: float = NOW,
    ) -> Verdict:
        self.fresh += 1
        fresh = self.fresh.to_bytes(8, "big")
        return self.authenticator.check(method, uri, b"", authorization, user, now, fresh)

    def challenge(self, verdict: Verdict | None = None, index: int = 0) -> str:
        """
        One challenge of a verdict, by default of one on a bare request.
        """
        found = verdict or self.check()
        assert isinstance(found, Challenged), found
        return found.values[index]

    def assert_challenged(self, verdict: Verdict, why: str, stale: bool = False) -> None:
        assert isinstance(verdict, Challenged), verdict
        self.assertEqual((verdict.why, verdict.stale), (why, stale))
        self.assertEqual(Challenge.parse(verdict.values[0]).stale, stale)

    def test_challenges(self) -> None:
        """
        A bare request gets one challenge for each algorithm, in our order.
        """
        verdict = self.check()
        self.assert_challenged(verdict, "no credentials for our realm")
        challenges = [Challenge.parse(self.challenge(verdict, index)) for index in range(3)]
        self.assertEqual(
            [challenge.algorithm for challenge in challenges], ["SHA-256", "SHA-512-256", "MD5"]
        )
        self.assertEqual({challenge.realm for challenge in challenges}, {REALM})

    def test_accepted(self) -> None:
        """
        The right password is accepted by every algorithm offered.
        """
        for index in range(3):
            self.assertEqual(
                self.check(answer(self.challenge(index=index))), Accepted("alice"), index
            )

    def test_hash_in_place_of_password(self) -> None:
        """
        A user of whom only a hash is kept gets in by its algorithm, by no other.
        """
        self.assertEqual(
            self.check(answer(self.challenge(index=2), "carol"), user="carol"), Accepted("carol")
        )
        self.assert_challenged(
            self.check(answer(self.challenge(), "carol"), user="carol"),
            "wrong user, password or algorithm",
        )

    def test_strangers_learn_nothing(self) -> None:
        """
        A wrong password and an unknown user get the same answer.
        """
        for user, password in (("alice", "guess"), ("nobody", "pw"), ("nobody", ""), ("alice", "")):
            verdict = self.check(answer(self.challenge(), user, password), user=user)
            self.assert_challenged(verdict, "wrong user, password or algorithm")

    def test_other_method(self) -> None:
        """
        Credentials made for a REGISTER do not open an INVITE.
        """
        verdict = self.check(answer(self.challenge(), method="REGISTER"), method="INVITE")
        self.assert_challenged(verdict, "wrong user, password or algorithm")

    def test_other_realm(self) -> None:
        """
        Credentials for another server's realm are passed over.
        """
        foreign = answer(self.challenge(), realm="elsewhere")
        self.assert_challenged(self.check(foreign), "no credentials for our realm")
        self.assertEqual(
            self.check("Basic eA==", foreign, answer(self.challenge())), Accepted("alice")
        )

    def test_other_uri(self) -> None:
        """
        Credentials for another Request-URI are refused.
        """
        verdict = self.check(answer(self.challenge(), uri="sip:other.example.com"))
        self.assertEqual(
            verdict,
            Forbidden("alice", "digest uri 'sip:other.example.com' is not the Request-URI"),
        )

    def test_same_uri(self) -> None:
        """
        A digest uri may lack what does not matter.
        """
        self.assertTrue(is_same_uri("sip:Home.Example:5060", "sip:home.example;transport=udp"))
        self.assertTrue(is_same_uri("tel:1", "tel:1"))
        for other in ("sip:home.example:5070", "sip:a@home.example", "sips:home.example", "x", ""):
            self.assertFalse(is_same_uri("sip:home.example", other), other)

    def test_somebody_elses_aor(self) -> None:
        """
        Bob, with the right password, cannot register Alice's number.
        """
        verdict = self.check(answer(self.challenge(), "bob", "bobs"), user="alice")
        self.assertEqual(verdict, Forbidden("bob", "'bob' may not register 'alice'"))
        self.assertEqual(
            self.check(answer(self.challenge(), "bob", "bobs"), user=None), Accepted("bob")
        )

    def test_algorithm_not_offered(self) -> None:
        """
        A weaker algorithm than those offered is not accepted.
        """
        self.authenticator = Authenticator(REALM, self.users.get, self.nonces, ["SHA-256"])
        challenge = str(Challenge.make(REALM, Challenge.parse(self.challenge()).nonce, "MD5"))
        self.assert_challenged(self.check(answer(challenge)), "wrong user, password or algorithm")

    def test_replay(self) -> None:
        """
        Captured credentials do not work a second time.
        """
        captured = answer(self.challenge())
        self.assertEqual(self.check(captured), Accepted("alice"))
        self.assert_challenged(self.check(captured), REPLAYED, stale=True)

    def test_counted_nonce(self) -> None:
        """
        A phone that counts may use one nonce many times.
        """
        challenge = self.challenge()
        for count in (1, 2, 3, 900):
            self.assertEqual(self.check(answer(challenge, count=count)), Accepted("alice"), count)

    def test_phone_without_qop(self) -> None:
        """
        An old phone without qop gets in, with a new nonce each time.
        """
        captured = answer(self.challenge(), qop="")
        self.assertEqual(self.check(captured), Accepted("alice"))
        verdict = self.check(captured)
        self.assert_challenged(verdict, REPLAYED, stale=True)
        self.assertEqual(self.check(answer(self.challenge(verdict), qop="")), Accepted("alice"))

    def test_restart(self) -> None:
        """
        After a restart phones are told to try again, and do not ask for the password.
        """
        captured = answer(self.challenge())
        self.nonces = NonceLedger(b"another key", REALM)
        self.authenticator = Authenticator(REALM, self.users.get, self.nonces)
        self.assert_challenged(self.check(captured), FORGED, stale=True)

    def test_expired(self) -> None:
        """
        A nonce is good for its lifetime and no longer.
        """
        challenge = self.challenge()
        self.assertEqual(self.check(answer(challenge), now=NOW + 299), Accepted("alice"))
        verdict = self.check(answer(challenge, count=2), now=NOW + 301)
        self.assert_challenged(verdict, EXPIRED, stale=True)

    def test_malformed_credentials(self) -> None:
        """
        Digest credentials that lack their response are answered 400 (siproxd crashed: S9).
        """
        whole = answer(self.challenge())
        for name in ("response", "username", "nonce", "uri", "realm"):
            self.assertRaises(MalformedHeader, self.check, whole.replace(f"{name}=", "x="))

    def test_mutations(self) -> None:
        """
        Damaged credentials never get anybody in.
        """
        chance = random.Random(3261)
        for _ in range(2000):
            whole = answer(self.challenge())
            at = chance.randrange(whole.index("nonce"), whole.index(", algorithm"))
            damaged = whole[:at] + chance.choice("zZ~%") + whole[at + 1 :]
            try:
                verdict = self.check(damaged)
            except MalformedHeader:
                continue
            self.assertFalse(isinstance(verdict, Accepted), damaged)

    def test_strangers_cost_no_memory(self) -> None:
        """
        Requests without the right password leave nothing behind.
        """
        for _ in range(50):
            self.check()
            self.check(answer(self.challenge(), password="guess"))
        self.assertEqual(len(self.nonces), 0)


class NonceLedgerTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.ledger = NonceLedger(b"key", REALM, lifetime=10, limit=3)

    def make(self, number: int, now: float = NOW) -> str:
        return self.ledger.make(now, bytes((number,)))

    def test_bound_to_realm(self) -> None:
        """
        A nonce made for another realm is not ours.
        """
        other = NonceLedger(b"key", "other")
        self.assertEqual(other.use(self.make(1), 1, NOW), FORGED)

    def test_forged(self) -> None:
        """
        A nonce with another time or of another shape is not ours.
        """
        nonce = self.make(1)
        for forged in ("", "x", nonce[:-1] + "g", "f" + nonce[1:], nonce.upper(), nonce + "0"):
            self.assertEqual(self.ledger.use(forged, 1, NOW), FORGED, forged)
        self.assertEqual(self.ledger.use(nonce, 1, NOW), "")

    def test_reordered(self) -> None:
        """
        Two requests that overtook each other are both good, each once.
        """
        nonce = self.make(1)
        counts = (1, 5, 3, 3, 5, 4, 2, 1, 200, 136, 137, 137, 199)
        refused = [self.ledger.use(nonce, count, NOW) for count in counts]
        good = [count for count, why in zip(counts, refused, strict=True) if not why]
        self.assertEqual(good, [1, 5, 3, 4, 2, 200, 137, 199])

    def test_count_and_no_count(self) -> None:
        """
        A nonce used with a count serves nobody without one, nor the other way round.
        """
        counted, plain = self.make(1), self.make(2)
        self.assertEqual(
            [self.ledger.use(counted, 1, NOW), self.ledger.use(plain, 0, NOW)], ["", ""]
        )
        self.assertEqual(self.ledger.use(counted, 0, NOW), REPLAYED)
        self.assertEqual(self.ledger.use(plain, 1, NOW), REPLAYED)

    def test_bounded(self) -> None:
        """
        A full ledger forgets the oldest nonce and never takes it again.
        """
        nonces = [self.make(number, NOW + number * 0.1) for number in range(5)]
        for nonce in nonces:
            self.assertEqual(self.ledger.use(nonce, 1, NOW + 1), "")
        self.assertEqual(len(self.ledger), 3)
        self.assertEqual(
            [self.ledger.use(nonce, 1, NOW + 1) for nonce in nonces],
            [EXPIRED, EXPIRED, REPLAYED, REPLAYED, REPLAYED],
        )

    def test_expired_are_dropped(self) -> None:
        """
        Nonces past their lifetime make room.
        """
        for number in range(3):
            self.ledger.use(self.make(number), 1, NOW)
        self.assertEqual(self.ledger.use(self.make(9, NOW + 11), 1, NOW + 11), "")
        self.assertEqual(len(self.ledger), 1)

    def test_clock_set_back(self) -> None:
        """
        A nonce from the future, after the clock was set back, is stale.
        """
        self.assertEqual(self.ledger.use(self.make(1, NOW + 5), 1, NOW), EXPIRED)
