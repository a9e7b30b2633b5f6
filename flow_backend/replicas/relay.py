"""Every event of a turn in a Redis stream, before any reader has it.

Events of one round of the event loop go out together, so that a token waits for one round trip.
While Redis cannot be reached, readers here get their events all the same; a replica that dies then
costs its turns their ends. When Redis is back, it gets the events of the turns that ran: it may
have lost what it had.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from flow_backend.engine.stream import TurnStream
from flow_backend.store.frame_file import Left

log = logging.getLogger(__name__)

_RUNNING_S = 3600
_AGAIN_S = 0.3
_KEPT = 1000
"""Turns whose events wait for Redis at most; the oldest are dropped, the database has them."""
_OVER_S = 300
"""How long the events of a turn stay; the database has them then."""


class Relay:
    """Writes the events of this replica's turns; open with `async with`.

    Args:
        redis: Shared, and closed by its owner.
    """

    shared = True

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._pending: dict[TurnStream, int] = {}
        """Streams with frames that are not sent, and the first of them."""
        self._begun: list[tuple[str, str, str, bytes]] = []
        """Turns that begin: their stream's key, their session's key, their id, their rows."""
        self._last: dict[str, str] = {}
        """The last turn that began in each session, while it runs."""
        self._places: dict[tuple[str, str], str] = {}
        """Keys of sessions, by session uid and turn id."""
        self._wake = asyncio.Event()
        self._failed = False
        self._running: set[TurnStream] = set()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Relay:
        self._task = asyncio.create_task(self._send_all(), name="relay")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._task is not None
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task
        await self._send_batch()

    def keep(self, stream: TurnStream, frame: bytes) -> None:
        """Sends a frame, then lets readers have it."""
        self._pending.setdefault(stream, len(stream.frames) - 1)
        self._wake.set()
        self._running.add(stream)
        if stream.closed:
            self._running.discard(stream)
        if self._failed:
            stream.publish(len(stream.frames))

    def begin(
        self, stream: TurnStream, session_row: dict[str, Any], turn_row: dict[str, Any]
    ) -> None:
        """Sends the rows with which a turn begins, or is committed."""
        rows = json.dumps({"sessions": session_row, "turns": turn_row}).encode()
        place = _last_key(session_row["flow_id"], session_row["session_id"])
        self._last[place] = stream.turn_id
        self._places[stream.uid, stream.turn_id] = place
        self._begun.append((turn_key(stream.uid, stream.turn_id), place, stream.turn_id, rows))
        self._wake.set()

    async def left(self, flow_id: str, session_id: str) -> tuple[str, str, Left] | None:
        """What Redis has of a session's last committed turn: session uid, turn id, the rest.

        Raises:
            RedisError: If it cannot be reached.
        """
        turn_id: Any = await self._redis.get(_last_key(flow_id, session_id))
        if turn_id is None:
            return None
        uid, _, turn_id = turn_id.decode().partition(" ")
        left = Left()
        entries: Any = await self._redis.xrange(turn_key(uid, turn_id))
        for _, fields in entries:
            if rows := fields.get(b"rows"):
                left.begun = json.loads(rows)
            else:
                left.frames.update(frames_of(fields))
        return uid, turn_id, left

    async def forget(self, session: tuple[str, str], uid: str, turn_ids: Iterable[str]) -> None:
        """Deletes the events of a session's turns.

        Raises:
            RedisError: If Redis cannot be reached; they go after a while by themselves.
        """
        await self._redis.delete(
            _last_key(*session), *(turn_key(uid, turn_id) for turn_id in turn_ids)
        )

    async def _send_all(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._send_batch()
            if self._failed:
                await asyncio.sleep(_AGAIN_S)

    async def _send_batch(self) -> None:
        begun, self._begun = self._begun, []
        pending, self._pending = self._pending, {}
        if not (begun or pending):
            return
        sent = {stream: len(stream.frames) for stream in pending}
        try:
            async with self._redis.pipeline(transaction=False) as pipeline:
                for key, place, turn_id, rows in begun:
                    uid = key.split(":")[2]
                    pipeline.xadd(key, {"rows": rows})
                    pipeline.expire(key, _RUNNING_S)
                    pipeline.set(place, f"{uid} {turn_id}", ex=_RUNNING_S)
                for stream, first in pending.items():
                    key = turn_key(stream.uid, stream.turn_id)
                    frames = b"".join(stream.frames[first : sent[stream]])
                    pipeline.xadd(key, {"first": first + 1, "frames": frames})
                    if first == 0 or stream.closed:
                        pipeline.expire(key, _OVER_S if stream.closed else _RUNNING_S)
                    if stream.closed:
                        place = self._places.pop((stream.uid, stream.turn_id), "")
                        if self._last.get(place) == stream.turn_id:
                            del self._last[place]
                            pipeline.delete(place)
                await pipeline.execute()
            self._failed = False
        except RedisError as error:
            if not self._failed:
                log.warning("events cannot be sent to Redis (%s)", type(error).__name__)
            self._failed = True
            self._begun = (begun + self._begun)[-_KEPT:]
            again = (*pending, *self._pending, *self._running)
            self._pending = dict.fromkeys(list(dict.fromkeys(again))[-_KEPT:], 0)
            self._wake.set()
        for stream, count in sent.items():
            stream.publish(max(count, stream.published))


def turn_key(uid: str, turn_id: str) -> str:
    """The Redis stream of a turn."""
    return f"parley:turn:{uid}:{turn_id}"


def frames_of(fields: dict[bytes, bytes]) -> dict[int, bytes]:
    """The SSE frames of an entry, by number."""
    frames = [frame + b"\n\n" for frame in fields.get(b"frames", b"").split(b"\n\n") if frame]
    return dict(enumerate(frames, int(fields.get(b"first", b"1"))))


def _last_key(flow_id: str, session_id: str) -> str:
    return f"parley:last:{flow_id}/{session_id}"
