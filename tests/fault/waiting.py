"""Waits for what a backend says of itself."""

from __future__ import annotations

import asyncio

import httpx

EVERY_S = 0.05


async def until_ready(client: httpx.AsyncClient) -> None:
    """Until turns can be served."""
    await _until(client, 200)


async def until_unready(client: httpx.AsyncClient) -> None:
    """Until it says that turns cannot be served."""
    await _until(client, 503)


async def _until(client: httpx.AsyncClient, status: int) -> None:
    while (await client.get("/readyz")).status_code != status:  # noqa: ASYNC110 # another process
        await asyncio.sleep(EVERY_S)
