"""The machine's clock jumps in the middle of a turn."""

from __future__ import annotations

import time

import pytest

from flow_backend.engine import engine, session, turn
from tests.integration.backend_server import serve_backend

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
