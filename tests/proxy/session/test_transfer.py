"""
Tests for siptwist.proxy.session.transfer.
"""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from siptwist.proxy.identity import Identity
from siptwist.proxy.registration.location import Locations
from siptwist.proxy.registration.visitors import Visitor, Visitors
from siptwist.proxy.session.transfer import Transfers, incoming
from siptwist.sip.headers import Header, Headers, make_header
from siptwist.sip.hop import Hop, Side
from tests.proxy.asking import ONE_SOCKET, PHONE, TWO_SOCKETS, bind
from tests.proxy.registering import KEY, NOW
from tests.sip.mutations import Mutator

ALICE = "sip:alice@provider.example"
BOB = "sip:bob@10.0.0.8:5060"
MASK = "bbbbbbbbbbbb"
MASKED = f"sip:bob@203.0.113.7;line={MASK}"


class TransferCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.locations, self.visitors = Locations(), Visitors()
        self.transfers = Transfers(self.locations, self.visitors, KEY)

    def bind_bob(self, contact: str = BOB) -> None:
        bind(
            self.locations,
            MASK,
            aor="sip:bob@provider.example",
            contact=contact,
            source=Hop("10.0.0.8", 5060),
        )

    def changed(
        self, *pairs: tuple[str, str], identity: Identity = TWO_SOCKETS, hop: Hop = PHONE
    ) -> dict[str, list[str]]:
        """
        The headers that go out otherwise than the phone wrote them.
        """
        headers = Headers([make_header(name, value) for name, value in pairs])
        changes: dict[str, tuple[Header, ...]] = {}
        self.transfers.outgoing(changes, headers, ALICE, hop, identity, NOW)
        return {key: [value for _, value, _ in made] for key, made in changes.items()}

    def told(self, refer_to: str, identity: Identity = TWO_SOCKETS) -> str:
        """
        The Refer-To that goes out.
        """
        found = self.changed(("Refer-To", refer_to), identity=identity)
        return found.get("refer-to", [refer_to])[0]


