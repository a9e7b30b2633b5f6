"""One stream's sound on its way out: trimmed, levelled, paused, resampled, with exact times."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from speech.audio.loudness import Leveller
from speech.audio.resampling import Resampler, to_int16

Floats = npt.NDArray[np.float32]
Shorts = npt.NDArray[np.int16]

SILENCE = 0.004
"""Samples below this, about -48 dB of full scale, do not count as sound at a line's ends."""
LEAD_S = 0.015
"""Kept before the first sound, where soft consonants begin."""
TAIL_S = 0.040
"""Kept after the last sound, where voices fade."""
FADE_S = 0.004


class Track:
    """Puts the lines of one stream one after the other.

    Times count from the first sample that leaves, in seconds, and hold at any output rate.

    Args:
        rate_hz: Of what comes in.
        out_hz: Of what goes out.
        level_db: The voice's own level.
    """

    def __init__(self, rate_hz: int, out_hz: int, level_db: float) -> None:
        self._rate_hz = rate_hz
        self._leveller = Leveller(level_db)
        self._resampler = Resampler(rate_hz, out_hz)
        self._sent = 0
        """Samples that have left, before resampling."""
        self._origin = 0
        """Where the line's first sample would be, had nothing been trimmed."""
        self._begun = False

    @property
    def position_s(self) -> float:
        """End of the sound so far."""
        return self._sent / self._rate_hz

    @property
    def begun(self) -> bool:
        """Whether the line's first sound has been found, so that `time_s` is exact."""
        return self._begun

    def time_s(self, sample: int) -> float:
        """Time of a sample of the current line, counted before trimming."""
        return max(0.0, (self._origin + sample) / self._rate_hz)

    def start_line(self, pause_s: float) -> Shorts:
        """What comes next is another utterance, after a pause."""
        samples = self._send(np.zeros(round(pause_s * self._rate_hz), np.float32))
        self._begun = False
        self._origin = self._sent
        return samples

    def push(self, samples: Floats, *, keep: int | None = None) -> Shorts:
        """Takes the line's next samples and gives what leaves: int16 [n], n possibly 0.

        Args:
            samples: float32 [n].
            keep: The line ends with them, and the silence at its end is trimmed, though not
                before this sample of the line.
        """
        samples = self._leveller.push(samples)
        fade = round(FADE_S * self._rate_hz)
        if not self._begun:
            loud = np.flatnonzero(np.abs(samples) > SILENCE)
            if not loud.size:
                self._origin -= samples.size
                return np.zeros(0, np.int16)
            cut = max(0, int(loud[0]) - round(LEAD_S * self._rate_hz))
            self._origin -= cut
            samples = samples[cut:].copy()
            samples[:fade] *= np.linspace(0, 1, samples[:fade].size, dtype=np.float32)
            self._begun = True
        if keep is not None:
            loud = np.flatnonzero(np.abs(samples) > SILENCE)
            end = int(loud[-1]) + 1 + round(TAIL_S * self._rate_hz) if loud.size else 0
            samples = samples[: max(end, self._origin + keep - self._sent, 0)].copy()
            if samples.size:
                rest = samples[-fade:]
                rest *= np.linspace(1, 0, rest.size, dtype=np.float32)
        return self._send(samples)

    def finish(self) -> Shorts:
        """Gives what the resampler still holds."""
        return to_int16(self._resampler.flush())

    def _send(self, samples: Floats) -> Shorts:
        self._sent += samples.size
        return to_int16(self._resampler.push(samples))
