"""Callers with keys, for a backend that asks for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx

from flow_backend.access.keys import make_key
from flow_backend.llm.base import LLMProvider
from flow_backend.llm.scripted import Reply
from flow_backend.store.keys import KeyStore
from tests.integration.backend_server import Backend, serve_backend

CONFIGURED = "a-key-that-stands-in-the-settings-and-is-long"


@asynccontextmanager
async def closed_backend(
    model: LLMProvider | list[Reply | str] | None = None, **settings: Any
) -> AsyncIterator[Backend]:
    """A backend that asks for keys; `backend.client` has none."""
    settings = {"parley_api_key": CONFIGURED, "api_keys": "required", **settings}
    replies: list[Reply | str] = [Reply(say="Hi.", times=None)]
    async with serve_backend(model or replies, **settings) as backend:
        yield backend


async def new_key(backend: Backend, *scopes: str, **options: Any) -> tuple[str, str]:
    """The id and the text of a new key."""
    key, text = make_key("somebody", scopes, **options)
    await KeyStore(backend.app.state.database).add(key)
    return key.id, text


@asynccontextmanager
async def caller(backend: Backend, text: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client that sends a key."""
    headers = {"Authorization": f"Bearer {text}"}
    async with httpx.AsyncClient(base_url=backend.url, headers=headers, timeout=10) as client:
        yield client


@asynccontextmanager
async def caller_with(
    backend: Backend, *scopes: str, **options: Any
) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a new key."""
    _, text = await new_key(backend, *scopes, **options)
    async with caller(backend, text) as client:
        yield client
