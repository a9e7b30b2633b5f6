"""Long conversations: what prompts no longer hold leaves the session's row, and is not lost."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from flow_backend.engine.session import Session
from flow_backend.llm.scripted import Reply
from flow_backend.store.backup import back_up, restore
from flow_backend.store.database import change_revision, open_database
from flow_backend.store.tables import sessions, transcript_parts
from tests.integration.backend_server import Backend, serve_backend
from tests.integration.test_privacy import ask, everything
from tests.integration.test_replicas import shared, two

__all__ = ["shared"]

SUMMARY = Reply(purpose="summary", say="They counted.", times=None)
ANSWER = Reply(say="Well counted.", times=None)
SMALL = {"history_tokens": 100}
TURNS = 40


async def count(backend: Backend, first: int, last: int, *, says: str = "Number") -> list[int]:
    """Runs turns one after the other; gives the size of the session's row after each."""
    sizes = []
    for number in range(first, last):
        await backend.turn("s", f"{says} {number}.", f"t{number}", flow="default")
        await summarised(backend)
        await backend.app.state.engine.flush()
        async with backend.app.state.database.connect() as connection:
            sizes.append(len(await connection.scalar(select(sessions.c.state))))
    return sizes


async def session_of(backend: Backend) -> Session:
    return await backend.app.state.engine.own_session("default", "s")


async def summarised(backend: Backend) -> None:
    if writing := (await session_of(backend))._summaries.task:
        await asyncio.wait([writing])


async def transcript(backend: Backend) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await backend.state("s", flow="default"))["transcript"]
    return found


async def parts_of(backend: Backend) -> int:
    async with backend.app.state.database.connect() as connection:
        return len((await connection.execute(select(transcript_parts))).all())


def said(first: int, last: int) -> list[str]:
    return [text for n in range(first, last) for text in (f"Number {n}.", "Well counted.")]


def texts(entries: list[dict[str, Any]]) -> list[str]:
    return [entry["text"] for entry in entries]


