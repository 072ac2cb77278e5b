"""
Tests of :mod:`siptwist.options`: what the text of one option means.
"""

from __future__ import annotations

from ipaddress import ip_network

from twisted.trial.unittest import SynchronousTestCase

from siptwist.config import OPTIONS, Settings, parse
from siptwist.errors import ConfigError


class ValueTests(SynchronousTestCase):
    """
    What the text of an option means.
    """

    def test_numbers(self) -> None:
        """
        Numbers are read as C's %i does: 0x is hexadecimal, a leading 0 octal.
        """
        for text, number in (("0x10", 16), ("0X1f", 31), ("017", 15), ("+5", 5), ("0", 0)):
            self.assertEqual(parse(f"tcp_timeout = {text}").tcp_timeout, number)
        self.assertEqual(parse("debug_level = -1").debug_level, -1)

    def test_switch(self) -> None:
        """
        A switch is on or off.
        """
        self.assertIs(parse("rtp_proxy_enable = 0").rtp_proxy_enable, False)
        self.assertIs(parse("rtp_proxy_enable = 0x1").rtp_proxy_enable, True)

    def test_networks(self) -> None:
        """
        Networks are separated by commas; blanks, host bits and single addresses are fine.
        """
        settings = parse("hosts_allow_reg = 192.168.1.1/24, 10.0.0.7,fd00::/8")
        expected = tuple(map(ip_network, ("192.168.1.0/24", "10.0.0.7/32", "fd00::/8")))
        self.assertEqual(settings.hosts_allow_reg, expected)

    def test_host(self) -> None:
        """
        A host is a name or an address; IPv6 may stand in brackets.
        """
        for text, value in (
            ("sip_1.a.example.", "sip_1.a.example."),
            ("[2001:DB8::1]", "2001:db8::1"),
        ):
            self.assertEqual(parse(f"outbound_proxy_host = {text}").outbound_proxy_host, value)

    def test_choice(self) -> None:
        """
        An option that is one of some words takes them in any case.
        """
        self.assertEqual((parse("").ice, parse("ice = Lite").ice), ("off", "lite"))
        error = self.assertRaises(ConfigError, parse, "ice = full")
        self.assertIn("'full' is not one of off, lite", str(error))

    def test_algorithms(self) -> None:
        """
        Digest algorithms keep their order of preference, a repeated one its first place.
        """
        settings = parse("auth_algorithms = sha-256, MD5,SHA-256")
        self.assertEqual(settings.auth_algorithms, ("SHA-256", "MD5"))

    def test_plugin_names(self) -> None:
        """
        A plugin is known by its name: with .la, .so, a path, or plain.
        """
        text = "".join(
            f"load_plugin = {name}\n"
            for name in ("plugin_a.la", "/usr/lib/plugin_b.so", "plugin_c")
        )
        self.assertEqual(parse(text).load_plugin, ("a", "b", "c"))

    def test_values(self) -> None:
        """
        A value that its option cannot take is refused, with the reason.
        """
        for line, reason in (
            ("sip_listen_port = 70000", "70000 is not between 1 and 65535"),
            ("sip_listen_port = 0", "0 is not between 1 and 65535"),
            ("tcp_timeout = -1", "-1 is not between 0 and 2147483647"),
            ("tcp_timeout = 5 min", "'5 min' is not a whole number"),
            ("tcp_timeout = 08", "'08' is not a whole number; a leading 0 makes it octal"),
            ("tcp_timeout = " + "9" * 30, f"'{'9' * 30}' is not a whole number"),
            ("rtp_proxy_enable = 2", "2 is neither 0 (off) nor 1 (on)"),
            ("rtp_input_dejitter = 1500001", "1500001 is not between 0 and 1500000"),
            ("use_rport = 4", "4 is not between 0 and 3"),
            ("if_inbound = eth0 eth1", "'eth0 eth1' is not one word"),
            ("if_outbound = eth0,,eth1", "'eth0,,eth1' has a comma too many"),
            ("host_outbound = a.example:5060", "'a.example:5060' is not a host name or an address"),
            (
                "hosts_deny_sip = 10.0.0.256",
                "'10.0.0.256' is not an address or a network like 10.0.0.0/8",
            ),
            ("hosts_allow_reg = ,", "',' names no network"),
            (
                "hosts_allow_reg = 10.0.0.0/33",
                "'10.0.0.0/33' is not an address or a network like 10.0.0.0/8",
            ),
            ("auth_algorithms = MD4", "'MD4' is not one of MD5, SHA-256, SHA-512-256"),
            ("ua_string = a\x0bVia: b", "it holds a control character"),
        ):
            key = line.partition(" ")[0]
            error = self.assertRaises(ConfigError, parse, line)
            self.assertEqual(str(error), f"siproxd.conf:1: {key}: {reason}")


class DescribeTests(SynchronousTestCase):
    """
    What an operator sees of the configuration.
    """

    def test_origin(self) -> None:
        """
        Every option is shown with its value and the line that set it.
        """
        rows = {row.key: row for row in parse("\nrtp_timeout = 0x10").describe()}
        self.assertEqual(rows["rtp_timeout"][1:], ("16", "siproxd.conf:2"))
        self.assertEqual(rows["rtp_proxy_enable"][1:], ("1", "default"))
        self.assertEqual(list(rows), list(OPTIONS))

    def test_secrets(self) -> None:
        """
        The password is shown nowhere; that there is one, is.
        """
        settings = parse("proxy_auth_realm = home\nproxy_auth_passwd = hunter2")
        self.assertNotIn("hunter2", f"{settings!r} {settings} {settings.describe()}")
        rows = {row.key: row.value for row in settings.describe()}
        self.assertEqual(rows["proxy_auth_passwd"], "***")
        self.assertEqual(
            {row.key: row.value for row in Settings().describe()}["proxy_auth_passwd"], ""
        )
