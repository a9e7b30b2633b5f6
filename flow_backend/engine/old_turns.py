"""What a session's prompts no longer hold: in rows of the database that are written once.

The session's own row is written several times in each turn. It holds the newest entries of the
history alone, so that it does not grow with the conversation; see docs/adr/0013.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from flow_backend.engine.history import settled
from flow_backend.engine.state import Entry, SessionState, note_heard
from flow_backend.store.tables import transcript_parts

if TYPE_CHECKING:
    from flow_backend.engine.engine import EngineParts
    from flow_backend.engine.session import Session


class OldTurns:
    """One session's.

    Args:
        session: The session; once it is forgotten nothing is written.
        parts: What runs need.
        count: How many rows it has.
    """

    def __init__(self, session: Session, parts: EngineParts, count: int) -> None:
        self._session = session
        self._parts = parts
        self._count = count
        self._changing = asyncio.Lock()

    def put_away(self, state: SessionState) -> None:
        """Takes entries that no prompt will hold out of a state.

        They are stored together with the session's row, if that is handed in before the next wait.
        """
        end = settled(state.history, state.summarised, self._parts.limits.history_tokens)
        if not end or self._session.forgotten or not self._parts.writer.keeps:
            return
        self._put(self._count, state.history[:end])
        self._count += 1
        del state.history[:end]
        state.summarised = max(0, state.summarised - end)

    async def entries(self) -> list[Entry]:
        """All that were put away, from the first on; the state's history follows.

        Raises:
            ParleyError: `database_unavailable`, as the writer's `durable`.
        """
        while count := self._count:
            await self._parts.writer.durable(self._session.uid)
            found = await self._parts.sessions.parts(self._session.uid)
            if self._count == count:
                return [Entry.from_dict(entry) for part in found for entry in part]
        return []

    async def note_heard(self, user_input: str, heard: Entry) -> bool:
        """Does what `note_heard` of `state` does, if the turn was put away; tells whether it was.

        Raises:
            ParleyError: As `entries`.
        """
        if not self._count or self._session.forgotten:
            return False
        async with self._changing:
            await self._parts.writer.durable(self._session.uid)
            for number in reversed(range(self._count)):
                stored = await self._parts.sessions.part(self._session.uid, number)
                part = [Entry.from_dict(entry) for entry in stored]
                if any(entry.turn_id == heard.turn_id for entry in part):
                    note_heard(part, user_input, heard)
                    if not self._session.forgotten:
                        self._put(number, part)
                    return True
        return False

    def _put(self, number: int, entries: list[Entry]) -> None:
        told = json.dumps([entry.as_dict() for entry in entries])
        row = {"session_uid": self._session.uid, "number": number, "entries": told}
        self._parts.writer.put(transcript_parts, row)
