"""`parley backup`, `parley restore` and `parley migrate`: the operator's work on the database."""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.engine import make_url

from flow_backend.settings import BackendSettings
from flow_backend.store import backup as store
from flow_backend.store.database import change_revision, open_database
from protocol.errors import ConfigError
from protocol.settings import load_settings


def backup(file: Path) -> None:
    """Writes a backup of the database that DATABASE_URL names.

    Raises:
        ParleyError: If it cannot be written, or the database cannot be read.
    """

    async def run() -> store.Contents:
        database = await open_database(load_settings(BackendSettings).database_url)
        try:
            return await store.back_up(database, file)
        finally:
            await database.dispose()

    try:
        contents = asyncio.run(run())
    except OSError as error:
        raise ConfigError("start_failed", f"{file} cannot be written ({error}).") from error
    size_kb = file.stat().st_size / 1000
    sys.stdout.write(f"{file}: {_words(contents)} ({size_kb:.0f} kB)\n")


def restore(file: Path, *, replace: bool) -> None:
    """Fills the database that DATABASE_URL names from a backup.

    Raises:
        ParleyError: If the file is no backup, or the database is not empty.
    """
    url = load_settings(BackendSettings).database_url

    async def run() -> store.Contents:
        database = await open_database(url)
        try:
            return await store.restore(database, file, replace=replace)
        finally:
            await database.dispose()

    try:
        contents = asyncio.run(run())
    except OSError as error:
        raise ConfigError("start_failed", f"{file} cannot be read ({error}).") from error
    if make_url(url).get_backend_name() == "sqlite":
        # Events of turns that the former database had under way.
        for segment in (0, 1):
            Path(f"{make_url(url).database}-events-{segment}").unlink(missing_ok=True)
    made = datetime.fromtimestamp(contents.made_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    sys.stdout.write(f"Restored {_words(contents)} from {made}.\n")


def migrate(revision: str) -> None:
    """Takes the tables of the database that DATABASE_URL names to a revision.

    Raises:
        ParleyError: If there is no such revision, or the database cannot be opened.
    """
    url = load_settings(BackendSettings).database_url
    before, after = asyncio.run(change_revision(url, revision))
    if before == after:
        sys.stdout.write(f"The database is at revision {after}.\n")
    else:
        sys.stdout.write(f"The database went from revision {before or 'none'} to {after}.\n")


def _words(contents: store.Contents) -> str:
    rows = ", ".join(f"{count} {name}" for name, count in contents.rows.items() if count)
    return rows or "nothing"
