from __future__ import annotations

import asyncio
import contextlib
import io
from collections.abc import Iterator

import numpy as np
import pytest
import soundfile
import soxr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.errors import SpeechError
from speech.moonshine import MoonshineEngine, read_recording
from speech.moonshine.decoding import Abort, Aborted
from tests.integration.spoken import (
    LINES,
    RECORDING,
    beckett,
    breath,
    first_phrases,
    music,
    silence,
    white_noise,
    words,
)


@pytest.fixture(scope="module")
def engine() -> Iterator[MoonshineEngine]:
    engine = MoonshineEngine()
    engine.load()
    yield engine
    asyncio.run(engine.aclose())


async def test_a_recording_is_written_down(engine: MoonshineEngine) -> None:
    transcript = await engine.transcribe(beckett())
    assert words(transcript.text) == LINES.split()
    assert transcript.duration_s == pytest.approx(len(beckett()) / 16_000)
    assert transcript.confidence > 0.7


@pytest.mark.parametrize("sound", [silence(5), white_noise(5), breath(6), music(6), silence(0)])
async def test_what_is_not_speech_gives_no_text(engine: MoonshineEngine, sound: np.ndarray) -> None:
    transcript = await engine.transcribe(sound)
    assert (transcript.text, transcript.tokens) == ("", ())


async def test_music_that_passes_for_voice_gives_no_text(engine: MoonshineEngine) -> None:
    text, _ = await engine.decode(music(6))
    assert text == ""


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_the_tokens_are_the_same_whatever_the_draft(
    engine: MoonshineEngine, data: st.DataObject
) -> None:
    samples = first_phrases()

    async def tokens(draft: tuple[int, ...]) -> tuple[int, ...]:
        return (await engine.transcribe(samples, draft=draft)).tokens

    greedy = asyncio.run(tokens(()))
    right = data.draw(st.integers(0, len(greedy)))
    wrong = data.draw(st.lists(st.integers(3, 31_999), max_size=40))
    assert asyncio.run(tokens((*greedy[:right], *wrong))) == greedy


async def test_a_right_draft_is_taken_whole(engine: MoonshineEngine) -> None:
    _, greedy = await engine.decode(first_phrases())
    _, verified = await engine.decode(first_phrases(), draft=greedy.tokens)
    assert verified.drafted == len(greedy.tokens)
    assert (greedy.drafted, verified.tokens) == (0, greedy.tokens)
    assert verified.confidence == pytest.approx(greedy.confidence, rel=1e-3)


async def test_a_stopped_decode_leaves_its_tokens_as_a_draft(engine: MoonshineEngine) -> None:
    decoder, _ = engine._model()
    abort = Abort()

    class StopsAtThree(list[int]):
        def __setitem__(self, place: object, tokens: object) -> None:
            super().__setitem__(place, tokens)  # type: ignore[call-overload] # slices only
            if len(self) == 3:
                abort.request()

    progress = StopsAtThree()
    with pytest.raises(Aborted):
        decoder.decode(first_phrases(), progress=progress, abort=abort)
    greedy = decoder.decode(first_phrases())
    assert tuple(progress) == greedy.tokens[:3]
    drafted = decoder.decode(first_phrases(), draft=progress)
    assert (drafted.tokens, drafted.drafted) == (greedy.tokens, 3)


async def test_a_final_stops_an_interim(engine: MoonshineEngine) -> None:
    interim = asyncio.create_task(engine.decode_interim(np.tile(beckett(), 3)))
    await asyncio.sleep(0)
    assert engine.busy
    text, _ = await engine.decode(first_phrases())
    assert text
    assert await interim is None


async def test_an_interim_is_refused_while_a_final_runs(engine: MoonshineEngine) -> None:
    final = asyncio.create_task(engine.decode(first_phrases()))
    await asyncio.sleep(0)
    assert await engine.decode_interim(first_phrases()) is None
    assert (await final)[0]
    assert await engine.decode_interim(first_phrases()) is not None


async def test_a_cancelled_decode_leaves_the_engine_usable(engine: MoonshineEngine) -> None:
    decode = asyncio.create_task(engine.decode(np.tile(beckett(), 3)))
    await asyncio.sleep(0)
    decode.cancel()
    with pytest.raises(asyncio.CancelledError):
        await decode
    assert not engine.busy
    assert (await engine.decode(first_phrases()))[0]


async def test_a_closed_engine_says_so() -> None:
    engine = MoonshineEngine()
    await engine.aclose()
    await engine.aclose()
    with pytest.raises(SpeechError, match="closed"):
        await engine.transcribe(first_phrases())


@pytest.mark.parametrize(
    "samples",
    [
        np.array([0.0, np.nan], dtype=np.float32),
        np.array([np.inf], dtype=np.float32),
        np.zeros(100, dtype=np.int16),
        np.zeros((2, 100), dtype=np.float32),
    ],
)
async def test_what_is_not_audio_is_refused(engine: MoonshineEngine, samples: np.ndarray) -> None:
    with pytest.raises(SpeechError) as caught:
        await engine.transcribe(samples)
    assert caught.value.code == "audio_invalid"


@given(st.binary(max_size=200) | st.integers(0, 43).map(lambda n: RECORDING.read_bytes()[:n]))
def test_a_file_that_is_no_recording_is_refused_clearly(content: bytes) -> None:
    with pytest.raises(SpeechError) as caught:
        read_recording(io.BytesIO(content))
    assert caught.value.code == "audio_invalid"


@given(st.integers(44, 4_000), st.integers(12, 43), st.integers(0, 255))
def test_a_damaged_recording_is_read_or_refused(length: int, place: int, value: int) -> None:
    content = bytearray(RECORDING.read_bytes()[:length])
    content[place] = value
    with contextlib.suppress(SpeechError):
        assert np.isfinite(read_recording(bytes(content))).all()


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000])
async def test_a_file_of_any_rate_and_channels_is_read(
    engine: MoonshineEngine, rate_hz: int
) -> None:
    file = io.BytesIO()
    other = soxr.resample(beckett(), 16_000, rate_hz)
    soundfile.write(file, np.stack((other, other), axis=1), rate_hz, format="WAV")
    file.seek(0)
    transcript = await engine.transcribe(read_recording(file))
    assert words(transcript.text) == LINES.split()
