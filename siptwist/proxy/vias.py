"""
The Vias of a request as its responses shall carry them.
"""

from __future__ import annotations

from siptwist.sip.fields import Via
from siptwist.sip.grammar import split_commas
from siptwist.sip.headers import Header, Headers, keep_header
from siptwist.sip.hop import Hop


def arrived_vias(headers: Headers, via: Via, source: Hop) -> tuple[Header, ...]:
    """
    The Vias as the response shall carry them: the topmost says where the
    request really came from (RFC 3261 section 18.2.1, RFC 3581 section 4).
    """
    top = headers.first["via"]
    has_one = len(headers.first) == len(headers.items)
    found = (top,) if has_one else headers.fields("via")
    asks = via.has_rport
    if not asks and via.host.strip("[]") == source.host:
        return found
    text = top[1]
    if asks and "," not in text and text.endswith(";rport") and "received" not in text:
        made = f"{text}={source.port};received={source.host}"
    else:
        made = ", ".join([_with_source(via, source), *split_commas(text)[1:]])
    return (keep_header("Via", made), *found[1:])


def _with_source(via: Via, source: Hop) -> str:
    kept = [
        piece.strip(" \t")
        for piece in via.parameters.split(";")[1:]
        if piece.partition("=")[0].strip(" \t").lower() not in ("received", "rport")
    ]
    if via.has_rport:
        kept.append(f"rport={source.port}")
    kept.append(f"received={source.host}")
    port = "" if via.port is None else f":{via.port}"
    return f"SIP/2.0/{via.transport} {via.host}{port};" + ";".join(kept)
