"""
Tests of :mod:`siptwist.plugins.guarding.stun`.
"""

from __future__ import annotations

from ipaddress import IPv4Interface
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from siptwist import config
from siptwist.composition import compose
from siptwist.errors import ConfigError
from siptwist.net.addresses import Chosen, Interface
from siptwist.plugins.guarding.stun import RETRY_SECONDS, Stun, StunOptions
from siptwist.plugins.loading import configure
from siptwist.plugins.stages import ILifetime, IRaw, ITimer
from siptwist.proxy.identity import Identity
from siptwist.sip import stun
from siptwist.sip.hop import Hop, Side
from tests.fakes import FakeResolver
from tests.net.fakes_udp import MemoryUDPReactor
from tests.plugins.loaded import Outbox, PluginCase, make_house
from tests.services.walking import NOW, Proxy

SERVER = Hop("198.51.100.1", 3478)


def answered(request: bytes, host: str = "198.51.100.77", port: int = 5060) -> bytes:
    """
    What an honest server says that saw ``request`` come from this address.
    """
    return stun.answer(request, Hop(host, port))


class StunCase(PluginCase):
    """
    A plugin in a house without anybody in it.
    """

    def setUp(self) -> None:
        super().setUp()
        self.outbox, self.resolver = Outbox(), FakeResolver()
        self.learned: list[str] = []
        self.identity = Identity(
            Hop("10.0.0.1", 5060),
            Hop("192.168.1.2", 5060),
            {Side.INSIDE: "10.0.0.1", Side.OUTSIDE: "192.168.1.2"},
        )
        self.house = make_house(
            sender=self.outbox,
            resolver=self.resolver,
            learn_public_address=self.learned.append,
            identity=lambda: self.identity,
        )
        self.clock: Any = self.house.reactor
        self.resolver.names["stun.example"] = [SERVER]
        self.plugin = Stun(StunOptions("stun.example"), self.house)
        self.addCleanup(self.plugin.stop)
        self.plugin.start()

    def wait(self, seconds: int) -> None:
        for _ in range(seconds):
            self.clock.advance(1)
            self.plugin.timer(self.clock.seconds())

    @property
    def requests(self) -> list[bytes]:
        return [data for data, _, _ in self.outbox.sent]

    def warnings(self) -> list[str]:
        return [
            one["log_format"].format(**one)
            for one in self.events
            if one["log_level"].name == "warn"
        ]


class AskingTests(StunCase):
    def test_interfaces(self) -> None:
        """
        It keeps what it promises.
        """
        for interface in (IRaw, ITimer, ILifetime):
            verifyObject(interface, self.plugin)

    def test_learns(self) -> None:
        """
        It asks from the outside socket, and what the server saw is our address.
        """
        self.wait(1)
        [(data, server, side)] = self.outbox.sent
        self.assertEqual((server, side), (SERVER, Side.OUTSIDE))
        self.assertEqual(self.plugin.raw(answered(data), SERVER, Side.OUTSIDE), b"")
        self.assertEqual(self.learned, ["198.51.100.77"])

    def test_not_ours(self) -> None:
        """
        Answers that we did not ask for are nothing to us, wherever they come from
        (S10 of siproxd).
        """
        self.wait(1)
        [data] = self.requests
        forged = answered(bytes(stun.Message(stun.REQUEST, bytes(12))))
        self.assertIsNone(self.plugin.raw(forged, SERVER, Side.OUTSIDE))
        stranger = Hop("203.0.113.66", 3478)
        self.assertIsNone(self.plugin.raw(answered(data), stranger, Side.OUTSIDE))
        self.assertIsNone(self.plugin.raw(b"", SERVER, Side.OUTSIDE))
        self.assertIsNone(self.plugin.raw(b"SIP/2.0 200 OK\r\n\r\n", SERVER, Side.OUTSIDE))
        self.assertEqual(self.learned, [])

    def test_period(self) -> None:
        """
        It asks again every 300 seconds, with another transaction id; the same answer
        changes nothing.
        """
        self.wait(1)
        self.plugin.raw(answered(self.requests[-1]), SERVER, Side.OUTSIDE)
        self.identity = Identity(
            self.identity.inside, Hop("198.51.100.77", 5060), self.identity.bound
        )
        self.wait(299)
        self.assertEqual(len(self.requests), 1)
        self.wait(1)
        self.assertEqual(len({data[8:20] for data in self.requests}), 2)
        self.plugin.raw(answered(self.requests[-1]), SERVER, Side.OUTSIDE)
        self.assertEqual(self.learned, ["198.51.100.77"])

    def test_moved(self) -> None:
        """
        When our own address changes it asks within a second.
        """
        self.wait(1)
        self.plugin.raw(answered(self.requests[-1]), SERVER, Side.OUTSIDE)
        bound = {Side.INSIDE: "10.0.0.1", Side.OUTSIDE: "192.168.1.3"}
        self.identity = Identity(self.identity.inside, Hop("192.168.1.3", 5060), bound)
        self.wait(1)
        self.assertEqual(len(self.requests), 2)

    def test_slow_name(self) -> None:
        """
        While the server's name is looked up nobody waits (S10 of siproxd).
        """
        self.resolver.slow.add("stun.example")
        self.wait(3)
        self.assertEqual(self.requests, [])
        self.resolver.answer()
        self.assertEqual(len(self.requests), 1)

    def test_no_name(self) -> None:
        """
        A name that is not known yet, as at boot, is asked for every 10 seconds; it is
        said once.
        """
        del self.resolver.names["stun.example"]
        self.wait(1 + 3 * int(RETRY_SECONDS))
        self.assertEqual(len(self.resolver.asked), 4)
        self.assertEqual(len(self.warnings()), 1)
        self.resolver.names["stun.example"] = [SERVER]
        self.wait(int(RETRY_SECONDS))
        self.assertEqual(len(self.requests), 1)

    def test_silent(self) -> None:
        """
        A server that never answers is marked, so that another address of its name is
        asked; what was learned stays.
        """
        self.wait(1)
        self.plugin.raw(answered(self.requests[-1]), SERVER, Side.OUTSIDE)
        self.wait(300 + 41)
        self.assertEqual(self.resolver.dead, [SERVER])
        self.assertIn("198.51.100.1:3478 does not answer", self.warnings()[0])
        self.assertEqual(self.learned, ["198.51.100.77"])
        self.resolver.names["stun.example"] = [Hop("198.51.100.2", 3478), SERVER]
        self.wait(int(RETRY_SECONDS))
        self.assertEqual(self.outbox.sent[-1][1].host, "198.51.100.2")

    def test_other_family(self) -> None:
        """
        An address that our socket cannot send to is passed over.
        """
        self.resolver.names["stun.example"] = [Hop("2001:db8::1", 3478), SERVER]
        self.wait(1)
        self.assertEqual([hop for _, hop, _ in self.outbox.sent], [SERVER])
        self.resolver.names["stun.example"] = [Hop("2001:db8::1", 3478)]
        self.wait(300)
        self.assertIn("no address that our socket", self.warnings()[-1])

    def test_port(self) -> None:
        """
        A router that gives us another port is complained about, for nobody could call
        in.
        """
        self.wait(1)
        self.plugin.raw(answered(self.requests[-1], port=61234), SERVER, Side.OUTSIDE)
        self.assertIn("5060 of ours 61234", self.warnings()[0])
        self.assertEqual(self.learned, ["198.51.100.77"])


