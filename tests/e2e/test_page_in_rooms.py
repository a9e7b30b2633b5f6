"""The page's calls through a LiveKit room, in a real browser."""

from __future__ import annotations

import json
import secrets
from datetime import timedelta
from pathlib import Path

import pytest
from livekit import api

from bench.local_stack import LocalStack
from flow_backend.api.errors import error_response
from protocol.errors import AccessError
from tests.e2e.browser import (
    NUMBERS,
    RECORDED,
    assert_light,
    assert_typed_without_microphone,
    from_afar,
    named,
    needs_browser,
    scripted_by,
    see,
)
from tests.e2e.conftest import Rooms, words
from tests.scripted_llm import ScriptedLLM

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_browser]


async def test_a_spoken_conversation_in_a_room(scripted: Rooms, spoken: Path) -> None:
    # The page's way in is TokenSource.endpoint with POST /api/token.
    found = await see("talk_livekit", scripted.backend.url, spoken)
    assert len(RECORDED & set(words(found["user"]))) >= 2
    assert found["peak"] > 0.03
    assert found["bars"] == 7
    assert "talk" in found["visited"][0]


async def test_the_voice_stops_in_a_room_when_asked(
    scripted: Rooms, script: ScriptedLLM, quiet: Path
) -> None:
    script.answer = NUMBERS
    found = await see("interrupt_livekit", scripted.backend.url, quiet)
    assert found["silentAfterMs"] < 1000
    assert "were heard" in found["mark"]
    assert any("livekit" in name for name in found["scripts"])
    assert_light(found["scripts"])
    assert found["grown"] >= 4
    assert "20" not in words(found["text"])


async def test_a_full_server_is_asked_again(scripted: Rooms, quiet: Path) -> None:
    refusal = error_response(AccessError("overloaded", "All places are taken.", retry_after_s=2.0))
    answer = {
        "status": refusal.status_code,
        "headers": dict(refusal.headers),
        "body": bytes(refusal.body).decode(),
    }
    assert answer["status"] == 503
    assert refusal.headers["Retry-After"] == "2"
    found = await see("full_livekit", scripted.backend.url, quiet, given=json.dumps(answer))
    assert "All places are taken" in found["words"]


async def test_a_room_that_is_deleted_ends_the_call(scripted: Rooms, quiet: Path) -> None:
    stack = scripted.stack

    async def delete(room: str) -> None:
        async with api.LiveKitAPI(stack.livekit_url, stack.key, stack.secret) as livekit:
            await livekit.room.delete_room(api.DeleteRoomRequest(room=room))

    found = await see("deleted", scripted.backend.url, quiet, {"delete": delete})
    assert "other side has ended the call" in found["words"]


def _ticket(rooms: Rooms, room: str, ttl_s: int = 60, **grants: bool) -> str:
    """What `POST /api/token` might answer."""
    token = (
        api.AccessToken(rooms.stack.key, rooms.stack.secret)
        .with_identity(f"caller-{secrets.token_hex(4)}")
        .with_ttl(timedelta(seconds=ttl_s))
        .with_grants(api.VideoGrants(room=room, **{"room_join": True, **grants}))
    )
    return json.dumps({"server_url": rooms.stack.livekit_url, "participant_token": token.to_jwt()})


@pytest.mark.parametrize(
    ("ttl_s", "grants", "code", "ended"),
    [
        (-3600, {}, "token_rejected", True),
        (60, {"room_join": False}, "token_rejected", True),
        (60, {"can_publish": False}, "may_not_speak", False),
        (60, {"can_subscribe": False}, "may_not_hear", False),
    ],
    ids=["expired", "no room", "no microphone", "no ears"],
)
async def test_a_bad_ticket_is_named(
    scripted: Rooms, quiet: Path, ttl_s: int, grants: dict[str, bool], code: str, ended: bool
) -> None:
    ticket = _ticket(scripted, f"room-{secrets.token_hex(4)}", ttl_s, **grants)
    found = await see("ticket", scripted.backend.url, quiet, given=ticket)
    assert found["code"] == code
    assert found["again"] == ended


async def test_over_plain_http_from_another_machine_one_can_type_in_a_room(
    scripted: Rooms, script: ScriptedLLM
) -> None:
    settings = from_afar()
    public = {"LIVEKIT_PUBLIC_URL": named(scripted.stack.livekit_url), "AGENT_NAME": "scripted"}
    backend = await scripted.stack.backend({**scripted_by(script), **settings, **public})
    try:
        key = settings["PARLEY_API_KEY"]
        assert_typed_without_microphone(await see("lan_livekit", named(backend.url), given=key))
    finally:
        await backend.process.stop()


async def test_axe_finds_nothing_serious_in_a_room(scripted: Rooms, quiet: Path) -> None:
    assert (await see("accessible_room", scripted.backend.url, quiet))["found"] == []


@pytest.mark.slow
async def test_a_laptop_that_slept_calls_anew(
    script: ScriptedLLM, quiet: Path, local_stack: LocalStack
) -> None:
    """Asleep while LiveKit is restarted: its rooms are gone with it."""
    async with LocalStack.run(llm=False) as stack:
        backend = await stack.backend(
            {**scripted_by(script), "LIVEKIT_URL": stack.livekit_url, "AGENT_NAME": "sleeper"}
        )
        worker = await stack.worker(backend.url, agent_name="sleeper")
        livekit = stack.processes[0]

        async def stop() -> None:
            await livekit.stop()

        async def start() -> None:
            await livekit.start(f"http{stack.livekit_url.removeprefix('ws')}")
            await worker.until_said("registered worker", times=2)

        await see("asleep_livekit", backend.url, quiet, {"stop": stop, "start": start})
