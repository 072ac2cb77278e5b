"""
Tests for siptwist.services.serving.locating: host names in session descriptions.
"""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from siptwist.media.stream import Endpoint, Party, StreamOffer
from siptwist.services.serving.locating import MAX_NAMES, Locating
from siptwist.sip.hop import Hop
from tests.fakes import FakeResolver
from tests.services.walking import WalkingCase, sdp

CAROL = "sip:carol@provider.example"


def streams(*hosts: str, port: int = 4000) -> tuple[StreamOffer, ...]:
    return tuple(
        StreamOffer(n, "audio", Endpoint(host, port, port + 1 if port else 0))
        for n, host in enumerate(hosts)
    )


class LocatingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.resolver = FakeResolver()
        self.resolver.names["media.example"] = [Hop("192.0.2.7", 9), Hop("192.0.2.8", 9)]
        self.resolver.names["other.example"] = [Hop("2001:db8::7", 9)]
        self.locating = Locating(self.resolver)

    def located(self, found: Any) -> list[str]:
        return [one.endpoint.host for one in found]

    def test_names(self) -> None:
        """
        Names become addresses, each asked once; addresses stay.
        """
        made = streams("media.example", "198.51.100.1", "other.example", "media.example")
        found = self.locating.locate(made)
        self.assertEqual(
            self.located(found), ["192.0.2.7", "198.51.100.1", "2001:db8::7", "192.0.2.7"]
        )
        self.assertEqual(len(self.resolver.asked), 2)
        self.assertEqual(found[0].endpoint.rtp_port, 4000)

    def test_slow(self) -> None:
        """
        What the name servers take long for comes later.
        """
        self.resolver.slow.update(("media.example", "other.example"))
        found = self.locating.locate(streams("media.example", "other.example"))
        self.assertNoResult(found)
        self.resolver.answer()
        self.resolver.answer()
        hosts = self.located(self.successResultOf(found))
        self.assertEqual(hosts, ["192.0.2.7", "2001:db8::7"])

    def test_unknown(self) -> None:
        """
        A name that nobody knows stays a name, and the others are found.
        """
        found = self.locating.locate(streams("nobody.example", "media.example"))
        hosts = self.located(self.successResultOf(found))
        self.assertEqual(hosts, ["nobody.example", "192.0.2.7"])

    def test_not_asked(self) -> None:
        """
        Nobody is asked for names that stand for hold, nor for refused streams.
        """
        self.locating.locate(streams("hold.invalid", "HOLD.INVALID."))
        self.locating.locate(streams("media.example", port=0))
        self.assertEqual(self.resolver.asked, [])

    def test_too_many(self) -> None:
        """
        Who writes many names does not have us ask for all of them.
        """
        made = streams(*(f"n{number}.example" for number in range(20)))
        self.successResultOf(self.locating.locate(made))
        self.assertEqual(len(self.resolver.asked), MAX_NAMES)


class NamedMediaTests(WalkingCase):
    """
    A call whose SDP names a host.
    """

    fakes_media = True

    def invite(self) -> None:
        self.proxy.resolver.names["phone.example"] = [Hop("10.0.0.10", 4000)]
        self.phone.invite(CAROL, body=sdp("phone.example"))

    def test_offer(self) -> None:
        """
        The relay is told the address, at once when it is known.
        """
        self.invite()
        ((_, _, (stream,), _, _, _),) = self.media.described
        self.assertEqual(stream.endpoint.host, "10.0.0.10")
        self.assertIn("c=IN IP4 203.0.113.1", self.provider.last("INVITE").body.decode())

    def test_slow_offer(self) -> None:
        """
        The INVITE waits for the name servers.
        """
        self.proxy.resolver.slow.add("phone.example")
        self.invite()
        self.assertEqual(self.provider.datagrams, [])
        self.proxy.resolver.answer()
        self.assertIn("c=IN IP4 203.0.113.1", self.provider.last("INVITE").body.decode())

    def test_slow_answer(self) -> None:
        """
        So does the 200.
        """
        self.phone.invite(CAROL)
        self.proxy.resolver.slow.add("far.example")
        self.proxy.resolver.names["far.example"] = [Hop("203.0.113.30", 6000)]
        came = self.provider.last("INVITE")
        self.provider.reply(came, 200, body=sdp("far.example", 6000))
        self.assertEqual(self.phone.statuses("INVITE"), [])
        self.proxy.resolver.answer()
        self.assertEqual(self.phone.statuses("INVITE"), [200])
        _, party, (stream,), _, _, _ = self.media.described[1]
        self.assertEqual((party, stream.endpoint.host), (Party.CALLEE, "203.0.113.30"))
        self.assertEqual(self.media.receivers, [("203.0.113.20",), ("10.0.0.10",)])
