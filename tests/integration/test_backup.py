"""Backups go from either database to either, and what cannot be restored is refused."""

from __future__ import annotations

import gzip
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from flow_backend.llm.scripted import Reply
from flow_backend.store.backup import back_up, restore
from flow_backend.store.database import open_database
from flow_backend.store.passages import Document, PassageStore
from flow_backend.store.tables import metadata
from protocol.errors import ConfigError
from stack import cli
from tests.integration.backend_server import serve_backend, text_of
from tests.integration.test_backend_store import row_of


async def content(engine: AsyncEngine) -> dict[str, list[str]]:
    async with engine.connect() as connection:
        return {
            table.name: sorted(map(repr, await connection.execute(select(table))))
            for table in metadata.sorted_tables
        }


async def fill(engine: AsyncEngine) -> None:
    async with engine.begin() as connection:
        for table in metadata.sorted_tables:
            await connection.execute(insert(table), [row_of(table, n) for n in range(3)])


async def test_every_row_comes_back_in_either_database(database_url: str, tmp_path: Path) -> None:
    source = await open_database(database_url)
    await fill(source)
    file = tmp_path / "parley.backup.gz"
    told = await back_up(source, file)
    before = await content(source)
    assert told.rows == {name: len(rows) for name, rows in before.items()}
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    # Into another kind of database, and back into the one that it is of.
    other = await open_database(f"sqlite:///{tmp_path}/other.db")
    await restore(other, file)
    assert await content(other) == before
    back = tmp_path / "again.gz"
    await back_up(other, back)
    with pytest.raises(ConfigError, match="not empty"):
        await restore(source, back)
    await restore(source, back, replace=True)
    assert await content(source) == before
    for engine in (source, other):
        found = await PassageStore(engine).search([Document("", "A new text.")], "text", 1)
        assert found[0].text == "A new text."
        await engine.dispose()


async def test_a_conversation_goes_on_after_backup_and_restore(
    database_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "b.gz"
    async with serve_backend([Reply(say="One two.")], database_url=database_url) as backend:
        events = await backend.turn("s", "hi", "t1", flow="default")
        await back_up(backend.app.state.database, file)  # while it runs
        state = await backend.state("s", flow="default")
    url = f"sqlite:///{tmp_path}/new.db"
    database = await open_database(url)
    await restore(database, file)
    await database.dispose()
    async with serve_backend([Reply(say="Three.")], database_url=url) as backend:
        assert await backend.state("s", flow="default") == state
        assert await backend.turn("s", "hi", "t1", flow="default") == events
        assert text_of(await backend.turn("s", "more", "t2", flow="default")) == "Three."


async def test_a_backup_of_an_older_version_is_brought_up_to_date(tmp_path: Path) -> None:
    file = tmp_path / "old.gz"
    session = {
        "uid": "u", "flow_id": "f", "session_id": "s", "flow_version": 1, "state": "{}",
        "metadata": "{}", "ended": True, "last_used_at": 1.0,
    }  # fmt: skip
    rows = dict.fromkeys(["flows", "flow_versions", "turns", "journal", "outbox", "passages"], 0)
    lines: list[Any] = [
        {"format": "parley-backup-1", "revision": "0001", "made_at": 1.0},
        ["sessions", session],
        {"rows": {**rows, "sessions": 1}},
    ]
    with gzip.open(file, "wt") as out:
        out.writelines(f"{json.dumps(line)}\n" for line in lines)
    database = await open_database(f"sqlite:///{tmp_path}/p.db")
    await restore(database, file)
    assert len((await content(database))["sessions"]) == 1
    assert "generation" in metadata.tables["sessions"].c
    await database.dispose()


@pytest.mark.parametrize("fault", ["cut", "no gzip", "other", "newer", "no end"])
async def test_what_is_no_whole_backup_changes_nothing(tmp_path: Path, fault: str) -> None:
    database = await open_database(f"sqlite:///{tmp_path}/p.db")
    await fill(database)
    file = tmp_path / "b.gz"
    await back_up(database, file)
    before = await content(database)
    lines = gzip.decompress(file.read_bytes()).decode().splitlines(keepends=True)
    if fault == "cut":
        file.write_bytes(file.read_bytes()[:-20])
    elif fault == "no gzip":
        file.write_text("hello")
    elif fault == "other":
        file.write_bytes(gzip.compress(b'{"format": "x"}\n'))
    elif fault == "newer":
        head = json.loads(lines[0]) | {"revision": "9999"}
        file.write_bytes(gzip.compress("".join([json.dumps(head), "\n", *lines[1:]]).encode()))
    else:
        file.write_bytes(gzip.compress("".join(lines[:-2]).encode()))
    with pytest.raises(ConfigError):
        await restore(database, file, replace=True)
    assert await content(database) == before
    await database.dispose()


def test_the_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", "sqlite:///one.db")
    cli.backup(tmp_path / "b.gz")
    assert "b.gz: nothing" in capsys.readouterr().out
    monkeypatch.setenv("DATABASE_URL", "sqlite:///two.db")
    (tmp_path / "two.db-events-0").write_bytes(b"left")
    cli.restore(tmp_path / "b.gz")
    assert "Restored nothing" in capsys.readouterr().out
    assert not (tmp_path / "two.db-events-0").exists()
    cli.migrate("0001")
    cli.migrate("0001")
    cli.migrate()
    told = capsys.readouterr().out
    assert "to 0001" in told
    assert "is at revision 0001" in told
    assert "from revision 0001 to" in told
    with pytest.raises(ConfigError, match="there are 0001, 0002"):
        cli.migrate("nonsense")
    with pytest.raises(ConfigError, match="cannot be read"):
        cli.restore(tmp_path / "missing.gz")
    with pytest.raises(ConfigError, match="cannot be written"):
        cli.backup(tmp_path / "nowhere" / "b.gz")
