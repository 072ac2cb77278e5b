"""
The password file is read at the start, watched, and never half believed.
"""

from __future__ import annotations

from pathlib import Path

from twisted.internet.task import Clock
from twisted.logger import LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import ConfigError
from siptwist.proxy.decision import Reply
from siptwist.proxy.registration.authentication import Accepted, Challenged, Verdict
from siptwist.proxy.ticket import Ticket
from siptwist.services.authentication import AuthenticationService
from siptwist.sip.digest import Challenge, ha1, ha2, response
from tests.proxy.asking import ticket

URI = "sip:192.168.1.5"


class AuthenticationServiceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_700_000_000)
        self.file = Path(self.mktemp())
        self.file.write_text("alice pw\n")
        self.events: list[object] = []

        def observe(event: object) -> None:
            self.events.append(event)

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)

    def start(self, password: str = "", file: str | None = None) -> AuthenticationService:
        file = str(self.file) if file is None else file
        service = AuthenticationService(self.clock, "home", password, file)
        service.privilegedStartService()
        service.startService()
        self.addCleanup(service.stopService)
        return service

    def register(self, service: AuthenticationService, user: str, password: str) -> Verdict:
        """
        A REGISTER, its challenge, and the REGISTER with credentials.
        """
        verdict = service.check("REGISTER", URI, b"", [], user)
        assert isinstance(verdict, Challenged)
        challenge = Challenge.parse(verdict.values[0])
        algorithm = challenge.algorithm
        proof = response(
            algorithm,
            ha1(algorithm, user, "home", password),
            challenge.nonce,
            ha2(algorithm, "REGISTER", URI),
        )
        credentials = (
            f'Digest username="{user}", realm="home", nonce="{challenge.nonce}", uri="{URI}", '
            f'response="{proof}", algorithm={algorithm}'
        )
        return service.check("REGISTER", URI, b"", [credentials], user)

    def errors(self) -> list[str]:
        """
        The errors logged so far.
        """
        return [
            str(event["error"])  # type: ignore[index]
            for event in self.events
            if event["log_level"] is LogLevel.error  # type: ignore[index]
        ]

    def change(self, text: str) -> None:
        """
        Replace the file's content and let the next look come due.
        """
        self.file.write_text(text)
        self.clock.advance(6)

    def test_user_of_the_file(self) -> None:
        """
        A user of the file gets in with the file's password.
        """
        service = self.start()
        self.assertEqual(self.register(service, "alice", "pw"), Accepted("alice"))
        self.assertIsInstance(self.register(service, "alice", "no"), Challenged)

    def test_one_password_for_all(self) -> None:
        """
        Without a file everybody gets in with the one password.
        """
        service = self.start(password="pw", file="")
        self.assertEqual(self.register(service, "anybody", "pw"), Accepted("anybody"))
        self.assertIsInstance(self.register(service, "anybody", "no"), Challenged)

    def test_file_goes_first(self) -> None:
        """
        Who is not in the file stays out, whatever the one password is.
        """
        service = self.start(password="pw")
        self.assertIsInstance(self.register(service, "bob", "pw"), Challenged)

    def test_nobody(self) -> None:
        """
        With neither file nor password nobody gets in.
        """
        service = self.start(file="")
        self.assertIsInstance(self.register(service, "alice", ""), Challenged)

    def test_new_user(self) -> None:
        """
        A user added to the file gets in a few seconds later, without a restart.
        """
        service = self.start()
        self.change("alice pw\nbob new\n")
        self.assertEqual(self.register(service, "bob", "new"), Accepted("bob"))

    def test_looked_at_rarely(self) -> None:
        """
        The file is looked at no more than once in five seconds.
        """
        service = self.start()
        self.file.write_text("alice pw\nbob new\n")
        self.clock.advance(4)
        self.assertIsInstance(self.register(service, "bob", "new"), Challenged)

    def test_broken_file_later(self) -> None:
        """
        A file that breaks, or goes, while we run leaves the old users in, and one error.
        """
        service = self.start()
        self.change("alice\n")
        for _ in range(3):
            self.assertEqual(self.register(service, "alice", "pw"), Accepted("alice"))
            self.clock.advance(6)
        self.assertEqual(len(self.errors()), 1)
        self.assertIn(":1: expected", self.errors()[0])
        self.file.unlink()
        self.assertEqual(self.register(service, "alice", "pw"), Accepted("alice"))
        self.assertIn("cannot be read: No such file", self.errors()[1])

    def test_bad_file_at_start(self) -> None:
        """
        A file that cannot be used fails the start and says why.
        """
        for text, why in (
            ("alice\n", ":1: expected"),
            (f"alice elsewhere MD5 {'0' * 32}", "no hash for realm 'home'"),
        ):
            self.file.write_text(text)
            error = self.assertRaises(ConfigError, self.start)
            self.assertIn(why, str(error))
        error = self.assertRaises(ConfigError, self.start, file=str(self.file) + "x")
        self.assertIn("proxy_auth_pwfile: cannot be read: No such file", str(error))

    def test_only_algorithms_that_fit(self) -> None:
        """
        When a user has only an MD5 hash, phones are not asked for SHA-256.
        """
        hashed = ha1("MD5", "carol", "home", "pw")
        self.file.write_text(f"alice pw\ncarol home MD5 {hashed}\n")
        service = self.start()
        for user in ("alice", "carol"):
            self.assertEqual(self.register(service, user, "pw"), Accepted(user))

    def test_nonces_survive_a_new_file(self) -> None:
        """
        A challenge given before the file changed can be answered after it.
        """
        service = self.start()
        verdict = service.check("REGISTER", URI, b"", [], "alice")
        self.change("alice pw\nbob new\n")
        assert isinstance(verdict, Challenged)
        challenge = Challenge.parse(verdict.values[0])
        proof = response(
            "SHA-256",
            ha1("SHA-256", "alice", "home", "pw"),
            challenge.nonce,
            ha2("SHA-256", "REGISTER", URI),
        )
        credentials = (
            f'Digest username="alice", realm="home", nonce="{challenge.nonce}", uri="{URI}", '
            f'response="{proof}", algorithm=SHA-256'
        )
        verdict = service.check("REGISTER", URI, b"", [credentials], "alice")
        self.assertEqual(verdict, Accepted("alice"))


