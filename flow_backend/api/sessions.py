"""Routes of sessions."""

from __future__ import annotations

import json
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Request, Response

from flow_backend.access.gate import Caller, caller_of
from flow_backend.engine.engine import Engine
from flow_backend.engine.session import Session
from flow_backend.flows.document import Flow
from flow_backend.flows.loading import load_text
from flow_backend.flows.validation import parse_flow
from flow_backend.replicas.remote import RemoteSession
from protocol.errors import FlowError
from protocol.turns import SessionOpened, SessionRequest, SessionState

router = APIRouter(prefix="/api/flows/{flow_id}", tags=["sessions"])

FlowId = Annotated[
    str, Path(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9][A-Za-z0-9._~-]*$")
]
Id = Annotated[str, Path(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._~:@+-]+$")]
"""A session's id in a path: room names, telephone numbers and uuids fit."""
TurnId = Annotated[str, Path(min_length=1, max_length=200, pattern=r"^[A-Za-z0-9._~-]+$")]


def get_engine(request: Request) -> Engine:
    """The app's engine."""
    engine: Engine = request.app.state.engine
    return engine


EngineDep = Annotated[Engine, Depends(get_engine)]
CallerDep = Annotated[Caller, Depends(caller_of)]


async def get_own_session(
    flow_id: FlowId, session_id: Id, engine: EngineDep, caller: CallerDep
) -> Session | RemoteSession:
    """The session that the path names, if it is one that the caller may use."""
    return await engine.session(flow_id, session_id, sees=caller.sees)


SessionDep = Annotated[Any, Depends(get_own_session)]


@router.post("/sessions", status_code=201)
async def open_session(
    flow_id: FlowId, body: SessionRequest, engine: EngineDep, caller: CallerDep
) -> SessionOpened:
    """Opens a session; the client speaks the greeting, if there is one."""
    if body.document is not None:
        flow = _to_try(flow_id, body, caller)
        session, greeting = await engine.try_out(
            flow, variables=body.variables, metadata=body.metadata, owner=caller.owner
        )
    else:
        session, greeting = await engine.open(
            flow_id,
            variables=body.variables,
            metadata=body.metadata,
            version=body.version,
            owner=caller.owner,
            edits=caller.may("edit"),
        )
    return SessionOpened(
        session_id=session.id,
        flow_version=session.plan.version,
        greeting=greeting,
        allow_interruptions=session.plan.may_be_interrupted(session.plan.start),
    )


def _to_try(flow_id: str, body: SessionRequest, caller: Caller) -> Flow:
    """The flow that the request brings along.

    Raises:
        AccessError: `forbidden` for a caller who may not change flows.
        FlowError: `request_invalid` beside a version, or for another flow's id; `flow_invalid`.
    """
    caller.require("edit")
    assert body.document is not None
    if body.version is not None:
        raise FlowError("request_invalid", "Send a version or a document.", path="version")
    flow = parse_flow(load_text(json.dumps(body.document)))
    if flow.id != flow_id:
        raise FlowError("request_invalid", f"The path names flow {flow_id!r}.", path="document.id")
    return flow


@router.get("/sessions/{session_id}")
async def get_session(session: SessionDep) -> SessionState:
    """A session's state, variables and transcript."""
    shown: SessionState = await session.shown()
    return shown


@router.delete("/sessions/{session_id}", status_code=204, response_class=Response)
async def end_session(session: SessionDep) -> None:
    """Ends a session and cancels its turn."""
    await session.end()
