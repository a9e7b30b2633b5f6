"""Wav files (RIFF, PCM and float), read strictly and written as 16 bits."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
import soundfile

from protocol.errors import SpeechError
from speech.audio.resampling import MAX_RATE_HZ, MIN_RATE_HZ

FORMATS = "wav, flac, ogg or mp3"
"""What libsndfile reads that people have."""

Floats = npt.NDArray[np.float32]
Shorts = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Wav:
    """A recording mixed down to mono."""

    samples: Floats
    """float32 [n], -1 to 1."""
    sample_rate_hz: int

    @property
    def duration_s(self) -> float:
        """Its length."""
        return self.samples.size / self.sample_rate_hz


def read_wav(source: Path | bytes | BinaryIO, *, max_s: float = 3600.0) -> Wav:
    """Reads a wav, flac, ogg or mp3 recording.

    Raises:
        SpeechError: `audio_invalid` for what is no recording, holds no samples or has samples
            that are not numbers; `audio_too_long` beyond `max_s` seconds, before it is decoded.
    """
    if isinstance(source, bytes):
        source = io.BytesIO(source)
    name = str(source) if isinstance(source, Path) else "The recording"
    if isinstance(source, Path) and not source.is_file():
        why = f"{name} is not a file." if source.exists() else f"There is no file {name}."
        raise SpeechError("audio_invalid", f"{why} Give a recording: {FORMATS}.")
    try:
        with soundfile.SoundFile(source) as file:
            rate_hz = int(file.samplerate)
            if file.frames > max_s * rate_hz:
                raise SpeechError("audio_too_long", f"{name} is longer than {max_s:g} s.")
            samples = file.read(dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, OSError, TypeError, ValueError) as error:
        raise SpeechError(
            "audio_invalid",
            f"{name} cannot be read as a recording. Give one of these: {FORMATS}.",
        ) from error
    if not samples.size:
        raise SpeechError("audio_invalid", f"{name} holds no samples.")
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise SpeechError("audio_invalid", f"{name} has a sample rate of {rate_hz} Hz.")
    if not np.isfinite(samples).all():
        raise SpeechError("audio_invalid", f"{name} holds samples that are not numbers.")
    return Wav(np.ascontiguousarray(samples.mean(axis=1, dtype=np.float32)), rate_hz)


def wav_header(sample_rate_hz: int, data_bytes: int | None = None) -> bytes:
    """The 44 bytes before 16-bit mono PCM; None for a stream of unknown length.

    An unknown length is written as the largest that the format has, as players expect.
    """
    size = 0xFFFFFFFF - 36 if data_bytes is None else data_bytes
    head = struct.pack("<4sI4s4sI", b"RIFF", 36 + size, b"WAVE", b"fmt ", 16)
    head += struct.pack("<HHIIHH", 1, 1, sample_rate_hz, 2 * sample_rate_hz, 2, 16)
    return head + struct.pack("<4sI", b"data", size)


def wav_bytes(samples: Shorts, sample_rate_hz: int) -> bytes:
    """A whole wav file from int16 [n], mono."""
    return wav_header(sample_rate_hz, 2 * samples.size) + samples.astype("<i2").tobytes()


def write_wav(path: Path, samples: Shorts, sample_rate_hz: int) -> None:
    """Writes int16 [n] as a mono wav file."""
    path.write_bytes(wav_bytes(samples, sample_rate_hz))
