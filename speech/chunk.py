"""The unit that every voice yields: a piece of audio and the words in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class WordTiming:
    """When a word sounds. Times count from the first sample of the stream."""

    text: str
    """The word as written, punctuation included."""
    start_s: float
    end_s: float
    """Where its last sound ends; a pause after it is not part of it."""
    start_char: int
    """`text` begins here in the text that was given to `stream`."""
    end_char: int


@dataclass(frozen=True, slots=True)
class SpeechChunk:
    """A piece of speech."""

    samples: npt.NDArray[np.int16]
    """int16 [n], mono."""
    sample_rate_hz: int
    words: tuple[WordTiming, ...]
    """The words that begin in this chunk; empty where the voice gives no timings."""
    last: bool
    """Nothing follows."""

    @property
    def duration_s(self) -> float:
        """Its length."""
        return self.samples.size / self.sample_rate_hz
