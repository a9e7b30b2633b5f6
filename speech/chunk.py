"""The unit that every voice yields: a piece of audio and the words in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class WordTiming:
    """When one word is spoken."""

    text: str
    """As written."""
    start_s: float
    """From the start of the stream's audio."""
    end_s: float
    start_char: int
    """Offsets into the text that was given."""
    end_char: int


@dataclass(frozen=True, slots=True)
class SpeechChunk:
    """A piece of audio, mono."""

    samples: npt.NDArray[np.int16]
    """int16 [n]"""
    sample_rate_hz: int
    words: tuple[WordTiming, ...]
    """Words that begin in this chunk; empty where the voice gives no timings."""
    last: bool
    """No more chunks follow."""
