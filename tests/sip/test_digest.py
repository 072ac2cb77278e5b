"""
Challenges and credentials are read, printed and verified by the RFCs.
"""

from __future__ import annotations

import random

from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import MalformedHeader
from siptwist.sip.digest import Challenge, Credentials, ha1, ha2, is_digest, response

# RFC 2617 section 3.5
RFC2617 = (
    'Digest username="Mufasa", realm="testrealm@host.com", '
    'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", uri="/dir/index.html", qop=auth, '
    'nc=00000001, cnonce="0a4f113b", response="6629fae49393a05397450978507c4ef1", '
    'opaque="5ccc069c403ebaf9f0171e9517f40e41"'
)

# RFC 7616 section 3.9.1
RFC7616 = (
    'Digest username="Mufasa", realm="http-auth@example.org", uri="/dir/index.html", '
    'algorithm={}, nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, '
    'cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, response="{}", '
    'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
)


class VectorTests(SynchronousTestCase):
    def test_rfc2617(self) -> None:
        """
        The example of RFC 2617 section 3.5 verifies.
        """
        credentials = Credentials.parse(RFC2617)
        self.assertTrue(credentials.verify_password("Circle Of Life", "GET"))
        self.assertFalse(credentials.verify_password("Circle of Life", "GET"))
        self.assertFalse(credentials.verify_password("Circle Of Life", "POST"))

    def test_rfc7616_md5_and_sha256(self) -> None:
        """
        Both examples of RFC 7616 section 3.9.1 verify.
        """
        for algorithm, answer in (
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ):
            credentials = Credentials.parse(RFC7616.format(algorithm, answer))
            self.assertTrue(credentials.verify_password("Circle of Life", "GET"), algorithm)
            self.assertFalse(credentials.verify_password("Circle Of Life", "GET"), algorithm)

    def test_rfc7616_sha512_256(self) -> None:
        """
        The example of RFC 7616 section 3.9.2 verifies, with the values of
        erratum 4897: the RFC printed those of a truncated SHA-512.
        """
        user, realm = "J\xe4s\xf8n Doe", "api@example.org"
        answer = response(
            "SHA-512-256",
            ha1("SHA-512-256", user, realm, "Secret, or not?"),
            "5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK",
            ha2("SHA-512-256", "GET", "/doe.json"),
            "auth",
            "00000001",
            "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
        )
        self.assertEqual(answer, "3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5")

    def test_without_qop(self) -> None:
        """
        A phone that knows only RFC 2069 is understood.
        """
        # The same request, user and nonce as in RFC 2617 section 3.5.
        text = (
            'Digest username="Mufasa", realm="testrealm@host.com", uri="/dir/index.html", '
            'nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093", '
            'response="670fd8c2df070c60b045671b8b24ff02"'
        )
        credentials = Credentials.parse(text)
        self.assertTrue(credentials.verify_password("Circle Of Life", "GET"))
        self.assertEqual((credentials.qop, credentials.nonce_count), ("", 0))

    def test_session_key(self) -> None:
        """
        A "-sess" algorithm mixes the nonces into the secret (RFC 7616 section 3.4.2).
        """
        secret = ha1("SHA-256-sess", "alice", "r", "pw")
        self.assertEqual(secret, ha1("SHA-256", "alice", "r", "pw"))
        session = ha1("SHA-256", secret, "n", "c")
        self.assertEqual(
            response("SHA-256-sess", secret, "n", "request", "auth", "00000001", "c"),
            response("SHA-256", session, "n", "request", "auth", "00000001", "c"),
        )

    def test_body_protected(self) -> None:
        """
        With auth-int another body makes another response.
        """
        request = ha2("MD5", "INVITE", "sip:bob@example.com", "auth-int", b"v=0")
        answer = response(
            "MD5", ha1("MD5", "a", "r", "p"), "n", request, "auth-int", "00000001", "c"
        )
        credentials = Credentials.parse(
            'digest username="a",realm="r",nonce="n",uri="sip:bob@example.com",'
            f'response="{answer.upper()}",qop=AUTH-INT,nc=00000001,cnonce="c",algorithm=md5'
        )
        self.assertTrue(credentials.verify_password("p", "INVITE", b"v=0"))
        self.assertFalse(credentials.verify_password("p", "INVITE", b"v=1"))

    def test_unknown_algorithm(self) -> None:
        """
        An algorithm we do not know proves nothing.
        """
        credentials = Credentials.parse(RFC2617 + ", algorithm=AKAv1-MD5")
        self.assertFalse(credentials.verify_password("Circle Of Life", "GET"))
        self.assertFalse(credentials.verify("", "GET"))

    def test_response_of_any_bytes(self) -> None:
        """
        A response that is no hexadecimal text is wrong, and nothing worse.
        """
        for text in ("\udcff\xe9", "", "6629"):
            credentials = Credentials.parse(
                RFC2617.replace("6629fae49393a05397450978507c4ef1", text)
            )
            self.assertFalse(credentials.verify_password("Circle Of Life", "GET"))


