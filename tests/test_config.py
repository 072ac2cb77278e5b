"""
Tests of :mod:`siptwist.config`: the file as a whole.
"""

from __future__ import annotations

import random
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from siptwist.config import OPTIONS, Settings, parse
from siptwist.errors import ConfigError

# A file as siproxd's users have it; every directive of siproxd is in it.
SIPROXD_CONF = (Path(__file__).parent / "siproxd.conf").read_text()


def problems(text: str) -> list[str]:
    """
    What is wrong with a file, a line each.
    """
    try:
        parse(text)
    except ConfigError as error:
        return list(map(str, error.problems))
    return []


def notes(text: str) -> list[str]:
    return list(map(str, parse(text).notes))


class SyntaxTests(SynchronousTestCase):
    """
    The lines of the file, as siproxd reads them.
    """

    def test_nothing(self) -> None:
        """
        An empty file gives the defaults, and nothing to say about them.
        """
        self.assertEqual(parse(""), Settings())
        self.assertEqual(parse("").notes, ())

    def test_blank_and_comment(self) -> None:
        """
        Blank lines and lines that begin with # say nothing.
        """
        self.assertEqual(parse("\n   \n\t\n# user = root\n  # x\n"), Settings())

    def test_blanks_around(self) -> None:
        """
        Blanks and tabs around key and value do not belong to them.
        """
        self.assertEqual(parse("  if_inbound\t= \t eth0 \t ").if_inbound, "eth0")

    def test_blanks_within(self) -> None:
        """
        A value may hold blanks.
        """
        self.assertEqual(parse("ua_string = My own proxy").ua_string, "My own proxy")

    def test_equals_within(self) -> None:
        """
        A value may hold '='.
        """
        self.assertEqual(parse("proxy_auth_realm=a=b\nproxy_auth_passwd=x").proxy_auth_realm, "a=b")

    def test_inline_comment(self) -> None:
        """
        A value ends where a comment begins.
        """
        self.assertEqual(parse("if_inbound = eth0 # the phones").if_inbound, "eth0")
        self.assertEqual(notes("if_inbound = eth0 # the phones"), [])

    def test_hash_in_value(self) -> None:
        """
        A password with # is cut as siproxd cuts it, which is said but not shown.
        """
        text = "proxy_auth_realm = home\nproxy_auth_passwd = ab#cd\n"
        self.assertEqual(parse(text).proxy_auth_passwd, "ab")
        self.assertEqual(
            notes(text),
            ["siproxd.conf:2: proxy_auth_passwd: the value ends before '#', "
             "which begins a comment"],
        )  # fmt: skip

    def test_windows_line_ends(self) -> None:
        """
        A file edited on Windows works, its byte order mark included.
        """
        settings = parse("\ufeffif_inbound = eth0\r\nif_outbound = ppp0\r\n")
        self.assertEqual((settings.if_inbound, settings.if_outbound), ("eth0", "ppp0"))

    def test_several_interfaces(self) -> None:
        """
        Interfaces have commas between them, and blanks mean nothing.
        """
        self.assertEqual(parse("if_inbound = eth0, wlan0 ,tun0").if_inbound, "eth0,wlan0,tun0")

    def test_long_line(self) -> None:
        """
        Lines may be longer than the 1023 characters of siproxd.
        """
        self.assertEqual(parse(f"ua_string = {'x' * 5000}").ua_string, "x" * 5000)

    def test_not_utf8(self) -> None:
        """
        A value in Latin-1 is kept byte for byte, and shown without breaking a terminal.
        """
        settings = parse(b"ua_string = T\xe9l".decode("utf-8", "surrogateescape"))
        self.assertEqual(settings.ua_string.encode("utf-8", "surrogateescape"), b"T\xe9l")
        shown = {row.key: row.value for row in settings.describe()}
        self.assertEqual(shown["ua_string"], "T\\udce9l")

    def test_keyword_in_value(self) -> None:
        """
        A path that holds the word "user" is no option "user" (siproxd's fault R3: it was).
        """
        settings = parse("registration_file = /home/user/registrations")
        self.assertEqual(settings.registration_file, "/home/user/registrations")
        self.assertEqual(settings.user, "")

    def test_empty_value(self) -> None:
        """
        A key without a value keeps its default, and is named.
        """
        self.assertEqual(parse("rtp_timeout =").rtp_timeout, 300)
        self.assertEqual(
            notes("rtp_timeout = # none"),
            ["siproxd.conf:1: rtp_timeout: nothing after '='; the default is used"],
        )

    def test_given_twice(self) -> None:
        """
        Of a single option the last line counts, and is named.
        """
        text = "\nrtp_timeout = 10\nrtp_timeout = 20"
        self.assertEqual(parse(text).rtp_timeout, 20)
        self.assertEqual(
            notes(text),
            ["siproxd.conf:3: rtp_timeout: given before in line 2; this line counts"],
        )

    def test_repeated(self) -> None:
        """
        A repeated option collects its lines in their order.
        """
        text = "".join(
            f"outbound_domain_name = {name}.example\n"
            f"outbound_domain_host = sip.{name}.example\n"
            f"outbound_domain_port = {port}\n"
            for name, port in (("b", 5060), ("a", 0), ("b", 5062))
        )
        settings = parse(text)
        self.assertEqual(settings.outbound_domain_name, ("b.example", "a.example", "b.example"))
        self.assertEqual(settings.outbound_domain_port, (5060, 0, 5062))
        self.assertEqual(settings.origins["outbound_domain_port"], "siproxd.conf:3, 6, 9")


