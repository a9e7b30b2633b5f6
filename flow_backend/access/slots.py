"""How many requests one caller has under way: counted in memory, or in Redis by all replicas.

In Redis each caller has a sorted set with one member for each request, scored by the time at which
it counts as gone unless its process renews it: what a replica that died had under way is free again
after `LEASE_S` of Redis's clock. While Redis cannot be reached, each replica counts for itself.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import monotonic
from uuid import uuid4

from redis.asyncio import Redis
from redis.exceptions import RedisError

from flow_backend.redis_options import REST_S, redis_options
from protocol.errors import AccessError

LEASE_S = 60.0
RENEW_S = 20.0
RETRY_AFTER_S = 1.0
"""What a refused caller is told to wait: when a slot becomes free is not known."""

_TAKE = """
local now = tonumber(redis.call('TIME')[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end
redis.call('ZADD', KEYS[1], now + ARGV[2], ARGV[3])
redis.call('PEXPIRE', KEYS[1], ARGV[4])
return 1
"""
_RENEW = """
local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[1], 'XX', now + ARGV[1], ARGV[2])
redis.call('PEXPIRE', KEYS[1], ARGV[3])
"""


class Slots:
    """Counts what is under way; close with `aclose`.

    Args:
        redis_url: Where replicas count together; None: in memory.
    """

    def __init__(self, redis_url: str | None = None) -> None:
        self._taken: Counter[str] = Counter()
        self._redis = Redis.from_url(redis_url, **redis_options()) if redis_url else None
        self._rests_until_s = 0.0
        self._leases: dict[str, str] = {}
        """Members of the sorted sets, and the caller of each."""
        self._renewing: asyncio.Task[None] | None = None

    async def aclose(self) -> None:
        """Closes the connections to Redis."""
        if self._renewing is not None:
            self._renewing.cancel()
            with suppress(asyncio.CancelledError):
                await self._renewing
        if self._redis is not None:
            await self._redis.aclose()

    @asynccontextmanager
    async def taken(self, who: str, limit: int, what: str) -> AsyncIterator[None]:
        """Holds one of a caller's slots.

        Args:
            who: Names the caller.
            limit: How many it may hold at once; 0: any number.
            what: The caller as the message calls it.

        Raises:
            AccessError: `rate_limited` if it holds as many as it may.
        """
        if not limit:
            yield
            return
        if self._taken[who] >= limit:
            raise _refused(limit, what)
        self._taken[who] += 1
        lease = ""
        try:
            lease = await self._lease(who, limit, what)
            yield
        finally:
            self._taken[who] -= 1
            if not self._taken[who]:
                del self._taken[who]
            if lease:
                await self._give_back(lease)

    async def _lease(self, who: str, limit: int, what: str) -> str:
        """A member in the caller's set; an empty text where Redis does not answer."""
        if self._redis is None or monotonic() < self._rests_until_s:
            return ""
        lease = uuid4().hex
        values = (limit, LEASE_S, lease, int(LEASE_S * 2000))
        try:
            free = await self._redis.eval(_TAKE, 1, _set(who), *map(str, values))
        except (RedisError, OSError):
            self._rests_until_s = monotonic() + REST_S
            return ""
        if not free:
            raise _refused(limit, what)
        self._leases[lease] = who
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew(), name="slot leases")
        return lease

    async def _give_back(self, lease: str) -> None:
        assert self._redis is not None
        who = self._leases.pop(lease)
        # A lease that cannot be given back now runs out.
        with suppress(RedisError, OSError):
            await self._redis.zrem(_set(who), lease)

    async def _renew(self) -> None:
        assert self._redis is not None
        while True:
            await asyncio.sleep(RENEW_S)
            with suppress(RedisError, OSError):
                async with self._redis.pipeline(transaction=False) as pipeline:
                    for lease, who in self._leases.items():
                        values = (LEASE_S, lease, int(LEASE_S * 2000))
                        pipeline.eval(_RENEW, 1, _set(who), *map(str, values))
                    await pipeline.execute()


def _set(who: str) -> str:
    return f"parley:slots:{who}"


def _refused(limit: int, what: str) -> AccessError:
    return AccessError(
        "rate_limited",
        f"Too many requests at once: {what} may have {limit}. Try again when one is over.",
        retry_after_s=RETRY_AFTER_S,
    )
