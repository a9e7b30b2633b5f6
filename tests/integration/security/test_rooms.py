"""Tokens for rooms: each key has rooms of its own, and a token opens one of them for a while."""

from __future__ import annotations

from typing import Any

import httpx
import jwt
import pytest

from tests.integration.security.callers import caller_with, closed_backend, new_key

LIVEKIT = {
    "livekit_url": "ws://127.0.0.1:9",
    "livekit_api_key": "APIkey",
    "livekit_api_secret": "s" * 40,
    "token_ttl_s": 60,
}


async def claims(client: httpx.AsyncClient, **asked: Any) -> dict[str, Any]:
    answer = await client.post("/api/token", json=asked)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = jwt.decode(
        answer.json()["participant_token"], "s" * 40, algorithms=["HS256"], issuer="APIkey"
    )
    return found


async def test_a_room_of_one_name_is_another_for_another_key() -> None:
    async with closed_backend(**LIVEKIT) as backend:
        key_id, text = await new_key(backend, "talk")
        backend.client.headers["Authorization"] = f"Bearer {text}"
        async with caller_with(backend, "talk") as other, caller_with(backend, "admin") as admin:
            mine = await claims(backend.client, room_name="kitchen")
            again = await claims(backend.client, room_name="kitchen")
            theirs = await claims(other, room_name="kitchen")
            guessed = await claims(other, room_name=f"{key_id}.kitchen")
            operators = await claims(admin, room_name=f"{key_id}.kitchen")
        assert mine["video"]["room"] == again["video"]["room"] == f"{key_id}.kitchen"
        assert len({each["video"]["room"] for each in (mine, theirs, guessed)}) == 3
        assert operators["video"]["room"] == mine["video"]["room"]


async def test_a_token_grants_the_least_and_runs_out() -> None:
    async with closed_backend(**LIVEKIT) as backend, caller_with(backend, "talk") as client:
        found = await claims(client)
        assert found["exp"] - found["nbf"] == 60
        room = found["video"].pop("room")
        assert len(room.rpartition("room-")[2]) == 32
        assert found["video"] == {
            "roomJoin": True,
            "canPublish": True,
            "canPublishSources": ["microphone"],
            "canPublishData": True,
            "canSubscribe": True,
        }
        assert {"sip", "roomConfig", "sha256"}.isdisjoint(found)


@pytest.mark.parametrize(
    "asked",
    [
        {"grants": {"roomAdmin": True}},
        {"video": {"roomRecord": True}},
        {"ttl": 10**9},
        {"room_config": {"egress": {"room": {"file_outputs": [{"filepath": "/x"}]}}}},
        {"room_config": {"name": "other"}},
        {"room_name": "a\r\nb"},
        {"room_name": "r" * 300},
    ],
)
async def test_a_caller_cannot_ask_for_more(asked: dict[str, Any]) -> None:
    async with closed_backend(**LIVEKIT) as backend, caller_with(backend, "talk") as client:
        assert (await client.post("/api/token", json=asked)).status_code == 422


async def test_an_edit_key_opens_no_room() -> None:
    async with closed_backend(**LIVEKIT) as backend, caller_with(backend, "edit") as client:
        assert (await client.post("/api/token", json={})).status_code == 403