class ProblemTests(SynchronousTestCase):
    """
    A file that cannot be used says why: all of it, and where.
    """

    def test_all_at_once(self) -> None:
        """
        Every problem is told in one go, in the order of the file.
        """
        text = "rtp_port_high = many\nuser root\nrtp_dscp = 64\nsip_listen_prot = 5060\n"
        self.assertEqual(
            problems(text),
            [
                "siproxd.conf:1: rtp_port_high: 'many' is not a whole number",
                "siproxd.conf:2: user: there is no '='; did you mean user = ...?",
                "siproxd.conf:3: rtp_dscp: 64 is not between 0 and 63",
                "siproxd.conf:4: sip_listen_prot: unknown option; did you mean sip_listen_port?",
            ],
        )

    def test_file_named(self) -> None:
        """
        A problem names the file it is in.
        """
        error = self.assertRaises(ConfigError, parse, "x", "/etc/a.conf")
        self.assertEqual(str(error), "/etc/a.conf:1: x: there is no '='")

    def test_unlike_anything(self) -> None:
        """
        No suggestion is made for a key that resembles nothing.
        """
        self.assertEqual(problems("qqq = 1"), ["siproxd.conf:1: qqq: unknown option"])

    def test_upper_case(self) -> None:
        """
        Keys are lower case; a key in upper case is recognized, not accepted.
        """
        self.assertEqual(
            problems("IF_INBOUND = eth0"),
            ["siproxd.conf:1: IF_INBOUND: unknown option; did you mean if_inbound?"],
        )

    def test_no_terminal_escapes(self) -> None:
        """
        A binary file does not write escape sequences to the operator's terminal.
        """
        text = "\x1b[2J\udcff = 1\nif_inbound = \x1b[2J\nua_string = a\x1b\nrtp_dscp = \udcff"
        for line in problems(text):
            self.assertTrue(line.isprintable(), repr(line))
        self.assertEqual(len(problems(text)), 4)

    def test_password_not_shown(self) -> None:
        """
        A password in a line that cannot be read does not end up in the log.
        """
        found = problems("proxy_auth_passwd: hunter2\nproxy_auth_passwd = hunter2\x07\n")
        self.assertEqual(len(found), 2)
        self.assertNotIn("hunter2", "".join(found))

    def test_mutations(self) -> None:
        """
        Whatever is in the file: it is read, or its problems are told in printable lines.
        """
        chance = random.Random(20260101)
        lines = SIPROXD_CONF.split("\n")
        junk = ("", "#", "=", "\x00", "\t", "\r", "9" * 25, "-", "%n", "é", "\udcff", "a" * 300)
        for _ in range(2000):
            some = [list(line) for line in chance.sample(lines, 5)]
            for line in some:
                line.insert(chance.randint(0, len(line)), chance.choice(junk))
            for text in problems("\n".join("".join(line) for line in some)):
                self.assertTrue(text.isprintable(), repr(text))


