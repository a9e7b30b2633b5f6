"""What the database refuses is told to its session, and costs neither others nor the past."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from sqlalchemy import Table, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from flow_backend.llm.scripted import Reply
from flow_backend.store.batch import Row
from flow_backend.store.database import open_database
from flow_backend.store.tables import journal, sessions, transcript_parts, turns
from flow_backend.store.writer import Writer
from protocol.errors import FlowError
from tests.integration.backend_server import serve_backend
from tests.integration.test_old_turns import ANSWER, SMALL, SUMMARY, count, said, texts, transcript


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[AsyncEngine]:
    engine = await open_database(database_url)
    yield engine
    await engine.dispose()


def session_row(uid: str) -> Row:
    return {
        "uid": uid, "flow_id": "f", "session_id": uid, "owner": "", "flow_version": 1,
        "state": "{}", "metadata": "{}", "ended": False, "last_used_at": 1.0, "generation": 0,
    }  # fmt: skip


def turn_row(uid: str, user_input: str | None) -> Row:
    return {
        "session_uid": uid, "turn_id": "t", "input": user_input, "status": "over",
        "rewind": "{}", "updated_at": 1.0,
    }  # fmt: skip


def hand_in(writer: Writer, uid: str, user_input: str | None) -> None:
    writer.put(sessions, session_row(uid))
    writer.put(transcript_parts, {"session_uid": uid, "number": 0, "entries": "[]"})
    writer.put(turns, turn_row(uid, user_input))
    writer.put_chunk({"session_uid": uid, "turn_id": "t", "first_seq": 1, "frames": b"x"})


def refused_input(engine: AsyncEngine) -> str | None:
    return "a\0b" if engine.dialect.name == "postgresql" else None


async def stored(engine: AsyncEngine, table: Table) -> list[str]:
    column: Any = table.c.get("uid", table.c.get("session_uid"))
    async with engine.connect() as connection:
        return list(await connection.scalars(select(column).order_by(column)))


async def refusals(writer: Writer, uid: str) -> int:
    """How often the database refuses before what it takes of a session is stored."""
    for number in range(20):
        try:
            await writer.durable(uid)
        except FlowError as error:
            if (error.code, error.retryable) != ("internal", True):
                raise
        else:
            return number
    raise AssertionError("refused for good")


async def test_input_that_cannot_be_kept_is_refused(database_url: str) -> None:
    async with serve_backend([Reply(say="Yes.", times=None)], database_url=database_url) as backend:
        url = "/api/flows/default"
        await backend.turn("s", "hi", "t1", flow="default")
        answers = [
            await backend.client.get(f"{url}/stream/s", params={"input": "a\0b"}),
            await backend.client.post(f"{url}/sessions/s/turns", json={"input": "a\0b"}),
        ]
        for answer in answers:
            assert answer.status_code == 422
            assert (answer.json()["code"], answer.json()["path"]) == ("request_invalid", "input")
        assert (await backend.turn("s", "and now", "t2", flow="default"))[-1]["type"] == "done"


async def test_nul_in_what_stands_in_json_is_kept(database_url: str) -> None:
    model = [Reply(say="a\0b", times=None)]
    async with serve_backend(model, database_url=database_url) as backend:
        flow = await backend.add_flow(
            [
                {"id": "start", "type": "start"},
                {"id": "talk", "type": "conversation", "data": {"instructions": "Be kind."}},
            ],
            [("start", "talk", {})],
        )
        url = f"/api/flows/{flow}/sessions"
        body = {"variables": {"v": "\0"}, "metadata": {"\0": "\0"}}
        made = await backend.client.post(url, json=body)
        assert made.status_code == 201, made.text
        session_id = made.json()["session_id"]
        for number in range(2):
            done = (await backend.turn(session_id, "hi", f"t{number}"))[-1]
            assert (done["type"], done["content"]) == ("done", "a\0b")
        assert await stored(backend.app.state.database, turns) != []
        assert (await backend.state(session_id))["variables"]["v"] == "\0"


async def test_a_flow_whose_texts_cannot_be_kept_is_refused() -> None:
    async with serve_backend([]) as backend:
        nodes = [
            {"id": "start", "type": "start"},
            {"id": "a\0b", "type": "knowledge", "data": {"documents": [{"text": "\0"}]}},
        ]
        document = {"id": "f", "nodes": nodes, "edges": []}
        found = (await backend.client.post("/api/flows/validate", json=document)).json()
    nul = {p["path"] for p in found["problems"] if p["message"] == "has a NUL character"}
    assert nul == {"nodes[1].id", "nodes[1].data.documents[0].text"}


async def test_one_sessions_bad_row_costs_nothing_else(database: AsyncEngine) -> None:
    async with Writer(database, interval_s=60) as writer:
        hand_in(writer, "bad", refused_input(database))
        for name in ("good", "other"):
            hand_in(writer, name, "hi")
        await writer.durable("good")
        assert await stored(database, turns) == ["good", "other"]
        assert await refusals(writer, "bad") > 1
        await writer.durable()
        assert await stored(database, turns) == ["good", "other"]
        for table in (sessions, transcript_parts, journal):
            assert await stored(database, table) == ["bad", "good", "other"]
        writer.put(turns, turn_row("bad", "hi"))
        await writer.durable("bad")


@pytest.mark.parametrize("bad", [{"input": "half an emoji: \ud83d"}, {"updated_at": "late"}])
async def test_what_the_driver_cannot_encode_costs_nothing_else(
    database: AsyncEngine, bad: Row
) -> None:
    """It fails before the database is asked, with errors that are not the database's."""
    async with Writer(database, interval_s=60) as writer:
        hand_in(writer, "bad", "hi")
        writer.put(turns, turn_row("bad", "hi") | bad)
        writer.put(sessions, session_row("huge") | {"flow_version": 2**70})
        hand_in(writer, "good", "hi")
        await writer.durable("good")
        assert "good" in await stored(database, turns)
        with pytest.raises(FlowError):
            await writer.durable("huge")
        await writer.durable("good")


