"""
The proxy finds its two sides by itself, and says why it chose them.
"""

from __future__ import annotations

from ipaddress import IPv4Interface

from twisted.trial.unittest import SynchronousTestCase

from siptwist.net.addresses import (
    Chosen,
    Interface,
    choose,
    default_interfaces,
    default_routes,
    find,
    interfaces,
    wide_addresses,
)

ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0
eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
eth9\t00000000\t010200C0\t0002\t0\t0\t1\t00000000\t0\t0\t0
"""


def interface(name: str, address: str | None, up: bool = True) -> Interface:
    network = None if address is None else IPv4Interface(address)
    return Interface(name, network, up, name == "lo")


LO = interface("lo", "127.0.0.1/8")
PPP = interface("ppp0", "203.0.113.1/32")
BRIDGE = interface("br0", "192.168.1.1/24")
ETH0 = interface("eth0", "192.168.1.5/24")
DOCKER = interface("docker0", "172.17.0.1/16")
WG = interface("wg0", "10.8.0.1/24")


class RouteTests(SynchronousTestCase):
    def test_lowest_metric(self) -> None:
        """
        The default route of the lowest metric goes first; routes that are down do not count.
        """
        self.assertEqual(default_routes(ROUTES), ("eth0", "wlan0"))

    def test_malformed(self) -> None:
        """
        A routing table that makes no sense names nobody.
        """
        for text in ("", "Iface\n", ROUTES.replace("0000", "zzzz"), "h\neth0 00000000\n\n\x00"):
            self.assertEqual(default_routes(text), ())


WIDE = """\
fe80000000000000021b21fffe000001 02 40 20 80     eth0
fd000000000000000000000000000005 02 40 00 80     eth0
2a000db8000000000000000000000bad 02 40 00 01     eth0
2a000db8000000000000000000000001 02 40 00 80     eth0
2a000db8000000000000000000000002 02 40 00 80     eth0
2a000db8000000000000000000000dead 03 40 00 20     ppp0
00000000000000000000000000000001 01 80 10 80       lo
"""


class WideTests(SynchronousTestCase):
    def test_found(self) -> None:
        """
        An interface's IPv6 address is one that lasts, and public if there is one;
        those of the link are none.
        """
        self.assertEqual(wide_addresses(WIDE), {"eth0": "2a00:db8::1"})
        only_local = "".join(WIDE.splitlines(keepends=True)[:2])
        self.assertEqual(wide_addresses(only_local), {"eth0": "fd00::5"})

    def test_malformed(self) -> None:
        """
        A list that makes no sense names none.
        """
        for text in ("", "x\n", WIDE.replace("00", "zz"), "1 2 3 4 5 6 7\n"):
            self.assertEqual(wide_addresses(text), {})


class SeveralTests(SynchronousTestCase):
    """
    Several interfaces on a side (siproxd's fault R10).
    """

    def choose(self, *found: Interface) -> Chosen:
        return choose("br0,wg0", "eth9,ppp0", found, ())

    def test_all_inside(self) -> None:
        """
        Phones are on all of if_inbound; the world is at the first of if_outbound that is up.
        """
        chosen = self.choose(LO, BRIDGE, WG, PPP)
        self.assertEqual((chosen.inbound, chosen.further, chosen.outbound), (BRIDGE, (WG,), PPP))
        self.assertIn("if_outbound = eth9: there is no such interface", chosen.problems[0])

    def test_first_is_down(self) -> None:
        """
        When the first is down we name ourselves by the next.
        """
        chosen = self.choose(BRIDGE._replace(is_up=False), WG, PPP)
        self.assertEqual((chosen.inbound, chosen.further[0].address), (WG, ""))

    def test_all_down(self) -> None:
        """
        When all are down there is no address, and a problem for each.
        """
        chosen = self.choose(PPP)
        self.assertEqual([one.address for one in chosen.inbounds], ["", ""])
        self.assertEqual(len(chosen.problems), 3)


class ChooseTests(SynchronousTestCase):
    def auto(self, *found: Interface, default: tuple[str, ...] = ()) -> Chosen:
        return choose("auto", "auto", found, default)

    def assert_chosen(self, chosen: Chosen, inbound: Interface, outbound: Interface) -> None:
        self.assertEqual((chosen.inbound, chosen.outbound), (inbound, outbound))

    def test_router(self) -> None:
        """
        On a router phones are on the private network, the world on the default route.
        """
        chosen = self.auto(LO, DOCKER, WG, BRIDGE, PPP, default=("ppp0",))
        self.assert_chosen(chosen, BRIDGE, PPP)
        self.assertEqual(
            chosen.reasons,
            (
                "if_outbound = ppp0 (203.0.113.1): it has the default route",
                "if_inbound = br0 (192.168.1.1): it has a private address and does not lead "
                "to the Internet",
            ),
        )

    def test_one_interface(self) -> None:
        """
        A machine on a home network has both sides on its one interface.
        """
        chosen = self.auto(LO, ETH0, default=("eth0",))
        self.assert_chosen(chosen, ETH0, ETH0)
        self.assertIn("there is no other network for phones", chosen.reasons[1])

    def test_containers_passed_over(self) -> None:
        """
        No phones live in Docker's network, unless one says so.
        """
        chosen = self.auto(LO, ETH0, DOCKER, default=("eth0",))
        self.assert_chosen(chosen, ETH0, ETH0)
        self.assertIn("set if_inbound = docker0", chosen.reasons[2])
        named = choose("docker0", "auto", (LO, ETH0, DOCKER), ("eth0",))
        self.assert_chosen(named, DOCKER, ETH0)

    def test_tunnel_to_public_server(self) -> None:
        """
        A public server's phones come through its tunnel; a home machine's do not.
        """
        public = interface("ens3", "198.51.100.7/24")
        self.assert_chosen(self.auto(LO, public, DOCKER, WG, default=("ens3",)), WG, public)
        self.assert_chosen(self.auto(LO, ETH0, WG, default=("eth0",)), ETH0, ETH0)

    def test_laptop(self) -> None:
        """
        Cable and wireless, both with a default route or on one network, are no two sides.
        """
        wireless = interface("wlan0", "10.1.1.5/24")
        both = self.auto(LO, ETH0, wireless, default=("wlan0", "eth0"))
        self.assert_chosen(both, wireless, wireless)
        same = interface("wlan0", "192.168.1.6/24")
        self.assert_chosen(self.auto(LO, ETH0, same, default=("eth0",)), ETH0, ETH0)

    def test_down(self) -> None:
        """
        An interface that is down or has no address is not chosen.
        """
        down = interface("br0", "192.168.1.1/24", up=False)
        empty = interface("eth7", None)
        self.assert_chosen(self.auto(LO, down, empty, PPP, default=("ppp0",)), PPP, PPP)
        self.assert_chosen(self.auto(LO, PPP, BRIDGE, default=("eth7",)), BRIDGE, PPP)

    def test_no_default_route(self) -> None:
        """
        Without a default route the first real interface leads out.
        """
        chosen = self.auto(LO, DOCKER, ETH0)
        self.assert_chosen(chosen, ETH0, ETH0)
        self.assertIn("there is no default route", chosen.reasons[0])

    def test_only_loopback(self) -> None:
        """
        With loopback alone the proxy starts, and says that only this machine can use it.
        """
        chosen = self.auto(LO)
        self.assert_chosen(chosen, LO, LO)
        for reason in chosen.reasons:
            self.assertIn("only this machine can use the proxy", reason)

    def test_named(self) -> None:
        """
        Named interfaces are taken as configured.
        """
        chosen = choose("br0", "eth0", (LO, BRIDGE, ETH0), ("br0",))
        self.assert_chosen(chosen, BRIDGE, ETH0)
        self.assertEqual(chosen.reasons[1], "if_outbound = eth0 (192.168.1.5): as configured")

    def test_only_inbound_named(self) -> None:
        """
        With the phones' side named, the other is still found.
        """
        self.assert_chosen(choose("br0", "auto", (LO, BRIDGE), ()), BRIDGE, BRIDGE)
        self.assert_chosen(choose("br0", "auto", (LO, BRIDGE, PPP), ()), BRIDGE, PPP)
        self.assert_chosen(choose("lo", "auto", (LO, ETH0), ("eth0",)), LO, ETH0)

    def test_named_wrongly(self) -> None:
        """
        A name that cannot be used is said with the key and what there is; that side has
        no address, and the other one has.
        """
        found = (LO, interface("br0", "192.168.1.1/24", up=False), interface("eth7", None))
        for name, why in (
            (
                "eth1",
                "there is no such interface; there are lo (127.0.0.1), "
                "br0 (192.168.1.1, down), eth7 (no IPv4 address)",
            ),
            ("br0", "the interface is down"),
            ("eth7", "the interface has no IPv4 address"),
        ):
            for key, names in (("if_inbound", (name, "lo")), ("if_outbound", ("lo", name))):
                chosen = choose(*names, found, ())
                self.assertEqual(chosen.problems, (f"{key} = {name}: {why}",))
                sides = (chosen.inbound, chosen.outbound)
                self.assertEqual(sorted(side.address for side in sides), ["", "127.0.0.1"])

    def test_nothing(self) -> None:
        """
        A machine without any address is told so.
        """
        chosen = self.auto()
        self.assertIn("no interface is up with an IPv4 address", chosen.problems[0])
        self.assertFalse(chosen.inbound.is_usable or chosen.outbound.is_usable)

    def test_several(self) -> None:
        """
        All interfaces named for the phones are used, those that can be first; of those
        toward the Internet the first that can be, best with somebody at its other end.
        """
        down = interface("br0", "192.168.1.1/24", up=False)
        chosen = choose("br0,eth0", "wlan9,ppp0", (LO, down, ETH0, PPP), ())
        self.assert_chosen(chosen, ETH0, PPP)
        self.assertEqual([one.name for one in chosen.inbounds], ["eth0", "br0"])
        self.assertEqual(chosen.problems[0], "if_inbound = br0: the interface is down")
        self.assertIn("wlan9 cannot be used", chosen.reasons[-1])
        unplugged = ETH0._replace(has_carrier=False)
        self.assert_chosen(choose("lo", "eth0,ppp0", (LO, unplugged, PPP), ()), LO, PPP)
        self.assert_chosen(choose("lo", "eth0,ppp0", (LO, unplugged), ()), LO, unplugged)
        nothing = choose("lo", "eth0,ppp0", (LO,), ())
        self.assertEqual(
            [text[:18] for text in nothing.problems], ["if_outbound = eth0", "if_outbound = ppp0"]
        )

    def test_several_go_down(self) -> None:
        """
        Each of several interfaces of the phones keeps its address while it is down, and
        the one that is named first leads as soon as it has one.
        """
        before = choose("br0,eth0", "ppp0", (ETH0, PPP), ())
        self.assert_chosen(before, ETH0, PPP)
        after = choose("br0,eth0", "ppp0", (BRIDGE, PPP), ()).or_else(before)
        self.assertEqual(after.inbounds, (BRIDGE, ETH0))

    def test_goes_down(self) -> None:
        """
        What goes down later stays as it was, while the other side is followed; without a
        default route no other interface takes its place.
        """
        before = choose("br0", "ppp0", (LO, BRIDGE, PPP), ())
        moved = interface("br0", "192.168.1.9/24")
        after = choose("br0", "ppp0", (LO, moved), ()).or_else(before)
        self.assert_chosen(after, moved, PPP)
        before = self.auto(LO, BRIDGE, PPP, default=("ppp0",))
        after = self.auto(LO, BRIDGE).or_else(before)
        self.assert_chosen(after, BRIDGE, PPP)
        self.assertEqual(after.problems, ("if_outbound = auto: there is no default route",))


class MachineTests(SynchronousTestCase):
    def test_this_machine(self) -> None:
        """
        The machine that runs the tests has a loopback interface.
        """
        loopback = [found for found in interfaces() if found.is_loopback and found.is_usable]
        self.assertIn("127.0.0.1", [found.address for found in loopback])

    def test_names_exist(self) -> None:
        """
        What has a default route is an interface, and a choice can be made.
        """
        found = interfaces()
        self.assertLessEqual(set(default_interfaces(found)), {each.name for each in found})
        self.assertIn(find().inbound, found)
