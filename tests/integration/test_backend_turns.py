"""Turns over real sockets, with a scripted model."""

from __future__ import annotations

import json

import httpx
from httpx_sse import aconnect_sse

from flow_backend.llm.scripted import Reply
from tests.integration.backend_server import serve_backend


async def events_of(client: httpx.AsyncClient, url: str, **params: str) -> list[dict[str, object]]:
    async with aconnect_sse(client, "GET", url, params=params) as source:
        assert source.response.status_code == 200, await source.response.aread()
        return [json.loads(event.data) async for event in source.aiter_sse()]


async def test_speaks_with_the_default_flow() -> None:
    async with serve_backend([Reply(say=["Hello", " there", "."], times=None)]) as backend:
        events = await events_of(
            backend.client, "/api/flows/default/stream/room-1", input="hi", turn_id="t1"
        )
    assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
    assert [e["content"] for e in events if e["type"] == "token"] == ["Hello", " there", "."]
    assert events[-1]["type"] == "done"
    assert events[-1]["content"] == "Hello there."
    assert events[-1]["ended"] is False
