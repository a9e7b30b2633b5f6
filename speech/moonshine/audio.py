"""Recordings and samples: what may be transcribed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
import soxr

from protocol.errors import SpeechError
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


def read_recording(path: Path) -> npt.NDArray[np.float32]:
    """A sound file (wav, flac, ogg, mp3…) of any rate and channels as float32 [n], 16 kHz mono.

    Raises:
        SpeechError: `audio_invalid`, naming the file.
    """
    try:
        frames, rate_hz = soundfile.read(path, dtype="float32", always_2d=True)
    except (OSError, RuntimeError, TypeError) as error:
        raise SpeechError(
            "audio_invalid", f"{path} is not a sound file that can be read ({error})."
        ) from error
    return checked(soxr.resample(frames.mean(axis=1), rate_hz, SAMPLE_RATE_HZ).astype(np.float32))
