"""One turn: its input, its stream, and the overlay that holds what it changes."""

from __future__ import annotations

import asyncio
from time import monotonic

from flow_backend.engine.state import Draft, SessionState
from flow_backend.engine.stream import TurnStream


class Turn:
    """A turn from its request to its terminal event."""

    def __init__(
        self,
        session_id: str,
        turn_id: str,
        user_input: str,
        state: SessionState,
        *,
        speculative: bool,
    ) -> None:
        self.id = turn_id
        self.input = user_input
        self.draft = Draft(state)
        self.stream = TurnStream(session_id, turn_id)
        self.committed = asyncio.Event()
        """Set: side effects may run and the turn belongs to the history."""
        if not speculative:
            self.committed.set()
        self.task: asyncio.Task[None] | None = None
        """Runs the flow; None before it begins."""
        self.over = asyncio.Event()
        """The terminal event is in the stream."""
        self.discarded = False
        self.cancel_reason = ""
        self.interrupted = False
        """It was cut off before it had said everything."""
        self.reported: tuple[str, bool] | None = None
        """The heard report: text, interrupted."""
        self.merged = False
        """The draft is in the session's state."""
        self.usage: dict[str, int] = {}
        self.timings_ms: dict[str, float] = {}
        self.pieces: list[str] = []
        """Every spoken token."""
        self.node_ids: list[str] = []
        self._begun = monotonic()

    @property
    def spoken(self) -> str:
        """The whole spoken text so far."""
        return "".join(self.pieces)

    def say(self, text: str, node_id: str) -> None:
        """Emits a spoken token."""
        if not self.pieces:
            self.mark("first_token")
        self.pieces.append(text)
        self.stream.token(text, node_id, True)

    def note_node(self, node_id: str) -> None:
        """Remembers the way through the flow."""
        self.node_ids.append(node_id)

    def mark(self, name: str) -> None:
        """Notes the time since the request, once for each name."""
        self.timings_ms.setdefault(name, round((monotonic() - self._begun) * 1000, 2))
