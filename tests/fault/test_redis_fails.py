"""Redis is killed, stopped and restarted in the middle of a turn; the backends go on."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import pytest

from tests.fault.test_backend_killed import backend
from tests.fault.test_database_fails import ANSWER, add_talk, local
from tests.integration.postgres import postgres
from tests.integration.redis_server import RedisServer, redis_process
from tests.scripted_llm import ScriptedLLM

pytestmark = pytest.mark.slow


async def away(server: RedisServer, how: str) -> None:
    if how == "stopped":
        server.send(signal.SIGSTOP)
    else:
        await server.end(signal.SIGKILL if how == "killed" else signal.SIGTERM)


async def back(server: RedisServer, how: str) -> None:
    if how == "stopped":
        server.send(signal.SIGCONT)
    else:
        await server.start()


@pytest.mark.parametrize("how", ["killed", "stopped", "restarted"])
@pytest.mark.parametrize("reads_at_the_other", [False, True])
async def test_an_answer_goes_on(tmp_path: Path, how: str, reads_at_the_other: bool) -> None:
    """A reader at the replica with the session waits for nothing; one elsewhere, for Redis."""
    script = ScriptedLLM(ANSWER, piece_s=0.0, hold_after=10)
    with postgres() as database_url:
        async with redis_process(tmp_path) as server, script.serve() as model:
            shared = {"DATABASE_URL": database_url, "REDIS_URL": server.url, **local(model)}
            async with backend(tmp_path, **shared) as one, backend(tmp_path, **shared) as other:
                await add_talk(one)
                opened = await one.client.post("/api/flows/f/sessions", json={})
                session = opened.json()["session_id"]
                events: list[dict[str, Any]] = []
                reader = other if reads_at_the_other else one
                async for event in reader.events("t1", session=session):
                    events.append(event)
                    if [e["type"] for e in events].count("token") == 10:
                        model.hold_after = None
                        await away(server, how)
                        model.released.set()
                        if reads_at_the_other:
                            await back(server, how)
                assert "".join(e["content"] for e in events if e["type"] == "token") == ANSWER
                ends = [e["type"] for e in events if e["type"] in ("done", "error", "cancelled")]
                assert ends == ["done"]
                if not reads_at_the_other:
                    # A session that is here goes on; where a new one belongs, nobody knows.
                    again = [e async for e in one.events("t2", session=session)]
                    assert again[-1]["content"] == ANSWER
                    refused = await one.client.post("/api/flows/f/sessions", json={})
                    assert refused.status_code == 503
                    assert refused.json()["code"] == "backend_unavailable"
                    await back(server, how)
                for process in (one, other):
                    while (
                        await process.client.post("/api/flows/f/sessions", json={})
                    ).status_code == 503:
                        pass
                    turns = 1 if reads_at_the_other else 2
                    state = (await process.client.get(f"/api/flows/f/sessions/{session}")).json()
                    assert [e["text"] for e in state["transcript"]] == ["go", ANSWER] * turns
