"""
What plugins change in the cost of a call that uses none of them: all that come with
siptwist are loaded and look at it, but for one: ``prefix`` puts its ``akey`` before every
number that a phone calls, so that there is no call that does not use it; here it has
none, and is left out.  The lines of ``logcall`` and ``demo`` nobody reads here unless
they are asked for: ``--lines``.
"""

from __future__ import annotations

from typing import Any

from bench.tables import compare

PLUGINS = """\
load_plugin = plugin_logcall.la
load_plugin = plugin_demo.la
load_plugin = plugin_shortdial.la
load_plugin = plugin_prefix.la
load_plugin = plugin_regex.la
load_plugin = plugin_regex_body.la
load_plugin = plugin_siptrunk.la
load_plugin = plugin_defaulttarget.la
load_plugin = plugin_stripheader.la
load_plugin = plugin_codecfilter.la
load_plugin = plugin_fix_bogus_via.la
load_plugin = plugin_fix_DTAG.la
load_plugin = plugin_fix_fbox_anoncall.la
load_plugin = plugin_stun.la
load_plugin = plugin_stats.la
load_plugin = plugin_blacklist.la
plugin_demo_string = bench
plugin_shortdial_akey = *00
plugin_shortdial_entry = 1234
plugin_shortdial_entry = 5678@example.net
plugin_regex_desc = international
plugin_regex_pattern = ^(sips?:)00
plugin_regex_replace = \\1+
plugin_regex_body_desc = private address
plugin_regex_body_pattern = 192\\.168\\.1\\.1
plugin_regex_body_replace = 198.51.100.1
plugin_siptrunk_name = trunk
plugin_siptrunk_account = sip:trunk@example.net
plugin_siptrunk_numbers_regex = ^555....$
plugin_defaulttarget_target = sip:reception@example.net
plugin_stripheader_remove = X-Unwanted
plugin_codecfilter_blacklist = G729
plugin_codecfilter_blacklist = speex
plugin_fix_bogus_via_networks = 198.51.100.0/24
plugin_fix_DTAG_networks = 198.51.100.0/24
plugin_fix_fbox_anoncall_networks = 198.51.100.0/24
plugin_stun_server = 198.51.100.1
plugin_stats_to_syslog = 60
plugin_blacklist_dbpath = {directory}/blacklist.sqlite
"""

ALL = ("--plugins",)
MEDIA, LINES = ("--media",), ("--lines",)


def compare_plugins(calls: int, runs: int) -> dict[str, Any]:
    """
    All of them to none: of calls with media, of signaling alone, and of that with the
    lines that ``logcall`` and ``demo`` log.
    """
    names = ("none", "all")
    return {
        "with_media": compare(calls, runs, MEDIA, MEDIA + ALL, names),
        "signaling": compare(calls, runs, (), ALL, names),
        "signaling_and_lines": compare(calls, runs, (), ALL + LINES, names),
    }
