"""
Tests of :mod:`siptwist.plugins.repairs.regex_body`.
"""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from siptwist.config import parse
from siptwist.errors import ConfigError
from siptwist.plugins.dialing.ambiguity import expression
from siptwist.plugins.dialing.expressions import replacement
from siptwist.plugins.loading import configure
from siptwist.plugins.repairs import regex_body
from siptwist.plugins.repairs.regex_body import RegexBody, RegexBodyOptions, Rule
from siptwist.plugins.stages import IPreProxy, IResponse
from siptwist.sip.message import Request
from tests.plugins.loaded import PluginCase, make_house
from tests.services.walking import fields, sdp

VIDEO = "m=video 5008 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"
# As siproxd 0.8 truncated it.
LONG = "x" * 3000 + "\r\n"


def applied(pattern: str, replaced: str, subject: str) -> str:
    return Rule("a rule", expression(pattern), replacement(replaced)).apply(subject)


def lines(*rules: tuple[str, str]) -> str:
    text = "load_plugin = plugin_regex_body.la\n"
    for number, (pattern, replaced) in enumerate(rules, 1):
        text += f"plugin_regex_body_desc = rule {number}\n"
        text += f"plugin_regex_body_pattern = {pattern}\n"
        text += f"plugin_regex_body_replace = {replaced}\n"
    return text


class RuleTests(SynchronousTestCase):
    """
    What one rule does to a text (R12 of siproxd).
    """

    def test_each_match_once(self) -> None:
        """
        Every match is replaced once; what was put in is not searched again
        (R12 of siproxd).
        """
        self.assertEqual(applied("a", "aa", "banana"), "baanaanaa")
        self.assertEqual(applied("m=video [0-9]+", "m=video 0", VIDEO), VIDEO.replace("5008", "0"))

    def test_overlap(self) -> None:
        """
        Longer and shorter replacements leave what stands around them as it was
        (R12 of siproxd).
        """
        text = "".join(f"<{number}>" for number in range(100))
        self.assertEqual(applied("[0-9]+", "", text), "<>" * 100)
        longer = applied("<([0-9]+)>", r"(\1:\1:\1)", text)
        self.assertEqual(longer, "".join(f"({one}:{one}:{one})" for one in range(100)))

    def test_case(self) -> None:
        """
        Case does not matter, as in siproxd.
        """
        self.assertEqual(applied("A=PTIME:20", "a=ptime:30", "a=ptime:20"), "a=ptime:30")

    def test_groups(self) -> None:
        """
        Groups of the match can be used in what is put in its place.
        """
        self.assertEqual(applied(r"(\w+)=(\w+)", r"\2=\1", "a=b, c=d"), "b=a, d=c")

    def test_group_that_matched_nothing(self) -> None:
        """
        A match without a group that the replacement speaks of stays as it is.
        """
        self.assertEqual(applied("a(b)?;", r"<\1>", "ab;a;"), "<b>a;")

    def test_whole_text(self) -> None:
        """
        ^ and $ are the ends of the text, not those of a line, as POSIX has it.
        """
        self.assertEqual(applied("^a", "b", "a\r\na"), "b\r\na")
        self.assertEqual(applied("a$", "b", "a\r\na"), "a\r\nb")


class OptionTests(SynchronousTestCase):
    def refused(self, text: str) -> str:
        error = self.assertRaises(ConfigError, parse, text, configure=configure)
        return " ".join(str(problem) for problem in error.problems)

    def test_uneven(self) -> None:
        """
        A rule without one of its three lines is refused.
        """
        for key in ("desc", "pattern", "replace"):
            text = lines(("a", "b"), ("c", "d"))
            text = (
                text[: text.rindex(f"plugin_regex_body_{key}")]
                + text[text.index("\n", text.rindex(f"plugin_regex_body_{key}")) + 1 :]
            )
            self.assertIn(f"1 of {key}", self.refused(text))

    def test_malformed(self) -> None:
        """
        A pattern that is none, or that a search could take for ever with, is refused
        with its line.
        """
        self.assertIn("siproxd.conf:3: plugin_regex_body_pattern", self.refused(lines(("(", "b"))))
        self.assertIn("for ever", self.refused(lines(("(a+)+b", "b"))))

    def test_no_such_group(self) -> None:
        """
        So is a replacement that speaks of a group that the pattern does not have.
        """
        self.assertIn("there is no group 2", self.refused(lines(("(a)", r"\2"))))