class LoadingTests(PluginCase):
    def test_downstream_names(self) -> None:
        """
        The names that one firewall distribution writes are understood; a port or a
        period that is none stops the start.
        """
        lines = (
            "load_plugin = plugin_stun.la\nplugin_stun_server_host = stun.example\n"
            "plugin_stun_server_port = 3479\nplugin_stun_server_period = 60\n"
        )
        proxy = Proxy(text=lines)
        self.addCleanup(proxy.stop)
        [one] = proxy.parts.settings.plugins
        self.assertEqual(one.options, StunOptions("stun.example", 3479, 60))
        for line in (
            "plugin_stun_port = 65536",
            "plugin_stun_period = 0",
            "plugin_stun_server = _",
        ):
            with self.assertRaises(ConfigError):
                Proxy(text=f"load_plugin = stun\n{line}\n")

    def test_no_server(self) -> None:
        """
        Without a server it does nothing, and the proxy starts.
        """
        proxy = Proxy(text="load_plugin = plugin_stun.la\n")
        self.addCleanup(proxy.stop)
        self.assertEqual(proxy.parts.settings.plugins, ())


class WholeProxyTests(SynchronousTestCase):
    """
    All services of one proxy behind a NAT router.
    """

    def test_identity(self) -> None:
        """
        The address that was learned is in what we send from then on, the sockets stay;
        a new one follows within the period.
        """
        reactor = MemoryUDPReactor()
        reactor.advance(NOW)
        text = (
            f"registration_file = {self.mktemp()}\nload_plugin = plugin_stun.la\n"
            "plugin_stun_server = 198.51.100.1\nplugin_stun_period = 30\n"
        )
        chosen = Chosen(
            Interface("lan", IPv4Interface("10.0.0.1/24")),
            Interface("wan", IPv4Interface("192.168.1.2/24")),
            (),
        )
        settings = config.parse(text, configure=configure)
        service, parts = compose(settings, chosen, reactor, lambda: chosen)
        service.privilegedStartService()
        service.startService()
        self.addCleanup(service.stopService)
        socket: Any = reactor.ports["192.168.1.2", 5060]
        for seconds, host in ((1, "198.51.100.77"), (30, "198.51.100.78")):
            reactor.pump([1] * seconds)
            data = [one for one, to in socket.sent if to == SERVER[:2]][-1]
            socket.deliver(answered(data, "6.6.6.6"), ("203.0.113.66", 3478))
            socket.deliver(answered(data, host), SERVER[:2])
            self.assertEqual(parts.core.identity.outside, Hop(host, 5060))
        reactor.pump([1] * 10)
        self.assertEqual(parts.core.identity.outside.host, "198.51.100.78")
        self.assertIs(reactor.ports["192.168.1.2", 5060], socket)
