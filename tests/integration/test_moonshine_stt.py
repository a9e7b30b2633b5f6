from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soxr
from livekit import rtc
from livekit.agents import Agent, AgentSession, APIError, UserInputTranscribedEvent, inference, stt
from livekit.agents.metrics import STTMetrics
from livekit.agents.voice import io

from plugins.moonshine_stt import STT
from speech.moonshine import MoonshineEngine
from tests.integration.spoken import (
    FIRST_PHRASES,
    LINES,
    Samples,
    beckett,
    first_phrases,
    silence,
    words,
)

Kind = stt.SpeechEventType


@pytest.fixture(scope="module")
def engine() -> Iterator[MoonshineEngine]:
    engine = MoonshineEngine()
    engine.load()
    yield engine
    asyncio.run(engine.aclose())


def frames(samples: Samples, rate_hz: int = 48_000, channels: int = 1) -> Iterator[rtc.AudioFrame]:
    """10 ms frames, as a room gives them."""
    there = np.clip(soxr.resample(samples, 16_000, rate_hz) * 32767, -32768, 32767)
    whole = np.repeat(there.astype(np.int16)[:, None], channels, axis=1)
    step = rate_hz // 100
    for start in range(0, len(whole) - step + 1, step):
        yield rtc.AudioFrame(whole[start : start + step].tobytes(), rate_hz, channels, step)


async def events_of(
    speaker: STT, samples: Samples, *, rate_hz: int = 48_000, channels: int = 1
) -> list[stt.SpeechEvent]:
    async with speaker.stream() as stream:
        for frame in frames(samples, rate_hz, channels):
            stream.push_frame(frame)
        stream.end_input()
        return [event async for event in stream]


def text_of(event: stt.SpeechEvent) -> str:
    return event.alternatives[0].text


async def test_a_flush_gives_a_preflight_and_an_equal_final(engine: MoonshineEngine) -> None:
    events = await events_of(STT(engine=engine), np.concatenate((beckett(), silence(0.5))))
    kinds = [event.type for event in events if event.type is not Kind.INTERIM_TRANSCRIPT]
    assert kinds[0] is Kind.START_OF_SPEECH
    assert kinds[-4:] == [
        Kind.PREFLIGHT_TRANSCRIPT,
        Kind.FINAL_TRANSCRIPT,
        Kind.END_OF_SPEECH,
        Kind.RECOGNITION_USAGE,
    ]
    preflight, final = (
        [event for event in events if event.type is kind][-1]
        for kind in (Kind.PREFLIGHT_TRANSCRIPT, Kind.FINAL_TRANSCRIPT)
    )
    assert text_of(preflight) == text_of(final)
    assert words(text_of(final)) == LINES.split()
    assert final.alternatives[0].end_time == pytest.approx(8.9, abs=0.3)


async def test_preflights_come_once_for_each_text(engine: MoonshineEngine) -> None:
    sound = np.concatenate((first_phrases(), silence(1.0)))
    events = await events_of(STT(engine=engine), sound)
    texts = [text_of(event) for event in events if event.type is Kind.PREFLIGHT_TRANSCRIPT]
    assert len(texts) == len(set(texts))


async def test_an_empty_flush_gives_an_empty_final(engine: MoonshineEngine) -> None:
    async with STT(engine=engine).stream() as stream:
        stream.flush()
        event = await anext(stream)
        assert (event.type, text_of(event)) == (Kind.FINAL_TRANSCRIPT, "")
        for frame in frames(silence(0.5)):
            stream.push_frame(frame)
        stream.flush()
        event = await anext(stream)
        assert (event.type, text_of(event)) == (Kind.FINAL_TRANSCRIPT, "")


