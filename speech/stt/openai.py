"""OpenAI's transcription endpoint, and servers that copy it (`POST /audio/transcriptions`)."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
import numpy.typing as npt
from openai import omit
from typing_extensions import override

from protocol.errors import ProviderError
from speech.audio import to_int16, wav_bytes
from speech.openai_api import openai_client, translated
from speech.settings import SpeechSettings
from speech.stt.base import STTProvider, Transcription


class OpenAISTT(STTProvider):
    """Sends one wav for each utterance.

    Source: OpenAI API reference, "Create transcription".
    """

    name: ClassVar[str] = "openai"
    label: ClassVar[str] = "OpenAI transcription"

    def __init__(self, settings: SpeechSettings) -> None:
        self._sdk = openai_client(settings, self.label)
        self._model = settings.openai_stt_model

    @override
    async def transcribe(
        self, samples: npt.NDArray[np.float32], *, language: str | None = None
    ) -> Transcription:
        if not len(samples):
            return Transcription("", language, 0.0)
        wav = wav_bytes(to_int16(np.nan_to_num(samples)), self.RATE_HZ)
        with translated(self.label, self._sdk):
            answer = await self._sdk.audio.transcriptions.create(
                file=("speech.wav", wav, "audio/wav"),
                model=self._model,
                language=language or omit,
                response_format="json",
            )
        text = getattr(answer, "text", None)
        if not isinstance(text, str):
            raise ProviderError(
                "provider_bad_response", f"{self.label} sent an answer without a text."
            )
        return Transcription(text.strip(), language, len(samples) / self.RATE_HZ)

    @override
    async def aclose(self) -> None:
        await self._sdk.close()
