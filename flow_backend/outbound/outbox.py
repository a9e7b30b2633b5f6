"""Side effects, each exactly once after its commit.

A row goes into the database with the commit and before the call; the call carries the row's id as
its `Idempotency-Key`; the answer goes into the row. If the process dies in between, whoever finds
the row makes the call, with the same key: a receiver that honours keys acts once, whatever happens.
"""

from __future__ import annotations

import asyncio
import json
import logging
from time import time
from uuid import uuid4

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from flow_backend.outbound.call import HttpAnswer, HttpCall, HttpCaller
from flow_backend.store.batch import Row
from flow_backend.store.tables import outbox
from flow_backend.store.writer import Writer
from protocol.errors import FlowError

log = logging.getLogger(__name__)

CLAIM_S = 900.0
"""How long a row belongs to the process that wrote or claimed it; calls are bounded by less."""


class Outbox:
    """Runs side effects in tasks of its own: cancelling a turn does not cancel them."""

    def __init__(self, engine: AsyncEngine, writer: Writer, caller: HttpCaller) -> None:
        self._engine = engine
        self._writer = writer
        self._caller = caller
        self._running: dict[str, asyncio.Task[HttpAnswer]] = {}

    @staticmethod
    def new_row(session_uid: str, turn_id: str, node_id: str, call: HttpCall) -> Row:
        """A side effect that is to happen."""
        return {
            "id": uuid4().hex,
            "session_uid": session_uid,
            "turn_id": turn_id,
            "node_id": node_id,
            "request": call.model_dump_json(),
            "status": "pending",
            "result": None,
            "claimed_until": time() + CLAIM_S,
        }

    def add(self, row: Row) -> None:
        """Hands a row to the writer; it happens once `Writer.durable` has returned and `start`."""
        self._writer.put(outbox, row)

    def withdraw(self, row: Row) -> None:
        """A row that was handed in is not to happen after all."""
        self._writer.put(outbox, {**row, "status": "failed"})

    def start(self, row: Row) -> asyncio.Task[HttpAnswer]:
        """Makes the call of a row that is in the database, unless it is under way."""
        task = self._running.get(row["id"])
        if task is None:
            task = asyncio.create_task(self._run(row), name=f"effect of {row['session_uid']}")
            self._running[row["id"]] = task
            task.add_done_callback(lambda _: self._running.pop(row["id"], None))
        return task

    async def answer(self, effect_id: str, session_uid: str) -> HttpAnswer | None:
        """The answer to an effect that was begun before; waits for it, or begins it again.

        None if there is no such row.
        """
        task = self._running.get(effect_id)
        if task is None:
            await self._writer.durable(session_uid)
            async with self._engine.connect() as connection:
                row = (
                    await connection.execute(select(outbox).where(outbox.c.id == effect_id))
                ).one_or_none()
            if row is None:
                return None
            if row.result is not None:
                return HttpAnswer.model_validate_json(row.result)
            task = self.start(dict(row._mapping))
        return await asyncio.shield(task)

    async def forget(self, session_uid: str) -> None:
        """Stops the calls of a session; nothing of them is written any more."""
        mine = [task for task in self._running.values() if task.get_name().endswith(session_uid)]
        for task in mine:
            task.cancel()
        if mine:
            await asyncio.wait(mine)

    async def recover(self, *, whatever_claimed: bool = False) -> int:
        """Begins the calls that a process left behind when it died; gives their number.

        Args:
            whatever_claimed: The database has no other process: claims of a past one are void.
        """
        now = time()
        pending = outbox.c.status == "pending"
        if not whatever_claimed:
            pending &= outbox.c.claimed_until < now
        async with self._engine.begin() as connection:
            rows = await connection.execute(
                update(outbox)
                .where(pending)
                .values(claimed_until=now + CLAIM_S)
                .returning(*outbox.columns)
            )
            found = [dict(row._mapping) for row in rows if row.id not in self._running]
        for row in found:
            self.start(row)
        return len(found)

    async def _run(self, row: Row) -> HttpAnswer:
        call = HttpCall.model_validate(json.loads(row["request"]))
        try:
            answer = await self._caller.call(call, idempotency_key=row["id"])
        except FlowError as error:
            answer = HttpAnswer(error_code=error.code, error=error.message)
        failed = answer.error_code is not None
        self._writer.put(
            outbox,
            {
                **row,
                "status": "failed" if failed else "done",
                "result": answer.model_dump_json(),
            },
        )
        return answer

    async def aclose(self) -> None:
        """Waits a moment for calls under way; what is not over is found again at the next start."""
        running = list(self._running.values())
        if running:
            _, late = await asyncio.wait(running, timeout=5.0)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)
