"""
The ways to deploy siptwist, as docs/deployment.rst tells them: configurations and
firewall rules are those of the page.
"""

from __future__ import annotations

from tests.interop.bed import FW, LAN_ROUTER, WAN_ROUTER
from tests.interop.case import ALICE, CAROL, TONES, InteropCase, world
from tests.interop.pages import Page
from tests.interop.phone import Account, Phone
from tests.interop.proxy import Proxy

#: A machine of the LAN that siptwist runs on.
SERVER = "10.0.0.20"
#: A second network, its phone and its router.
HOME_PHONE, HOME, HOME_ROUTER = "192.168.5.10", "192.168.5.1", "10.0.0.5"
#: Another network of the router, and its phone.
WLAN_PHONE, WLAN_ROUTER = "10.0.1.11", "10.0.1.1"
#: What the line gets when it is given another address.
NEW_ADDRESS = "203.0.113.2"
HOME_NAME = "home.example.net"
STUN, STUN_NAME = "203.0.113.14", "stun.example.net"


class DeploymentCase(InteropCase):
    """
    A page of docs/deployment.rst, lived.
    """

    def setUp(self) -> None:
        super().setUp()
        self.bed.forget_flows(FW)

    def load(self, host: str, rules: str) -> None:
        """
        Load firewall rules of the page until the end of the test.
        """
        self.bed.run(host, "nft", "-f", "-", text=rules)
        self.addCleanup(self.bed.run, host, "nft", "delete", "table", "inet", "siptwist")

    def start_from(self, page: Page, index: int = 0, **place: str) -> Proxy:
        """
        Start siptwist with a configuration of the page.
        """
        return self.start_proxy(**place, **page.configurations[index])

    def start_pbx(self, address: str, outbound: str) -> Phone:
        """
        A PBX on the router, which registers as alice.
        """
        account = Account("alice", outbound=outbound)
        pbx = Phone(self.bed, address, TONES["alice"], account, port=5070)
        self._logs.append(pbx.program)
        self.addCleanup(pbx.stop)
        pbx.wait_registered()
        return pbx

    def assert_both_ways(self, inside: Phone, outside: Phone) -> None:
        """
        Each calls the other, and both hear each other both times.
        """
        for caller, callee in ((inside, outside), (outside, inside)):
            mark = callee.program.mark()
            self.connect(caller, callee)
            caller.hang_up()
            callee.wait_over(mark)


class RouterTests(DeploymentCase):
    """
    On the NAT router.
    """

    def test_router(self) -> None:
        """
        Behind a firewall that drops all but SIP and RTP, calls go out and come in.
        """
        page = Page("On the NAT router")
        self.load(FW, page.rules[0])
        proxy = self.start_from(page)
        bob, alice = self.start_outside(), self.start_inside("alice", ALICE)
        capture = self.start_capture()
        self.assert_both_ways(alice, bob)
        self.assert_nothing_leaks(capture)
        proxy.wait_ports_free()


class NetworksTests(DeploymentCase):
    """
    Phones on several interfaces of the router.
    """

    def test_networks(self) -> None:
        """
        A phone on the second interface is called, and calls one on the first; all
        that it hears comes from the address that it was told (R10 of siproxd).
        """
        page = Page("With several networks of phones")
        self.bed.run(WLAN_PHONE, "true")
        self.load(FW, page.rules[0])
        proxy = self.start_from(page)
        bob = self.start_outside()
        alice = self.start_phone(WLAN_PHONE, Account("alice", outbound=WLAN_ROUTER))
        self.connect(bob, alice)
        bob.hang_up()
        alice.wait_over()
        carol = self.start_inside("carol", CAROL)
        self.connect(alice, carol)
        carol.hang_up()
        alice.wait_over()
        self.assertNotIn(f"UDP {LAN_ROUTER}:5060 -> ", alice.program.log())
        proxy.wait_ports_free()


class BehindRouterTests(DeploymentCase):
    """
    On a machine of the LAN, to which the router forwards ports.
    """

    def setUp(self) -> None:
        super().setUp()
        self.page = Page("Behind a NAT router")
        router, machine = self.page.rules
        self.load(FW, router)
        self.load(SERVER, machine)
        self.account = Account("alice", outbound=SERVER)

    def test_by_address(self) -> None:
        """
        The world sees the router's address, and calls come in.
        """
        proxy = self.start_from(self.page, host=SERVER, address=SERVER)
        bob, alice = self.start_outside(), self.start_phone(ALICE, self.account)
        capture = self.start_capture()
        self.connect(bob, alice)
        bob.hang_up()
        self.assert_nothing_leaks(capture)
        proxy.wait_ports_free()

    def test_by_name(self) -> None:
        """
        The router's address changes: the name tells, the call goes on, and the next one is placed.
        """
        world().names.point(HOME_NAME, WAN_ROUTER)
        proxy = self.start_from(self.page, 1, host=SERVER, address=SERVER)
        bob, alice = self.start_outside(), self.start_phone(ALICE, self.account)
        self.connect(alice, bob)
        self.give_router(NEW_ADDRESS, WAN_ROUTER)
        self.addCleanup(self.give_router, WAN_ROUTER, NEW_ADDRESS)
        world().names.point(HOME_NAME, NEW_ADDRESS)
        proxy.program.wait_for(f"the outside sees {NEW_ADDRESS}", 12)
        self.assert_talk(alice, bob)
        capture = self.start_capture()
        mark = bob.program.mark()
        alice.hang_up()
        bob.wait_over(mark)
        self.connect(alice, bob)
        invite = next(text for text in capture.sip(NEW_ADDRESS) if text.startswith("INVITE"))
        self.assertIn(f"c=IN IP4 {NEW_ADDRESS}\r\n", invite)
        self.assertNotIn(WAN_ROUTER + "\r", invite)

    def test_by_stun(self) -> None:
        """
        A STUN server (coturn) tells the router's address, and calls come in.
        """
        world().names.point(STUN_NAME, STUN)
        words = ["turnserver", "-n", "--stun-only", f"--listening-ip={STUN}", "--no-tls"]
        words += ["--no-dtls", "--no-tcp", "--no-cli", "--log-file=stdout", "--pidfile="]
        words.append(f"--userdb={self.bed.new_directory('turn')}/db")
        server = self.bed.start(STUN, "turnserver", *words)
        self.addCleanup(server.stop)
        server.wait_for("Total General servers")
        proxy = self.start_from(self.page, 2, host=SERVER, address=SERVER)
        proxy.program.wait_for(f"the outside sees us as {WAN_ROUTER}:5060")
        bob, alice = self.start_outside(), self.start_phone(ALICE, self.account)
        capture = self.start_capture()
        self.connect(bob, alice)
        self.assert_nothing_leaks(capture)

    def give_router(self, new: str, old: str) -> None:
        """
        The provider of the line gives it another address.
        """
        for words in (
            f"address add {new}/24 dev ppp0",
            f"address del {old}/24 dev ppp0",
            f"address replace {new}/24 dev ppp0",
            "route replace default dev ppp0",
        ):
            self.bed.run(FW, "ip", *words.split())
        self.bed.forget_flows(FW)


