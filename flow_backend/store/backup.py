"""The whole database as one file, which either kind of database can be made from.

Gzipped JSON lines: first what it is, then each row as `[table, {column: value}]`. It is read in one
transaction, while the backend runs. A backup of an older version is brought up to date when it is
restored; one of a newer version is refused.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby, islice
from pathlib import Path
from typing import Any, TextIO

from alembic import command
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, Table, delete, func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from flow_backend.store.database import begin_changes, migrate, migration_config
from protocol.errors import ConfigError

FORMAT = "parley-backup-1"
_NOT_OURS = ("alembic_version", "passage_words")
"""What migrations make and fill by themselves: tables whose names begin so."""
_ROWS = 500


@dataclass(frozen=True, slots=True)
class Contents:
    """What a backup holds."""

    revision: str
    """Of the database's tables."""
    made_at: float
    """Unix seconds."""
    rows: dict[str, int]
    """Number of rows by table."""


async def back_up(engine: AsyncEngine, file: Path) -> Contents:
    """Writes a backup, readable by its owner alone; it is whole or not there.

    Raises:
        OSError: If the file cannot be written.
    """
    beside = file.with_name(f"{file.name}.part")
    try:
        descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with (
            os.fdopen(descriptor, "wb") as raw,
            gzip.open(raw, "wt", encoding="utf-8", compresslevel=6) as out,
        ):
            async with engine.connect() as connection:
                if connection.dialect.name == "postgresql":
                    await connection.execution_options(isolation_level="REPEATABLE READ")
                else:
                    await connection.execute(text("BEGIN"))
                contents = await connection.run_sync(_write, out)
            out.flush()
        beside.replace(file)
    finally:
        beside.unlink(missing_ok=True)
    return contents


async def restore(engine: AsyncEngine, file: Path, *, replace: bool = False) -> Contents:
    """Fills a database from a backup, in one transaction.

    Args:
        engine: A database that no backend uses now.
        file: The backup.
        replace: Delete first what the database has.

    Raises:
        ConfigError: `setting_invalid` if the file is no whole backup, is of a newer version, or
            the database is not empty.
        OSError: If the file cannot be read.
    """
    try:
        with gzip.open(file, "rt", encoding="utf-8") as lines:
            head = json.loads(next(lines))
            if head.get("format") != FORMAT:
                raise ValueError("another format")
            async with engine.begin() as connection:
                await begin_changes(connection)
                rows = await connection.run_sync(_read, head["revision"], lines, replace)
    except (ValueError, KeyError, AttributeError, StopIteration, EOFError, gzip.BadGzipFile) as e:
        raise ConfigError(
            "setting_invalid", f"{file} is no whole backup of Parley's database ({e})."
        ) from e
    return Contents(head["revision"], head["made_at"], rows)


def _write(connection: Connection, out: TextIO) -> Contents:
    revision = MigrationContext.configure(connection).get_current_revision()
    assert revision is not None
    made_at = time.time()
    out.write(json.dumps({"format": FORMAT, "revision": revision, "made_at": made_at}) + "\n")
    rows: dict[str, int] = {}
    for table in _tables(connection):
        rows[table.name] = 0
        for row in connection.execution_options(yield_per=_ROWS).execute(select(table)):
            values = {name: _plain(value) for name, value in row._mapping.items()}
            out.write(json.dumps([table.name, values], ensure_ascii=False) + "\n")
            rows[table.name] += 1
    out.write(json.dumps({"rows": rows}) + "\n")
    return Contents(revision, made_at, rows)


def _read(
    connection: Connection, revision: str, lines: Iterator[str], replace: bool
) -> dict[str, int]:
    config = migration_config(connection)
    if revision not in {r.revision for r in ScriptDirectory.from_config(config).walk_revisions()}:
        raise ConfigError(
            "setting_invalid",
            f"The backup is of revision {revision}, which this version does not know. Install the "
            "version that made it, or a newer one.",
        )
    held = [t.name for t in _tables(connection) if connection.scalar(select(func.count(t.c[0])))]
    if held and not replace:
        raise ConfigError(
            "setting_invalid",
            f"The database is not empty (it has {', '.join(held)}). Name a new one by "
            "DATABASE_URL, or use --replace to delete what it has.",
        )
    for table in reversed(_tables(connection)):
        connection.execute(delete(table))  # steps back would keep what they can
    command.downgrade(config, "base")
    command.upgrade(config, revision)
    tables = {table.name: table for table in _tables(connection)}
    count = dict.fromkeys(tables, 0)
    told: dict[str, int] | None = None
    entries = (json.loads(line) for line in lines)
    for name, group in groupby(entries, lambda e: e[0] if isinstance(e, list) else None):
        if name is None:
            told = next(group)["rows"]
            continue
        while part := [_row(tables[name], values) for _, values in islice(group, _ROWS)]:
            connection.execute(insert(tables[name]), part)
            count[name] += len(part)
    if told != count:
        raise ValueError("its end is missing")
    if connection.dialect.name == "postgresql":
        _set_sequences(connection, tables)
    migrate(connection)
    return count


def _tables(connection: Connection) -> list[Table]:
    """Our tables as the database has them, those that others refer to first."""
    found = MetaData()
    found.reflect(connection, only=lambda name, _: not name.startswith(_NOT_OURS))
    return found.sorted_tables


def _set_sequences(connection: Connection, tables: dict[str, Table]) -> None:
    for table in tables.values():
        column = table.autoincrement_column
        if column is not None and column.server_default is not None:
            connection.execute(
                text(
                    f"SELECT setval(pg_get_serial_sequence('{table.name}', '{column.name}'), "
                    f"(SELECT max({column.name}) FROM {table.name}))"
                )
            )


def _plain(value: Any) -> Any:
    return {"base64": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _row(table: Table, values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: base64.b64decode(value["base64"]) if isinstance(value, dict) else value
        for name, value in values.items()
        if name in table.c
    }
