"""One of two backends is killed or stopped in the middle of things; the other goes on."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.fault.test_backend_killed import SAY, Bookings, Process, backend
from tests.integration.backend_server import serve_app
from tests.integration.postgres import postgres
from tests.integration.redis_server import redis_server
from tests.scripted_llm import ScriptedLLM

pytestmark = pytest.mark.slow

ANSWER = " ".join(f"word{number}" for number in range(40))


@asynccontextmanager
async def replicas(folder: Path, **settings: str) -> AsyncIterator[tuple[Process, Process]]:
    with postgres() as database_url:
        async with redis_server(folder) as redis_url:
            shared = {
                "DATABASE_URL": database_url, "REDIS_URL": redis_url, "REPLICA_LEASE_S": "1.5",
                **settings,
            }  # fmt: skip
            async with backend(folder, **shared) as one, backend(folder, **shared) as other:
                yield one, other


def local(model: ScriptedLLM) -> dict[str, str]:
    return {"LLM": "local", "LOCAL_LLM_URL": model.url, "LOCAL_LLM_MODEL": "scripted"}


async def add_talk(process: Process) -> None:
    await process.add_flow(
        [{"id": "talk", "type": "conversation", "data": {"instructions": "Count."}}],
        [("start", "talk")],
    )


@pytest.mark.parametrize(
    ("how", "reads_at_the_other"),
    [(signal.SIGKILL, False), (signal.SIGKILL, True), (signal.SIGTERM, False)],
)
async def test_the_other_goes_on_with_the_answer(
    tmp_path: Path, how: signal.Signals, reads_at_the_other: bool
) -> None:
    """Nothing is lost or doubled, wherever the reader was."""
    script = ScriptedLLM(ANSWER, piece_s=0.0, hold_after=25)
    async with script.serve() as model, replicas(tmp_path, **local(model)) as (one, other):
        await add_talk(one)
        # The session is the first replica's; a turn through the other one runs there, too.
        opened = await one.client.post("/api/flows/f/sessions", json={})
        session = opened.json()["session_id"]
        seen: list[dict[str, Any]] = []
        begun_at = other if reads_at_the_other else one
        with contextlib.suppress(httpx.TransportError):
            async for event in begun_at.events("t1", session=session):
                seen.append(event)
                if [e["type"] for e in seen].count("token") == 25:
                    model.hold_after = None
                    await one.stop(how)
        if not reads_at_the_other:
            assert seen[-1]["type"] == "token"
            seen += [e async for e in other.events("t1", after=seen[-1]["seq"], session=session)]
        assert [e["seq"] for e in seen] == list(range(1, len(seen) + 1))
        assert "".join(e["content"] for e in seen if e["type"] == "token") == ANSWER
        assert (seen[-1]["type"], seen[-1]["content"]) == ("done", ANSWER)
        assert [e async for e in other.events("t1", after=0, session=session)] == seen
        state = (await other.client.get(f"/api/flows/f/sessions/{session}")).json()
        assert [e["text"] for e in state["transcript"]] == ["go", ANSWER]
        await one.start()
        again = [e async for e in one.events("t2", session=session)]
        assert again[-1]["content"] == ANSWER


async def test_an_effect_under_way_happens_once(tmp_path: Path) -> None:
    bookings = Bookings()
    async with serve_app(bookings.app) as url, replicas(tmp_path) as (one, other):
        data = {"method": "POST", "url": f"{url}/book", "response": {"number": "/number"}}
        await one.add_flow(
            [{"id": "book", "type": "http", "data": data}, {"id": "s", "type": "say", "data": SAY}],
            [("start", "book"), ("book", "s"), ("s", "s")],
        )
        seen: list[dict[str, Any]] = []
        with contextlib.suppress(httpx.TransportError):
            async for event in one.events("t1"):
                seen.append(event)
                if event.get("node_type") == "http":
                    await bookings.arrived.wait()
                    await one.stop(signal.SIGKILL)
        bookings.answers.set()
        seen += [event async for event in other.events("t1", after=len(seen))]
        assert [e["seq"] for e in seen] == list(range(1, len(seen) + 1))
        assert seen[-1]["content"] == "Booked 1."
    assert len(bookings.by_key) == 1


async def test_one_that_is_stopped_and_wakes_up_writes_nothing(tmp_path: Path) -> None:
    """SIGSTOP, the other goes on, SIGCONT: the first finds its session gone."""
    script = ScriptedLLM(ANSWER, piece_s=0.0, hold_after=10)
    async with script.serve() as model, replicas(tmp_path, **local(model)) as (one, other):
        await add_talk(one)
        seen: list[dict[str, Any]] = []
        async for event in one.events("t1"):
            seen.append(event)
            if [e["type"] for e in seen].count("token") == 10:
                break
        one.signal(signal.SIGSTOP)
        model.hold_after = None
        seen += [event async for event in other.events("t1", after=len(seen))]
        one.signal(signal.SIGCONT)
        model.released.set()
        assert "".join(e["content"] for e in seen if e["type"] == "token") == ANSWER
        assert [event async for event in one.events("t1", after=0)] == seen
        for process in (one, other):
            state = (await process.client.get("/api/flows/f/sessions/s")).json()
            assert [e["text"] for e in state["transcript"]] == ["go", ANSWER]
