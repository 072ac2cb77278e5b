"""
Numbers that siptwist gives another meaning, dialed on real telephones.
"""

from __future__ import annotations

from tests.interop.case import ALICE, InteropCase


class DialingTests(InteropCase):
    """
    A phone dials what the provider would make nothing of.
    """

    def test_short_number(self) -> None:
        """
        *01 calls the first entry, though the provider asks for the password meanwhile.
        """
        self.start_proxy(
            load_plugin="plugin_shortdial.la",
            plugin_shortdial_akey="*00",
            plugin_shortdial_entry="bob",
        )
        bob = self.start_outside()
        alice = self.start_inside("alice", ALICE)
        self.connect(alice, bob, "sip:*01@example.net")

    def test_told_to_call(self) -> None:
        """
        A phone that is told (302) calls what the rule makes of the number.
        """
        self.start_proxy(
            load_plugin="plugin_regex.la",
            plugin_regex_desc="numbers",
            plugin_regex_pattern=r"^(sips?:)00([[:digit:]]+)@",
            plugin_regex_replace=r"\1bob@",
            plugin_regex_redirect=1,
        )
        bob = self.start_outside()
        alice = self.start_inside("alice", ALICE)
        self.connect(alice, bob, "sip:0049301@example.net")
        self.assertTrue(alice.received("SIP/2.0 302"))
