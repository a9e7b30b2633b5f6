"""Any Wyoming voice server: Home Assistant's Piper and others, kept in a process of their own."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import AbstractAsyncContextManager
from typing import ClassVar

import numpy as np
import numpy.typing as npt
import soxr
from typing_extensions import override

from protocol.errors import ProviderError
from speech.chunk import SpeechChunk
from speech.settings import SpeechSettings
from speech.tts.base import PcmAssembler, TTSProvider, Voice, required
from speech.wyoming import (
    AudioChunk,
    AudioStart,
    AudioStop,
    Synthesize,
    SynthesizeVoice,
    WyomingConnection,
    connected,
    describe,
)


class WyomingTTS(TTSProvider):
    """One connection for each stream. The protocol has no speed and no word timings."""

    name: ClassVar[str] = "wyoming"
    label: ClassVar[str] = "The Wyoming voice server"
    native_rate_hz = 24_000

    def __init__(self, settings: SpeechSettings) -> None:
        required(settings.wyoming_tts_uri, "WYOMING_TTS_URI", self.label)
        assert settings.wyoming_tts_uri is not None
        self._uri = settings.wyoming_tts_uri
        self._connect_timeout_s = settings.speech_connect_timeout_s
        self._read_timeout_s = settings.speech_read_timeout_s

    @override
    async def stream(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        resampler: _ToMono | None = None
        if text.strip():
            async with self._connected() as connection:
                await connection.send(
                    Synthesize(text, SynthesizeVoice(name=voice) if voice else None).event()
                )
                while True:
                    event = await connection.receive()
                    if AudioStart.is_type(event.type):
                        start = AudioStart.from_event(event)
                        resampler = _ToMono(
                            start.rate, start.width, start.channels, self.native_rate_hz
                        )
                    elif AudioChunk.is_type(event.type):
                        if resampler is None:
                            raise ProviderError(
                                "provider_bad_response", f"{self.label} sent audio with no start."
                            )
                        samples = resampler.push(AudioChunk.from_event(event).audio)
                        yield SpeechChunk(samples, self.native_rate_hz, (), False)
                    elif AudioStop.is_type(event.type):
                        break
        rest = resampler.flush() if resampler else np.zeros(0, np.int16)
        yield SpeechChunk(rest, self.native_rate_hz, (), True)

    def _connected(self) -> AbstractAsyncContextManager[WyomingConnection]:
        return connected(
            self._uri,
            self.label,
            connect_timeout_s=self._connect_timeout_s,
            read_timeout_s=self._read_timeout_s,
        )

    @override
    async def voices(self) -> list[Voice]:
        async with self._connected() as connection:
            info = await describe(connection)
        return [
            Voice(voice.name, voice.description or voice.name, next(iter(voice.languages), None))
            for program in info.tts
            for voice in program.voices
        ]


class _ToMono:
    """The server's PCM as int16 mono at our rate."""

    def __init__(self, rate_hz: int, width_bytes: int, channels: int, out_rate_hz: int) -> None:
        if width_bytes != 2 or channels not in (1, 2) or not 4_000 <= rate_hz <= 192_000:
            raise ProviderError(
                "provider_bad_response",
                f"The Wyoming voice server offers {width_bytes * 8}-bit audio with {channels} "
                f"channels at {rate_hz} Hz; 16-bit mono or stereo is needed.",
            )
        self._channels = channels
        self._pcm = PcmAssembler(channels)
        self._resampler = (
            soxr.ResampleStream(rate_hz, out_rate_hz, 1, dtype="int16")
            if rate_hz != out_rate_hz
            else None
        )

    def push(self, data: bytes) -> npt.NDArray[np.int16]:
        samples = self._pcm.push(data)
        if self._channels == 2:
            samples = samples.reshape(-1, 2).mean(axis=1).astype(np.int16)
        return self._resampler.resample_chunk(samples) if self._resampler else samples

    def flush(self) -> npt.NDArray[np.int16]:
        empty = np.zeros(0, np.int16)
        return self._resampler.resample_chunk(empty, last=True) if self._resampler else empty