class BodyTests(SynchronousTestCase):
    """
    Which bodies are changed, and what they are then (R12 of siproxd).
    """

    def setUp(self) -> None:
        self.clock = Clock()
        options = RegexBodyOptions(("one",), (expression("a"),), (replacement("bb"),))
        self.plugin = RegexBody(options, make_house(reactor=self.clock))

    def rewrite(self, body: bytes, kind: str = "text/plain") -> bytes | None:
        headers = fields(("Call-ID", "x"), ("Content-Type", kind))
        return self.plugin._rewrite(Request("MESSAGE", "sip:a@b.example", headers, body))

    def test_interface(self) -> None:
        """
        It keeps what it promises.
        """
        verifyObject(IPreProxy, self.plugin)
        verifyObject(IResponse, self.plugin)

    def test_binary(self) -> None:
        """
        Bodies that are no text stay as they are, to the byte (R12 of siproxd).
        """
        self.assertIsNone(self.rewrite(b"\xffa\0a", "application/octet-stream"))
        self.assertIsNone(self.rewrite(b"\xffa\0a", "text/plain"))
        self.assertIsNone(self.rewrite(b"aaa", "image/png"))

    def test_not_utf8(self) -> None:
        """
        A text in another alphabet keeps its bytes.
        """
        self.assertEqual(self.rewrite(b"\xe4a\xff"), b"\xe4bb\xff")

    def test_no_match(self) -> None:
        """
        A text without match is the very same.
        """
        self.assertIsNone(self.rewrite(b"xyz"))

    def test_long(self) -> None:
        """
        Nothing is cut off, however long a text is: one too long to search stays whole
        (R12 of siproxd).
        """
        self.assertEqual(self.rewrite(b"x" * 5000 + b"a"), b"x" * 5000 + b"bb")
        self.assertIsNone(self.rewrite(b"a" + b"x" * regex_body.LONGEST_TEXT))

    def test_grown(self) -> None:
        """
        A body that would grow past what a message may hold stays as it is.
        """
        text = b"--x\r\nContent-Type: text/plain\r\n\r\n" + b"a" * 8000 + b"\r\n"
        body = text * 8 + b"--x--\r\n"
        self.assertIsNone(self.rewrite(body, "multipart/mixed;boundary=x"))

    def test_parts(self) -> None:
        """
        In a multipart body each text is changed, and nothing between them.
        """
        text = b"--x\r\nContent-Type: text/a\r\n\r\na\r\n--x\r\nContent-Type: a/a\r\n\r\na\r\n"
        self.assertEqual(
            self.rewrite(text * 2 + b"--x--", "multipart/mixed;boundary=x"),
            text.replace(b"\r\n\r\na\r\n", b"\r\n\r\nbb\r\n", 1) * 2 + b"--x--",
        )

    def test_slow(self) -> None:
        """
        A rule that takes long is not used on texts of that length again.
        """
        [rule] = self.plugin._rules

        def take_long(subject: str) -> str:
            self.clock.advance(0.2)
            return subject * 2

        self.patch(rule, "apply", take_long)
        self.assertEqual(self.rewrite(b"x" * 100), b"x" * 200)
        self.assertIsNone(self.rewrite(b"x" * 100))
        self.assertEqual(rule.longest, 50)


