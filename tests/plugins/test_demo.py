"""
Tests of :mod:`siptwist.plugins.demo`.
"""

from __future__ import annotations

from zope.interface.verify import verifyObject

from siptwist.logs import set_level
from siptwist.plugins.demo import Demo, DemoOptions
from siptwist.plugins.stages import IDetermineTarget, IPreProxy
from tests.plugins.loaded import PluginCase, make_house


class DemoTests(PluginCase):
    text = "load_plugin = plugin_demo.la\nplugin_demo_string = hello\n"

    def test_interface(self) -> None:
        """
        It keeps what it promises.
        """
        demo = Demo(DemoOptions(), make_house())
        verifyObject(IDetermineTarget, demo)
        verifyObject(IPreProxy, demo)

    def test_says(self) -> None:
        """
        It says when it is asked, with its string and the Call-ID.
        """
        self.phone.send("OPTIONS", "sip:carol@provider.example")
        call_id = self.phone.call_id
        self.assertEqual(
            self.said("demo"),
            [
                f"determine_target: OPTIONS 'hello' [{call_id}]",
                f"pre_proxy: OPTIONS 'hello' [{call_id}]",
            ],
        )

    def test_quiet(self) -> None:
        """
        It says nothing while nobody reads it, and goes on when somebody does.
        """
        self.addCleanup(set_level, "info")
        for level in ("warn", "info"):
            set_level(level, "siptwist.plugins.demo")
            self.phone.send("OPTIONS", "sip:carol@provider.example")
        self.assertEqual(len(self.said("demo")), 2)

    def test_costs_nothing(self) -> None:
        """
        While nobody reads what it says it is not asked.
        """
        self.addCleanup(set_level, "info")
        extensions = self.proxy.parts.extensions
        assert extensions is not None
        set_level("warn", "siptwist.plugins")
        self.assertEqual(extensions.stages.chains["pre_proxy"].hooks, ())
        set_level("info", "siptwist.plugins")
        self.assertEqual(len(extensions.stages.chains["pre_proxy"].hooks), 1)

    def test_stopped(self) -> None:
        """
        Once it is stopped it does not matter to it what is logged.
        """
        self.addCleanup(set_level, "info")
        extensions = self.proxy.parts.extensions
        assert extensions is not None
        extensions.stopService()
        chains = extensions.stages.chains
        set_level("warn", "siptwist.plugins")
        self.assertIs(extensions.stages.chains, chains)

    def test_changes_nothing(self) -> None:
        """
        A call goes on as without it.
        """
        caller, callee = self.call_out()
        caller.send("BYE")
        self.provider.reply(self.provider.last("BYE"), 200)
        self.assertEqual(self.phone.statuses("BYE"), [200])
        self.assert_clean(caller.call_id, callee.call_id)
