"""A language model as a hosted one is reached: OpenAI's API over HTTP, one answer, at its pace."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import uvicorn
from fastapi import FastAPI
from fastapi.responses import Response, StreamingResponse


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """Answers every chat with the same words."""

    answer: str
    first_s: float = 0.2
    """Until the first word."""
    piece_s: float = 0.013
    """Between two words: about 100 tokens a second."""
    away: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is set, questions get 503."""
    cut_off: asyncio.Queue[float] = field(default_factory=asyncio.Queue)
    """When connections were closed before the end of an answer, by `time.perf_counter`."""

    @contextlib.asynccontextmanager
    async def serve(self) -> AsyncIterator[dict[str, str]]:
        """Listens on a free port of loopback; gives the settings of a backend that asks it."""
        app = FastAPI()

        @app.post("/v1/chat/completions")
        async def chat() -> Response:
            if self.away.is_set():
                return Response(status_code=503)
            return StreamingResponse(self._events(), media_type="text/event-stream")

        with socket.socket() as listener:
            listener.bind(("127.0.0.1", 0))
            port = listener.getsockname()[1]
            server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="off"))
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(server.serve(sockets=[listener]))
                try:
                    yield {
                        "LLM": "openai",
                        "OPENAI_BASE_URL": f"http://127.0.0.1:{port}/v1",
                        "OPENAI_API_KEY": "none",
                    }
                finally:
                    server.should_exit = server.force_exit = True

    async def _events(self) -> AsyncIterator[str]:
        try:
            await asyncio.sleep(self.first_s)
            for piece in re.findall(r"\s*\S+", self.answer):
                yield _event({"role": "assistant", "content": piece}, None)
                await asyncio.sleep(self.piece_s)
            yield _event({}, "stop")
            yield "data: [DONE]\n\n"
        except (asyncio.CancelledError, GeneratorExit):
            self.cut_off.put_nowait(time.perf_counter())
            raise


def _event(delta: dict[str, str], finish: str | None) -> str:
    chunk = {
        "id": "chat",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "remote",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return f"data: {json.dumps(chunk)}\n\n"
