"""Reads sessions and turns back; what is written goes through the writer."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from flow_backend.store.database import among, insert_missing
from flow_backend.store.tables import journal, outbox, sessions, transcript_parts, turns


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session as the database has it."""

    uid: str
    flow_id: str
    session_id: str
    owner: str
    flow_version: int
    state: dict[str, Any]
    metadata: dict[str, Any]
    ended: bool
    generation: int
    turn_ids: frozenset[str]
    parts: int
    """How many parts of its transcript come before the state's history."""


@dataclass(frozen=True, slots=True)
class StoredTurn:
    """A committed turn as the database has it."""

    session_uid: str
    turn_id: str
    input: str
    lost: bool
    """Its process died while it ran: the journal lacks its end."""
    rewind: dict[str, Any]
    frames: list[bytes]
    """SSE frames from number 1 on."""


class SessionStore:
    """Queries about sessions and turns."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def session(
        self, flow_id: str, session_id: str, *, take: bool = False
    ) -> StoredSession | None:
        """A session by the ids in its address.

        With `take` its next generation begins: what the process that had it still writes is
        refused.
        """
        async with self._engine.begin() as connection:
            if take:
                await connection.execute(
                    update(sessions)
                    .where(sessions.c.flow_id == flow_id, sessions.c.session_id == session_id)
                    .values(generation=sessions.c.generation + 1)
                )
            row = (
                await connection.execute(
                    select(sessions).where(
                        sessions.c.flow_id == flow_id, sessions.c.session_id == session_id
                    )
                )
            ).one_or_none()
            if row is None:
                return None
            found = await connection.execute(
                select(turns.c.turn_id).where(turns.c.session_uid == row.uid)
            )
            last_part = await connection.scalar(
                select(func.max(transcript_parts.c.number)).where(
                    transcript_parts.c.session_uid == row.uid
                )
            )
            return StoredSession(
                uid=row.uid,
                flow_id=row.flow_id,
                session_id=row.session_id,
                owner=row.owner,
                flow_version=row.flow_version,
                state=json.loads(row.state),
                metadata=json.loads(row.metadata),
                ended=row.ended,
                generation=row.generation,
                turn_ids=frozenset(found.scalars()),
                parts=0 if last_part is None else last_part + 1,
            )

    async def parts(self, session_uid: str) -> list[list[dict[str, Any]]]:
        """The parts of a session's transcript that come before its state's history, in order."""
        async with self._engine.connect() as connection:
            found = await connection.scalars(
                select(transcript_parts.c.entries)
                .where(transcript_parts.c.session_uid == session_uid)
                .order_by(transcript_parts.c.number)
            )
            return [json.loads(entries) for entries in found]

    async def part(self, session_uid: str, number: int) -> list[dict[str, Any]]:
        """One of the parts; empty if there is none."""
        async with self._engine.connect() as connection:
            entries = await connection.scalar(
                select(transcript_parts.c.entries).where(
                    transcript_parts.c.session_uid == session_uid,
                    transcript_parts.c.number == number,
                )
            )
            return [] if entries is None else json.loads(entries)

    async def turn(self, session_uid: str, turn_id: str) -> StoredTurn | None:
        """A turn with its journal."""
        async with self._engine.connect() as connection:
            row = (
                await connection.execute(
                    select(turns).where(
                        turns.c.session_uid == session_uid, turns.c.turn_id == turn_id
                    )
                )
            ).one_or_none()
            if row is None:
                return None
            pieces = await connection.execute(
                select(journal.c.frames)
                .where(journal.c.session_uid == session_uid, journal.c.turn_id == turn_id)
                .order_by(journal.c.first_seq)
            )
            text = b"".join(pieces.scalars())
        return StoredTurn(
            session_uid=session_uid,
            turn_id=turn_id,
            input=row.input,
            lost=row.status != "over",
            rewind=json.loads(row.rewind),
            frames=[frame + b"\n\n" for frame in text.split(b"\n\n") if frame],
        )

    async def running_turns(self, session_uid: str) -> list[str]:
        """Ids of turns that are running as far as the database knows, the oldest first."""
        async with self._engine.connect() as connection:
            found = await connection.execute(
                select(turns.c.turn_id)
                .where(turns.c.session_uid == session_uid, turns.c.status == "running")
                .order_by(turns.c.updated_at)
            )
            return list(found.scalars())

    async def add_left(
        self,
        session_uid: str,
        turn_id: str,
        begun: Mapping[str, Mapping[str, Any]],
        frames: Mapping[int, bytes],
    ) -> None:
        """Adds what the database lacks of a turn that its process left running.

        Args:
            session_uid: The session.
            turn_id: The turn.
            begun: The rows of `sessions` and `turns` with which the turn began.
            frames: Events by number; what follows a gap is left out.
        """
        async with self._engine.begin() as connection:
            for table in (sessions, turns):
                if table.name in begun:
                    await connection.execute(
                        insert_missing(table, connection.dialect).values(begun[table.name])
                    )
            mine = (journal.c.session_uid == session_uid, journal.c.turn_id == turn_id)
            status = await connection.scalar(
                select(turns.c.status).where(
                    turns.c.session_uid == session_uid, turns.c.turn_id == turn_id
                )
            )
            if status != "running":
                return
            stored = await connection.execute(select(journal.c.frames).where(*mine))
            first = sum(piece.count(b"\n\n") for piece in stored.scalars()) + 1
            following: list[bytes] = []
            while (frame := frames.get(first + len(following))) is not None:
                following.append(frame)
            if following:
                await connection.execute(
                    insert(journal).values(
                        session_uid=session_uid,
                        turn_id=turn_id,
                        first_seq=first,
                        frames=b"".join(following),
                    )
                )

    async def live_sessions(self, flow_id: str) -> int:
        """Number of a flow's sessions that have not ended."""
        async with self._engine.connect() as connection:
            count = await connection.scalar(
                select(func.count())
                .select_from(sessions)
                .where(sessions.c.flow_id == flow_id, sessions.c.ended.is_(False))
            )
        return count or 0

    async def take_lost_turns(
        self, silent_since: float, in_use: Collection[str] = ()
    ) -> list[tuple[str, str]]:
        """Marks turns that no process has renewed since a time; gives session uids, turn ids.

        Those of sessions `in_use` are left out.
        """
        async with self._engine.begin() as connection:
            rows = await connection.execute(
                update(turns)
                .where(
                    turns.c.status == "running",
                    turns.c.updated_at < silent_since,
                    ~among(turns.c.session_uid, in_use, connection.dialect),
                )
                .values(status="lost")
                .returning(turns.c.session_uid, turns.c.turn_id)
            )
            return [(uid, turn_id) for uid, turn_id in rows.all()]

    async def state(self, uid: str) -> dict[str, Any] | None:
        """A session's state; None if there is no such session."""
        async with self._engine.connect() as connection:
            text = await connection.scalar(select(sessions.c.state).where(sessions.c.uid == uid))
        state: dict[str, Any] | None = None if text is None else json.loads(text)
        return state

    async def save_state(self, uid: str, state: dict[str, Any]) -> None:
        """Overwrites a session's state, for a session that no process holds."""
        async with self._engine.begin() as connection:
            await connection.execute(
                update(sessions).where(sessions.c.uid == uid).values(state=json.dumps(state))
            )

    async def overdue(self, idle_since: float, silent_since: float) -> dict[tuple[str, str], str]:
        """Uids of sessions that look idle, or whose turns look lost, by flow and session id.

        Args:
            idle_since: Unix seconds.
            silent_since: As in `take_lost_turns`.
        """
        silent = select(turns.c.session_uid).where(
            turns.c.status == "running", turns.c.updated_at < silent_since
        )
        async with self._engine.connect() as connection:
            rows = await connection.execute(
                select(sessions.c.uid, sessions.c.flow_id, sessions.c.session_id).where(
                    (sessions.c.ended.is_(False) & (sessions.c.last_used_at < idle_since))
                    | sessions.c.uid.in_(silent)
                )
            )
            return {(flow_id, session_id): uid for uid, flow_id, session_id in rows}

    async def end_idle(self, idle_since: float, in_use: set[str]) -> list[tuple[str, str]]:
        """Ends sessions that nobody has used since a time; gives their flow and session ids.

        Args:
            idle_since: Unix seconds.
            in_use: Uids of sessions that this process knows to be in use.
        """
        async with self._engine.begin() as connection:
            rows = await connection.execute(
                update(sessions)
                .where(
                    sessions.c.ended.is_(False),
                    sessions.c.last_used_at < idle_since,
                    ~among(sessions.c.uid, in_use, connection.dialect),
                )
                .values(ended=True)
                .returning(sessions.c.flow_id, sessions.c.session_id)
            )
            return [(flow_id, session_id) for flow_id, session_id in rows.all()]

    async def forget(self, before: float) -> None:
        """Deletes sessions that ended, and were last used, before a time, with all they left."""
        old = select(sessions.c.uid).where(
            sessions.c.ended.is_(True), sessions.c.last_used_at < before
        )
        async with self._engine.begin() as connection:
            for table in (journal, turns, outbox, transcript_parts):
                await connection.execute(delete(table).where(table.c.session_uid.in_(old)))
            await connection.execute(
                delete(sessions).where(sessions.c.ended.is_(True), sessions.c.last_used_at < before)
            )
            # Sessions that were never stored leave their side effects.
            stored = select(sessions.c.uid)
            await connection.execute(
                delete(outbox).where(
                    outbox.c.claimed_until < before, outbox.c.session_uid.not_in(stored)
                )
            )
