"""What LiveKit's emitter gets: frames of 4096 bytes, pauses, and words with their times."""

from __future__ import annotations

from livekit import rtc
from livekit.agents import tts
from livekit.agents.types import TimedString

from speech.audio import FrameCutter

FRAME_BYTES = 4096
_SAMPLE_BYTES = 2


class FrameEmitter:
    """Pushes one segment's sound into LiveKit's `AudioEmitter`.

    The emitter keeps the last 10 ms back until it knows whether the segment goes on. The first
    frame is therefore pushed 10 ms longer, so that each frame that leaves has 4096 bytes. Every
    sentence is filled up with silence to a whole frame, as a part of the pause after it: nothing
    of a sentence waits for the next one, and the last frame of all is the 10 ms kept back.
    """

    def __init__(self, emitter: tts.AudioEmitter, sample_rate_hz: int) -> None:
        self._emitter = emitter
        self._rate_hz = sample_rate_hz
        self._cutter = FrameCutter(FRAME_BYTES, first_bytes=_emitter_tail(sample_rate_hz))
        self._samples = 0
        self._filled_samples = 0

    @property
    def position_s(self) -> float:
        """End of what was pushed so far."""
        return self._samples / self._rate_hz

    def words(self, words: list[TimedString]) -> None:
        """Text that leaves with the next frame."""
        if words:
            self._emitter.push_timed_transcript(words)

    def speech(self, data: bytes) -> None:
        """Sound of a sentence: 16-bit PCM, mono."""
        self._filled_samples = 0
        self._push(data)

    def fill(self) -> None:
        """Ends a sentence: what is left of it leaves as a whole frame."""
        missing = self._cutter.missing_bytes
        self._filled_samples = missing // _SAMPLE_BYTES
        self._push(bytes(missing))

    def pause(self, duration_s: float) -> None:
        """Silence before a sentence, less what the one before was filled up with."""
        samples = round(duration_s * self._rate_hz) - self._filled_samples
        self._filled_samples = 0
        self._push(bytes(_SAMPLE_BYTES * max(0, samples)))

    def _push(self, data: bytes) -> None:
        self._samples += len(data) // _SAMPLE_BYTES
        for frame in self._cutter.push(data):
            samples = len(frame) // _SAMPLE_BYTES
            self._emitter.push_frame(rtc.AudioFrame(frame, self._rate_hz, 1, samples))


def _emitter_tail(sample_rate_hz: int) -> int:
    return FRAME_BYTES + sample_rate_hz * 10 // 1000 * _SAMPLE_BYTES