async def test_half_a_character_is_refused_and_the_next_caller_answered() -> None:
    asked = {"model": "default", "messages": [{"role": "user", "content": "half: \ud83d"}]}
    parts = {"role": "user", "content": [{"type": "text", "text": "\udc00"}]}
    async with serve_backend([Reply(say="Hi.", times=None)]) as backend:
        for body in (asked, {**asked, "messages": [parts]}):
            answer = await backend.client.post(
                "/v1/chat/completions",
                content=json.dumps(body),
                headers={"Content-Type": "application/json"},
            )
            assert answer.status_code == 422, answer.text
            assert "messages[0].content" in answer.text
        asked["messages"] = [{"role": "user", "content": "whole: \U0001f600"}]
        answer = await backend.client.post("/v1/chat/completions", json=asked)
        assert answer.status_code == 200


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ('{"variables": {"a": ["\\ud800"]}}', "surrogate"),
        ('{"variables": {"\\ud800": 1}}', "surrogate"),
        ('{"metadata": {"a": {"b": "\\udfff"}}}', "surrogate"),
        ('{"metadata": {"a": NaN}}', "not finite"),
        ('{"variables": {"a": [1e999]}}', "not finite"),
        ('{"variables": {"a": ' + "[" * 900 + "]" * 900 + "}}", "nested deeper"),
        ('{"version": 99999999999999999999}', "version"),
    ],
)
async def test_a_session_that_could_not_be_shown_is_not_opened(said: str, told: str) -> None:
    async with serve_backend([]) as backend:
        answer = await backend.client.post(
            "/api/flows/default/sessions",
            content=said,
            headers={"Content-Type": "application/json"},
        )
        assert (answer.status_code, told in answer.text) == (422, True), answer.text


async def test_a_bad_row_at_the_end_costs_nothing_else(database: AsyncEngine) -> None:
    async with Writer(database, interval_s=60) as writer:
        hand_in(writer, "bad", refused_input(database))
        hand_in(writer, "good", "hi")
    assert await stored(database, turns) == ["good"]
    assert await stored(database, transcript_parts) == ["bad", "good"]


async def test_what_was_put_away_is_never_given_up(database: AsyncEngine) -> None:
    async with Writer(database, interval_s=60) as writer:
        async with database.begin() as connection:
            await connection.execute(text("ALTER TABLE transcript_parts RENAME TO away"))
        hand_in(writer, "s", "hi")
        for _ in range(10):
            with pytest.raises(FlowError):
                await writer.durable("s")
        # Nor does its row say that it was.
        assert await stored(database, sessions) == []
        assert await stored(database, turns) == await stored(database, journal) == ["s"]
        async with database.begin() as connection:
            await connection.execute(text("ALTER TABLE away RENAME TO transcript_parts"))
        await writer.durable("s")
        assert await stored(database, sessions) == await stored(database, transcript_parts) == ["s"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/privacy/find", {"sessions": ["s"]}),
        ("POST", "/api/privacy/delete", {"sessions": ["s"]}),
        ("DELETE", "/api/flows/g", None),
    ],
)
async def test_who_needs_all_to_be_stored_is_told_that_it_is_not(
    database_url: str, method: str, path: str, body: dict[str, Any] | None
) -> None:
    async with serve_backend([Reply(say="Yes.", times=None)], database_url=database_url) as backend:
        nodes = [{"id": "start", "type": "start"}, {"id": "end", "type": "end"}]
        await backend.add_flow(nodes, [("start", "end", {})], id="g")
        database: AsyncEngine = backend.app.state.database
        async with database.begin() as connection:
            await connection.execute(text("ALTER TABLE transcript_parts RENAME TO away"))
        hand_in(backend.app.state.parts.writer, "u", "hi")
        answer = await backend.client.request(method, path, json=body)
        assert (answer.status_code, answer.json()["code"]) == (503, "database_unavailable")
        assert answer.json()["retryable"]
        assert int(answer.headers["Retry-After"]) > 0
        async with database.begin() as connection:
            await connection.execute(text("ALTER TABLE away RENAME TO transcript_parts"))
        answer = await backend.client.request(method, path, json=body)
        assert answer.is_success, answer.text


async def test_a_long_conversation_loses_nothing_to_somebody_elses_row(database_url: str) -> None:
    async with serve_backend([SUMMARY, ANSWER], database_url=database_url, **SMALL) as backend:
        writer = backend.app.state.parts.writer
        bad = refused_input(backend.app.state.database)

        def disturb() -> None:
            for number in range(3):
                writer.put(turns, turn_row(f"u{number}", bad))

        for first in range(0, 40, 5):
            disturb()
            done = await backend.turn("s", f"Number {first}.", f"t{first}", flow="default")
            assert done[-1]["type"] == "done"
            for number in range(3):
                await refusals(writer, f"u{number}")
            await count(backend, first + 1, first + 5)
        assert texts(await transcript(backend)) == said(0, 40)