class TogetherTests(SynchronousTestCase):
    """
    Options that need each other.
    """

    def test_odd_port(self) -> None:
        """
        An odd first port is raised to the even one after it, as siproxd does, and named.
        """
        text = "rtp_port_low = 7071"
        self.assertEqual(parse(text).rtp_port_low, 7072)
        self.assertEqual(
            notes(text),
            ["siproxd.conf:1: rtp_port_low: 7071 is odd; RTP ports are even; 7072 is used"],
        )

    def test_ports_reversed(self) -> None:
        """
        A port range that holds no pair of ports is refused.
        """
        for low, high in ((7080, 7070), (7070, 7070), (7071, 7072)):
            (problem,) = problems(f"rtp_port_high = {high}\nrtp_port_low = {low}")
            self.assertIn("conf:2: rtp_port_low: no pair of ports fits between", problem)
        self.assertEqual(problems("rtp_port_high = 7073\nrtp_port_low = 7071"), [])

    def test_low_above_default_high(self) -> None:
        """
        A first port above the default of the last one is refused where it stands.
        """
        self.assertEqual(
            problems("rtp_port_low = 30000"),
            [
                "siproxd.conf:1: rtp_port_low: no pair of ports fits between 30000 "
                "and rtp_port_high 7089"
            ],
        )

    def test_unreadable_port(self) -> None:
        """
        A port that cannot be read is one problem, not two.
        """
        self.assertEqual(len(problems("rtp_port_low = 30000\nrtp_port_high = x")), 1)

    def test_opnsense_port_range(self) -> None:
        """
        rtp_port_low given twice without rtp_port_high is OPNsense's way to give the range.
        """
        text = "rtp_port_low = 7070\nrtp_port_low = 7999"
        settings = parse(text)
        self.assertEqual((settings.rtp_port_low, settings.rtp_port_high), (7070, 7999))
        self.assertEqual(
            notes(text),
            ["siproxd.conf:2: rtp_port_low: given before in line 1; read as rtp_port_high"],
        )

    def test_opnsense_ua_string(self) -> None:
        """
        A number as User-Agent is taken, and doubted.
        """
        self.assertEqual(parse("ua_string = 1").ua_string, "1")
        self.assertEqual(
            notes("ua_string = 1"),
            ["siproxd.conf:1: ua_string: a number; was it meant for use_rport?"],
        )

    def test_pairs(self) -> None:
        """
        Lines that go together by position must be equally many.
        """
        self.assertEqual(
            problems("mask_host = a\nmask_host = b\nmasked_host = c"),
            [
                "siproxd.conf:3: mask_host: these go together line by line, "
                "but there is mask_host in lines 1, 2, masked_host in line 3"
            ],
        )
        self.assertIn("outbound_domain_port not at all", "".join(problems(
            "outbound_domain_name = a\noutbound_domain_host = b"
        )))  # fmt: skip

    def test_realm_without_password(self) -> None:
        """
        Asking for passwords that do not exist is refused.
        """
        self.assertEqual(
            problems("proxy_auth_realm = home"),
            ["siproxd.conf:1: proxy_auth_realm: nobody could register: set proxy_auth_pwfile"],
        )

    def test_password_without_realm(self) -> None:
        """
        A password that nobody is asked for is named.
        """
        self.assertEqual(
            notes("proxy_auth_passwd = x"),
            ["siproxd.conf:1: no phone is asked for it: proxy_auth_realm is not set"],
        )

    def test_console_without_keys(self) -> None:
        """
        A console that nobody can log in to is refused.
        """
        self.assertEqual(len(problems("manhole_port = 2222")), 1)
        self.assertEqual(problems("manhole_port = 2222\nmanhole_authorized_keys = /k"), [])

    def test_min_expires(self) -> None:
        """
        A shortest lifetime above the usual one is refused; siproxd's file has none to refuse.
        """
        self.assertEqual(len(problems("min_expires = 600\ndefault_expires = 300")), 1)
        self.assertEqual(parse("default_expires = 30").min_expires, 30)


