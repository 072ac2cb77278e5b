"""
Tests of :mod:`siptwist.plugins.plugin`.
"""

from __future__ import annotations

from twisted.plugin import IPlugin
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from siptwist.plugins.plugin import NoOptions, PluginMaker, Wanted, moved, only, retargeted, wanted
from siptwist.plugins.stages import IPluginMaker
from siptwist.sip.message import Response
from tests.proxy.asking import ticket


class PluginMakerTests(SynchronousTestCase):
    def test_interface(self) -> None:
        """
        What offers a plugin keeps what it promises, to Twisted and to us.
        """
        maker = PluginMaker("x", lambda options, house: (options, house), methods=("INVITE",))
        verifyObject(IPluginMaker, maker)
        verifyObject(IPlugin, maker)
        self.assertEqual(maker.prefix, "plugin_x_")
        self.assertEqual(maker.make(1, 2), (1, 2))  # type: ignore[arg-type]
        self.assertEqual(list(maker.check(NoOptions())), [])


class OnlyTests(SynchronousTestCase):
    def test_marked(self) -> None:
        """
        What a method of a plugin looks at is known of the plugin's, too.
        """

        class Plugin:
            @only(methods=["BYE"], kind=Response, starts=b"S", informing=True)
            def post_proxy(self) -> str:
                return "asked"

        plugin = Plugin()
        self.assertEqual(
            wanted(plugin.post_proxy), Wanted(frozenset(("BYE",)), Response, b"S", True)
        )
        self.assertEqual(plugin.post_proxy(), "asked")

    def test_unmarked(self) -> None:
        """
        A plugin that says nothing sees everything.
        """
        self.assertEqual(wanted(PluginMaker.make), Wanted(None, None, None, False))


class AnswerTests(SynchronousTestCase):
    def test_retargeted(self) -> None:
        """
        A request for somebody else is the same but for its Request-URI.
        """
        before = ticket(uri="sip:12@example.net")
        after = retargeted(before, "sip:4912@example.net")
        self.assertEqual(after.uri.user if after.uri else "", "4912")
        self.assertEqual(after.request.headers, before.request.headers)
        self.assertEqual(before.request.uri, "sip:12@example.net")

    def test_moved(self) -> None:
        """
        A redirection names the new target in Contact.
        """
        reply = moved("sip:4912@example.net", "short dial")
        self.assertEqual((reply.status, reply.why), (302, "short dial"))
        self.assertEqual(reply.headers, (("Contact", "<sip:4912@example.net>"),))
