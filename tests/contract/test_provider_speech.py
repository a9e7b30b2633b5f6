"""Any voice or transcriber of ours as a LiveKit plugin, and chains of them by setting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pytest
from livekit import rtc
from livekit.agents import APIError, APIStatusError, inference, tts
from livekit.agents.types import APIConnectOptions

from agent_worker.providers import Providers
from agent_worker.settings import WorkerSettings
from plugins import provider_speech
from protocol.errors import ConfigError, ProviderError
from speech.chunk import SpeechChunk, WordTiming
from speech.moonshine import MoonshineEngine
from speech.piper import PiperEngine
from speech.stt import STTProvider
from speech.stt.base import Transcription
from speech.tts import TTSProvider
from speech.tts.base import Voice
from tests.wire import Reply, Request, wire_server

RATE_HZ = 24_000
TAIL_BYTES = 2 * RATE_HZ // 100
"""LiveKit's emitter ends a segment with up to 10 ms of silence."""
NO_RETRY = APIConnectOptions(max_retry=0)


class TimedTTS(TTSProvider):
    """100 ms for each word."""

    name: ClassVar[str] = "timed"
    label: ClassVar[str] = "Timed"
    has_word_timings: ClassVar[bool] = True
    native_rate_hz = RATE_HZ

    def __init__(self, failure: ProviderError | None = None) -> None:
        self.texts: list[str] = []
        self._failure = failure

    async def stream(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        if self._failure is not None:
            raise self._failure
        self.texts.append(text)
        at = 0
        for number, word in enumerate(text.split()):
            at = text.index(word, at) + len(word)
            timing = WordTiming(word, number / 10, number / 10 + 0.1, at - len(word), at)
            yield SpeechChunk(np.full(RATE_HZ // 10, 1000, np.int16), RATE_HZ, (timing,), False)
        yield SpeechChunk(np.zeros(0, np.int16), RATE_HZ, (), True)

    async def voices(self) -> list[Voice]:
        return []


class CountingSTT(STTProvider):
    """Says how much it was given."""

    name: ClassVar[str] = "counting"
    label: ClassVar[str] = "Counting"

    async def transcribe(
        self, samples: npt.NDArray[np.float32], *, language: str | None = None
    ) -> Transcription:
        if language == "xx":
            raise ProviderError("provider_unavailable", "counting failed")
        return Transcription(f"{samples.size} samples", language, samples.size / 16_000)


async def spoken(voice: tts.TTS[Any], *tokens: str) -> tuple[bytes, list[Any]]:
    audio, words = b"", []
    async with voice.stream(conn_options=NO_RETRY) as stream:
        for token in tokens:
            stream.push_text(token)
        stream.end_input()
        async for event in stream:
            audio += bytes(event.frame.data)
            words += event.frame.userdata.get("lk.timed_transcripts", [])
    return audio, words


async def test_sentences_are_spoken_in_order_with_times() -> None:
    provider = TimedTTS()
    audio, words = await spoken(
        provider_speech.TTS(provider), "The tide is ", "rising now. ", "We should go home."
    )
    assert provider.texts == ["The tide is rising now.", "We should go home."]
    assert len(audio) == pytest.approx(9 * RATE_HZ // 10 * 2, abs=TAIL_BYTES)
    assert "".join(words) == "The tide is rising now. We should go home."
    starts_s = [word.start_time for word in words if word.strip()]
    assert starts_s == pytest.approx([n / 10 for n in range(9)], abs=1e-3)


async def test_text_with_nothing_to_say_is_a_little_silence() -> None:
    class Silent(TimedTTS):
        async def stream(self, text: str, **more: Any) -> AsyncGenerator[SpeechChunk, None]:
            yield SpeechChunk(np.zeros(0, np.int16), RATE_HZ, (), True)

    audio, _ = await spoken(provider_speech.TTS(Silent()), "…!")
    assert len(audio) == pytest.approx(2 * RATE_HZ // 10, abs=TAIL_BYTES)
    assert not any(audio)


async def test_a_failed_voice_is_livekits_error() -> None:
    failing = TimedTTS(ProviderError("provider_unavailable", "timed failed"))
    with pytest.raises(APIError, match="timed failed"):
        await spoken(provider_speech.TTS(failing), "Hello there.")


def second_of_silence(rate_hz: int, channels: int) -> rtc.AudioFrame:
    return rtc.AudioFrame(bytes(2 * rate_hz * channels), rate_hz, channels, rate_hz)


async def test_utterances_are_resampled_and_transcribed() -> None:
    plugin = provider_speech.STT(CountingSTT(), language="de")
    event = await plugin.recognize(second_of_silence(48_000, 2), conn_options=NO_RETRY)
    [said] = event.alternatives
    assert said.text == "16000 samples"
    assert said.language == "de"
    with pytest.raises(APIError, match="counting failed"):
        await plugin.recognize(second_of_silence(16_000, 1), language="xx", conn_options=NO_RETRY)


def providers(**settings: Any) -> Providers:
    made = WorkerSettings(
        _env_file=None, livekit_api_key="devkey", livekit_api_secret="x" * 32, **settings
    )
    return Providers(made, PiperEngine(), MoonshineEngine())


def test_wrong_settings_say_what_to_do() -> None:
    with pytest.raises(ConfigError, match="pip install livekit-plugins-nobody") as caught:
        providers(stt="nobody")
    assert caught.value.code == "tool_missing"
    with pytest.raises(ConfigError, match="silero has no TTS"):
        providers(tts="silero")
    with pytest.raises(ConfigError, match="no provider's name"):
        providers(tts="../x")
    with pytest.raises(ConfigError, match="expected a provider's name"):
        providers(tts=" , ")
    with pytest.raises(ProviderError, match="ELEVENLABS_API_KEY"):
        providers(tts="elevenlabs,piper")


async def test_a_chain_falls_back_to_the_local_voice() -> None:
    async def refuse(request: Request, reply: Reply) -> None:
        await reply.json({"error": {"message": "down"}}, status=500)

    async with wire_server(refuse) as server:
        made = providers(
            tts="openai,piper", stt="openai,moonshine", openai_base_url=f"{server.url}/v1"
        )
        chain = made.tts()
        async with asyncio.timeout(15):
            audio, _ = await spoken(chain, "Good morning. ", "How are you?")
        assert len(audio) > RATE_HZ
        assert server.requests
        heard = made.stt(inference.VAD())
        assert heard.capabilities.streaming
        await heard.aclose()
        await chain.aclose()
        await made.aclose()


async def test_livekits_plugins_are_found_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key")
    import agent_worker.providers as module

    monkeypatch.setattr(module.voices, "CATALOGUE", {})
    made = providers(tts="openai/tts-1")
    assert made.tts().capabilities.streaming
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(ConfigError, match="cannot be set up"):
        made.tts()
    assert issubclass(APIStatusError, APIError)
