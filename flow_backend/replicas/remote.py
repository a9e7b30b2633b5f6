"""A session that another replica has: its calls go there, its events come through Redis."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from redis.exceptions import RedisError

from flow_backend.engine.stream import TurnStream
from flow_backend.replicas.inbox import ReplicaGoneError, read_stream
from flow_backend.replicas.relay import frames_of, turn_key
from protocol.errors import FlowError, ParleyError, StreamError
from protocol.events import TERMINAL_TYPES
from protocol.turns import HeardReport, HeardTurn, SessionState

if TYPE_CHECKING:
    from flow_backend.replicas.replicas import Replicas

_TRIES = 4
_BLOCK_MS = 1000
"""After so long without an event a reader looks whether the replica lives."""


@dataclass(frozen=True, slots=True)
class RemoteTurn:
    """A turn that runs elsewhere."""

    id: str
    stream: TurnStream
    """Follows the turn's events."""
    last_seq: int
    """Number of its last event when it was asked for."""


class RemoteSession:
    """The calls of `engine.session.Session` that API routes make.

    Should the other replica die, the call goes to the one that takes the session over, which may
    be this one.
    """

    def __init__(self, replicas: Replicas, flow_id: str, session_id: str, replica_id: str) -> None:
        self.flow_id = flow_id
        self.id = session_id
        self.owner = ""
        """The API key that it belongs to; known after `find`."""
        self._replicas = replicas
        self._replica_id = replica_id

    async def find(self, *, make: bool, owner: str) -> bool:
        """Whether there is such a session; with `make` there is one afterwards."""
        try:
            found = await self.call("find", make=make, owner=owner)
        except FlowError as error:
            if error.code != "session_not_found":
                raise
            return False
        self.owner = found["owner"]
        return True

    async def start_turn(
        self,
        user_input: str,
        turn_id: str | None,
        *,
        speculative: bool,
        heard: Sequence[HeardTurn] = (),
    ) -> RemoteTurn:
        """Starts a turn, or gives the one with this id."""
        return await self._followed(
            await self.call(
                "start",
                input=user_input,
                turn=turn_id or uuid4().hex,
                speculative=speculative,
                heard=[report.model_dump() for report in heard],
                reader=self._replicas.id,
            )
        )

    async def turn(self, turn_id: str) -> RemoteTurn:
        """A turn by its id."""
        return await self._followed(await self.call("turn", turn=turn_id, reader=self._replicas.id))

    async def commit(self, turn: RemoteTurn) -> None:
        """The user's turn is over."""
        await self.call("commit", turn=turn.id)

    async def heard(self, turn: RemoteTurn, report: HeardReport) -> None:
        """What the user heard."""
        told = report.model_dump(include={"text", "interrupted", "estimated"})
        await self.call("heard", turn=turn.id, **told)

    async def discard(self, turn: RemoteTurn) -> None:
        """Discards or cancels a turn."""
        await self.call("discard", turn=turn.id)

    async def prefill(self) -> None:
        """The user begins to speak."""
        await self.call("prefill")

    async def end(self) -> None:
        """Ends the session."""
        await self.call("end")

    async def shown(self) -> SessionState:
        """The session as the API shows it."""
        return SessionState.model_validate(await self.call("show"))

    async def call(self, op: str, **arguments: Any) -> dict[str, Any]:
        """Asks whoever has the session.

        Raises:
            ParleyError: The answer; `backend_unavailable` if nobody gives one.
        """
        request = {"op": op, "flow": self.flow_id, "session": self.id, **arguments}
        for _ in range(_TRIES):
            try:
                return await self._replicas.ask(self._replica_id, request)
            except ReplicaGoneError:
                pass
            except StreamError as error:
                if error.code != "backend_unavailable":
                    raise
            self._replica_id = await self._replicas.owner_of(self.flow_id, self.id)
        raise StreamError(
            "backend_unavailable", f"No replica has session {self.id!r} now. Try again."
        )

    async def look(self) -> None:
        """Finds the replica that has the session now: the one asked last, unless it died."""
        if not await self._replicas.lives(self._replica_id):
            await self.call("find", make=False, owner="")

    async def _followed(self, told: dict[str, Any]) -> RemoteTurn:
        stream = await self._replicas.mirrors.stream(self, told)
        return RemoteTurn(told["turn"], stream, told["last"])


class Mirrors:
    """Streams that follow turns of other replicas, one for each turn; close with `aclose`."""

    def __init__(self, replicas: Replicas) -> None:
        self._replicas = replicas
        self._streams: dict[str, TurnStream] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._leaving: set[asyncio.Task[None]] = set()

    async def stream(self, session: RemoteSession, told: dict[str, Any]) -> TurnStream:
        """A stream with all events of a turn, past and to come."""
        uid, turn_id = told["uid"], told["turn"]
        key = turn_key(uid, turn_id)
        if (known := self._streams.get(key)) is not None:
            return known
        stream = TurnStream(session.id, turn_id, uid=uid)
        if told["over"] and not await self._replicas.redis.exists(key):
            stored = await self._replicas.stored_turn(uid, turn_id)
            if stored is None:
                raise FlowError("turn_not_found", f"Turn {turn_id!r} is gone.")
            stream.restore(stored.frames, lost=stored.lost)
            return stream
        stream.on_idle = lambda: self._unread(key, session, turn_id)
        self._streams[key] = stream
        self._tasks[key] = asyncio.create_task(self._follow(key, stream, session))
        return stream

    async def aclose(self) -> None:
        """Stops following."""
        tasks = [*self._tasks.values(), *self._leaving]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _follow(self, key: str, stream: TurnStream, session: RemoteSession) -> None:
        last = "0"
        while not stream.closed:
            try:
                entries = await read_stream(self._replicas.redis, key, last, _BLOCK_MS)
                if not entries:
                    # Whoever takes the session over goes on with the turn, in the same place.
                    with suppress(ParleyError):
                        await session.look()
            except RedisError:
                # It may have lost what it had, and get all of it again.
                last = "0"
                await asyncio.sleep(0.2)
                continue
            for entry_id, fields in entries:
                last = entry_id
                for seq, frame in frames_of(fields).items():
                    if seq == len(stream.frames) + 1:
                        stream.frames.append(frame)
                        stream.closed = _ends(frame)
            stream.publish(len(stream.frames))
        self._streams.pop(key, None)
        self._tasks.pop(key, None)

    def _unread(self, key: str, session: RemoteSession, turn_id: str) -> None:
        self._streams.pop(key, None)
        if (task := self._tasks.pop(key, None)) is not None:
            task.cancel()
            leaving = asyncio.create_task(self._leave(session, turn_id))
            self._leaving.add(leaving)
            leaving.add_done_callback(self._leaving.discard)

    async def _leave(self, session: RemoteSession, turn_id: str) -> None:
        with suppress(ParleyError):
            await session.call("leave", turn=turn_id, reader=self._replicas.id)


def _ends(frame: bytes) -> bool:
    if b'\ndata: {"type":"token"' in frame:
        return False
    return json.loads(frame.partition(b"\ndata: ")[2])["type"] in TERMINAL_TYPES
