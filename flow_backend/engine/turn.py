"""One turn: its input, its stream, and the overlay that holds what it changes."""

from __future__ import annotations

import asyncio
import json
import logging
from time import monotonic, time
from typing import Any

from flow_backend.engine.rewind import Checkpoint, Rewind, letters
from flow_backend.engine.spoken import Spoken
from flow_backend.engine.state import Draft, Entry, SessionState
from flow_backend.engine.stream import TurnStream
from flow_backend.store.database import storage_error
from flow_backend.store.sessions import StoredTurn
from protocol.events import Error

log = logging.getLogger(__name__)


class Turn:
    """A turn from its request to its terminal event, and afterwards for whoever reads it again."""

    def __init__(
        self,
        session_uid: str,
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
        self.stream = TurnStream(session_id, turn_id, uid=session_uid)
        self.committed = not speculative
        """The turn belongs to the history, or will."""
        self.may_act = asyncio.Event()
        """The commit is in the database: side effects may run."""
        if not speculative:
            self.may_act.set()
        self.discarded = False
        self.task: asyncio.Task[None] | None = None
        self.concluded = False
        """The run is over; the terminal event is there or about to be."""
        self.over = asyncio.Event()
        """The terminal event is in the stream."""
        self.merged = False
        """The draft is in the session's state."""
        self.past = False
        """Read from the database, which may lack the end of what was spoken."""
        self.interrupted = False
        """It was cut off before it had said everything."""
        self.pending_effect: dict[str, Any] | None = None
        """The outbox row that the commit is to write."""
        self.stored_position: dict[str, Any] = {}
        """Where the database has the session while this turn runs: at its last side effect."""
        self.rewind = Rewind()
        self.usage: dict[str, int] = {}
        self.timings_ms: dict[str, float] = {}
        self.pieces = Spoken()
        """Every spoken token."""
        self._session_uid, self._session_id = session_uid, session_id
        self._begun = monotonic()
        self._saved = 0
        self.input_taken = False
        """A node that waited for the input has got it."""
        self._visit_waited = False
        self._visit_pieces = 0

    @classmethod
    def from_stored(cls, stored: StoredTurn, session_id: str, state: SessionState) -> Turn:
        """A turn of the past, to be read, committed again or reported on."""
        turn = cls(
            stored.session_uid, session_id, stored.turn_id, stored.input, state, speculative=False
        )
        turn.rewind = Rewind.from_dict(stored.rewind)
        turn.concluded = turn.merged = turn.past = True
        turn.stream.restore(stored.frames, lost=stored.lost)
        turn.over.set()
        return turn

    def take_up(self, frames: list[bytes]) -> None:
        """Goes on after the events that another process has written, all in the database."""
        self.stream.take_up(frames)
        self._saved = len(frames)

    @property
    def last_seq(self) -> int:
        """Number of the last event."""
        return len(self.stream.frames)

    @property
    def spoken(self) -> str:
        """The whole spoken text so far."""
        return str(self.pieces)

    def say(self, text: str, node_id: str) -> None:
        """Emits a spoken token."""
        if not self.pieces:
            self.mark("first_token")
        self.pieces.append(text)
        self.stream.token(text, node_id, True)

    def mark(self, name: str) -> None:
        """Notes the time since the request, once for each name."""
        if name not in self.timings_ms:
            self.timings_ms[name] = round((monotonic() - self._begun) * 1000, 2)

    def begin_visit(self, node_id: str, *, waited: bool) -> None:
        """A node is entered, or taken up again where the last turn left it."""
        self.input_taken = self.input_taken or waited
        self.draft.node_id = node_id
        self.draft.waiting = waited
        self._visit_waited = waited
        self._visit_pieces = len(self.pieces)

    def end_visit(self) -> None:
        """A node is left, or cut off: if it spoke, a heard report may lead back to here."""
        if len(self.pieces) == self._visit_pieces or self.draft.node_id is None:
            return
        self._visit_pieces = len(self.pieces)
        self.draft.waiting = True
        self.rewind.checkpoints.append(
            Checkpoint(
                end=letters(self.spoken),
                node_id=self.draft.node_id,
                returns=list(self.draft.returns),
                changed=dict(self.draft.changed),
                waited=self._visit_waited,
            )
        )

    def take_effect(self) -> dict[str, Any] | None:
        """The prepared side effect, for the one who stores it."""
        effect, self.pending_effect = self.pending_effect, None
        if effect is not None:
            self.draft.effect_id = effect["id"]
            self.stored_position = {
                **self.draft.position(),
                "effect_seq": len(self.stream.frames),
            }
        return effect

    def no_way_back(self) -> None:
        """A side effect runs: no report leads back behind it."""
        self.rewind.floor = len(self.rewind.checkpoints)

    def merge(self, state: SessionState) -> None:
        """Enters what it did, and what was said, into the session's state."""
        self.merged = True
        self.rewind.names = list(self.draft.changed)
        for name in self.draft.changed:
            was_set, value = self.draft.value_before(name)
            if was_set:
                self.rewind.before[name] = value
        self.draft.merge()
        state.history.append(Entry("user", self.input, self.id, heard=True))
        if self.pieces:
            state.history.append(
                Entry("assistant", self.spoken, self.id, interrupted=self.interrupted)
            )

    def failure(self, error: BaseException) -> Error:
        """Its terminal event for what went wrong."""
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        known = storage_error(error)
        if known is not None:
            return Error(
                code=known.code,
                message=known.message,
                retryable=known.retryable,
                content=self.spoken,
            )
        log.error("turn %s of session %s failed", self.id, self._session_id, exc_info=error)
        return Error(
            code="internal", message="The turn failed; the log says why.", content=self.spoken
        )

    def unsaved_chunk(self, terminal: bytes = b"") -> dict[str, Any] | None:
        """The journal's next row, and the terminal frame with the last; then it counts as saved."""
        frames = self.stream.frames[self._saved :]
        if not frames and not terminal:
            return None
        row = {
            "session_uid": self._session_uid,
            "turn_id": self.id,
            "first_seq": self._saved + 1,
            "frames": b"".join(frames) + terminal,
        }
        self._saved = len(self.stream.frames)
        return row

    def turn_row(self) -> dict[str, Any]:
        """The turn's row."""
        return {
            "session_uid": self._session_uid,
            "turn_id": self.id,
            "input": self.input,
            "status": "over" if self.concluded else "running",
            "rewind": json.dumps(self.rewind.as_dict(), default=str),
            "updated_at": time(),
        }
