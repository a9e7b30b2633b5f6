"""Rooms that are over leave nothing in LiveKit's native library."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from livekit import api, rtc
from livekit.agents import JobContext

from agent_worker.interruption import offer_interruption
from agent_worker.room_end import close_room
from protocol import leaving
from protocol.heap import heap
from tests.sip_stack import KEY, SECRET, livekit

ROOT = Path(__file__).parents[2]
MODULE = "tests.e2e.test_rooms_let_go"
ROOMS = 12
WITHIN_S = 30.0


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc tells what is in use")
@pytest.mark.parametrize("ending", ["closed", "left"])
@pytest.mark.timeout(180)
async def test_a_room_that_is_over_leaves_nothing(tmp_path: Path, ending: str) -> None:
    with livekit(tmp_path, None) as url:
        agent = await asyncio.create_subprocess_exec(
            sys.executable, "-m", MODULE, url, ending, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        assert agent.stdout is not None
        used: list[int] = []
        for number in range(ROOMS):
            async with asyncio.timeout(WITHIN_S):
                assert await agent.stdout.readline() == b"joined\n"
                async with _speaking(url, number) as caller:
                    assert await agent.stdout.readline() == b"heard\n"
                    if ending == "left":
                        await caller.disconnect()
                    used.append(int(await agent.stdout.readline()))
        assert await agent.wait() == 0
    # Half a megabyte stayed of each; the first rooms load what is used by all.
    assert used[-1] - used[3] < (ROOMS - 4) * 200_000, [n // 1000 for n in used]


def _ticket(identity: str, number: int) -> str:
    grants = api.VideoGrants(room_join=True, room_admin=True, room=f"room-{number}")
    return api.AccessToken(KEY, SECRET).with_identity(identity).with_grants(grants).to_jwt()


@asynccontextmanager
async def _speaking(url: str, number: int) -> AsyncIterator[rtc.Room]:
    """A caller in a room, whose microphone is on."""
    room, source = rtc.Room(), rtc.AudioSource(48_000, 1)
    await room.connect(url, _ticket("caller", number))
    await room.local_participant.publish_track(
        rtc.LocalAudioTrack.create_audio_track("microphone", source),
        rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE),
    )

    async def run() -> None:
        while True:
            await source.capture_frame(rtc.AudioFrame.create(48_000, 1, 480))

    microphone = asyncio.create_task(run())
    try:
        yield room
    finally:
        microphone.cancel()
        await asyncio.wait([microphone])
        await room.disconnect()


async def _agent(url: str, ending: str) -> int:
    """Is in one room after the other, as a call is."""
    async with api.LiveKitAPI(url.replace("ws", "http", 1), KEY, SECRET) as livekit_api:
        for number in range(ROOMS):
            await _call(url, number, ending, livekit_api)
            gc.collect()
            sys.stdout.write(f"{heap().used}\n")
            sys.stdout.flush()
    return 0


async def _call(url: str, number: int, ending: str, livekit_api: api.LiveKitAPI) -> None:
    room, at_end = rtc.Room(), cast("list[Callable[[], Awaitable[None]]]", [])
    subscribed = asyncio.get_running_loop().create_future()
    over = asyncio.Event()
    room.on("track_subscribed", lambda track, *_: subscribed.set_result(track))
    room.on("participant_disconnected", lambda *_: over.set())
    await room.connect(url, _ticket("agent", number))

    async def delete_room() -> None:
        await livekit_api.room.delete_room(api.DeleteRoomRequest(room=room.name))

    job: Any = SimpleNamespace(
        room=room, api=livekit_api, delete_room=delete_room, add_shutdown_callback=at_end.append
    )
    offer_interruption(cast("JobContext", job), cast(Any, None), "caller")
    sys.stdout.write("joined\n")
    sys.stdout.flush()
    sound = rtc.AudioStream(await subscribed)
    for _ in range(10):
        await anext(sound)
    sys.stdout.write("heard\n")
    sys.stdout.flush()
    if ending == "closed":
        await close_room(cast("JobContext", job))
    await over.wait()
    await sound.aclose()
    await room.disconnect()
    for withdraw in at_end:
        await withdraw()


if __name__ == "__main__":
    leaving.run(lambda: asyncio.run(_agent(*sys.argv[1:])))
