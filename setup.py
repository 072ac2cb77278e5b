"""
What setup.cfg cannot say: with ``SIPTWIST_COMPILE=1`` the rooms that a message spends
its time in are compiled.

They are typed Python and plain classes, so mypyc makes C of them as they are, for which
a C compiler and the headers of Python are needed.  Everything else stays Python, and so
does all of it without that variable.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from setuptools import setup

#: The pure rooms, and how a message is served.
ROOMS = ("sip", "media", "proxy", "services/serving", "services/extending")
#: Left as they are: mypyc knows neither a dict that fills itself and attributes that
#: are read when first asked for (headers), nor an enumeration whose members know each
#: other (stream).
LEFT = {"siptwist/sip/headers.py", "siptwist/media/stream.py"}
#: What compiles, and what it must know of to check the types first.
COMPILER = ["mypy[mypyc]>=2.0", "mypy-zope>=1.0.14", "zope.interface>=8"]


def modules() -> list[str]:
    """
    The modules that are compiled.
    """
    here = Path(__file__).parent
    found = (path for room in ROOMS for path in (here / "siptwist" / room).rglob("*.py"))
    paths = (path.relative_to(here).as_posix() for path in found if path.name != "__init__.py")
    return sorted(set(paths) - LEFT)


def options() -> dict[str, Any]:
    if not os.environ.get("SIPTWIST_COMPILE"):
        return {}
    try:
        from mypyc.build import mypycify
    except ImportError:
        # pip asks for this before it builds.
        return {"setup_requires": COMPILER}
    compiled = mypycify(
        modules(), opt_level="2", debug_level="0", multi_file=True, group_name="siptwist"
    )
    return {"ext_modules": compiled}


if __name__ == "__main__":
    setup(**options())
