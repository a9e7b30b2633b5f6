"""Work of a session beside its turns."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from protocol.errors import ParleyError

log = logging.getLogger(__name__)


class BackgroundWork:
    """One kind of it, once at a time. It may fail without harm: what fails is only told.

    Args:
        tasks: The session's, which the task joins while it runs.
    """

    def __init__(self, tasks: set[asyncio.Task[None]]) -> None:
        self._tasks = tasks
        self.task: asyncio.Task[None] | None = None
        """What runs now."""

    def begin(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Starts the task; ask `task` before."""
        self.task = asyncio.create_task(work, name=name)
        self._tasks.add(self.task)
        self.task.add_done_callback(self._over)

    def cancel(self) -> None:
        """Stops what runs."""
        if self.task is not None:
            self.task.cancel()

    def _over(self, task: asyncio.Task[None]) -> None:
        self.task = None
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, ParleyError):
            log.info("%s came to nothing: %s", task.get_name(), error.code)
        elif error is not None:
            log.error("%s failed", task.get_name(), exc_info=error)
