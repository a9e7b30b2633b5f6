"""This process as one of several replicas."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from flow_backend.engine.engine import Engine
from flow_backend.redis_options import redis_options
from flow_backend.replicas.inbox import Inbox, ReplicaGoneError
from flow_backend.replicas.membership import Membership, SessionKey
from flow_backend.replicas.relay import Relay
from flow_backend.replicas.remote import Mirrors, RemoteSession
from flow_backend.replicas.service import Service
from flow_backend.store.sessions import SessionStore, StoredTurn


class Replicas:
    """What the engine asks about sessions that other replicas may have; open with `async with`.

    Args:
        redis_url: Where replicas meet.
        lease_s: How long a replica counts as living without a sign of life.
        store: The sessions in the database that all share.
    """

    def __init__(self, redis_url: str, lease_s: float, store: SessionStore) -> None:
        # Reads of streams wait for two seconds at most, and then say that nothing came.
        self.redis = Redis.from_url(redis_url, max_connections=10_000, **redis_options(4.0))
        self._relayed = Redis.from_url(redis_url, max_connections=10_000, **redis_options())
        self.relay = Relay(self._relayed)
        self.mirrors = Mirrors(self)
        self._membership = Membership(self.redis, lease_s, self._lapsed)
        self._inbox = Inbox(self.redis, self._membership, self._serve)
        self._store = store
        self._engine: Engine | None = None
        self._service: Service | None = None
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Replicas:
        self._stack.push_async_callback(self.redis.aclose)
        self._stack.push_async_callback(self._relayed.aclose)
        await self._stack.enter_async_context(self.relay)
        await self._stack.enter_async_context(self._membership)
        await self._stack.enter_async_context(self._inbox)
        self._stack.push_async_callback(self.mirrors.aclose)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    def serve(self, engine: Engine) -> None:
        """From now on calls of other replicas reach this engine."""
        self._engine, self._service = engine, Service(engine)

    @property
    def id(self) -> str:
        """This replica's."""
        return self._membership.id

    async def owner_of(self, flow_id: str, session_id: str) -> str:
        """The replica that has a session: this one, if nobody had it.

        Raises:
            StreamError: `backend_unavailable`.
        """
        return await self._membership.claim((flow_id, session_id))

    async def lives(self, replica_id: str) -> bool:
        """Whether a replica lives."""
        return await self._membership.lives(replica_id)

    async def held(self, keys: Sequence[SessionKey]) -> set[SessionKey]:
        """Those of these sessions that a living replica has."""
        return await self._membership.held(keys)

    async def release(self, keys: Iterable[SessionKey]) -> None:
        """Lets go of sessions that are in the database."""
        await self._membership.release(keys)

    async def forget(self, key: SessionKey, uid: str, turn_ids: Iterable[str]) -> None:
        """Deletes what Redis has of a session."""
        with suppress(RedisError):
            await self.relay.forget(key, uid, turn_ids)
        await self._membership.release([key])

    def remote(self, flow_id: str, session_id: str, replica_id: str) -> RemoteSession:
        """A session that another replica has."""
        return RemoteSession(self, flow_id, session_id, replica_id)

    async def recover(self, flow_id: str, session_id: str) -> None:
        """Puts into the database what a dead replica told Redis, and Redis alone."""
        try:
            found = await self.relay.left(flow_id, session_id)
        except RedisError:
            return
        if found is not None:
            uid, turn_id, left = found
            await self._store.add_left(uid, turn_id, left.begun, left.frames)

    async def stored_turn(self, uid: str, turn_id: str) -> StoredTurn | None:
        """A turn from the database."""
        return await self._store.turn(uid, turn_id)

    async def ask(self, replica_id: str, request: dict[str, Any]) -> dict[str, Any]:
        """Asks a replica, which may be this one.

        Raises:
            ParleyError: The answer.
            ReplicaGoneError: It died.
        """
        if replica_id == self.id:
            return await self._serve(request)
        if not await self.lives(replica_id):
            raise ReplicaGoneError
        return await self._inbox.call(replica_id, request)

    async def _serve(self, request: dict[str, Any]) -> dict[str, Any]:
        if self._service is None:
            raise ReplicaGoneError
        return await self._service(request)

    async def _lapsed(self) -> None:
        if self._engine is not None:
            await self._engine.check_sessions()
