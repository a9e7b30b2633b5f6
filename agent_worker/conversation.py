"""The ledger of one call: which turns are open, over, heard or taken back.

LiveKit's session tells what happened to the speech; the ledger tells the backend. Calls about one
turn are made in order, each in a task of its own, so that the audio path never waits for them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing

from agent_worker.flow_executor import FlowExecutor
from agent_worker.flow_turn import FlowTurn
from agent_worker.waterfall import Waterfalls
from protocol.errors import ParleyError
from protocol.events import Done, Dtmf, Event, NodeStarted, Token, Transfer
from protocol.tracing import SpanIds
from protocol.turns import HeardReport

logger = logging.getLogger(__name__)

Action = Transfer | Dtmf
"""What a flow asks of the call."""
LEAVING_S = 8.0
"""How long the last calls are tried after a call is over: a backend that restarts hears them."""
KEPT_TURNS = 8
"""Settled turns are forgotten; so are the oldest, should a session fail to settle them."""


class Conversation:
    """The turns of one call.

    Args:
        executor: Speaks for the session; closed by its owner.
        settle_s: How long a new turn waits for the report of the one before, so that the next
            prompt holds what was heard.
        traced: Name a span for each turn to the backend.
    """

    def __init__(
        self, executor: FlowExecutor, *, settle_s: float = 0.3, traced: bool = False
    ) -> None:
        self.executor = executor
        self.ended_by: str | None = None
        """The turn that ended the session at the backend."""
        self.waterfalls = Waterfalls()
        """When what happened in the turns that are not over."""
        self.protected: Callable[[str], None] = lambda turn_id: None
        """Called with a turn whose answer holds words that may not be interrupted."""
        self.asked: Callable[[str, Action, bool], None] = lambda turn_id, action, spoke: None
        """Called with a turn, something that its flow asks of the call, and whether the turn has
        spoken before."""
        self._settle_s = settle_s
        self._traced = traced
        self._turns: dict[str, _Turn] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._committed_early: str | None = None
        self._prefill: asyncio.Task[None] | None = None

    def open_turn(self, user_input: str, turn_id: str) -> _Turn:
        """A turn that starts when its `events()` are read, speculative unless committed before.

        A turn that is still speculative, of an earlier guess at the transcript, is taken back.
        """
        for other in list(self._turns.values()):
            if not other.committed:
                self.discard(other.id)
        while len(self._turns) >= KEPT_TURNS:
            del self._turns[next(iter(self._turns))]
        committed = turn_id == self._committed_early
        flow_turn = self.executor.turn(
            user_input,
            turn_id=turn_id,
            speculative=not committed,
            span=SpanIds.new() if self._traced else None,
        )
        turn = self._turns[turn_id] = _Turn(self, flow_turn, committed)
        return turn

    def span_of(self, turn_id: str) -> SpanIds | None:
        """The span that the backend was told for a turn."""
        turn = self._turns.get(turn_id)
        return turn.flow_turn.span if turn is not None else None

    def prefill(self) -> None:
        """The caller begins to speak: the model may read what is known of the next prompt."""
        if self._prefill is not None or self._turns:
            return

        async def run() -> None:
            try:
                await self.executor.prefill()
            except ParleyError as error:
                logger.debug("The model could not read ahead: %s", error.code)

        self._prefill = task = asyncio.create_task(run(), name="prefill")
        self._tasks.add(task)

        def done(task: asyncio.Task[None]) -> None:
            self._prefill = None
            self._tasks.discard(task)

        task.add_done_callback(done)

    def commit(self, turn_id: str) -> None:
        """The user's turn is over: the answer is going to be heard."""
        turn = self._turns.get(turn_id)
        if turn is None:
            self._committed_early = turn_id
        elif not turn.committed:
            turn.committed = True
            self._send(turn, turn.flow_turn.commit)

    def heard(self, turn_id: str, text: str, *, interrupted: bool, estimated: bool = False) -> None:
        """The speech of a turn is over, and this much of it was heard.

        A turn that was never committed is taken back instead.

        Args:
            turn_id: The turn's.
            text: The words.
            interrupted: There would have been more.
            estimated: The voice does not tell when its words are heard; of an answer that was not
                cut, all were.
        """
        turn = self._turns.get(turn_id)
        if turn is None:
            return
        if not turn.committed:
            self.discard(turn_id)
            return
        if interrupted and not turn.flow_turn.finished:
            self._send(turn, turn.flow_turn.discard)
        report = HeardReport(
            text=text, interrupted=interrupted, estimated=estimated and interrupted
        )
        turn.flow_turn.note_heard(report)
        self._settle(turn, lambda: turn.flow_turn.heard(report))

    def discard(self, turn_id: str) -> None:
        """The answer to a guess that was wrong: nothing of it remains."""
        turn = self._turns.get(turn_id)
        if turn is not None:
            self.waterfalls.discarded(turn_id)
            self._settle(turn, turn.flow_turn.discard)

    async def aclose(self, timeout_s: float = LEAVING_S) -> None:
        """Takes open guesses back and waits, for so long at most, until all calls are made."""
        for turn in list(self._turns.values()):
            if not turn.committed:
                self.discard(turn.id)
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=timeout_s)
            if late:
                logger.warning("The backend was not told about turns: it is away (%d)", len(late))
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def when_settled(self, before: _Turn) -> None:
        """Waits, for `settle_s` at most, until the turns before this one are reported."""
        waits = [
            asyncio.create_task(turn.settled.wait())
            for turn in self._turns.values()
            if turn is not before and turn.committed
        ]
        if not waits:
            return
        try:
            await asyncio.wait(waits, timeout=self._settle_s)
        finally:
            for wait in waits:
                wait.cancel()

    def _settle(self, turn: _Turn, call: Callable[[], Awaitable[None]]) -> None:
        """Makes the last call about a turn, then forgets the turn."""

        async def last() -> None:
            try:
                await call()
            finally:
                turn.settled.set()
                self._turns.pop(turn.id, None)

        self._send(turn, last)

    def _send(self, turn: _Turn, call: Callable[[], Awaitable[None]]) -> None:
        """Makes a call after the earlier ones about the same turn."""
        earlier = turn.last_call

        async def run() -> None:
            if earlier is not None:
                await asyncio.wait([earlier])
            try:
                await call()
            except ParleyError as error:
                logger.warning("The backend was not told about a turn: %s", error.code)

        task = asyncio.create_task(run(), name=f"turn {turn.id}")
        turn.last_call = task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Turn:
    """One turn in the ledger."""

    def __init__(self, conversation: Conversation, flow_turn: FlowTurn, committed: bool) -> None:
        self.id = flow_turn.turn_id
        self.flow_turn = flow_turn
        self.committed = committed
        self.settled = asyncio.Event()
        self.last_call: asyncio.Task[None] | None = None
        self._conversation = conversation

    async def events(self) -> AsyncGenerator[Event, None]:
        """The turn's events; closing this early stops the turn at the backend.

        Raises:
            ParleyError: As `FlowTurn.events`.
        """
        await self._conversation.when_settled(before=self)
        waterfalls = self._conversation.waterfalls
        waterfalls.requested(self.id)
        protected_nodes: set[str] = set()
        spoke = False
        try:
            async with aclosing(self.flow_turn.events()) as events:
                async for event in events:
                    waterfalls.event(self.id, event)
                    if isinstance(event, NodeStarted) and not event.allow_interruptions:
                        protected_nodes.add(event.node_id)
                    elif isinstance(event, Token) and event.node_id in protected_nodes:
                        protected_nodes.clear()
                        self._conversation.protected(self.id)
                    if isinstance(event, Token):
                        spoke = spoke or event.speak
                    elif isinstance(event, Transfer | Dtmf):
                        self._conversation.asked(self.id, event, spoke)
                    if isinstance(event, Done) and event.ended:
                        self._conversation.ended_by = self.id
                    yield event
        finally:
            if not self.flow_turn.finished:
                self._conversation._send(self, self.flow_turn.discard)
