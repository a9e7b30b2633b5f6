"""An OpenAI-compatible server that says what a test tells it to, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route


@dataclass
class ScriptedLLM:
    """Answers every chat with `answer`, word by word."""

    answer: str = "This is the scripted answer."
    piece_s: float = 0.005
    """Between two words."""
    first_s: float = 0.0
    """Before the first word."""
    down: bool = False
    """Refuse every chat with a 503."""
    cut_after: int | None = None
    """Drop the connection once, after so many words."""
    hold_after: int | None = None
    """Say so many words of an answer, then nothing until `released`."""
    released: asyncio.Event = field(default_factory=asyncio.Event)
    prompts: list[list[dict[str, Any]]] = field(default_factory=list)
    """Messages of every chat."""
    cut_off: int = 0
    """Answers that nobody waited for."""
    open_answers: int = 0
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    url: str = ""
    port: int = 0
    """0: any that is free."""

    async def until_cut_off(self, count: int) -> None:
        """Waits until so many answers were cut off in all."""
        async with self.changed:
            await self.changed.wait_for(lambda: self.cut_off >= count)

    async def until_asked(self, count: int) -> None:
        """Waits until so many chats have come in all."""
        async with self.changed:
            await self.changed.wait_for(lambda: len(self.prompts) >= count)

    async def _chat(self, request: Request) -> Response:
        body = await request.json()
        self.prompts.append(body["messages"])
        self._notify()
        if self.down:
            return JSONResponse({"error": {"message": "down"}}, status_code=503)
        last = body["messages"][-1]
        begun = last["content"] if last["role"] == "assistant" else ""
        return StreamingResponse(self._pieces(begun), media_type="text/event-stream")

    async def _pieces(self, begun: str) -> AsyncIterator[bytes]:
        """The answer, without a beginning that the prompt ends with."""
        self.open_answers += 1
        done = False
        try:
            await asyncio.sleep(self.first_s)
            for index, piece in enumerate(re.findall(r"\s*\S+", self.answer[len(begun) :])):
                if index == self.cut_after:
                    self.cut_after = None
                    raise ConnectionAbortedError("as the test wants it")
                if index == self.hold_after:
                    await self.released.wait()
                yield self._chunk({"role": "assistant", "content": piece}, None)
                await asyncio.sleep(self.piece_s)
            yield self._chunk({}, "stop")
            yield b"data: [DONE]\n\n"
            done = True
        finally:
            self.open_answers -= 1
            if not done:
                self.cut_off += 1
                self._notify()

    def _notify(self) -> None:
        async def notify() -> None:
            async with self.changed:
                self.changed.notify_all()

        self._tasks.create_task(notify())

    def _chunk(self, delta: dict[str, Any], finish: str | None) -> bytes:
        chunk = {
            "id": "chat-1",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "script",
            "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        }
        return f"data: {json.dumps(chunk)}\n\n".encode()

    async def _models(self, _: Request) -> Response:
        return JSONResponse({"object": "list", "data": [{"id": "script", "object": "model"}]})

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[ScriptedLLM]:
        """Listens on its port."""
        app = Starlette(
            routes=[
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
                Route("/v1/models", self._models, methods=["GET"]),
            ]
        )
        with socket.socket() as listener:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(("127.0.0.1", self.port))
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
            server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
            async with asyncio.TaskGroup() as self._tasks:
                serving = self._tasks.create_task(server.serve(sockets=[listener]))
                try:
                    while not server.started:  # noqa: ASYNC110 # uvicorn has no event for it
                        await asyncio.sleep(0.005)
                    yield self
                finally:
                    server.should_exit = server.force_exit = True
                    await serving
