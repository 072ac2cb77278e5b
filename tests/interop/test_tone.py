"""
The ear of the bed; needs no network.
"""

from __future__ import annotations

import random
import struct
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.interop.tone import decode_ulaw, read_samples, seconds_of, write_tone, write_ulaw_tone


class ToneTests(SynchronousTestCase):
    """
    A tone is recognized, and nothing else is.
    """

    def write(self, hertz: int) -> list[int]:
        """
        Two seconds of a tone, by way of a file.
        """
        path = Path(self.mktemp())
        write_tone(path, hertz, 2)
        return read_samples(path)

    def test_heard(self) -> None:
        """
        Two seconds of a tone are heard as two seconds of that tone and none of another.
        """
        samples = self.write(440)
        self.assertAlmostEqual(seconds_of(samples, 440), 2.0, delta=0.01)
        self.assertEqual(seconds_of(samples, 1000), 0)
        self.assertEqual(seconds_of(samples, 450 + 20), 0)

    def test_silence(self) -> None:
        """
        Silence is no tone.
        """
        self.assertEqual(seconds_of([0] * 16000, 440), 0)

    def test_noise(self) -> None:
        """
        Noise is no tone.
        """
        noise = random.Random(1)
        samples = [noise.randrange(-9000, 9000) for _ in range(16000)]
        self.assertEqual(seconds_of(samples, 440), 0)

    def test_two_at_once(self) -> None:
        """
        Two tones at once count as neither: somebody else speaks in this call.
        """
        both = [a // 2 + b // 2 for a, b in zip(self.write(440), self.write(1000), strict=True)]
        self.assertEqual((seconds_of(both, 440), seconds_of(both, 1000)), (0, 0))

    def test_gaps(self) -> None:
        """
        Half a second of silence within two seconds of tone is missed.
        """
        samples = self.write(440)
        samples[4000:8000] = [0] * 4000
        self.assertAlmostEqual(seconds_of(samples, 440), 1.5, delta=0.15)

    def test_coded(self) -> None:
        """
        A tone survives G.711.
        """
        path = Path(self.mktemp())
        write_ulaw_tone(path, 1000)
        samples = [decode_ulaw(code) for code in path.read_bytes()]
        self.assertAlmostEqual(seconds_of(samples, 1000), 1.0, delta=0.01)

    def test_unfinished_recording(self) -> None:
        """
        A recording whose header does not know its length yet is read to its end.
        """
        path = Path(self.mktemp())
        write_tone(path, 440, 1)
        content = path.read_bytes()
        start = content.index(b"data") + 4
        path.write_bytes(content[:start] + struct.pack("<I", 0) + content[start + 4 :])
        self.assertEqual(len(read_samples(path)), 8000)

    def test_no_recording(self) -> None:
        """
        A file without sound in it is silence.
        """
        path = Path(self.mktemp())
        path.write_bytes(b"RIFF")
        self.assertEqual(read_samples(path), [])
