"""Any flow, any interleaving of calls: one end a turn, a usable session, nothing left over."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flow_backend.app import create_app
from flow_backend.engine.engine import Engine, EngineParts
from flow_backend.engine.session import Session
from flow_backend.engine.turn import Turn
from flow_backend.llm.scripted import Reply, ScriptedProvider
from flow_backend.settings import BackendSettings
from protocol.errors import FlowError
from protocol.turns import HeardReport, HeardTurn
from tests.integration.backend_server import OneModel

ENDS = {"done", "error", "cancelled"}
KINDS: dict[str, dict[str, Any]] = {
    "conversation": {"instructions": "x {{ v }}"},
    "say": {"text": "Said {{ v }}. "},
    "ask": {"text": "What? ", "wait_for_input": True},
    "logic_split": {},
    "set": {"assignments": [{"name": "v", "expression": "size(input)"}]},
    "extract": {"schema": {"type": "object", "properties": {"v": {"type": "integer"}}}},
    "knowledge": {"documents": [{"text": "go on and on"}]},
    "press_digit": {"digits": "1"},
    "transfer": {"to": "x"},
    "end": {"text": "Bye. "},
    "http": {"method": "POST", "url": "http://127.0.0.1:9/", "retries": 0},
}


@st.composite
def flows(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=6))
    nodes: list[dict[str, Any]] = [{"id": "start", "type": "start"}]
    for number, kind in enumerate(names):
        nodes.append(
            {"id": f"n{number}", "type": "say" if kind == "ask" else kind, "data": KINDS[kind]}
        )
    target = st.sampled_from([node["id"] for node in nodes[1:]])
    edges = []
    for node in nodes:
        conditions = draw(
            st.lists(
                st.sampled_from(
                    [
                        {"condition_type": "always"},
                        {"condition_type": "expression", "condition": "size(input) > 1"},
                        {"condition_type": "llm", "condition": "it is so"},
                        {"condition_type": "event", "condition": "error"},
                    ]
                ),
                max_size=3,
            )
        )
        if node["id"] == "start":
            conditions = [{"condition_type": "always"}]
        edges += [{"source": node["id"], "target": draw(target), "data": c} for c in conditions]
    return {
        "id": "f",
        "variables": {"v": 0},
        "nodes": nodes,
        "edges": [{"id": f"e{number}", **edge} for number, edge in enumerate(edges)],
    }


TURN = st.sampled_from(["t1", "t2", "t3"])
CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("start"), TURN, st.sampled_from(["", "a", "hello"]), st.booleans()),
        st.tuples(st.just("commit"), TURN),
        st.tuples(st.just("drop"), TURN),
        st.tuples(st.just("heard"), TURN, st.sampled_from(["", "Sai", "Said 0. W"]), st.booleans()),
        st.tuples(st.just("carry"), TURN, TURN, st.sampled_from(["", "Sai"]), st.booleans()),
        st.tuples(st.just("wait"), st.integers(0, 30)),
        st.tuples(st.just("finish"), TURN),
    ),
    max_size=14,
)  # fmt: skip


async def call(session: Session, what: tuple[Any, ...], turns: dict[str, Turn]) -> None:
    match what:
        case ("start", turn_id, text, speculative):
            turns[turn_id] = await session.start_turn(text, turn_id, speculative=speculative)
        case ("commit", turn_id):
            await session.commit(await session.turn(turn_id))
        case ("drop", turn_id):
            session.drop(await session.turn(turn_id))
        case ("heard", turn_id, text, interrupted):
            await session.heard(
                await session.turn(turn_id), HeardReport(text=text, interrupted=interrupted)
            )
        case ("carry", turn_id, of, text, interrupted):
            before = turns.get(of)
            was_open = before is not None and not before.discarded and of != turn_id
            known = session.knows(turn_id)
            report = HeardTurn(turn_id=of, text=text, interrupted=interrupted)
            turns[turn_id] = await session.start_turn(
                "hello", turn_id, speculative=True, heard=[report]
            )
            assert known or not was_open or before.committed
        case ("wait", rounds):
            for _ in range(rounds):
                await asyncio.sleep(0)
        case ("finish", turn_id):
            turn = await session.turn(turn_id)
            if turn.may_act.is_set():
                await turn.over.wait()


@contextmanager
def refusing(*codes: str) -> Iterator[None]:
    """Lets calls be refused for these reasons and no other."""
    try:
        yield
    except FlowError as error:
        if error.code not in codes:
            raise


def check_stream(turn: Turn) -> None:
    events = [json.loads(frame.partition(b"data: ")[2]) for frame in turn.stream.frames]
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert [event["type"] in ENDS for event in events] == [False] * (len(events) - 1) + [True]
    spoken = "".join(e["content"] for e in events if e["type"] == "token" and e["speak"])
    assert events[-1]["content"] == spoken


async def run(flow: dict[str, Any], calls: list[tuple[Any, ...]], delay_s: float) -> None:
    model = ScriptedProvider(
        [
            Reply.model_validate({"json": {"v": 1}, "purpose": "extract", "times": None}),
            Reply(say="1", purpose="edges", times=None),
            Reply(say="Well then yes", times=None, delay_s=delay_s),
        ]
    )
    async with asyncio.timeout(20), AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        options = BackendSettings(
            _env_file=None, database_url=f"sqlite:///{folder}/p.db", node_entries_per_turn=20
        )
        app = create_app(options, models=OneModel(model))
        await stack.enter_async_context(app.router.lifespan_context(app))
        engine: Engine = app.state.engine
        parts: EngineParts = app.state.parts
        await parts.flows.create(flow)
        await parts.flows.publish("f")
        session = await engine.session_or_new("f", "s")
        turns: dict[str, Turn] = {}
        for what in calls:
            with refusing("turn_conflict", "turn_not_found", "session_ended"):
                await call(session, what, turns)
        with refusing(*(["session_ended"] if session.state.ended else [])):
            turns["last"] = last = await session.start_turn("hello", "last", speculative=False)
            await last.over.wait()
        for turn in turns.values():
            if not turn.over.is_set():
                session.drop(turn)
            await turn.over.wait()
            check_stream(turn)
        history = session.state.history
        for turn in turns.values():
            entries = [entry.role for entry in history if entry.turn_id == turn.id]
            expected = [] if not turn.committed else ["user", "assistant"][: 1 + bool(turn.pieces)]
            assert entries == expected
        await session.aclose()
        assert model.open_streams == 0
        await parts.writer.durable()
        for turn in turns.values():
            stored = await parts.sessions.turn(session.uid, turn.id)
            assert (stored is not None) == turn.committed
            if stored is not None:
                assert stored.frames == turn.stream.frames
                assert not stored.lost
        kept = await parts.sessions.state(session.uid)
        assert kept == json.loads(json.dumps(session.state.as_dict()))
    assert asyncio.all_tasks() == {asyncio.current_task()}


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(flows(), CALLS, st.sampled_from([0.0, 0.001]))
def test_any_flow_and_any_interleaving(
    flow: dict[str, Any], calls: list[tuple[Any, ...]], delay_s: float
) -> None:
    asyncio.run(run(flow, calls, delay_s))
