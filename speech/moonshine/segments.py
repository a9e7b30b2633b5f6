"""Finds speech in a stream of audio and cuts it at pauses into pieces that the model can take."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from speech.vad import SAMPLE_RATE_HZ, WINDOW_SAMPLES, VoiceDetector, VoiceWindow

_WINDOW_S = WINDOW_SAMPLES / SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Cutting:
    """How speech is told from the rest and cut into segments; all in seconds."""

    onset_s: float = 0.096
    """Voice for this long is speech; a click or a smack of the lips is not."""
    lead_s: float = 0.3
    """Audio kept before the first voice: quiet consonants come before it is heard."""
    tail_s: float = 0.032
    """Audio kept after the last voice. The detector lets go late: speech is over by then."""
    gap_s: float = 1.5
    """Silence for this long ends a segment: the model loops on long pauses."""
    draft_s: float = 0.15
    """Silence after which the text so far is told, as what it will be if nobody speaks on."""
    pause_s: float = 0.25
    """Silence that is a pause between phrases."""
    soft_s: float = 8.0
    """A segment of this length ends at the next pause."""
    hard_s: float = 16.0
    """A segment of this length ends at its least voiced window of the last quarter."""


class Place(NamedTuple):
    """Where a segment lies, counted from the first sample that was pushed."""

    start_samples: int
    """The first sample that belongs to it, its lead included."""
    end_samples: int
    """The sample after its last voice."""
    stop_samples: int
    """The sample after its tail, as far as that has come."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of speech: one that is over, or an open one so far."""

    place: Place
    samples: npt.NDArray[np.float32]
    """float32 [n] from the lead to the tail."""


class Segmenter:
    """Holds the audio of at most one open segment, and no more than `hard_s` of it."""

    def __init__(self, cutting: Cutting | None = None) -> None:
        self._cutting = cutting or Cutting()
        self._detector = VoiceDetector()
        self._onset = _windows(self._cutting.onset_s)
        self._lead: deque[VoiceWindow] = deque(maxlen=_windows(self._cutting.lead_s) + self._onset)
        self._windows: list[VoiceWindow] = []
        self._voiced_end = 0
        self._onset_run = 0
        self._pushed = 0
        self._silence = 0

    @property
    def open(self) -> bool:
        """Whether speech has begun that is not over."""
        return bool(self._windows)

    @property
    def place(self) -> Place:
        """Where the open segment lies so far; the first sample names the segment."""
        start = self._pushed - len(self._windows) * WINDOW_SAMPLES
        return Place(
            start,
            start + self._voiced_end * WINDOW_SAMPLES,
            start + self._kept * WINDOW_SAMPLES,
        )

    @property
    def silence_s(self) -> float:
        """Time since the last voice, whether its segment is open or over."""
        return self._silence * _WINDOW_S

    def so_far(self) -> Segment:
        """The open segment up to the end of its tail, as far as that has come."""
        return Segment(self.place, _joined(self._windows[: self._kept]))

    def push(self, samples: npt.NDArray[np.float32]) -> list[Segment]:
        """Takes float32 [n] at 16 kHz mono and gives the segments that ended in it."""
        ended = []
        for window in self._detector.push(samples):
            self._pushed += WINDOW_SAMPLES
            self._silence += 1
            segment = self._go_on(window) if self._windows else self._wait(window)
            if segment is not None:
                ended.append(segment)
        return ended

    def close(self) -> Segment | None:
        """Ends the open segment here, if there is one."""
        if not self._windows:
            return None
        segment = self.so_far()
        self._lead.clear()
        self._lead.extend(self._windows[self._kept :])
        self._windows = []
        self._onset_run = 0
        return segment

    @property
    def _kept(self) -> int:
        return min(len(self._windows), self._voiced_end + _windows(self._cutting.tail_s))

    def _wait(self, window: VoiceWindow) -> Segment | None:
        self._lead.append(window)
        self._onset_run = self._onset_run + 1 if window.voiced else 0
        if self._onset_run >= self._onset:
            self._windows = list(self._lead)
            self._voiced_end = len(self._windows)
            self._silence = 0
        return None

    def _go_on(self, window: VoiceWindow) -> Segment | None:
        self._windows.append(window)
        if window.voiced:
            self._voiced_end = len(self._windows)
            self._silence = 0
        length_s = len(self._windows) * _WINDOW_S
        pause_s = self._cutting.pause_s if length_s >= self._cutting.soft_s else self._cutting.gap_s
        if self.silence_s >= pause_s:
            return self.close()
        if length_s >= self._cutting.hard_s:
            return self._cut()
        return None

    def _cut(self) -> Segment:
        last_quarter = len(self._windows) * 3 // 4
        likely = [window.probability for window in self._windows[last_quarter:-1]]
        place = last_quarter + int(np.argmin(likely)) + 1
        start = self.place.start_samples
        end = start + min(place, self._voiced_end) * WINDOW_SAMPLES
        stop = start + place * WINDOW_SAMPLES
        segment = Segment(Place(start, end, stop), _joined(self._windows[:place]))
        self._windows = self._windows[place:]
        self._voiced_end = max(0, self._voiced_end - place)
        return segment


def segments(samples: npt.NDArray[np.float32], cutting: Cutting | None = None) -> list[Segment]:
    """All speech of a recording, float32 [n] at 16 kHz mono."""
    segmenter = Segmenter(cutting)
    found = segmenter.push(samples)
    found += segmenter.push(np.zeros(WINDOW_SAMPLES, dtype=np.float32))
    last = segmenter.close()
    return [*found, last] if last is not None else found


def _windows(seconds: float) -> int:
    return round(seconds / _WINDOW_S)


def _joined(windows: list[VoiceWindow]) -> npt.NDArray[np.float32]:
    return np.concatenate([window.samples for window in windows])
