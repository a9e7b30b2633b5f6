from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import soxr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from protocol.errors import SpeechError
from speech.moonshine import MoonshineEngine, Stage, StreamEvent
from speech.moonshine.segments import Cutting, Segmenter, segments
from tests.integration.spoken import (
    FIRST_PHRASES,
    LINES,
    Samples,
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


async def heard(engine: MoonshineEngine, *sounds: Samples) -> list[StreamEvent]:
    """Events of a stream that hears each sound and is flushed after it."""
    async with engine.stream() as stream:
        for sound in sounds:
            for start in range(0, len(sound), 320):
                await stream.push(sound[start : start + 320])
            stream.flush()
        stream.end_input()
        return [event async for event in stream]


def stages(events: Sequence[StreamEvent]) -> list[Stage]:
    """Without interims and earlier pauses: those depend on how busy the machine is."""
    return [event.stage for event in events if event.stage is not Stage.INTERIM]


async def test_a_final_says_what_the_pause_said(engine: MoonshineEngine) -> None:
    events = await heard(engine, np.concatenate((beckett(), silence(0.5))))
    assert events[0].stage is Stage.STARTED
    pause, final = events[-2:]
    assert (pause.stage, final.stage) == (Stage.PAUSED, Stage.FINAL)
    assert pause.text == final.text
    assert words(final.text) == LINES.split()
    assert 0.0 <= final.start_s < 0.5
    assert 8.5 < final.end_s < 9.2


async def test_a_pause_is_told_before_anyone_asks(engine: MoonshineEngine) -> None:
    async with engine.stream() as stream:
        await stream.push(np.concatenate((first_phrases(), silence(0.3))))
        events = []
        async for event in stream:
            events.append(event)
            if event.stage is Stage.PAUSED:
                break
        assert words(events[-1].text) == FIRST_PHRASES.split()
        transcript = await stream.finalise()
        assert transcript.text == events[-1].text
        final = await anext(stream)
        assert (final.stage, final.text) == (Stage.FINAL, transcript.text)


async def test_interims_come_while_someone_speaks(engine: MoonshineEngine) -> None:
    speech = beckett()
    async with engine.stream() as stream:
        place = 0
        while True:
            event = asyncio.create_task(anext(stream))
            while not event.done():
                await stream.push(speech[place : place + 320])
                place = (place + 320) % len(speech)
                await asyncio.wait((event,), timeout=0.02)
            if event.result().stage is Stage.INTERIM:
                assert words(event.result().text)
                break


async def test_each_turn_has_its_own_final(engine: MoonshineEngine) -> None:
    one = np.concatenate((first_phrases(), silence(0.4)))
    events = await heard(engine, one, silence(1), one)
    finals = [event for event in events if event.stage is Stage.FINAL]
    assert [words(final.text) for final in finals] == [
        FIRST_PHRASES.split(),
        [],
        FIRST_PHRASES.split(),
    ]
    assert finals[2].start_s > 4.0
    assert stages(events).count(Stage.STARTED) == 2


async def test_speech_cut_off_by_a_flush_has_a_pause_before_its_final(
    engine: MoonshineEngine,
) -> None:
    events = await heard(engine, first_phrases()[:-8_000])
    assert stages(events)[-2:] == [Stage.PAUSED, Stage.FINAL]
    assert events[-2].text == events[-1].text != ""


async def test_speech_after_a_pause_belongs_to_the_same_turn(engine: MoonshineEngine) -> None:
    events = await heard(
        engine, np.concatenate((first_phrases(), silence(2.5), first_phrases(), silence(0.3)))
    )
    assert words(events[-1].text) == FIRST_PHRASES.split() * 2
    assert [stage for stage in stages(events) if stage is Stage.FINAL] == [Stage.FINAL]


async def test_a_stream_may_end_its_turns_itself(engine: MoonshineEngine) -> None:
    async with engine.stream(end_silence_s=0.6) as stream:
        await stream.push(np.concatenate((first_phrases(), silence(0.7))))
        events = []
        async for event in stream:
            events.append(event)
            if event.stage is Stage.FINAL:
                break
    assert stages(events)[-2:] == [Stage.PAUSED, Stage.FINAL]
    assert words(events[-1].text) == FIRST_PHRASES.split()


@pytest.mark.parametrize("sound", [silence(5), white_noise(5), breath(6)], ids=str)
async def test_what_is_not_speech_costs_no_decoding(tmp_path: Path, sound: Samples) -> None:
    async with MoonshineEngine(model_dir=tmp_path / "nothing that could decode") as engine:
        events = await heard(engine, sound)
    assert events == [StreamEvent(Stage.FINAL)]


async def test_music_gives_no_text(engine: MoonshineEngine) -> None:
    events = await heard(engine, music(8))
    assert "".join(event.text for event in events) == ""
    assert events[-1].stage is Stage.FINAL


async def test_a_broken_model_ends_the_stream_with_its_error(tmp_path: Path) -> None:
    async with MoonshineEngine(model_dir=tmp_path) as engine, engine.stream() as stream:
        await stream.push(first_phrases()[:8_000])
        with pytest.raises(SpeechError, match=r"tokenizer\.bin"):
            await stream.finalise()
        with pytest.raises(SpeechError, match=r"tokenizer\.bin"):
            async for _ in stream:
                pass


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate_hz", [8_000, 16_000, 44_100, 48_000])
async def test_any_rate_mono_or_stereo(
    engine: MoonshineEngine, rate_hz: int, channels: int
) -> None:
    sound = np.concatenate((first_phrases(), silence(0.5)))
    frames = np.repeat(soxr.resample(sound, 16_000, rate_hz)[:, None], channels, axis=1)
    whole = (frames * 32767).astype(np.int16)
    async with engine.stream(sample_rate_hz=rate_hz, channels=channels) as stream:
        step = rate_hz // 50
        for start in range(0, len(whole), step):
            await stream.push(whole[start : start + step])
        transcript = await stream.finalise()
    assert words(transcript.text) == FIRST_PHRASES.split()


@pytest.mark.parametrize(
    "samples",
    [
        np.array([np.nan], dtype=np.float32),
        np.zeros((10, 3), dtype=np.float32),
        np.zeros(10, dtype=np.float64),
        np.zeros((1, 2, 3), dtype=np.int16),
    ],
)
async def test_what_is_not_audio_is_refused(engine: MoonshineEngine, samples: np.ndarray) -> None:
    async with engine.stream() as stream:
        with pytest.raises(SpeechError) as caught:
            await stream.push(samples)
        assert caught.value.code == "audio_invalid"


async def test_a_format_out_of_range_is_refused(engine: MoonshineEngine) -> None:
    for rate_hz, channels in ((0, 1), (10**7, 1), (16_000, 0), (16_000, 99)):
        with pytest.raises(SpeechError):
            engine.stream(sample_rate_hz=rate_hz, channels=channels)


async def test_closing_in_the_middle_leaves_nothing_running(engine: MoonshineEngine) -> None:
    stream = engine.stream()
    await stream.push(np.concatenate((beckett(), silence(0.2))))
    final = asyncio.create_task(stream.finalise())
    await asyncio.sleep(0)
    await stream.aclose()
    with pytest.raises(SpeechError, match="closed"):
        await final
    with pytest.raises(SpeechError, match="ended"):
        await stream.push(silence(1))
    await stream.aclose()


async def test_speech_without_a_pause_is_cut_into_bounded_pieces() -> None:
    no_pause = np.tile(first_phrases()[: int(2.8 * 16_000)], 30)
    cutting = Cutting(pause_s=9.0, gap_s=9.0)
    found = segments(no_pause, cutting)
    assert len(found) >= 5
    assert max(len(segment.samples) for segment in found) <= cutting.hard_s * 16_000
    for before, after in pairwise(found):
        assert before.place.stop_samples == after.place.start_samples


async def test_minutes_of_silence_keep_nothing() -> None:
    segmenter = Segmenter()
    minute = silence(60)
    for _ in range(3):
        assert segmenter.push(minute) == []
    assert not segmenter.open


async def test_a_minute_of_speech_in_one_push(engine: MoonshineEngine) -> None:
    rounds = 6
    events = await heard(engine, np.tile(beckett(), rounds))
    found = words(events[-1].text)
    assert len(found) == pytest.approx(rounds * len(LINES.split()), rel=0.1)
    assert [event.stage for event in events].count(Stage.FINAL) == 1


PIECES = {"speech": first_phrases(), "silence": silence(0.7), "noise": white_noise(0.5)}


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    script=st.lists(st.sampled_from([*PIECES, "flush"]), max_size=7),
    step=st.sampled_from([37, 160, 320, 4_001, 100_000]),
)
def test_any_course_of_events_keeps_the_order(
    engine: MoonshineEngine, script: list[str], step: int
) -> None:
    async def run() -> list[StreamEvent]:
        async with engine.stream() as stream:
            for action in script:
                if action == "flush":
                    stream.flush()
                    continue
                sound = PIECES[action]
                for start in range(0, len(sound), step):
                    await stream.push(sound[start : start + step])
            stream.flush()
            stream.end_input()
            return [event async for event in stream]

    events = asyncio.run(run())
    assert [event.stage for event in events].count(Stage.FINAL) == script.count("flush") + 1
    before: list[StreamEvent] = []
    for event in events:
        if event.stage is Stage.FINAL:
            if event.text:
                assert [before[0].stage, before[-1].stage] == [Stage.STARTED, Stage.PAUSED]
                assert before[-1].text == event.text
            before = []
        else:
            before.append(event)
