"""The write-behind writer: nothing is lost, the last row of a key counts, refusals are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from flow_backend.store.batch import Row
from flow_backend.store.database import open_database
from flow_backend.store.tables import journal, turns
from flow_backend.store.writer import Writer
from protocol.errors import ParleyError


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    engine = await open_database(f"sqlite:///{tmp_path}/parley.db")
    yield engine
    await engine.dispose()


def turn(turn_id: str, status: str = "running") -> Row:
    return {
        "session_uid": "u", "turn_id": turn_id, "input": "hi", "status": status,
        "rewind": "{}", "updated_at": 1.0,
    }  # fmt: skip


class Growing:
    """A turn that says a piece whenever it is asked."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.saved = 0

    def unsaved_chunk(self) -> Row | None:
        if self.saved == len(self.pieces):
            return None
        frames = b"".join(self.pieces[self.saved :])
        first, self.saved = self.saved + 1, len(self.pieces)
        return {"session_uid": "u", "turn_id": "t", "first_seq": first, "frames": frames}

    def turn_row(self) -> Row:
        return turn("t")


async def rows(engine: AsyncEngine, table: Any) -> list[Any]:
    async with engine.connect() as connection:
        return list(await connection.execute(select(table)))


async def test_what_is_durable_is_there_and_the_last_row_counts(database: AsyncEngine) -> None:
    async with Writer(database, interval_s=60) as writer:
        for status in ("running", "over"):
            writer.put(turns, turn("a", status))
        writer.put(turns, turn("b"))
        async with asyncio.timeout(10):
            await writer.durable()
        assert {(r.turn_id, r.status) for r in await rows(database, turns)} == {
            ("a", "over"),
            ("b", "running"),
        }


async def test_closing_writes_what_is_left(database: AsyncEngine) -> None:
    async with Writer(database, interval_s=60) as writer:
        writer.put(turns, turn("a"))
    assert len(await rows(database, turns)) == 1


async def test_a_growing_turn_is_written_bit_by_bit_without_gaps(database: AsyncEngine) -> None:
    source = Growing()
    async with Writer(database, interval_s=0.001) as writer:
        writer.follow(source)
        for number in range(20):
            source.pieces.append(b"%d," % number)
            await writer.durable()
        writer.unfollow(source)
        source.pieces.append(b"not any more")
        await writer.durable()
    found = sorted(await rows(database, journal), key=lambda row: row.first_seq)
    assert b"".join(row.frames for row in found) == b"".join(b"%d," % n for n in range(20))
    assert [row.first_seq for row in found] == list(range(1, 21))


async def test_waiting_callers_that_leave_do_not_disturb_others(database: AsyncEngine) -> None:
    async with Writer(database, interval_s=60) as writer:
        writer.put(turns, turn("a"))
        impatient = asyncio.ensure_future(writer.durable())
        await asyncio.sleep(0)
        impatient.cancel()
        async with asyncio.timeout(10):
            await writer.durable()
    assert impatient.cancelled()


@pytest.mark.parametrize(("uid", "code"), [("u", "internal"), (None, "database_unavailable")])
async def test_a_refused_batch_is_told_and_kept_for_the_next(
    database: AsyncEngine, uid: str | None, code: str
) -> None:
    async with Writer(database, interval_s=60) as writer:
        async with database.begin() as connection:
            await connection.execute(text("ALTER TABLE turns RENAME TO away"))
        writer.put(turns, turn("a"))
        writer.put_chunk({"session_uid": "u", "turn_id": "a", "first_seq": 1, "frames": b"x"})
        with pytest.raises(ParleyError) as caught:
            await writer.durable(uid)
        assert (caught.value.code, caught.value.retryable) == (code, True)
        async with database.begin() as connection:
            await connection.execute(text("ALTER TABLE away RENAME TO turns"))
        writer.put(turns, turn("a", "over"))
        await writer.durable()
    assert [row.status for row in await rows(database, turns)] == ["over"]
    assert [row.frames for row in await rows(database, journal)] == [b"x"]
