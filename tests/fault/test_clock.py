"""The machine's clock jumps in the middle of a turn, or differs from another machine's."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from flow_backend.engine import engine, session, turn
from flow_backend.llm.scripted import Reply, ScriptedProvider
from tests.integration.backend_server import serve_backend
from tests.integration.postgres import postgres
from tests.integration.redis_server import redis_server

DAY_S = 86_400.0


@pytest.mark.parametrize("jump_s", [DAY_S, -DAY_S])
async def test_sessions_turns_and_calls_in_them_go_on(
    jump_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    jumped = 0.0
    for module in (engine, session, turn):
        monkeypatch.setattr(module, "time", lambda: time.time() + jumped)
    async with serve_backend(["One two three."]) as backend:
        parts = backend.app.state.parts
        assert (await backend.turn("s", "hi", "t1", flow="default"))[-1]["type"] == "done"
        async with backend.open_turn("s", "and?", "t2", flow="default") as events:
            first = await anext(events)
            jumped = jump_s
            await backend.app.state.engine.sweep()
            await parts.writer.durable()
            rest = [event async for event in events]
        assert first["seq"] == 1
        assert (rest[-1]["type"], rest[-1]["content"]) == ("done", "One two three.")
        await backend.app.state.engine.sweep()
        state = await backend.state("s", flow="default")
        assert not state["ended"]
        assert [e["text"] for e in state["transcript"]] == [
            "hi", "One two three.", "and?", "One two three.",
        ]  # fmt: skip
        assert await backend.turn("s", "and?", "t2", flow="default") == [first, *rest]


@pytest.mark.parametrize("ahead_s", [300.0, -300.0])
async def test_a_replica_leaves_alone_what_only_its_clock_calls_lost_or_idle(
    ahead_s: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead = 0.0
    monkeypatch.setattr(engine, "time", lambda: time.time() + ahead)
    model = ScriptedProvider([Reply(say="One two three.", delay_s=0.05, times=None)])
    with postgres() as url:
        async with redis_server(tmp_path) as redis_url:
            settings = {"database_url": url, "redis_url": redis_url, "session_idle_s": 200.0}
            async with (
                serve_backend(model, **settings) as one,
                serve_backend(model, **settings) as other,
            ):
                assert (await one.turn("s", "hi", "t1", flow="default"))[-1]["type"] == "done"
                async with one.open_turn("s", "and?", "t2", flow="default") as events:
                    first = await anext(events)
                    await one.app.state.parts.writer.durable()
                    ahead = ahead_s
                    await other.app.state.engine.sweep()
                    ahead = 0.0
                    rest = [event async for event in events]
                assert (rest[-1]["type"], rest[-1]["content"]) == ("done", "One two three.")
                ahead = ahead_s
                await other.app.state.engine.sweep()
                ahead = 0.0
            # What the database holds is what a new process finds.
            async with serve_backend(model, **settings) as third:
                state = await third.state("s", flow="default")
                assert not state["ended"]
                assert [(e["text"], e["interrupted"]) for e in state["transcript"]] == [
                    ("hi", False), ("One two three.", False),
                    ("and?", False), ("One two three.", False),
                ]  # fmt: skip
                assert await third.turn("s", "and?", "t2", flow="default") == [first, *rest]
