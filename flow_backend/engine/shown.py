"""A session as the API shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flow_backend.engine.plan import Plan
from flow_backend.engine.state import Entry, SessionState
from protocol.turns import SessionState as ShownState
from protocol.turns import TranscriptEntry


def show(
    session_id: str,
    plan: Plan,
    state: SessionState,
    metadata: dict[str, Any],
    old: Sequence[Entry] = (),
) -> ShownState:
    """State, variables and transcript; `old` entries come before the state's history."""
    return ShownState(
        session_id=session_id,
        flow_id=plan.flow.id,
        flow_version=plan.version,
        node_id=state.node_id,
        ended=state.ended,
        variables=state.variables,
        metadata=metadata,
        transcript=[
            TranscriptEntry(
                role=entry.role,
                text=entry.text,
                turn_id=entry.turn_id,
                interrupted=entry.interrupted,
                heard=entry.heard,
                estimated=entry.estimated,
            )
            for entry in (*old, *state.history)
        ],
    )
