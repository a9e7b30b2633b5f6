"""A session: its state, and its turns, of which one runs at a time."""

from __future__ import annotations

import asyncio
import json
from collections import OrderedDict
from collections.abc import Coroutine, Sequence
from time import monotonic, time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from flow_backend.engine.old_turns import OldTurns
from flow_backend.engine.plan import Plan
from flow_backend.engine.reading_ahead import ReadingAhead
from flow_backend.engine.replay import replay
from flow_backend.engine.reports import HeardReports
from flow_backend.engine.runner import Runner
from flow_backend.engine.shown import show
from flow_backend.engine.state import Entry, SessionState
from flow_backend.engine.summaries import Summaries
from flow_backend.engine.turn import Turn
from flow_backend.engine.turn_ids import TurnIds
from flow_backend.store.sessions import StoredTurn
from flow_backend.store.tables import sessions, turns
from flow_backend.store.writer import TURN_PATIENCE_S
from protocol.errors import FlowError, ParleyError, StreamError
from protocol.events import Cancelled, Done, Event
from protocol.turns import HeardReport, HeardTurn
from protocol.turns import SessionState as ShownState

if TYPE_CHECKING:
    from flow_backend.engine.engine import EngineParts

_KEPT_TURNS = 4
"""Turns of a session whose streams stay in memory after they are over."""


