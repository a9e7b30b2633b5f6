"""PostgreSQL is killed, stopped and restarted in the middle of a turn; the backend goes on."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import Any

import pytest

from tests.fault.test_backend_killed import Bookings, Process, backend
from tests.fault.waiting import until_ready, until_unready
from tests.integration.backend_server import serve_app
from tests.integration.postgres import PostgresServer, postgres_server
from tests.scripted_llm import ScriptedLLM

ANSWER = " ".join(f"word{number}" for number in range(40))


def local(model: ScriptedLLM) -> dict[str, str]:
    return {"LLM": "local", "LOCAL_LLM_URL": model.url, "LOCAL_LLM_MODEL": "scripted"}


async def add_talk(process: Process) -> None:
    await process.add_flow(
        [{"id": "talk", "type": "conversation", "data": {"instructions": "Count."}}],
        [("start", "talk")],
    )


async def fail(server: PostgresServer, how: str, process: Process) -> None:
    """The server fails, is seen to have failed, and is there again."""
    if how == "stopped":
        server.signal(signal.SIGSTOP)
        await until_unready(process.client)
        server.signal(signal.SIGCONT)
        return
    await asyncio.to_thread(server.kill if how == "killed" else lambda: server.stop("fast"))
    await until_unready(process.client)
    await asyncio.to_thread(server.start)


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    "how",
    ["killed", pytest.param("stopped", marks=SLOW), pytest.param("restarted", marks=SLOW)],
)
async def test_an_answer_goes_on_while_the_database_is_gone(tmp_path: Path, how: str) -> None:
    script = ScriptedLLM(ANSWER, piece_s=0.0, hold_after=10)
    with postgres_server() as server:
        async with script.serve() as model, backend(
            tmp_path, DATABASE_URL=server.url, **local(model)
        ) as process:  # fmt: skip
            await add_talk(process)
            events: list[dict[str, Any]] = []
            async for event in process.events("t1"):
                events.append(event)
                if [e["type"] for e in events].count("token") == 10:
                    model.hold_after = None
                    # The rest comes while the database is gone.
                    failing = asyncio.create_task(fail(server, how, process))
                    model.released.set()
            await failing
            assert "".join(e["content"] for e in events if e["type"] == "token") == ANSWER
            ends = [e["type"] for e in events if e["type"] in ("done", "error", "cancelled")]
            assert ends == ["done"]
            await until_ready(process.client)
            assert [e async for e in process.events("t1", after=0)] == events
            again = [event async for event in process.events("t2")]
            assert again[-1]["content"] == ANSWER
            # What the database holds is what a new process finds.
            await process.kill()
            await process.start()
            assert [e async for e in process.events("t1", after=0)] == events
            state = (await process.client.get("/api/flows/f/sessions/s")).json()
            assert [e["text"] for e in state["transcript"]] == ["go", ANSWER] * 2


@SLOW
@pytest.mark.parametrize("how", ["killed", "stopped"])
async def test_an_effect_under_way_happens_once(tmp_path: Path, how: str) -> None:
    bookings = Bookings()
    with postgres_server() as server:
        async with (
            serve_app(bookings.app) as url,
            backend(tmp_path, DATABASE_URL=server.url) as process,
        ):
            await process.add_booking_flow(f"{url}/book")
            reading = asyncio.ensure_future(process.turn("t1"))
            await bookings.arrived.wait()
            bookings.answers.set()
            await fail(server, how, process)
            events = await reading
            assert events[-1]["content"] == "Booked 1."
            assert len(bookings.calls) == 1
            await process.kill()
            await process.start()
            assert await process.turn("t1") == events
        assert len(bookings.calls) == 1


@SLOW
async def test_calls_are_refused_politely_while_the_database_is_gone(tmp_path: Path) -> None:
    script = ScriptedLLM("One two.", piece_s=0.0)
    with postgres_server() as server:
        async with script.serve() as model, backend(
            tmp_path, DATABASE_URL=server.url, **local(model)
        ) as process:  # fmt: skip
            await add_talk(process)
            assert (await process.turn("t1"))[-1]["type"] == "done"
            await asyncio.to_thread(server.kill)
            for path in ("/api/flows/f/sessions", "/api/flows/other/sessions"):
                refused = await process.client.post(path, json={})
                told = refused.json()
                assert (refused.status_code, told["code"]) == (503, "database_unavailable")
                assert told["retryable"]
                assert int(refused.headers["retry-after"]) >= 1
            await until_unready(process.client)
            assert (await process.client.get("/healthz")).status_code == 200
            await asyncio.to_thread(server.start)
            await until_ready(process.client)
            assert (await process.turn("t2"))[-1]["type"] == "done"
            state = (await process.client.get("/api/flows/f/sessions/s")).json()
            assert [e["text"] for e in state["transcript"]] == ["go", "One two."] * 2
