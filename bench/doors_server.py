"""The backend that `bench.doors` asks: scripted answers, the real voice, a process of its own.

On SIGUSR1 it prints what its memory is used for, as JSON.
"""

from __future__ import annotations

import asyncio
import gc
import json
import signal
import socket
import sys
import tempfile
from collections import deque
from collections.abc import AsyncGenerator
from dataclasses import asdict
from typing import ClassVar

import numpy as np
import uvicorn
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send
from typing_extensions import override

from flow_backend.app import create_app
from flow_backend.llm.base import LLMProvider
from flow_backend.llm.scripted import Reply, ScriptedProvider
from flow_backend.settings import BackendSettings
from protocol.heap import heap
from speech.chunk import SpeechChunk
from speech.tts.base import TTSProvider, Voice

ANSWER = (
    "The tides follow the moon. High water comes about twice a day, and a little later each time. "
    "The sun helps too, but much less than the moon does."
)
TOKEN_S = 0.01
"""Between two words of the answer."""


class OneModel:
    """The scripted model under every name."""

    def __init__(self, token_s: float) -> None:
        self._provider = ScriptedProvider(
            [
                Reply(purpose="corrections", times=None, data={"corrections": []}),
                Reply(purpose="vocabulary", times=None, data={"words": []}),
                Reply(say=ANSWER, times=None, delay_s=token_s),
            ]
        )
        # Prompts that are kept for tests would count as the backend's memory.
        self._provider.requests = deque(maxlen=1)

    async def get(self, reference: str = "default") -> LLMProvider:
        """The one model there is."""
        return self._provider


class Silence(TTSProvider):
    """Says nothing, for a tenth of a second."""

    name: ClassVar[str] = "silence"
    label: ClassVar[str] = "Silence"
    native_rate_hz = 24_000

    @override
    async def stream(
        self, text: str, *, voice: str | None = None, speed: float = 1.0
    ) -> AsyncGenerator[SpeechChunk, None]:
        yield SpeechChunk(np.zeros(2_400, np.int16), 24_000, (), last=True)

    @override
    async def voices(self) -> list[Voice]:
        return []


async def _tell(app: FastAPI, sessions_go: bool) -> None:
    """Prints `heap`, after sessions that nobody uses have left the memory if they are to."""
    engine = app.state.engine
    if sessions_go:
        for key, session in list(engine._sessions.items()):
            await engine._let_go(key, session)
    gc.collect()
    sys.stdout.write(json.dumps(asdict(heap())) + "\n")
    sys.stdout.flush()


class Telling:
    """The app, with its memory told on signals: SIGUSR1; and SIGUSR2 without its sessions."""

    def __init__(self, app: FastAPI, *, silent: bool) -> None:
        self._app = app
        self._silent = silent
        self._tasks: set[asyncio.Task[None]] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Passes everything on."""
        if scope["type"] == "lifespan":
            loop = asyncio.get_running_loop()
            for number in (signal.SIGUSR1, signal.SIGUSR2):
                loop.add_signal_handler(number, self._signalled, number)
        elif self._silent:
            self._app.state.voices._made.setdefault("piper", Silence())
        await self._app(scope, receive, send)

    def _signalled(self, number: signal.Signals) -> None:
        task = asyncio.ensure_future(_tell(self._app, number == signal.SIGUSR2))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def main() -> None:
    """`python -m bench.doors_server CACHE_MB [silent]`: prints its port, then serves.

    `silent` answers at once, and without a voice: calls are long in a short time.
    """
    silent = "silent" in sys.argv
    with tempfile.TemporaryDirectory() as folder, socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        settings = BackendSettings(
            database_url=f"sqlite:///{folder}/parley.db",
            host="127.0.0.1",
            api_keys="auto",
            door_rate_limit="",
            address_concurrency=0,
            max_sockets=1_000,
            audio_cache_mb=int(sys.argv[1]),
        )
        app = create_app(settings, models=OneModel(0.0 if silent else TOKEN_S))
        server = uvicorn.Server(
            uvicorn.Config(
                Telling(app, silent=silent),
                log_level="error",
                access_log=False,
                ws_per_message_deflate=False,
            )
        )
        sys.stdout.write(f"{listener.getsockname()[1]}\n")
        sys.stdout.flush()
        server.run(sockets=[listener])


if __name__ == "__main__":
    main()