async def test_a_sessions_row_does_not_grow_with_the_conversation(database_url: str) -> None:
    settings = {"database_url": database_url, **SMALL}
    async with serve_backend([SUMMARY, ANSWER], **settings) as backend:
        sizes = await count(backend, 0, TURNS)
        assert max(sizes[TURNS // 2 :]) <= 1.1 * max(sizes[: TURNS // 2])
        assert len((await session_of(backend)).state.history) < 40
        assert await parts_of(backend) >= 2
        shown = await backend.state("s", flow="default")
        assert texts(shown["transcript"]) == said(0, TURNS)
        assert [e["turn_id"] for e in shown["transcript"][::2]] == [f"t{n}" for n in range(TURNS)]
    async with serve_backend([SUMMARY, ANSWER], **settings) as backend:
        assert await backend.state("s", flow="default") == shown
        await count(backend, TURNS, TURNS + 20)
        assert texts(await transcript(backend)) == said(0, TURNS + 20)
        # What was said in the first turn is there to be read again.
        again = await backend.turn("s", "Number 0.", "t0", flow="default")
        assert again[-1]["content"] == "Well counted."
        prompt, _ = next(r for r in backend.provider.requests if r[1].purpose == "speak")
        assert "They counted." in prompt[0].content


async def test_reports_about_turns_long_ago_correct_them_where_they_are(database_url: str) -> None:
    settings = {"database_url": database_url, **SMALL}
    async with serve_backend([SUMMARY, ANSWER], **settings) as backend:
        await count(backend, 0, 20)
        before = await transcript(backend)
        report = {"text": "Well", "interrupted": True}
        answers = await asyncio.gather(
            *(backend.call("s", f"t{n}", "heard", report, flow="default") for n in (0, 1))
        )
        assert {answer.status_code for answer in answers} == {204}
        later = {"text": "Well c", "interrupted": True, "estimated": True}
        await backend.call("s", "t1", "heard", later, flow="default")
        expected = [dict(entry) for entry in before]
        expected[1].update(text="Well", interrupted=True, heard=True)
        expected[3].update(text="Well c", interrupted=True, heard=True, estimated=True)
        assert await transcript(backend) == expected
        assert (await session_of(backend)).state.node_id is not None
    async with serve_backend([SUMMARY, ANSWER], **settings) as backend:
        assert await transcript(backend) == expected
        # With the next turn's request, too.
        body = {"input": "Number 20.", "turn_id": "t20", "heard": [{"turn_id": "t2", **report}]}
        answer = await backend.client.post("/api/flows/default/sessions/s/turns", json=body)
        assert answer.status_code == 200, answer.text
        expected[5].update(text="Well", interrupted=True, heard=True)
        expected[39]["heard"] = True  # nobody reported on it before the next turn
        assert (await transcript(backend))[:40] == expected


async def test_a_report_reads_no_further_back_than_its_turn(database_url: str) -> None:
    async with serve_backend([SUMMARY, ANSWER], database_url=database_url, **SMALL) as backend:
        await count(backend, 0, TURNS)
        last = await parts_of(backend) - 1
        assert last > 0
        async with backend.app.state.database.begin() as connection:
            number = transcript_parts.c.number
            newest = await connection.scalar(
                select(transcript_parts.c.entries).where(number == last)
            )
            turn_id = json.loads(newest)[-1]["turn_id"]
            await connection.execute(
                transcript_parts.update().where(number < last).values(entries="unread")
            )
        report = {"text": "Well", "interrupted": True}
        answer = await backend.call("s", turn_id, "heard", report, flow="default")
        assert answer.status_code == 204
        await backend.app.state.engine.flush()
        async with backend.app.state.database.connect() as connection:
            newest = await connection.scalar(
                select(transcript_parts.c.entries).where(number == last)
            )
        assert json.loads(newest)[-1]["text"] == "Well"


async def test_without_summaries_the_row_stays_small_too() -> None:
    failing = Reply(purpose="summary", error="provider_unavailable", times=None)
    async with serve_backend([failing, ANSWER], **SMALL) as backend:
        sizes = await count(backend, 0, 80)
        assert max(sizes[50:]) <= 1.1 * max(sizes[:50])
        assert len((await session_of(backend)).state.history) < 80
        assert texts(await transcript(backend)) == said(0, 80)


async def test_what_was_put_away_is_deleted_with_its_person(
    database_url: str, tmp_path: Path
) -> None:
    async with serve_backend([SUMMARY, ANSWER], database_url=database_url, **SMALL) as backend:
        await count(backend, 0, 20, says="Aurelia Quince says")
        assert await parts_of(backend)
        assert "urelia" in await everything(backend)
        await ask(backend, "delete", sessions=["s"])
        assert "urelia" not in await everything(backend)
        assert not await parts_of(backend)
    files = list(tmp_path.iterdir())  # noqa: ASYNC240 - a test may
    assert all(b"urelia" not in file.read_bytes() for file in files), "left in a file"


async def test_old_sessions_are_forgotten_with_what_was_put_away(database_url: str) -> None:
    async with serve_backend([SUMMARY, ANSWER], database_url=database_url, **SMALL) as backend:
        await count(backend, 0, 20)
        await (await session_of(backend)).end()
        await backend.app.state.parts.sessions.forget(2**40)
        assert not await parts_of(backend)


async def test_a_version_that_knows_no_parts_deletes_them_with_the_session(
    database_url: str,
) -> None:
    async with serve_backend([SUMMARY, ANSWER], database_url=database_url, **SMALL) as backend:
        await count(backend, 0, 20)
        assert await parts_of(backend)
        async with backend.app.state.database.begin() as connection:
            await connection.execute(text("DELETE FROM sessions"))
        assert not await parts_of(backend)


async def test_a_version_that_knows_no_parts_goes_on_and_hands_back(database_url: str) -> None:
    """It has the newest turns, and writes the history that it has, of whatever length."""
    settings = {"database_url": database_url, **SMALL}
    async with serve_backend([SUMMARY, ANSWER], **settings) as backend:
        await count(backend, 0, 20)
        uid = (await session_of(backend)).uid
    database = await open_database(database_url)
    async with database.begin() as connection:
        state = json.loads(await connection.scalar(select(sessions.c.state)))
        assert state["summarised"] <= len(state["history"]) < 40
        entry = {"turn_id": None, "interrupted": False, "heard": True}
        for number in range(20, 25):
            state["history"].append({**entry, "role": "user", "text": f"Number {number}."})
            state["history"].append({**entry, "role": "assistant", "text": "Well counted."})
        await connection.execute(
            sessions.update().where(sessions.c.uid == uid).values(state=json.dumps(state))
        )
    await database.dispose()
    async with serve_backend([SUMMARY, ANSWER], **settings) as backend:
        await count(backend, 25, 45)
        assert texts(await transcript(backend)) == said(0, 45)


async def test_a_long_session_goes_on_after_backup_and_restore(
    database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "b.gz"
    async with serve_backend([SUMMARY, ANSWER], database_url=database_url, **SMALL) as backend:
        await count(backend, 0, 20)
        await back_up(backend.app.state.database, file)
        shown = await backend.state("s", flow="default")
    url = f"sqlite:///{tmp_path}/new.db"
    database = await open_database(url)
    await restore(database, file)
    await restore(database, file, replace=True)
    await database.dispose()
    async with serve_backend([SUMMARY, ANSWER], database_url=url, **SMALL) as backend:
        assert await backend.state("s", flow="default") == shown
        await count(backend, 20, 40)
        assert texts(await transcript(backend)) == said(0, 40)


async def test_a_step_back_puts_old_turns_back_into_the_row(database_url: str) -> None:
    settings = {"database_url": database_url, **SMALL}
    async with serve_backend([SUMMARY, ANSWER], **settings) as backend:
        await count(backend, 0, 20)
        shown = await backend.state("s", flow="default")
        session = await session_of(backend)
        fresh = len(session.state.history) - session.state.summarised
    assert await change_revision(database_url, "0005") == ("0006", "0005")
    database = await open_database(database_url)
    async with database.connect() as connection:
        state = json.loads(await connection.scalar(select(sessions.c.state)))
    await database.dispose()
    assert texts(state["history"]) == said(0, 20)
    assert len(state["history"]) - state["summarised"] == fresh
    async with serve_backend([SUMMARY, ANSWER], **settings) as backend:
        assert await backend.state("s", flow="default") == shown
        assert not await parts_of(backend)
        await count(backend, 20, 40)
        assert await parts_of(backend)
        assert texts(await transcript(backend)) == said(0, 40)


async def test_either_replica_goes_on_with_a_long_session(shared: dict[str, Any]) -> None:
    async with two({**shared, **SMALL}, [SUMMARY, ANSWER]) as (one, other):
        await count(one, 0, 20)
        assert await parts_of(one)
        assert texts(await transcript(other)) == said(0, 20)
        await other.app.state.engine.session_here("default", "s")
        await count(other, 20, 40)
        assert texts(await transcript(one)) == said(0, 40)
        report = {"text": "Well", "interrupted": True}
        answer = await one.call("s", "t0", "heard", report, flow="default")
        assert answer.status_code == 204
        assert texts(await transcript(other))[:3] == ["Number 0.", "Well", "Number 1."]


@pytest.mark.parametrize("reloaded", [False, True])
async def test_a_session_of_another_time_is_put_away_when_it_goes_on(reloaded: bool) -> None:
    """The row of a version before has the whole history, of which prompts hold little."""
    async with serve_backend([SUMMARY, ANSWER], history_tokens=1_000_000) as backend:
        await count(backend, 0, 30)
        session = await session_of(backend)
        assert len(session.state.history) == 60
        assert not await parts_of(backend)
        limits = session._parts.limits
        object.__setattr__(limits, "history_tokens", 100)
        if reloaded:
            await backend.app.state.engine._let_go(("default", "s"), session)
        await count(backend, 30, 32)
        assert await parts_of(backend) == 1
        assert len((await session_of(backend)).state.history) < 24
        assert texts(await transcript(backend)) == said(0, 32)
