"""The worker and the LiveKit server are killed or stopped in the middle of a call."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
import pytest_asyncio

from bench.caller import Audio, Caller
from bench.local_stack import Backend, LocalStack, Process, free_port
from bench.remote_model import RemoteModel
from bench.voice import spoken
from stack import livekit_server
from tests.e2e.test_voice import answer_to

pytestmark = [
    pytest.mark.asyncio(loop_scope="session"),
    pytest.mark.slow,
    # LiveKit's library has let go of a track by itself when a killed server's room ends.
    pytest.mark.filterwarnings(
        "ignore:Exception ignored in. <function FfiHandle:pytest.PytestUnraisableExceptionWarning"
    ),
]

STOPPED_S = 4.0


class Rooms:
    """LiveKit in a process of its own, with a backend."""

    def __init__(self, stack: LocalStack, livekit: Process, backend: Backend) -> None:
        self.stack = stack
        self.livekit = livekit
        self.backend = backend
        self.livekit_http = stack.livekit_url.replace("ws", "http", 1)

    async def worker(self) -> Process:
        return await self.stack.worker(self.backend.url, agent_name="parley")

    def call(self) -> AbstractAsyncContextManager[Caller]:
        room = f"room-{uuid.uuid4().hex[:8]}"
        stack = self.stack
        return Caller.join(stack.livekit_url, stack.key, stack.secret, room, agent_name="parley")


def configuration(stack: LocalStack, port: int) -> str:
    """JSON is YAML, too."""
    rtc = {
        "udp_port": free_port(socket.SOCK_DGRAM),
        "tcp_port": free_port(),
        "node_ip": "127.0.0.1",
        "use_external_ip": False,
        "enable_loopback_candidate": True,
        "interfaces": {"includes": ["lo"]},
    }
    keys = {stack.key: stack.secret}
    return json.dumps({"port": port, "bind_addresses": ["127.0.0.1"], "rtc": rtc, "keys": keys})


@pytest_asyncio.fixture(loop_scope="session")
async def rooms() -> AsyncIterator[Rooms]:
    with tempfile.TemporaryDirectory(prefix="parley-") as folder:
        stack = LocalStack(Path(folder))
        port = stack.livekit_url.rpartition(":")[2]
        livekit = Process(
            "livekit",
            [str(livekit_server.find_or_build(lambda _: None))],
            {"LIVEKIT_CONFIG": configuration(stack, int(port))},
            stack.folder / "livekit.log",
        )
        stack.processes.append(livekit)
        try:
            await livekit.start(f"http://127.0.0.1:{port}")
            async with RemoteModel("Paris is the capital of France.").serve() as model:
                yield Rooms(stack, livekit, await stack.backend(model))
        finally:
            for process in reversed(stack.processes):
                await process.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def question() -> Audio:
    (speech,) = await spoken(["What is the capital of France?"])
    return speech


async def test_a_killed_worker_leaves_and_the_next_call_is_taken(
    rooms: Rooms, question: Audio
) -> None:
    worker = await rooms.worker()
    async with rooms.call() as caller:
        await caller.until_connected()
        await caller.speak(question)
        await worker.kill()
        async with asyncio.timeout(60):
            await caller.agent_left.wait()
    await rooms.worker()
    async with rooms.call() as caller:
        await caller.until_connected()
        await answer_to(caller, question)


async def test_a_call_goes_on_when_the_worker_was_stopped(rooms: Rooms, question: Audio) -> None:
    worker = await rooms.worker()
    async with rooms.call() as caller:
        await caller.until_connected()
        await answer_to(caller, question)
        os.killpg(worker.pid, signal.SIGSTOP)
        await asyncio.sleep(STOPPED_S)
        os.killpg(worker.pid, signal.SIGCONT)
        await answer_to(caller, question)


@pytest.mark.parametrize("how", ["killed", "stopped"])
async def test_livekit_fails_and_calls_are_taken_again(
    rooms: Rooms, question: Audio, how: str
) -> None:
    worker = await rooms.worker()
    async with rooms.call() as caller:
        await caller.until_connected()
        await answer_to(caller, question)
        if how == "killed":
            await rooms.livekit.kill()
            registrations = worker.log.read_text().count("registered worker")
            await rooms.livekit.start(rooms.livekit_http)
            while worker.log.read_text().count("registered worker") == registrations:  # noqa: ASYNC110 - a log is read
                await asyncio.sleep(0.1)
        else:
            os.killpg(rooms.livekit.pid, signal.SIGSTOP)
            await asyncio.sleep(STOPPED_S)
            os.killpg(rooms.livekit.pid, signal.SIGCONT)
            await answer_to(caller, question)
    async with rooms.call() as caller:
        await caller.until_connected()
        await answer_to(caller, question)