class QuickTests(PluginCase):
    """
    Texts that no rule can match are not searched.
    """

    text = lines((r"one\.([a-z])", r"TWO+\1"), ("two[+]", "three:"), (r"5\.6\.7", "8"))

    def said_as(self, text: str) -> bytes:
        headers = [("Content-Type", "text/plain")]
        self.phone.send("MESSAGE", "sip:carol@provider.example", headers=headers, body=text)
        return self.provider.last("MESSAGE").body

    def test_matches(self) -> None:
        """
        What a rule matches it changes, in whatever case it is written; and a later rule
        what an earlier one made of it.
        """
        self.assertEqual(self.said_as("I am ONE.a"), b"I am three:a")
        self.assertEqual(self.said_as("I am Two+"), b"I am three:")
        self.assertEqual(self.said_as("1.5.6.7"), b"1.8")

    def test_not_searched(self) -> None:
        """
        A text that lacks what every rule needs goes on unsearched.
        """
        searched: list[str] = []
        self.patch(Rule, "apply", lambda rule, subject: searched.append(subject) or subject)
        self.assertEqual(self.said_as("I am one too, 5.6.8"), b"I am one too, 5.6.8")
        self.assertEqual(searched, [])
        self.said_as("one.")
        self.assertEqual(searched, ["one."] * 3)


class WalkTests(PluginCase):
    text = lines(
        ("m=video [0-9]+", "m=video 0"),
        ("a=(ptime|maxptime):20", r"a=\1:30"),
        ("secret", "******"),
        (r"\*{6} word", "hidden"),
    )

    def test_outgoing(self) -> None:
        """
        The description of a phone is changed before our ports are written into it,
        and the length is that of what goes out (R12 of siproxd).
        """
        body = sdp("10.0.0.10", 4000, "a=ptime:20\r\n" + VIDEO)
        self.phone.invite("sip:carol@provider.example", body=body)
        came = self.provider.last("INVITE")
        self.assertIn(b"m=video 0 RTP/AVP 96\r\n", came.body)
        self.assertIn(b"a=ptime:30\r\n", came.body)
        self.assertIn(b"c=IN IP4 203.0.113.1\r\n", came.body)
        self.assertEqual(len(self.proxy.rtp_ports), 4)
        self.assertEqual(came.headers.get("content-length"), str(len(came.body)))

    def test_answer(self) -> None:
        """
        So is that of an answer.
        """
        self.phone.invite("sip:carol@provider.example")
        body = sdp("203.0.113.30", 6000, "a=maxptime:20\r\n")
        self.provider.reply(self.provider.last("INVITE"), 200, body=body)
        answer = self.phone.answer("INVITE")
        self.assertIn(b"a=maxptime:30\r\n", answer.body)
        self.assertEqual(answer.headers.get("content-length"), str(len(answer.body)))

    def test_message(self) -> None:
        """
        A text message is changed by all rules in turn, whole, and with its length, in
        either direction (R12 of siproxd).
        """
        text = LONG + "the secret word is SECRET" + LONG
        changed = LONG + "the hidden is ******" + LONG
        self.phone.send("MESSAGE", "sip:carol@provider.example", body=text, type="text/plain")
        came = self.provider.last("MESSAGE")
        self.assertEqual(came.body.decode(), changed)
        self.assertEqual(came.headers.get("content-length"), str(len(changed)))
        uri = self.registered(self.phone)
        self.provider.send("MESSAGE", uri, body=text, type="text/plain")
        self.assertEqual(self.phone.last("MESSAGE").body.decode(), changed)

    def test_other_types(self) -> None:
        """
        What is no text passes untouched (R12 of siproxd).
        """
        self.phone.send("INFO", "sip:carol@provider.example", body="secret", type="image/gif")
        self.assertEqual(self.provider.last("INFO").body, b"secret")

    def test_call(self) -> None:
        """
        A call that no rule matches is what it is without the plugin.
        """
        caller, callee = self.call_out()
        caller.send("BYE")
        self.provider.reply(self.provider.last("BYE"), 200)
        self.assert_clean(caller.call_id, callee.call_id)
