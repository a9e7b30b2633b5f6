"""Opens the database and brings its tables up to date."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Dialect, Table, event, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from protocol.errors import ConfigError

MIGRATIONS = Path(__file__).parent / "migrations"
_MIGRATION_LOCK = 0x9A71E7
"""Key of PostgreSQL's advisory lock, so that replicas that start together migrate once."""


async def open_database(url: str) -> AsyncEngine:
    """Connects and migrates.

    SQLite runs in WAL mode with `synchronous=NORMAL`: what was committed survives the death of
    the process; the last moments may be lost when the machine loses power.

    Args:
        url: `sqlite:///path` or `postgresql://user:password@host/name`.

    Raises:
        ConfigError: `setting_invalid` for a URL of another kind; `start_failed` if the database
            cannot be reached or migrated.
    """
    engine = _make_engine(url)
    try:
        if engine.dialect.name == "sqlite":
            Path(str(engine.url.database)).parent.mkdir(parents=True, exist_ok=True)
        async with engine.begin() as connection:
            await begin_changes(connection)
            await connection.run_sync(migrate)
    except (DBAPIError, OSError) as error:
        await engine.dispose()
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise ConfigError(
            "start_failed",
            f"DATABASE_URL: the database cannot be opened ({type(cause).__name__}: {cause}). "
            "Check the address, the path and the rights.",
        ) from error
    return engine


async def begin_changes(connection: AsyncConnection) -> None:
    """Keeps other processes from changing the tables, and makes the changes one transaction."""
    if connection.dialect.name == "postgresql":
        await connection.execute(
            text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK}
        )
    else:
        # Python's driver would begin a transaction at the first row that is written, not before.
        await connection.execute(text("BEGIN IMMEDIATE"))


def migrate(connection: Connection) -> None:
    """Brings the tables up to date."""
    command.upgrade(migration_config(connection), "head")


async def change_revision(url: str, revision: str) -> tuple[str, str]:
    """Takes the tables to a revision, up or down, in one transaction; nothing else is opened.

    Returns:
        The revision before, empty for none, and the one after.

    Raises:
        ConfigError: `setting_invalid` for a revision that there is not; as `open_database` does.
    """
    engine = _make_engine(url)
    try:
        async with engine.begin() as connection:
            await begin_changes(connection)
            return await connection.run_sync(_change_revision, revision)
    finally:
        await engine.dispose()


def _change_revision(connection: Connection, revision: str) -> tuple[str, str]:
    config = migration_config(connection)
    known = [step.revision for step in ScriptDirectory.from_config(config).walk_revisions()]
    after = known[0] if revision == "head" else revision
    if after not in known:
        raise ConfigError(
            "setting_invalid",
            f"There is no revision {revision!r}; there are {', '.join(reversed(known))}.",
        )
    before = MigrationContext.configure(connection).get_current_revision()
    down = before is not None and known.index(before) < known.index(after)
    (command.downgrade if down else command.upgrade)(config, after)
    return before or "", after


def migration_config(connection: Connection) -> Config:
    """What Alembic's commands need to work on a connection."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    return config


def insert_missing(table: Table, dialect: Dialect) -> Any:
    """An insert that leaves a row with a key that is there already as it is."""
    make = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
    return make(table).on_conflict_do_nothing()


def upsert(table: Table, dialect: Dialect) -> Any:
    """An insert that overwrites the row with the same primary key."""
    make = postgresql.insert if dialect.name == "postgresql" else sqlite.insert
    statement = make(table)
    return statement.on_conflict_do_update(
        index_elements=list(table.primary_key.columns),
        set_={
            column.name: statement.excluded[column.name]
            for column in table.columns
            if not column.primary_key
        },
    )


def _make_engine(url: str) -> AsyncEngine:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigError("setting_invalid", "DATABASE_URL is no URL.") from error
    if parsed.get_backend_name() == "postgresql":
        return create_async_engine(
            parsed.set(drivername="postgresql+asyncpg"), pool_size=5, pool_pre_ping=True
        )
    if parsed.get_backend_name() != "sqlite":
        raise ConfigError(
            "setting_invalid",
            "DATABASE_URL: expected sqlite:///path or postgresql://user:password@host/name.",
        )
    if parsed.database in (None, "", ":memory:"):
        raise ConfigError(
            "setting_invalid", "DATABASE_URL: expected a file, as in sqlite:///folder/parley.db."
        )
    engine = create_async_engine(parsed.set(drivername="sqlite+aiosqlite"))

    @event.listens_for(engine.sync_engine, "connect")
    def _set_pragmas(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "busy_timeout=5000",
            "foreign_keys=ON",
            # What is deleted or replaced does not stay in free pages.
            "secure_delete=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine
