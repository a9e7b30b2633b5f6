"""Brings a turn whose process died to where its events end, so that it goes on from there.

The events say which nodes were entered and left, what was said and which variables were set; what
the database has of the session stands at the turn's beginning, or at its last side effect.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Literal

from flow_backend.engine.plan import Plan, PlannedEdge, PlannedNode
from flow_backend.engine.state import SessionState
from flow_backend.engine.turn import Turn
from flow_backend.nodes.base import NodeType
from protocol.errors import StreamError
from protocol.events import TERMINAL_TYPES

_FROM_EVENTS = frozenset({"type", "seq", "turn_id", "session_id"})


@dataclass(slots=True)
class Standing:
    """Where a turn stands among the nodes."""

    node: PlannedNode
    """The last one that was entered."""
    resumed: bool
    """It was waiting, and the turn's input is its answer."""
    then: Literal["", "go", "wait", "return", "end"] = ""
    """What follows on the node; empty: it is not over."""
    edge: PlannedEdge | None = None
    """The edge that was taken."""
    following: PlannedNode | None = None
    said: str = ""
    """By the node so far, or on the way to the next one."""
    seen: list[dict[str, Any]] = field(default_factory=list)
    """The node's other events."""
    visits: int = 1
    """How many nodes the turn has entered, this one included."""
    searched: PlannedNode | None = None
    """The last knowledge node, if what it found is not in an answer yet."""


def event_key(event: dict[str, Any]) -> dict[str, Any]:
    """An event without what numbers it."""
    return {name: value for name, value in event.items() if name not in _FROM_EVENTS - {"type"}}


def replay(turn: Turn, plan: Plan, state: SessionState) -> Standing | None:
    """Takes a turn's draft and checkpoints through its events.

    Args:
        turn: A turn whose stream has the events, and whose draft is fresh.
        plan: The session's flow.
        state: The session as the database has it.

    Returns:
        Where the turn stands; None if it has not entered any node.

    Raises:
        StreamError: `stream_interrupted` if the events do not fit the flow.
    """
    standing: Standing | None = None
    try:
        for index, frame in enumerate(turn.stream.frames):
            event = json.loads(frame.partition(b"\ndata: ")[2])
            if event["type"] in TERMINAL_TYPES:
                raise ValueError("the turn is over")
            standing = _step(turn, plan, state, standing, index, event)
    except (KeyError, ValueError, AttributeError, TypeError) as error:
        raise StreamError(
            "stream_interrupted",
            "The backend was stopped during this turn, and its journal does not say where to go "
            "on. Say it again in a new turn.",
        ) from error
    if standing is not None:
        _take_up_effect(turn, state, standing, index)
    return standing


def _step(
    turn: Turn,
    plan: Plan,
    state: SessionState,
    standing: Standing | None,
    index: int,
    event: dict[str, Any],
) -> Standing | None:
    if event["type"] == "node_started":
        node = plan.nodes[event["node_id"]]
        resumed = standing is None and state.waiting and state.node_id == node.id
        if standing is not None:
            turn.end_visit()
        turn.begin_visit(node.id, waited=resumed)
        if standing is None:
            return Standing(node, resumed)
        return Standing(node, resumed, visits=standing.visits + 1, searched=standing.searched)
    if standing is None:  # `waiting_for_commit`, before the first node is entered
        return None
    if event["type"] == "token":
        if event["speak"]:
            turn.pieces.append(event["content"])
            standing.said += event["content"]
    elif event["type"] == "node_finished":
        _leave(turn, plan, state, standing, index, event)
    else:
        if event["type"] == "variables":
            turn.draft.changed.update(event["changed"])
        standing.seen.append(event_key(event))
    return standing


def _leave(
    turn: Turn,
    plan: Plan,
    state: SessionState,
    standing: Standing,
    index: int,
    event: dict[str, Any],
) -> None:
    node = standing.node
    node_type: NodeType[Any] = node.type
    standing.then, standing.said = event["then"], ""
    if node_type.has_side_effects(node.data):
        turn.no_way_back()
    if event["next_node_id"] is not None:
        standing.following = plan.nodes[event["next_node_id"]]
        edges = (*node.deterministic, *node.judged, *plan.global_ways)
        every = (*edges, *([node.otherwise] if node.otherwise else []))
        standing.edge = next(
            edge
            for edge in every
            if edge.id == event["edge_id"] and edge.target == event["next_node_id"]
        )
    if index < state.effect_seq:
        return
    if standing.edge is not None and standing.edge.is_global:
        turn.draft.returns.append(node.id)
    if node_type.name == "knowledge":
        standing.searched = node
    elif node_type.name == "conversation":
        standing.searched = None
        turn.draft.passages = []


def _take_up_effect(turn: Turn, state: SessionState, standing: Standing, last: int) -> None:
    """The effect that the session's row names is the open visit's, or its result is taken."""
    visit_open = not standing.then and standing.node.id == state.node_id
    starts = [
        index
        for index, frame in enumerate(turn.stream.frames)
        if index > state.effect_seq and b'"type":"node_started"' in frame
    ]
    turn.draft.effect_id = state.effect_id if visit_open and not starts else None
