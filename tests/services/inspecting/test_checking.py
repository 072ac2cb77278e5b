"""
Tests for siptwist.services.inspecting.checking: what ``--check`` says.
"""

from __future__ import annotations

from ipaddress import IPv4Interface

from twisted.trial.unittest import SynchronousTestCase

from siptwist.config import parse
from siptwist.net.addresses import Chosen, Interface
from siptwist.services.inspecting.checking import Machine, explain, this_machine, warnings

LAN = Interface("eth1", IPv4Interface("192.168.1.5/24"))
WAN = Interface("ppp0", IPv4Interface("198.51.100.5/32"))
PUBLIC = Interface("eth0", IPv4Interface("8.8.8.8/24"))


class ExplainTests(SynchronousTestCase):
    def test_each(self) -> None:
        """
        Each option that the file sets is explained, with its line and its value.
        """
        lines = list(explain(parse("rtp_timeout = 0x10\nproxy_auth_passwd = hunter2\n", "f")))
        self.assertEqual(
            sorted(lines),
            [
                "f:1: rtp_timeout = 16: seconds of silence that end a stream; 0 = never",
                "f:2: proxy_auth_passwd = ***: one password for all phones",
            ],
        )

    def test_without_effect(self) -> None:
        """
        An option that does nothing here says what does its work.
        """
        [line] = explain(parse("daemonize = 1\n", "f"))
        self.assertIn("(twistd decides: -n stays in the foreground)", line)
        [line] = explain(parse("thread_stack_size = 512\n", "f"))
        self.assertIn("(there is no RTP thread)", line)


class WarningTests(SynchronousTestCase):
    def warn(
        self,
        text: str,
        machine: Machine = Machine(),  # noqa: B008
        inbound: Interface = LAN,
        outbound: Interface = WAN,
    ) -> str:
        return "\n".join(warnings(parse(text, "f"), Chosen(inbound, outbound, ()), machine))

    def test_nothing(self) -> None:
        """
        A usual file deserves no warning.
        """
        text = "hosts_allow_reg = 192.168.1.0/24\nrtp_port_low = 7070\nrtp_port_high = 7089\n"
        self.assertEqual(self.warn(text), "")

    def test_open_outside(self) -> None:
        """
        A registrar that is open to the Internet is named, also when a list says so.
        """
        for text in (
            "register_from_outside = 1",
            "register_from_outside = 1\nhosts_allow_reg = 0.0.0.0/0",
            "register_from_outside = 1\nhosts_allow_reg = ::/0",
        ):
            self.assertIn("f:1: register_from_outside: anybody on the Internet", self.warn(text))
        text = "register_from_outside = 1\nhosts_allow_reg = 198.51.100.0/24"
        self.assertEqual(self.warn(text), "")
        self.assertIn("nearly everybody", self.warn("hosts_allow_reg = 10.0.0.0/8, 0.0.0.0/1"))

    def test_one_public_address(self) -> None:
        """
        One public address for both sides needs a list of phones.
        """
        self.assertIn("one public address", self.warn("", inbound=PUBLIC, outbound=PUBLIC))
        text = "hosts_allow_reg = 8.8.8.0/24"
        self.assertEqual(self.warn(text, inbound=PUBLIC, outbound=PUBLIC), "")

    def test_rtp_timeout(self) -> None:
        """
        No time-out keeps ports for ever, a short one cuts off the silent.
        """
        self.assertIn("f:1: rtp_timeout: 0 keeps", self.warn("rtp_timeout = 0"))
        self.assertIn("will be cut off", self.warn("rtp_timeout = 10"))
        self.assertEqual(self.warn("rtp_timeout = 0\nrtp_proxy_enable = 0"), "")

    def test_ports(self) -> None:
        """
        A range that is too small, even at its end, or not RTP's alone is named.
        """
        text = "rtp_port_low = 7070\nrtp_port_high = 7073\n"
        self.assertIn("ports for 2 calls", self.warn(text))
        text = "rtp_port_low = 7070\nrtp_port_high = 7090\n"
        self.assertIn("7090 is even: its RTCP goes to 7091", self.warn(text))
        text = "rtp_port_low = 5000\nrtp_port_high = 5099\n"
        self.assertIn("sip_listen_port: lies in the range", self.warn(text))
        self.assertIn("below 1024", self.warn("rtp_port_low = 1000\n"))

    def test_open_files(self) -> None:
        """
        A limit of open files below what the ports need is named, with the one to set.
        """
        text = "rtp_port_low = 10000\nrtp_port_high = 20000\n"
        self.assertIn("for 240: ulimit -n 20068", self.warn(text, Machine(open_files=1024)))
        self.assertEqual(self.warn(text, Machine(open_files=65536)).count("ulimit"), 0)

    def test_alg(self) -> None:
        """
        A kernel that rewrites SIP, too, is named.
        """
        machine = Machine(frozenset({"nf_nat_sip", "nf_conntrack_sip", "ext4"}))
        self.assertIn("modprobe -r nf_nat_sip nf_conntrack_sip", self.warn("", machine))

    def test_other_keys(self) -> None:
        """
        Values that look like those of another key are named.
        """
        for line, words in (
            ("if_inbound = 192.168.1.1", "f:1: if_inbound: an address"),
            ("host_outbound = ppp0\nif_outbound = ppp0", "f:1: host_outbound: the name of an"),
            ("registration_file = 300", "f:1: registration_file: 300 is no path"),
            ("pid_file = /a\nregistration_file = /a", "f:1: pid_file: names the file of another"),
            ("proxy_auth_realm = /etc/pw\nproxy_auth_passwd = x", "f:1: proxy_auth_realm: a path"),
            ("proxy_auth_passwd = /etc/pw", "f:1: proxy_auth_passwd: a path"),
            ("user = /var/lib", "f:1: user: not a name"),
        ):
            self.assertIn(words, self.warn(line), line)

    def test_process(self) -> None:
        """
        What leaves root its power, or lets others read, is named.
        """
        self.assertIn("user: root keeps all", self.warn("user = root"))
        self.assertIn("chrootjail: no jail for root", self.warn("chrootjail = /var/empty"))
        self.assertIn("debug_host: whoever", self.warn("debug_port = 4000\ndebug_host = 0.0.0.0"))

    def test_passwords(self) -> None:
        """
        Options of passwords that do nothing are named.
        """
        self.assertIn("nobody is asked", self.warn("proxy_auth_calls = 1"))
        text = "proxy_auth_realm = a\nproxy_auth_passwd = b\nproxy_auth_pwfile = /c"
        self.assertIn("f:2: proxy_auth_passwd: not used", self.warn(text))

    def test_names(self) -> None:
        """
        Lists that depend on DNS are named.
        """
        self.assertIn("depends on DNS for pbx.example", self.warn("hosts_allow_sip = pbx.example"))

    def test_this_machine(self) -> None:
        """
        What can be known of this machine is.
        """
        self.assertGreater(this_machine().open_files, 0)
