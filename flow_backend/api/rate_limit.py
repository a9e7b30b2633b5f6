"""How often one client may call: counted in memory, or in Redis for all replicas together."""

from __future__ import annotations

import functools
import ipaddress
import math
import time

from limits import RateLimitItem, parse_many
from limits.aio.storage import MemoryStorage, RedisStorage, Storage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from limits.errors import StorageError
from redis.asyncio import ConnectionPool
from starlette.requests import HTTPConnection

from flow_backend.redis_options import REST_S, redis_options
from protocol.errors import AccessError


def parse_limits(text: str) -> list[RateLimitItem]:
    """`10/second;300/minute`; nothing for an empty text.

    Raises:
        ValueError: For anything else.
    """
    return parse_many(text) if text.strip() else []


class RateLimit:
    """Counts calls.

    While Redis cannot be reached, each replica counts for itself.

    Args:
        redis_url: Where replicas count together; None: in memory.
    """

    def __init__(self, redis_url: str | None = None) -> None:
        self._alone = MemoryStorage()
        self._storages: list[Storage] = [self._alone]
        self._pool: ConnectionPool | None = None
        self._rests_until_s = 0.0
        if redis_url is not None:
            self._pool = ConnectionPool.from_url(redis_url, **redis_options())
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

    async def check(self, who: str, limits: str) -> None:
        """Counts one call.

        Args:
            who: Names the caller, and what is counted.
            limits: As in `parse_limits`.

        Raises:
            AccessError: `rate_limited`, with the time after which the next call is let through.
        """
        items = _parsed(limits)
        if not items:
            return
        for storage in self._storages:
            if storage is not self._alone and time.monotonic() < self._rests_until_s:
                continue
            try:
                wait_s = await _hit(SlidingWindowCounterRateLimiter(storage), items, who)
            except StorageError:
                self._rests_until_s = time.monotonic() + REST_S
                continue
            break
        if wait_s is not None:
            allowed = " and ".join(str(item) for item in items)
            raise AccessError(
                "rate_limited",
                f"Too many requests: {allowed} are allowed. Try again in {wait_s} s.",
                retry_after_s=wait_s,
            )


_parsed = functools.lru_cache(maxsize=1000)(parse_limits)


async def _hit(
    limiter: SlidingWindowCounterRateLimiter, items: list[RateLimitItem], who: str
) -> int | None:
    """Seconds to wait; None if the call is let through."""
    for item in items:
        if not await limiter.hit(item, who):
            stats = await limiter.get_window_stats(item, who)
            return max(1, math.ceil(stats.reset_time - time.time()))
    return None


def address_of(client: HTTPConnection) -> str:
    """The client's address; `X-Forwarded-For` is believed where the server trusts the proxy.

    Of IPv6 it is the network of 64 bits, in which a machine takes whatever address it likes (RFC
    4291, section 2.5.1; RFC 8981).
    """
    text = client.client.host if client.client else ""
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return text
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))


async def rate_limited(client: HTTPConnection) -> None:
    """A dependency that lets an address through, or raises `rate_limited`."""
    state = client.app.state
    limit: RateLimit = state.rate_limit
    await limit.check(address_of(client), state.settings.door_rate_limit)
