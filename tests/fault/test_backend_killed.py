"""The backend is killed in the middle of things and started again."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from httpx_sse import aconnect_sse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from stack.ports import free_port
from tests.integration.backend_server import serve_app
from tests.scripted_llm import ScriptedLLM

ALWAYS = {"condition_type": "always"}
SAY = {"text": "Booked {{ number }}.", "wait_for_input": True}


class Process:
    """A backend in a process of its own."""

    def __init__(self, folder: Path, settings: dict[str, str]) -> None:
        self.port = free_port()
        self._folder = folder
        self._settings = settings
        self._process: asyncio.subprocess.Process | None = None
        self.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{self.port}", timeout=20)

    async def start(self) -> None:
        environment = {
            **os.environ,
            "BACKEND_PORT": str(self.port),
            "DATABASE_URL": f"sqlite:///{self._folder}/parley.db",
            "HTTP_ALLOWED_HOSTS": "127.0.0.1",
            "LLM": "scripted",
            **self._settings,
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
        await self.stop(signal.SIGKILL)

    async def stop(self, how: signal.Signals) -> None:
        self.signal(how)
        await self.ended()

    async def ended(self) -> int:
        """Waits for its end; gives the exit code."""
        assert self._process is not None
        return await self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    async def add_booking_flow(self, url: str) -> None:
        data = {"method": "POST", "url": url, "response": {"number": "/number"}, "retries": 5}
        await self.add_flow(
            [
                {"id": "book", "type": "http", "data": data},
                {"id": "say", "type": "say", "data": SAY},
            ],
            [("start", "book"), ("book", "say"), ("say", "say")],
        )

    async def add_flow(self, nodes: list[dict[str, Any]], edges: list[tuple[str, str]]) -> None:
        document = {
            "id": "f",
            "nodes": [{"id": "start", "type": "start"}, *nodes],
            "edges": [
                {"id": f"e{number}", "source": source, "target": target, "data": ALWAYS}
                for number, (source, target) in enumerate(edges)
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

    async def events(
        self, turn_id: str, *, after: int | None = None, session: str = "s", flow: str = "f"
    ) -> AsyncIterator[dict[str, Any]]:
        """A turn's events as they come: a new turn's, or those after one."""
        url, params = f"/api/flows/{flow}/stream/{session}", {"input": "go", "turn_id": turn_id}
        if after is not None:
            url = f"/api/flows/{flow}/sessions/{session}/turns/{turn_id}/events"
            params = {"after": str(after)}
        async with aconnect_sse(self.client, "GET", url, params=params) as source:
            async for event in source.aiter_sse():
                yield json.loads(event.data)


@asynccontextmanager
async def backend(folder: Path, **settings: str) -> AsyncIterator[Process]:
    process = Process(folder, settings)
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
            assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
            assert [e["type"] for e in events].count("waiting_for_commit") == 1
        assert events[-1]["content"] == "Booked 1."
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
        events = await process.turn("t1")
        assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
        assert events[-1]["content"] == "Booked 1."
    assert len(bookings.by_key) == 1
    assert len(bookings.calls) == 2


@pytest.mark.parametrize(
    ("stop", "llm"),
    [(signal.SIGKILL, "local"), (signal.SIGTERM, "local"), (signal.SIGKILL, "openai")],
)
async def test_an_answer_goes_on_from_its_last_token(
    tmp_path: Path, stop: signal.Signals, llm: str
) -> None:
    """Also when the reader has seen tokens that had not reached the database.

    One model is given the beginning of its answer; the other is told and repeats it all.
    """
    answer = " ".join(f"word{number}" for number in range(40))
    script = ScriptedLLM(answer, piece_s=0.0, hold_after=25)
    async with script.serve() as model, backend(
        tmp_path, LLM=llm, LOCAL_LLM_URL=model.url, LOCAL_LLM_MODEL="scripted",
        OPENAI_BASE_URL=model.url,
    ) as process:  # fmt: skip
        await process.add_flow(
            [{"id": "talk", "type": "conversation", "data": {"instructions": "Count."}}],
            [("start", "talk")],
        )
        seen: list[dict[str, Any]] = []
        with contextlib.suppress(httpx.TransportError):
            async for event in process.events("t1"):
                seen.append(event)
                if [e["type"] for e in seen].count("token") == 25:
                    await process.stop(stop)
        assert seen[-1]["type"] == "token"
        model.hold_after = None
        await process.start()
        rest = [event async for event in process.events("t1", after=seen[-1]["seq"])]
        events = seen + rest
        assert [e["seq"] for e in events] == list(range(1, len(events) + 1))
        assert "".join(e["content"] for e in events if e["type"] == "token") == answer
        assert (events[-1]["type"], events[-1]["content"]) == ("done", answer)
        told = [m["content"] for m in model.prompts[-1] if m["role"] == "assistant"]
        assert told == [" ".join(answer.split()[:25])]
        assert [event async for event in process.events("t1", after=0)] == events
        state = (await process.client.get("/api/flows/f/sessions/s")).json()
        assert [e["text"] for e in state["transcript"]] == ["go", answer]


async def test_a_turn_that_nobody_comes_back_for_keeps_what_it_had_said(tmp_path: Path) -> None:
    script = ScriptedLLM("one two three", piece_s=0.0, hold_after=2)
    async with script.serve() as model, backend(
        tmp_path, LLM="local", LOCAL_LLM_URL=model.url, LOCAL_LLM_MODEL="scripted"
    ) as process:  # fmt: skip
        await process.add_flow(
            [{"id": "talk", "type": "conversation", "data": {"instructions": "Count."}}],
            [("start", "talk")],
        )
        with contextlib.suppress(httpx.TransportError):
            async for event in process.events("t1"):
                if event.get("content") == " two":
                    await process.stop(signal.SIGKILL)
        await process.start()
        model.hold_after = None
        answer = [event async for event in process.events("t2")]
        assert answer[-1]["content"] == "one two three"
        state = (await process.client.get("/api/flows/f/sessions/s")).json()
        told = [(e["text"], e["interrupted"]) for e in state["transcript"]]
        assert told == [("go", False), ("one two", True), ("go", False), ("one two three", False)]
