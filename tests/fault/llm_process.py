"""A language model's server in a process of its own, to be killed: `python -m …llm_process PORT`.

It says some words, and then one every now and then.
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from stack.ports import free_port
from tests.scripted_llm import ScriptedLLM

WORDS = 30
PIECE_S = 0.1
ANSWER = " ".join(f"word{number}" for number in range(WORDS))


class LLMProcess:
    """The server."""

    def __init__(self) -> None:
        self._port = free_port()
        self._process: asyncio.subprocess.Process | None = None
        self.url = f"http://127.0.0.1:{self._port}/v1"

    async def start(self) -> None:
        """Returns when it listens."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.fault.llm_process", str(self._port),
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert self._process.stdout is not None
        assert await self._process.stdout.readline() == b"ready\n"

    def send(self, number: signal.Signals) -> None:
        """Sends a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def kill(self) -> None:
        """Returns when it has ended."""
        assert self._process is not None
        if self._process.returncode is None:
            self.send(signal.SIGKILL)
        await self._process.communicate()


@asynccontextmanager
async def llm_process() -> AsyncIterator[LLMProcess]:
    """Starts one; ends it, whatever became of it."""
    server = LLMProcess()
    await server.start()
    try:
        yield server
    finally:
        await server.kill()


async def _serve(port: int) -> None:
    async with ScriptedLLM(ANSWER, piece_s=PIECE_S, port=port).serve():
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
