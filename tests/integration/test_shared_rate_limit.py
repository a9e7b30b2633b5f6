"""Replicas count calls together in Redis, and each for itself while Redis is away."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from redis.asyncio import Redis

from flow_backend.access import slots
from flow_backend.access.slots import Slots
from protocol.errors import AccessError
from stack.ports import free_port
from tests.integration.backend_server import serve_backend
from tests.integration.redis_server import redis_server


@pytest.fixture
async def redis_url(tmp_path: Path) -> AsyncIterator[str]:
    async with redis_server(tmp_path) as url:
        yield url


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


async def test_replicas_count_what_is_under_way_together(redis_url: str) -> None:
    async with AsyncExitStack() as stack:
        one, two = Slots(redis_url), Slots(redis_url)
        stack.push_async_callback(one.aclose)
        stack.push_async_callback(two.aclose)
        async with one.taken("key:a", 2, "key a"), two.taken("key:a", 2, "key a"):
            with pytest.raises(AccessError) as refused:
                async with two.taken("key:a", 2, "key a"):
                    pass
            assert refused.value.retry_after_s == slots.RETRY_AFTER_S
            async with two.taken("key:b", 1, "key b"):
                pass
        async with one.taken("key:a", 1, "key a"):
            pass


async def test_what_a_dead_replica_had_under_way_is_free_again(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "LEASE_S", -1.0)
    async with AsyncExitStack() as stack:
        dead, alive = Slots(redis_url), Slots(redis_url)
        stack.push_async_callback(dead.aclose)
        stack.push_async_callback(alive.aclose)
        async with dead.taken("key:a", 1, "key a"):
            monkeypatch.setattr(slots, "LEASE_S", 60.0)
            async with alive.taken("key:a", 1, "key a"):
                pass


async def test_a_lease_is_renewed_while_its_request_runs(
    redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slots, "LEASE_S", 0.4)
    monkeypatch.setattr(slots, "RENEW_S", 0.05)
    async with AsyncExitStack() as stack:
        one, two = Slots(redis_url), Slots(redis_url)
        stack.push_async_callback(one.aclose)
        stack.push_async_callback(two.aclose)
        redis = await stack.enter_async_context(Redis.from_url(redis_url))
        async with one.taken("key:a", 1, "key a"):
            begun = time.time()
            while await redis.zscore("parley:slots:key:a", next(iter(one._leases))) < begun + 1:
                await redis.ping()
            with pytest.raises(AccessError):
                async with two.taken("key:a", 1, "key a"):
                    pass


async def test_without_redis_each_counts_what_is_under_way_for_itself() -> None:
    one = Slots(f"redis://127.0.0.1:{free_port()}/0")
    async with one.taken("key:a", 1, "key a"):
        with pytest.raises(AccessError):
            async with one.taken("key:a", 1, "key a"):
                pass
    await one.aclose()
