"""Replicas count calls together in Redis, and each for itself while Redis is away."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.backend_server import serve_backend
from tests.integration.free_port import free_port


@pytest.fixture
async def redis_url(tmp_path: Path) -> AsyncIterator[str]:
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        program,
        *("--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(tmp_path)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    while b"Ready to accept connections" not in await process.stdout.readline():
        pass
    yield f"redis://127.0.0.1:{port}/0"
    process.terminate()
    await process.wait()


async def statuses(redis_url: str) -> list[int]:
    """Two calls to each of two backends that let three through in all."""
    found = []
    async with (
        serve_backend(["Hi."], door_rate_limit="3/minute", redis_url=redis_url) as one,
        serve_backend(["Hi."], door_rate_limit="3/minute", redis_url=redis_url) as two,
    ):
        for backend in (one, two, one, two):
            response = await backend.client.get("/v1/models")
            found.append(response.status_code)
    return found


async def test_replicas_count_together(redis_url: str) -> None:
    assert await statuses(redis_url) == [200, 200, 200, 429]


async def test_without_redis_each_counts_for_itself() -> None:
    assert await statuses(f"redis://127.0.0.1:{free_port()}/0") == [200, 200, 200, 200]
