"""The agent's voice: what the track plays is what was said, whatever pauses come."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from livekit import rtc
from livekit.agents.voice.io import PlaybackFinishedEvent, PlaybackProgressedEvent

from agent_worker.room_voice import RATE_HZ, RoomVoice
from tests.room_track import RoomTrack

PAUSE_S = 0.1


@asynccontextmanager
async def voice_into(track: RoomTrack) -> AsyncIterator[RoomVoice]:
    voice = RoomVoice(track)  # type: ignore[arg-type]
    voice.start()
    try:
        yield voice
    finally:
        await voice.aclose()


def sound(seconds: float) -> np.ndarray[Any, np.dtype[np.int16]]:
    return np.arange(round(seconds * RATE_HZ), dtype=np.int64).astype(np.int16)


async def say(voice: RoomVoice, samples: np.ndarray[Any, np.dtype[np.int16]]) -> None:
    for start in range(0, len(samples), 2048):
        piece = samples[start : start + 2048]
        await voice.capture_frame(rtc.AudioFrame(piece.tobytes(), RATE_HZ, 1, len(piece)))


async def when_played(track: RoomTrack, samples: int) -> None:
    while True:
        if len(track.played) - track.queued_duration * RATE_HZ >= samples:
            return
        await asyncio.sleep(0.005)


async def test_a_segment_is_played_to_its_end() -> None:
    track = RoomTrack()
    async with voice_into(track) as voice:
        for _ in range(2):
            await say(voice, sound(0.3))
            voice.flush()
            ended = await voice.wait_for_playout()
            assert ended == PlaybackFinishedEvent(playback_position=0.3, interrupted=False)
    assert np.array_equal(track.played, np.concatenate([sound(0.3), sound(0.3)]))


@pytest.mark.parametrize("flushed", [True, False])
async def test_a_pause_loses_nothing_and_repeats_at_most_what_was_not_heard(flushed: bool) -> None:
    track = RoomTrack()
    runs: list[PlaybackProgressedEvent] = []
    async with voice_into(track) as voice:
        voice.on("playback_progressed", runs.append)
        await say(voice, sound(0.6))
        if flushed:
            voice.flush()
        for samples in (2000, 7000, 12_000):
            await when_played(track, samples)
            voice.pause()
            await asyncio.sleep(0)
            assert track.queued_duration == 0
            assert runs[-1].started_at + runs[-1].duration < time.time() + 0.01
            await asyncio.sleep(PAUSE_S)
            voice.resume()
        voice.flush()
        ended = await voice.wait_for_playout()
    assert ended.playback_position == pytest.approx(0.6)
    assert np.array_equal(track.played, sound(0.6))
    ends = [0.0] + [run.offset + run.duration for run in runs]
    assert [run.offset for run in runs] == pytest.approx(ends[:-1])
    assert ends[-1] == pytest.approx(0.6)
    paused_s = runs[-1].started_at + runs[-1].duration - runs[0].started_at - 0.6
    assert paused_s > 2.5 * PAUSE_S


@pytest.mark.parametrize("paused", [True, False])
async def test_an_interruption_tells_how_much_was_played(paused: bool) -> None:
    track = RoomTrack()
    async with voice_into(track) as voice:
        await say(voice, sound(1.0))
        await when_played(track, 6000)
        if paused:
            voice.pause()
        voice.flush()
        voice.clear_buffer()
        ended = await voice.wait_for_playout()
        if paused:
            voice.resume()
        assert ended.interrupted
        assert ended.playback_position == len(track.played) / RATE_HZ
        assert 6000 <= len(track.played) < 12_000
        await say(voice, sound(0.1))
        voice.flush()
        assert await voice.wait_for_playout() == PlaybackFinishedEvent(0.1, interrupted=False)


async def test_a_segment_cleared_before_its_end_is_told_takes_no_more_sound() -> None:
    track = RoomTrack()
    async with voice_into(track) as voice:
        await say(voice, sound(0.5))
        await when_played(track, 1000)
        voice.clear_buffer()
        await say(voice, sound(0.5))
        voice.flush()
        ended = await voice.wait_for_playout()
    assert ended.interrupted
    assert len(track.played) < 12_000
