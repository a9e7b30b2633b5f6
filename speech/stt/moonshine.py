"""Moonshine in the process: the default, local, English."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from speech.moonshine import MoonshineEngine, MoonshineStream
from speech.stt.base import STTProvider, Transcription


class MoonshineSTT(STTProvider):
    """A door to the process's one `MoonshineEngine`, which it does not own and does not close."""

    name: ClassVar[str] = "moonshine"
    label: ClassVar[str] = "Moonshine"

    def __init__(self, engine: MoonshineEngine) -> None:
        self._engine = engine

    @override
    async def transcribe(
        self, samples: npt.NDArray[np.float32], *, language: str | None = None
    ) -> Transcription:
        transcript = await self._engine.transcribe(samples)
        return Transcription(transcript.text, "en", transcript.duration_s)

    @override
    def listen(self, sample_rate_hz: int) -> MoonshineStream:
        """With interim words. The model begins to load, if nobody has needed it yet."""
        self._engine.prewarm()
        return self._engine.stream(sample_rate_hz=sample_rate_hz)