class TransparentTests(DeploymentCase):
    """
    Phones know their provider only, and the router redirects what they send.
    """

    def test_unseen(self) -> None:
        """
        Phones without outbound proxy register and call through us, also when the router has
        forgotten its flows.
        """
        page = Page("Unseen by phones")
        self.load(FW, page.rules[0])
        proxy = self.start_from(page)
        bob, alice = self.start_outside(), self.start_phone(ALICE, Account("alice"))
        (binding,) = self.provider.bindings("alice")
        self.assertIn(f"@{WAN_ROUTER}", binding)
        capture = self.start_capture()
        self.assert_both_ways(alice, bob)
        self.bed.forget_flows(FW)
        self.connect(bob, alice)
        alice.hang_up()
        bob.wait_over()
        carol = self.start_phone(CAROL, Account("carol"))
        self.connect(alice, carol)
        carol.hang_up()
        self.assert_nothing_leaks(capture)
        self.assertEqual([p for p in capture.packets() if p.source == ALICE], [])
        proxy.wait_ports_free()


class TrunkTests(DeploymentCase):
    """
    A PBX on the same machine.
    """

    def setUp(self) -> None:
        super().setUp()
        self.page = Page("With a PBX on the same machine")
        self.proxy = self.start_from(self.page)

    def test_loopback(self) -> None:
        """
        A PBX on 127.0.0.1 has us as outbound proxy: calls go out and come in.
        """
        bob, pbx = self.start_outside(), self.start_pbx("127.0.0.1", LAN_ROUTER)
        self.assert_both_ways(pbx, bob)
        self.proxy.wait_ports_free()

    def test_redirected(self) -> None:
        """
        A PBX on the outer address that knows nothing of us is redirected.
        """
        self.load(FW, self.page.rules[0])
        bob, pbx = self.start_outside(), self.start_pbx(WAN_ROUTER, "")
        capture = self.start_capture()
        self.assert_both_ways(pbx, bob)
        self.assertEqual([p for p in capture.packets() if p.source_port == 5070], [])
        self.proxy.wait_ports_free()


class ChainTests(DeploymentCase):
    """
    siptwist behind siptwist, each on a NAT router of its own.
    """

    def test_chain(self) -> None:
        """
        A phone behind both calls out, and is called by a phone in between.
        """
        page = Page("A chain of proxies")
        self.bed.run(HOME_PHONE, "true")
        self.load(HOME_ROUTER, page.rules[0])
        self.load(FW, Page("On the NAT router").rules[0])
        outer = self.start_from(page, 1)
        inner = self.start_from(page, 0, host=HOME_ROUTER, address=HOME, neighbor=HOME_PHONE)
        alice = self.start_phone(HOME_PHONE, Account("alice", outbound=HOME))
        bob = self.start_outside()
        capture = self.start_capture()
        self.connect(alice, bob)
        bob.hang_up()
        alice.wait_over()
        self.assert_nothing_leaks(capture)
        told = [line for text in capture.sip(WAN_ROUTER) for line in text.split("\r\n")]
        self.assertEqual([line for line in told if "192.168.5." in line], [])
        carol = self.start_inside("carol", CAROL)
        self.connect(carol, alice)
        alice.hang_up()
        for proxy in (outer, inner):
            proxy.wait_ports_free()


class RegistrarTests(DeploymentCase):
    """
    Phones register here and nowhere else.
    """

    def test_alone(self) -> None:
        """
        Two phones with a password call each other; one without is refused.
        """
        page = Page("A registrar alone")
        (config,) = page.configurations
        self.load(SERVER, page.rules[0])
        proxy = self.start_from(page, host=SERVER, address=SERVER)
        secret = config["proxy_auth_passwd"]
        alice, carol = (
            self.start_phone(address, Account(user, SERVER, secret=secret))
            for user, address in (("alice", ALICE), ("carol", CAROL))
        )
        self.connect(alice, carol)
        carol.hang_up()
        alice.wait_over()
        proxy.wait_ports_free()
        thief = self.plug_in_phone("10.0.0.13", Account("bob", SERVER, secret="guessed"))
        thief.program.wait_for(r"bob@\S+: .*40[13] ")
