"""Chunk sizes: small enough to come early, large enough that playback never starves."""

from __future__ import annotations

import math

MIN_FRAMES = 16
"""Smallest chunk. After the silence at the start is trimmed, it still fills a 4 KB frame."""
MAX_FRAMES = 96
"""Largest chunk: 1.1 s of sound at 22,050 Hz. Larger ones save little and delay other streams."""
WHOLE_FRAMES = 2 * MAX_FRAMES
"""The same where nothing sounds before all is made: most sentences are one chunk then, and a long
one still lets other streams pass."""
CONTEXT_FRAMES = 12
"""What a chunk costs on top of its own frames, in frames: the context that is decoded twice."""
CRUMB_FRAMES = 32
"""The last chunk has no fewer, so that it holds all of the silence at an utterance's end."""
QUIET_FRAMES = 5
"""Silence at an utterance's start that is trimmed and does not play."""
MARGIN = 1.5
"""How many times slower than measured the next chunk may be without a gap."""


class Pace:
    """Chunk sizes from the measured speed of one voice on this machine, with its present load."""

    def __init__(self, frame_s: float) -> None:
        """Starts with nothing measured.

        Args:
            frame_s: Duration of one frame of sound.
        """
        self._frame_s = frame_s
        self._cost_s = frame_s / 4

    @property
    def cost_s(self) -> float:
        """Smoothed seconds of work for each frame."""
        return self._cost_s

    def measured(self, frames: int, elapsed_s: float) -> None:
        """Takes note of a chunk that was just decoded, waiting for a thread included."""
        cost_s = elapsed_s / (frames + CONTEXT_FRAMES)
        weight = 0.5 if cost_s > self._cost_s else 0.2
        self._cost_s += weight * (cost_s - self._cost_s)

    def first(self, total: int) -> int:
        """Frames of an utterance's first chunk, when nothing is playing yet."""
        slow_s = self._cost_s * MARGIN
        # What plays must last for the chunk after it, which may be a crumb and its neighbour.
        frames = (MIN_FRAMES + CRUMB_FRAMES + CONTEXT_FRAMES) * slow_s / self._frame_s
        if slow_s < self._frame_s:
            # A chunk of this size plays for as long as one of the same size takes to make.
            frames = max(frames, CONTEXT_FRAMES * slow_s / (self._frame_s - slow_s))
        else:
            # Slower than speech: what is still missing at the end must be ready at the start.
            frames = max(frames, total * (1 - self._frame_s / slow_s))
        # Each chunk of a short text costs much beside its sound: with a little more in the first,
        # all the rest is made in one.
        lasting = ((total + CONTEXT_FRAMES) * slow_s / self._frame_s + QUIET_FRAMES) / (
            1 + slow_s / self._frame_s
        )
        if total - lasting <= MAX_FRAMES and lasting <= max(MIN_FRAMES, frames) + MIN_FRAMES:
            frames = max(frames, lasting)
        first = _without_crumb(max(MIN_FRAMES, math.ceil(frames)), total)
        last = total - first
        if 0 < last <= CRUMB_FRAMES and (last + CONTEXT_FRAMES) * slow_s > first * self._frame_s:
            return total
        return first

    def following(self, remaining: int, ahead_s: float) -> int:
        """Frames of the next chunk.

        Args:
            remaining: Frames left in the utterance.
            ahead_s: Seconds of sound that the listener still has.
        """
        affordable = ahead_s / (self._cost_s * MARGIN) - CONTEXT_FRAMES
        return _without_crumb(int(min(max(affordable, MIN_FRAMES), MAX_FRAMES)), remaining)

    @staticmethod
    def whole(remaining: int) -> int:
        """Frames of the next chunk of an utterance that is wanted whole."""
        return _without_crumb(WHOLE_FRAMES, remaining)


def _without_crumb(frames: int, remaining: int) -> int:
    """Leaves either nothing or enough for a chunk that holds more than the silence at the end."""
    if remaining - frames >= CRUMB_FRAMES:
        return frames
    if remaining <= max(frames, CRUMB_FRAMES + MIN_FRAMES):
        return remaining
    return remaining - CRUMB_FRAMES