class AdmitTests(SynchronousTestCase):
    """
    Who calls proves the same (RFC 3261 section 22.3).
    """

    def setUp(self) -> None:
        clock = Clock()
        clock.advance(1_700_000_000)
        self.service = AuthenticationService(clock, "home", "pw")

    def credentials(self, made: Ticket, user: str = "alice", password: str = "pw") -> str:
        refusal = self.service.admit(made, user)
        assert isinstance(refusal, Reply)
        self.assertEqual(refusal.status, 407)
        challenge = Challenge.parse(refusal.headers[0][1])
        secret = ha1(challenge.algorithm, user, "home", password)
        request = ha2(challenge.algorithm, made.method, made.request.uri)
        proof = response(challenge.algorithm, secret, challenge.nonce, request)
        return (
            f'Digest username="{user}", realm="home", nonce="{challenge.nonce}", '
            f'uri="{made.request.uri}", response="{proof}", algorithm={challenge.algorithm}'
        )

    def test_admitted(self) -> None:
        """
        The proof opens the way, and stays here; that for another proxy goes on.
        """
        proof = self.credentials(ticket())
        foreign = 'Digest realm="other", username="a", nonce="b", uri="c", response="d"'
        passed = self.service.admit(
            ticket(f"Proxy-Authorization: {foreign}", f"Proxy-Authorization: {proof}"), "alice"
        )
        assert isinstance(passed, Ticket)
        self.assertEqual(passed.request.headers.lines("proxy-authorization"), [foreign])

    def test_anybody(self) -> None:
        """
        Where any of our users will do, any will.
        """
        proof = self.credentials(ticket(), "bob")
        made = ticket(f"Proxy-Authorization: {proof}")
        self.assertIsInstance(self.service.admit(made, None), Ticket)

    def test_somebody_else(self) -> None:
        """
        Who proves to be bob is not alice: 403.
        """
        proof = self.credentials(ticket(), "bob")
        refusal = self.service.admit(ticket(f"Proxy-Authorization: {proof}"), "alice")
        assert isinstance(refusal, Reply)
        self.assertEqual(refusal.status, 403)

    def test_wrong(self) -> None:
        """
        A wrong password is asked for again, and Authorization is for registrars.
        """
        proof = self.credentials(ticket(), password="wrong")
        for header in ("Proxy-Authorization", "Authorization"):
            refusal = self.service.admit(ticket(f"{header}: {proof}"), "alice")
            assert isinstance(refusal, Reply)
            self.assertEqual(refusal.status, 407)
