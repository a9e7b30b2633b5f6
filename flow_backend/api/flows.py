"""Routes of flows: drafts, published versions, validation, the schema."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Query, Request, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from flow_backend.access.gate import needs
from flow_backend.api.sessions import FlowId
from flow_backend.engine.engine import EngineParts
from flow_backend.flows.loading import Source, load_text
from flow_backend.flows.problems import Problem
from flow_backend.flows.schema import flow_schema
from flow_backend.flows.validation import parse_flow, validate
from flow_backend.store.flows import StoredFlow
from protocol.errors import FlowError

router = APIRouter(prefix="/api/flows", tags=["flows"])
LISTING = [needs("talk", "edit")]
EDITING = [needs("edit")]

_DOCUMENT_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"type": "object"}},
            "application/yaml": {"schema": {"type": "string"}},
        },
    }
}


class FlowSummary(BaseModel):
    """A flow in a list."""

    id: str
    name: str
    description: str
    revision: int
    """Counts saves of the draft."""
    published_version: int | None
    updated_at: float
    """Unix seconds."""


class FlowList(BaseModel):
    """Every flow, by id."""

    flows: list[FlowSummary]


class VersionSummary(BaseModel):
    """A published version."""

    flow_id: str
    version: int
    published_at: float
    """Unix seconds."""


class VersionList(BaseModel):
    """Published versions, the newest first."""

    versions: list[VersionSummary]


class Verdict(BaseModel):
    """What validation finds."""

    valid: bool
    problems: list[Problem]


def get_parts(request: Request) -> EngineParts:
    """What the app's engine works with."""
    parts: EngineParts = request.app.state.parts
    return parts


Parts = Annotated[EngineParts, Depends(get_parts)]


async def read_document(request: Request) -> Source:
    """The body as a flow document: YAML or JSON, whatever the content type says."""
    try:
        text = (await request.body()).decode()
    except UnicodeDecodeError as error:
        raise FlowError("request_invalid", "The body is not UTF-8 text.") from error
    return load_text(text)


DocumentBody = Annotated[Source, Depends(read_document)]


@router.get("", dependencies=LISTING)
async def list_flows(parts: Parts) -> FlowList:
    """Every flow."""
    return FlowList(
        flows=[
            FlowSummary(
                id=flow.id,
                name=flow.document.get("name", ""),
                description=flow.document.get("description", ""),
                revision=flow.revision,
                published_version=flow.published_version,
                updated_at=flow.updated_at,
            )
            for flow in await parts.flows.all()
        ]
    )


@router.post("", status_code=201, dependencies=EDITING, openapi_extra=_DOCUMENT_BODY)
async def create_flow(source: DocumentBody, parts: Parts) -> Response:
    """Stores a new flow as a draft."""
    return _draft(await parts.flows.create(_checked(source)), status=201)


@router.get("/schema", dependencies=EDITING)
async def schema() -> dict[str, Any]:
    """The JSON Schema of flow documents."""
    return flow_schema()


@router.post("/validate", dependencies=EDITING, openapi_extra=_DOCUMENT_BODY)
async def validate_flow(source: DocumentBody) -> Verdict:
    """Every problem of a document, with its path; nothing is stored."""
    _, problems = validate(source)
    return Verdict(valid=not problems, problems=problems)


@router.get("/{flow_id}", dependencies=EDITING)
async def get_flow(
    flow_id: FlowId,
    parts: Parts,
    version: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> Response:
    """A flow's draft with its ETag, or one of its published versions."""
    if version is None:
        return _draft(await parts.flows.draft(flow_id))
    stored = await parts.flows.version(flow_id, version)
    return JSONResponse({**stored.document, "version": stored.version})


@router.put("/{flow_id}", dependencies=EDITING, openapi_extra=_DOCUMENT_BODY)
async def replace_flow(
    flow_id: FlowId,
    source: DocumentBody,
    parts: Parts,
    if_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Saves a draft over the one whose ETag `If-Match` names."""
    if if_match is None:
        raise FlowError(
            "precondition_required",
            "Send If-Match with the ETag of the draft that you changed, or * to overwrite any.",
        )
    document = _checked(source)
    if document["id"] != flow_id:
        raise FlowError("request_invalid", f"The path names flow {flow_id!r}.", path="id")
    return _draft(await parts.flows.replace(flow_id, document, if_match.removeprefix("W/")))


@router.delete("/{flow_id}", dependencies=EDITING, status_code=204, response_class=Response)
async def delete_flow(flow_id: FlowId, parts: Parts) -> None:
    """Deletes a flow that no live session uses."""
    await parts.writer.durable()
    live = await parts.sessions.live_sessions(flow_id)
    if live:
        raise FlowError(
            "flow_in_use",
            f"Flow {flow_id!r} has {live} live session{'s' if live != 1 else ''}. End them first.",
        )
    await parts.flows.remove(flow_id)


@router.post("/{flow_id}/publish", dependencies=EDITING)
async def publish_flow(flow_id: FlowId, parts: Parts) -> VersionSummary:
    """Makes the draft the version that new sessions begin with."""
    draft = await parts.flows.draft(flow_id)
    parse_flow(draft.document)
    stored = await parts.flows.publish(flow_id)
    return VersionSummary(flow_id=flow_id, version=stored.version, published_at=stored.published_at)


@router.get("/{flow_id}/versions", dependencies=EDITING)
async def list_versions(flow_id: FlowId, parts: Parts) -> VersionList:
    """Published versions."""
    return VersionList(
        versions=[
            VersionSummary(
                flow_id=flow_id, version=stored.version, published_at=stored.published_at
            )
            for stored in await parts.flows.versions(flow_id)
        ]
    )


def _checked(source: Source) -> dict[str, Any]:
    """A document that passes validation, as it is stored: without a version of its own."""
    parse_flow(source)
    return {name: value for name, value in source.data.items() if name != "version"}


def _draft(flow: StoredFlow, status: int = 200) -> Response:
    return JSONResponse({**flow.document, "version": None}, status, {"ETag": flow.etag})
