"""The backend is killed in the middle of things and started again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from httpx_sse import aconnect_sse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from tests.integration.backend_server import serve_app
from tests.integration.free_port import free_port

ALWAYS = {"condition_type": "always"}
SAY = {"text": "Booked {{ number }}.", "wait_for_input": True}


class Process:
    """A backend in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=20)

    async def start(self) -> None:
        environment = {
            **os.environ,
            "BACKEND_PORT": str(self.port),
            "DATABASE_URL": f"sqlite:///{self._folder}/parley.db",
            "HTTP_ALLOWED_HOSTS": "127.0.0.1",
            "LLM": "scripted",
        }
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "flow_backend", env=environment,
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        while True:
            try:
                if (await self.client.get("/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                assert self._process.returncode is None, "the backend did not start"
                await asyncio.sleep(0.05)

    async def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        await self._process.wait()

    async def add_booking_flow(self, url: str) -> None:
        data = {"method": "POST", "url": url, "response": {"number": "/number"}, "retries": 5}
        document = {
            "id": "f",
            "nodes": [
                {"id": "start", "type": "start"},
                {"id": "book", "type": "http", "data": data},
                {"id": "say", "type": "say", "data": SAY},
            ],
            "edges": [
                {"id": "e0", "source": "start", "target": "book", "data": ALWAYS},
                {"id": "e1", "source": "book", "target": "say", "data": ALWAYS},
                {"id": "e2", "source": "say", "target": "say", "data": ALWAYS},
            ],
        }
        assert (await self.client.post("/api/flows", json=document)).status_code == 201
        assert (await self.client.post("/api/flows/f/publish")).status_code == 200

    async def turn(self, turn_id: str, **query: str) -> list[dict[str, Any]]:
        params = {"input": "go", "turn_id": turn_id, **query}
        async with aconnect_sse(
            self.client, "GET", "/api/flows/f/stream/s", params=params
        ) as source:
            return [json.loads(event.data) async for event in source.aiter_sse()]


@asynccontextmanager
async def backend(folder: Path) -> AsyncIterator[Process]:
    process = Process(folder)
    await process.start()
    try:
        yield process
    finally:
        await process.client.aclose()
        if process._process is not None and process._process.returncode is None:
            await process.kill()


class Bookings:
    """Books once for each idempotency key, as a receiver that honours keys does."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.by_key: dict[str, int] = {}
        self.arrived = asyncio.Event()
        self.answers = asyncio.Event()

    async def book(self, request: Request) -> JSONResponse:
        key = request.headers["idempotency-key"]
        self.calls.append(key)
        number = self.by_key.setdefault(key, len(self.by_key) + 1)
        self.arrived.set()
        await self.answers.wait()
        return JSONResponse({"number": number})

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[Route("/book", self.book, methods=["POST"])])


async def test_killed_between_commit_and_effect_books_once(tmp_path: Path) -> None:
    bookings = Bookings()
    bookings.answers.set()
    port = free_port()
    async with backend(tmp_path) as process:
        await process.add_booking_flow(f"http://127.0.0.1:{port}/book")
        params = {"input": "go", "turn_id": "t1", "speculative": "true"}
        async with aconnect_sse(
            process.client, "GET", "/api/flows/f/stream/s", params=params
        ) as source:
            async for event in source.aiter_sse():
                if json.loads(event.data)["type"] == "waiting_for_commit":
                    break
            committed = await process.client.post("/api/flows/f/sessions/s/turns/t1/commit")
            assert committed.status_code == 204
            await process.kill()
        assert bookings.calls == []
        async with serve_app(bookings.app, port=port):
            await process.start()
            await bookings.arrived.wait()
            events = await process.turn("t1")
            assert events[-1]["code"] == "stream_interrupted"
            assert events[-1]["retryable"] is True
            again = await process.turn("t2")
        assert again[-1]["content"] == "Booked 1."
    assert len(bookings.calls) == 1


async def test_killed_while_the_effect_is_under_way_books_once(tmp_path: Path) -> None:
    bookings = Bookings()
    async with serve_app(bookings.app) as url, backend(tmp_path) as process:
        await process.add_booking_flow(f"{url}/book")
        reading = asyncio.ensure_future(process.turn("t1"))
        await bookings.arrived.wait()
        await process.kill()
        await asyncio.wait((reading,))
        assert isinstance(reading.exception(), httpx.TransportError)
        bookings.arrived.clear()
        bookings.answers.set()
        await process.start()
        await bookings.arrived.wait()
        lost = await process.turn("t1")
        assert [e["seq"] for e in lost] == list(range(1, len(lost) + 1))
        assert lost[-1]["code"] == "stream_interrupted"
    assert len(bookings.by_key) == 1
    assert len(bookings.calls) == 2


async def test_a_reader_that_knows_more_than_the_journal_gets_an_end_without_gap(
    tmp_path: Path,
) -> None:
    bookings = Bookings()
    async with serve_app(bookings.app) as url, backend(tmp_path) as process:
        await process.add_booking_flow(f"{url}/book")
        reading = asyncio.ensure_future(process.turn("t1"))
        await bookings.arrived.wait()
        await process.kill()
        await asyncio.wait((reading,))
        bookings.answers.set()
        await process.start()
        async with aconnect_sse(
            process.client, "GET", "/api/flows/f/sessions/s/turns/t1/events", params={"after": 40}
        ) as source:
            rest = [json.loads(event.data) async for event in source.aiter_sse()]
        assert [(e["seq"], e["type"]) for e in rest] == [(41, "error")]
        state = (await process.client.get("/api/flows/f/sessions/s")).json()
        assert [e["text"] for e in state["transcript"]] == ["go"]
        assert reading.exception() is not None
