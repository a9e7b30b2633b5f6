"""A real Redis on a free port, from Debian's packages."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stack.ports import free_port


class RedisServer:
    """A server that keeps nothing; it can be killed, stopped and started again."""

    def __init__(self, program: str, folder: Path) -> None:
        self._port = free_port()
        self._folder = folder
        self._program = program
        self._process: asyncio.subprocess.Process | None = None
        self.url = f"redis://127.0.0.1:{self._port}/0"

    async def start(self) -> None:
        """Returns when it takes connections."""
        self._process = await asyncio.create_subprocess_exec(
            self._program,
            *("--port", str(self._port), "--bind", "127.0.0.1"),
            *("--save", "", "--dir", str(self._folder)),
            stdout=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        while b"Ready to accept connections" not in await self._process.stdout.readline():
            pass

    def send(self, number: signal.Signals) -> None:
        """Sends a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def end(self, how: signal.Signals = signal.SIGTERM) -> None:
        """Returns when it has ended."""
        assert self._process is not None
        if self._process.returncode is None:
            self.send(how)
        await self._process.communicate()


@asynccontextmanager
async def redis_process(folder: Path) -> AsyncIterator[RedisServer]:
    """Starts a server; ends it, whatever became of it."""
    program = shutil.which("redis-server")
    if program is None:
        pytest.skip("redis-server is not installed")
    server = RedisServer(program, folder)
    await server.start()
    try:
        yield server
    finally:
        await server.end(signal.SIGKILL)


@asynccontextmanager
async def redis_server(folder: Path) -> AsyncIterator[str]:
    """Starts a server; gives its URL."""
    async with redis_process(folder) as server:
        yield server.url
