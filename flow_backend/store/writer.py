"""The write-behind writer: everything that sessions store goes through one task.

Tokens never wait for the database. What is waiting is written in one transaction, at the latest
`interval_s` after it was handed in, or at once when somebody waits for it (`durable`). Guarantee:
after a `durable` call, everything handed in before it survives the death of the process; of a
turn that still runs, at most the last `interval_s` of its journal may be missing.

While the database cannot be reached, what is handed in is kept and tried again. Who waits is told
after a while, and at once when the disk is full; `check` keeps new turns away meanwhile, so that
what is kept is bounded by the turns that ran.

What the database refuses for a reason of its own is told to its session alone: what others handed
in beside it is stored.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from sqlalchemy import Table, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from flow_backend.store.batch import WHOLE, Batch, Row, uid_of
from flow_backend.store.database import FAILURES, among, insert_missing, storage_error, upsert
from flow_backend.store.tables import journal, outbox, sessions, transcript_parts, turns
from protocol.errors import FlowError, ParleyError, StreamError

log = logging.getLogger(__name__)

PATIENCE_S = 4.0
"""For so long who waits is not told that the database cannot be reached: it may restart. Shorter
than clients wait for a call."""
TURN_PATIENCE_S = 15.0
"""The same within a turn, whose stream shows that it lives."""
_RETRY_S = 0.3
_CLOSING_S = 5.0
_REFUSED_AGAIN_S = 2.0
_TRIES = 3
"""For what the database refuses for another reason; then row by row."""
_REFUSALS = (*FAILURES, ValueError, TypeError, ArithmeticError)
"""The last three are drivers' own, for values that they cannot encode and so never send."""
_RENEWAL_S = 15.0
"""How often the rows of running turns are renewed, to show that their process lives."""


class JournalSource(Protocol):
    """A turn whose frames are written bit by bit."""

    def unsaved_chunk(self) -> Row | None:
        """A row of the journal with what is not written yet; it then counts as written."""

    def turn_row(self) -> Row:
        """The turn's row as it is now."""


class Batches(Protocol):
    """Is told of each batch."""

    def batch_begins(self) -> None:
        """Everything up to now is gathered."""

    def batch_stored(self) -> None:
        """What was gathered is in the database."""

    def all_stored(self) -> None:
        """Nothing is left that is not, and no turn runs."""


