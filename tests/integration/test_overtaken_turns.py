"""Turns whose requests come while an earlier one waits for the database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import text

from flow_backend.engine.session import Session
from flow_backend.engine.turn import Turn
from flow_backend.llm.scripted import Reply
from protocol.errors import StreamError
from protocol.turns import HeardTurn
from tests.integration.backend_server import Backend, serve_backend

ANSWER = Reply(say="Well said.", times=None)
REPORT = HeardTurn(turn_id="t1", text="Well", interrupted=True)


@asynccontextmanager
async def held_back(backend: Backend) -> AsyncIterator[None]:
    """Nobody else writes into the database."""
    database = backend.app.state.database
    kept = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "LOCK TABLE sessions IN EXCLUSIVE MODE"}
    async with database.begin() as connection:
        await connection.execute(text(kept[database.dialect.name]))
        yield


@asynccontextmanager
async def second_turn(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[Session, asyncio.Task[Turn]]]:
    """A session whose turn t2 waits, while this is open, for the commit of the turn before."""
    await backend.turn("s", "zero", "t0", flow="default")
    await backend.turn("s", "one", "t1", flow="default", speculative=True)
    session = await backend.app.state.engine.own_session("default", "s")
    writer, waits = backend.app.state.parts.writer, asyncio.Event()
    durable = writer.durable

    async def wait(*arguments: object) -> None:
        waits.set()
        await durable(*arguments)

    monkeypatch.setattr(writer, "durable", wait)
    async with held_back(backend):
        turn = asyncio.create_task(
            session.start_turn("two", "t2", speculative=True, heard=[REPORT])
        )
        await waits.wait()
        yield session, turn


async def transcript(backend: Backend) -> list[str]:
    return [entry["text"] for entry in (await backend.state("s", flow="default"))["transcript"]]


async def test_a_turn_that_waits_never_supersedes_one_that_came_later(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve_backend([ANSWER], database_url=database_url) as backend:
        async with second_turn(backend, monkeypatch) as (session, second):
            third = asyncio.create_task(
                session.start_turn("three", "t3", speculative=True, heard=[REPORT])
            )
            await asyncio.sleep(0)
        assert (await second).discarded
        turn = await third
        await session.commit(turn)
        await turn.over.wait()
        assert await transcript(backend) == [
            "zero", "Well said.", "one", "Well", "three", "Well said.",
        ]  # fmt: skip


async def test_a_turn_that_waits_can_be_dropped(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve_backend([ANSWER], database_url=database_url) as backend:
        async with second_turn(backend, monkeypatch) as (session, second):
            assert session.busy
            dropping = asyncio.create_task(session.turn("t2"))
            await asyncio.sleep(0)
        await session.discard(await dropping)
        assert (await second).discarded
        assert await transcript(backend) == ["zero", "Well said.", "one", "Well"]


async def test_a_turn_that_waits_is_committed_by_being_asked_for_again(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve_backend([ANSWER], database_url=database_url) as backend:
        async with second_turn(backend, monkeypatch) as (session, second):
            again = asyncio.create_task(session.start_turn("two", "t2", speculative=False))
            await asyncio.sleep(0)
        turn = await again
        assert turn is await second
        assert turn.committed
        await turn.over.wait()
        assert (await transcript(backend))[-2:] == ["two", "Well said."]


async def test_turns_that_wait_fail_clearly_when_the_session_goes(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve_backend([ANSWER], database_url=database_url) as backend:
        async with second_turn(backend, monkeypatch) as (session, second):
            third = asyncio.create_task(session.start_turn("three", "t3", speculative=False))
            reading = asyncio.create_task(session.turn("t3"))
            await asyncio.sleep(0)
            closing = asyncio.create_task(session.aclose())
            await asyncio.sleep(0)
        await closing
        for waiting in (second, third, reading):
            with pytest.raises(StreamError) as failed:
                await waiting
            assert (failed.value.code, failed.value.retryable) == ("backend_unavailable", True)
        # What it was told of the turn before counts all the same.
        assert await transcript(backend) == ["zero", "Well said.", "one", "Well"]
