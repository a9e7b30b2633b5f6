"""Routes of turns. Contract: docs/flow-protocol.md."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Query, Request, Response

from flow_backend.access.admission import STREAMED
from flow_backend.api.event_stream import EventStream
from flow_backend.api.sessions import CallerDep, EngineDep, FlowId, Id, SessionDep, TurnId
from flow_backend.engine.turn import Turn
from flow_backend.replicas.remote import RemoteTurn
from flow_backend.turn_trace import trace_turn
from protocol.errors import FlowError
from protocol.events import parse_event_id
from protocol.tracing import HEADER, SpanIds
from protocol.turns import HeardReport, TurnRequest

router = APIRouter(prefix="/api/flows/{flow_id}", tags=["turns"])

SESSION = "/sessions/{session_id}"
TURN = SESSION + "/turns/{turn_id}"
NewTurnId = Annotated[
    str | None, Query(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._~-]+$")
]


@router.get(
    "/stream/{session_id}", response_class=EventStream, status_code=200, dependencies=[STREAMED]
)
async def stream(
    flow_id: FlowId,
    session_id: Id,
    input: Annotated[str, Query(max_length=100_000)],
    request: Request,
    engine: EngineDep,
    caller: CallerDep,
    turn_id: NewTurnId = None,
    speculative: bool = False,
) -> Response:
    """Runs a turn; an unknown session id makes a session."""
    session = await engine.session_or_new(flow_id, session_id, owner=caller.owner, sees=caller.sees)
    turn: Turn | RemoteTurn = await session.start_turn(input, turn_id, speculative=speculative)
    _trace(request, turn)
    return _stream(request, turn)


@router.post(
    SESSION + "/turns", response_class=EventStream, status_code=200, dependencies=[STREAMED]
)
async def start_turn(session: SessionDep, body: TurnRequest, request: Request) -> Response:
    """Runs a turn in a session that was opened before."""
    turn = await session.start_turn(
        body.input, body.turn_id, speculative=body.speculative, heard=body.heard or ()
    )
    _trace(request, turn)
    return _stream(request, turn)


@router.post(SESSION + "/prefill", status_code=204, response_class=Response)
async def prefill(session: SessionDep) -> None:
    """The user begins to speak: a model that keeps a prompt cache may read ahead."""
    await session.prefill()


@router.get(TURN + "/events", response_class=EventStream, status_code=200)
async def resume(
    session: SessionDep,
    turn_id: TurnId,
    request: Request,
    after: Annotated[int | None, Query(ge=0, le=2**31 - 1)] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """The turn's events after a given one, live if it still runs."""
    if after is None:
        after = _seq(last_event_id, turn_id) if last_event_id else 0
    turn = await session.turn(turn_id)
    last = turn.last_seq
    if after > last and turn.stream.lost is None:
        raise FlowError(
            "request_invalid", f"Turn {turn_id!r} has {last} events so far.", path="after"
        )
    return _stream(request, turn, after)


@router.post(TURN + "/commit", status_code=204, response_class=Response)
async def commit(session: SessionDep, turn_id: TurnId) -> None:
    """The user's turn is over; may be repeated."""
    await session.commit(await session.turn(turn_id))


@router.post(TURN + "/heard", status_code=204, response_class=Response)
async def heard(session: SessionDep, turn_id: TurnId, body: HeardReport) -> None:
    """What the user really heard of a turn."""
    await session.heard(await session.turn(turn_id), body)


@router.delete(TURN, status_code=204, response_class=Response)
async def drop_turn(session: SessionDep, turn_id: TurnId) -> None:
    """Discards a speculative turn, cancels a committed one; may be repeated."""
    await session.discard(await session.turn(turn_id))


def _trace(request: Request, turn: Turn | RemoteTurn) -> None:
    parent = SpanIds.from_header(request.headers.get(HEADER))
    if isinstance(turn, Turn):  # another replica traces its own
        trace_turn(turn, request.app.state.tracing, parent)


def _stream(request: Request, turn: Turn | RemoteTurn, after: int = 0) -> EventStream:
    return EventStream(turn.stream, after=after, ping_s=request.app.state.settings.ping_s)


def _seq(last_event_id: str, turn_id: str) -> int:
    try:
        named, seq = parse_event_id(last_event_id)
    except ValueError as error:
        raise FlowError("request_invalid", str(error), path="Last-Event-ID") from error
    if named != turn_id:
        raise FlowError(
            "request_invalid",
            f"Last-Event-ID is of turn {named!r}, the path names {turn_id!r}.",
            path="Last-Event-ID",
        )
    return seq
