"""Recordings and samples: what may be transcribed."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from protocol.errors import SpeechError
from speech.audio import read_wav, resample
from speech.moonshine.decoding import SAMPLE_RATE_HZ


def checked(samples: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The samples as a contiguous array, if they are audio.

    Raises:
        SpeechError: `audio_invalid`, saying what was found.
    """
    if samples.dtype != np.float32 or samples.ndim != 1:
        raise SpeechError(
            "audio_invalid",
            f"Audio must be float32 [samples], not {samples.dtype} {list(samples.shape)}.",
        )
    if not np.isfinite(samples).all():
        raise SpeechError("audio_invalid", "The audio holds NaN or infinite samples.")
    return np.ascontiguousarray(samples)


def read_recording(source: Path | bytes | BinaryIO) -> npt.NDArray[np.float32]:
    """A recording (wav, flac, ogg) of any rate and channels as float32 [n], 16 kHz mono.

    Raises:
        SpeechError: `audio_invalid` or `audio_too_long`, naming the file.
    """
    wav = read_wav(source)
    return checked(resample(wav.samples, wav.sample_rate_hz, SAMPLE_RATE_HZ))
