from __future__ import annotations

from collections.abc import AsyncIterator
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest

from speech.moonshine import MoonshineEngine, Stage, read_recording

RECORDING = Path(
    str(distribution("moonshine-cpp").locate_file("moonshine_cpp/test-data/beckett.wav"))
)
WORDS = [
    "ever",
    "tried",
    "ever",
    "failed",
    "no",
    "matter",
    "try",
    "again",
    "fail",
    "again",
    "fail",
    "better",
]


def words(text: str) -> list[str]:
    return "".join(c for c in text.lower() if c.isalpha() or c == " ").split()


@pytest.fixture
async def engine() -> AsyncIterator[MoonshineEngine]:
    async with MoonshineEngine() as engine:
        yield engine


async def test_a_recording_is_written_down(engine: MoonshineEngine) -> None:
    transcript = await engine.transcribe(read_recording(RECORDING))
    assert words(transcript.text) == WORDS


async def test_a_stream_gives_interims_and_a_final_equal_to_the_pause(
    engine: MoonshineEngine,
) -> None:
    audio = np.concatenate((read_recording(RECORDING), np.zeros(8_000, dtype=np.float32)))
    async with engine.stream() as stream:
        for start in range(0, len(audio), 320):
            await stream.push(audio[start : start + 320])
        stream.flush()
        stream.end_input()
        events = [event async for event in stream]
    assert events[0].stage is Stage.STARTED
    final, pause = events[-1], events[-2]
    assert (final.stage, pause.stage) == (Stage.FINAL, Stage.PAUSED)
    assert final.text == pause.text
    assert words(final.text) == WORDS
