"""Flows, versions, sessions and migrations on SQLite and PostgreSQL."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Column, Connection, Table, event, insert, inspect, select, text

from flow_backend.llm.scripted import Reply
from flow_backend.store.database import migrate, migration_config, open_database
from flow_backend.store.passages import Document, PassageStore
from flow_backend.store.people import PeopleStore
from flow_backend.store.sessions import SessionStore
from flow_backend.store.tables import metadata, sessions
from protocol.errors import ConfigError
from tests.integration.backend_server import serve_backend, text_of

ALWAYS = {"condition_type": "always"}


def said(words: str, flow_id: str = "f") -> dict[str, Any]:
    """A flow that says the same words again and again."""
    return {
        "id": flow_id,
        "name": words,
        "nodes": [
            {"id": "start", "type": "start"},
            {"id": "say", "type": "say", "data": {"text": words, "wait_for_input": True}},
        ],
        "edges": [
            {"id": "e0", "source": "start", "target": "say", "data": ALWAYS},
            {"id": "e1", "source": "say", "target": "say", "data": ALWAYS},
        ],
    }


async def test_migrations_make_the_tables_that_the_code_knows(database_url: str) -> None:
    engine = await open_database(database_url)

    def differences(connection: Connection) -> list[Any]:
        context = MigrationContext.configure(
            connection,
            opts={
                "include_name": lambda name, kind, parents: (
                    not (name or "").startswith(("passage_words", "ix_passages_words"))
                )
            },
        )
        found: list[Any] = compare_metadata(context, metadata)
        return found

    def revert(connection: Connection) -> None:
        command.downgrade(migration_config(connection), "base")

    def tables(connection: Connection) -> set[str]:
        return set(connection.dialect.get_table_names(connection))

    try:
        async with engine.begin() as connection:
            assert await connection.run_sync(differences) == []
            await connection.run_sync(revert)
        async with engine.begin() as connection:
            assert await connection.run_sync(tables) == {"alembic_version"}
            await connection.run_sync(migrate)
            assert await connection.run_sync(differences) == []
    finally:
        await engine.dispose()


async def test_migrations_keep_what_is_there_up_and_down(database_url: str) -> None:
    """Each step is taken with rows in every table of the version before, and back again."""
    engine = await open_database(database_url)
    revisions = ["0001", "0002", "0003", "0004", "0005", "0006"]

    def go_to(connection: Connection, revision: str) -> None:
        config = migration_config(connection)
        heads = MigrationContext.configure(connection).get_current_heads()
        move = command.downgrade if heads and heads[0] > revision else command.upgrade
        move(config, revision)

    def columns(connection: Connection) -> dict[Table, list[Column[Any]]]:
        """What there is of the tables in this version."""
        known = inspect(connection)
        return {
            table: [
                table.columns[column["name"]]
                for column in known.get_columns(table.name)
                if column["name"] in table.columns
            ]
            for table in metadata.sorted_tables
            if known.has_table(table.name)
        }

    def fill(connection: Connection, number: int) -> None:
        for table, present in columns(connection).items():
            row = row_of(table, number)
            here = {column.name: row[column.name] for column in present if column.name in row}
            connection.execute(insert(table), [here])

    def content(
        connection: Connection, of: dict[Table, list[Column[Any]]] | None = None
    ) -> dict[str, list[Any]]:
        return {
            table.name: sorted(map(repr, connection.execute(select(*present))))
            for table, present in (of or columns(connection)).items()
        }

    try:
        async with engine.begin() as connection:
            await connection.run_sync(go_to, revisions[0])
        for number, revision in enumerate(revisions[1:], 1):
            async with engine.begin() as connection:
                await connection.run_sync(fill, number)
                old = await connection.run_sync(columns)
                before = await connection.run_sync(content)
            for there, back in ((revision, revisions[number - 1]), (revision, None)):
                async with engine.begin() as connection:
                    await connection.run_sync(go_to, there)
                    assert await connection.run_sync(content, old) == before
                if back is not None:
                    async with engine.begin() as connection:
                        await connection.run_sync(go_to, back)
                        assert await connection.run_sync(content) == before
        async with engine.begin() as connection:
            head = MigrationContext.configure
            assert await connection.run_sync(lambda sync: head(sync).get_current_heads()) == (
                revisions[-1],
            )
            await connection.run_sync(fill, 9)
        found = await PassageStore(engine).search([Document("", "Found by words.")], "words", 3)
        assert found[0].text == "Found by words."
    finally:
        await engine.dispose()


def row_of(table: Table, number: int) -> dict[str, Any]:
    """A row that may stand beside those of other numbers."""
    values: dict[str, Any] = {}
    for column in table.columns:
        if column is table.autoincrement_column:
            continue
        kind = column.type.python_type
        if column.foreign_keys:
            (key,) = column.foreign_keys
            values[column.name] = f"{key.column.name} {number}"
        elif kind is str:
            values[column.name] = f"{column.name} {number}"[: getattr(column.type, "length", 99)]
        elif kind is bytes:
            values[column.name] = b"\x00 %d" % number
        else:
            values[column.name] = kind(number)
    return values


async def test_two_processes_may_start_at_once(database_url: str) -> None:
    if database_url.startswith("sqlite"):
        pytest.skip("SQLite is for one process")
    engines = await asyncio.gather(*(open_database(database_url) for _ in range(3)))
    for engine in engines:
        await engine.dispose()


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("mysql://x/y", "setting_invalid"),
        ("nonsense", "setting_invalid"),
        ("sqlite://", "setting_invalid"),
        ("sqlite:////proc/nowhere/parley.db", "start_failed"),
        ("postgresql://parley@127.0.0.1:1/x", "start_failed"),
    ],
)
async def test_wrong_databases_are_named(url: str, code: str) -> None:
    with pytest.raises(ConfigError) as caught:
        await open_database(url)
    assert caught.value.code == code
    assert "DATABASE_URL" in caught.value.message


async def test_flows_are_drafts_with_etags_and_published_versions(database_url: str) -> None:
    async with serve_backend(database_url=database_url) as backend:
        client = backend.client
        made = await client.post("/api/flows", json=said("One."))
        assert (made.status_code, made.headers["etag"]) == (201, '"1"')
        again = await client.post("/api/flows", json=said("One."))
        assert (again.status_code, again.json()["code"]) == (409, "flow_exists")
        unpublished = await client.get("/api/flows/f/stream/s", params={"input": "x"})
        assert (unpublished.status_code, unpublished.json()["code"]) == (404, "flow_not_found")
        bare = await client.put("/api/flows/f", json=said("Two."))
        assert (bare.status_code, bare.json()["code"]) == (428, "precondition_required")
        saved = await client.put("/api/flows/f", json=said("Two."), headers={"If-Match": '"1"'})
        assert (saved.status_code, saved.headers["etag"]) == (200, '"2"')
        lost = await client.put("/api/flows/f", json=said("Three."), headers={"If-Match": '"1"'})
        assert (lost.status_code, lost.json()["code"]) == (409, "flow_conflict")
        other = await client.put("/api/flows/g", json=said("x"), headers={"If-Match": "*"})
        assert (other.status_code, other.json()["path"]) == (422, "id")
        for _ in range(2):
            published = await client.post("/api/flows/f/publish")
            assert published.json()["version"] == 1
        await client.put("/api/flows/f", json=said("Three."), headers={"If-Match": "*"})
        assert (await client.post("/api/flows/f/publish")).json()["version"] == 2
        versions = (await client.get("/api/flows/f/versions")).json()["versions"]
        assert [v["version"] for v in versions] == [2, 1]
        assert (await client.get("/api/flows/f")).json() == {**said("Three."), "version": None}
        first = (await client.get("/api/flows/f", params={"version": 1})).json()
        assert first == {**said("Two."), "version": 1}
        missing = await client.get("/api/flows/f", params={"version": 9})
        assert missing.status_code == 404
        listed = {f["id"]: f for f in (await client.get("/api/flows")).json()["flows"]}
        assert listed["f"]["published_version"] == 2
        assert "default" in listed


async def test_lost_updates_at_the_same_time(database_url: str) -> None:
    async with serve_backend(database_url=database_url) as backend:
        await backend.client.post("/api/flows", json=said("0"))
        answers = await asyncio.gather(
            *(
                backend.client.put("/api/flows/f", json=said(str(n)), headers={"If-Match": '"1"'})
                for n in range(8)
            )
        )
    assert sorted(a.status_code for a in answers) == [200] + [409] * 7


async def test_sessions_stay_on_their_version_and_keep_a_flow_alive(database_url: str) -> None:
    async with serve_backend(database_url=database_url) as backend:
        client = backend.client
        await client.post("/api/flows", json=said("Old."))
        await client.post("/api/flows/f/publish")
        assert text_of(await backend.turn("s", "hi")) == "Old."
        await client.put("/api/flows/f", json=said("New."), headers={"If-Match": "*"})
        await client.post("/api/flows/f/publish")
        assert text_of(await backend.turn("s", "hi")) == "Old."
        assert text_of(await backend.turn("s2", "hi")) == "New."
        pinned = await client.post("/api/flows/f/sessions", json={"version": 1})
        assert pinned.json()["flow_version"] == 1
        used = await client.delete("/api/flows/f")
        assert (used.status_code, used.json()["code"]) == (409, "flow_in_use")
        for session in ("s", "s2", pinned.json()["session_id"]):
            await client.delete(f"/api/flows/f/sessions/{session}")
        assert (await client.delete("/api/flows/f")).status_code == 204
        assert (await client.delete("/api/flows/f")).status_code == 404


async def test_every_problem_of_a_document_is_named() -> None:
    document = said("{{ nobody }}")
    document["nodes"][1]["data"]["wrong"] = 1
    document["edges"][0]["target"] = "nowhere"
    async with serve_backend() as backend:
        verdict = (await backend.client.post("/api/flows/validate", json=document)).json()
        refused = await backend.client.post("/api/flows", json=document)
        schema = (await backend.client.get("/api/flows/schema")).json()
        yaml = await backend.client.post(
            "/api/flows/validate", content="id: [", headers={"Content-Type": "application/yaml"}
        )
        binary = await backend.client.post("/api/flows", content=b"\xff\xfe")
    assert verdict["valid"] is False
    assert {p["path"] for p in verdict["problems"]} >= {"nodes[1].data.wrong", "edges[0].target"}
    assert (refused.status_code, refused.json()["code"]) == (422, "flow_invalid")
    assert refused.json()["problems"] == verdict["problems"]
    assert schema["type"] == "object"
    assert yaml.status_code == 422
    assert binary.status_code == 422


async def test_sessions_turns_and_journals_survive_a_restart(database_url: str) -> None:
    async with serve_backend([Reply(say="One two.")], database_url=database_url) as backend:
        first = await backend.turn("s", "hi", "t1", flow="default")
        state = await backend.state("s", flow="default")
    async with serve_backend([Reply(say="Three.")], database_url=database_url) as backend:
        assert await backend.state("s", flow="default") == state
        assert await backend.turn("s", "hi", "t1", flow="default") == first
        assert text_of(await backend.turn("s", "more", "t2", flow="default")) == "Three."


async def test_idle_sessions_end_and_old_ones_are_forgotten(database_url: str) -> None:
    settings = {"session_idle_s": 0.01, "session_kept_days": 0.01 / 86400}
    async with serve_backend(["Hi.", "Again."], database_url=database_url, **settings) as backend:
        await backend.turn("s", "hi", flow="default")
        engine = backend.app.state.engine
        await asyncio.sleep(0.02)
        await engine.sweep()
        gone = await backend.client.get("/api/flows/default/stream/s", params={"input": "x"})
        assert gone.json()["code"] == "session_ended"
        async with backend.app.state.database.connect() as connection:
            for table in ("sessions", "turns", "journal"):
                count = await connection.scalar(text(f"SELECT count(*) FROM {table}"))
                assert count == 0, table


async def test_statements_are_the_same_for_any_number_of_sessions(database_url: str) -> None:
    engine = await open_database(database_url)
    statements: list[str] = []

    @event.listens_for(engine.sync_engine, "before_cursor_execute")
    def _keep(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        statements.append(statement)

    store, people = SessionStore(engine), PeopleStore(engine)
    said_for: list[list[str]] = []
    for uids in (set[str](), {"one"}, {"one", "the 'other'"}, {str(n) for n in range(40_000)}):
        statements.clear()
        assert await store.end_idle(0.0, uids) == []
        assert await store.take_lost_turns(0.0, uids) == []
        await people.delete_sessions(uids)
        await people.delete_conversations(sorted(uids))
        said_for.append(list(statements))
    assert said_for[0]
    assert all(said == said_for[0] for said in said_for)
    await engine.dispose()


@pytest.mark.parametrize("kept", [[], ["a"], ["a", "\u00e4 'b'\"\\"], ["nobody", "c"]])
async def test_all_but_those_in_use_are_ended(database_url: str, kept: list[str]) -> None:
    engine = await open_database(database_url)
    uids = ["a", "\u00e4 'b'\"\\", "c"]
    async with engine.begin() as connection:
        await connection.execute(
            insert(sessions),
            [
                {
                    "uid": uid, "flow_id": "f", "session_id": uid, "owner": "", "flow_version": 1,
                    "state": "{}", "metadata": "{}", "ended": False, "generation": 1,
                    "last_used_at": 1.0,
                }
                for uid in uids
            ],
        )  # fmt: skip
    ended = await SessionStore(engine).end_idle(2.0, set(kept))
    assert sorted(ended) == sorted(("f", uid) for uid in uids if uid not in kept)
    await engine.dispose()


async def test_flows_from_a_folder_get_a_new_version_when_they_change(
    tmp_path: Any, database_url: str
) -> None:
    folder = tmp_path / "flows"
    folder.mkdir()
    for words, version in (("One.", 1), ("One.", 1), ("Two.", 2)):
        (folder / "f.yaml").write_text(json.dumps(said(words)))
        async with serve_backend(database_url=database_url, flows_dir=folder) as backend:
            assert text_of(await backend.turn(f"s{words}", "hi")) == words
            versions = (await backend.client.get("/api/flows/f/versions")).json()["versions"]
            assert versions[0]["version"] == version


async def test_passages_are_found_by_their_words(database_url: str) -> None:
    engine = await open_database(database_url)
    try:
        store = PassageStore(engine)
        documents = [
            Document("Öffnungszeiten", "Wir öffnen um neun."),
            Document("Parking", "There is a car park. " * 80 + "The gate code is 7."),
            Document("Empty", ""),
        ]
        found = await store.search(documents, "what is the GATE code?", 1)
        assert found[0].title == "Parking"
        assert "gate code is 7" in found[0].text
        assert (await store.search(documents, "öffnen", 3))[0].title == "Öffnungszeiten"
        assert await PassageStore(engine).search(documents, "öffnen", 3)
        for nothing in ("", "?!", "zebra", "' OR 1=1 --", '"', "a:b & !c | (", "NEAR(x y)"):
            assert isinstance(await store.search(documents, nothing, 3), list)
        assert await store.search([], "gate", 3) == []
    finally:
        await engine.dispose()


async def test_passages_that_nobody_asks_for_are_forgotten(database_url: str) -> None:
    engine = await open_database(database_url)

    async def count() -> int:
        async with engine.connect() as connection:
            return int(await connection.scalar(text("SELECT count(*) FROM passages")) or 0)

    try:
        store = PassageStore(engine)
        old, new = [Document("", "The old price is 7.")], [Document("", "The new price is 8.")]
        await store.search(old, "price", 3)
        between = time.time()
        await store.search(new, "price", 3)
        assert await count() == 2
        await store.forget(before=between)
        assert await count() == 1
        assert [p.text for p in await store.search(new, "price", 3)] == ["The new price is 8."]
        assert [p.text for p in await store.search(old, "price", 3)] == ["The old price is 7."]
        assert await count() == 2
    finally:
        await engine.dispose()
