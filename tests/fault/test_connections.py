"""The backend stops for a while, its peers vanish without a word, and files run out."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from agent_worker.flow_executor import FlowExecutor, StreamLimits
from flow_backend import server
from flow_backend.llm.scripted import Reply, ScriptedProvider
from protocol.events import Done, Event, Token
from tests.fault.relay import Relay
from tests.fault.test_backend_killed import Process, backend
from tests.fault.test_database_fails import ANSWER, add_talk, local
from tests.integration.backend_server import serve_backend
from tests.scripted_llm import ScriptedLLM

STOPPED_S = 4.0


@asynccontextmanager
async def talking(
    folder: Path, hold_after: int | None
) -> AsyncIterator[tuple[Process, ScriptedLLM]]:
    script = ScriptedLLM(ANSWER, piece_s=0.0, hold_after=hold_after)
    async with script.serve() as model, backend(folder, **local(model)) as process:
        await add_talk(process)
        yield process, model


@pytest.mark.slow
@pytest.mark.parametrize("how", ["backend stopped", "connection carries nothing"])
async def test_the_worker_goes_on_after_a_silence(tmp_path: Path, how: str) -> None:
    """It drops the connection, and resumes by another: nothing is lost or doubled."""
    async with (
        talking(tmp_path, 10) as (process, model),
        Relay.to(str(process.client.base_url).rstrip("/")) as relay,
        FlowExecutor(
            "f", backend_url=relay.url, limits=StreamLimits(silence_s=1.0, resume_s=30, call_s=1.0)
        ) as executor,
    ):
        events: list[Event] = []
        turn = executor.turn("go", speculative=True)
        async for event in turn.events():
            events.append(event)
            if sum(isinstance(e, Token) for e in events) == 10 and not model.released.is_set():
                model.released.set()
                if how == "backend stopped":
                    process.signal(signal.SIGSTOP)
                    asyncio.get_running_loop().call_later(STOPPED_S, process.signal, signal.SIGCONT)
                    # Told while nobody listens, and told again until somebody does.
                    committing = asyncio.create_task(turn.commit())
                else:
                    await turn.commit()
                    committing = asyncio.create_task(asyncio.sleep(0))
                    relay.freeze()
        await committing
        assert relay.connections > 1
        assert "".join(e.content for e in events if isinstance(e, Token)) == ANSWER
        assert [e.seq for e in events] == list(range(1, len(events) + 1))
        assert isinstance(events[-1], Done)
        url = f"/api/flows/f/sessions/{executor.session_id}"
        state = (await process.client.get(url)).json()
        assert [e["text"] for e in state["transcript"]] == ["go", ANSWER]


async def test_a_reader_that_takes_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SILENT_S", 1)
    long = [Reply(say=["word " * 1000] * 1200)]
    async with serve_backend(ScriptedProvider(long)) as running:
        url = httpx.URL(running.url)
        small = socket.socket()
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        small.connect((url.host, url.port))
        reader, writer = await asyncio.open_connection(sock=small, limit=1024)
        writer.write(
            b"GET /api/flows/default/stream/s?input=hi&turn_id=t HTTP/1.1\r\n"
            b"Host: 127.0.0.1\r\n\r\n"
        )
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200"), head
        session = await running.app.state.engine.session("default", "s")
        turn = await session.turn("t")
        async with asyncio.timeout(30):
            await turn.over.wait()
            while turn.stream.readers:  # noqa: ASYNC110 # the kernel ends it
                await asyncio.sleep(0.05)
        writer.transport.abort()


async def test_connections_beyond_the_files_are_refused_and_later_served(tmp_path: Path) -> None:
    async with talking(tmp_path, 10) as (process, model):
        assert process._process is not None
        pid = process._process.pid
        soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        opened = []
        events = []
        async for event in process.events("t1"):
            events.append(event)
            if [e["type"] for e in events].count("token") == 10 and not opened:
                resource.prlimit(pid, resource.RLIMIT_NOFILE, (128, hard))
                opened = [await _connect(process) for _ in range(70)]
                async with httpx.AsyncClient(base_url=process.client.base_url) as client:
                    refused = await client.get("/healthz")
                assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
                assert refused.headers["retry-after"] == "2"
                model.released.set()
        # What was under way went on.
        assert (events[-1]["type"], events[-1]["content"]) == ("done", ANSWER)
        model.hold_after = None
        # None is left: the machine holds connections back until there is room.
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (len(os.listdir(f"/proc/{pid}/fd")), hard))
        waiting = asyncio.create_task(_get(process))
        opened.append(await _connect(process))
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))
        for writer in opened:
            writer.close()
        assert await waiting == 200
        assert (await process.turn("t2"))[-1]["content"] == ANSWER


async def _connect(process: Process) -> asyncio.StreamWriter:
    url = process.client.base_url
    _, writer = await asyncio.open_connection(url.host, url.port)
    return writer


async def _get(process: Process) -> int:
    """Asks until it is answered, as clients do whose connection was not taken."""
    async with httpx.AsyncClient(base_url=process.client.base_url, timeout=5) as client:
        while True:
            try:
                status = (await client.get("/healthz")).status_code
            except httpx.TransportError:
                status = 0
            if status == 200:
                return status
            await asyncio.sleep(0.2)
