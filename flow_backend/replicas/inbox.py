"""Calls from one replica to another: each has a Redis stream into which the others write."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any
from uuid import uuid4

from redis.asyncio import Redis
from redis.exceptions import RedisError

from flow_backend.replicas.membership import Membership
from protocol.errors import ParleyError, StreamError, error_for

log = logging.getLogger(__name__)

Serve = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]

_LENGTH = 10_000
"""About so many calls wait at most; older ones are dropped, and their callers told."""
_KEPT_S = 600
_CALL_S = 15.0
"""After so long a call without an answer counts as failed."""
_BLOCK_MS = 2000
_LOOK_S = 1.0
"""How often a waiting caller looks whether the other replica lives."""


class ReplicaGoneError(Exception):
    """The replica that was asked died before it answered."""


class Inbox:
    """The calls of one replica, both ways; open with `async with`.

    Args:
        redis: Shared, and closed by its owner.
        membership: Who lives.
        serve: Answers a call, or raises a ParleyError.
    """

    def __init__(self, redis: Redis, membership: Membership, serve: Serve) -> None:
        self._redis = redis
        self._membership = membership
        self._serve = serve
        self._waiting: dict[str, asyncio.Future[dict[str, Any]]] = {}
        self._serving: set[asyncio.Task[None]] = set()
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Inbox:
        self._reader = asyncio.create_task(self._read(), name="inbox")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._reader is not None
        for task in (self._reader, *self._serving):
            task.cancel()
        await asyncio.gather(self._reader, *self._serving, return_exceptions=True)
        with suppress(RedisError):
            await self._redis.delete(_key(self._membership.id))

    async def call(self, replica_id: str, request: dict[str, Any]) -> dict[str, Any]:
        """Asks another replica.

        Raises:
            ParleyError: The other's error; `backend_unavailable` if nothing came back.
            ReplicaGoneError: It died; the call may or may not have been served.
        """
        call_id = uuid4().hex
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[call_id] = future
        try:
            async with asyncio.timeout(_CALL_S):
                await self._send(
                    replica_id, {"id": call_id, "from": self._membership.id, "call": request}
                )
                while not future.done():
                    await asyncio.wait((future,), timeout=_LOOK_S)
                    if not future.done() and not await self._membership.lives(replica_id):
                        raise ReplicaGoneError
                answer = future.result()
        except (RedisError, TimeoutError) as error:
            raise StreamError(
                "backend_unavailable",
                "The replica that has the session does not answer. Try again.",
            ) from error
        finally:
            del self._waiting[call_id]
        if (told := answer.get("error")) is not None:
            raise _error(told)
        result: dict[str, Any] = answer["result"]
        return result

    async def _send(self, replica_id: str, message: dict[str, Any]) -> None:
        key = _key(replica_id)
        async with self._redis.pipeline(transaction=False) as pipeline:
            pipeline.xadd(key, {"m": json.dumps(message)}, maxlen=_LENGTH, approximate=True)
            pipeline.expire(key, _KEPT_S)
            await pipeline.execute()

    async def _read(self) -> None:
        key, last = _key(self._membership.id), "0"
        while True:
            try:
                for entry_id, fields in await read_stream(self._redis, key, last, _BLOCK_MS):
                    last = entry_id
                    self._take(json.loads(fields[b"m"]))
            except RedisError:
                await asyncio.sleep(0.2)

    def _take(self, message: dict[str, Any]) -> None:
        if "call" in message:
            task = asyncio.create_task(self._answer(message), name="replica call")
            self._serving.add(task)
            task.add_done_callback(self._serving.discard)
            return
        future = self._waiting.get(message["id"])
        if future is not None and not future.done():
            future.set_result(message)

    async def _answer(self, message: dict[str, Any]) -> None:
        answer: dict[str, Any] = {"id": message["id"]}
        try:
            answer["result"] = await self._serve(message["call"])
        except ParleyError as error:
            answer["error"] = error.as_dict()
        with suppress(RedisError):
            await self._send(message["from"], answer)


async def read_stream(
    redis: Redis, key: str, after: str, block_ms: int
) -> list[tuple[str, dict[bytes, bytes]]]:
    """Entries of a stream after an id; none if nothing comes within `block_ms`.

    Raises:
        RedisError: If Redis cannot be reached.
    """
    found: Any = await redis.xread({key: after}, count=500, block=block_ms)
    if not found:
        return []
    entries = next(iter(found.values())) if isinstance(found, dict) else found[0][1]
    return [(entry_id.decode(), fields) for entry_id, fields in entries]


def _error(told: dict[str, Any]) -> ParleyError:
    error = error_for(told["code"], told["message"], retryable=told["retryable"])
    error.path = told.get("path")
    return error


def _key(replica_id: str) -> str:
    return f"parley:inbox:{replica_id}"
