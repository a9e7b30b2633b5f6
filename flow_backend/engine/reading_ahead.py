"""Lets a model read what is known of the next prompt while the user begins to speak."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from flow_backend.engine.context import NodeContext
from flow_backend.engine.plan import Plan, PlannedNode
from flow_backend.engine.runner import Runner
from flow_backend.engine.state import SessionState
from flow_backend.engine.turn import Turn
from protocol.errors import ParleyError

if TYPE_CHECKING:
    from flow_backend.engine.engine import EngineParts
    from flow_backend.engine.session import Session

log = logging.getLogger(__name__)


class ReadingAhead:
    """What one session reads ahead.

    Only a model that keeps a prompt cache reads, until a turn begins. Nothing else changes.

    Args:
        parts: What runs need.
        tasks: The session's, which this one joins while it runs.
    """

    def __init__(self, parts: EngineParts, tasks: set[asyncio.Task[None]]) -> None:
        self._parts = parts
        self._tasks = tasks
        self._task: asyncio.Task[None] | None = None

    def begin(self, session: Session) -> None:
        """Begins, unless the session has ended or already reads."""
        state = session.state
        node = _node_spoken_to(state, session.plan)
        if node is None or self._task is not None or state.ended:
            return
        turn = Turn(session.uid, session.id, "", "", state, speculative=True)
        context = NodeContext(
            Runner(turn, session.plan, self._parts, session), node, resumed=state.waiting
        )
        self._task = asyncio.create_task(
            node.type.prefill(node.data, context), name=f"prefill of session {session.id}"
        )
        self._tasks.add(self._task)
        self._task.add_done_callback(self._over)

    def cancel(self) -> None:
        """Stops: the model is needed for an answer."""
        if self._task is not None:
            self._task.cancel()

    def _over(self, task: asyncio.Task[None]) -> None:
        """A model that cannot read ahead reads when it is asked."""
        self._task = None
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if isinstance(error, ParleyError):
            log.info("%s: nothing was read: %s", task.get_name(), error.code)
        elif error is not None:
            log.error("%s failed", task.get_name(), exc_info=error)


def _node_spoken_to(state: SessionState, plan: Plan) -> PlannedNode | None:
    """The node that the next turn begins with, or comes to first."""
    if state.node_id is not None:
        return plan.nodes.get(state.node_id)
    way = plan.start.otherwise
    return plan.nodes[way.target] if way is not None else None
