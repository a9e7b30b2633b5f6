"""Two backends on one PostgreSQL and one Redis serve the same sessions."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from flow_backend.llm.scripted import Reply, ScriptedProvider
from tests.integration.backend_server import Backend, serve_backend, text_of
from tests.integration.redis_server import redis_server

URL = "/api/flows/default/sessions/s/turns"


@pytest.fixture
async def shared(postgres_url: str, tmp_path: Path) -> AsyncIterator[dict[str, Any]]:
    """The settings of both replicas."""
    url = make_url(postgres_url)
    engine = create_async_engine(
        url.set(drivername="postgresql+asyncpg"), isolation_level="AUTOCOMMIT"
    )
    name = f"replicas_{abs(hash(str(tmp_path)))}"
    async with engine.connect() as connection:
        await connection.exec_driver_sql(f"CREATE DATABASE {name}")
    try:
        async with redis_server(tmp_path) as redis_url:
            yield {
                "database_url": url.set(database=name).render_as_string(hide_password=False),
                "redis_url": redis_url,
                "replica_lease_s": 1.0,
            }
    finally:
        async with engine.connect() as connection:
            await connection.exec_driver_sql(f"DROP DATABASE {name} WITH (FORCE)")
        await engine.dispose()


@asynccontextmanager
async def two(
    shared: dict[str, Any], replies: Sequence[Reply | str]
) -> AsyncIterator[tuple[Backend, Backend]]:
    model = ScriptedProvider(replies)
    async with (
        serve_backend(model, **shared) as one,
        serve_backend(model, **shared) as other,
    ):
        yield one, other


async def test_either_replica_serves_a_session_that_one_has(shared: dict[str, Any]) -> None:
    async with two(shared, ["One two three.", "Four."]) as (one, other):
        first = await one.turn("s", "hi", "t1", flow="default")
        assert await other.turn("s", "hi", "t1", flow="default") == first
        assert await other.read(f"{URL}/t1/events", after=3) == first[3:]
        state = await other.state("s", flow="default")
        assert state == await one.state("s", flow="default")
        assert [e["text"] for e in state["transcript"]] == ["hi", "One two three."]
        report = {"text": "One", "interrupted": True}
        assert (await other.call("s", "t1", "heard", report, flow="default")).status_code == 204
        second = await other.turn("s", "more", "t2", flow="default")
        assert text_of(second) == "One two three."
        while one.app.state.engine.busy_count:  # noqa: ASYNC110 - the turn's end is being written
            await asyncio.sleep(0.01)
        for backend in (one, other):
            transcript = (await backend.state("s", flow="default"))["transcript"]
            assert [(e["text"], e["interrupted"]) for e in transcript] == [
                ("hi", False), ("One", True), ("more", False), ("One two three.", False),
            ]  # fmt: skip
            conflict = await backend.client.get(
                "/api/flows/default/stream/s", params={"input": "no", "turn_id": "t1"}
            )
            assert (conflict.status_code, conflict.json()["code"]) == (409, "turn_conflict")
            missing = await backend.call("s", "nope", "commit", flow="default")
            assert (missing.status_code, missing.json()["code"]) == (404, "turn_not_found")
            unknown = await backend.client.get("/api/flows/default/sessions/unknown")
            assert (unknown.status_code, unknown.json()["code"]) == (404, "session_not_found")
        assert (await other.client.delete("/api/flows/default/sessions/s")).status_code == 204
        over = await one.client.get("/api/flows/default/stream/s", params={"input": "x"})
        assert over.json()["code"] == "session_ended"


async def test_a_running_turn_is_read_committed_and_superseded_elsewhere(
    shared: dict[str, Any],
) -> None:
    slow = Reply(say="one two three four five six", delay_s=0.1)
    async with two(shared, [slow, Reply(say="a b", delay_s=60), "Last."]) as (one, other):
        async with one.open_turn("s", "x", "t1", flow="default", speculative=True) as events:
            seen = [await anext(events) for _ in range(4)]
            committed = await other.call("s", "t1", "commit", flow="default")
            assert committed.status_code == 204
            rest = await other.read(
                f"{URL}/t1/events", headers={"Last-Event-ID": f"t1:{seen[-1]['seq']}"}
            )
            here = [event async for event in events]
        assert rest == here
        assert rest[-1]["content"] == "one two three four five six"
        # Begun through the replica that has not got the session, and ended there, too.
        async with other.open_turn("s", "y", "t2", flow="default") as events:
            async for event in events:
                if event["type"] == "token":
                    last = await one.turn("s", "z", "t3", flow="default")
        assert (event["type"], event["reason"]) == ("cancelled", "superseded")
        assert text_of(last) == "Last."
        assert one.provider.open_streams == 0


async def test_a_turn_that_is_discarded_elsewhere_leaves_nothing(shared: dict[str, Any]) -> None:
    async with two(shared, [Reply(say="a b c", delay_s=60), "Real."]) as (one, other):
        async with one.open_turn("s", "x", "t1", flow="default", speculative=True) as events:
            async for event in events:
                if event["type"] == "token":
                    gone = await other.call("s", "t1", "", flow="default")
                    assert gone.status_code == 204
        assert (event["type"], event["reason"]) == ("cancelled", "discarded")
        refused = await other.call("s", "t1", "commit", flow="default")
        assert refused.json()["code"] == "turn_conflict"
        assert text_of(await other.turn("s", "y", "t2", flow="default")) == "Real."
        transcript = (await one.state("s", flow="default"))["transcript"]
        assert [e["text"] for e in transcript] == ["y", "Real."]


async def test_a_turn_that_nobody_reads_anywhere_is_abandoned(shared: dict[str, Any]) -> None:
    shared["reader_grace_s"] = 0.2
    async with two(shared, [Reply(say="Hi."), Reply(say="a b c", delay_s=60)]) as (one, other):
        await one.turn("s", "first", "t1", flow="default")
        session = await one.app.state.engine.own_session("default", "s")
        async with other.open_turn("s", "x", "t2", flow="default") as events:
            async for event in events:
                if event["type"] == "token":
                    break
        turn = await session.turn("t2")
        await turn.over.wait()
        events_after = await other.read(f"{URL}/t2/events")
        assert (events_after[-1]["type"], events_after[-1]["reason"]) == ("cancelled", "abandoned")


async def test_a_replica_that_stops_hands_its_running_turn_over(shared: dict[str, Any]) -> None:
    answer = " ".join(f"word{number}" for number in range(20))
    model = ScriptedProvider([Reply(say=answer, delay_s=0.1, times=None)])
    async with serve_backend(model, **shared) as other:
        async with (
            serve_backend(model, **shared) as one,
            one.open_turn("s", "hi", "t1", flow="default") as events,
        ):
            seen = []
            async for event in events:
                seen.append(event)
                if event.get("content") == " word5":
                    break
            await one.app.state.engine.hand_over("default", "s")
            seen += [event async for event in events]
        assert seen[-1]["type"] == "token"
        rest = await other.read(f"{URL}/t1/events", after=seen[-1]["seq"])
        whole = seen + rest
        assert [e["seq"] for e in whole] == list(range(1, len(whole) + 1))
        assert text_of(whole) == whole[-1]["content"] == answer


async def test_writes_of_a_replica_that_lost_its_session_are_refused(
    shared: dict[str, Any],
) -> None:
    """A replica that was stopped for a while wakes up and does not know it yet."""
    slow = Reply(say="a b c d", delay_s=2)
    async with two(shared, [slow, Reply(say="a b c d", times=None)]) as (one, other):
        async with one.open_turn("s", "hi", "t1", flow="default") as events:
            async for event in events:
                if event.get("content") == "a":
                    break
            mine = one.app.state.engine._replicas
            await mine.release([("default", "s")])
            rest = await other.read(f"{URL}/t1/events", after=event["seq"])
            assert rest[-1]["content"] == "a b c d"
            left = [event async for event in events]
        assert "done" not in [e["type"] for e in left]
        transcript = (await one.state("s", flow="default"))["transcript"]
        assert [e["text"] for e in transcript] == ["hi", "a b c d"]
        assert await one.read(f"{URL}/t1/events") == await other.read(f"{URL}/t1/events")


async def test_a_door_that_needs_the_session_here_is_handed_it(shared: dict[str, Any]) -> None:
    async with two(shared, [Reply(say="Hello.", times=None)]) as (one, other):
        assert text_of(await one.turn("s", "hi", "t1", flow="default")) == "Hello."
        session = await other.app.state.engine.session_here("default", "s")
        assert [entry.text for entry in session.state.history] == ["hi", "Hello."]
        assert text_of(await one.turn("s", "again", "t2", flow="default")) == "Hello."
        assert len(session.state.history) == 4


async def test_sessions_in_memory_go_on_while_redis_is_away(
    postgres_url: str, tmp_path: Path
) -> None:
    replies = [Reply(say="a b c", delay_s=0.05, times=None)]
    async with redis_server(tmp_path) as redis_url:
        stack = serve_backend(replies, database_url=postgres_url, redis_url=redis_url)
        backend = await stack.__aenter__()
        assert text_of(await backend.turn("s", "hi", flow="default")) == "a b c"
    try:
        assert text_of(await backend.turn("s", "again", flow="default")) == "a b c"
        new = await backend.client.get("/api/flows/default/stream/new", params={"input": "x"})
        assert (new.status_code, new.json()["code"]) == (503, "backend_unavailable")
        assert new.json()["retryable"] is True
    finally:
        await stack.__aexit__(None, None, None)


async def test_both_begin_turns_at_once_and_one_runs(shared: dict[str, Any]) -> None:
    async with two(shared, [Reply(say="a b c", delay_s=0.05, times=None)]) as replicas:
        streams = await asyncio.gather(
            *(
                replicas[number % 2].turn("s", f"n{number}", f"t{number}", flow="default")
                for number in range(6)
            )
        )
        ends = [events[-1]["type"] for events in streams]
        assert ends.count("done") == 1
        assert ends.count("cancelled") == 5
        assert replicas[0].provider.open_streams == 0
