"""Sounds that the speech tests share."""

from __future__ import annotations

from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import numpy.typing as npt

from speech.moonshine import read_recording

Samples = npt.NDArray[np.float32]
RATE_HZ = 16_000
WHEEL = "moonshine_cpp/test-data/beckett.wav"
RECORDING = Path(str(distribution("moonshine-cpp").locate_file(WHEEL)))
LINES = "ever tried ever failed no matter try again fail again fail better"
FIRST_PHRASES = "ever tried ever failed"


def words(text: str) -> list[str]:
    return "".join(c for c in text.lower() if c.isalpha() or c == " ").split()


def beckett() -> Samples:
    return read_recording(RECORDING)


def first_phrases() -> Samples:
    """The recording's first two phrases, 2.8 s of speech, without a pause after them."""
    return beckett()[: int(2.85 * RATE_HZ)]


def silence(seconds: float) -> Samples:
    return np.zeros(int(seconds * RATE_HZ), dtype=np.float32)


def white_noise(seconds: float, level: float = 0.1) -> Samples:
    rng = np.random.default_rng(1)
    return (rng.standard_normal(int(seconds * RATE_HZ)) * level).astype(np.float32)


def breath(seconds: float) -> Samples:
    """Noise that swells and falls every 1.5 s, as breathing into a microphone does."""
    times = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    swell = np.maximum(0.0, np.sin(2 * np.pi * times / 1.5)) ** 2
    smooth = np.convolve(white_noise(seconds, 1.0), np.ones(4) / 4, "same")
    return (smooth * swell * 0.2).astype(np.float32)


def music(seconds: float) -> Samples:
    """Plucked chords with overtones, four a second."""
    rng = np.random.default_rng(2)
    out = np.zeros(int(seconds * RATE_HZ))
    times = np.arange(RATE_HZ // 2) / RATE_HZ
    for start in range(0, len(out) - len(times), RATE_HZ // 4):
        root_hz = 220 * 2 ** (rng.choice([0, 2, 4, 5, 7, 9, 11]) / 12)
        for step in (0, 4, 7):
            for overtone in range(1, 8):
                pitch_hz = root_hz * 2 ** (step / 12) * overtone
                tone = np.sin(2 * np.pi * pitch_hz * times) / overtone * np.exp(-4 * times)
                out[start : start + len(times)] += tone
    return (out / np.abs(out).max() * 0.5).astype(np.float32)