class Writer:
    """Owns the writing task; open with `async with`.

    Args:
        engine: The database.
        interval_s: How long what is handed in waits at most.
        batches: Is told of each batch.
    """

    keeps = True
    """What is handed in can be read again."""

    def __init__(
        self, engine: AsyncEngine, *, interval_s: float = 0.25, batches: Batches | None = None
    ) -> None:
        self._batches = batches
        self._generations: dict[str, int] = {}
        """Of the sessions that this process has, by uid."""
        self._on_lost: Callable[[str], None] | None = None
        self._engine = engine
        self._interval_s = interval_s
        self._statements = {
            table: upsert(table, engine.dialect)
            for table in (sessions, transcript_parts, turns, outbox)
        }
        """In the order in which they are written: rows refer to those of tables before."""
        self._batch = Batch()
        self._growing: set[JournalSource] = set()
        self._waiting: list[tuple[asyncio.Future[None], float, str | None]] = []
        """Who waits, until when, and for which session alone."""
        self._failing: tuple[float, ParleyError] | None = None
        """Since when the database takes nothing, and why."""
        self._wake = asyncio.Event()
        self._urgent = asyncio.Event()
        self._closing = False
        self._refusals: dict[str, int] = {}
        """How often the database has refused what there is of a session, by uid."""
        self._renewed_at = monotonic()
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Writer:
        self._task = asyncio.create_task(self._write_all(), name="writer")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._closing = True
        self._wake.set()
        self._urgent.set()
        assert self._task is not None
        await self._task

    def fence(self, on_lost: Callable[[str], None]) -> None:
        """Refuses from now on what is of a session that another process has taken.

        Args:
            on_lost: Is told the session's uid.
        """
        self._on_lost = on_lost

    def hold(self, uid: str, generation: int) -> None:
        """This process has a session, in this generation."""
        self._generations[uid] = generation

    def let_go(self, uid: str) -> None:
        """It has it no longer."""
        self._generations.pop(uid, None)

    def put(self, table: Table, row: Row) -> None:
        """Hands in a row; a later one with the same key takes its place."""
        self._batch.put(table, row)
        self._wake.set()

    def put_chunk(self, row: Row) -> None:
        """Hands in a piece of a journal."""
        self._batch.chunks.append(row)
        self._wake.set()

    def follow(self, source: JournalSource) -> None:
        """Writes a running turn's journal from now on."""
        self._growing.add(source)
        self._wake.set()

    def unfollow(self, source: JournalSource) -> None:
        """The turn is over; what it still has is handed in by whoever ends it."""
        self._growing.discard(source)

    async def durable(self, uid: str | None = None, patience_s: float = PATIENCE_S) -> None:
        """Waits until everything that was handed in is in the database, or a session's alone.

        Raises:
            ParleyError: `database_unavailable` or `disk_full`: it is kept, and stored when that is
                possible again; `internal`, retryable, if the database refused what there is of
                the session.
        """
        await asyncio.shield(self.when_durable(uid=uid, patience_s=patience_s))

    def check(self) -> None:
        """Returns unless the database has taken nothing for a while.

        Raises:
            ParleyError: `database_unavailable` or `disk_full`.
        """
        if self._failing is None:
            return
        since, error = self._failing
        if error.code == "disk_full" or monotonic() - since > PATIENCE_S:
            raise _again(error)

    def when_durable(
        self,
        callback: Callable[[asyncio.Future[None]], None] | None = None,
        *,
        uid: str | None = None,
        patience_s: float = PATIENCE_S,
    ) -> asyncio.Future[None]:
        """A future that is settled once everything handed in so far is written, or refused."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if callback is not None:
            future.add_done_callback(callback)
        self._waiting.append((future, monotonic() + patience_s, uid))
        self._wake.set()
        self._urgent.set()
        return future

    async def _write_all(self) -> None:
        while True:
            if not (self._growing or self._closing):
                await self._wake.wait()
            self._wake.clear()
            if not self._urgent.is_set():
                try:
                    async with asyncio.timeout(self._interval_s):
                        await self._urgent.wait()
                except TimeoutError:
                    pass
            self._urgent.clear()
            closing = self._closing
            await self._write_batch()
            if self._failing is not None:
                if self._closing and monotonic() - self._failing[0] > _CLOSING_S:
                    log.error("the database has not taken the last batch (%s)", self._failing[1])
                    return
                self._wake.set()
                await asyncio.sleep(_RETRY_S)
            elif closing:
                return

    async def _write_batch(self) -> None:
        waiting, self._waiting = self._waiting, []
        batch, self._batch = self._batch, Batch()
        for source in self._growing:
            chunk = source.unsaved_chunk()
            if chunk is not None:
                batch.chunks.append(chunk)
        now = monotonic()
        if now - self._renewed_at > _RENEWAL_S:
            self._renewed_at = now
            for source in self._growing:
                row = source.turn_row()
                batch.rows.setdefault(turns, {}).setdefault(
                    (row["session_uid"], row["turn_id"]), row
                )
        if self._batches is not None:
            self._batches.batch_begins()
        refused: set[str] = set()
        if batch or self._failing:
            left = batch.by_session()
            try:
                await self._store(left, refused)
            except FAILURES as failure:
                self._failed(failure)
            else:
                if self._failing is not None:
                    log.warning("the database stores again")
                self._failing = None
            # What was handed in meanwhile is newer.
            self._batch = Batch.joined((*left.values(), self._batch))
            if any(self._refusals.get(uid, 0) <= _TRIES for uid in left):
                self._wake.set()
            elif self._batches is not None and self._failing is None:
                self._batches.batch_stored()
                if not (self._growing or self._batch):
                    self._batches.all_stored()
        self._tell(waiting, refused)

    def _tell(
        self, waiting: list[tuple[asyncio.Future[None], float, str | None]], refused: set[str]
    ) -> None:
        now = monotonic()
        error = None if self._failing is None else self._failing[1]
        for future, until, uid in waiting:
            if future.done():
                continue
            if error is not None and error.code == "database_unavailable" and now < until:
                self._waiting.append((future, until, uid))
            elif error is not None:
                future.set_exception(_again(error))
            elif uid in refused:
                future.set_exception(
                    FlowError("internal", "The database refused to store this.", retryable=True)
                )
            elif uid is None and refused:
                future.set_exception(
                    StreamError(
                        "database_unavailable",
                        "The database does not store all that it was given; the log says why. "
                        "Try again.",
                        retry_after_s=_REFUSED_AGAIN_S,
                    )
                )
            else:
                future.set_result(None)

    def _failed(self, failure: Exception) -> None:
        error = storage_error(failure)
        assert error is not None
        if self._failing is None:
            log.error("the database stores nothing (%s)", error.code)
        self._failing = (self._failing or (monotonic(),))[0], error

    async def _store(self, left: dict[str, Batch], refused: set[str]) -> None:
        """Writes what there is of each session, all in one transaction if the database takes it.

        Args:
            left: By uid. What is stored is taken out.
            refused: Sessions of which something is refused are put in.

        Raises:
            FAILURES: Those that may pass; what is left is to be tried again.
        """
        groups = [[uid] for uid in left if uid in self._refusals]
        groups.append([uid for uid in left if uid not in self._refusals])
        while groups:
            group = groups.pop()
            try:
                await self._write(Batch.joined(left[uid] for uid in group))
            except _REFUSALS as failure:
                if storage_error(failure) is not None:
                    raise
                if len(group) > 1:
                    half = len(group) // 2
                    groups += [group[half:], group[:half]]
                    continue
                refused.update(group)
                await self._refused(group[0], failure, left)
            else:
                for uid in group:
                    self._refusals.pop(uid, None)
                    del left[uid]

    async def _refused(self, uid: str, failure: Exception, left: dict[str, Batch]) -> None:
        """Keeps what is refused of a session for the next try; gives up what is never taken.

        The session's row and the parts of its transcript are never given up: what was put away is
        nowhere else.
        """
        log.error("the database refused what there is of a session (%s)", type(failure).__name__)
        self._refusals[uid] = self._refusals.get(uid, 0) + 1
        if self._refusals[uid] <= _TRIES and not self._closing:
            return
        rest = Batch()
        for piece in left[uid].pieces():
            try:
                await self._write(piece)
            except _REFUSALS as another:
                if storage_error(another) is not None:
                    raise
                if any(table in piece.rows for table in WHOLE):
                    rest = piece
                else:
                    names = [table.name for table in piece.rows] or [journal.name]
                    log.error("gave up a row of the table %s", *names)
        if rest:
            left[uid] = rest
        else:
            del left[uid], self._refusals[uid]

    async def _write(self, batch: Batch) -> None:
        async with self._engine.begin() as connection:
            lost = await self._lost(connection, batch) if self._on_lost else set()
            for table, statement in self._statements.items():
                mine = [
                    row for row in batch.rows.get(table, {}).values() if uid_of(row) not in lost
                ]
                if mine:
                    await connection.execute(statement, mine)
            pieces = [chunk for chunk in batch.chunks if uid_of(chunk) not in lost]
            if pieces:
                # The batch may be in although nobody could say so any more.
                await connection.execute(insert_missing(journal, connection.dialect), pieces)
        for uid in lost:
            self.let_go(uid)
            assert self._on_lost is not None
            self._on_lost(uid)

    async def _lost(self, connection: AsyncConnection, batch: Batch) -> set[str]:
        """Sessions in a batch that another process has; the others stay locked until it is in."""
        found = await connection.execute(
            select(sessions.c.uid, sessions.c.generation)
            .where(among(sessions.c.uid, batch.uids(), connection.dialect))
            .order_by(sessions.c.uid)
            .with_for_update()
        )
        return {
            uid for uid, generation in found if generation > self._generations.get(uid, generation)
        }


def _again(error: ParleyError) -> ParleyError:
    """The same error, to be raised in another place."""
    return type(error)(
        error.code, error.message, retryable=error.retryable, retry_after_s=error.retry_after_s
    )
