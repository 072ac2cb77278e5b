"""
Tones in WAV files: making them, and hearing which one was received.
"""

from __future__ import annotations

import math
import struct
import wave
from pathlib import Path

RATE = 8000  # samples a second, mono, 16 bits
_WINDOW = RATE // 10
_VOLUME = 0.4


def write_tone(path: Path, hertz: int, seconds: int = 90) -> None:
    """
    Write a sine tone as WAV; a phone hangs up when it has spoken all of it.

    :param hertz: a whole number, so that every second holds whole periods.
    """
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(RATE)
        out.writeframes(struct.pack(f"<{RATE}h", *_one_second(hertz)) * seconds)


def write_ulaw_tone(path: Path, hertz: int) -> None:
    """
    Write one second of a sine tone as bare G.711 mu-law.
    """
    codes = sorted((decode_ulaw(code), code) for code in range(256))
    path.write_bytes(
        bytes(
            min(codes, key=lambda code: abs(code[0] - sample))[1] for sample in _one_second(hertz)
        )
    )


def decode_ulaw(code: int) -> int:
    """
    One sample from its mu-law code (ITU-T G.711).
    """
    code = ~code & 0xFF
    size = (((code & 0x0F) << 3) + 0x84 << (code >> 4 & 7)) - 0x84
    return -size if code & 0x80 else size


def _one_second(hertz: int) -> list[int]:
    step = 2 * math.pi * hertz / RATE
    return [round(32767 * _VOLUME * math.sin(step * index)) for index in range(RATE)]


def read_samples(path: Path) -> list[int]:
    """
    The samples of a WAV file, also of one that is still being written.

    A recorder fills in the length of its data last, so everything after the
    ``data`` mark counts.
    """
    content = path.read_bytes()
    start = content.find(b"data")
    if start < 0:
        return []
    body = content[start + 8 :]
    count = len(body) // 2
    return list(struct.unpack(f"<{count}h", body[: count * 2]))


def power(samples: list[int], hertz: int) -> float:
    """
    The share of the samples' energy that is this tone (Goertzel), 0.0 to 1.0.
    """
    energy = sum(sample * sample for sample in samples)
    if not energy:
        return 0.0
    factor = 2 * math.cos(2 * math.pi * hertz / RATE)
    last = before = 0.0
    for sample in samples:
        last, before = sample + factor * last - before, last
    found = last * last + before * before - factor * last * before
    return float(2 * found / (len(samples) * energy))


def seconds_of(samples: list[int], hertz: int) -> float:
    """
    How many seconds of the samples are clearly this tone, counted in tenths.
    """
    windows = (samples[at : at + _WINDOW] for at in range(0, len(samples) - _WINDOW + 1, _WINDOW))
    return sum(is_tone(window, hertz) for window in windows) * _WINDOW / RATE


def is_tone(window: list[int], hertz: int) -> bool:
    """
    Whether this tone, loud enough to hear, is nearly all there is.
    """
    loud = sum(map(abs, window)) > 500 * len(window)
    return loud and power(window, hertz) > 0.8
