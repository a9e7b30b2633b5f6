"""Summaries of a session's old turns, written in the background."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from flow_backend.engine.background import BackgroundWork
from flow_backend.engine.history import due, summary_request

if TYPE_CHECKING:
    from flow_backend.engine.engine import EngineParts
    from flow_backend.engine.session import Session


class Summaries(BackgroundWork):
    """One session's.

    Without a summary prompts hold the newest turns alone; the next turn tries again.

    Args:
        parts: What runs need.
        tasks: The session's, which this one joins while it runs.
    """

    def __init__(self, parts: EngineParts, tasks: set[asyncio.Task[None]]) -> None:
        super().__init__(tasks)
        self._parts = parts

    def begin_for(self, session: Session) -> None:
        """Begins one, if it is due."""
        state = session.state
        end = due(state.history, state.summarised, self._parts.limits.history_tokens)
        if end and self.task is None and not state.ended:
            self.begin(self._write(session, end), f"summary of session {session.id}")

    async def _write(self, session: Session, end: int) -> None:
        state = session.state
        messages, params = summary_request(state.summary, state.history[state.summarised : end])
        model = await self._parts.models.get(session.plan.flow.default.llm)
        text = (await model.complete(messages, params)).text.strip()
        if text:
            state.summary, state.summarised = text, end
            session.put_away()
            session.save()
