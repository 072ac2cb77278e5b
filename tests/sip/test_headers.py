"""
Header fields keep name, value and order; editing touches only what is meant.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.errors import MalformedHeader
from siptwist.sip import headers as module
from siptwist.sip.headers import COMPACT, Headers, key_of, make_header

MESSAGE = (
    "Via: SIP/2.0/UDP a, SIP/2.0/UDP b\r\n"
    "VIA  : SIP/2.0/TCP\r\n c;x\r\n"
    "Subject: I know you're there,\r\n\tpick up\r\n"
    "s:again\r\n"
    "X-Odd:   \xe4 : ; , \r\n"
    "l:0"
)


def lines(headers: Headers) -> list[str]:
    return [header[2] for header in headers]


class KeyTests(SynchronousTestCase):
    def test_spellings(self) -> None:
        """
        A header hides behind no spelling: case, white space and compact forms vanish.
        """
        for name in ("Call-ID", "CALL-ID", "call-id \t", "i", "I", "I "):
            self.assertEqual(key_of(name), "call-id")

    def test_compact_forms(self) -> None:
        """
        All compact forms of the registry are known, and none is anything else.
        """
        for short, long in COMPACT.items():
            self.assertEqual(key_of(short.upper()), long)
        self.assertEqual(key_of("z"), "z")


class ParseTests(SynchronousTestCase):
    def test_order_and_text(self) -> None:
        """
        Fields come out in their order and with every byte they had.
        """
        headers = Headers.parse(MESSAGE)
        self.assertEqual("\r\n".join(lines(headers)), MESSAGE)
        self.assertEqual(
            [header[0] for header in headers],
            ["via", "via", "subject", "subject", "x-odd", "content-length"],
        )

    def test_values(self) -> None:
        """
        Values are unfolded, stripped and, where asked, split at commas.
        """
        headers = Headers.parse(MESSAGE)
        self.assertEqual(headers.get("subject"), "I know you're there, pick up")
        self.assertEqual(headers.lines("subject")[1], "again")
        self.assertEqual(
            headers.values("via"), ["SIP/2.0/UDP a", "SIP/2.0/UDP b", "SIP/2.0/TCP c;x"]
        )
        self.assertEqual(headers.get("x-odd"), "\xe4 : ; ,")

    def test_absent(self) -> None:
        """
        What is not there is not there, in every way of asking.
        """
        headers = Headers.parse(MESSAGE)
        self.assertNotIn("route", headers)
        self.assertIsNone(headers.get("route"))
        self.assertEqual((headers.lines("route"), headers.values("route")), ([], []))
        self.assertEqual(headers.fields("route"), ())

    def test_repeated(self) -> None:
        """
        The names that more than one field has are known.
        """
        self.assertEqual(Headers.parse(MESSAGE).repeated, {"via", "subject"})
        self.assertEqual(Headers.parse("A: 1\r\nB: 2").repeated, set())

    def test_empty_values(self) -> None:
        """
        An empty field is a field; empty list elements are none.
        """
        headers = Headers.parse("Route:\r\nAllow: ,INVITE,,")
        self.assertEqual(headers.get("route"), "")
        self.assertEqual(headers.values("allow"), ["INVITE"])

    def test_malformed(self) -> None:
        """
        A line that is no field is refused, whether its name is known or not.
        """
        key_of("Contact")
        for text in (
            "Foobar roobar",
            "Contact",
            "Contact \r\nVia: x",
            ": x",
            " : x",
            " Via: x",
            "V ia: x",
            "Via\0: x",
            "V\xef\xbd\x89a: x",
            "Via\r\n : x",
            "<x>: y",
        ):
            self.assertRaises(ValueError, Headers.parse, text)

    def test_known_name_and_folding(self) -> None:
        """
        A message is read the same whether or not its names have been seen.
        """
        text = "Strange-Name: a\r\nVia: b"
        module._KEYS.pop("Strange-Name", None)
        first, second = Headers.parse(text), Headers.parse(text)
        self.assertEqual(first, second)
        self.assertIn("Strange-Name", module._KEYS)


class RecallTests(SynchronousTestCase):
    def setUp(self) -> None:
        key_of("Via")
        key_of("Route")
        key_of("Authorization")
        self.patch(module, "_LINES", module._Lines())

    def recall(self, text: str) -> Headers:
        """
        What is read of a plain text, which is not refused.
        """
        found = Headers.recall(text)
        assert found is not None
        return found

    def test_same(self) -> None:
        """
        A message is read the same when its lines have been seen before.
        """
        text = "Via: a\r\nRoute:  <sip:b>\t\r\nv:c"
        key_of("v")
        for _ in range(2):
            found = self.recall(text)
            self.assertEqual(found, Headers.parse(text))
            self.assertEqual(found.first, Headers.parse(text).first)

    def test_not_plain(self) -> None:
        """
        Folded and damaged fields and unheard-of names are not taken for plain ones.
        """
        for text in (
            "Via: a\r\n b",
            "Via: a\r\n Route: b",
            "Via: a\r\n\tb",
            "Via",
            "Via: a\nRoute: b",
            "Via: a\rRoute: b",
            "Via: a\r\n",
            "Unheard-Of: a",
            "",
        ):
            self.assertIsNone(Headers.recall(text), text)
            self.assertIsNone(Headers.recall(text), text)

    def test_twice_the_same(self) -> None:
        """
        Of two equal Routes the first alone is the first.
        """
        found = self.recall("Route: <sip:a>\r\nVia: b\r\nRoute: <sip:a>")
        self.assertEqual(found.repeated, {"route"})
        changed = found.replaced({"route": (make_header("Route", "<sip:c>"),)})
        self.assertEqual([header[2] for header in changed], ["Route: <sip:c>", "Via: b"])

    def test_secrets(self) -> None:
        """
        Credentials are not remembered.
        """
        self.recall("Authorization: Digest response=1\r\nVia: a")
        self.assertEqual(list(module._LINES), ["Via: a"])

    def test_bounded(self) -> None:
        """
        Strangers fill no memory with lines that never come again.
        """
        self.patch(module, "_LINES_LIMIT", 10)
        for number in range(25):
            self.recall(f"Via: {number}")
            self.assertLessEqual(len(module._LINES), 10)
        self.recall("Via: " + "x" * 200)
        self.assertNotIn("Via: " + "x" * 200, module._LINES)


class EqualityTests(SynchronousTestCase):
    def test_equal(self) -> None:
        """
        Equal fields in the same order are equal headers, however they were made.
        """
        field = make_header("Via", "x")
        self.assertEqual(Headers([field]), Headers((field,)))
        self.assertNotEqual(Headers([field]), Headers([]))
        self.assertNotEqual(Headers([field]), [field])
        self.assertIn("Via: x", repr(Headers([field])))


class SalvageTests(SynchronousTestCase):
    def test_rest_is_kept(self) -> None:
        """
        What is readable of damaged fields is there to answer with.
        """
        text = "Via: x\r\nFoobar roobar\r\nTo: y\nInjected: z\r\nX: " + "a" * 99 + "\r\ni: 7"
        found = Headers.salvage(text, 10, 50)
        self.assertEqual(lines(found), ["Via: x", "i: 7"])

    def test_limit(self) -> None:
        """
        Of thousands of fields only the first are looked at.
        """
        self.assertEqual(len(Headers.salvage("A: b\r\n" * 5000, 256, 50)), 256)


class MakeTests(SynchronousTestCase):
    def test_made(self) -> None:
        """
        A field of ours has its key and its line.
        """
        self.assertEqual(make_header("CSeq", "1 A"), ("cseq", "1 A", "CSeq: 1 A"))

    def test_injection(self) -> None:
        """
        No value of ours can begin another field or end the text.
        """
        for value in ("a\r\nX: y", "a\nX: y", "a\rb", "a\0", "\r\n"):
            error = self.assertRaises(MalformedHeader, make_header, "Contact", value)
            self.assertEqual((error.name, error.text), ("Contact", value))


class ReplaceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.headers = Headers.parse("P: 1\r\nVia: x\r\nQ: 2\r\nvia: y\r\nW: 3")

    def test_in_place(self) -> None:
        """
        New fields stand where the first of their name stood; the others keep their place.
        """
        made = (make_header("Via", "n"), make_header("Via", "m"))
        found = self.headers.replaced({"via": made, "w": ()})
        self.assertEqual(lines(found), ["P: 1", "Via: n", "Via: m", "Q: 2"])

    def test_new(self) -> None:
        """
        Fields of a new name come first of all.
        """
        found = self.headers.replaced({"route": (make_header("Route", "r"),)})
        self.assertEqual(lines(found)[:2], ["Route: r", "P: 1"])

    def test_original_stays(self) -> None:
        """
        Replacing makes other headers and leaves these as they were.
        """
        self.headers.replaced({"via": (), "p": ()})
        self.assertEqual(len(self.headers), 5)


class WithFieldTests(SynchronousTestCase):
    def test_in_place(self) -> None:
        """
        The field takes the place of the old one; a new one comes last.
        """
        old = Headers.parse("Via: a\r\nl: 10\r\nSubject: s")
        new = old.with_field(make_header("Content-Length", "3"))
        self.assertEqual(lines(new), ["Via: a", "Content-Length: 3", "Subject: s"])
        self.assertEqual((new.get("content-length"), old.get("content-length")), ("3", "10"))
        more = new.with_field(make_header("X-New", "1"))
        self.assertEqual((lines(more)[-1], more.get("x-new")), ("X-New: 1", "1"))


class WithoutTests(SynchronousTestCase):
    def test_gone(self) -> None:
        """
        All fields of the key are gone, the others and what was read of them stay.
        """
        old = Headers.parse(
            "Via: SIP/2.0/UDP a;branch=z9hG4bKx\r\nRoute: <sip:a>\r\nFrom: <sip:a@b>;tag=1\r\n"
            "Route: <sip:b>\r\nTo: <sip:c@d>\r\nCSeq: 1 INVITE"
        )
        new = old.without("route")
        self.assertNotIn("route", new)
        self.assertEqual([header[0] for header in new], ["via", "from", "to", "cseq"])
        self.assertEqual((new.from_.tag, new.via.branch), ("1", "z9hG4bKx"))
        self.assertEqual(len(old.values("route")), 2)
        self.assertEqual(old.without("x-none"), old)


class EditTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.headers = Headers.parse("P: 1\r\nv : x, y\r\nQ: 2\r\nVia: z")
        self.editor = self.headers.edit()

    def finish(self) -> list[str]:
        return lines(self.editor.finish())

    def test_push(self) -> None:
        """
        A pushed field stands before the first of its name, or first of all.
        """
        self.editor.push("Via", "w")
        self.editor.push("Route", "r")
        self.assertEqual(
            self.finish(), ["Route: r", "P: 1", "Via: w", "v : x, y", "Q: 2", "Via: z"]
        )

    def test_append(self) -> None:
        """
        An appended field is the last.
        """
        self.editor.append("Expires", "60")
        self.assertEqual(self.finish()[-1], "Expires: 60")

    def test_set(self) -> None:
        """
        Set replaces all fields of a name, where the first one stood, or at the end.
        """
        self.editor.set("Via", "n", "m")
        self.editor.set("New", "w")
        self.assertEqual(self.finish(), ["P: 1", "Via: n", "Via: m", "Q: 2", "New: w"])

    def test_remove(self) -> None:
        """
        Remove takes every field of a name, whatever its spelling.
        """
        self.editor.remove("via")
        self.assertEqual(self.finish(), ["P: 1", "Q: 2"])

    def test_drop_first(self) -> None:
        """
        The topmost value goes, from its line or with it.
        """
        self.assertEqual(self.editor.drop_first("via"), "x")
        self.assertEqual(self.finish(), ["P: 1", "v: y", "Q: 2", "Via: z"])
        self.assertEqual(self.editor.drop_first("via"), "y")
        self.assertEqual(self.editor.drop_first("via"), "z")
        self.assertIsNone(self.editor.drop_first("via"))
        self.assertEqual(self.finish(), ["P: 1", "Q: 2"])

    def test_restore(self) -> None:
        """
        Fields kept aside come back as they were, in the place of those there now.
        """
        kept = self.headers.fields("via")
        self.editor.set("Via", "ours")
        self.editor.restore(kept)
        self.assertEqual(self.finish(), ["P: 1", "v : x, y", "Via: z", "Q: 2"])
        self.editor.restore(())
        self.assertEqual(len(self.finish()), 4)

    def test_injection(self) -> None:
        """
        No editing lets a value begin another field.
        """
        for edit in (self.editor.push, self.editor.append, self.editor.set):
            self.assertRaises(MalformedHeader, edit, "X", "a\r\nEvil: b")
        self.assertEqual(self.finish(), lines(self.headers))
