"""A person's data is found and deleted, wherever it is, and does not come back."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select
from typer.testing import CliRunner

from flow_backend.llm.scripted import Reply
from flow_backend.store.conversations import Card, ConversationStore
from flow_backend.store.database import open_database
from flow_backend.store.tables import metadata
from protocol.turns import HeardReport
from stack.privacy import app
from tests.integration.backend_server import Backend, serve_backend
from tests.integration.test_replicas import shared, two

__all__ = ["shared"]

SECRET = "my name is Aurelia Quince"
SPOKEN = "Noted, Aurelia."
PERSONAL = [
    table for table in metadata.sorted_tables if table.name not in ("flows", "flow_versions")
]


async def everything(backend: Backend) -> str:
    """All that the database holds, as text."""
    found = []
    async with backend.app.state.database.connect() as connection:
        for table in PERSONAL:
            found += [repr(tuple(row)) for row in await connection.execute(select(table))]
    return "\n".join(found)


async def ask(backend: Backend, what: str, **person: Any) -> dict[str, Any]:
    answer = await backend.client.post(f"/api/privacy/{what}", json=person)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


async def test_a_persons_sessions_and_conversations_go_and_others_stay(
    database_url: str, tmp_path: Path
) -> None:
    script = [Reply(user="Aurelia", say=SPOKEN, times=None), Reply(say="Hi.", times=None)]
    async with serve_backend(script, database_url=database_url) as backend:
        opened = await backend.client.post(
            "/api/flows/default/sessions", json={"metadata": {"phone": "+49123", "x": 1}}
        )
        mine = opened.json()["session_id"]
        await backend.turn(mine, SECRET, flow="default")
        await backend.turn("by-name", SECRET, flow="default")
        await backend.turn("other", "hello", flow="default")
        store = ConversationStore(backend.app.state.database)
        await store.open("c1", "French", "A1", owner="")
        position = await store.begin("c1", SECRET)
        await store.finish(
            "c1", position, SPOKEN, cut_off=False, corrections=[{"original": SECRET}]
        )
        await store.add_cards("c1", [Card("aurelia", None, SECRET)])
        nobody = await ask(backend, "find", metadata={"phone": "+49123", "x": 2})
        assert nobody == {"sessions": [], "conversations": []}
        person = {
            "metadata": {"phone": "+49123"}, "sessions": ["by-name"], "conversations": ["c1"],
        }  # fmt: skip
        found = await ask(backend, "find", **person)
        assert {s["session_id"] for s in found["sessions"]} == {mine, "by-name"}
        assert found["conversations"] == ["c1"]
        assert "Aurelia" in await everything(backend)
        assert await ask(backend, "delete", **person) == found
        left = await everything(backend)
        assert "urelia" not in left
        assert await ask(backend, "find", **person) == {"sessions": [], "conversations": []}
        gone = await backend.client.get(f"/api/flows/default/sessions/{mine}")
        assert gone.json()["code"] == "session_not_found"
        others = (await backend.state("other", flow="default"))["transcript"]
        assert [e["text"] for e in others] == ["hello", "Hi."]
    files = list(tmp_path.iterdir())  # noqa: ASYNC240 - a test may
    assert all(b"urelia" not in file.read_bytes() for file in files), "left in a file"


async def test_a_session_in_the_middle_of_a_turn_does_not_come_back() -> None:
    async with serve_backend([Reply(say=f"{SPOKEN} Go on", delay_s=30)]) as backend:
        async with backend.open_turn("s", SECRET, "t1", flow="default") as events:
            async for event in events:
                if event["type"] == "token":
                    session = await backend.app.state.engine.own_session("default", "s")
                    await ask(backend, "delete", sessions=["s"])
        assert (event["type"], event["reason"]) == ("cancelled", "session_ended")
        # A call that still holds the session writes nothing any more.
        await session.heard(await session.turn("t1"), HeardReport(text=SECRET, interrupted=True))
        await backend.app.state.engine.flush()
        assert "urelia" not in await everything(backend)


async def test_a_session_of_another_replica_goes_too(shared: dict[str, Any]) -> None:
    async with two(shared, [Reply(say=SPOKEN, times=None)]) as (one, other):
        await one.turn("s", SECRET, "t1", flow="default")
        found = await ask(other, "delete", sessions=["s"])
        assert [s["session_id"] for s in found["sessions"]] == ["s"]
        assert "urelia" not in await everything(other)
        redis = one.app.state.engine._replicas.redis
        keys = [key.decode() async for key in redis.scan_iter("parley:*")]
        assert not [key for key in keys if ":turn:" in key or ":last:" in key]
        again = await one.client.get("/api/flows/default/sessions/s")
        assert again.json()["code"] == "session_not_found"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"sessions": []},
        {"who": "x"},
        {"metadata": []},
        {"sessions": ["\0"]},
        {"conversations": ["\0"]},
        {"api_key": "\0"},
    ],
)
async def test_nobody_is_not_everybody(body: dict[str, Any], database_url: str) -> None:
    async with serve_backend(database_url=database_url) as backend:
        answer = await backend.client.post("/api/privacy/delete", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "request_invalid")


async def test_old_conversations_are_forgotten_if_the_operator_wants_it(
    database_url: str,
) -> None:
    for days, kept in ((0.0, 1), (1e-9, 0)):
        async with serve_backend(
            database_url=database_url, conversations_kept_days=days
        ) as backend:
            store = ConversationStore(backend.app.state.database)
            await store.open("c", "French", "A1", owner="")
            await backend.app.state.engine.sweep()
            assert len(await store.all(10, 0)) == kept


def test_the_commands_work_without_a_backend(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/parley.db")
    monkeypatch.setenv("BACKEND_PORT", "1")

    async def fill() -> None:
        url = f"sqlite:///{tmp_path}/parley.db"
        async with serve_backend([SPOKEN], database_url=url) as backend:
            await backend.turn("room-1", SECRET, flow="default")

    asyncio.run(fill())
    calls = tmp_path / "calls"
    calls.mkdir()
    monkeypatch.setenv("RECORDINGS_DIR", str(calls))
    for session in ("room-1", "room-2"):
        account = {"sessions": [{"flow_id": "default", "session_id": session}]}
        (calls / f"{session}.json").write_text(json.dumps(account))
        (calls / f"{session}.ogg").write_bytes(b"OggS")
    runner = CliRunner()
    found = runner.invoke(app, ["find", "--session", "room-1", "--json"])
    assert [s["session_id"] for s in json.loads(found.output)["sessions"]] == ["room-1"]
    asked = runner.invoke(app, ["delete", "--session", "room-1"], input="n\n")
    assert asked.exit_code == 1
    done = runner.invoke(app, ["delete", "--session", "room-1", "--yes"])
    assert "Deleted 1 sessions, 0 conversations and 1 recordings" in done.output
    assert sorted(path.name for path in calls.iterdir()) == ["room-2.json", "room-2.ogg"]
    assert "Nothing is kept" in runner.invoke(app, ["find", "--session", "room-1"]).output
    assert runner.invoke(app, ["delete"]).exit_code == 2
    assert runner.invoke(app, ["find", "--metadata", "phone"]).exit_code == 2

    async def left() -> list[Any]:
        database = await open_database(f"sqlite:///{tmp_path}/parley.db")
        async with database.connect() as connection:
            rows = [row for table in PERSONAL for row in await connection.execute(select(table))]
        await database.dispose()
        return rows

    assert asyncio.run(left()) == []


async def test_the_user_of_a_chat_completion_finds_its_session() -> None:
    asked = {
        "model": "default",
        "messages": [{"role": "user", "content": "hello"}],
        "user": "customer-4711",
    }
    async with serve_backend([Reply(say="Hi.", times=None)]) as backend:
        assert (await backend.client.post("/v1/chat/completions", json=asked)).status_code == 200
        del asked["user"]
        assert (await backend.client.post("/v1/chat/completions", json=asked)).status_code == 200
        person = {"metadata": {"user": "customer-4711"}}
        found = (await backend.client.post("/api/privacy/find", json=person)).json()
        assert len(found["sessions"]) == 1
