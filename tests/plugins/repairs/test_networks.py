"""
Tests of :mod:`siptwist.plugins.repairs.networks`.
"""

from __future__ import annotations

from ipaddress import ip_network

from twisted.trial.unittest import SynchronousTestCase

from siptwist.plugins.repairs import networks
from siptwist.plugins.repairs.networks import Networks

LISTED = (ip_network("10.0.0.0/8"), ip_network("2001:db8::/32"))


class NetworksTests(SynchronousTestCase):
    def test_in(self) -> None:
        """
        Addresses of both families are found in their networks, in brackets or not.
        """
        listed = Networks(LISTED)
        for host in ("10.1.2.3", "2001:db8::5", "[2001:db8::5]"):
            self.assertTrue(listed.has(host))

    def test_not_in(self) -> None:
        """
        Other addresses, host names and nonsense are in none.
        """
        listed = Networks(LISTED)
        for host in ("11.0.0.1", "2001:db9::1", "pbx.example", "10.0.0", "", "10.0.0.1/8"):
            self.assertFalse(listed.has(host))

    def test_bounded(self) -> None:
        """
        What strangers write does not fill the memory.
        """
        self.patch(networks, "_REMEMBERED", 4)
        listed = Networks(LISTED)
        for number in range(20):
            self.assertTrue(listed.has(f"10.0.0.{number}"))
        self.assertLessEqual(len(listed.has.__self__), 4)  # type: ignore[attr-defined]
