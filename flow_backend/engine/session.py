"""A session: its state, and its turns, of which one runs at a time."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from time import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from flow_backend.engine.plan import Plan
from flow_backend.engine.runner import Runner
from flow_backend.engine.state import Entry, SessionState
from flow_backend.engine.turn import Turn
from protocol.errors import FlowError, ParleyError
from protocol.events import Cancelled, Done, Error, Event

if TYPE_CHECKING:
    from flow_backend.engine.engine import EngineParts

log = logging.getLogger(__name__)

_KEPT_TURNS = 16
"""Turns of a session whose streams stay in memory after they are over."""


class Session:
    """One conversation.

    A turn runs in a task that the session owns, not in a request's: a reader that leaves can come
    back. A turn without a reader is cancelled after `EngineLimits.reader_grace_s`.
    """

    def __init__(
        self,
        session_id: str,
        plan: Plan,
        parts: EngineParts,
        *,
        state: SessionState | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        self.id = session_id
        self.plan = plan
        self.metadata = metadata or {}
        self.state = state or SessionState()
        self.last_used = time()
        """Unix time."""
        self._parts = parts
        self._turns: OrderedDict[str, Turn] = OrderedDict()
        self._current: Turn | None = None

    def start_turn(self, user_input: str, turn_id: str | None, *, speculative: bool) -> Turn:
        """Starts a turn, or gives the one with this id.

        Raises:
            FlowError: `turn_conflict` if the id was used with another input; `session_ended`.
        """
        self.last_used = time()
        turn_id = turn_id or uuid4().hex
        known = self._turns.get(turn_id)
        if known is not None:
            if known.input != user_input:
                raise FlowError(
                    "turn_conflict",
                    f"Turn {turn_id!r} was begun with another input. Use a new turn_id.",
                )
            return known
        if self.state.ended:
            raise FlowError("session_ended", f"Session {self.id!r} is over. Open a new one.")
        if self._current is not None:
            self._leave(self._current, "superseded")
        turn = Turn(self.id, turn_id, user_input, self.state, speculative=speculative)
        self._turns[turn_id] = turn
        while len(self._turns) > _KEPT_TURNS:
            self._turns.popitem(last=False)
        self._current = turn
        if not speculative:
            self._settle_heard(turn)
        runner = Runner(turn, self.plan, self._parts)
        turn.stream.on_idle = lambda: self._without_reader(turn)
        turn.task = asyncio.create_task(runner.run(), name=f"turn {turn_id}")
        turn.task.add_done_callback(lambda task: self._conclude(turn, task))
        return turn

    def greeted(self, text: str) -> None:
        """The client has spoken the greeting."""
        self.state.history.append(Entry("assistant", text))

    def turn(self, turn_id: str) -> Turn:
        """A turn by its id.

        Raises:
            FlowError: `turn_not_found`.
        """
        turn = self._turns.get(turn_id)
        if turn is None:
            raise FlowError("turn_not_found", f"Session {self.id!r} has no turn {turn_id!r}.")
        return turn

    def commit(self, turn: Turn) -> None:
        """The user's turn is over: side effects may run and the turn enters the history.

        Raises:
            FlowError: `turn_conflict` if the turn was discarded before.
        """
        if turn.committed.is_set():
            return
        if turn.discarded:
            raise FlowError("turn_conflict", f"Turn {turn.id!r} was discarded.")
        turn.committed.set()
        self._settle_heard(turn)
        if turn.over.is_set():
            self._merge(turn, turn.interrupted)

    def drop(self, turn: Turn) -> None:
        """Discards a speculative turn; cancels a committed one that still runs."""
        self._leave(turn, "cancelled")

    def heard(self, turn: Turn, text: str, *, interrupted: bool) -> None:
        """Takes a report of what the user heard of a committed turn.

        Raises:
            FlowError: `turn_conflict` for a turn that is not committed.
        """
        if not turn.committed.is_set():
            raise FlowError("turn_conflict", f"Turn {turn.id!r} is not committed.")
        turn.reported = (text, interrupted)
        for entry in self.state.history:
            if entry.turn_id == turn.id and entry.role == "assistant":
                entry.text, entry.interrupted, entry.heard = text, interrupted, True

    def end(self) -> None:
        """Ends the session and whatever runs in it."""
        if self._current is not None:
            self._leave(self._current, "session_ended")
        self.state.ended = True

    async def aclose(self) -> None:
        """Cancels the running turn and waits for it."""
        if self._current is not None:
            self._leave(self._current, "shutdown")
            await self._current.over.wait()

    def _leave(self, turn: Turn, reason: str) -> None:
        """Stops a turn; its task closes the model's stream as it unwinds."""
        if not turn.committed.is_set():
            turn.discarded = True
        if turn.task is not None and not turn.task.done():
            turn.cancel_reason = turn.cancel_reason or reason
            turn.task.cancel()

    def _without_reader(self, turn: Turn) -> None:
        """Nobody reads a turn that still runs: it gets some time to be resumed."""
        if turn.over.is_set():
            return

        def give_up() -> None:
            if turn.stream.readers == 0:
                self._leave(turn, "abandoned")

        asyncio.get_running_loop().call_later(self._parts.limits.reader_grace_s, give_up)

    def _conclude(self, turn: Turn, task: asyncio.Task[None]) -> None:
        """The run is over: writes the turn into the session and ends its stream."""
        event = self._terminal(turn, task)
        turn.interrupted = isinstance(event, Cancelled)
        if turn.committed.is_set():
            self._merge(turn, turn.interrupted)
        turn.stream.add(event)
        turn.over.set()

    def _terminal(self, turn: Turn, task: asyncio.Task[None]) -> Event:
        turn.mark("done")
        if task.cancelled():
            return Cancelled(reason=turn.cancel_reason, content=turn.spoken)
        error = task.exception()
        if error is None:
            return Done(
                content=turn.spoken,
                ended=turn.draft.ended,
                usage=turn.usage,
                timings_ms=turn.timings_ms,
            )
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if isinstance(error, ParleyError):
            return Error(
                code=error.code,
                message=error.message,
                retryable=error.retryable,
                content=turn.spoken,
            )
        log.error("turn %s of session %s failed", turn.id, self.id, exc_info=error)
        return Error(
            code="internal", message="The turn failed; the log says why.", content=turn.spoken
        )

    def _merge(self, turn: Turn, interrupted: bool) -> None:
        if turn.merged:
            return
        turn.merged = True
        turn.draft.merge()
        history = self.state.history
        history.append(Entry("user", turn.input, turn.id, heard=True))
        if turn.pieces:
            text, cut = turn.reported or (turn.spoken, interrupted)
            history.append(
                Entry("assistant", text, turn.id, interrupted=cut, heard=turn.reported is not None)
            )

    def _settle_heard(self, turn: Turn) -> None:
        """What nobody reported on counts as heard once the next turn begins."""
        for entry in reversed(self.state.history):
            if entry.heard and entry.role == "assistant":
                break
            if entry.turn_id != turn.id:
                entry.heard = True