class SiproxdFileTests(SynchronousTestCase):
    """
    A file that siproxd accepts starts siptwist.
    """

    def test_starts(self) -> None:
        """
        siproxd's own example values are good values.
        """
        settings = parse(SIPROXD_CONF)
        self.assertEqual(settings.rtp_dscp, 46)
        self.assertEqual(settings.default_expires, 600)
        self.assertEqual(settings.debug_level, 0)
        self.assertEqual(settings.mask_host, ("proxy1.example.org", "proxy2.example.org"))

    def test_every_core_directive(self) -> None:
        """
        All 44 directives of siproxd are options here, and each has a value of its own.
        """
        given = parse(SIPROXD_CONF).origins
        self.assertEqual(len(given), 44)
        ours = {
            "auth_algorithms",
            "ice",
            "direct_media",
            "hold_timeout",
            "manhole_authorized_keys",
            "manhole_host_key",
            "manhole_port",
            "max_call_time",
            "max_expires",
            "max_registrations",
            "min_expires",
            "nonce_lifetime",
            "ping_interval",
            "debug_host",
            "drain_seconds",
            "proxy_auth_calls",
            "register_from_outside",
            "siproxd_registration_file",
        }
        self.assertEqual(set(OPTIONS) - set(given), ours)

    def test_every_difference(self) -> None:
        """
        The table of deliberate differences has a row for each directive of siproxd
        (siproxd's fault R15: its documents lacked several).
        """
        guide = (Path(__file__).parent.parent / "docs" / "migration.rst").read_text()
        rows = re.findall(r"^   \* - (``.*)$", guide, re.M)
        named = [key for row in rows for key in re.findall(r"``(\w+)``", row)]
        plugins = {one.key for one in parse(SIPROXD_CONF).plugin_directives}
        self.assertEqual({key for key in named if key.startswith("plugin_")} - plugins, set())
        others = [key for key in named if not key.startswith("plugin_")]
        self.assertEqual(sorted(others), sorted(parse(SIPROXD_CONF).origins))

    def test_every_plugin_directive(self) -> None:
        """
        All 32 directives of siproxd's plugins are kept for the plugins, in order.
        """
        kept = parse(SIPROXD_CONF).plugin_directives
        self.assertEqual(len({directive.key for directive in kept}), 32)
        lines = SIPROXD_CONF.split("\n")
        for directive in kept:
            self.assertEqual(
                [part.strip() for part in lines[directive.line - 1].split("=", 1)],
                [directive.key, directive.value],
            )

    def test_later_options_named(self) -> None:
        """
        An option without effect is named once, at the start.
        """
        text = "\n\ntcp_timeout = 600\ndaemonize = 1\n"
        self.assertEqual(
            notes(text),
            [
                "siproxd.conf:3: not in effect yet: tcp_timeout",
                "siproxd.conf:4: daemonize: twistd decides: -n stays in the foreground",
            ],
        )

    def test_every_option_without_effect_named(self) -> None:
        """
        None of the options that do nothing is ignored in silence.
        """
        told = "\n".join(notes(SIPROXD_CONF))
        for key, option in OPTIONS.items():
            if option.effect:
                self.assertIn(key, told)

    def test_aliases(self) -> None:
        """
        Spellings that are found in real files are understood, and named.
        """
        text = (
            "plugin_dir = /usr/lib/siproxd/\n"
            "pi_shortdial_entry = 555\n"
            "plugin_fbox_anoncall_networks = 10.0.0.0/8\n"
            "plugin_stun_server_host = stun.example\n"
            "plugin_stun_server_port = 3478\n"
            "plugin_stun_server_period = 300\n"
        )
        settings = parse(text + "interface_inbound = br-lan\ninterface_outbound = wan\n")
        self.assertEqual((settings.if_inbound, settings.if_outbound), ("br-lan", "wan"))
        self.assertEqual(settings.plugindir, "/usr/lib/siproxd/")
        self.assertEqual(
            [directive.key for directive in settings.plugin_directives],
            [
                "plugin_shortdial_entry",
                "plugin_fix_fbox_anoncall_networks",
                "plugin_stun_server",
                "plugin_stun_port",
                "plugin_stun_period",
            ],
        )
        self.assertIn("siproxd.conf:1: plugin_dir: read as plugindir", notes(text))
