"""Sessions that are never stored."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from uuid import uuid4

from sqlalchemy import Table

from flow_backend.engine.plan import make_plan
from flow_backend.engine.session import Session
from flow_backend.engine.state import SessionState
from flow_backend.engine.stream import FrameKeeper, TurnStream
from flow_backend.flows.document import Flow
from flow_backend.store.writer import JournalSource

if TYPE_CHECKING:
    from flow_backend.engine.engine import EngineParts

VERSION = 0
"""Of flows that are not published."""


def transient_session(
    parts: EngineParts,
    flow: Flow,
    *,
    variables: Mapping[str, Any] | None = None,
    metadata: dict[str, Any] | None = None,
    owner: str = "",
    shared: bool = False,
) -> Session:
    """A session that is never stored and ends with the object; close it with `aclose`.

    Only side effects leave rows behind, as those of every session do.

    Args:
        parts: What runs need.
        flow: What runs; validation has passed it.
        variables: The first values; the flow's own by default.
        metadata: Of the session.
        owner: Id of the API key that opens it.
        shared: Where there are other replicas, they may read its events.
    """
    keeper = parts.keeper if shared else None
    return Session(
        uuid4().hex,
        uuid4().hex,
        make_plan(flow, VERSION),
        replace(
            parts,
            writer=_Unwritten(),  # type: ignore[arg-type] # the calls that sessions make
            keeper=_EventsAlone(keeper) if keeper is not None and keeper.shared else None,
        ),
        state=SessionState(variables=dict(flow.variables if variables is None else variables)),
        metadata=metadata or {},
        owner=owner,
    )


class _EventsAlone:
    """Passes events on to other replicas, without the rows by which one could go on."""

    shared = True

    def __init__(self, keeper: FrameKeeper) -> None:
        self._keeper = keeper

    def begin(
        self, stream: TurnStream, session_row: dict[str, Any], turn_row: dict[str, Any]
    ) -> None:
        """Nothing is kept."""

    def keep(self, stream: TurnStream, frame: bytes) -> None:
        """As the other does."""
        self._keeper.keep(stream, frame)


class _Unwritten:
    """Stands where the writer stands, for sessions that are not stored."""

    keeps = False

    def put(self, table: Table, row: dict[str, Any]) -> None:
        """Nothing is kept."""

    def put_chunk(self, row: dict[str, Any]) -> None:
        """Nothing is kept."""

    def follow(self, source: JournalSource) -> None:
        """Nothing is kept."""

    def unfollow(self, source: JournalSource) -> None:
        """Nothing is kept."""

    def check(self) -> None:
        """There is nothing that could fail."""

    async def durable(self, uid: str | None = None, patience_s: float = 0.0) -> None:
        """There is nothing to wait for."""

    def when_durable(
        self,
        callback: Callable[[asyncio.Future[None]], None] | None = None,
        *,
        uid: str | None = None,
        patience_s: float = 0.0,
    ) -> asyncio.Future[None]:
        """Settled at once."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.set_result(None)
        if callback is not None:
            future.add_done_callback(callback)
        return future
