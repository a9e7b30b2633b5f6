"""How often one client may call: counted in memory, or in Redis for all replicas together."""

from __future__ import annotations

import math
import time

from fastapi import Request
from limits import RateLimitItem, parse_many
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from redis.asyncio import ConnectionPool
from starlette.requests import HTTPConnection

from protocol.errors import AccessError


def parse_limits(text: str) -> list[RateLimitItem]:
    """`10/second;300/minute`; nothing for an empty text.

    Raises:
        ValueError: For anything else.
    """
    return parse_many(text) if text.strip() else []


class RateLimit:
    """Counts the calls of each client address.

    While Redis cannot be reached, each replica counts for itself.

    Args:
        limits: As in `parse_limits`.
        redis_url: Where replicas count together; None: in memory.
    """

    def __init__(self, limits: str, redis_url: str | None = None) -> None:
        self._items = parse_limits(limits)
        self._alone = MemoryStorage()
        self._storages: list[Storage] = [self._alone]
        self._pool: ConnectionPool | None = None
        if redis_url is not None:
            self._pool = ConnectionPool.from_url(redis_url)
            shared = RedisStorage(
                redis_url,
                wrap_exceptions=True,
                implementation="redispy",
                connection_pool=self._pool,  # type: ignore[arg-type] # goes on to redis-py as it is
            )
            self._storages.insert(0, shared)

    async def aclose(self) -> None:
        """Closes the connections to Redis."""
        if self._pool is not None:
            await self._pool.disconnect()

    async def check(self, client: HTTPConnection) -> None:
        """Counts one call.

        Raises:
            AccessError: `rate_limited`, with the time after which the next call is let through.
        """
        if not self._items:
            return
        who = client.client.host if client.client else ""
        for storage in self._storages:
            try:
                wait_s = await self._hit(SlidingWindowCounterRateLimiter(storage), who)
            except StorageError:
                continue
            break
        if wait_s is not None:
            raise AccessError(
                "rate_limited",
                f"Too many requests: {self._limits} are allowed. Try again in {wait_s} s.",
                retry_after_s=wait_s,
            )

    @property
    def _limits(self) -> str:
        return " and ".join(str(item) for item in self._items)

    async def _hit(self, limiter: SlidingWindowCounterRateLimiter, who: str) -> int | None:
        """Seconds to wait; None if the call is let through."""
        for item in self._items:
            if not await limiter.hit(item, who):
                stats = await limiter.get_window_stats(item, who)
                return max(1, math.ceil(stats.reset_time - time.time()))
        return None


async def rate_limited(request: Request) -> None:
    """A dependency that lets a request through, or raises `rate_limited`."""
    limit: RateLimit = request.app.state.rate_limit
    await limit.check(request)
