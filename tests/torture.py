"""
The torture messages of RFC 4475 and RFC 5118, what a proxy shall do with each,
and how to compare what it sent on with what it was given.

Nothing here uses siptwist's own parser: it is what is being tested.
"""

from __future__ import annotations

import re
from pathlib import Path

CORPORA = Path(__file__).parent / "corpora"

# Outcomes: a status, or one of several where RFC 4475 leaves the choice; FORWARD
# as it is; DROP without a word.
FORWARD, DROP = "forward", "drop"
Outcome = str | tuple[int, ...]

# A phone of ours sends these, and every name lies outside.
AT_PROXY: dict[str, Outcome] = {
    # RFC 4475 section 3.1.1: valid
    "wsinv": FORWARD,
    "intmeth": FORWARD,
    "esc01": FORWARD,
    "escnull": FORWARD,
    "esc02": FORWARD,
    "lwsdisp": FORWARD,
    "longreq": FORWARD,
    "dblreq": FORWARD,
    "semiuri": FORWARD,
    "transports": FORWARD,
    "mpart01": FORWARD,
    "unreason": DROP,
    "noreason": DROP,
    # Section 3.1.2: invalid
    "badinv01": (400,),
    "clerr": (400,),
    "ncl": (400,),
    "scalar02": (400,),
    "scalarlg": DROP,
    "quotbal": (400,),
    "ltgtruri": (400,),
    "lwsruri": (400,),
    "lwsstart": (400,),
    "trws": (400,),
    "escruri": (400,),
    "baddate": FORWARD,
    "regbadct": (400,),
    "badaspec": (400,),
    "baddn": (400,),
    "badvers": (505,),
    "mismatch01": (400,),
    "mismatch02": (400, 501),
    "bigcode": DROP,
    # Sections 3.2 and 3.3: transactions, applications
    "badbranch": FORWARD,
    "insuf": (400,),
    "unkscm": (416,),
    "novelsc": (416,),
    "unksm2": FORWARD,
    "bext01": (420,),
    "invut": FORWARD,
    "regaut01": FORWARD,
    "multi01": (400,),
    "mcl01": (400,),
    "bcast": DROP,
    "zeromf": (200, 483),
    "cparam01": FORWARD,
    "cparam02": FORWARD,
    "regescrt": FORWARD,
    "sdp01": FORWARD,
    # Section 3.4
    "inv2543": FORWARD,
    # In the archive of RFC 4475, but in none of its sections: no Via, no version.
    "test": DROP,
    # RFC 5118
    "ipv6-good": FORWARD,
    "ipv6-bad": (400,),
    "port-ambiguous": FORWARD,
    "port-unambiguous": FORWARD,
    "via-received-param-with-delim": FORWARD,
    "via-received-param-no-delim": FORWARD,
    "ipv6-in-sdp": FORWARD,
    "mult-ip-in-header": FORWARD,
    "mult-ip-in-sdp": FORWARD,
    "ipv4-mapped-ipv6": FORWARD,
    "ipv6-bug-abnf-3-colons": FORWARD,
    "ipv6-correct-abnf-2-colons": FORWARD,
}
# The same when example.com is us: then we are the registrar.
AT_REGISTRAR: dict[str, Outcome] = {
    "escnull": (200,),
    "dblreq": (200,),
    "regbadct": (400,),
    "scalar02": (400,),
    "unksm2": (400, 404),
    "cparam01": (200,),
    "cparam02": (200,),
    "regescrt": (200,),
}
# Responses that are well formed: for nobody here, but forwarded when they answer something.
RESPONSES = ("unreason", "noreason", "bcast")

_COMPACT = {"v": "via", "m": "contact", "l": "content-length", "c": "content-type"}
_OWNED = frozenset(
    (
        "via",
        "max-forwards",
        "max-breadth",
        "route",
        "record-route",
        "contact",
        "user-agent",
        "expires",
    )
)


def messages() -> dict[str, bytes]:
    """
    All messages by name, as they come over a wire.
    """
    found = {path.stem: path.read_bytes() for path in sorted((CORPORA / "rfc4475").glob("*.dat"))}
    for path in sorted((CORPORA / "rfc5118").iterdir()):
        found[path.name] = _whole(path.read_bytes().replace(b"\n", b"\r\n"))
    return found


def _whole(data: bytes) -> bytes:
    """
    A message of RFC 5118 with its last line and the Content-Length that it has:
    the RFC gives text, not bytes, and its lengths count neither.
    """
    head, _, body = data.removesuffix(b"\r\n").partition(b"\r\n\r\n")
    body = body + b"\r\n" if body else b""
    length = b"Content-Length: %d" % len(body)
    return re.sub(rb"Content-Length: \d+", length, head) + b"\r\n\r\n" + body


def parts(data: bytes) -> tuple[bytes, list[tuple[str, bytes]], bytes]:
    """
    Start line, header fields by name, and body.
    """
    head, _, body = data.partition(b"\r\n\r\n")
    start, *lines = re.split(rb"\r\n(?![ \t])", head.removesuffix(b"\r\n"))
    fields = []
    for line in lines:
        name = line.partition(b":")[0].strip().lower().decode()
        fields.append((_COMPACT.get(name, name), line))
    return start, fields, body


def _length(fields: list[tuple[str, bytes]], body: bytes) -> int:
    for name, line in fields:
        if name == "content-length":
            return int(line.partition(b":")[2])
    return len(body)


def changes(given: bytes, sent: bytes, *more: str) -> list[str]:
    """
    What differs between a message and what the proxy made of it, outside of the
    fields a proxy owns and those named in ``more``.
    """
    owned = _OWNED.union(more)
    start, fields, body = parts(given)
    new_start, new_fields, new_body = parts(sent)
    found = []
    if "request-uri" not in owned and start != new_start:
        found.append(f"{start!r} became {new_start!r}")
    kept = [line for name, line in fields if name not in owned]
    new_kept = [line for name, line in new_fields if name not in owned]
    found += [f"lost: {line!r}" for line in kept if line not in new_kept]
    found += [f"new: {line!r}" for line in new_kept if line not in kept]
    if not found and kept != new_kept:
        found.append("another order")
    if "body" not in owned and body[: _length(fields, body)] != new_body:
        found.append(f"{body!r} became {new_body!r}")
    return found
