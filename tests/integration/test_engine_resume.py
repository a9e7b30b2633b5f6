"""A turn that is left in the middle, after any event of any flow, goes on as if nothing was."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from flow_backend.app import create_app
from flow_backend.engine.engine import Engine, EngineParts
from flow_backend.engine.session import Session
from flow_backend.engine.stream import TurnStream
from flow_backend.engine.turn import Turn
from flow_backend.llm.scripted import Reply, ScriptedProvider
from flow_backend.settings import BackendSettings
from flow_backend.store.frame_file import FrameFile, Left
from tests.integration.backend_server import OneModel, serve_app
from tests.integration.test_engine_properties import flows

TIMES = ("duration_ms", "timings_ms", "usage", "seq", "session_id")


class Outside:
    """Counts calls by their idempotency keys."""

    def __init__(self) -> None:
        self.keys: list[str] = []

    async def act(self, request: Request) -> JSONResponse:
        key = request.headers["idempotency-key"]
        self.keys.append(key)
        return JSONResponse({"n": len(set(self.keys))})

    @property
    def app(self) -> Starlette:
        return Starlette(routes=[Route("/act", self.act, methods=["POST"])])


def model() -> ScriptedProvider:
    return ScriptedProvider(
        [
            Reply.model_validate({"json": {"v": 1}, "purpose": "extract", "times": None}),
            Reply(say="1", purpose="edges", times=None),
            Reply(say="Well then, yes of course", times=None),
        ]
    )


@asynccontextmanager
async def engine(folder: str) -> AsyncIterator[tuple[Engine, EngineParts]]:
    options = BackendSettings(
        _env_file=None,
        database_url=f"sqlite:///{folder}/p.db",
        node_entries_per_turn=12,
        http_allowed_hosts="127.0.0.1",
    )
    app = create_app(options, models=OneModel(model()))
    async with app.router.lifespan_context(app):
        yield app.state.engine, app.state.parts


def events_of(turn: Turn) -> list[dict[str, Any]]:
    """A turn's events without times, and its tokens joined."""
    found: list[dict[str, Any]] = []
    for number, frame in enumerate(turn.stream.frames, 1):
        event = json.loads(frame.partition(b"data: ")[2])
        assert event["seq"] == number
        for name in TIMES:
            event.pop(name, None)
        last = found[-1] if found else {}
        if event["type"] == last.get("type") == "token" and event["node_id"] == last["node_id"]:
            last["content"] += event["content"]
        else:
            found.append(event)
    return found


def leave_at(session: Session, turn: Turn, count: int) -> asyncio.Event:
    """Stops the turn as a killed process would, once it has so many events."""
    left = asyncio.Event()
    keeper = turn.stream.keeper
    assert keeper is not None

    def leave() -> None:
        if not turn.concluded:
            session._suspend(turn)
            left.set()

    class Leaving:
        begin = keeper.begin

        def keep(self, stream: TurnStream, frame: bytes) -> None:
            keeper.keep(stream, frame)
            if len(stream.frames) == count:
                asyncio.get_running_loop().call_soon(leave)

    turn.stream.keeper = Leaving()
    return left


async def run(flow: dict[str, Any], inputs: list[str], leave: int) -> tuple[Any, ...]:
    """The last turn's events and the state after it, left after `leave` events (0: never)."""
    outside = Outside()
    with tempfile.TemporaryDirectory() as folder:
        async with asyncio.timeout(20), serve_app(outside.app) as url:
            for node in flow["nodes"]:
                if node["type"] == "http":
                    node["data"] = {**node["data"], "url": f"{url}/act", "response": {"v": "/n"}}
            async with engine(folder) as (first, parts):
                await parts.flows.create(flow)
                await parts.flows.publish("f")
                session = await first.session_or_new("f", "s")
                for number, text in enumerate(inputs):
                    if session.state.ended:
                        break
                    turn = await session.start_turn(text, f"t{number}", speculative=False)
                    if leave and number == len(inputs) - 1:
                        left = leave_at(session, turn, leave)
                        waits = [asyncio.create_task(e.wait()) for e in (left, turn.over)]
                        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                        for wait in waits:
                            wait.cancel()
                    else:
                        await turn.over.wait()
            async with engine(folder) as (second, _):
                session = await second.session("f", "s")
                again = await session.turn(turn.id)
                await again.over.wait()
                state = session.state.as_dict()
                return events_of(again), state, len(set(outside.keys)), len(outside.keys)


@pytest.mark.timeout(180)
@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)
@given(flows(), st.lists(st.sampled_from(["", "a", "hello"]), min_size=1, max_size=2),
       st.integers(1, 40))  # fmt: skip
def test_any_turn_left_after_any_event_goes_on(
    flow: dict[str, Any], inputs: list[str], leave: int
) -> None:
    whole = asyncio.run(run(flow, inputs, 0))
    left = asyncio.run(run(flow, inputs, leave))
    assert left[0] == whole[0]
    assert left[1] == whole[1]
    assert left[2:] == whole[2:]


def test_frames_are_read_back_and_a_torn_one_is_left_out(tmp_path: Path) -> None:
    file = FrameFile(tmp_path / "events")
    stream = TurnStream("s", "t.1", uid="u")
    stream.keeper = file
    file.begin(stream, {"uid": "u"}, {"turn_id": "t.1"})
    for word in ("one", "two\u2028", "three"):
        stream.token(word, "n", True)
        if word == "one":
            file.batch_begins()
    assert stream.published == 3
    file.close()
    segment = tmp_path / "events-1"
    segment.write_bytes(segment.read_bytes()[:-5])
    file = FrameFile(tmp_path / "events")
    begun = {"sessions": {"uid": "u"}, "turns": {"turn_id": "t.1"}}
    frames = {1: stream.frames[0], 2: stream.frames[1]}
    assert file.left() == {("u", "t.1"): Left(begun, frames)}
    file.batch_stored()
    assert file.left() == {("u", "t.1"): Left(begun, {1: stream.frames[0]})}
    file.clear()
    assert file.left() == {}
    file.close()