async def test_usage_becomes_metrics(engine: MoonshineEngine) -> None:
    metrics: asyncio.Queue[STTMetrics] = asyncio.Queue()
    speaker = STT(engine=engine)
    speaker.on("metrics_collected", metrics.put_nowait)
    async with speaker.stream() as stream:
        for frame in frames(np.concatenate((first_phrases(), silence(0.5)))):
            stream.push_frame(frame)
        stream.flush()
        found = await metrics.get()
    assert found.audio_duration == pytest.approx(3.35, abs=0.1)
    assert found.metadata is not None
    assert found.metadata.model_name == "moonshine-base-en"


@pytest.mark.parametrize(("rate_hz", "channels"), [(8_000, 1), (44_100, 2), (48_000, 2)])
async def test_any_rate_and_stereo(engine: MoonshineEngine, rate_hz: int, channels: int) -> None:
    sound = np.concatenate((first_phrases(), silence(0.5)))
    events = await events_of(STT(engine=engine), sound, rate_hz=rate_hz, channels=channels)
    final = next(event for event in events if event.type is Kind.FINAL_TRANSCRIPT)
    assert words(text_of(final)) == FIRST_PHRASES.split()


async def test_vad_endpointing_needs_no_flush(engine: MoonshineEngine) -> None:
    speaker = STT(engine=engine, endpointing="vad", end_silence_s=0.5)
    assert not speaker.capabilities.manual_flush
    async with speaker.stream() as stream:
        for frame in frames(np.concatenate((first_phrases(), silence(1.0)))):
            stream.push_frame(frame)
        events = []
        async for event in stream:
            events.append(event)
            if event.type is Kind.END_OF_SPEECH:
                break
    assert events[-2].type is Kind.FINAL_TRANSCRIPT
    assert words(text_of(events[-2])) == FIRST_PHRASES.split()


async def test_recognize_takes_a_whole_recording(engine: MoonshineEngine) -> None:
    speaker = STT(engine=engine)
    event = await speaker.recognize(list(frames(beckett())))
    assert words(text_of(event)) == LINES.split()
    event = await speaker.recognize(next(frames(silence(1))))
    assert text_of(event) == ""


async def test_a_model_that_is_missing_is_an_api_error(tmp_path: Path) -> None:
    async with MoonshineEngine(model_dir=tmp_path) as engine:
        with pytest.raises(APIError, match="tokenizer") as caught:
            await events_of(STT(engine=engine), first_phrases())
        assert not caught.value.retryable


async def test_an_engine_of_its_own_is_closed_with_it() -> None:
    speaker = STT()
    speaker.prewarm()
    await speaker.aclose()
    with pytest.raises(APIError, match="closed"):
        await speaker.recognize(next(frames(silence(1))))


class Microphone(io.AudioInput):
    """Plays samples in real time, then silence."""

    def __init__(self, samples: Samples) -> None:
        super().__init__(label="microphone")
        self._frames = self._play(samples)

    async def _play(self, samples: Samples) -> AsyncIterator[rtc.AudioFrame]:
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        for count, frame in enumerate(frames(np.concatenate((samples, silence(20))), 16_000)):
            await asyncio.sleep(max(0.0, began_s + count / 100 - loop.time()))
            yield frame

    async def __anext__(self) -> rtc.AudioFrame:
        return await anext(self._frames)


async def test_a_session_hears_a_recording(engine: MoonshineEngine) -> None:
    finals: asyncio.Queue[str] = asyncio.Queue()
    session: AgentSession[Any] = AgentSession(
        stt=STT(engine=engine),
        vad=inference.VAD(min_silence_duration=0.25),
        turn_handling={"turn_detection": inference.TurnDetector(version="v1-mini")},
    )

    @session.on("user_input_transcribed")
    def _(event: UserInputTranscribedEvent) -> None:
        if event.is_final:
            finals.put_nowait(event.transcript)

    session.input.audio = Microphone(np.concatenate((silence(0.5), first_phrases())))
    await session.start(Agent(instructions="Listen."), record=False)
    heard = words(await finals.get())
    await session.aclose()
    assert heard
    assert set(heard) <= set(LINES.split())
