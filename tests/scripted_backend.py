"""A flow backend that says what a test tells it to, over real sockets.

It keeps a journal of each turn, so that streams can be resumed, and notes every call. The real
backend passes the same contract in its own tests.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from protocol.events import event_id


@dataclass
class ScriptedTurn:
    events: list[dict[str, Any]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    over: bool = False


@dataclass
class ScriptedBackend:
    """Answers each turn with `pieces`, in the order of the fields' checks."""

    pieces: list[str] = field(default_factory=lambda: ["Hello ", "there."])
    greeting: str | None = None
    ended: bool = False
    """The turns end the session."""
    hold_after: int | None = None
    """Send so many pieces, then nothing until `release` is set."""
    drop_after: int | None = None
    """Cut the connection once, after so many events."""
    fail_with: dict[str, Any] | None = None
    """End the turn with this error after the pieces."""
    refuse_with: tuple[int, dict[str, Any]] | None = None
    """Answer a request for a turn with this status and body."""
    sessions: set[str] = field(default_factory=set)
    turns: dict[str, ScriptedTurn] = field(default_factory=dict)
    calls: list[tuple[str, str, dict[str, Any]]] = field(default_factory=list)
    """Method, path below `/api/flows/{id}`, and body or query."""
    release: asyncio.Event = field(default_factory=asyncio.Event)
    called: asyncio.Condition = field(default_factory=asyncio.Condition)
    url: str = ""

    async def until_called(self, method: str, suffix: str) -> dict[str, Any]:
        """The body of the first such call, made already or still to come."""
        async with self.called:
            while True:
                for seen_method, path, body in self.calls:
                    if seen_method == method and path.endswith(suffix):
                        return body
                await self.called.wait()

    def paths(self, method: str) -> list[str]:
        return [path for seen, path, _ in self.calls if seen == method]

    async def _note(self, request: Request) -> dict[str, Any]:
        raw = await request.body()
        body = json.loads(raw) if raw else dict(request.query_params)
        path = request.url.path.partition("/api/flows/")[2].partition("/")[2]
        async with self.called:
            self.calls.append((request.method, path, body))
            self.called.notify_all()
        return body

    async def _run(self, turn_id: str, session_id: str) -> None:
        turn = self.turns[turn_id]

        def emit(**event: Any) -> None:
            seq = len(turn.events) + 1
            turn.events.append(event | {"seq": seq, "turn_id": turn_id, "session_id": session_id})
            turn.changed.set()

        emit(type="node_started", node_id="talk", node_type="conversation")
        emit(type="sparkle", note="a type that clients do not know")
        for index, piece in enumerate(self.pieces):
            if index == self.hold_after:
                await self.release.wait()
            if turn.over:
                return
            emit(type="token", content=piece, node_id="talk")
            await asyncio.sleep(0)
        if self.hold_after is not None and self.hold_after >= len(self.pieces):
            await self.release.wait()
        if turn.over:
            return
        turn.over = True
        if self.fail_with is not None:
            emit(type="error", content="".join(self.pieces), **self.fail_with)
        else:
            emit(
                type="done",
                content="".join(self.pieces),
                ended=self.ended,
                usage={"prompt_tokens": 7, "completion_tokens": 2},
            )

    async def _stream(self, turn_id: str, after: int) -> AsyncIterator[bytes]:
        turn = self.turns[turn_id]
        sent = after
        while True:
            turn.changed.clear()
            while sent < len(turn.events):
                event = turn.events[sent]
                sent += 1
                yield (
                    f"id: {event_id(turn_id, event['seq'])}\n"
                    f"data: {json.dumps(event, ensure_ascii=False)}\n\n"
                ).encode()
                if self.drop_after is not None and sent >= self.drop_after:
                    self.drop_after = None
                    raise ConnectionResetError("dropped by the script")
            if turn.over:
                return
            yield b": ping\n\n"
            await turn.changed.wait()

    def _sse(self, turn_id: str, after: int = 0) -> Response:
        return StreamingResponse(self._stream(turn_id, after), media_type="text/event-stream")

    async def _turn(self, request: Request) -> Response:
        body = await self._note(request)
        session_id = request.path_params["session_id"]
        if self.refuse_with is not None:
            return JSONResponse(self.refuse_with[1], status_code=self.refuse_with[0])
        if request.method == "POST" and session_id not in self.sessions:
            return JSONResponse(
                {"code": "session_not_found", "message": "No such session.", "retryable": False},
                status_code=404,
            )
        self.sessions.add(session_id)
        turn_id = body["turn_id"]
        if turn_id not in self.turns:
            self.turns[turn_id] = ScriptedTurn()
            self._tasks.create_task(self._run(turn_id, session_id))
        return self._sse(turn_id)

    async def _resume(self, request: Request) -> Response:
        await self._note(request)
        after = int(request.headers["last-event-id"].rpartition(":")[2])
        return self._sse(request.path_params["turn_id"], after)

    async def _turn_call(self, request: Request) -> Response:
        await self._note(request)
        turn = self.turns.get(request.path_params["turn_id"])
        if turn is None:
            return JSONResponse(
                {"code": "turn_not_found", "message": "No such turn.", "retryable": False},
                status_code=404,
            )
        if request.method == "DELETE":
            turn.over = True
            turn.changed.set()
        return JSONResponse({})

    async def _open_session(self, request: Request) -> Response:
        await self._note(request)
        if request.path_params["flow_id"] == "missing":
            return JSONResponse(
                {"code": "flow_not_found", "message": "No such flow.", "retryable": False},
                status_code=404,
            )
        session_id = f"s{len(self.sessions) + 1}"
        self.sessions.add(session_id)
        return JSONResponse(
            {"session_id": session_id, "flow_version": 1, "greeting": self.greeting},
            status_code=201,
        )

    @contextlib.asynccontextmanager
    async def serve(self, port: int = 0) -> AsyncIterator[ScriptedBackend]:
        """Listens on a port, free by default; leaving the block cuts every connection."""
        flow = "/api/flows/{flow_id}"
        turns = flow + "/sessions/{session_id}/turns"
        app = Starlette(
            routes=[
                Route(flow + "/sessions", self._open_session, methods=["POST"]),
                Route(flow + "/stream/{session_id}", self._turn, methods=["GET"]),
                Route(turns, self._turn, methods=["POST"]),
                Route(turns + "/{turn_id}/events", self._resume, methods=["GET"]),
                Route(turns + "/{turn_id}/{call}", self._turn_call, methods=["POST"]),
                Route(turns + "/{turn_id}", self._turn_call, methods=["DELETE"]),
            ]
        )
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", port))
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
            async with asyncio.TaskGroup() as self._tasks:
                serving = self._tasks.create_task(server.serve(sockets=[listener]))
                try:
                    yield self
                finally:
                    server.should_exit = server.force_exit = True
                    for connection in list(server.server_state.connections):
                        connection.transport.abort()  # type: ignore[union-attr]  # uvicorn's own
                    await serving
                    for turn in self.turns.values():
                        turn.over = True
                        turn.changed.set()
                    self.release.set()
