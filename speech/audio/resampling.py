"""Sample rates and sample types."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import soxr

from protocol.errors import SpeechError

Floats = npt.NDArray[np.float32]
Shorts = npt.NDArray[np.int16]

MIN_RATE_HZ, MAX_RATE_HZ = 4_000, 384_000


def _check_rate(rate_hz: int) -> None:
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise SpeechError(
            "audio_invalid",
            f"A sample rate of {rate_hz} Hz is not between {MIN_RATE_HZ} and {MAX_RATE_HZ}.",
        )


class Resampler:
    """Changes the rate of one mono stream, given in pieces of any size, with no seam between them.

    The output is delayed by what the filter looks ahead; `flush` gives the rest, so that n samples
    in are `n * to_hz / from_hz` out, rounded, and time stays aligned.

    Raises:
        SpeechError: `audio_invalid` for a rate out of range.
    """

    def __init__(self, from_hz: int, to_hz: int) -> None:
        _check_rate(from_hz)
        _check_rate(to_hz)
        self._stream = (
            None if from_hz == to_hz else soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32")
        )

    def push(self, samples: Floats) -> Floats:
        """Takes float32 [n] and gives what is ready: float32 [m], m possibly 0."""
        if self._stream is None:
            return samples
        out: Floats = self._stream.resample_chunk(samples)
        return out

    def flush(self) -> Floats:
        """Gives the rest; after it the stream is over."""
        empty = np.zeros(0, np.float32)
        if self._stream is None:
            return empty
        out: Floats = self._stream.resample_chunk(empty, last=True)
        return out


def resample(samples: Floats, from_hz: int, to_hz: int) -> Floats:
    """Changes the rate of a whole recording: float32 [n].

    Raises:
        SpeechError: `audio_invalid` for a rate out of range.
    """
    _check_rate(from_hz)
    _check_rate(to_hz)
    out: Floats = samples if from_hz == to_hz else soxr.resample(samples, from_hz, to_hz)
    return out


def to_int16(samples: Floats) -> Shorts:
    """Rounds float32 of -1 to 1 to 16 bits; what is louder is clipped."""
    out: Shorts = np.clip(np.rint(samples * 32767.0), -32768, 32767).astype(np.int16)
    return out


def to_float(samples: Shorts) -> Floats:
    """16 bits to float32 of -1 to 1."""
    return samples.astype(np.float32) / np.float32(32768)
