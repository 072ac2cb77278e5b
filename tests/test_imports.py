"""
The doors between the rooms of the house (see the map in ``README.rst``).
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

HOUSE = Path(__file__).parent.parent / "siptwist"

# What each room may import of ours; every room may import itself and the first line.
DOORS = {
    "errors": "sip",  # for type checkers: the messages that errors carry
    "interfaces": "",
    "hostlists": "",
    "options": "hostlists",
    "config": "options",
    "logs": "",
    "logfile": "logs",
    "sip": "",
    "media": "sip",
    "proxy": "sip media config",
    "net": "sip media proxy logs",
    "plugins": "sip media proxy net hostlists config options logs",
    "services": "sip media proxy net plugins hostlists config options logs logfile",
    "making": "sip media proxy net services hostlists config logs",
    "composition": "making sip media proxy net plugins services config logs",
    "operation": "composition making sip media proxy net plugins services config logs",
    "tap": "operation composition making sip media proxy net plugins services config logs",
}
EVERYWHERE = {"errors", "interfaces"}
PURE = {"errors", "interfaces", "hostlists", "options", "config", "sip", "media", "proxy"}
IMPURE = {"twisted", "time", "random", "secrets", "socket", "select", "os", "sys", "logging"}


def imports(tree: ast.AST) -> Iterator[tuple[str, ...]]:
    """
    Every imported name, split at its dots: ``("siptwist", "sip", "uri", "URI")``.
    """
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (tuple(alias.name.split(".")) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ["siptwist"] * bool(node.level) + (node.module or "").split(".")
            yield from ((*base, alias.name) for alias in node.names)


def closed_doors(room: str, source: str) -> list[str]:
    """
    The imports in ``source`` that ``room`` may not make.
    """
    open_doors = {room, *EVERYWHERE, *DOORS[room].split()}
    wrong = []
    for name in imports(ast.parse(source)):
        ours = name[0] == "siptwist" and len(name) > 1 and name[1] in DOORS
        impure = room in PURE and name[0] in IMPURE
        if impure or (ours and name[1] not in open_doors):
            wrong.append(".".join(name))
    return wrong


def loose_reactors(room: str, source: str) -> list[int]:
    """
    The lines of ``source`` that take the global reactor where they may not.
    """
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    held = (
        {node for function in functions for node in ast.walk(function)} if room == "tap" else set()
    )
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom) and node not in held
        for name in imports(node)
        if name[:3] == ("twisted", "internet", "reactor")
    ]


def long_functions(source: str) -> list[str]:
    """
    The functions of ``source`` that nobody can see as a whole.
    """
    return [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and (node.end_lineno or 0) - node.lineno >= 60
    ]


class HouseTests(SynchronousTestCase):
    """
    The modules of siptwist, as they are.
    """

    def modules(self) -> Iterator[tuple[str, Path, str]]:
        for path in sorted(HOUSE.rglob("*.py")):
            room = path.relative_to(HOUSE).parts[0].removesuffix(".py")
            if room != "__init__":
                yield room, path, path.read_text()

    def check(self, wrong: dict[str, list]) -> None:
        self.assertEqual({path: found for path, found in wrong.items() if found}, {})

    def test_doors(self) -> None:
        """
        Rooms import only what is before them; pure rooms touch no world.
        """
        self.check({str(path): closed_doors(room, text) for room, path, text in self.modules()})

    def test_reactor(self) -> None:
        """
        The global reactor is taken in one place, when the service is made.
        """
        self.check({str(path): loose_reactors(room, text) for room, path, text in self.modules()})

    def test_sizes(self) -> None:
        """
        A module has at most 400 lines, a function at most 60.
        """
        self.check({str(path): long_functions(text) for _, path, text in self.modules()})
        long = [path.name for _, path, text in self.modules() if text.count("\n") > 400]
        self.assertEqual(long, [])

    def test_folders(self) -> None:
        """
        A folder holds at most a dozen modules, so that one finds them.
        """
        folders = Counter(path.parent for _, path, _ in self.modules() if path.stem[:2] != "__")
        self.assertEqual([str(path) for path, count in folders.items() if count > 12], [])


class RuleTests(SynchronousTestCase):
    """
    The rules themselves: they see what they are to see.
    """

    def test_closed_door(self) -> None:
        """
        A room that imports a later room is found, in every spelling.
        """
        for source in (
            "import siptwist.net.udp",
            "from siptwist import net",
            "from .net import udp",
        ):
            self.assertEqual(len(closed_doors("sip", source)), 1, source)
        self.assertEqual(closed_doors("services", "from siptwist.net.udp import Socket"), [])

    def test_impure(self) -> None:
        """
        The clock in a pure room is found, also inside a function.
        """
        source = "def now():\n    from time import time\n    return time()\n"
        self.assertEqual(closed_doors("proxy", source), ["time.time"])
        self.assertEqual(closed_doors("services", source), [])

    def test_loose_reactor(self) -> None:
        """
        The global reactor is found at module level, and outside of tap.
        """
        line = "from twisted.internet import reactor"
        self.assertEqual(loose_reactors("tap", line), [1])
        self.assertEqual(loose_reactors("net", f"def f():\n    {line}"), [2])
        self.assertEqual(loose_reactors("tap", f"def f():\n    {line}"), [])

    def test_long_function(self) -> None:
        """
        A function of 61 lines is found, one of 60 is not.
        """
        for lines, found in ((60, []), (61, ["f"])):
            self.assertEqual(long_functions("def f():\n" + "    pass\n" * (lines - 1)), found)
