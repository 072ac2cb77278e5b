"""
Tests of :mod:`siptwist.plugins.logcall`.
"""

from __future__ import annotations

from zope.interface.verify import verifyObject

from siptwist.plugins.logcall import LogCall
from siptwist.plugins.plugin import NoOptions
from siptwist.plugins.stages import ICallEnded, IPreProxy
from tests.plugins.loaded import PluginCase, make_house


class LogCallTests(PluginCase):
    text = "load_plugin = plugin_logcall.la\n"

    def kinds(self) -> list[str]:
        return [line.partition(":")[0] for line in self.said("logcall")]

    def test_interface(self) -> None:
        """
        It keeps what it promises.
        """
        plugin = LogCall(NoOptions(), make_house())
        verifyObject(IPreProxy, plugin)
        verifyObject(ICallEnded, plugin)

    def test_outgoing(self) -> None:
        """
        A call out is told from its INVITE to its end, with how long it lasted.
        """
        caller, _ = self.call_out()
        self.proxy.wait(5)
        caller.send("BYE")
        self.provider.reply(self.provider.last("BYE"), 200)
        self.assertEqual(self.kinds(), ["Outgoing call", "ACK", "Call is ended", "Call ended"])
        first, *_, last = self.said("logcall")
        self.assertEqual(
            first,
            "Outgoing call: sip:alice@provider.example -> sip:carol@provider.example "
            "[Req: sip:carol@provider.example] [IP: 10.0.0.10:5060] "
            f"[CID: {caller.call_id}]",
        )
        self.assertEqual(
            last,
            "Call ended: sip:alice@provider.example -> sip:carol@provider.example, "
            f"5 s [BYE] [CID: {caller.call_id}]",
        )

    def test_incoming(self) -> None:
        """
        A call in is told as such, and a re-INVITE as a change.
        """
        caller, _ = self.call_in()
        caller.send("INVITE")
        self.assertEqual(self.kinds(), ["Incoming call", "ACK", "Changed call"])

    def test_refused(self) -> None:
        """
        A call that is refused is told with the status.
        """
        self.phone.invite("sip:carol@provider.example")
        self.provider.reply(self.provider.last("INVITE"), 486)
        self.assertIn("Not answered", self.kinds()[-1])
        self.assertIn("0 s [486]", self.said("logcall")[-1])

    def test_cancelled(self) -> None:
        """
        A call that is given up is told.
        """
        invite = self.phone.invite("sip:carol@provider.example")
        self.provider.reply(self.provider.last("INVITE"), 180)
        self.phone.cancel(invite)
        self.assertEqual(self.kinds(), ["Outgoing call", "Canceled call"])
        self.provider.reply(self.provider.last("INVITE"), 487)
        self.assertIn("[487]", self.said("logcall")[-1])

    def test_challenged(self) -> None:
        """
        An INVITE whose caller is merely asked for his password is no call that
        ended.
        """
        self.phone.invite("sip:carol@provider.example")
        self.provider.reply(self.provider.last("INVITE"), 407)
        self.assertEqual(self.kinds(), ["Outgoing call"])

    def test_other_methods(self) -> None:
        """
        Nothing but calls is told.
        """
        self.registered(self.phone)
        self.phone.send("OPTIONS", "sip:carol@provider.example")
        self.assertEqual(self.said("logcall"), [])

    def test_line_breaks(self) -> None:
        """
        Whatever a stranger calls himself, a line stays a line.
        """
        self.phone.user = "a\x1b[2J"
        self.phone.send("INVITE", "sip:carol@provider.example", contact="<sip:a@10.0.0.10>")
        self.assertFalse([line for line in self.said("logcall") if "\x1b" in line])
