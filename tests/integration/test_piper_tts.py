"""The LiveKit plugin with the real voice."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from livekit.agents import APIConnectOptions, APIError, tts
from livekit.agents.types import USERDATA_TIMED_TRANSCRIPT

from plugins.piper_tts import TTS
from speech.piper import PiperEngine
from speech.text import Lexicon
from speech.tts.piper import PiperTTS


@pytest.fixture(scope="module")
def engine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PiperEngine]:
    engine = PiperEngine(threads=2, cache_dir=tmp_path_factory.mktemp("piper"))
    yield engine
    asyncio.run(engine.aclose())


@pytest.fixture
def piper(engine: PiperEngine) -> TTS:
    return TTS(engine=engine)


async def _speak(piper: TTS, tokens: list[str]) -> list[tts.SynthesizedAudio]:
    async with piper.stream() as stream:
        for token in tokens:
            stream.push_text(token)
        stream.end_input()
        return [event async for event in stream]


def _transcript(events: list[tts.SynthesizedAudio]) -> list[str]:
    return [word for event in events for word in event.frame.userdata[USERDATA_TIMED_TRANSCRIPT]]


async def test_frames_have_4096_bytes_and_no_text_is_lost(piper: TTS) -> None:
    text = " Hi there, Bob! How are you? It was 3.5 km of the road…\n\nThe end.  "
    events = await _speak(piper, [text[at : at + 3] for at in range(0, len(text), 3)])
    sizes = [event.frame.data.nbytes for event in events]
    assert set(sizes[:-1]) == {4096}
    assert sizes[-1] < 4096
    assert [event.is_final for event in events].index(True) == len(events) - 1
    words = _transcript(events)
    assert "".join(words) == text
    starts = [word.start_time for word in words]  # type: ignore[attr-defined]
    assert starts == sorted(starts)


async def test_text_without_sound_gives_silence_not_an_error(piper: TTS) -> None:
    events = await _speak(piper, ["…"])
    assert "".join(_transcript(events)) == "…"
    assert not any(bytes(event.frame.data).strip(b"\0") for event in events)


async def test_the_whole_text_at_once(piper: TTS) -> None:
    async with piper.synthesize("One. Two, three.") as stream:
        events = [event async for event in stream]
    assert "".join(_transcript(events)) == "One. Two, three."


async def test_closing_in_the_middle(piper: TTS) -> None:
    stream = piper.stream()
    stream.push_text("A sentence that goes on and on. " * 50)
    await anext(stream)
    await stream.aclose()
    assert await _speak(piper, ["It still speaks."])


async def test_errors_become_api_errors_that_say_whether_to_retry(piper: TTS) -> None:
    piper.update_options(speaker="nobody")
    stream = piper.stream(conn_options=APIConnectOptions(max_retry=0))
    stream.push_text("This speaker is not there.")
    stream.end_input()
    with pytest.raises(APIError, match="no speaker") as caught:
        await anext(stream)
    assert not caught.value.retryable
    await stream.aclose()


async def test_the_pronunciation_dictionary_is_heard(tmp_path: Path) -> None:
    lexicon = Lexicon.parse(["hush =", "ok = all of this is said instead"])
    engine = PiperEngine(threads=2, cache_dir=tmp_path, lexicon=lexicon)
    async with engine:
        plain = await _speak(TTS(engine=engine), ["Yes."])
        long = await _speak(TTS(engine=engine), ["OK."])
        silent = await _speak(TTS(engine=engine), ["Hush."])
        whole = await engine.synthesize("Hush.")
    duration_s = [sum(event.frame.duration for event in events) for events in (plain, long)]
    assert duration_s[1] > duration_s[0] + 0.5
    assert "".join(_transcript(long)) == "OK."
    assert not any(bytes(event.frame.data).strip(b"\0") for event in silent)
    assert whole.samples.size == 0


async def test_sentences_of_a_door_are_a_pause_apart(engine: PiperEngine) -> None:
    door = PiperTTS(engine, sentence_pause_s=0.3)
    sentence = await door.synthesize('"So it is."')
    tail = sentence.samples[-round(0.3 * sentence.sample_rate_hz) :]
    assert not tail.any()
    clause = await door.synthesize("So it is,")
    assert np.abs(clause.samples[-round(0.1 * clause.sample_rate_hz) :]).max() > 0
