"""
Tests of :mod:`siptwist.plugins.guarding.stats`.
"""

from __future__ import annotations

from pathlib import Path

from zope.interface.verify import verifyObject

from siptwist.errors import ConfigError
from siptwist.plugins.guarding.stats import Stats, StatsOptions, StreamRow, page
from siptwist.plugins.stages import IReport, ITimer
from tests.plugins.loaded import PluginCase, make_house
from tests.services.walking import Proxy, sdp

VIDEO = "m=video 4002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n"


class StatsCase(PluginCase):
    def setUp(self) -> None:
        self.file = Path(self.mktemp())
        super().setUp()

    def make_proxy(self) -> Proxy:
        self.text = "load_plugin = plugin_stats.la\n" + self.options()
        return super().make_proxy()

    def options(self) -> str:
        return ""

    def rows(self) -> list[str]:
        lines = self.file.read_text().splitlines()
        return [line for line in lines if line.startswith("Data;")]


class LogTests(StatsCase):
    def options(self) -> str:
        return "plugin_stats_to_syslog = 60\n"

    def test_interfaces(self) -> None:
        """
        It keeps what it promises.
        """
        stats = Stats(StatsOptions(), make_house())
        verifyObject(ITimer, stats)
        verifyObject(IReport, stats)

    def test_now_and_then(self) -> None:
        """
        Every so many seconds the numbers go to the log.
        """
        self.proxy.wait(59, 1)
        self.assertEqual(self.said("stats"), [])
        self.proxy.wait(61, 1)
        nobody = "STATS: 0 active Streams, 0 active Calls, 0 active Clients, 0 registered Clients"
        self.assertEqual(self.said("stats"), [nobody, nobody])

    def test_one_stream(self) -> None:
        """
        A call of one m= line is a call, of a client, with two streams, one each way
        (R11 of siproxd).
        """
        self.call_out()
        self.proxy.wait(60, 1)
        self.assertIn(
            "STATS: 2 active Streams, 1 active Calls, 1 active Clients", *self.said("stats")
        )

    def test_registered(self) -> None:
        """
        Who is registered is counted until that lapses (R11 of siproxd).
        """
        self.registered(self.phone, 100)
        self.registered(self.other, 3600)
        self.proxy.wait(120, 1)
        first, second = self.said("stats")
        self.assertIn("2 registered Clients", first)
        self.assertIn("1 registered Clients", second)

    def test_report(self) -> None:
        """
        Whoever asks is told at once.
        """
        extensions = self.proxy.parts.extensions
        assert extensions is not None
        extensions.report()
        self.assertEqual(len(self.said("stats")), 1)


class FileTests(StatsCase):
    def options(self) -> str:
        return f"plugin_stats_to_file = 10\nplugin_stats_filename = {self.file}\n"

    def test_every_stream(self) -> None:
        """
        Each direction of each m= line has its line, with the phone, the call, our
        address and theirs; a second call is not left out (R11 of siproxd).
        """
        caller, _ = self.call_out(body=sdp("10.0.0.10", 4000, VIDEO))
        self.other.invite("sip:carol@provider.example")
        self.proxy.wait(10, 1)
        mine = [row for row in self.rows() if caller.call_id in row]
        self.assertEqual(len(self.rows()), len(mine) + 2)
        self.assertIn(f"Data;10.0.0.10;{caller.call_id};Outgoing;Outgoing;10.0.0.1;10.0.0.10", mine)
        self.assertIn(
            f"Data;10.0.0.10;{caller.call_id};Outgoing;Incoming;203.0.113.1;203.0.113.30", mine
        )
        self.assertIn("active Calls:            2\n", self.file.read_text())
        self.assertIn("active Clients:          2\n", self.file.read_text())

    def test_incoming(self) -> None:
        """
        A call in is told as such.
        """
        self.call_in()
        self.proxy.wait(10, 1)
        ways = {tuple(row.split(";")[3:5]) for row in self.rows()}
        self.assertEqual(ways, {("Incoming", "Incoming"), ("Incoming", "Outgoing")})
        self.assertEqual({row.split(";")[1] for row in self.rows()}, {"10.0.0.10"})

    def test_thousands(self) -> None:
        """
        More streams than siproxd has room for are all there (R11 of siproxd).
        """
        rows = [
            StreamRow("10.0.0.10", f"{n}@a", "Outgoing", "Outgoing", "", "") for n in range(3000)
        ]
        stats = Stats(StatsOptions(), make_house())
        counts, _ = stats._look(0.0)
        lines = list(page(counts, rows, 0.0, 1))
        self.assertEqual(sum(line.startswith("Data;") for line in lines), 3000)

    def test_line_breaks(self) -> None:
        """
        Whatever a stranger calls his call, a line stays a line, with its columns.
        """
        stats = Stats(StatsOptions(), make_house())
        counts, _ = stats._look(0.0)
        row = StreamRow("10.0.0.10", "a;b\n\x1b[2J", "Outgoing", "Outgoing", "", "")
        line = list(page(counts, [row], 0.0, 1))[-1]
        self.assertEqual(line, "Data;10.0.0.10;a%3Bb\\n\\x1b[2J;Outgoing;Outgoing;;")

    def test_unwritable(self) -> None:
        """
        A file that cannot be written is complained about once, and calls go on; when
        it can be, it is.
        """
        self.file.mkdir()
        self.proxy.wait(30, 1)
        self.assertEqual(len(self.said("stats")), 1)
        self.file.rmdir()
        self.proxy.wait(10, 1)
        self.assertTrue(self.file.is_file())


class NeverTests(StatsCase):
    def test_never(self) -> None:
        """
        Without options nothing is said; a file without a name is complained about.
        """
        self.proxy.wait(7200, 60)
        self.assertEqual(self.said("stats"), [])
        Stats(StatsOptions(to_file=-1), make_house()).report(0.0)
        self.assertEqual(self.events[-1]["log_format"].partition(":")[0], "There is no file")

    def test_malformed(self) -> None:
        """
        Times that are none stop the start.
        """
        for line in ("plugin_stats_to_file = -2", "plugin_stats_to_syslog = often"):
            with self.assertRaises(ConfigError):
                Proxy(text=f"load_plugin = stats\n{line}\n")
