"""Lets a model read what is known of the next prompt while the user begins to speak."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from flow_backend.engine.background import BackgroundWork
from flow_backend.engine.context import NodeContext
from flow_backend.engine.plan import Plan, PlannedNode
from flow_backend.engine.runner import Runner
from flow_backend.engine.state import SessionState
from flow_backend.engine.turn import Turn

if TYPE_CHECKING:
    from flow_backend.engine.engine import EngineParts
    from flow_backend.engine.session import Session


class ReadingAhead(BackgroundWork):
    """What one session reads ahead.

    Only a model that keeps a prompt cache reads, until a turn begins. Nothing else changes: a
    model that cannot read ahead reads when it is asked.

    Args:
        parts: What runs need.
        tasks: The session's, which this one joins while it runs.
    """

    def __init__(self, parts: EngineParts, tasks: set[asyncio.Task[None]]) -> None:
        super().__init__(tasks)
        self._parts = parts

    def begin_for(self, session: Session) -> None:
        """Begins, unless the session has ended or already reads."""
        state = session.state
        node = _node_spoken_to(state, session.plan)
        if node is None or self.task is not None or state.ended:
            return
        turn = Turn(session.uid, session.id, "", "", state, speculative=True)
        context = NodeContext(
            Runner(turn, session.plan, self._parts, session), node, resumed=state.waiting
        )
        self.begin(node.type.prefill(node.data, context), f"prefill of session {session.id}")


def _node_spoken_to(state: SessionState, plan: Plan) -> PlannedNode | None:
    """The node that the next turn begins with, or comes to first."""
    if state.node_id is not None:
        return plan.nodes.get(state.node_id)
    way = plan.start.otherwise
    return plan.nodes[way.target] if way is not None else None
