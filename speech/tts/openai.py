"""OpenAI's speech endpoint, and servers that copy it (`POST /audio/speech`)."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import ClassVar

import numpy as np
from typing_extensions import override

from speech.chunk import SpeechChunk
from speech.openai_api import openai_client, translated
from speech.settings import SpeechSettings
from speech.tts.base import PcmAssembler, TTSProvider, Voice

_VOICES = (
    "alloy", "ash", "ballad", "coral", "echo", "fable", "nova", "onyx", "sage", "shimmer", "verse",
)  # fmt: skip


class OpenAITTS(TTSProvider):
    """Raw PCM at 24 kHz, streamed as the server makes it.

    Source: OpenAI API reference, "Create speech", `response_format: pcm`.
    """

    name: ClassVar[str] = "openai"
    label: ClassVar[str] = "OpenAI speech"
    native_rate_hz = 24_000

    def __init__(self, settings: SpeechSettings) -> None:
        self._sdk = openai_client(settings, self.label)
        self._model = settings.openai_tts_model
        self._voice = settings.openai_tts_voice

    @property
    @override
    def version(self) -> str:
        return self._model

    @override
    async def stream(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        pcm = PcmAssembler()
        if text.strip():
            with translated(self.label, self._sdk):
                async with self._sdk.audio.speech.with_streaming_response.create(
                    input=text,
                    model=self._model,
                    voice=voice or self._voice,
                    response_format="pcm",
                    speed=min(4.0, max(0.25, speed)),
                ) as response:
                    async for piece in response.iter_bytes(4096):
                        yield SpeechChunk(pcm.push(piece), self.native_rate_hz, (), False)
        yield SpeechChunk(np.zeros(0, np.int16), self.native_rate_hz, (), True)

    @override
    async def voices(self) -> list[Voice]:
        return [Voice(name, name.capitalize()) for name in _VOICES]

    @override
    async def aclose(self) -> None:
        await self._sdk.close()
