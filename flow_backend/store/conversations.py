"""Conversations with the tutor: written at once, since people come back to them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from flow_backend.store.database import insert_missing
from flow_backend.store.tables import conversation_messages as messages
from flow_backend.store.tables import conversations, vocabulary
from protocol.errors import FlowError


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation without its messages."""

    id: str
    owner: str
    """Id of the API key that opened it; empty where keys were off."""
    title: str
    language: str
    difficulty_level: str
    summary: str
    """Of the messages before position `summarised`."""
    summarised: int
    created_at: float
    """Unix seconds."""
    updated_at: float


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One message of a conversation."""

    position: int
    """From 0."""
    role: Literal["user", "assistant"]
    text: str
    cut_off: bool
    """An answer that did not come to its end."""
    corrections: list[dict[str, Any]]
    """Of a user's message."""
    created_at: float


@dataclass(frozen=True, slots=True)
class Card:
    """A word to learn."""

    word: str
    translation: str | None
    example: str


class ConversationStore:
    """Queries about conversations."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def open(
        self,
        conversation_id: str,
        language: str,
        difficulty_level: str,
        title: str = "",
        *,
        owner: str = "",
        sees: str | None = None,
    ) -> Conversation:
        """Makes a conversation, or gives the one of this id the language and the level.

        Raises:
            FlowError: `session_not_found` if it is there and, with `sees`, of another API key.
        """
        now = time.time()
        values = {"language": language, "difficulty_level": difficulty_level}
        async with self._engine.begin() as connection:
            made = await connection.execute(
                insert_missing(conversations, connection.dialect).values(
                    id=conversation_id,
                    owner=owner,
                    title=title,
                    summary="",
                    summarised=0,
                    created_at=now,
                    updated_at=now,
                    **values,
                )
            )
            if not made.rowcount:
                mine = conversations.c.id == conversation_id
                if sees is not None:
                    mine &= conversations.c.owner == sees
                await connection.execute(update(conversations).where(mine).values(values))
        return await self.get(conversation_id, sees)

    async def get(self, conversation_id: str, sees: str | None = None) -> Conversation:
        """A conversation; with `sees`, of that API key.

        Raises:
            FlowError: `session_not_found`.
        """
        async with self._engine.connect() as connection:
            row = (
                await connection.execute(
                    select(conversations).where(conversations.c.id == conversation_id)
                )
            ).one_or_none()
        if row is None or sees not in (None, row.owner):
            raise FlowError(
                "session_not_found",
                f"There is no conversation {conversation_id!r}. POST /conversations opens one.",
            )
        return Conversation(**row._mapping)

    async def all(self, limit: int, offset: int, sees: str | None = None) -> list[Conversation]:
        """Conversations, the last used first; with `sees`, of that API key."""
        query = (
            select(conversations)
            .order_by(conversations.c.updated_at.desc(), conversations.c.id)
            .limit(limit)
            .offset(offset)
        )
        if sees is not None:
            query = query.where(conversations.c.owner == sees)
        async with self._engine.connect() as connection:
            return [Conversation(**row._mapping) for row in await connection.execute(query)]

    async def messages(self, conversation_id: str, first: int = 0) -> list[StoredMessage]:
        """A conversation's messages from a position on."""
        query = (
            select(messages)
            .where(messages.c.conversation_id == conversation_id, messages.c.position >= first)
            .order_by(messages.c.position)
        )
        async with self._engine.connect() as connection:
            return [
                StoredMessage(
                    row.position,
                    row.role,
                    row.text,
                    row.cut_off,
                    json.loads(row.corrections),
                    row.created_at,
                )
                for row in await connection.execute(query)
            ]

    async def begin(self, conversation_id: str, text: str) -> int:
        """Saves what the user says, and gives its position.

        The same text again, while it has no whole answer, is a retry: it keeps its position, and
        an answer that was cut off makes room.

        Raises:
            FlowError: `turn_conflict` if another process answers in this conversation right now.
        """
        mine = messages.c.conversation_id == conversation_id
        try:
            async with self._engine.begin() as connection:
                last = (
                    await connection.execute(
                        select(messages).where(mine).order_by(messages.c.position.desc()).limit(2)
                    )
                ).all()
                if last and last[0].role == "assistant" and last[0].cut_off:
                    unanswered, answer = (last[1] if len(last) > 1 else None), last[0]
                else:
                    unanswered, answer = (last[0] if last else None), None
                if unanswered is not None and unanswered.role == "user" and unanswered.text == text:
                    if answer is not None:
                        await connection.execute(
                            delete(messages).where(mine, messages.c.position == answer.position)
                        )
                    return int(unanswered.position)
                position = last[0].position + 1 if last else 0
                await self._add(connection, conversation_id, position, "user", text, False)
                return int(position)
        except IntegrityError as error:
            raise busy(conversation_id) from error

    async def finish(
        self,
        conversation_id: str,
        position: int,
        answer: str,
        *,
        cut_off: bool,
        corrections: Sequence[dict[str, Any]] = (),
    ) -> None:
        """Saves the answer to the user's message at `position`, if there is any text."""
        async with self._engine.begin() as connection:
            if answer:
                await self._add(
                    connection, conversation_id, position + 1, "assistant", answer, cut_off
                )
            if corrections:
                await connection.execute(
                    update(messages)
                    .where(
                        messages.c.conversation_id == conversation_id,
                        messages.c.position == position,
                    )
                    .values(corrections=json.dumps(list(corrections)))
                )

    @staticmethod
    async def _add(
        connection: AsyncConnection,
        conversation_id: str,
        position: int,
        role: str,
        text: str,
        cut_off: bool,
    ) -> None:
        now = time.time()
        await connection.execute(
            insert(messages).values(
                conversation_id=conversation_id,
                position=position,
                role=role,
                text=text,
                cut_off=cut_off,
                corrections="[]",
                created_at=now,
            )
        )
        await connection.execute(
            update(conversations)
            .where(conversations.c.id == conversation_id)
            .values(updated_at=now)
        )

    async def save_summary(self, conversation_id: str, summary: str, summarised: int) -> None:
        """Saves the summary of the messages before position `summarised`."""
        async with self._engine.begin() as connection:
            await connection.execute(
                update(conversations)
                .where(
                    conversations.c.id == conversation_id,
                    conversations.c.summarised < summarised,
                )
                .values(summary=summary, summarised=summarised)
            )

    async def add_cards(self, conversation_id: str, cards: Sequence[Card]) -> None:
        """Adds cards for words that have none yet."""
        if not cards:
            return
        now = time.time()
        async with self._engine.begin() as connection:
            for card in cards:
                await connection.execute(
                    insert_missing(vocabulary, connection.dialect).values(
                        conversation_id=conversation_id,
                        word=card.word,
                        translation=card.translation,
                        example=card.example,
                        created_at=now,
                    )
                )

    async def cards(self, conversation_id: str) -> list[Card]:
        """A conversation's cards, the oldest first."""
        query = (
            select(vocabulary.c.word, vocabulary.c.translation, vocabulary.c.example)
            .where(vocabulary.c.conversation_id == conversation_id)
            .order_by(vocabulary.c.created_at, func.lower(vocabulary.c.word))
        )
        async with self._engine.connect() as connection:
            return [Card(*row) for row in await connection.execute(query)]


def busy(conversation_id: str) -> FlowError:
    """Somebody else's answer in the same conversation is not over."""
    return FlowError(
        "turn_conflict",
        f"Conversation {conversation_id!r} is being answered. Wait for the end, or try again.",
        retryable=True,
    )