class Session:
    """One conversation.

    A turn runs in a task that the session owns, not in a request's: a reader that leaves can come
    back. A turn without a reader is cancelled after `EngineLimits.reader_grace_s`.

    Speculative turns live in memory alone until they are committed. What a committed turn did is
    in the database before its terminal event is sent.
    """

    def __init__(
        self,
        uid: str,
        session_id: str,
        plan: Plan,
        parts: EngineParts,
        *,
        state: SessionState,
        metadata: dict[str, Any],
        owner: str = "",
        generation: int = 0,
        stored_turns: frozenset[str] = frozenset(),
        stored_parts: int = 0,
    ) -> None:
        self.uid = uid
        self.id = session_id
        self.owner = owner
        """Id of the API key that opened it; empty where keys were off."""
        self.plan = plan
        self.metadata = metadata
        self.state = state
        self.generation = generation
        """Counts the replicas that have had it."""
        self.last_used = time()
        """Unix seconds, for the database."""
        self.used_at_s = monotonic()
        """The same on a clock that nobody sets."""
        self.forgotten = False
        """Nothing of it is written any more."""
        self._parts = parts
        self._stored_turns = TurnIds(stored_turns)
        self._turns: OrderedDict[str, Turn] = OrderedDict()
        self._current: Turn | None = None
        self.last_merged = state.history[-1].turn_id if state.history else None
        """The turn after which the state is as it is."""
        self._starts = asyncio.Lock()
        """Turns begin in the order of their requests, whatever their reports wait for."""
        self._starting: set[str] = set()
        """Ids of turns that wait to begin."""
        self._closed = False
        """No turn begins here any more."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._ahead = ReadingAhead(parts, self._tasks)
        self._summaries = Summaries(parts, self._tasks)
        self._old = OldTurns(self, parts, stored_parts)
        self._reports = HeardReports(self, self._old)

    async def turn_ids(self) -> set[str]:
        """Of every turn that there was, as far as the database knows, and of those in memory."""
        return {*await self._parts.people.turn_ids(self.uid), *self._turns}

    @property
    def busy(self) -> bool:
        """A turn runs, or waits for its commit, or is read."""
        return any(
            not turn.over.is_set() or turn.stream.readers for turn in self._turns.values()
        ) or bool(self._tasks or self._starting)

    async def start_turn(
        self,
        user_input: str,
        turn_id: str | None,
        *,
        speculative: bool,
        heard: Sequence[HeardTurn] = (),
    ) -> Turn:
        """Starts a turn, or gives the one with this id.

        Args:
            user_input: The user's words.
            turn_id: Names the turn; by default a new id.
            speculative: The user may still be speaking.
            heard: What was heard of earlier turns; counts before a new turn begins.

        Raises:
            FlowError: `turn_conflict` if the id was used with another input; `session_ended`;
                `request_invalid` for input that PostgreSQL cannot keep.
            StreamError: `backend_unavailable` if this process lets go of the session.
        """
        if "\0" in user_input:
            raise FlowError("request_invalid", "The input has a NUL character.", path="input")
        self.last_used, self.used_at_s = time(), monotonic()
        turn_id = turn_id or uuid4().hex
        if not self.knows(turn_id):
            self._starting.add(turn_id)
            try:
                async with self._starts:
                    if heard and not (self._closed or self.knows(turn_id)):
                        await self._reports.take_carried(heard)
                    if not self.knows(turn_id):
                        return self._begin(user_input, turn_id, speculative=speculative)
            finally:
                self._starting.discard(turn_id)
        known = await self.begun(turn_id)
        if known.input != user_input:
            raise FlowError(
                "turn_conflict",
                f"Turn {turn_id!r} was begun with another input. Use a new turn_id.",
            )
        if not speculative and not known.discarded:
            await self.commit(known)
        return known

    def _begin(self, user_input: str, turn_id: str, *, speculative: bool) -> Turn:
        if self.state.ended:
            raise FlowError("session_ended", f"Session {self.id!r} is over. Open a new one.")
        if self._closed:
            raise self._gone()
        self._parts.writer.check()
        if self._current is not None:
            self.leave(self._current, "superseded")
        self._ahead.cancel()
        turn = Turn(self.uid, self.id, turn_id, user_input, self.state, speculative=speculative)
        self._remember(turn)
        self._current = turn
        keeper = self._parts.keeper
        if keeper is not None and keeper.shared:
            turn.stream.keeper = keeper
        if not speculative:
            self.state.settle_heard()
            self._begin_storing(turn)
        self._run(turn, Runner(turn, self.plan, self._parts, self).run())
        if speculative:
            self._later(self._parts.limits.speculation_s, lambda: self._give_up(turn))
        return turn

    def go_on(self, stored: StoredTurn) -> None:
        """Takes up a turn that another process has left running; without a reader, for a while.

        One whose journal does not fit the flow ends with `error`.
        """
        turn = Turn(self.uid, self.id, stored.turn_id, stored.input, self.state, speculative=False)
        turn.take_up(stored.frames)
        self._remember(turn)
        self._current = turn
        self._begin_storing(turn)
        try:
            run = Runner(turn, self.plan, self._parts, self).go_on(
                replay(turn, self.plan, self.state)
            )
        except StreamError as error:
            run = _fail(error)
        self._run(turn, run)
        self._without_reader(turn)

    def _run(self, turn: Turn, run: Coroutine[Any, Any, None]) -> None:
        turn.stream.on_idle = lambda: self._without_reader(turn)
        turn.task = asyncio.create_task(run, name=f"turn {turn.id}")
        self._tasks.add(turn.task)
        turn.task.add_done_callback(lambda task: self._ran(turn, task))

    async def turn(self, turn_id: str) -> Turn:
        """A turn by its id; one that waits to begin is there once it has.

        Raises:
            FlowError: `turn_not_found`.
            StreamError: `backend_unavailable` if this process lets go of the session.
        """
        if turn_id in self._starting:
            async with self._starts:
                pass
            if self._closed and not self.knows(turn_id):
                raise self._gone()
        return await self.begun(turn_id)

    async def begun(self, turn_id: str) -> Turn:
        """A turn that has begun, from memory or from the database.

        Raises:
            FlowError: `turn_not_found`.
        """
        turn = self._turns.get(turn_id)
        if turn is None and turn_id in self._stored_turns:
            stored = await self._parts.sessions.turn(self.uid, turn_id)
            if stored is not None:
                turn = Turn.from_stored(stored, self.id, self.state)
        if turn is None:
            raise FlowError("turn_not_found", f"Session {self.id!r} has no turn {turn_id!r}.")
        self._remember(turn)
        return turn

    async def commit(self, turn: Turn) -> None:
        """The user's turn is over: side effects may run and the turn enters the history.

        Returns when that is in the database, the side effect before which the turn waits
        included; may be repeated.

        Raises:
            FlowError: `turn_conflict` if the turn was discarded before; `internal` if the
                database refused it, and the commit may be tried again.
        """
        if turn.discarded:
            raise FlowError("turn_conflict", f"Turn {turn.id!r} was discarded.")
        if turn.may_act.is_set():
            return
        effect = None
        if not turn.committed:
            turn.committed = True
            self.state.settle_heard()
            if turn.concluded:
                self._enter(turn)
            else:
                effect = turn.take_effect()
                self._begin_storing(turn)
        if effect is not None:
            self._parts.outbox.add(effect)
        await self._parts.writer.durable(self.uid)
        turn.may_act.set()
        if effect is not None:
            self._parts.outbox.start(effect)

    async def prefill(self) -> None:
        """The user begins to speak: lets the model read what is known of the next prompt."""
        if self._current is None or self._current.concluded:
            self._ahead.begin_for(self)

    def drop(self, turn: Turn) -> None:
        """Discards a speculative turn; cancels a committed one that still runs."""
        self.leave(turn, "cancelled" if turn.committed else "discarded")

    async def discard(self, turn: Turn) -> None:
        """As `drop`."""
        self.drop(turn)

    async def heard(self, turn: Turn, report: HeardReport) -> None:
        """Takes a report of what the user heard of a committed turn; the last report counts.

        Raises:
            FlowError: `turn_conflict` for a turn that is not committed.
        """
        await self._reports.take(turn, report)
        await self._parts.writer.durable(self.uid)

    def greeted(self, text: str) -> None:
        """The client has spoken the greeting."""
        self.state.history.append(Entry("assistant", text))

    async def end(self) -> None:
        """Ends the session and whatever runs in it."""
        if self._current is not None:
            self.leave(self._current, "session_ended")
        self.state.ended = True
        self.save()
        await self._parts.writer.durable(self.uid)

    async def shown(self) -> ShownState:
        """The session as the API shows it."""
        old = await self._old.entries()
        return show(self.id, self.plan, self.state, self.metadata, old)

    def put_away(self) -> None:
        """Takes what no prompt will hold any more out of the state; `save` is to follow at once."""
        self._old.put_away(self.state)

    def abandon(self) -> None:
        """Stops whatever runs and writes nothing: another replica has the session."""
        self._closed = True
        for turn in self._turns.values():
            self._parts.writer.unfollow(turn)
            turn.concluded = True
            turn.stream.cut()
        for task in self._tasks:
            task.cancel()

    async def aclose(self) -> None:
        """Stops the running turn and waits until its task has let go of everything.

        Where events outlive the process a committed turn is left to the next one, which goes on
        with it; else it is cancelled. A turn that waits to begin fails with `backend_unavailable`.
        """
        self._closed = True
        async with self._starts:
            # A report that such a turn carries is taken to its end.
            turn = self._current
        if turn is not None:
            if self._parts.keeper is None or not turn.committed or turn.concluded:
                self.leave(turn, "shutdown")
            else:
                self._suspend(turn)
        self._ahead.cancel()
        self._summaries.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _gone(self) -> StreamError:
        return StreamError(
            "backend_unavailable",
            f"Session {self.id!r} is not in this process any more. Try again.",
            retry_after_s=1.0,
        )

    def _suspend(self, turn: Turn) -> None:
        turn.concluded = True
        writer = self._parts.writer
        writer.unfollow(turn)
        chunk = turn.unsaved_chunk()
        if chunk is not None:
            writer.put_chunk(chunk)
        turn.stream.cut()
        if turn.task is not None:
            turn.task.cancel()

    def knows(self, turn_id: str) -> bool:
        """Whether there was, or is, a turn with this id."""
        return turn_id in self._turns or turn_id in self._stored_turns

    def _remember(self, turn: Turn) -> None:
        self._turns[turn.id] = turn
        if len(self._turns) > _KEPT_TURNS:
            for old in list(self._turns.values()):
                if old.over.is_set() and old is not self._current and not old.stream.readers:
                    del self._turns[old.id]
                    break

    def leave(self, turn: Turn, reason: str) -> None:
        """Stops a turn: its stream ends now, its task lets go of the model's stream as it unwinds.

        A turn that has come to its end is only discarded, if it was never committed.
        """
        if not turn.committed and not turn.discarded:
            turn.discarded = True
            self._parts.metrics.wasted(turn)
        if not turn.concluded:
            self._conclude(turn, Cancelled(reason=reason, content=turn.spoken))
        if turn.task is not None:
            turn.task.cancel()

    def _without_reader(self, turn: Turn) -> None:
        """Nobody reads a turn that still runs: it gets some time to be resumed."""
        if turn.concluded:
            return

        def give_up() -> None:
            if turn.stream.idle and not turn.concluded:
                self.leave(turn, "abandoned")

        self._later(self._parts.limits.reader_grace_s, give_up)

    def _give_up(self, turn: Turn) -> None:
        """A speculative turn that nobody committed is discarded."""
        if not turn.committed and not turn.discarded:
            self.leave(turn, "discarded")

    @staticmethod
    def _later(delay_s: float, call: Any) -> None:
        asyncio.get_running_loop().call_later(delay_s, call)

    def _ran(self, turn: Turn, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if turn.concluded:
            return
        turn.mark("done")
        if task.cancelled():
            self._conclude(turn, Cancelled(reason="cancelled", content=turn.spoken))
        elif error is None:
            self._conclude(
                turn,
                Done(
                    content=turn.spoken,
                    ended=turn.draft.ended,
                    usage=turn.usage,
                    timings_ms=turn.timings_ms,
                ),
            )
        else:
            self._conclude(turn, turn.failure(error))

    def _conclude(self, turn: Turn, event: Event) -> None:
        """The run is over: the turn enters the state if it is committed, and its stream ends."""
        turn.concluded = True
        turn.interrupted = not isinstance(event, Done)
        turn.end_visit()
        turn.stream.on_idle = None
        self._parts.metrics.turn_over(turn, event)
        if not turn.committed:
            turn.stream.add(event)
            turn.over.set()
            return
        terminal = turn.stream.frame(event)
        end = self._enter(turn, terminal)

        def publish(stored: asyncio.Future[None]) -> None:
            failure = None if stored.cancelled() else stored.exception()
            if failure is not None:
                turn.stream.add(turn.failure(failure))
                if end is not None:
                    # The writer still has the row: who reads the turn later finds the same end.
                    end["frames"] = end["frames"].removesuffix(terminal) + turn.stream.frames[-1]
            else:
                turn.stream.add(event)
            turn.over.set()

        self._parts.writer.when_durable(publish, uid=self.uid, patience_s=TURN_PATIENCE_S)

    def _enter(self, turn: Turn, terminal: bytes = b"") -> dict[str, Any] | None:
        """A committed turn is over: it enters the history; gives the end of its journal."""
        if not turn.merged:
            turn.merge(self.state)
            self.last_merged = turn.id
        if self._summaries.task is None:  # it counts entries as they stand in the history
            self.put_away()
        end = self._store_end(turn, terminal)
        self._summaries.begin_for(self)
        return end

    def _begin_storing(self, turn: Turn) -> None:
        self._stored_turns.add(turn.id)
        session_row, turn_row = self.row(), turn.turn_row()
        self._parts.writer.put(sessions, session_row)
        self._parts.writer.put(turns, turn_row)
        keeper = turn.stream.keeper = self._parts.keeper
        if keeper is not None:
            keeper.begin(turn.stream, session_row, turn_row)
        self._parts.writer.follow(turn)

    def _store_end(self, turn: Turn, terminal: bytes = b"") -> dict[str, Any] | None:
        """Hands in everything that a committed turn left behind; gives the end of its journal."""
        writer = self._parts.writer
        writer.unfollow(turn)
        if self.forgotten:
            return None
        self._stored_turns.add(turn.id)
        self.save()
        writer.put(turns, turn.turn_row())
        chunk = turn.unsaved_chunk(terminal)
        if chunk is not None:
            writer.put_chunk(chunk)
        return chunk

    def save(self) -> None:
        """Hands the session's row to the writer."""
        if self.forgotten:
            return
        self._parts.writer.put(sessions, self.row())

    def row(self) -> dict[str, Any]:
        """The session's row.

        While a committed turn has a side effect behind it, the row stands at the node with the
        effect: should the process die, the next turn takes the effect's answer and goes on there.
        """
        state = self.state.as_dict()
        turn = self._current
        if turn is not None and turn.committed and not turn.concluded:
            state.update(turn.stored_position)
        return {
            "uid": self.uid,
            "flow_id": self.plan.flow.id,
            "session_id": self.id,
            "owner": self.owner,
            "flow_version": self.plan.version,
            "state": json.dumps(state, default=str),
            "metadata": json.dumps(self.metadata),
            "ended": self.state.ended,
            "last_used_at": self.last_used,
            "generation": self.generation,
        }


async def _fail(error: ParleyError) -> None:
    raise error
