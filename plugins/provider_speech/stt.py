"""A `speech.stt` provider as a LiveKit STT: one utterance at a time, cut by the session's VAD."""

from __future__ import annotations

from typing import Any

import numpy as np
from livekit import rtc
from livekit.agents import (
    NOT_GIVEN,
    APIConnectOptions,
    LanguageCode,
    NotGivenOr,
    stt,
    utils,
)

from plugins.errors import translated
from speech.audio import resample
from speech.stt import STTProvider


class STT(stt.STT[Any]):
    """Sends whole utterances to a provider, which it does not own.

    Args:
        provider: Where the words come from.
        language: A hint such as `de`; None lets the provider find out.
    """

    def __init__(self, provider: STTProvider, *, language: str | None = None) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=False, interim_results=False))
        self._provider = provider
        self._language = language

    @property
    def model(self) -> str:
        """The provider's name, which stands for its model."""
        return self._provider.name

    @property
    def provider(self) -> str:
        """The provider's name in metrics."""
        return self._provider.name

    async def _recognize_impl(
        self,
        buffer: utils.AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        frame = rtc.combine_audio_frames(buffer)
        channels = np.frombuffer(frame.data, np.int16).reshape(-1, frame.num_channels)
        mono = channels.mean(axis=1, dtype=np.float32) / np.float32(32768)
        samples = resample(mono, frame.sample_rate, self._provider.RATE_HZ)
        hint = language if isinstance(language, str) else self._language
        with translated():
            said = await self._provider.transcribe(samples, language=hint)
        return stt.SpeechEvent(
            stt.SpeechEventType.FINAL_TRANSCRIPT,
            request_id=utils.shortuuid("stt_"),
            alternatives=[
                stt.SpeechData(
                    LanguageCode(said.language or hint or ""), said.text, end_time=said.duration_s
                )
            ],
        )
