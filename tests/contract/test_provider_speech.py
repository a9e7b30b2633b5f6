"""Any voice or transcriber of ours as a LiveKit plugin, and chains of them by setting."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import replace
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


class Breaking(TimedTTS):
    """Says so many words, then fails or falls silent."""

    def __init__(self, words: int, *, timings: bool = True, silent: bool = False) -> None:
        super().__init__()
        self._words = words
        self._silent = silent
        self.has_word_timings = timings  # type: ignore[misc] # of this one

    async def stream(self, text: str, **more: Any) -> AsyncGenerator[SpeechChunk, None]:
        async for chunk in super().stream(text, **more):
            if not self._words:
                if self._silent:
                    await asyncio.Event().wait()
                raise ProviderError("provider_unavailable", "broken off")
            self._words -= 1
            words = chunk.words if self.has_word_timings else ()
            yield replace(chunk, words=words)


def chain(*voices: TTSProvider, stall_s: float = 5.0) -> provider_speech.VoiceChain:
    plugins = [provider_speech.TTS(voice) for voice in voices]
    return provider_speech.VoiceChain(plugins, pause_s=0.0, stall_s=stall_s)


REST = ["We should go home before it is dark."]
REST += [REST[0].partition(" ")[2], REST[0].partition(" should ")[2]]
WHOLE = "The tide is rising now. We should go home before it is dark."


@pytest.mark.parametrize("silent", [False, True])
async def test_the_next_voice_goes_on_where_one_broke_off(silent: bool) -> None:
    first, second = Breaking(7, silent=silent), TimedTTS()
    voice = chain(first, second, stall_s=2)
    audio, words = await spoken(voice, WHOLE)
    # LiveKit holds back the last frames of what broke off: their words are said again.
    assert second.texts[0] in REST
    assert "".join(words) == WHOLE
    assert 12.5 <= len(audio) / (2 * RATE_HZ // 10) < 14.5
    starts_s = [word.start_time for word in words if word.strip()]
    assert starts_s == sorted(starts_s)
    # It rests, so that the next answer does not wait for it.
    assert voice.model == "timed"
    first.texts.clear()
    await spoken(voice, "And so we do today.")
    assert not first.texts


async def test_without_times_what_was_spoken_is_estimated() -> None:
    second = TimedTTS()
    audio, words = await spoken(chain(Breaking(10, timings=False), second), WHOLE)
    assert second.texts[0] in REST
    assert words == []
    assert len(audio) > 12.5 * RATE_HZ // 10 * 2


async def test_a_voice_that_gives_no_sound_at_all_is_followed_by_the_next() -> None:
    second = TimedTTS()
    audio, _ = await spoken(chain(Breaking(0, silent=True), second, stall_s=2), WHOLE)
    assert " ".join(second.texts) == WHOLE
    assert len(audio) == pytest.approx(13 * RATE_HZ // 10 * 2, abs=4 * TAIL_BYTES)


async def test_when_no_voice_can_speak_livekit_is_told() -> None:
    with pytest.raises(APIError, match="no voice can speak"):
        await spoken(chain(Breaking(2), Breaking(0)), WHOLE)


async def test_a_chain_speaks_with_the_first_voice() -> None:
    first, second = TimedTTS(), TimedTTS()
    audio, words = await spoken(
        chain(first, second), "The tide is ", "rising now. ", "Go home now."
    )
    assert first.texts == ["The tide is rising now.", "Go home now."]
    assert second.texts == []
    assert "".join(words) == "The tide is rising now. Go home now."
    assert len(audio) == pytest.approx(8 * RATE_HZ // 10 * 2, abs=4 * TAIL_BYTES)


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
        # A busy machine loads the voice for longer than the chain waits for a sound.
        await asyncio.to_thread(made._piper.load)
        async with asyncio.timeout(30):
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
