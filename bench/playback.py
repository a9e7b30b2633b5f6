"""How much of a known text was played, by its sound: no transcriber takes part.

With a fixed seed Piper says the same text with the same samples each time. So a text can be said
again, apart from any room, and the end of a recording be looked for in it by cross-correlation.
Where it lies tells how much was heard, and Piper's word timings tell which words that is.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import soxr
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT

from bench.caller import AUDIBLE, HEARD_RATE_HZ, Audio
from plugins import piper_tts
from speech.piper import PiperEngine

RATE_HZ = 8000
"""Of the signals that are compared."""
TAIL_S = 0.7
"""Length of the end of a recording that is looked for."""
STEPS_BACK_S = (0.0, 0.2, 0.4, 0.8)
"""Where the very end does not fit, since packets were late there, a little before it."""
SURE = 0.6
"""Normalised correlation from which a place counts as found; other places give 0.1 to 0.3."""
SEED = 1


@dataclass(frozen=True, slots=True)
class Heard:
    """The end of a recording, found in the known sound."""

    seconds: float
    """Of the known sound that were played."""
    words: int
    """How many words that is; a word counts from its middle on."""
    score: float
    """Normalised correlation there, at most 1."""


@dataclass(frozen=True, slots=True)
class KnownSpeech:
    """A text, and how it sounds with `SEED`.

    Attributes:
        words: Its words.
        middles_s: Where the middle of each word lies.
        samples: float32 [n] at `RATE_HZ`.
    """

    words: tuple[str, ...]
    middles_s: tuple[float, ...]
    samples: Audio

    @classmethod
    async def of(cls, text: str) -> KnownSpeech:
        """Says the text as the worker does, through the same plugin."""
        sound: list[Audio] = []
        pieces: list[tuple[str, float]] = []
        async with PiperEngine(seed=SEED) as engine:
            tts = piper_tts.TTS(engine=engine)
            async with tts.stream() as stream:
                stream.push_text(text)
                stream.end_input()
                async for audio in stream:
                    frame = audio.frame
                    sound.append(np.frombuffer(frame.data, dtype=np.int16).astype(np.float32))
                    pieces += [
                        (str(piece), (float(piece.start_time) + float(piece.end_time)) / 2)
                        for piece in frame.userdata.get(USERDATA_TIMED_TRANSCRIPT, [])
                    ]
            samples = np.concatenate(sound) / np.float32(32768)
            words = text.split()
            ends = accumulate(len(word) + 1 for word in words)
            return cls(
                tuple(words),
                tuple(_middle_of(pieces, end - 1) for end in ends),
                soxr.resample(samples, tts.sample_rate, RATE_HZ),
            )

    def heard_in(self, recording: Audio) -> Heard | None:
        """How much of it was played when a recording fell silent; None if it is not in there.

        Args:
            recording: float32 [n] at `HEARD_RATE_HZ`; what comes after the last audible sample
                is left out.
        """
        audible = np.flatnonzero(np.abs(recording) >= AUDIBLE)
        if not audible.size:
            return Heard(0.0, 0, 1.0)
        spoken = soxr.resample(recording[: audible[-1] + 1], HEARD_RATE_HZ, RATE_HZ)
        for back_s in STEPS_BACK_S:
            end = len(spoken) - round(back_s * RATE_HZ)
            tail = spoken[max(0, end - round(TAIL_S * RATE_HZ)) : end]
            if not tail.size:
                break
            place, score = _find(tail, self.samples)
            if score >= SURE:
                seconds = (place + len(tail)) / RATE_HZ + back_s
                return Heard(seconds, sum(middle <= seconds for middle in self.middles_s), score)
        return None


def _middle_of(pieces: list[tuple[str, float]], end: int) -> float:
    """The middle of the piece in which the character before `end` stands."""
    passed = 0
    for text, middle_s in pieces:
        passed += len(text)
        if passed >= end:
            return middle_s
    return pieces[-1][1]


def _find(needle: Audio, haystack: Audio) -> tuple[int, float]:
    """Where a signal lies in another, and the normalised correlation there.

    The signal may reach beyond either end.
    """
    lead = len(needle)
    padded = np.concatenate([np.zeros(lead), haystack, np.zeros(lead)])
    size = 1 << (len(padded) + lead).bit_length()
    spectrum = np.fft.rfft(padded, size) * np.conj(np.fft.rfft(needle, size))
    products = np.fft.irfft(spectrum, size)[: len(padded) - lead]
    energy = np.concatenate([[0.0], np.cumsum(padded**2)])
    powers = (energy[lead:] - energy[:-lead])[: len(products)]
    scores = products / np.sqrt(np.maximum(powers, 1e-3) * np.sum(needle**2))
    best = int(np.argmax(scores))
    return best - lead, float(scores[best])
