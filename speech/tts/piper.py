"""Piper in the process: the default, local, streaming inside the sentence."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import ClassVar

from typing_extensions import override

from speech.chunk import SpeechChunk
from speech.piper import PiperEngine
from speech.tts.base import TTSProvider, Voice


class PiperTTS(TTSProvider):
    """A door to the process's one `PiperEngine`, which it does not own and does not close."""

    name: ClassVar[str] = "piper"
    label: ClassVar[str] = "Piper"
    has_word_timings: ClassVar[bool] = True

    def __init__(self, engine: PiperEngine, voice: str | None = None) -> None:
        self._engine = engine
        self._voice = voice
        self.native_rate_hz = 24_000

    @override
    async def stream(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        stream = self._engine.stream(
            text,
            voice=voice or self._voice,
            speed=speed,
            sample_rate_hz=self.native_rate_hz,
        )
        async with aclosing(stream) as chunks:
            async for chunk in chunks:
                yield chunk

    @override
    async def voices(self) -> list[Voice]:
        return [Voice("en_US-joe-medium", "Joe", "en-US")]
