"""A backend that is asked to stop lets what runs end, says so, and ends with exit code 0."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.fault.test_backend_killed import Process, backend
from tests.scripted_llm import ScriptedLLM

ANSWER = "one two three four"
TALK = {"id": "talk", "type": "conversation", "data": {"instructions": "Count."}}


@asynccontextmanager
async def talking(folder: Path, drain_s: float) -> AsyncIterator[tuple[Process, ScriptedLLM]]:
    """A backend whose model says two words and waits."""
    async with (
        ScriptedLLM(ANSWER, piece_s=0.0, hold_after=2).serve() as model,
        backend(
            folder,
            LLM="local",
            LOCAL_LLM_URL=model.url,
            LOCAL_LLM_MODEL="scripted",
            BACKEND_DRAIN_S=str(drain_s),
        ) as process,
    ):
        await process.add_flow([TALK], [("start", "talk")])
        yield process, model


async def draining(process: Process) -> None:
    """Asks it to stop, and returns when it says that it does."""
    process.signal(signal.SIGTERM)
    while (answer := await process.client.get("/readyz")).status_code != 503:
        pass
    assert answer.json()["status"] == "draining"


async def test_an_answer_ends_before_the_process_does(tmp_path: Path) -> None:
    async with talking(tmp_path, drain_s=120) as (process, model):
        seen: list[dict[str, Any]] = []
        async for event in process.events("t1"):
            seen.append(event)
            if event.get("content") == " two":
                await draining(process)
                assert (await process.client.get("/healthz")).status_code == 200
                refused = await process.client.get("/api/flows/f/stream/s2", params={"input": "x"})
                assert refused.status_code == 503
                assert refused.json()["code"] == "backend_unavailable"
                assert int(refused.headers["Retry-After"]) >= 1
                with pytest.raises(InvalidStatus) as caught:
                    await connect(f"ws://127.0.0.1:{process.port}/ws", proxy=None)
                assert caught.value.response.status_code == 503
                # What belongs to the turn is served.
                turn = "/api/flows/f/sessions/s/turns/t1"
                assert (await process.client.post(f"{turn}/commit")).status_code == 204
                model.released.set()
        assert (seen[-1]["type"], seen[-1]["content"]) == ("done", ANSWER)
        assert await process.ended() == 0
        with pytest.raises(httpx.TransportError):
            await process.client.get("/healthz")


async def test_the_deadline_ends_what_does_not_end(tmp_path: Path) -> None:
    async with talking(tmp_path, drain_s=0.2) as (process, model):
        seen: list[dict[str, Any]] = []
        async with connect(f"ws://127.0.0.1:{process.port}/ws", proxy=None) as socket:
            with contextlib.suppress(httpx.TransportError):
                async for event in process.events("t1"):
                    seen.append(event)
                    if event.get("content") == " two":
                        process.signal(signal.SIGTERM)
            assert seen[-1]["content"] == " two"
            with pytest.raises(ConnectionClosed) as closed:
                await socket.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1012
        assert await process.ended() == 0
        model.hold_after = None
        await process.start()
        seen += [event async for event in process.events("t1", after=len(seen))]
        assert [event["seq"] for event in seen] == list(range(1, len(seen) + 1))
        assert (seen[-1]["type"], seen[-1]["content"]) == ("done", ANSWER)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_idle_one_ends_at_once_and_a_second_signal_ends_a_busy_one(
    tmp_path: Path, number: signal.Signals
) -> None:
    async with talking(tmp_path, drain_s=600) as (process, _):
        process.signal(number)
        assert await process.ended() == 0
        await process.start()
        async with connect(f"ws://127.0.0.1:{process.port}/ws", proxy=None):
            await draining(process)
            process.signal(number)
            assert await process.ended() == 0
