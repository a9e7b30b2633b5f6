"""A recorded session is said again to another version of its flow."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from protocol.errors import StreamError
from stack.replay import ReplayOptions, replay
from tests.integration.backend_server import Backend, serve_backend

ALWAYS: dict[str, Any] = {"condition_type": "always"}


def nodes(second: str) -> list[dict[str, Any]]:
    return [
        {"id": "start", "type": "start"},
        {"id": "one", "type": "say", "data": {"text": "Hello there.", "wait_for_input": True}},
        {"id": "two", "type": "say", "data": {"text": second, "wait_for_input": True}},
    ]


EDGES = [("start", "one", ALWAYS), ("one", "two", ALWAYS)]


async def run(backend: Backend, **options: Any) -> int:
    made = ReplayOptions("s", "f", backend=backend.url, as_json=True, **options)
    return await asyncio.to_thread(replay, made)


async def recorded(backend: Backend) -> None:
    await backend.add_flow(nodes("We open at nine."), EDGES)
    await backend.turn("s", "hi", "t1")
    await backend.turn("s", "when do you open?", "t2")


async def change(backend: Backend, document_nodes: list[dict[str, Any]], edges: Any) -> None:
    links = [
        {"id": f"n{i}", "source": a, "target": b, "data": data}
        for i, (a, b, data) in enumerate(edges)
    ]
    put = await backend.client.put(
        "/api/flows/f",
        json={"id": "f", "nodes": document_nodes, "edges": links},
        headers={"If-Match": "*"},
    )
    assert put.status_code == 200, put.text
    assert (await backend.client.post("/api/flows/f/publish")).status_code == 200


async def test_the_same_version_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    async with serve_backend([]) as backend:
        await recorded(backend)
        assert await run(backend) == 0
    turns = json.loads(capsys.readouterr().out)["turns"]
    assert [turn["same"] for turn in turns] == [True, True]
    assert turns[1]["path_now"] == turns[1]["path_then"]
    assert turns[1]["done_ms_then"] > 0 < turns[1]["done_ms_now"]


async def test_a_new_version_is_compared_turn_by_turn(capsys: pytest.CaptureFixture[str]) -> None:
    async with serve_backend([]) as backend:
        await recorded(backend)
        await change(backend, nodes("We open at ten."), EDGES)
        assert await run(backend) == 1
        assert await run(backend, version=1) == 0
        state = await backend.state("s")
    first = json.JSONDecoder().raw_decode(capsys.readouterr().out)[0]
    assert [turn["same"] for turn in first["turns"]] == [True, False]
    assert first["turns"][1]["text_now"] == "We open at ten."
    assert 0.5 < first["turns"][1]["words_alike"] < 1
    assert len(state["transcript"]) == 4, "the recorded session is as it was"


async def test_side_effects_are_not_repeated_unasked(capsys: pytest.CaptureFixture[str]) -> None:
    called = {"id": "call", "type": "transfer", "data": {"to": "sip:desk@example.org"}}
    async with serve_backend([]) as backend:
        await recorded(backend)
        edges = [("start", "one", ALWAYS), ("one", "call", ALWAYS), ("call", "two", ALWAYS)]
        await change(backend, [*nodes("Bye."), called], edges)
        assert await run(backend) == 1
    told = json.loads(capsys.readouterr().out)
    assert len(told["turns"]) == 1
    assert "'call' has side effects" in told["stopped"]


async def test_a_flow_in_a_file_is_talked_to(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "f.json"
    edges = [{"id": f"{a}-{b}", "source": a, "target": b} for a, b, _ in EDGES]
    file.write_text(json.dumps({"id": "other", "nodes": nodes("Later."), "edges": edges}))
    async with serve_backend([]) as backend:
        await recorded(backend)
        assert await run(backend, file=file, llm="local") == 1
    turns = json.loads(capsys.readouterr().out)["turns"]
    assert [turn["text_now"] for turn in turns] == ["Hello there.", "Later."]


async def test_an_unknown_session_is_named() -> None:
    async with serve_backend([]) as backend:
        await recorded(backend)
        with pytest.raises(StreamError, match="no session 'nobody'"):
            await asyncio.to_thread(
                replay, ReplayOptions("nobody", "f", backend=backend.url, as_json=True)
            )
