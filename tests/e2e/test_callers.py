"""Callers as they really come: several at once, with odd microphones, twice, or not at all."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import AbstractAsyncContextManager, AsyncExitStack

import pytest
from livekit import api

from bench.caller import MIC_RATE_HZ, Audio, Caller
from tests.e2e.conftest import Rooms, words
from tests.e2e.test_voice import answer_to
from tests.scripted_llm import ScriptedLLM

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(90)]

QUESTION = words("What is the capital of France?")


def join(
    rooms: Rooms,
    room: str,
    identity: str = "caller",
    *,
    mic_rate_hz: int = MIC_RATE_HZ,
    mic_channels: int = 1,
) -> AbstractAsyncContextManager[Caller]:
    stack = rooms.stack
    return Caller.join(
        stack.livekit_url,
        stack.key,
        stack.secret,
        room,
        agent_name=rooms.agent_name,
        identity=identity,
        mic_rate_hz=mic_rate_hz,
        mic_channels=mic_channels,
    )


@pytest.fixture
def room() -> str:
    return f"room-{uuid.uuid4().hex[:8]}"


async def test_of_two_who_speak_at_once_the_caller_is_heard(
    scripted: Rooms, question: Audio, human: Audio, room: str
) -> None:
    async with join(scripted, room) as caller:
        await caller.until_connected()
        async with join(scripted, room, "guest") as guest:
            await guest.until_connected()
            ended_s, _ = await asyncio.gather(caller.speak(question), guest.speak(human))
            await caller.first_audible_after(ended_s)
            await guest.first_audible_after(ended_s)
            await caller.until_silent(1.5)
            transcript = await scripted.settled(caller, 2)
    assert [entry.role for entry in transcript] == ["user", "assistant"]
    assert words(transcript[0].text) == QUESTION


async def test_ten_in_a_room_hear_the_answer_to_one(
    scripted: Rooms, question: Audio, human: Audio, room: str
) -> None:
    async with AsyncExitStack() as owned:
        caller = await owned.enter_async_context(join(scripted, room))
        await caller.until_connected()
        guests = [
            await owned.enter_async_context(join(scripted, room, f"guest-{number}"))
            for number in range(9)
        ]
        await asyncio.gather(*(guest.until_connected() for guest in guests))
        await guests[0].speak(human)
        ended_s = await caller.speak(question)
        await asyncio.gather(*(one.first_audible_after(ended_s) for one in (caller, *guests)))
        await caller.until_silent(1.5)
        transcript = await scripted.settled(caller, 2)
    assert [words(entry.text) for entry in transcript if entry.role == "user"] == [QUESTION]


@pytest.mark.parametrize(("rate_hz", "channels"), [(8000, 1), (48_000, 2)])
async def test_telephones_and_stereo_are_understood(
    scripted: Rooms, question: Audio, room: str, rate_hz: int, channels: int
) -> None:
    async with join(scripted, room, mic_rate_hz=rate_hz, mic_channels=channels) as caller:
        await caller.until_connected()
        await answer_to(caller, question)
        transcript = await scripted.settled(caller, 2)
    assert words(transcript[0].text) == QUESTION


async def test_another_microphone_is_heard_as_the_first_one_was(
    scripted: Rooms, question: Audio, room: str
) -> None:
    async with join(scripted, room) as caller:
        await caller.until_connected()
        await answer_to(caller, question)
        await caller.open_microphone(48_000, 2)
        await caller.until_subscribed()
        await answer_to(caller, question)
        transcript = await scripted.settled(caller, 4)
    assert [entry.role for entry in transcript] == ["user", "assistant"] * 2
    assert words(transcript[2].text) == QUESTION


async def test_who_joins_twice_goes_on_where_they_came_last(
    scripted: Rooms, question: Audio, room: str
) -> None:
    async with join(scripted, room) as first:
        await first.until_connected()
        await answer_to(first, question)
        async with join(scripted, room) as second:
            await first.agent_left.wait()
            await second.until_connected()
            await answer_to(second, question)
            transcript = await scripted.settled(second, 4)
    assert [entry.role for entry in transcript] == ["user", "assistant"] * 2


async def test_who_hangs_up_and_calls_the_same_room_again_is_answered(
    scripted: Rooms, question: Audio, room: str
) -> None:
    async with join(scripted, room) as caller:
        await caller.until_connected()
        await answer_to(caller, question)
    async with join(scripted, room) as caller:
        await caller.until_connected()
        await answer_to(caller, question)


async def test_an_agent_alone_leaves_with_its_room(
    scripted: Rooms, script: ScriptedLLM, question: Audio, room: str
) -> None:
    stack = scripted.stack
    async with api.LiveKitAPI(stack.livekit_url, stack.key, stack.secret) as livekit:
        await livekit.room.create_room(
            api.CreateRoomRequest(
                name=room,
                empty_timeout=2,
                agents=[api.RoomAgentDispatch(agent_name=scripted.agent_name)],
            )
        )
        await scripted.worker.until_said(f"room {room}: nobody came")
        assert not (await livekit.room.list_rooms(api.ListRoomsRequest(names=[room]))).rooms
    async with join(scripted, room) as caller:
        await caller.until_connected()
        await answer_to(caller, question)
