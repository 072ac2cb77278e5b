"""
Tests for siptwist.proxy.screening.access.
"""

from __future__ import annotations

import ipaddress
from dataclasses import replace

from twisted.trial.unittest import SynchronousTestCase

from siptwist.proxy.screening.access import NOBODY, Access, is_local

LAN, LAB, ALL = (ipaddress.ip_network(n) for n in ("10.0.0.0/24", "10.0.0.128/25", "0.0.0.0/0"))


class AccessTests(SynchronousTestCase):
    """
    hosts_deny_sip, hosts_allow_sip and hosts_allow_reg.
    """

    def may_send(self, access: Access, *hosts: str) -> list[bool]:
        return [access.may_send(host) for host in hosts]

    def test_no_lists(self) -> None:
        """
        Without lists everybody may send, and phones inside may register.
        """
        access = Access()
        self.assertEqual(self.may_send(access, "10.0.0.5", "192.0.2.1", "::1"), [True] * 3)
        self.assertTrue(access.may_register("10.0.0.5", True))
        self.assertFalse(access.may_register("192.0.2.1", False))

    def test_allowed(self) -> None:
        """
        Who may send is who is listed, or may register.
        """
        access = Access(allow_sip=(LAN,), allow_register=(ipaddress.ip_network("192.0.2.1/32"),))
        self.assertEqual(
            self.may_send(access, "10.0.0.5", "192.0.2.1", "192.0.2.2"), [True, True, False]
        )

    def test_denied(self) -> None:
        """
        Who is denied is not helped by being allowed.
        """
        access = Access(deny_sip=(LAB,), allow_sip=(LAN,))
        self.assertEqual(self.may_send(access, "10.0.0.5", "10.0.0.200"), [True, False])

    def test_registering(self) -> None:
        """
        Who is outside does not register, whatever the list says, and inside only who
        is listed (siproxd's fault S2: an empty list let the Internet register).
        """
        access = Access(allow_register=(ipaddress.ip_network("192.0.2.0/24"),))
        self.assertTrue(access.may_register("192.0.2.1", True))
        self.assertFalse(access.may_register("192.0.2.1", False))
        self.assertFalse(access.may_register("10.0.0.5", True))

    def test_registering_from_outside(self) -> None:
        """
        With register_from_outside the list counts alone.
        """
        access = Access(allow_register=(ipaddress.ip_network("192.0.2.0/24"),))
        wide = replace(access, register_outside=True)
        self.assertTrue(wide.may_register("192.0.2.1", False))
        self.assertFalse(wide.may_register("198.51.100.1", False))
        self.assertTrue(Access(register_outside=True).may_register("198.51.100.1", False))

    def test_ipv6(self) -> None:
        """
        Networks of IPv6 are as good as those of IPv4, in each list.
        """
        home, lab = (ipaddress.ip_network(n) for n in ("2001:db8::/32", "2001:db8:1::/48"))
        access = Access((lab,), (home,), (home,))
        hosts = ("2001:db8::5", "2001:db8:1::5", "2001:db9::5", "10.0.0.5")
        self.assertEqual(self.may_send(access, *hosts), [True, False, False, False])
        self.assertTrue(access.may_register("2001:db8::5", True))

    def test_denied_name_unknown(self) -> None:
        """
        While it is not known who is denied, only those are heard who are allowed by name
        or number (siproxd's fault S12: the list let everybody in).
        """
        access = Access(allow_register=(LAN,), deny_unknown=True)
        self.assertEqual(self.may_send(access, "10.0.0.5", "192.0.2.1"), [True, False])
        self.assertFalse(access.is_open)

    def test_nobody(self) -> None:
        """
        A list whose only name has no address is not an empty list: nobody is in it.
        """
        access = Access(allow_sip=(NOBODY,), allow_register=(NOBODY,))
        self.assertEqual(self.may_send(access, "10.0.0.5", "::1"), [False, False])
        self.assertFalse(access.may_register("10.0.0.5", True))

    def test_names_are_nobody(self) -> None:
        """
        What is no address is in no network.
        """
        self.assertEqual(
            self.may_send(Access(allow_sip=(ALL,)), "phone", "10.0.0.5"), [False, True]
        )


class LocalTests(SynchronousTestCase):
    """
    Addresses that can only be of our own premises.
    """

    def test_local(self) -> None:
        """
        Loopback, link-local and private addresses are local.
        """
        hosts = ("127.0.0.1", "10.9.9.9", "172.16.0.1", "172.31.255.1", "192.168.0.1")
        for host in (*hosts, "169.254.1.1", "::1", "fe80::1", "fd00::1"):
            self.assertTrue(is_local(host), host)

    def test_not_local(self) -> None:
        """
        Public, unspecified and shared addresses, and names, are not.
        """
        for host in (
            "172.32.0.1",
            "203.0.113.1",
            "0.0.0.0",
            "100.64.0.1",
            "2001:db8::1",
            "pbx",
            "",
        ):
            self.assertFalse(is_local(host), host)
