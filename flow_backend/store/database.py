"""Opens the database and brings its tables up to date."""

from __future__ import annotations

import errno
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

import asyncpg
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    ARRAY,
    ColumnElement,
    Connection,
    Dialect,
    Table,
    Text,
    any_,
    event,
    func,
    literal,
    select,
    text,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import ExceptionContext, make_url
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    InterfaceError,
    OperationalError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from protocol.errors import ConfigError, ParleyError, StreamError

MIGRATIONS = Path(__file__).parent / "migrations"
_CONNECT_S = 5.0
_MIGRATION_LOCK = 0x9A71E7
"""Key of PostgreSQL's advisory lock, so that replicas that start together migrate once."""


async def open_database(url: str, *, statement_s: float | None = None) -> AsyncEngine:
    """Connects and migrates.

    SQLite runs in WAL mode with `synchronous=NORMAL`: what was committed survives the death of
    the process; the last moments may be lost when the machine loses power.

    Args:
        url: `sqlite:///path` or `postgresql://user:password@host/name`.
        statement_s: How long PostgreSQL may take for a statement; migrations take what they need.

    Raises:
        ConfigError: `setting_invalid` for a URL of another kind; `disk_full`; `start_failed` if
            the database cannot be reached or migrated.
    """
    engine = _make_engine(url)
    try:
        if engine.dialect.name == "sqlite":
            Path(str(engine.url.database)).parent.mkdir(parents=True, exist_ok=True)
        async with engine.begin() as connection:
            await begin_changes(connection)
            await connection.run_sync(migrate)
    except FAILURES as error:
        await engine.dispose()
        if isinstance(error, ConfigError):
            raise
        cause = error.orig if isinstance(error, DBAPIError) else error.__cause__ or error
        raise ConfigError(
            "start_failed",
            f"DATABASE_URL: the database cannot be opened ({type(cause).__name__}: {cause}). "
            "Check the address, the path and the rights.",
        ) from error
    if statement_s is None or engine.dialect.name == "sqlite":
        return engine
    await engine.dispose()
    return _make_engine(url, statement_s)


FAILURES = (SQLAlchemyError, ParleyError, OSError)
"""What a database that fails raises; errors of ours where the failure may pass."""
_FULL = {"SQLITE_FULL", "SQLITE_IOERR_WRITE", "SQLITE_IOERR_FSYNC", "53100"}
_FULL_ERRNO = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_PASSING_STATES = {"08", "40", "53", "57"}
"""Classes of PostgreSQL's errors: connection, deadlock, resources, shutdown."""
_RETRY_AFTER_S = 2.0


def storage_error(failure: BaseException) -> ParleyError | None:
    """The error of ours for a failure of the database that may pass; None for any other.

    `disk_full`: it takes no more. `database_unavailable`: it cannot be reached, or is busy.
    """
    if isinstance(failure, ParleyError):
        return failure
    cause: BaseException | None = failure
    if isinstance(failure, DBAPIError):
        cause = failure.orig
    state = getattr(cause, "sqlite_errorname", None) or getattr(cause, "sqlstate", None) or ""
    if state in _FULL or (isinstance(cause, OSError) and cause.errno in _FULL_ERRNO):
        return ConfigError(
            "disk_full",
            "The database's disk is full: this was not stored. Free some space there.",
            retry_after_s=_RETRY_AFTER_S,
        )
    if state == "SQLITE_ERROR":
        return None  # a statement that can never be executed
    passes = (
        isinstance(
            failure,
            ConnectionError | TimeoutError | OperationalError | InterfaceError | PoolTimeoutError,
        )
        or (isinstance(failure, DBAPIError) and failure.connection_invalidated)
        or state[:2] in _PASSING_STATES
    )
    return _unavailable() if passes else None


def _unavailable() -> StreamError:
    return StreamError(
        "database_unavailable",
        "The database cannot be reached, or does not answer. Try again.",
        retry_after_s=_RETRY_AFTER_S,
    )


def _translate(context: ExceptionContext) -> None:
    """Raises the error of ours in the place of the driver's, where there is one."""
    if context.is_pre_ping:
        return
    if isinstance(context.original_exception, TimeoutError):
        # Its answer may still come: nobody else may take it for theirs.
        context.is_disconnect = True
    known = storage_error(context.sqlalchemy_exception or context.original_exception)
    if known is not None:
        raise known from context.original_exception


async def _connect(*arguments: Any, **options: Any) -> asyncpg.Connection[Any]:
    try:
        return await asyncpg.connect(*arguments, **options)
    except (OSError, asyncpg.PostgresError) as error:
        raise storage_error(error) or _unavailable() from error


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


def among(
    column: ColumnElement[str], values: Collection[str], dialect: Dialect
) -> ColumnElement[bool]:
    """Whether a column is one of these: one bound value, however many there are.

    An `IN` with a place for each is another statement for each number of them, and drivers keep
    the last hundred or so that each connection has prepared; of places both databases allow
    some 32,000.
    """
    if dialect.name == "postgresql":
        return column == any_(literal(list(values), ARRAY(Text)))
    each = func.json_each(json.dumps(list(values))).table_valued("value")
    return column.in_(select(each.c.value))


def _make_engine(url: str, statement_s: float | None = None) -> AsyncEngine:
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigError("setting_invalid", "DATABASE_URL is no URL.") from error
    if parsed.get_backend_name() == "postgresql":
        engine = create_async_engine(
            parsed.set(drivername="postgresql+asyncpg"),
            pool_size=5,
            pool_timeout=10.0,
            pool_pre_ping=True,
            connect_args={
                "timeout": _CONNECT_S,
                "command_timeout": statement_s,
                "async_creator_fn": _connect,
            },
        )
        event.listen(engine.sync_engine, "handle_error", _translate)
        return engine
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
    event.listen(engine.sync_engine, "handle_error", _translate)

    @event.listens_for(engine.sync_engine, "connect")
    def _set_pragmas(connection: Any, _: Any) -> None:
        cursor = connection.cursor()
        for pragma in (
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "busy_timeout=5000",
            "foreign_keys=ON",
            # KiB for each connection: what it reads again the system's own cache has.
            "cache_size=-256",
            # What is deleted or replaced does not stay in free pages.
            "secure_delete=ON",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    return engine