class CredentialsTests(SynchronousTestCase):
    def test_spelling_survives(self) -> None:
        """
        Unknown parameters, their order and their spelling go out as they came in.
        """
        text = 'Digest X-Odd=1, Username="a\\"b, c", realm="", nonce="n", URI=sip:x, Response="r"'
        credentials = Credentials.parse(text)
        self.assertEqual(str(credentials), text)
        self.assertEqual(
            (credentials.username, credentials.uri, credentials.get("x-odd")),
            ('a"b, c', "sip:x", "1"),
        )
        self.assertEqual(Credentials.parse(str(credentials)), credentials)

    def test_spacing(self) -> None:
        """
        Blanks around the equals sign and empty list members are tolerated.
        """
        text = 'DIGEST  username = "a" ,, realm="r",nonce="n" , uri="u",response="x" , '
        self.assertEqual(Credentials.parse(text).username, "a")

    def test_missing_parameter(self) -> None:
        """
        Credentials without one of their parts are refused with 400, never a crash.
        """
        for name in ("username", "realm", "nonce", "uri", "response", "cnonce", "nc"):
            text = RFC2617.replace(f" {name}=", f" x-{name}=")
            error = self.assertRaises(MalformedHeader, Credentials.parse, text)
            self.assertEqual((error.status, error.name), (400, "Authorization"))

    def test_malformed(self) -> None:
        """
        What is not a list of parameters is refused with 400.
        """
        for text in (
            "",
            "Digest",
            "Digestusername=x",
            "Basic QWxhZGRpbg==",
            RFC2617.replace("nc=00000001", "nc=xyz"),
            RFC2617.replace("nc=00000001", "nc=000000001"),
            RFC2617.replace("qop=auth", "qop=other"),
            RFC2617 + ', username="Scar"',
            RFC2617 + ", x",
            RFC2617 + ", x=y z=w",
            RFC2617 + ', x="open',
            RFC2617 + ", algorithm=MD5-sess" + ", x=1" * 64,
            'Digest username="a", realm="r", nonce="n", uri="u", response="x", algorithm=MD5-sess',
        ):
            self.assertRaises(MalformedHeader, Credentials.parse, text)

    def test_mutations(self) -> None:
        """
        However credentials are damaged, they are refused or safe to verify.
        """
        chance = random.Random(7616)
        for _ in range(5000):
            text = mutate(chance, chance.choice((RFC2617, RFC7616)))
            try:
                credentials = Credentials.parse(text)
            except MalformedHeader:
                continue
            credentials.verify_password("pw", "GET")
            self.assertEqual(Credentials.parse(str(credentials)), credentials)


class ChallengeTests(SynchronousTestCase):
    def test_make(self) -> None:
        """
        A challenge of ours says realm, nonce, algorithm and qop.
        """
        challenge = Challenge.make('my "home"', "n1", "SHA-256")
        self.assertEqual(
            str(challenge),
            'Digest realm="my \\"home\\"", nonce="n1", algorithm=SHA-256, qop="auth"',
        )
        self.assertFalse(challenge.stale)
        self.assertEqual(Challenge.parse(str(challenge)), challenge)

    def test_stale(self) -> None:
        """
        A stale challenge says that the password was right.
        """
        self.assertTrue(Challenge.parse(str(Challenge.make("r", "n", "MD5", stale=True))).stale)

    def test_read(self) -> None:
        """
        A provider's challenge is understood, whatever it adds.
        """
        challenge = Challenge.parse(
            'Digest nonce="n", realm="example.com", qop="auth,auth-int", stale=FALSE, '
            'algorithm=sha-256-SESS, opaque="", domain="sip:boxesbybob.com"'
        )
        self.assertEqual(challenge.qop_options, ("auth", "auth-int"))
        self.assertEqual((challenge.realm, challenge.nonce), ("example.com", "n"))
        self.assertEqual((challenge.algorithm, challenge.stale), ("SHA-256-sess", False))

    def test_malformed(self) -> None:
        """
        A challenge without realm or nonce is refused.
        """
        for text in ('Digest realm="r"', 'Digest nonce="n"', "Basic realm=x", 'Digest realm="r'):
            error = self.assertRaises(MalformedHeader, Challenge.parse, text)
            self.assertEqual(error.name, "WWW-Authenticate")

    def test_scheme(self) -> None:
        """
        Digest is told from other schemes in any spelling.
        """
        self.assertTrue(is_digest("digest realm=x"))
        self.assertFalse(is_digest("NoOneKnowsThisScheme opaque-data=here"))


def mutate(chance: random.Random, text: str) -> str:
    """
    One to three random edits.
    """
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(text) + 1)
        edit = chance.randrange(4)
        if edit == 0:
            text = text[:at] + chance.choice('",=\\ \t\0%\xe9\udcff;:') + text[at + 1 :]
        elif edit == 1:
            text = text[:at] + text[at + chance.randint(1, 20) :]
        elif edit == 2:
            text = text[:at] + text[at : at + 30] * chance.randint(1, 20) + text[at:]
        else:
            text = text[:at] + chr(chance.randrange(256)) + text[at:]
    return text
