"""
Writes the manual pages beside this file, from the options and ``etc/siproxd.conf``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import siptwist
from siptwist.config import OPTIONS, Settings
from siptwist.options import Option, show, table
from siptwist.plugins.loading import shipped
from siptwist.tap import SEARCH_PATH, Options

HERE = Path(__file__).resolve().parent
SAMPLE = HERE.parent.parent / "etc" / "siproxd.conf"

_OPTION = re.compile(r"#?([a-z]\w*) = .*")
_LINE = "# " + "-" * 75

_PROXY = """\
.TH SIPTWIST 8 "" "siptwist {version}" "System administration"
.SH NAME
siptwist \\- masquerading SIP proxy, registrar and RTP relay
.SH SYNOPSIS
.B twistd
.RI [ "options of twistd" ]
.B siproxy
.RI [ options ]
.SH DESCRIPTION
Phones behind a NAT router call out, are called, and call each other, and the world sees one
public address.  The configuration is that of siproxd; see
.BR siproxd.conf (5).
.B twistd \\-n
stays in the foreground, and
.B \\-\\-pidfile=
keeps twistd from writing a file of its own.
.SH OPTIONS
{options}
.SH SIGNALS
.TP
.B SIGHUP
Read the configuration, the passwords and the lists again.  No call and no registration is
lost.  A file with a mistake leaves everything as it was; what needs a restart is named.
.TP
.B SIGTERM
Refuse new calls with 503, and end when the last call has, or after
.B drain_seconds
at the latest.  A second one does not wait.
.TP
.B SIGINT
End at once.
.TP
.B SIGUSR1
Write statistics to the log.
.SH FILES
{files}
.SH EXIT STATUS
0 when all is well, 1 when the configuration or what it needs cannot be used.
.SH SEE ALSO
.BR siproxd.conf (5),
.BR twistd (1)
"""

_CONF = """\
.TH SIPROXD.CONF 5 "" "siptwist {version}" "File formats"
.SH NAME
siproxd.conf \\- configuration of siptwist
.SH DESCRIPTION
A line is
.IR "key" " = " "value" ;
# begins a comment, also after a value.  Numbers may be hexadecimal (0x10); a leading 0 makes
them octal.  Options that can be repeated keep the order of their lines.
.B twistd siproxy \\-\\-check
says what a file means, what is wrong with it, and what is likely to be regretted.
.SH OPTIONS
{options}
.SH SEE ALSO
.BR siptwist (8)
"""


def escaped(text: str) -> str:
    """
    Text that means nothing to roff.
    """
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(f"\\&{line}" if line[:1] in (".", "'") else line for line in text.split("\n"))


def known() -> dict[str, tuple[Option, object]]:
    """
    Every option, of the proxy and of its plugins, with its default.
    """
    found = {key: (option, getattr(Settings(), key)) for key, option in OPTIONS.items()}
    for maker in shipped().values():
        for name, option in table(maker.options).items():
            default = maker.options.__dataclass_fields__[name].default
            found[maker.prefix + name] = (option, default)
    return found


def blocks(sample: str) -> Iterator[tuple[str, list[str]]]:
    """
    Paragraphs of the sample with the options below them; a heading has none.
    """
    heading = False
    for block in re.split(r"\n\n+", sample):
        lines = block.split("\n")
        keys = [match[1] for line in lines if (match := _OPTION.fullmatch(line))]
        words = " ".join(line[2:] for line in lines if line.startswith("# "))
        if _LINE in lines:
            heading = True
            yield lines[1][2:], []
        elif keys and heading:
            yield words, keys


def describe(key: str, option: Option, default: object) -> str:
    """
    What the table knows of an option.
    """
    notes = [f"default {show(default)}"] if show(default) else []
    notes += ["can be repeated"] if option.repeated else []
    notes += [option.effect] if option.effect else []
    return f"{option.help} ({'; '.join(notes)})" if notes else option.help


def conf() -> str:
    """
    siproxd.conf(5).
    """
    options, lines = known(), []
    for words, keys in blocks(SAMPLE.read_text()):
        if not keys:
            lines.append(f".SS {escaped(words)}")
            continue
        for number, key in enumerate(keys):
            lines += [".TQ" if number else ".TP", f".B {escaped(key)}"]
        for key in keys:
            which = f"{key}: " if len(keys) > 1 else ""
            lines += [escaped(f"{which}{describe(key, *options.pop(key))}."), ".br"]
        lines.append(escaped(words))
    for key, (option, default) in options.items():
        lines += [".TP", f".B {escaped(key)}", escaped(describe(key, option, default)) + "."]
    return _CONF.format(version=siptwist.__version__, options="\n".join(lines))


def proxy() -> str:
    """
    siptwist(8).
    """
    lines = []
    for name, short, _, text in Options.optParameters:
        spelled = f"\\-\\-{escaped(name)}=\\fIVALUE\\fR"
        also = f", \\-{short} \\fIVALUE\\fR" if short else ""
        lines += [".TP", f"\\fB{spelled}{also}", escaped(text[:1].upper() + text[1:] + ".")]
    for name, _, text in Options.optFlags:
        lines += [".TP", f".B \\-\\-{escaped(name)}", escaped(text[:1].upper() + text[1:] + ".")]
    files = [line for path in SEARCH_PATH for line in (".TP", f".I {escaped(path)}")]
    files.append("The configuration; the first that can be read.")
    return _PROXY.format(
        version=siptwist.__version__, options="\n".join(lines), files="\n".join(files)
    )


PAGES = {"siproxd.conf.5": conf, "siptwist.8": proxy}

if __name__ == "__main__":
    for name, make in PAGES.items():
        (HERE / name).write_text(make())
