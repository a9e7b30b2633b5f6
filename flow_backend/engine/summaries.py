"""Summaries of a session's old turns, written in the background."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from flow_backend.engine.history import due, summary_request
from protocol.errors import ParleyError

if TYPE_CHECKING:
    from flow_backend.engine.engine import EngineParts
    from flow_backend.engine.session import Session

log = logging.getLogger(__name__)


class Summaries:
    """One session's.

    Without a summary prompts hold the newest turns alone; the next turn tries again.

    Args:
        parts: What runs need.
        tasks: The session's, which this one joins while it runs.
    """

    def __init__(self, parts: EngineParts, tasks: set[asyncio.Task[None]]) -> None:
        self._parts = parts
        self.tasks = tasks
        self.task: asyncio.Task[None] | None = None
        """Writes one now."""

    def begin(self, session: Session) -> None:
        """Begins one, if it is due."""
        state = session.state
        end = due(state.history, state.summarised, self._parts.limits.history_tokens)
        if end and self.task is None and not state.ended:
            self.task = asyncio.create_task(
                self._write(session, end), name=f"summary of session {session.id}"
            )
            self.tasks.add(self.task)
            self.task.add_done_callback(self._over)

    def cancel(self) -> None:
        """Stops."""
        if self.task is not None:
            self.task.cancel()

    async def _write(self, session: Session, end: int) -> None:
        state = session.state
        messages, params = summary_request(state.summary, state.history[state.summarised : end])
        model = await self._parts.models.get(session.plan.flow.default.llm)
        text = (await model.complete(messages, params)).text.strip()
        if text:
            state.summary, state.summarised = text, end
            session.save()

    def _over(self, task: asyncio.Task[None]) -> None:
        self.task = None
        self.tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, ParleyError):
            log.info("%s could not be written: %s", task.get_name(), error.code)
        elif error is not None:
            log.error("%s failed", task.get_name(), exc_info=error)
