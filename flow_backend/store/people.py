"""What the database has of a person, and its deletion.

The database knows no people. A person is what the operator can name: ids of sessions (a room, a
telephone number), what a client put into the metadata of sessions, ids of conversations with the
tutor, or an API key.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, model_validator
from sqlalchemy import ColumnElement, delete, select
from sqlalchemy.ext.asyncio import AsyncEngine

from flow_backend.flows.document import Storable
from flow_backend.store.database import among
from flow_backend.store.tables import (
    conversation_messages,
    conversations,
    journal,
    outbox,
    sessions,
    transcript_parts,
    turns,
    vocabulary,
)

Id = Annotated[str, Storable]


class Person(BaseModel):
    """Whose data is meant; whatever fits any of the fields."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True)

    sessions: list[Id] = Field(default_factory=list, max_length=1000)
    """Ids of sessions, of whatever flow."""
    metadata: dict[str, Any] = Field(default_factory=dict)
    """Sessions that were opened with all of these values in their metadata."""
    conversations: list[Id] = Field(default_factory=list, max_length=1000)
    """Ids of conversations with the tutor."""
    api_key: Id | None = Field(default=None, min_length=1)
    """Id of an API key: everything that was opened with it."""

    @model_validator(mode="after")
    def _names_somebody(self) -> Person:
        if not (self.sessions or self.metadata or self.conversations or self.api_key):
            raise ValueError("name sessions, metadata, conversations or an api_key")
        return self


@dataclass(frozen=True, slots=True)
class FoundSession:
    """A session of a person."""

    uid: str
    flow_id: str
    session_id: str
    last_used_at: float
    """Unix seconds."""


class PeopleStore:
    """Finds and deletes what belongs to a person."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def sessions(self, person: Person) -> list[FoundSession]:
        """The person's sessions, the last used first."""
        columns = (
            sessions.c.uid, sessions.c.flow_id, sessions.c.session_id, sessions.c.last_used_at,
            sessions.c.metadata, sessions.c.owner,
        )  # fmt: skip
        query = select(*columns).order_by(sessions.c.last_used_at.desc())
        named: ColumnElement[bool] = among(
            sessions.c.session_id, person.sessions, self._engine.dialect
        )
        if person.api_key is not None:
            named |= sessions.c.owner == person.api_key
        if person.metadata:
            named |= sessions.c.metadata != "{}"
        wanted = person.metadata.items()
        found = []
        async with self._engine.connect() as connection:
            async for row in await connection.stream(query.where(named)):
                told = json.loads(row.metadata)
                if (
                    row.session_id in person.sessions
                    or (person.api_key is not None and row.owner == person.api_key)
                    or (wanted and all(told.get(name) == value for name, value in wanted))
                ):
                    found.append(FoundSession(*row[:4]))
        return found

    async def conversations(self, person: Person) -> list[str]:
        """Ids of the person's conversations with the tutor."""
        named: ColumnElement[bool] = among(
            conversations.c.id, person.conversations, self._engine.dialect
        )
        if person.api_key is not None:
            named |= conversations.c.owner == person.api_key
        async with self._engine.connect() as connection:
            found = await connection.execute(select(conversations.c.id).where(named))
            return list(found.scalars())

    async def turn_ids(self, uid: str) -> list[str]:
        """Ids of a session's turns."""
        async with self._engine.connect() as connection:
            found = await connection.execute(
                select(turns.c.turn_id).where(turns.c.session_uid == uid)
            )
            return list(found.scalars())

    async def delete_sessions(self, uids: Collection[str]) -> None:
        """Deletes sessions with their transcripts, turns, journals and side effects."""
        async with self._engine.begin() as connection:
            for table in (journal, turns, outbox, transcript_parts):
                await connection.execute(
                    delete(table).where(among(table.c.session_uid, uids, connection.dialect))
                )
            await connection.execute(
                delete(sessions).where(among(sessions.c.uid, uids, connection.dialect))
            )
        await self._clean()

    async def delete_conversations(self, ids: Sequence[str]) -> None:
        """Deletes conversations with their messages, corrections and vocabulary."""
        async with self._engine.begin() as connection:
            for table in (vocabulary, conversation_messages):
                await connection.execute(
                    delete(table).where(among(table.c.conversation_id, ids, connection.dialect))
                )
            await connection.execute(
                delete(conversations).where(among(conversations.c.id, ids, connection.dialect))
            )
        await self._clean()

    async def _clean(self) -> None:
        """Takes former contents out of SQLite's log, as far as nobody is reading them."""
        if self._engine.dialect.name == "sqlite":
            async with self._engine.connect() as connection:
                await connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    async def forget_conversations(self, before: float) -> None:
        """Deletes conversations that nobody went on with since a time (Unix seconds)."""
        async with self._engine.connect() as connection:
            old = await connection.execute(
                select(conversations.c.id).where(conversations.c.updated_at < before)
            )
            ids = list(old.scalars())
        if ids:
            await self.delete_conversations(ids)