class OutgoingTests(TransferCase):
    """
    Whom a phone refers the outside to.
    """

    def test_registered_phone(self) -> None:
        """
        The Contact of another phone of ours goes out as its masked Contact.
        """
        self.bind_bob()
        self.assertEqual(self.told(f"<{BOB}>"), f"<{MASKED}>")

    def test_replaces_stays(self) -> None:
        """
        Replaces keeps its Call-ID and tags to the letter, and with it other headers
        and the method: we change neither Call-ID nor tags of any call.
        """
        self.bind_bob()
        rest = "?Replaces=a%40b%3Bto-tag%3D1%3Bfrom-tag%3D2&Require=replaces"
        self.assertEqual(
            self.told(f'"Bob, B" <{BOB};method=INVITE{rest}>;x=1'),
            f'"Bob, B" <{MASKED};method=INVITE{rest}>;x=1',
        )

    def test_without_brackets(self) -> None:
        """
        A Refer-To without the brackets that its parameters ask for is read as meant.
        """
        self.bind_bob()
        self.assertEqual(self.told(f"{BOB};transport=udp?Replaces=x"), f"<{MASKED}?Replaces=x>")

    def test_equal_contact(self) -> None:
        """
        A Contact that is spelled otherwise, or misses a parameter, is still that phone.
        """
        self.bind_bob(f"{BOB};transport=udp;ob")
        for text in ("sip:bob@10.0.0.8", f"{BOB};ob", "sip:%62ob@10.0.0.8:5060;transport=UDP"):
            self.assertEqual(self.told(f"<{text}>"), f"<{MASKED}>", text)

    def test_unregistered_phone(self) -> None:
        """
        A phone inside that is not registered gets a mask that leads to it.
        """
        told = self.told("<sip:dave@10.0.0.9:5070?Replaces=x>")
        self.assertRegex(told, r"^<sip:dave@203\.0\.113\.7;line=[0-9a-f]{12}\?Replaces=x>$")
        visitor = self.visitors.by_mask(told.partition("line=")[2][:12])
        assert visitor is not None
        self.assertEqual((visitor.contact, visitor.hop.port), ("sip:dave@10.0.0.9:5070", 5070))

    def test_outside_stays(self) -> None:
        """
        An address of the provider or of somebody outside goes out as it is.
        """
        self.bind_bob()
        for text in (
            "<sip:bob@provider.example>",
            "<sip:carol@198.51.100.3:5062?Replaces=x>",
            f"<{MASKED}>",
            "<tel:+4930123>",
            "sip:carol@198.51.100.3",
        ):
            self.assertEqual(self.changed(("Refer-To", text)), {}, text)
        self.assertEqual(len(self.visitors), 0)

    def test_our_own_domain(self) -> None:
        """
        Somebody registered with us is referred to by our outside address.
        """
        self.assertEqual(
            self.told("<sip:bob@10.0.0.1;x=1?Replaces=y>"), "<sip:bob@203.0.113.7;x=1?Replaces=y>"
        )

    def test_referred_by(self) -> None:
        """
        Who refers is named by its mask, parameters kept; an account stays.
        """
        bind(self.locations, "aaaaaaaaaaaa", contact="sip:alice@10.0.0.5:5072", source=PHONE)
        hop = Hop("10.0.0.5", 5072)
        for text in ("<sip:alice@10.0.0.5:5072>;cid=1@x", "<sip:alice@10.0.0.5>;cid=1@x"):
            found = self.changed(("Referred-By", text), hop=hop)
            self.assertEqual(
                found, {"referred-by": ["<sip:alice@203.0.113.7;line=aaaaaaaaaaaa>;cid=1@x"]}
            )
        self.assertEqual(self.changed(("Referred-By", f"<{ALICE}>")), {})

    def test_malformed(self) -> None:
        """
        What cannot be read is left for the phones to judge.
        """
        self.bind_bob()
        for text in (
            "",
            "<>",
            "<sip:>",
            f"<{BOB}",
            "<sip:bob@10.0.0.8:99999>",
        ):
            self.assertEqual(self.changed(("Refer-To", text)), {}, text)

    def test_too_long(self) -> None:
        """
        A Refer-To longer than a Contact may be is not remembered.
        """
        self.assertEqual(self.changed(("Refer-To", f"<sip:a@10.0.0.9;x={'y' * 2048}>")), {})
        self.assertEqual(len(self.visitors), 0)

    def test_one_address(self) -> None:
        """
        With one address for both sides, a neighbor is a phone only if we know it.
        """
        text = "<sip:eve@192.168.1.30:5060>"
        self.assertEqual(self.told(text, ONE_SOCKET), text)
        visitor = Visitor("x", "sip:e@h", Hop("192.168.1.30", 5060), Side.INSIDE, "", NOW)
        self.visitors.note(visitor)
        self.assertIn("sip:eve@203.0.113.7;line=", self.told(text, ONE_SOCKET))

    def test_damaged(self) -> None:
        """
        3,000 damaged values raise nothing.
        """
        self.bind_bob()
        sample = f'"B" <{BOB};method=INVITE?Replaces=a%40b%3Bto-tag%3D1>;x=1'.encode()
        mutator = Mutator(3515, [sample])
        for _ in range(3000):
            text = mutator.mutation().decode("utf-8", "surrogateescape")
            text = text.translate({13: None, 10: None, 0: None})
            self.changed(("Refer-To", text), ("Referred-By", text))


class IncomingTests(SynchronousTestCase):
    """
    Whom the outside refers a phone to.
    """

    def told(self, text: str, identity: Identity = TWO_SOCKETS) -> str:
        changes: dict[str, tuple[Header, ...]] = {}
        incoming(changes, Headers([make_header("r", text)]), identity)
        return changes["refer-to"][0][1] if changes else text

    def test_mask(self) -> None:
        """
        The masked Contact of another phone of ours is reached through our inside address.
        """
        self.assertEqual(
            self.told(f'"B" <{MASKED}?Replaces=a%40b%3Bto-tag%3D1>'),
            f'"B" <sip:bob@10.0.0.1;line={MASK}?Replaces=a%40b%3Bto-tag%3D1>',
        )
        self.assertEqual(self.told(MASKED), f"<sip:bob@10.0.0.1;line={MASK}>")
        self.assertEqual(
            self.told("<sip:bob@pbx;line=1234>", ONE_SOCKET), "<sip:bob@192.168.1.5;line=1234>"
        )

    def test_stays(self) -> None:
        """
        Others, our inside address and what cannot be read stay.
        """
        for text in ("<sip:carol@198.51.100.3>", "<sip:bob@10.0.0.1>", "<tel:+49>", "<sip:["):
            self.assertEqual(self.told(text), text)
        self.assertEqual(self.told("<sip:bob@pbx>", ONE_SOCKET), "<sip:bob@pbx>")

    def test_several(self) -> None:
        """
        A REFER with two Refer-To is wrong, and for the phone to refuse.
        """
        changes: dict[str, tuple[Header, ...]] = {}
        incoming(changes, Headers([make_header("r", f"<{MASKED}>")] * 2), TWO_SOCKETS)
        self.assertEqual(changes, {})
