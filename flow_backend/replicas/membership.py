"""Which replicas live, and which of them has which session.

A replica that lives renews its key; a session's key names the replica that has it, and counts as
long as that one lives. Writes of a replica that only believes to live are fenced off by the
session's generation in the database (`store/writer.py`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis
from redis.exceptions import RedisError

from protocol.errors import StreamError

log = logging.getLogger(__name__)

SessionKey = tuple[str, str]
"""A flow's id and a session's."""

_SESSION_S = 7 * 86400
"""A session's key outlives every turn; it is renewed when the session is asked for elsewhere."""
_CLAIM = """
local owner = redis.call('GET', KEYS[1])
if owner and owner ~= ARGV[1] and redis.call('EXISTS', ARGV[2] .. owner) == 1 then
  return owner
end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[3])
return ARGV[1]
"""
_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""
_REPLICA = "parley:replica:"


class Membership:
    """This replica among the others; open with `async with`.

    Args:
        redis: Shared with the other parts of the replica, and closed by its owner.
        lease_s: How long a replica counts as living without a sign of life.
        on_lapse: Is awaited when this replica counted as dead for a while: others may have its
            sessions.
    """

    def __init__(
        self, redis: Redis, lease_s: float, on_lapse: Callable[[], Awaitable[None]]
    ) -> None:
        self.id = uuid4().hex
        self._redis = redis
        self._lease_ms = max(1, int(lease_s * 1000))
        self._on_lapse = on_lapse
        self._renewing: asyncio.Task[None] | None = None
        self._claim = redis.register_script(_CLAIM)
        self._release = redis.register_script(_RELEASE)

    async def __aenter__(self) -> Membership:
        try:
            await self._sign()
        except RedisError as error:
            log.warning("Redis cannot be reached (%s)", type(error).__name__)
        self._renewing = asyncio.create_task(self._renew(), name="replica lease")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._renewing is not None
        self._renewing.cancel()
        with suppress(asyncio.CancelledError):
            await self._renewing
        with suppress(RedisError):
            await self._redis.delete(f"{_REPLICA}{self.id}")

    async def claim(self, key: SessionKey) -> str:
        """Takes a session that nobody has; gives the id of the replica that has it now.

        Raises:
            StreamError: `backend_unavailable` if Redis cannot be reached.
        """
        try:
            owner: Any = await self._claim(
                keys=[_session_key(key)], args=[self.id, _REPLICA, _SESSION_S]
            )
        except RedisError as error:
            raise _unreachable() from error
        return str(owner.decode() if isinstance(owner, bytes) else owner)

    async def held(self, keys: Sequence[SessionKey]) -> set[SessionKey]:
        """Those of these sessions that another living replica has.

        All, while Redis cannot be asked.
        """
        if not keys:
            return set()
        try:
            found: list[Any] = await self._redis.mget([_session_key(key) for key in keys])
            owners = [o.decode() if isinstance(o, bytes) else o for o in found]
            living = {
                owner
                for owner in set(owners)
                if owner and owner != self.id and await self._redis.exists(f"{_REPLICA}{owner}")
            }
        except RedisError:
            return set(keys)
        return {key for key, owner in zip(keys, owners, strict=True) if owner in living}

    async def release(self, keys: Iterable[SessionKey]) -> None:
        """Lets go of sessions that are in the database; without Redis they follow the lease."""
        with suppress(RedisError):
            for key in keys:
                await self._release(keys=[_session_key(key)], args=[self.id])

    async def lives(self, replica_id: str) -> bool:
        """Whether a replica lives; yes, while Redis cannot be asked."""
        try:
            return bool(await self._redis.exists(f"{_REPLICA}{replica_id}"))
        except RedisError:
            return True

    async def _sign(self) -> bool:
        """Gives a sign of life; whether the last one still counted."""
        before = await self._redis.set(f"{_REPLICA}{self.id}", b"1", px=self._lease_ms, get=True)
        return before is not None

    async def _renew(self) -> None:
        known = True
        while True:
            await asyncio.sleep(self._lease_ms / 4000)
            try:
                known = await self._sign()
            except RedisError as error:
                if known:
                    log.warning("Redis cannot be reached (%s)", type(error).__name__)
                known = False
                continue
            if not known:
                await self._on_lapse()


def _session_key(key: SessionKey) -> str:
    return f"parley:session:{key[0]}/{key[1]}"


def _unreachable() -> StreamError:
    return StreamError(
        "backend_unavailable",
        "Redis cannot be reached, so that nobody knows which replica has the session. Try again.",
    )
