"""A backend on a free port, in this process, with the models that a test gives it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI

from flow_backend.app import create_app
from flow_backend.llm.base import LLMProvider
from flow_backend.llm.scripted import Reply, ScriptedProvider
from flow_backend.settings import BackendSettings


class OneModel:
    """Gives the same provider under every name."""

    def __init__(self, provider: LLMProvider) -> None:
        self.provider = provider

    async def get(self, reference: str = "default") -> LLMProvider:
        return self.provider


@dataclass
class Backend:
    app: FastAPI
    url: str
    client: httpx.AsyncClient
    provider: LLMProvider


@asynccontextmanager
async def serve_app(app: Any) -> AsyncIterator[str]:
    """Serves an ASGI app; gives its URL."""
    config = uvicorn.Config(
        app, port=0, log_level="error", access_log=False, timeout_graceful_shutdown=2, ws="none"
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
    app = create_app(BackendSettings(_env_file=None, **settings), models=OneModel(provider))
    async with serve_app(app) as url, httpx.AsyncClient(base_url=url, timeout=10) as client:
        yield Backend(app, url, client, provider)
