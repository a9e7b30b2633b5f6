"""A backend on a free port, in this process, with the models that a test gives it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from httpx_sse import aconnect_sse

from flow_backend.app import create_app
from flow_backend.llm.base import LLMProvider
from flow_backend.llm.scripted import Reply, ScriptedProvider
from flow_backend.server import SERVER_OPTIONS
from flow_backend.settings import BackendSettings


class OneModel:
    """Gives the same provider under every name."""

    def __init__(self, provider: LLMProvider) -> None:
        self.provider = provider

    async def get(self, reference: str = "default") -> LLMProvider:
        return self.provider


Event = dict[str, Any]


@dataclass
class Backend:
    app: FastAPI
    url: str
    client: httpx.AsyncClient
    provider: Any

    async def add_flow(
        self,
        nodes: list[dict[str, Any]],
        edges: Sequence[tuple[str, str, dict[str, Any]]] = (),
        **flow: Any,
    ) -> str:
        """Stores and publishes a flow; edges are (source, target, data)."""
        document = {
            "id": flow.pop("id", "f"),
            "nodes": nodes,
            "edges": [
                {"id": f"e{n}", "source": source, "target": target, "data": data}
                for n, (source, target, data) in enumerate(edges)
            ],
            **flow,
        }
        made = await self.client.post("/api/flows", json=document)
        assert made.status_code == 201, made.text
        published = await self.client.post(f"/api/flows/{document['id']}/publish")
        assert published.status_code == 200, published.text
        return str(document["id"])

    async def turn(
        self, session: str, text: str, turn_id: str | None = None, *, flow: str = "f", **query: Any
    ) -> list[Event]:
        """Runs a turn by the simple form, to its end."""
        params = {"input": text, **({"turn_id": turn_id} if turn_id else {}), **query}
        return await self.read(f"/api/flows/{flow}/stream/{session}", **params)

    async def read(
        self, url: str, *, headers: dict[str, str] | None = None, **params: Any
    ) -> list[Event]:
        async with aconnect_sse(
            self.client, "GET", url, params=params, headers=headers or {}
        ) as source:
            if source.response.status_code != 200:
                await source.response.aread()
                raise AssertionError(source.response.text)
            events = []
            async for event in source.aiter_sse():
                data = json.loads(event.data)
                assert event.id == f"{data['turn_id']}:{data['seq']}"
                events.append(data)
            return events

    @asynccontextmanager
    async def open_turn(
        self, session: str, text: str, turn_id: str, *, flow: str = "f", speculative: bool = False
    ) -> AsyncIterator[AsyncIterator[Event]]:
        """A turn's stream, to be read bit by bit."""
        params = {"input": text, "turn_id": turn_id, "speculative": str(speculative).lower()}
        async with aconnect_sse(
            self.client, "GET", f"/api/flows/{flow}/stream/{session}", params=params
        ) as source:
            assert source.response.status_code == 200, await source.response.aread()
            yield (json.loads(event.data) async for event in source.aiter_sse())

    async def call(
        self, session: str, turn_id: str, what: str, body: Any = None, *, flow: str = "f"
    ) -> httpx.Response:
        """POST commit or heard of a turn; `what` "" is DELETE."""
        url = f"/api/flows/{flow}/sessions/{session}/turns/{turn_id}"
        if not what:
            return await self.client.delete(url)
        return await self.client.post(f"{url}/{what}", json=body)

    async def state(self, session: str, *, flow: str = "f") -> dict[str, Any]:
        response = await self.client.get(f"/api/flows/{flow}/sessions/{session}")
        assert response.status_code == 200, response.text
        state: dict[str, Any] = response.json()
        return state


def text_of(events: Sequence[Event]) -> str:
    return "".join(e["content"] for e in events if e["type"] == "token" and e["speak"])


def kinds(events: Sequence[Event]) -> list[str]:
    return [event["type"] for event in events]


@asynccontextmanager
async def serve_app(app: Any, *, port: int = 0) -> AsyncIterator[str]:
    """Serves an ASGI app, on a free port unless one is given; gives its URL."""
    config = uvicorn.Config(
        app,
        port=port,
        log_level="error",
        timeout_graceful_shutdown=2,
        ws="websockets-sansio",
        **SERVER_OPTIONS,
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[method-assign]
    task = asyncio.create_task(server.serve())
    while not server.started:
        if task.done():
            await task
            raise RuntimeError("the server did not start")
        await asyncio.sleep(0.005)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await task


@asynccontextmanager
async def serve_backend(
    model: LLMProvider | Sequence[Reply | str] = (), **settings: Any
) -> AsyncIterator[Backend]:
    provider = model if isinstance(model, LLMProvider) else ScriptedProvider(model)
    with TemporaryDirectory() as folder:
        settings.setdefault("database_url", f"sqlite:///{folder}/parley.db")
        app = create_app(BackendSettings(_env_file=None, **settings), models=OneModel(provider))
        async with serve_app(app) as url, httpx.AsyncClient(base_url=url, timeout=10) as client:
            yield Backend(app, url, client, provider)
