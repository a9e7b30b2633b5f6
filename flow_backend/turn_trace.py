"""What the backend did in a turn, as spans below the caller's."""

from __future__ import annotations

import time

from flow_backend.engine.turn import Turn
from protocol.events import TERMINAL_TYPES, Done, Event, NodeFinished, NodeStarted
from protocol.tracing import SpanIds, Tracing


def trace_turn(turn: Turn, tracing: Tracing | None, parent: SpanIds | None) -> None:
    """Follows a turn that is about to begin; one that has begun is left alone."""
    if tracing is not None and turn.stream.observer is None and not turn.stream.frames:
        turn.stream.observer = _TurnTrace(turn, tracing, parent).see


class _TurnTrace:
    def __init__(self, turn: Turn, tracing: Tracing, parent: SpanIds | None) -> None:
        self._tracing = tracing
        self._parent = parent
        self._ids = SpanIds(parent.trace_id, SpanIds.new().span_id) if parent else SpanIds.new()
        self._about = {"parley.turn_id": turn.id}
        self._begun_s = time.time()
        self._node_begun_s: dict[str, float] = {}

    def see(self, event: Event) -> None:
        """Takes the next event of the turn; the last one ends the trace."""
        now_s = time.time()
        if isinstance(event, NodeStarted):
            self._node_begun_s[event.node_id] = now_s
        elif isinstance(event, NodeFinished):
            begun_s = self._node_begun_s.pop(event.node_id, now_s - event.duration_ms / 1000)
            self._tracing.span(
                f"node {event.node_id}",
                begun_s,
                now_s,
                parent=self._ids,
                attributes={"parley.node_type": event.node_type},
            )
        elif event.type in TERMINAL_TYPES:
            self._end(event, now_s)

    def _end(self, event: Event, now_s: float) -> None:
        for node_id, begun_s in self._node_begun_s.items():
            self._tracing.span(f"node {node_id}", begun_s, now_s, parent=self._ids)
        if isinstance(event, Done):
            asked_ms = event.timings_ms.get("llm_request")
            first_ms = event.timings_ms.get("first_token")
            if asked_ms is not None and first_ms is not None and first_ms >= asked_ms:
                self._tracing.span(
                    "model, first token",
                    self._begun_s + asked_ms / 1000,
                    self._begun_s + first_ms / 1000,
                    parent=self._ids,
                )
        self._tracing.span(
            "flow turn",
            self._begun_s,
            now_s,
            parent=self._parent,
            ids=self._ids,
            attributes={**self._about, "parley.end": event.type},
        )
