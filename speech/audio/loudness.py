"""One loudness for every sentence, without looking ahead."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

TARGET_DB = -20.0
"""Level of speech in dB of full scale, pauses left out. Its peaks then stay just below full."""
GATE_DB = -50.0
"""Blocks below this are pauses."""
MAX_CHANGE_DB = 6.0
"""How far a voice may be turned up or down from its own measured level."""
BLOCK_SAMPLES = 256
_KNEE = 0.8
_MEMORY_BLOCKS = 250
"""How much speech the running level remembers: about 3 s at 22,050 Hz."""


def speech_level(samples: Floats) -> float:
    """Level of the speech in float32 [n], in dB of full scale; TARGET_DB if there is none."""
    usable = samples[: samples.size // BLOCK_SAMPLES * BLOCK_SAMPLES].reshape(-1, BLOCK_SAMPLES)
    power = np.mean(np.square(usable, dtype=np.float64), axis=1)
    power = power[power > _power(GATE_DB)]
    return float(10 * np.log10(power.mean())) if power.size else TARGET_DB


def _power(level_db: float) -> float:
    return float(10 ** (level_db / 10))


class Leveller:
    """Brings one stream of speech to `TARGET_DB`.

    The gain follows the level heard so far, block by block, and glides within each block, so the
    result does not depend on how the stream is cut. Peaks are rounded off, never clipped.

    Args:
        expected_db: Level to expect before anything is heard: the voice's own.
    """

    def __init__(self, expected_db: float) -> None:
        self._power = _power(expected_db)
        self._expected_db = expected_db
        self._gain = self._wanted()

    def push(self, samples: Floats) -> Floats:
        """Takes float32 [n], n a multiple of BLOCK_SAMPLES except at a sentence's end."""
        out = np.empty_like(samples)
        for begin in range(0, samples.size, BLOCK_SAMPLES):
            block = samples[begin : begin + BLOCK_SAMPLES]
            power = float(np.mean(np.square(block, dtype=np.float64)))
            if power > _power(GATE_DB):
                self._power += (power - self._power) / _MEMORY_BLOCKS
            before, self._gain = self._gain, self._wanted()
            glide = np.linspace(before, self._gain, block.size, endpoint=False, dtype=np.float32)
            out[begin : begin + BLOCK_SAMPLES] = block * glide
        return _round_off(out)

    def _wanted(self) -> float:
        level_db = 10 * np.log10(self._power)
        change_db = np.clip(level_db - self._expected_db, -MAX_CHANGE_DB, MAX_CHANGE_DB)
        return float(10 ** ((TARGET_DB - self._expected_db - change_db) / 20))


def _round_off(samples: Floats) -> Floats:
    """Bends what is above the knee so that it stays below 1."""
    size = np.abs(samples)
    if not (size > _KNEE).any():
        return samples
    bent = _KNEE + (1 - _KNEE) * np.tanh((size - _KNEE) / (1 - _KNEE))
    return np.where(size > _KNEE, np.copysign(bent, samples), samples).astype(np.float32)
