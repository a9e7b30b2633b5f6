"""What a call's voice leaves behind in the process."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest
from livekit import api, rtc

from agent_worker.room_voice import RoomVoice
from tests.integration.test_sip import KEY, SECRET, livekit


def source_threads() -> int:
    """Of LiveKit's native library, each for one source of sound."""
    names = (path.read_text() for path in Path("/proc/self/task").glob("*/comm"))
    return sum(name.startswith("AudioSource") for name in names)


@pytest.mark.skipif(sys.platform != "linux", reason="threads are counted in /proc")
async def test_a_voice_that_is_closed_leaves_no_thread(tmp_path: Path) -> None:
    token = api.AccessToken(KEY, SECRET).with_identity("agent")
    ticket = token.with_grants(api.VideoGrants(room_join=True, room="kitchen")).to_jwt()
    with livekit(tmp_path, None) as url:
        before = source_threads()
        # What holds the tracks lives until Python collects it.
        kept: list[rtc.Track | None] = []
        for _ in range(2):
            room = rtc.Room()
            await room.connect(url, ticket)
            voice = await RoomVoice.published_in(room)
            (publication,) = room.local_participant.track_publications.values()
            kept.append(publication.track)
            assert source_threads() == before + 1
            await voice.aclose()
            while source_threads() > before:  # noqa: ASYNC110 - the thread tells nobody
                await asyncio.sleep(0.02)
            await room.disconnect()
        assert all(kept)
